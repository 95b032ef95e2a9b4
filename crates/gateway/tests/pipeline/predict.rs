//! Questions to models, as far as no model is needed.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use tollgate_core::{
    id::ProjectId,
    serving::{Models, Served, Unserved},
};
use tollgate_testkit::http::Call;

use super::world::{Plan, assert_refused};

const PREDICT: &str = r#"
    [[service]]
    project = "maps"
    name = "predict"
    kind = "predict"
    match = { path_prefix = "/api/v1/predict" }

    [[policy]]
    project = "maps"
    name = "standard"
    services = ["predict"]
    scopes = ["write"]
    models = ["*"]
"#;

/// Threads of models that never come to what they are given.
#[derive(Default)]
struct Busy(Mutex<Vec<Box<dyn FnOnce() + Send>>>);

impl Models for Busy {
    fn find(&self, _: ProjectId, _: &str, _: Option<&str>) -> Result<Arc<Served>, Unserved> {
        Err(Unserved::NoModel)
    }

    fn is_ready(&self, _: ProjectId) -> bool {
        true
    }

    fn aside(&self, work: Box<dyn FnOnce() + Send>) {
        self.0.lock().unwrap().push(work);
    }
}

#[tokio::test]
async fn a_large_question_that_nobody_comes_to_read_is_refused_in_time() {
    let busy = Arc::new(Busy::default());
    let mut plan = Plan::new(PREDICT);
    plan.options.aside_timeout = Duration::from_millis(200);
    plan.models = busy.clone();
    let world = plan.start();
    let key = world.key("standard");
    let ask = |padding: usize| {
        let question = format!(r#"{{"model":"m","inputs":[[1]]{}}}"#, " ".repeat(padding));
        Call::new("POST", "/api/v1/predict").bearer(&key).body(question)
    };
    let refused = world.send(ask(64 << 10)).await;
    assert_refused(&refused, 503, "overloaded");
    assert!(refused.header("retry-after").is_some(), "{:?}", refused.headers);
    assert_eq!(busy.0.lock().unwrap().len(), 1);
    // A small one needs nobody.
    assert_eq!(world.send(ask(0)).await.code(), "no_model");
}
