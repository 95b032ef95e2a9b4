//! Reading a body: at once when it is right, and a second time, field by field, to say what is wrong.

use super::{
    mistake::{self, Mistake},
    request::{Batch, BatchForm, BatchObject, Requests, VerifyRequest},
};

/// Reads the body of `verify`.
///
/// # Errors
/// [`Mistake`] names line, field and remedy.
pub fn request(body: &[u8]) -> Result<VerifyRequest<'_>, Mistake> {
    serde_json::from_slice(body).map_err(|error| mistake::of_request(body, &error))
}

/// Reads the body of `verify-batch`.
///
/// # Errors
/// [`Mistake`] names line, field (with the request's index) and remedy.
pub fn batch(body: &[u8]) -> Result<Batch<'_>, Mistake> {
    let first = body.iter().find(|byte| !byte.is_ascii_whitespace());
    let (requests, form) = if first == Some(&b'[') {
        (serde_json::from_slice::<Requests<'_>>(body), BatchForm::Array)
    } else {
        let object = serde_json::from_slice::<BatchObject<'_>>(body);
        (object.map(|object| object.requests), BatchForm::Object)
    };
    match requests {
        Ok(Requests(requests)) => Ok(Batch { requests, form }),
        Err(error) => Err(mistake::of_batch(body, form, &error)),
    }
}
