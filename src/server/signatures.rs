//! Calls whose signature is being verified: they ring, and come in with the verdict.
//!
//! The bridge hears of a call when all is known of its caller. One with a signature waits here for that,
//! no longer than [`stir::PATIENCE`]; no other call waits for it.

use std::collections::HashMap;

use tokio::sync::mpsc;

use crate::bridge::input::Incoming;
use crate::bridge::verify::{self, Believed, Evidence};
use crate::server::translate;
use crate::stir::{Asked, NotFetched, Unjudged, Verdict, Verifier};
use crate::types::{CallId, PhoneNumber};

/// Calls that may wait for a verdict at once; the next one comes in as if it had no signature.
const WAITING_MAX: usize = 1_024;

pub(super) type Verdicts = mpsc::Receiver<(CallId, Verdict)>;

/// The calls that wait, and the way to their verdicts.
pub(super) struct Signatures {
    /// `None`: nothing is verified.
    verifier: Option<Verifier>,
    verdicts: mpsc::Sender<(CallId, Verdict)>,
    waiting: HashMap<CallId, Box<Waiting>>,
}

struct Waiting {
    incoming: Incoming,
    evidence: Evidence,
    believed: Believed,
}

impl Signatures {
    pub(super) fn new(verifier: Option<Verifier>) -> (Self, Verdicts) {
        let (verdicts, heard) = mpsc::channel(WAITING_MAX);
        (Self { verifier, verdicts, waiting: HashMap::new() }, heard)
    }

    /// Verifies by other settings from the next call on.
    pub(super) fn renew(&mut self, verifier: Option<Verifier>) {
        self.verifier = match (&self.verifier, verifier) {
            (Some(before), Some(verifier)) => Some(verifier.after(before)),
            (_, verifier) => verifier,
        };
    }

    /// Begins to verify, if there is anything to verify. `Some`: there is not, and here the call is
    /// again. A number that no header of the call names cannot have been signed for it.
    pub(super) fn begin(
        &mut self,
        incoming: Incoming,
        evidence: Evidence,
        believed: Believed,
        signed: Signed,
    ) -> Option<Incoming> {
        let presented = verify::presented(&evidence, &believed);
        let (Some(verifier), Some(caller)) = (&self.verifier, presented) else { return Some(incoming) };
        if !believed.stir || signed.headers.is_empty() {
            return Some(incoming);
        }
        if self.waiting.len() >= WAITING_MAX {
            let busy = Verdict::Unjudged(Unjudged::NotFetched(NotFetched::Busy));
            return Some(told(incoming, evidence, &believed, busy));
        }
        let asked = Asked {
            headers: signed.headers,
            caller,
            called: signed.called,
            sip_call_id: incoming.sip_call_id.clone(),
        };
        let (call, verifier, verdicts) = (incoming.call, verifier.clone(), self.verdicts.clone());
        self.waiting.insert(call, Box::new(Waiting { incoming, evidence, believed }));
        tokio::spawn(async move {
            let verdict = verifier.verify(&asked).await;
            // A switchboard that is gone has no calls.
            let _ = verdicts.send((call, verdict)).await;
        });
        None
    }

    /// The call, with its caller believed as far as the verdict allows. `None`: it did not wait.
    pub(super) fn end(&mut self, call: CallId, verdict: Verdict) -> Option<Incoming> {
        let Waiting { incoming, evidence, believed } = *self.waiting.remove(&call)?;
        Some(told(incoming, evidence, &believed, verdict))
    }

    /// The call gave up before its verdict.
    pub(super) fn give_up(&mut self, call: CallId) -> Option<Incoming> {
        self.waiting.remove(&call).map(|waiting| waiting.incoming)
    }
}

/// Counts the verdict and lets it decide about the caller.
fn told(mut incoming: Incoming, mut evidence: Evidence, believed: &Believed, verdict: Verdict) -> Incoming {
    let name = match &verdict {
        Verdict::Good(_) => "good",
        Verdict::Bad(failure) => failure.name(),
        Verdict::Unjudged(why) => why.name(),
    };
    metrics::counter!("doorline_signatures_total", "verdict" => name).increment(1);
    if let Some(number) = verify::presented(&evidence, believed) {
        evidence.signature = translate::signature(verdict, number);
        incoming.caller = verify::caller(&evidence, believed);
    }
    incoming
}

/// The signatures that came with a call.
pub(super) struct Signed {
    pub headers: Vec<String>,
    /// What the dialled number may be written as.
    pub called: Vec<PhoneNumber>,
}
