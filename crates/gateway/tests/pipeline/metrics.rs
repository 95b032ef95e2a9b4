//! Points at the gate: what is taken and as what it is kept, whose host they have, and every refusal with its place.

use serde_json::{Value, json};
use tollgate_core::{event::NotTaken, time::Clock as _};
use tollgate_testkit::http::{Call, Reply};

use super::world::{CONSUMER, Plan, World, assert_refused};

const METRICS: &str = r#"
    [[service]]
    project = "maps"
    name = "metrics"
    kind = "metrics"
    metrics = { points_max = 4 }

    [[service]]
    project = "maps"
    name = "central"
    kind = "metrics"
    match = { path_prefix = "/central" }
    metrics = { measurement = "fleet", numbers = "written", hosts = "said" }

    [[service]]
    project = "maps"
    name = "events"
    kind = "ingest"

    [[policy]]
    project = "maps"
    name = "standard"
    services = ["*"]
"#;

const MOMENT: i64 = 1_699_786_600_000_000_000;

struct Stage {
    world: World,
    /// Of a key that is bound to this machine.
    bound: String,
    /// Of a key that is bound to nothing.
    free: String,
}

impl Stage {
    fn new() -> Self {
        let world = Plan::new(METRICS).start();
        // An address is a host that needs no name server.
        let bound = world.key_with("standard", |record| record.narrowing = World::bound_to("127.0.0.1"));
        let free = world.key("standard");
        Self { world, bound, free }
    }

    async fn send(&self, key: &str, call: Call) -> Reply {
        self.world.send(call.bearer(key)).await
    }

    async fn submit(&self, key: &str, body: &Value) -> Reply {
        self.send(key, Call::post("/api/submit", body)).await
    }

    /// What was kept of a request that was taken.
    fn kept(&self, reply: &Reply) -> Vec<Value> {
        assert_eq!(reply.status, 202, "{}", reply.text());
        let given = self.world.intake.take();
        let points: Vec<Value> = given
            .iter()
            .flat_map(|batch| batch.records.iter().map(move |record| (batch, record)))
            .map(|(batch, record)| {
                assert_eq!(batch.kind(record), "tollgate.metric");
                serde_json::from_slice(batch.bytes(record.data)).unwrap()
            })
            .collect();
        assert_eq!(reply.json(), json!({ "accepted": points.len() }));
        points
    }
}

#[tokio::test]
async fn a_point_is_completed_by_its_key_and_service() {
    let stage = Stage::new();
    let one = json!({"field": "os_updates", "value": 5, "timestamp": MOMENT});
    let kept = stage.kept(&stage.submit(&stage.bound, &one).await);
    let wanted = json!({"measurement": "metrics", "tags": {"host": "127.0.0.1"}, "fields": {"os_updates": 5.0},
        "timestamp": MOMENT});
    assert_eq!(kept, [wanted]);
    // A key that is bound to no host gives none.
    let more = json!({"measurement": "disk", "tags": {"mount": "/var, log"}, "fields": {"used": 0.5, "ok": true, "note": "a \"b\""},
        "field": "free", "value": -7, "timestamp": "2023-11-12T10:56:40.000000001Z"});
    let kept = stage.kept(&stage.submit(&stage.free, &more).await);
    let wanted = json!({"measurement": "disk", "tags": {"mount": "/var, log"},
        "fields": {"used": 0.5, "ok": true, "note": "a \"b\"", "free": -7.0}, "timestamp": MOMENT + 1});
    assert_eq!(kept, [wanted]);
}

#[tokio::test]
async fn numbers_stay_as_written_where_the_service_says_so() {
    let stage = Stage::new();
    let body = json!({"fields": {"whole": 5, "float": 5.0, "large": 9_007_199_254_740_993_u64}, "timestamp": MOMENT});
    let kept = stage.kept(&stage.send(&stage.free, Call::post("/central", &body)).await);
    assert_eq!(kept[0]["measurement"], "fleet");
    let fields = &kept[0]["fields"];
    assert!(fields["whole"].is_i64() && fields["float"].is_f64());
    assert_eq!(fields["large"], 9_007_199_254_740_993_u64);
    let reply = stage.submit(&stage.free, &body).await;
    assert_refused(&reply, 422, "record_invalid");
    assert_eq!(reply.json()["errors"][0]["path"], "/fields/large");
}

#[tokio::test]
async fn a_point_without_a_moment_has_that_of_its_arrival() {
    let stage = Stage::new();
    let before = stage.world.clock.now().wall_us;
    let kept = stage.kept(&stage.submit(&stage.free, &json!({"field": "a", "value": 1})).await);
    let after = stage.world.clock.now().wall_us;
    let timestamp = kept[0]["timestamp"].as_i64().unwrap();
    assert!((before * 1000..=after * 1000).contains(&timestamp), "{timestamp}");
}

#[tokio::test]
async fn a_key_speaks_for_its_own_host_and_for_no_other() {
    let stage = Stage::new();
    let of = |host: &str| json!({"field": "a", "value": 1, "tags": {"host": host}, "timestamp": MOMENT});
    let own = stage.kept(&stage.submit(&stage.bound, &of("127.0.0.1")).await);
    assert_eq!(own[0]["tags"]["host"], "127.0.0.1");
    for (key, path) in
        [(&stage.bound, "/api/submit"), (&stage.free, "/api/submit"), (&stage.bound, "/central")]
    {
        let reply = stage.send(key, Call::post(path, &of("db-1"))).await;
        assert_refused(&reply, 422, "record_invalid");
        assert_eq!(reply.json()["errors"][0]["path"], "/tags/host");
    }
    let said = stage.kept(&stage.send(&stage.free, Call::post("/central", &of("db-1"))).await);
    assert_eq!(said[0]["tags"]["host"], "db-1");
}

#[tokio::test]
async fn several_points_come_as_an_array_or_one_a_line() {
    let stage = Stage::new();
    let points = [json!({"field": "a", "value": 1}), json!({"field": "b", "value": 2})];
    let kept = stage.kept(&stage.submit(&stage.free, &json!(points)).await);
    assert_eq!(kept.len(), 2);
    let lines = Call::new("POST", "/api/submit").header("content-type", "application/x-ndjson");
    let kept =
        stage.kept(&stage.send(&stage.free, lines.body(format!("{}\n\n{}\n", points[0], points[1]))).await);
    assert_eq!(kept.len(), 2);
    let kept = stage.kept(&stage.submit(&stage.free, &json!([])).await);
    assert!(kept.is_empty());
    let reply =
        stage.submit(&stage.free, &json!([points[0], points[0], points[0], points[0], points[0]])).await;
    assert_refused(&reply, 413, "body_too_large");
    // All or nothing: the second one is wrong.
    let reply = stage.submit(&stage.free, &json!([points[0], {"field": "b"}])).await;
    assert_refused(&reply, 422, "record_invalid");
    assert_eq!(reply.json()["errors"][0]["index"], 1);
    assert_eq!(reply.json()["errors"][0]["path"], "/value");
    assert!(stage.world.intake.take().is_empty());
}

#[tokio::test]
async fn what_is_wrong_is_named_with_its_place() {
    let stage = Stage::new();
    for (body, path) in [
        (r#"{"value":1}"#, "/field"),
        (r#"{"field":"a"}"#, "/value"),
        ("{}", ""),
        (r#"{"field":"","value":1}"#, "/field"),
        (r#"{"field":"a\nb","value":1}"#, "/field"),
        (r#"{"field":"time","value":1}"#, "/field"),
        (r#"{"field":"a","value":null}"#, "/value"),
        (r#"{"field":"a","value":[1]}"#, "/value"),
        (r#"{"field":"a","value":1e999}"#, "/value"),
        (r#"{"field":"a","value":18446744073709551615}"#, "/value"),
        (r#"{"field":"a","value":1,"fields":{"a":2}}"#, "/field"),
        (r#"{"fields":{"a":1,"a":2}}"#, "/fields"),
        (r#"{"fields":{"x/y\\":1}}"#, "/fields/x~1y\\"),
        (r#"{"field":"host","value":1}"#, "/fields/host"),
        (r#"{"fields":{"a":1,"t":1},"tags":{"t":"1"}}"#, "/fields/t"),
        (r#"{"field":"a","value":1,"tags":{"t":""}}"#, "/tags/t"),
        (r#"{"field":"a","value":1,"tags":{"t":5}}"#, "/tags/t"),
        (r#"{"field":"a","value":1,"measurement":"_m"}"#, "/measurement"),
        (r#"{"field":"a","value":1,"timestamp":1699786600}"#, "/timestamp"),
        (r#"{"field":"a","value":1,"timestamp":9223372036854775807}"#, "/timestamp"),
        (r#"{"field":"a","value":1,"timestamp":"yesterday"}"#, "/timestamp"),
        (r#"{"field":"a","value":1,"timestamp":1.5}"#, "/timestamp"),
        (r#"{"field":"a","value":1,"colour":"red"}"#, "/colour"),
        (r#"{"field":"a","field":"b","value":1}"#, ""),
        (r#"{"field":"a","value":1,"tags":{"t":"1","t":"2"}}"#, "/tags"),
        (r#"[1]"#, ""),
    ] {
        let call = Call::new("POST", "/api/submit").header("content-type", "application/json").body(body);
        let reply = stage.send(&stage.free, call).await;
        assert_refused(&reply, 422, "record_invalid");
        let error = &reply.json()["errors"][0];
        assert_eq!(error["path"], path, "{body}: {error}");
        assert!(!error["reason"].as_str().unwrap().is_empty());
    }
    for (kind, body) in [
        ("application/json", "{\"field\":\"a\",\"value\":1} x"),
        ("application/json", "[{\"field\":\"a\",\"value\":1} 5"),
    ] {
        let call = Call::new("POST", "/api/submit").header("content-type", kind).body(body);
        assert_refused(&stage.send(&stage.free, call).await, 400, "malformed_request");
    }
    let form = Call::new("POST", "/api/submit").header("content-type", "application/x-www-form-urlencoded");
    assert_refused(&stage.send(&stage.free, form.body("field=a")).await, 415, "unsupported_content");
    assert!(stage.world.intake.take().is_empty());
}

#[tokio::test]
async fn a_request_may_have_a_name_and_is_refused_when_it_cannot_be_kept() {
    let stage = Stage::new();
    let call =
        || Call::post("/api/submit", &json!({"field": "a", "value": 1})).header("idempotency-key", "job-1");
    let reply = stage.send(&stage.free, call()).await;
    assert_eq!(reply.status, 202);
    let first = stage.world.intake.take().remove(0);
    let _again = stage.send(&stage.free, call()).await;
    assert_eq!(stage.world.intake.take().remove(0).name, first.name);
    assert!(first.name.is_some() && first.sender.consumer == CONSUMER);
    stage.world.intake.refuse(Some(NotTaken::Overloaded { why: "the disk is full", retry_after_s: 5 }));
    let reply = stage.send(&stage.free, call()).await;
    assert_refused(&reply, 503, "overloaded");
    assert_eq!(reply.header("retry-after"), Some("5"));
}

#[tokio::test]
async fn senders_of_records_cannot_pass_them_off_as_points() {
    let stage = Stage::new();
    let record = json!({"type": "tollgate.metric", "measurement": "metrics", "tags": {"host": "db-1"}});
    let reply = stage.send(&stage.free, Call::post("/api/v1/ingest", &record)).await;
    assert_refused(&reply, 422, "record_invalid");
    let event = Call::post("/api/v1/ingest", &json!({})).header("ce-specversion", "1.0").header("ce-id", "1");
    let event = event.header("ce-source", "/s").header("ce-type", "tollgate.metric");
    assert_refused(&stage.send(&stage.free, event).await, 422, "record_invalid");
}
