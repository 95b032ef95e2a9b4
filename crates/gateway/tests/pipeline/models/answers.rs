//! Every recorded answer passes as it came, and is accounted for by the right numbers.

use tollgate_gateway::llm::{
    api::{Api, Framing},
    usage::UsageReader,
};
use tollgate_journal::Flags;
use tollgate_testkit::http::Call;

use super::{CREDENTIAL, Models, SERVICES, chat, chat_answer, chat_events, provider::Reaction};
use crate::llm::answers::{ANSWERS, kind};

/// The request that has such an answer.
fn request(api: Api, framing: Framing, is_array: bool) -> Call {
    let streams = framing == Framing::EventStream;
    let stream = if streams { r#","stream":true"# } else { "" };
    let asks = if streams { r#","stream":true,"stream_options":{"include_usage":true}"# } else { "" };
    let (target, body) = match api {
        Api::OpenAiChat => ("/v1/chat/completions", format!(r#"{{"model":"m","messages":[]{asks}}}"#)),
        Api::OpenAiResponses => ("/v1/responses", format!(r#"{{"model":"m","input":"Hi"{stream}}}"#)),
        Api::OpenAiEmbeddings => ("/v1/embeddings", r#"{"model":"m","input":"Hi"}"#.to_owned()),
        Api::AnthropicMessages => {
            ("/anthropic/v1/messages", format!(r#"{{"model":"m","max_tokens":100,"messages":[]{stream}}}"#))
        }
        Api::GeminiGenerate if streams => {
            ("/v1beta/models/m:streamGenerateContent?alt=sse", r#"{"contents":[]}"#.to_owned())
        }
        Api::GeminiGenerate if is_array => {
            ("/v1beta/models/m:streamGenerateContent", r#"{"contents":[]}"#.to_owned())
        }
        Api::GeminiGenerate => ("/v1beta/models/m:generateContent", r#"{"contents":[]}"#.to_owned()),
    };
    Call::new("POST", target).header("content-type", "application/json").body(body)
}

#[tokio::test]
async fn pages_may_read_what_a_call_cost() {
    let cors = "name = \"openai\"\n    cors = { origins = [\"https://app.example.com\"] }";
    let models = Models::with(&SERVICES.replacen("name = \"openai\"", cors, 1));
    models.provider.react([Reaction::json(chat_answer(1, 1))]);
    let call = chat("").bearer(&models.world.key("standard")).header("origin", "https://app.example.com");
    let reply = models.world.send(call).await;
    assert!(reply.header("x-tollgate-cost").is_some());
    let exposed = reply.header("access-control-expose-headers").unwrap().to_ascii_lowercase();
    for name in ["cost", "currency", "budget-remaining", "output-limit"] {
        assert!(exposed.contains(&format!("x-tollgate-{name}")), "{exposed}");
    }
}

#[tokio::test]
async fn every_recorded_answer_passes_unchanged_and_is_charged_what_it_says() {
    let models = Models::with_budget("1000000.00");
    let key = models.world.key("standard");
    // Some answers tell of far more than so short a request can be: the lease has that too.
    *models.world.treasury.chunk.lock().unwrap() = 1_000_000_000_000;
    for (count, (name, bytes)) in ANSWERS.iter().enumerate() {
        let (api, framing) = kind(name);
        models.provider.react([match framing {
            Framing::Json => Reaction::json(*bytes),
            Framing::EventStream => Reaction::Stream {
                kind: "text/event-stream",
                // Cut at places that no event knows of.
                pieces: bytes.chunks(97).map(<[u8]>::to_vec).collect(),
                wait_at: None,
                breaks_off: false,
            },
        }]);
        let before = models.world.treasury.books().first().map_or(0, |book| book.spent + book.overrun);
        let call = request(api, framing, name.contains("stream-array"));
        let reply = models.world.send(call.bearer(&key)).await;
        assert_eq!(reply.status, 200, "{name}: {}", reply.text());
        assert!(reply.body == *bytes, "{name} did not pass unchanged");
        let mut reader = UsageReader::new(api, framing);
        reader.feed(bytes);
        let reading = reader.finish();
        let record = models.calls(count + 1).await.pop().unwrap();
        // Nobody said what a search costs, nor the tier `priority`.
        let has_price = reading.service_tier.as_deref() != Some("priority");
        let exact = reading.usage.filter(|usage| has_price && !usage.estimated && usage.searches == 0);
        assert_eq!(record.entry.flags.contains(Flags::ESTIMATED), exact.is_none(), "{name}");
        let book = models.book();
        assert_eq!(book.spent + book.overrun - before, record.cost, "{name}");
        assert!(models.world.treasury.is_settled(), "{name}");
        assert_eq!((record.model.as_str(), &record.currency), ("m", b"USD\0\0\0\0\0"), "{name}");
        let Some(usage) = exact else {
            assert!(record.cost >= models.reservations()[count].draws[0].reserved, "{name}");
            continue;
        };
        let tokens = (record.tokens.input, record.tokens.output, record.tokens.reasoning);
        assert_eq!(tokens, (usage.input, usage.output, usage.reasoning), "{name}");
        if reading.service_tier.is_none() {
            assert_eq!(record.cost, models.cost(api.provider(), &usage).atoms(), "{name}");
        }
    }
}

#[tokio::test]
async fn a_whole_answer_tells_its_cost_and_what_is_left() {
    let models = Models::with_budget("1.00");
    let key = models.world.key("standard");
    models.provider.react([Reaction::json(chat_answer(100, 50))]);
    let reply = models.world.send(chat("").bearer(&key)).await;
    assert_eq!(reply.header("x-tollgate-cost"), Some("0.0002"));
    assert_eq!(reply.header("x-tollgate-currency"), Some("USD"));
    assert_eq!(reply.header("x-tollgate-budget-remaining"), Some("0.9998"));
    assert_eq!(reply.header("x-provider"), Some("yes"), "the provider's own fields pass");
    let record = &models.calls(1).await[0];
    assert_eq!((record.cost, record.tokens.input, record.tokens.output), (200_000, 100, 50));
    let opened = &models.reservations()[0];
    assert_eq!(record.draws[0].reservation, opened.decision);
    assert_eq!((opened.draws[0].reserved, opened.draws[0].used), (record.draws[0].reserved, 0));
    assert!(opened.decision > record.decision, "written after the ticket of the call was taken");
}

/// Another gateway upstream has its own budgets: what it says of them is not what this one charges.
#[tokio::test]
async fn what_an_upstream_says_of_costs_is_not_passed_off_as_ours() {
    const SAID: [&str; 4] =
        ["x-tollgate-cost", "x-tollgate-currency", "x-tollgate-budget-remaining", "x-tollgate-output-limit"];
    let models = Models::start("");
    let key = models.world.key("standard");
    let json = "application/json\r\nx-tollgate-cost: 9\r\nx-tollgate-currency: EUR\r\n\
                x-tollgate-budget-remaining: 1\r\nx-tollgate-output-limit: 3";
    let events = "text/event-stream\r\nx-tollgate-cost: 9\r\nx-tollgate-currency: EUR\r\n\
                  x-tollgate-budget-remaining: 1\r\nx-tollgate-output-limit: 3";
    let pieces = chat_events(100, 50).into_iter().map(String::into_bytes).collect();
    let stream = Reaction::Stream { kind: events, pieces, wait_at: None, breaks_off: false };
    models.provider.react([Reaction::Whole(200, json, chat_answer(100, 50).into()), stream]);
    for stream in [false, true] {
        let body = format!(r#"{{"model":"unpriced","stream":{stream},"messages":[]}}"#);
        let call = Call::new("POST", "/v1/chat/completions").header("content-type", "application/json");
        let reply = models.world.send(call.bearer(&key).body(body)).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        assert_eq!(SAID.map(|name| reply.header(name)), [None; 4], "stream: {stream}");
    }
}

#[tokio::test]
async fn the_usage_of_a_stream_is_asked_for_and_hidden_from_who_did_not_ask() {
    let models = Models::with_budget("1.00");
    let key = models.world.key("standard");
    let events = chat_events(100, 50);
    models.provider.react([Reaction::events(&events), Reaction::events(&events)]);
    let reply = models.world.send(chat(r#","stream":true"#).bearer(&key)).await;
    let without: String = [&events[..3], &events[4..]].concat().concat();
    assert_eq!(reply.text(), without);
    assert!(models.provider.last().body.contains(r#""stream_options":{"include_usage":true}"#));
    let asked = chat(r#","stream":true,"stream_options":{"include_usage":true}"#);
    assert_eq!(models.world.send(asked.bearer(&key)).await.text(), events.concat());
    for record in models.calls(2).await {
        assert_eq!((record.cost, record.entry.flags.contains(Flags::ESTIMATED)), (200_000, false));
    }
    assert_eq!(models.book().spent, 400_000);
}

#[tokio::test]
async fn a_stream_tells_its_cost_in_its_trailers_to_who_takes_them() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let models = Models::with_budget("1.00");
    let key = models.world.key("standard");
    models.provider.react([Reaction::events(&chat_events(100, 50))]);
    let body = r#"{"model":"m","messages":[],"stream":true}"#;
    let request = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\nte: trailers\r\nconnection: close\r\n\
         authorization: Bearer {key}\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut stream = tokio::net::TcpStream::connect(models.world.address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    let trailers = text.rsplit_once("\r\n0\r\n").unwrap().1;
    assert!(trailers.contains("x-tollgate-cost: 0.0002\r\n"), "{text}");
    assert!(text.contains("x-tollgate-budget-remaining: "), "{text}");
}

#[tokio::test]
async fn the_clients_key_stays_here_and_the_providers_credential_goes_up() {
    let models = Models::start("");
    let key = models.world.key("standard");
    let anthropic = r#"{"model":"m","max_tokens":5,"messages":[]}"#;
    let gemini = r#"{"contents":[]}"#;
    let generate = "/v1beta/models/m:generateContent";
    let json = |target: &str, body: &str| Call::new("POST", target).body(body.to_owned());
    models.provider.otherwise(|_| Reaction::error(400));
    for (call, field, value) in [
        (chat("").bearer(&key), "authorization", format!("Bearer {CREDENTIAL}")),
        (
            json("/anthropic/v1/messages", anthropic).header("x-api-key", &key),
            "x-api-key",
            CREDENTIAL.to_owned(),
        ),
        (json(generate, gemini).header("x-goog-api-key", &key), "x-goog-api-key", CREDENTIAL.to_owned()),
        (json(&format!("{generate}?key={key}&a=b"), gemini), "x-goog-api-key", CREDENTIAL.to_owned()),
        (
            Call::get("/v1/files").bearer(&key).header("openai-organization", "of-the-client"),
            "authorization",
            format!("Bearer {CREDENTIAL}"),
        ),
    ] {
        assert_eq!(models.world.send(call).await.status, 400);
        let seen = models.provider.last();
        assert_eq!(seen.field(field), Some(&*value), "{}", seen.line);
        let everything = format!("{}\n{}\n{}", seen.line, seen.head, seen.body);
        assert!(!everything.contains(&key), "the client's key went up: {}", seen.line);
        assert_eq!(everything.matches(CREDENTIAL).count(), 1);
        assert_eq!(seen.field("openai-organization"), None);
    }
    assert!(models.provider.seen()[3].line.contains("generateContent?a=b "));
    assert_eq!(models.provider.seen()[0].field("accept-encoding"), Some("identity"));
}

#[tokio::test]
async fn a_call_without_budgets_is_not_reserved_and_its_cost_is_known_all_the_same() {
    let models = Models::start("");
    let key = models.world.key("standard");
    models.provider.react([Reaction::json(chat_answer(100, 50)), Reaction::json(chat_answer(7, 3))]);
    let reply = models.world.send(chat("").bearer(&key)).await;
    assert_eq!(reply.header("x-tollgate-cost"), Some("0.0002"));
    assert_eq!(reply.header("x-tollgate-budget-remaining"), None);
    let other = Call::new("POST", "/v1/chat/completions").body(r#"{"model":"unheard-of","messages":[]}"#);
    let reply = models.world.send(other.bearer(&key)).await;
    assert_eq!((reply.status.as_u16(), reply.header("x-tollgate-cost")), (200, None));
    let records = models.calls(2).await;
    assert_eq!(models.reservations().len(), 0);
    assert_eq!((records[0].cost, records[0].draws.len()), (200_000, 0));
    assert_eq!((records[1].cost, records[1].currency, records[1].tokens.input), (0, [0; 8], 7));
}

#[tokio::test]
async fn an_answer_that_is_larger_than_what_is_kept_passes_and_is_charged() {
    let models = Models::with_budget("1.00");
    let key = models.world.key("standard");
    let vector = vec!["0.123456789"; 200_000].join(",");
    let body = format!(
        r#"{{"object":"list","model":"m","data":[{{"object":"embedding","index":0,"embedding":[{vector}]}}],"usage":{{"prompt_tokens":9,"total_tokens":9}}}}"#
    );
    models.provider.react([Reaction::json(body.clone())]);
    let call = Call::new("POST", "/v1/embeddings").body(r#"{"model":"m","input":"Hi"}"#);
    let reply = models.world.send(call.bearer(&key)).await;
    assert!(reply.body == body.as_bytes());
    let record = &models.calls(1).await[0];
    assert_eq!((record.cost, record.tokens.input), (9_000, 9));
    assert!(models.world.treasury.is_settled());
}
