//! Whether this process has heard of a change that was committed.

use std::{future::Future, pin::Pin};

/// Brings committed changes into this process's memory; implemented where the parts meet.
pub trait Follow: Send + Sync + 'static {
    /// Returns once what this process decides by holds the change with this number, or after a
    /// bounded time: the change is durable either way, and other nodes hear of it as they do.
    fn reach(&self, seq: u64) -> Pin<Box<dyn Future<Output = ()> + Send + '_>>;
}

/// For a process that decides nothing.
impl Follow for () {
    fn reach(&self, _seq: u64) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(std::future::ready(()))
    }
}
