//! The look at the files of models.

use super::finding::Finding;
use crate::{context::Context, model_file::problem_in_words};

/// Whether each file can be used on this host.
pub(super) async fn models(context: &Context) -> Vec<Finding> {
    const CHECK: &str = "models";
    // What is wrong with the database is found elsewhere.
    let Ok(store) = context.store().await else { return Vec::new() };
    let Ok(resources) = store.export().await else { return Vec::new() };
    let files = resources.models.into_iter().filter(|spec| spec.file.is_some());
    let tried = tokio::task::spawn_blocking(move || {
        files.map(|spec| (problem_in_words(&spec), spec)).collect::<Vec<_>>()
    });
    let mut findings = Vec::new();
    for (problem, spec) in tried.await.unwrap_or_default() {
        let name = spec.full_version();
        findings.push(match problem {
            None => Finding::ok(CHECK, format!("{name} can be used")),
            Some(problem) => Finding::wrong(
                CHECK,
                format!("{name} cannot be used: {problem}"),
                "put a good file in its place; nodes take it within seconds, and go on with the one before until then",
            ),
        });
    }
    findings
}
