//! The list of models, without those that a key may not use.

use serde_json::Value;
use tollgate_core::money::price::Provider;

/// The longest list that is read, in bytes; the providers' have some ten thousand.
pub const LIST_BYTES_MAX: usize = 4 * 1024 * 1024;

/// The path of a provider's list, normalised.
#[must_use]
pub fn is_model_list(provider: Provider, path: &str) -> bool {
    match provider {
        Provider::OpenAi | Provider::Anthropic => path.ends_with("/v1/models"),
        Provider::Gemini => {
            matches!(path.rsplit_once('/'), Some((before, "models")) if before.contains("/v1"))
        }
    }
}

/// The list with the models that `may_use` takes; `None` when the body is no such list, in which case
/// it must not be passed on.
#[must_use]
pub fn filtered(provider: Provider, body: &[u8], may_use: impl Fn(&str) -> bool) -> Option<Vec<u8>> {
    if body.len() > LIST_BYTES_MAX {
        return None;
    }
    let mut list: Value = serde_json::from_slice(body).ok()?;
    let (models, name) = match provider {
        Provider::OpenAi | Provider::Anthropic => ("data", "id"),
        Provider::Gemini => ("models", "name"),
    };
    let name_of = |model: &Value| {
        let name = model.get(name).and_then(Value::as_str)?;
        Some(name.strip_prefix("models/").unwrap_or(name).to_owned())
    };
    let models = match list.as_object_mut()?.get_mut(models) {
        Some(Value::Array(models)) => models,
        // Gemini leaves an empty list away.
        None if provider == Provider::Gemini => return Some(body.to_vec()),
        _ => return None,
    };
    models.retain(|model| name_of(model).is_some_and(|name| may_use(&name)));
    let ends = [models.first(), models.last()].map(|model| model.and_then(name_of));
    if provider == Provider::Anthropic {
        for (member, id) in ["first_id", "last_id"].into_iter().zip(ends) {
            // What follows is asked for by the last id of the provider's own page.
            let is_more = member == "last_id" && list.get("has_more") == Some(&Value::Bool(true));
            if let Some(slot) = list.get_mut(member).filter(|_| !is_more) {
                *slot = id.map_or(Value::Null, Value::String);
            }
        }
    }
    Some(list.to_string().into_bytes())
}
