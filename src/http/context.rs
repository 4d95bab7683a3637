//! What every handler has at hand.

use std::ops::Deref;
use std::sync::Arc;

use jiff::Timestamp;
use sha2::{Digest, Sha256};

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
}

impl Context {
    pub fn new(
        operator: &Token,
        store: Store,
        switchboard: Arc<dyn Switchboard>,
        service: ServiceFacts,
    ) -> Self {
        let operator = Sha256::digest(operator.reveal()).into();
        Self(Arc::new(Inner { store, switchboard, service, operator }))
    }

    pub fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    pub async fn command(&self, command: Command) -> Result<(), Problem> {
        self.switchboard.command(command).await.map(|_done| ()).map_err(Problem::from)
    }
}

impl Deref for Context {
    type Target = Inner;

    fn deref(&self) -> &Inner {
        &self.0
    }
}
