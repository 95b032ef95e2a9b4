//! Batches of records at the gate: every form of CONTRACT §4, its bounds, its refusals.

use std::io::Write as _;

use bytes::Bytes;
use serde_json::json;
use tollgate_core::event::{Batch, Content, NotTaken, Record};
use tollgate_testkit::http::{Call, Reply};

use super::world::{CONSUMER, PROJECT, Plan, TENANT, World, assert_refused};

const EVENTS: &str = r#"
    [[service]]
    project = "maps"
    name = "events"
    kind = "ingest"
    body_bytes_max = 65536
    ingest = { records_max = 5, record_bytes_max = 2000 }

    [[service]]
    project = "maps"
    name = "strict"
    kind = "ingest"
    match = { path_prefix = "/strict" }
    ingest = { source = "/spark/orders", default_type = "order.placed", schemas = "required" }

    [[policy]]
    project = "maps"
    name = "standard"
    services = ["*"]

    [[event_type]]
    project = "maps"
    name = "order.placed"
    version = 1
    schema = '{"type":"object","required":["amount"],"properties":{"amount":{"type":"number"}}}'

    [[event_type]]
    project = "maps"
    name = "order.placed"
    version = 2
    schema = '{"type":"object","properties":{"amount":{"type":"integer","minimum":1},"tag":{"type":"string","pattern":"^(a+)+$"}}}'
"#;

fn world() -> World {
    Plan::new(EVENTS).start()
}

async fn post(world: &World, target: &str, kind: &str, body: impl Into<Bytes>) -> Reply {
    let key = world.key("standard");
    world.send(Call::new("POST", target).bearer(&key).header("content-type", kind).body(body)).await
}

async fn ingest(world: &World, kind: &str, body: impl Into<Bytes>) -> Reply {
    post(world, "/api/v1/ingest", kind, body).await
}

/// The only batch that was given, which must have been answered with 202.
fn only(world: &World, reply: &Reply) -> Batch {
    assert_eq!(reply.status, 202, "{}", reply.text());
    let mut given = world.intake.take();
    assert_eq!(given.len(), 1);
    given.remove(0)
}

fn id<'b>(batch: &'b Batch, record: &Record) -> Option<&'b str> {
    record.id.map(|id| batch.text(id))
}

/// Id, type and data of each record.
fn told(batch: &Batch) -> Vec<(Option<&str>, &str, &str)> {
    batch
        .records
        .iter()
        .map(|record| (id(batch, record), batch.kind(record), batch.text(record.data)))
        .collect()
}

#[tokio::test]
async fn every_form_of_a_batch_gives_the_same_records() {
    let world = world();
    let records =
        [r#"{"id":"a","type":"tile.served","bytes":1}"#, r#"{ "id" : 7, "bytes": [1, {"id":"in"}] }"#];
    let wanted = [(Some("a"), "tile.served", records[0]), (Some("7"), "record", records[1])];
    for (kind, body) in [
        ("application/json", format!("{{\"records\":[{}]}}", records.join(","))),
        ("application/json; charset=utf-8", format!(" {{ \"records\" : [ {} ] }} ", records.join(" , "))),
        ("application/json", format!("[{}]", records.join(",\n"))),
        ("application/x-ndjson", format!("{}\n{}\n\n", records[0], records[1])),
        ("application/jsonl", records.join("\r\n")),
    ] {
        let reply = ingest(&world, kind, body.clone()).await;
        let batch = only(&world, &reply);
        assert_eq!(told(&batch), wanted, "{kind}: {body}");
        assert_eq!(reply.json()["accepted"], 2);
        assert_eq!(reply.json()["duplicates"], 0);
        assert!(reply.json()["batch_id"].as_str().unwrap().starts_with("bat_"));
        assert_eq!(&*batch.source, format!("urn:tollgate:{CONSUMER}"));
        assert_eq!(
            (batch.sender.tenant, batch.sender.project, batch.sender.consumer),
            (TENANT, PROJECT, CONSUMER)
        );
    }
    let reply = ingest(&world, "application/json", records[0]).await;
    assert_eq!(told(&only(&world, &reply)), [wanted[0]]);
    let reply = ingest(&world, "application/json", r#"{"records":[]}"#).await;
    assert_eq!(reply.json()["accepted"], 0);
}

#[tokio::test]
async fn a_record_says_its_time_and_version_and_escapes_are_undone() {
    let world = world();
    let body = r#"{"id":"caf\u00e9","type":"a\/b","time":"2026-01-31T12:00:00+01:00","version":3}"#;
    let reply = ingest(&world, "application/json", body).await;
    let batch = only(&world, &reply);
    let record = &batch.records[0];
    assert_eq!((id(&batch, record), batch.kind(record)), (Some("café"), "a/b"));
    assert_eq!(record.time_us, Some(1_769_857_200_000_000));
    assert_eq!(record.version.map(|version| batch.text(version)), Some("3"));
    assert_eq!(batch.text(record.data), body);
}

#[tokio::test]
async fn cloud_events_come_alone_in_batches_and_in_binary_mode() {
    let world = world();
    let event = json!({
        "specversion": "1.0", "type": "request", "id": "00001", "source": "service-0", "subject": "customer-1",
        "time": "2026-01-31T12:00:00Z", "data": {"method": "GET"}, "sampled": true, "traceparent": "00-1"
    });
    for (kind, body) in [
        ("application/cloudevents+json", event.to_string()),
        ("application/cloudevents-batch+json; charset=UTF-8", format!("[{event}]")),
    ] {
        let reply = ingest(&world, kind, body).await;
        let batch = only(&world, &reply);
        let record = &batch.records[0];
        assert_eq!(told(&batch), [(Some("00001"), "request", r#"{"method":"GET"}"#)]);
        assert_eq!(batch.source_of(record), "service-0");
        let mut attributes: Vec<_> = batch.attributes_of(record).collect();
        attributes.sort_unstable();
        assert_eq!(attributes, [("sampled", "true"), ("subject", "customer-1"), ("traceparent", "00-1")]);
    }
    let key = world.key("standard");
    let call = Call::new("POST", "/api/v1/ingest")
        .bearer(&key)
        .header("ce-specversion", "1.0")
        .header("ce-type", "image")
        .header("ce-source", "/camera%20one")
        .header("ce-id", "9")
        .header("content-type", "image/png");
    let refused = world.send(call.body(vec![0xFF, 0xD8])).await;
    assert_refused(&refused, 422, "record_invalid");
    let call = Call::new("POST", "/api/v1/ingest")
        .bearer(&key)
        .header("ce-specversion", "1.0")
        .header("ce-type", "image")
        .header("ce-source", "/camera")
        .header("ce-id", "9")
        .header("ce-subject", "Z%C3%BCrich")
        .header("content-type", "image/png");
    let reply = world.send(call.body(vec![0xFF, 0xD8])).await;
    let batch = only(&world, &reply);
    let record = &batch.records[0];
    assert_eq!(batch.bytes(record.data), [0xFF, 0xD8]);
    assert!(matches!(record.content, Content::Other(kind) if batch.text(kind) == "image/png"));
    assert_eq!(batch.attributes_of(record).collect::<Vec<_>>(), [("subject", "Zürich")]);
}

#[tokio::test]
async fn data_of_another_media_type_is_undone_from_base64() {
    let world = world();
    let event = json!({"specversion": "1.0", "type": "t", "id": "1", "source": "s", "data_base64": "/9g="});
    let reply = ingest(&world, "application/cloudevents+json", event.to_string()).await;
    let batch = only(&world, &reply);
    assert_eq!(batch.bytes(batch.records[0].data), [0xFF, 0xD8]);
}

#[tokio::test]
async fn compressed_bodies_are_taken_and_bombs_are_not() {
    let world = world();
    let body = br#"[{"id":"1"},{"id":"2"}]"#;
    let gzip = |body: &[u8]| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(body).unwrap();
        encoder.finish().unwrap()
    };
    let zstd = |body: &[u8]| zstd::bulk::compress(body, 3).unwrap();
    let key = world.key("standard");
    let send = |coding: &str, body: Vec<u8>| {
        let call = Call::new("POST", "/api/v1/ingest").bearer(&key).header("content-encoding", coding);
        world.send(call.header("content-type", "application/json").body(body))
    };
    for (coding, packed) in [("gzip", gzip(body)), ("zstd", zstd(body)), ("identity", body.to_vec())] {
        let reply = send(coding, packed.clone()).await;
        assert_eq!(only(&world, &reply).records.len(), 2, "{coding}");
        if coding != "identity" {
            let cut = packed[..packed.len() - 5].to_vec();
            assert_refused(&send(coding, cut).await, 400, "malformed_request");
            assert_refused(&send(coding, body.to_vec()).await, 400, "malformed_request");
        }
    }
    // 1 MiB of blanks is a kilobyte of gzip; the bound of the service is 64 KiB.
    let bomb = vec![b' '; 1 << 20];
    assert_refused(&send("gzip", gzip(&bomb)).await, 413, "body_too_large");
    assert_refused(&send("zstd", zstd(&bomb)).await, 413, "body_too_large");
    assert_refused(&send("identity", bomb).await, 413, "body_too_large");
    assert_refused(&send("br", body.to_vec()).await, 415, "unsupported_content");
    assert!(world.intake.take().is_empty());
}

#[tokio::test]
async fn a_bad_record_is_named_and_nothing_is_kept() {
    let world = world();
    let long = format!("[{{}},{{\"a\":\"{}\"}}]", "x".repeat(2000));
    for (index, body) in [
        (1, r#"[{"id":"1"},{"id":true}]"#),
        (1, r#"[{"id":"1"},5]"#),
        (0, r#"[{"id":"1","id":"2"}]"#),
        (0, r#"[{"time":"yesterday"}]"#),
        (0, r#"[{"type":"a b"}]"#),
        (0, r#"[{"id":""}]"#),
        (1, r#"{"records":[{},{"a":01}]}"#),
        (0, r#""text""#),
        (1, &long),
    ] {
        let reply = ingest(&world, "application/json", body.to_owned()).await;
        assert_refused(&reply, 422, "record_invalid");
        assert_eq!(reply.json()["errors"][0]["index"], index, "{body}: {}", reply.text());
        assert!(!reply.json()["errors"][0]["reason"].as_str().unwrap().is_empty());
    }
    let reply = ingest(&world, "application/x-ndjson", "{}\n{}\n{\"a\":}\n").await;
    assert_eq!(reply.json()["errors"][0]["index"], 2);
    for more in [json!({"tenantid": "mine"}), json!({"source": "urn:tollgate:usage:svc_0000008M0kX"})] {
        let mut event = json!({"specversion": "1.0", "type": "t", "id": "1", "source": "s"});
        event.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let reply = ingest(&world, "application/cloudevents+json", event.to_string()).await;
        assert_refused(&reply, 422, "record_invalid");
    }
    assert!(world.intake.take().is_empty());
}

#[tokio::test]
async fn what_is_no_batch_is_refused_as_a_whole() {
    let world = world();
    for body in [
        r#"{"records":[{}],"more":1}"#,
        r#"{"source":"x","records":[{}]}"#,
        r#"[{},{}"#,
        r#"[{}] []"#,
        r#"[{},]"#.trim_end_matches(",]"),
    ] {
        let reply = ingest(&world, "application/json", body.to_owned()).await;
        assert_refused(&reply, 400, "malformed_request");
    }
    let reply = ingest(&world, "application/json", "[{},{},{},{},{},{}]").await;
    assert_refused(&reply, 413, "body_too_large");
    for kind in ["text/plain", "application/x-www-form-urlencoded", "application/json; charset=latin1"] {
        assert_refused(&ingest(&world, kind, "{}").await, 415, "unsupported_content");
    }
    assert_refused(&post(&world, "/api/v1/ingest/more", "application/json", "{}").await, 404, "no_service");
    assert_refused(
        &ingest(&world, "application/json", &b"{\"a\":\"\xff\"}"[..]).await,
        400,
        "malformed_request",
    );
    assert!(world.intake.take().is_empty());
}

#[tokio::test]
async fn registered_types_are_held_against_their_schema() {
    let world = world();
    let strict = |body: &'static str| post(&world, "/strict", "application/json", body);
    let reply = strict(r#"[{"version":1,"amount":1.5},{"amount":2}]"#).await;
    let batch = only(&world, &reply);
    assert_eq!(&*batch.source, "/spark/orders");
    assert_eq!(batch.kind(&batch.records[0]), "order.placed");
    for (body, index, path) in [
        (r#"[{"amount":2},{"amount":1.5}]"#, 1, "/amount"),
        (r#"[{"version":1}]"#, 0, ""),
        (r#"[{"version":3,"amount":1}]"#, 0, ""),
        (r#"[{"type":"unknown","amount":1}]"#, 0, ""),
    ] {
        let reply = strict(body).await;
        assert_refused(&reply, 422, "record_invalid");
        let error = reply.json()["errors"][0].clone();
        assert_eq!(
            (error["index"].as_u64(), error["path"].as_str()),
            (Some(index), Some(path)),
            "{body}: {error}"
        );
    }
    // The pattern would take years in an engine that backtracks.
    let hostile = format!(r#"[{{"tag":"{}!"}}]"#, "a".repeat(60));
    let key = world.key("standard");
    let reply = world.send(Call::new("POST", "/strict").bearer(&key).body(hostile)).await;
    assert_eq!(reply.json()["errors"][0]["path"], "/tag");
    // Where schemas are not required, other types pass, and a registered one is still held against its own.
    let reply = ingest(&world, "application/json", r#"{"type":"unknown"}"#).await;
    assert_eq!(only(&world, &reply).records.len(), 1);
    let reply = ingest(&world, "application/json", r#"{"type":"order.placed","amount":0}"#).await;
    assert_refused(&reply, 422, "record_invalid");
}

#[tokio::test]
async fn what_the_intake_says_is_what_the_client_hears() {
    let world = world();
    let key = world.key("standard");
    let send = || {
        let call = Call::new("POST", "/api/v1/ingest").bearer(&key).header("idempotency-key", "\"job-1\"");
        world.send(call.header("content-type", "application/json").body("{}"))
    };
    for (refusal, status, code, retry) in [
        (NotTaken::Overloaded { why: "the disk is low", retry_after_s: 7 }, 503, "overloaded", Some("7")),
        (NotTaken::NameConflict, 422, "idempotency_conflict", None),
        (NotTaken::UnderWay, 409, "idempotency_in_progress", Some("1")),
        (NotTaken::Unavailable, 503, "overloaded", Some("1")),
    ] {
        world.intake.refuse(Some(refusal));
        let reply = send().await;
        assert_refused(&reply, status, code);
        assert_eq!(reply.header("retry-after"), retry);
    }
    world.intake.refuse(None);
    world.intake.replay();
    world.intake.take();
    let reply = send().await;
    assert_eq!(reply.header("idempotent-replayed"), Some("true"));
    let first = only(&world, &reply).name.unwrap();
    assert_eq!(first, only(&world, &send().await).name.unwrap());
    let call = Call::new("POST", "/api/v1/ingest").bearer(&key).header("idempotency-key", "job-1");
    let other = only(&world, &world.send(call.body("{ }")).await).name.unwrap();
    assert_eq!((first.name == other.name, first.request == other.request), (true, false));
    let call = Call::new("POST", "/api/v1/ingest").bearer(&key).header("idempotency-key", "");
    assert_refused(&world.send(call.body("{}")).await, 400, "malformed_request");
}

#[tokio::test]
async fn more_than_the_memory_of_the_process_is_refused_before_it_is_read() {
    let mut plan = Plan::new(EVENTS);
    plan.options.ingest_bytes_max = 64 << 10;
    let world = plan.start();
    let body = format!("[{{\"a\":\"{}\"}}]", "x".repeat(1500));
    assert_eq!(ingest(&world, "application/json", body).await.status, 202);
    let mut plan = Plan::new(EVENTS);
    plan.options.ingest_bytes_max = 1000;
    let world = plan.start();
    let reply = ingest(&world, "application/json", "{}").await;
    assert_refused(&reply, 503, "overloaded");
    assert_eq!(reply.header("retry-after"), Some("1"));
}
