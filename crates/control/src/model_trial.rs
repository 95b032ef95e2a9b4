//! Trying models of files before what is written of them is kept.
//!
//! Which file of the host a model is read from is for its operator to say, with `tollgate apply` there: nothing that
//! comes over HTTP makes this process open another. What people change over HTTP is the sample that the file is tried
//! with, and that is held against the file here.

use std::sync::Arc;

use tollgate_core::{field_error::FieldError, id::ModelId, predict_spec::ModelSpec};
use tollgate_store::{ResourceId, ResourceSpec, Scope};

use crate::{problem::Refused, state::App, trial::NotTried};

/// Refuses what is written of a model where its file does not answer a sample that is new.
pub(crate) async fn try_sample(
    app: &App,
    (scope, id): (&Scope, ModelId),
    new: &ModelSpec,
) -> Result<(), Refused> {
    let ResourceSpec::Model(present) = app.store().resource(scope, ResourceId::Model(id)).await?.spec else {
        return Err(Refused::not_found());
    };
    // Another file is refused where it is written, and not looked at before.
    if new.file.is_none() || new.file != present.file || new.sample == present.sample {
        return Ok(());
    }
    let Ok(place) = app.trials().try_acquire_owned() else {
        return Err(Refused::Busy(
            "other models are tried right now; nothing was changed, try again".to_owned(),
        ));
    };
    let (trial, spec) = (Arc::clone(&app.control().models), new.clone());
    // The place is the trial's: who asked may leave, and it goes on.
    let tried = tokio::task::spawn_blocking(move || {
        let tried = trial.attempt(&spec);
        drop(place);
        tried
    });
    let tried = tried.await;
    let tried = tried.map_err(|error| {
        tracing::error!(%error, "trying a model ended with its thread");
        Refused::Unavailable("the model could not be tried; the log has the cause".to_owned())
    })?;
    let (field, problem) = match tried {
        Ok(()) => return Ok(()),
        Err(NotTried::Unreadable(problem)) => (
            "file",
            format!(
                "{problem}; bring the file back on this node, or leave the sample to `tollgate apply` where it is"
            ),
        ),
        Err(NotTried::Unfit(problem)) => {
            ("sample", format!("{problem}; correct the sample, or have the file replaced"))
        }
    };
    Err(Refused::Invalid(vec![FieldError::new(field, problem)]))
}
