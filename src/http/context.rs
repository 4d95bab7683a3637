//! What every handler has at hand.

use std::ops::Deref;
use std::sync::Arc;

use jiff::Timestamp;
use sha2::{Digest, Sha256};

use super::auth::Caller;
use super::once::UnderWay;
use super::problem::Problem;
use super::{ServiceFacts, Switchboard};
use crate::bridge::Command;
use crate::store::Store;
use crate::types::Token;

/// Clones share one.
#[derive(Clone)]
pub struct Context(Arc<Inner>);

pub struct Inner {
    pub store: Store,
    pub switchboard: Arc<dyn Switchboard>,
    pub service: ServiceFacts,
    /// SHA-256 of the operator's token.
    pub operator: [u8; 32],
    /// Requests with an Idempotency-Key that are at work.
    pub under_way: UnderWay,
}

impl Context {
    pub fn new(
        operator: &Token,
        store: Store,
        switchboard: Arc<dyn Switchboard>,
        service: ServiceFacts,
    ) -> Self {
        let operator = Sha256::digest(operator.reveal()).into();
        Self(Arc::new(Inner { store, switchboard, service, operator, under_way: UnderWay::default() }))
    }

    pub fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    pub async fn command(&self, caller: Caller, command: Command) -> Result<(), Problem> {
        self.switchboard.command(caller.by(), command).await.map(|_done| ()).map_err(Problem::from)
    }
}

impl Deref for Context {
    type Target = Inner;

    fn deref(&self) -> &Inner {
        &self.0
    }
}
