//! What happens when nothing happens: timers, and connections that break.

use std::time::Instant;

use super::{ClientMachine, Endpoint, HowEnded, Purpose, ServerMachine, Sleeper};
use crate::sip::flow::Flow;
use crate::sip::reason::Farewell;
use crate::sip::session::{Change, Ringing, Session, State, TransactionId, Unacknowledged};
use crate::sip::transaction::Due;
use crate::types::CallId;

impl Endpoint {
    /// Does everything whose time has come.
    pub fn handle_timeout(&mut self, now: Instant) {
        while let Some(sleeper) = self.deadlines.due(now) {
            match sleeper {
                Sleeper::Server(id) => self.server_due(now, id),
                Sleeper::Client(id) => self.client_due(now, id),
                Sleeper::Call(call) => self.call_due(now, call),
                Sleeper::Keeper(id) => self.keeper_due(now, id),
            }
        }
    }

    fn server_due(&mut self, now: Instant, id: TransactionId) {
        let Some(server) = self.servers.get_mut(&id) else { return };
        let due = match &mut server.machine {
            ServerMachine::Invite(machine) => machine.elapse(now),
            ServerMachine::NonInvite(machine) => machine.elapse(now),
        };
        let back = server.back;
        match due {
            Due::Nothing => {}
            Due::Resend(bytes) => self.transmit(back, bytes),
            Due::Hurry => self.reply_status(now, id, 100),
            // No ACK of a refusal (H): the call has been over for long.
            Due::TimedOut | Due::Over => return self.remove_server(id),
        }
        self.schedule_server(id);
    }

    fn client_due(&mut self, now: Instant, id: TransactionId) {
        let Some(client) = self.clients.get_mut(&id) else { return };
        let due = match &mut client.machine {
            ClientMachine::Invite(machine) => machine.elapse(now),
            ClientMachine::NonInvite(machine) => machine.elapse(now),
        };
        let (flow, purpose) = (client.flow, client.purpose);
        match due {
            Due::Nothing | Due::Hurry => {}
            Due::Resend(bytes) => self.transmit(flow, bytes),
            Due::TimedOut => {
                self.remove_client(id);
                return self.unanswered(now, purpose, 408);
            }
            Due::Over => {
                self.remove_client(id);
                return;
            }
        }
        self.schedule_client(id);
    }

    fn call_due(&mut self, now: Instant, call: CallId) {
        let Some(mut session) = self.take(call) else { return };
        if session.expiry.is_some_and(|expiry| now >= expiry.until) {
            self.drop_pending(now, &mut session);
            return self.give_up_call(now, session, HowEnded::SessionExpired);
        }
        if session.expiry.is_some_and(|expiry| expiry.refresh.is_some_and(|at| now >= at)) {
            self.refresh(now, &mut session);
        }
        if self.repeat_provisional(now, &mut session) {
            return self.refuse_unheard(now, session);
        }
        self.try_again(now, &mut session);
        match &mut session.state {
            State::Ringing(Ringing { invite, until, .. }) if now >= *until => {
                let invite = *invite;
                self.reply_for(now, &session, invite, 480);
                return self.end(session, HowEnded::Unanswered);
            }
            State::Answered(ok) if now >= ok.until => {
                // Whoever wanted to hang up waited for the ACK; there will be none.
                let how = if ok.leave.is_some() { HowEnded::ByUs } else { HowEnded::NoAck };
                return self.give_up_call(now, session, how);
            }
            State::Answered(ok) => self.repeat(now, ok),
            State::Accepted { until, .. } if now >= *until => {
                self.acknowledge(now, &mut session, None);
                return self.give_up_call(now, session, HowEnded::Unanswered);
            }
            State::Calling(calling) if now >= calling.until => self.give_up(now, &mut session),
            State::Ringing(_)
            | State::Accepted { .. }
            | State::Calling(_)
            | State::Established
            | State::Leaving => {}
        }
        if let Change::Unacknowledged(ok) = &mut session.change {
            if now >= ok.until {
                return self.give_up_call(now, session, HowEnded::NoAck);
            }
            self.repeat(now, ok);
        }
        self.keep(session);
    }

    fn repeat(&mut self, now: Instant, ok: &mut Unacknowledged) {
        if ok.resend.is_due(now) {
            self.transmit(ok.flow, ok.bytes.clone());
        }
    }

    /// BYE, and the call is over whatever is answered.
    fn give_up_call(&mut self, now: Instant, mut session: Box<Session>, how: HowEnded) {
        // "Recovery on timer expiry" (Q.850).
        let text = match how {
            HowEnded::SessionExpired => "session expired",
            HowEnded::NoAck => "no acknowledgement",
            _ => "gone",
        };
        self.bye(now, &mut session, Some(&Farewell::new(102, text)), Purpose::Bye(None));
        self.end(session, how);
    }

    /// A message could not be sent on this flow, or its connection is gone. Requests of ours on it
    /// fail, calls that nobody has answered end; an answered call goes on, and its next request
    /// takes another way.
    pub fn transport_failed(&mut self, now: Instant, flow: &Flow) {
        let mut touched: Vec<CallId> =
            self.calls.values().filter(|session| session.flow == *flow).map(|session| session.call).collect();
        touched.sort_unstable();
        for call in touched {
            let Some(mut session) = self.take(call) else { continue };
            if let State::Ringing(Ringing { invite, .. }) = session.state {
                self.remove_server(invite);
                self.end(session, HowEnded::Transport);
            } else {
                session.flow_broken = true;
                self.keep(session);
            }
        }
        let mut failed: Vec<TransactionId> =
            self.clients.iter().filter(|(_, client)| client.flow == *flow).map(|(id, _)| *id).collect();
        failed.sort_unstable();
        for id in failed {
            if self.fall_back(now, id) {
                continue;
            }
            let is_open = self.clients.get(&id).is_some_and(|client| match &client.machine {
                ClientMachine::Invite(machine) => machine.is_open(),
                ClientMachine::NonInvite(machine) => machine.is_open(),
            });
            if is_open && let Some(client) = self.remove_client(id) {
                self.unanswered(now, client.purpose, 503);
            }
        }
        self.acknowledge_by_datagram(now, flow);
        self.keepers_lost(now, flow);
    }
}
