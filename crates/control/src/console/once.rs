//! Forms that show a secret are taken once: a reload that posts them again makes nothing and shows
//! nothing, it leads to what was made the first time.

use axum::response::Response;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use tollgate_core::key::Digest;
use tollgate_store::{AnswerKept, Claim, RequestName};

use super::{
    trouble::Trouble,
    visit::{Posted, Visit, random_secret},
};
use crate::problem::Refused;

/// The field of the form.
pub(crate) const FIELD: &str = "once";

/// A name for one form, for its hidden field.
pub(crate) fn name() -> Result<String, Trouble> {
    Ok(URL_SAFE_NO_PAD.encode(random_secret()?.expose()))
}

/// Does what a form asks for, in a task of its own: a browser that goes away leaves nothing half done, and
/// the form's name not claimed without an answer.
pub(crate) async fn whole(
    work: impl Future<Output = Result<Response, Trouble>> + Send + 'static,
) -> Result<Response, Trouble> {
    tokio::spawn(work).await.unwrap_or_else(|error| {
        tracing::error!(%error, "a form ended badly");
        Err(Refused::Unavailable("the form ended badly; the log has the cause".to_owned()).into())
    })
}

/// A form that is taken for the first time.
pub(crate) struct First(RequestName);

/// Takes a form; `Err` with the path that it led to when it was taken before.
pub(crate) async fn take(posted: &Posted, what: &str) -> Result<Result<First, String>, Trouble> {
    let Posted { visit, fields } = posted;
    let name = RequestName {
        tenant: visit.tenant(),
        actor: visit.who.user.to_string(),
        name: Digest::of(format!("form {}", fields.exact(FIELD)).as_bytes()),
        request: Digest::of(what.as_bytes()),
    };
    match visit.store().claim_request(&name, visit.now_us).await? {
        Claim::New => Ok(Ok(First(name))),
        Claim::Answered(kept) => Ok(Err(kept.body)),
        Claim::UnderWay => Err(Refused::RepetitionUnderWay.into()),
        Claim::Other => Err(Refused::RepetitionDiffers.into()),
        Claim::Full => Err(Refused::TooManyAttempts { retry_after_s: 3600 }.into()),
    }
}

impl First {
    /// It was done, and what it made is at this path.
    pub(crate) async fn done(self, visit: &Visit, path: String) {
        let kept = visit.store().keep_answer(&self.0, AnswerKept { status: 303, body: path }).await;
        if let Err(error) = kept {
            tracing::warn!(%error, "where a form led to could not be kept");
        }
    }

    /// It was refused: the form may be sent again, for nothing was done. Where it is not known whether it took
    /// effect, it stays taken.
    pub(crate) async fn undone(self, visit: &Visit, trouble: &Trouble) {
        if matches!(trouble, Trouble::Refused(Refused::Unavailable(_))) {
            return;
        }
        if let Err(error) = visit.store().release_request(&self.0).await {
            tracing::warn!(%error, "a form that did nothing could not be given back");
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::response::IntoResponse as _;
    use futures_util::FutureExt as _;
    use tokio::sync::oneshot;

    use super::whole;

    #[tokio::test]
    async fn a_form_is_done_whole_when_the_browser_goes_away() {
        let (go, going) = oneshot::channel::<()>();
        let (done, outcome) = oneshot::channel();
        let work = async move {
            let _went = going.await;
            let _told = done.send(());
            Ok(().into_response())
        };
        assert!(whole(work).now_or_never().is_none(), "it is under way, and nobody waits any more");
        go.send(()).unwrap();
        outcome.await.unwrap();
    }
}
