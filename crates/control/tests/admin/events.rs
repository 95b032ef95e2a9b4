//! Events and usage over the API.

use serde_json::json;
use tollgate_core::{code::Code, id::DecisionId};
use tollgate_store::{Batch, Entry, Flags, StoredRecord};

use super::world::{NOW, Person, SECOND, World};
use crate::people::Pages;

/// What the table of methods says must be what the gateway counts by.
const GET: u8 = 1;

struct Ids {
    key: u64,
    consumer: u64,
    project: u64,
    tenant: u64,
    service: u64,
    policy: u64,
}

async fn number(world: &World, text: &str) -> u64 {
    world.numbers(text).await[0].unsigned_abs()
}

/// Records of a key of `app`, every fifth of them denied for its address.
async fn ship(world: &World, person: &Person, count: u64) -> String {
    ship_with(world, person, count, |_| {}).await
}

/// The same, with something done to each.
async fn ship_with(world: &World, person: &Person, count: u64, with: impl Fn(&mut StoredRecord)) -> String {
    let key = person.key("app").await;
    let ids = Ids {
        key: key.parse::<tollgate_core::id::KeyId>().unwrap().0,
        consumer: number(
            world,
            "SELECT c.id FROM consumers c JOIN projects p ON p.id = c.project \
             JOIN tenants t ON t.id = p.tenant WHERE c.name = 'app' AND t.name = 'acme'",
        )
        .await,
        project: number(
            world,
            "SELECT p.id FROM projects p JOIN tenants t ON t.id = p.tenant WHERE t.name = 'acme'",
        )
        .await,
        tenant: world.acme.0,
        service: number(world, "SELECT id FROM services WHERE name = 'tiles'").await,
        policy: number(world, "SELECT id FROM policies WHERE name = 'open'").await,
    };
    let mut records: Vec<StoredRecord> = (0..count).map(|position| record(position, &ids)).collect();
    records.iter_mut().for_each(with);
    let batch = Batch { boot: 0xABCD, lane: 0, from: 0, to: count, lost: 0, records };
    world.store.ship(0, &[batch], true).await.unwrap();
    key
}

fn record(position: u64, ids: &Ids) -> StoredRecord {
    let denied = position.is_multiple_of(5);
    let network = tollgate_core::admit::Check::Network as u32;
    StoredRecord {
        position,
        decision: position,
        entry: Entry {
            at_us: NOW - 3600 * SECOND + position as i64 * SECOND,
            key: ids.key,
            consumer: ids.consumer,
            project: ids.project,
            tenant: ids.tenant,
            service: ids.service,
            policy: ids.policy,
            code: if denied { Code::IpNotAllowed.number() } else { Code::Valid.number() },
            method: GET,
            status: if denied { 403 } else { 200 },
            latency_us: 1500,
            upstream_us: 900,
            bytes_in: 10,
            bytes_out: 200,
            units: 1,
            generation: 0,
            flags: Flags::RETRIED,
            checks_passed: if denied { (1 << network) - 1 } else { u32::MAX },
            checks_configured: u32::MAX,
            address: std::net::Ipv4Addr::new(192, 0, 2, 7).to_ipv6_mapped().octets(),
        },
        path: format!("/tiles/{position}"),
        detail: if denied { "192.0.2.7 is not in 10.0.0.0/8".into() } else { String::new() },
        user_agent: "curl/8".into(),
        ..StoredRecord::default()
    }
}

pub(crate) async fn events_are_filtered_paged_and_explained(mut world: World) {
    let admin = world.person("admin").await;
    let key = ship(&world, &admin, 50).await;
    let count = |query: String| {
        let admin = admin.clone();
        async move {
            let reply = admin.get(&format!("/events/count?{query}")).await;
            assert_eq!(reply.status, 200, "{query}: {}", reply.text());
            reply.json()["count"].as_u64().unwrap()
        }
    };
    assert_eq!(count(String::new()).await, 50);
    assert_eq!(count(format!("key_id={key}&code=ip_not_allowed")).await, 10);
    assert_eq!(count("consumer=maps/app&service=tiles&from=2h".into()).await, 50);
    assert_eq!(count("consumer=web".into()).await, 0);
    assert_eq!(count("to=2h".into()).await, 0);
    assert_eq!(count("from=2026-01-01T00:00:00Z".into()).await, 0);
    let first = admin.get("/events?limit=30&code=valid").await.json();
    assert_eq!(first["items"].as_array().unwrap().len(), 30);
    let next = first["next"].as_str().unwrap();
    let rest = admin.get(&format!("/events?limit=30&code=valid&cursor={next}")).await.json();
    assert_eq!((rest["items"].as_array().unwrap().len(), &rest["next"]), (10, &json!(null)));

    let denied =
        admin.get("/events?code=ip_not_allowed&order=oldest&limit=1").await.json()["items"][0].clone();
    assert_eq!((denied["method"].as_str(), denied["path"].as_str()), (Some("GET"), Some("/tiles/0")));
    assert_eq!((&denied["marks"], denied["latency_ms"].as_f64()), (&json!(["retried"]), Some(1.5)));
    let path = format!("/events/{}", denied["decision_id"].as_str().unwrap());
    let shown = admin.get(&path).await.json();
    let failed: Vec<_> =
        shown["trace"].as_array().unwrap().iter().filter(|step| step["outcome"] == "failed").collect();
    assert_eq!(failed.len(), 1, "{shown}");
    assert_eq!(failed[0]["detail"], "192.0.2.7 is not in 10.0.0.0/8");
    let stranger = world.member("other", "owner", &[]).await;
    assert_eq!(stranger.get(&path).await.status, 404);
    assert_eq!(stranger.get("/events").await.json()["items"], json!([]));
    assert_eq!(stranger.get(&format!("/events?key_id={key}")).await.status, 404);
    let unknown = DecisionId { boot: 1, lane: 2, number: 3 };
    assert_eq!(admin.get(&format!("/events/{unknown}")).await.status, 404);
}

pub(crate) async fn usage_is_summed_as_json_and_csv(mut world: World) {
    let admin = world.person("admin").await;
    let key = ship(&world, &admin, 50).await;
    let usage = admin.get("/usage?by=key,code&from=1d").await.json();
    assert_eq!(usage["total"]["requests"], 50);
    assert_eq!(usage["rows"].as_array().unwrap().len(), 2);
    assert_eq!(usage["rows"][0]["group"], json!({"key": key, "code": "valid"}));
    assert_eq!((&usage["rows"][1]["requests"], &usage["rows"][1]["denied"]), (&json!(10), &json!(10)));
    assert_eq!(admin.get("/usage?wait=true").await.json()["complete"], true, "no node is behind");
    let csv = admin.get("/usage?by=consumer,day&format=csv").await;
    assert_eq!(csv.header("content-type"), Some("text/csv; charset=utf-8"));
    let lines: Vec<String> = csv.text().lines().map(str::to_owned).collect();
    assert_eq!(
        lines[0],
        "consumer,day,requests,denied,units,bytes_in,bytes_out,latency_ms_mean,upstream_ms_mean,tokens_in,tokens_out,cost,currency"
    );
    assert_eq!(lines[1], "app,2025-12-31,50,10,50,500,10000,1.5,0.9,0,0,0,");
    let refused = admin.get("/usage?by=key,colour").await;
    assert_eq!(refused.json()["errors"][0]["field"], "by");
    let stranger = world.member("other", "owner", &[]).await;
    assert_eq!(stranger.get("/usage").await.json()["total"]["requests"], 0);
}

pub(crate) async fn usage_by_model_says_nothing_of_what_has_no_sums(mut world: World) {
    let admin = world.person("admin").await;
    let of_model = |record: &mut StoredRecord| {
        if record.position < 20 {
            record.model = "gpt-5".into();
            record.tokens.input = 10;
        }
    };
    ship_with(&world, &admin, 50, of_model).await;
    let usage = admin.get("/usage?by=model&from=1d").await.json();
    let row = |index: usize| {
        let row = &usage["rows"][index];
        let sums = ["requests", "tokens_in", "units", "bytes_in", "bytes_out", "latency_ms_mean"];
        (row["group"]["model"].clone(), sums.map(|name| row[name].clone()))
    };
    let (none, of) = (json!(null), |number: u64| json!(number));
    let unknown =
        |requests, tokens| [of(requests), of(tokens), none.clone(), none.clone(), none.clone(), none.clone()];
    assert_eq!(row(0), (json!("gpt-5"), unknown(20, 200)));
    assert_eq!(row(1), (none.clone(), unknown(30, 0)), "what is left of bytes is not that of those without");
    assert_eq!((&usage["total"]["bytes_in"], &usage["total"]["units"]), (&of(500), &of(50)));
    let csv = admin.get("/usage?by=model&format=csv").await.text();
    assert_eq!(csv.lines().nth(1), Some("gpt-5,20,4,,,,,,200,0,0,"), "{csv}");
    let mut pages = Pages::with(world.address, admin.headers());
    let page = pages.get("/usage?by=model&range=6h").await;
    page.is(200)
        .has("<td>gpt-5<span")
        .has("200 tokens in, 0 out")
        .has("Tokens in")
        .has("asked no model")
        .lacks("Mean time");
    pages.get("/usage?range=6h").await.has("by=model").has("Mean time").lacks("gpt-5");
}

pub(crate) async fn a_developer_sees_what_own_consumers_did(mut world: World) {
    let admin = world.person("admin").await;
    let key = ship(&world, &admin, 10).await;
    let (own, foreign) = (world.developer(&["app"]).await, world.developer(&["web"]).await);
    assert_eq!(own.get("/events").await.json()["items"].as_array().unwrap().len(), 10);
    assert_eq!(own.get("/usage").await.json()["total"]["requests"], 10);
    let event =
        own.get("/events?limit=1").await.json()["items"][0]["decision_id"].as_str().unwrap().to_owned();
    assert_eq!(own.get(&format!("/events/{event}")).await.status, 200);
    for path in ["/events".to_owned(), format!("/events?key_id={key}")] {
        assert_eq!(foreign.get(&path).await.json()["items"], json!([]), "{path}");
    }
    assert_eq!(foreign.get("/usage").await.json()["total"]["requests"], 0);
    assert_eq!(foreign.get(&format!("/events/{event}")).await.status, 404);
    let both = world.developer(&["app", "web"]).await;
    assert_eq!(
        both.get("/events").await.json()["errors"][0]["field"],
        "consumer",
        "which of both is to be said"
    );
    assert_eq!(both.get("/events?consumer=app").await.json()["items"].as_array().unwrap().len(), 10);
}

pub(crate) async fn names_of_others_cannot_be_tried(mut world: World) {
    let admin = world.person("admin").await;
    admin.create("/projects", json!({"name": "plans"})).await;
    for (role, places) in [("member", &["usage"][..]), ("developer", &["usage", "events"])] {
        let person = world.member("acme", role, &["web"]).await;
        let project = if role == "member" { "keys?project=" } else { "consumers?project=" };
        let places = places.iter().map(|place| format!("{place}?consumer="));
        for place in places.chain([project.to_owned(), "usage?project=".to_owned()]) {
            let taken = if place.ends_with("consumer=") { "app" } else { "plans" };
            let answer = async |name: &str| {
                let reply = person.get(&format!("/{place}{name}")).await;
                (reply.status.as_u16(), reply.json()["detail"].as_str().unwrap().replace(name, "…"))
            };
            let (theirs, nobodys) = (answer(taken).await, answer("nowhere").await);
            assert_eq!((theirs.0, &theirs), (404, &nobodys), "{role} {place}");
        }
        for field in ["consumer", "policy"] {
            let taken = if field == "consumer" { "app" } else { "standard" };
            for name in [taken, "nowhere"] {
                let listed = person.get(&format!("/keys?project=maps&{field}={name}")).await;
                assert_eq!(listed.json()["items"], json!([]), "{role} {field} {name}");
            }
        }
        assert_eq!(person.get("/usage?consumer=web&project=maps").await.status, 200);
    }
}

pub(crate) async fn a_developer_sees_no_counts_of_others(mut world: World) {
    let admin = world.person("admin").await;
    ship(&world, &admin, 3600).await;
    admin.key("web").await;
    let (own, foreign) = (world.developer(&["app"]).await, world.developer(&["web"]).await);
    for path in ["/services", "/usage?range=6h", "/"] {
        let mut mine = Pages::with(world.address, own.headers());
        let mut others = Pages::with(world.address, foreign.headers());
        mine.get(path).await.is(200).lacks("no request in 10 minutes");
        let page = others.get(path).await;
        page.is(200).lacks("3,600").lacks("answers");
    }
    Pages::with(world.address, foreign.headers()).get("/services").await.has("no request in 10 minutes");
    Pages::with(world.address, own.headers()).get("/services").await.has("answers");
}
