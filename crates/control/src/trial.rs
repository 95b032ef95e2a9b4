//! The port through which files of models are tried: what is asked, and what comes back.

use tollgate_core::predict_spec::ModelSpec;

/// Files that are tried at once; more are refused, for each takes a process and memory.
pub(crate) const TRIALS_MAX: usize = 2;

/// Tries models; implemented where they can be run.
pub trait ModelTrial: Send + Sync + 'static {
    /// Reads the file of a model and tries it on its sample. May take a minute, and blocks.
    ///
    /// # Errors
    /// [`NotTried`].
    fn attempt(&self, spec: &ModelSpec) -> Result<(), NotTried>;
}

/// Why a model cannot be used, in words for who wrote it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotTried {
    /// The file cannot be read here.
    Unreadable(String),
    /// The file is no model that can be run, or does not answer its sample.
    Unfit(String),
}

/// Tries none: for processes that cannot.
impl ModelTrial for () {
    fn attempt(&self, _: &ModelSpec) -> Result<(), NotTried> {
        Ok(())
    }
}
