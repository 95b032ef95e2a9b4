//! The schemas of what resources say, held to the types that read them.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use tollgate_core::resource::Resources;

/// Everything a document may hold, every field said.
fn everything() -> Value {
    let mut document = json!({
        "tenant": [{"name": "acme"}],
        "project": [{"tenant": "acme", "name": "maps", "key_prefix": "mbk"}],
        "consumer": [{"project": "maps", "name": "app", "kind": "host", "external_id": "p-17", "metadata": {"a": "b"}}],
        "service": [{
            "project": "maps", "name": "tiles", "kind": "llm", "provider": "openai", "credential": {"secret": "openai"},
            "fallback": [{"upstreams": ["http://127.0.0.1:9001"], "model": "m", "provider": "gemini",
                          "credential": {"env": "KEY"}}],
            "match": {"host": "maps.example.com", "path_prefix": "/tiles", "methods": ["GET"]},
            "upstreams": ["http://127.0.0.1:9000"], "strip_prefix": true,
            "rewrite": {"from": "/v1/**", "to": "/{1}"},
            "request_headers": {"add": {"x-a": "b"}, "remove": ["x-c"]},
            "response_headers": {"add": {"x-a": "b"}, "remove": ["x-c"]},
            "credentials": ["x-goog-api-key"], "environment": "test", "endpoint_scopes": {"POST /x": ["refund"]},
            "public": true, "websocket": true, "assertion": true, "body_bytes_max": 5,
            "timeouts": {"connect": "1s", "response": "2s", "idle": "3s"}, "retries": 2,
            "health": {"path": "/up", "interval": "5s", "timeout": "2s", "unhealthy_after": 3, "healthy_after": 2},
            "tls": {"ca_file": "ca.pem", "server_name": "a.example"},
            "cors": {"origins": ["*"], "methods": ["GET"], "headers": ["x-a"], "expose": ["x-b"],
                     "credentials": false, "max_age": "10m"},
            "headers": "both", "internet_only": true, "by_tenant": true,
        }],
        "policy": [{
            "project": "maps", "name": "standard", "services": ["tiles"], "scopes": ["read"],
            "endpoints": ["GET /**"], "allow_ips": ["10.0.0.0/8"], "allow_referers": ["https://a/*"],
            "allow_origins": ["https://a"], "allow_user_agents": ["A/*"], "allow_apps": ["ios:a"], "models": ["gpt-*"],
            "max_concurrency": 3,
            "limit": [{"name": "l", "unit": "tokens", "amount": 5, "window": "1m", "burst": 2, "per": "ip", "mode": "shared",
                       "security": true}],
            "quota": [{"name": "q", "unit": "units", "amount": 5, "period": "week", "time_zone": "Europe/Berlin", "per": "project"}],
        }],
    });
    document["service"][0]["ingest"] = json!({
        "source": "/spark", "default_type": "t", "schemas": "required", "records_max": 5, "record_bytes_max": 5,
    });
    document["service"][0]["metrics"] =
        json!({"measurement": "m", "numbers": "written", "hosts": "said", "points_max": 5});
    document["service"][0]["signature"] = json!({
        "scheme": "hmac", "secret": {"secret": "hook"}, "also": [{"env": "OLD"}], "header": "X-Sign",
        "prefix": "sha256=", "encoding": "base64", "tolerance": "1m", "mode": "instead", "key": {"secret": "key"},
    });
    document["price"] = json!([{
        "tenant": "acme", "provider": "openai", "model": "gpt-*", "service_tier": "priority", "currency": "USD",
        "effective_from": "2026-01-01T00:00:00Z", "input": "1", "cached_input": "1", "cached_audio": "1",
        "cache_write": "1", "cache_write_1h": "1", "input_audio": "1", "input_image": "1", "output": "1",
        "reasoning": "1", "output_audio": "1", "output_image": "1", "per_request": "1", "per_search": "1",
        "input_tokens_max": 5, "output_tokens_max": 5,
        "tier": [{"above": 5, "input": "1", "cached_input": "1", "cached_audio": "1", "cache_write": "1",
                  "cache_write_1h": "1", "input_audio": "1", "input_image": "1", "output": "1",
                  "reasoning": "1", "output_audio": "1", "output_image": "1"}],
    }]);
    document["budget"] = json!([{
        "tenant": "acme", "project": "maps", "consumer": "app", "key": "key_00000000001", "currency": "USD",
        "amount": "5", "period": "once", "time_zone": "Europe/Berlin",
        "refill": {"amount": "1", "every": "day", "up_to": "2"}, "thresholds": [50], "mode": "observe",
    }]);
    document["webhook"] = json!([{
        "tenant": "acme", "project": "maps", "url": "https://example.com/a", "events": ["*"], "enabled": false,
        "description": "a",
    }]);
    document["rule"] = json!([{
        "project": "maps", "name": "flood", "mode": "observe",
        "when": {"metric": "cost", "service": "tiles", "code": "valid", "per": "consumer", "above": "1.50",
                 "currency": "EUR", "window": "1h", "at_least": 5},
        "then": {"action": "block", "service": "tiles", "until": "30m", "time_zone": "Europe/Berlin"},
    }]);
    document["meter"] = json!([{
        "project": "maps", "name": "served", "event_type": "tile.served", "value": "$.bytes", "aggregate": "sum",
        "group_by": ["$.zoom"], "groups_max": 50,
    }]);
    document["model"] = json!([{
        "project": "maps", "name": "fraud", "version": "3", "file": "/srv/fraud.onnx",
        "remote": {"protocol": "tf-serving", "url": "http://127.0.0.1:8501", "internet_only": true, "by_tenant": true, "model": "m",
                   "version": "7"},
        "aliases": ["stable"], "sample": {"inputs": "[[1]]", "shapes": {"y": [1, 2]}},
        "batch": {"window": "2ms", "rows_max": 64}, "concurrency_max": 8, "timeout": "2s", "record_inputs": true,
        "input": [{"name": "x", "datatype": "FP32", "shape": [-1, 4]}],
    }]);
    document
}

/// The schema that a schema refers to, or itself.
fn resolved<'a>(schemas: &'a Value, schema: &'a Value) -> &'a Value {
    let of = |schema: &'a Value| schema.get("$ref").and_then(Value::as_str);
    let target = of(schema).or_else(|| schema["oneOf"].as_array()?.iter().find_map(of));
    match target {
        Some(target) => &schemas[target.rsplit('/').next().unwrap()],
        None => schema,
    }
}

/// Every field that is there is described, and every field that is described is there.
fn compare(schemas: &Value, schema: &Value, value: &Value, at: &str) {
    let schema = resolved(schemas, schema);
    match value {
        Value::Object(fields) if schema.get("properties").is_some() => {
            let described = schema["properties"].as_object().unwrap();
            let (a, b): (BTreeSet<_>, BTreeSet<_>) = (fields.keys().collect(), described.keys().collect());
            assert_eq!(a, b, "{at}");
            for (name, value) in fields {
                compare(schemas, &described[name], value, &format!("{at}.{name}"));
            }
        }
        Value::Array(items) => {
            items.iter().for_each(|item| compare(schemas, &schema["items"], item, &format!("{at}[]")));
        }
        Value::String(word) => {
            if let Some(words) = schema["enum"].as_array() {
                assert!(words.iter().any(|known| known == word), "{at}: {word}");
            }
        }
        _ => {}
    }
}

#[test]
fn resources_are_described_as_they_are_read() {
    let schemas = serde_json::to_value(tollgate_wire::admin::schemas()).unwrap();
    let written = everything();
    compare(&schemas, &schemas["Resources"], &written, "document");
    let read: Resources = serde_json::from_value(written.clone()).unwrap();
    // What is written back has every field, so that the document above left none out.
    compare(&schemas, &schemas["Resources"], &serde_json::to_value(&read).unwrap(), "written back");
}

#[test]
fn every_word_of_a_choice_is_read() {
    let schemas = serde_json::to_value(tollgate_wire::admin::schemas()).unwrap();
    for (kind, list) in [
        ("ServiceSpec", "service"),
        ("PolicySpec", "policy"),
        ("ConsumerSpec", "consumer"),
        ("PriceSpec", "price"),
        ("BudgetSpec", "budget"),
    ] {
        for (field, schema) in schemas[kind]["properties"].as_object().unwrap() {
            for word in schema["enum"].as_array().into_iter().flatten() {
                let mut document = everything();
                document[list][0][field] = word.clone();
                let read: Result<Resources, _> = serde_json::from_value(document);
                assert!(read.is_ok(), "{kind}.{field} {word}: {read:?}");
            }
        }
    }
}

#[test]
fn requests_refuse_fields_they_do_not_know() {
    let schemas = serde_json::to_value(tollgate_wire::admin::schemas()).unwrap();
    let requests = [
        "NewKey",
        "NewKeys",
        "KeyChange",
        "Rotate",
        "NewProject",
        "ProjectChange",
        "NewServiceToken",
        "KeySelection",
        "MemberChange",
        "MemberConsumers",
        "NewInvitation",
        "NewFunding",
        "NewSecret",
        "Resources",
    ];
    for name in requests {
        assert_eq!(schemas[name]["additionalProperties"], false, "{name}");
    }
}
