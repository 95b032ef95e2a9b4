//! Refusals of the admin API (RFC 9457).

use serde::Serialize;
use utoipa::ToSchema;

/// Why a call was refused, and what helps.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Problem)]
pub struct AdminProblem {
    /// The kind of problem: `urn:tollgate:code:` and the code.
    #[serde(rename = "type")]
    #[schema(example = "urn:tollgate:code:not_found")]
    pub kind: String,
    /// The same at each occurrence.
    #[schema(example = "Not found")]
    pub title: String,
    /// The status of the answer.
    #[schema(example = 404, minimum = 400, maximum = 599)]
    pub status: u16,
    /// What was wrong this time and what helps.
    #[schema(example = "there is no key `key_00000000001`; list them, or correct the name")]
    pub detail: String,
    /// The code, for programs.
    #[schema(example = "not_found")]
    pub code: String,
    /// What is wrong with which field; only with `invalid`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    pub errors: Vec<FieldProblem>,
}

/// What is wrong with one field.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct FieldProblem {
    /// The field, as a path into the body: `quota[0].amount`; or the name of a parameter.
    #[schema(example = "match.path_prefix")]
    pub field: String,
    /// What is wrong with it, and what is right.
    #[schema(example = "it must begin with `/`")]
    pub problem: String,
}
