//! Calls to models through the gateway, against a provider that speaks the real wire: recorded answers,
//! and everything that can go wrong on the way.

mod answers;
mod attempts;
mod leaving;
mod money;
mod provider;
mod refusals;
mod storm;

use tollgate_core::{
    budget::held::HeldBudget,
    money::{amount::Amount, price::Provider as Whose, table::Wanted, usage::Usage},
};
use tollgate_journal::{Flags, StoredRecord};
use tollgate_testkit::{http::Call, wait_until};

use self::provider::Provider;
use super::world::{DEADLINE, Plan, World};

/// A service of each provider, a policy that grants all of them, and a price for `m`: one dollar per
/// million tokens read, two per million produced, at most 1,000 tokens of output.
const SERVICES: &str = r#"
    [[service]]
    project = "maps"
    name = "openai"
    kind = "llm"
    provider = "openai"
    upstreams = ["{provider}"]
    credential = { file = "{credential}" }

    [[service]]
    project = "maps"
    name = "anthropic"
    kind = "llm"
    provider = "anthropic"
    match = { path_prefix = "/anthropic" }
    strip_prefix = true
    upstreams = ["{provider}"]
    credential = { file = "{credential}" }

    [[service]]
    project = "maps"
    name = "gemini"
    kind = "llm"
    provider = "gemini"
    upstreams = ["{provider}"]
    credential = { file = "{credential}" }

    [[policy]]
    project = "maps"
    name = "standard"
    services = ["*"]

    [[price]]
    provider = "openai"
    model = "m"
    input = "1"
    output = "2"
    output_tokens_max = 1000
    [[price]]
    provider = "anthropic"
    model = "m"
    input = "1"
    output = "2"
    output_tokens_max = 1000
    [[price]]
    provider = "gemini"
    model = "m"
    input = "1"
    output = "2"
    output_tokens_max = 1000
"#;

/// What the gateway logs in with.
const CREDENTIAL: &str = "sk-of-the-operator";

/// A gateway in front of a provider.
struct Models {
    world: World,
    provider: Provider,
    _folder: tempfile::TempDir,
}

impl Models {
    /// With these resources beside [`SERVICES`]; `{provider}` and `{credential}` are filled in.
    fn start(more: &str) -> Self {
        Self::with(&format!("{SERVICES}\n{more}"))
    }

    /// With these resources alone.
    fn with(resources: &str) -> Self {
        let provider = Provider::start();
        let folder = tempfile::TempDir::new().unwrap();
        let file = folder.path().join("credential");
        std::fs::write(&file, format!("{CREDENTIAL}\n")).unwrap();
        let resources =
            resources.replace("{provider}", &provider.url()).replace("{credential}", file.to_str().unwrap());
        Self { world: Plan::new(&resources).start(), provider, _folder: folder }
    }

    /// A hard budget of the project.
    fn with_budget(amount: &str) -> Self {
        Self::start(&budget(amount))
    }

    /// The records of requests, without those that open reservations.
    async fn calls(&self, count: usize) -> Vec<StoredRecord> {
        let is_call = |record: &StoredRecord| !record.entry.flags.contains(Flags::RESERVATION);
        wait_until(DEADLINE, || async {
            self.world.records().iter().filter(|record| is_call(record)).count() >= count
        })
        .await;
        self.world.records().into_iter().filter(is_call).collect()
    }

    /// The records that open reservations.
    fn reservations(&self) -> Vec<StoredRecord> {
        let records = self.world.records().into_iter();
        records.filter(|record| record.entry.flags.contains(Flags::RESERVATION)).collect()
    }

    /// The only account of the ledger.
    fn book(&self) -> crate::treasury::Book {
        let books = self.world.treasury.books();
        assert_eq!(books.len(), 1, "{books:?}");
        books[0]
    }

    /// What a call of `m` costs.
    fn cost(&self, whose: Whose, usage: &Usage) -> Amount {
        let wanted = Wanted { provider: whose, model: "m", service_tier: None };
        let tables = self.world.snapshot.tables();
        tables.prices.price(super::world::TENANT, wanted, 0).unwrap().cost(usage).unwrap()
    }

    /// The budgets that were written.
    fn budgets(&self) -> Vec<std::sync::Arc<HeldBudget>> {
        self.world.snapshot.tables().budgets.iter().cloned().collect()
    }
}

fn budget(amount: &str) -> String {
    format!("[[budget]]\nproject = \"maps\"\ncurrency = \"USD\"\namount = \"{amount}\"\nperiod = \"once\"\n")
}

/// A chat of `m`.
fn chat(more: &str) -> Call {
    let body = format!(r#"{{"model":"m","messages":[{{"role":"user","content":"Hi"}}]{more}}}"#);
    Call::new("POST", "/v1/chat/completions").header("content-type", "application/json").body(body)
}

/// A whole answer to a chat that used so much.
fn chat_answer(input: u64, output: u64) -> String {
    let total = input + output;
    format!(
        r#"{{"id":"c1","object":"chat.completion","model":"m","choices":[{{"index":0,"message":{{"role":"assistant","content":"Hello"}},"finish_reason":"stop"}}],"usage":{{"prompt_tokens":{input},"completion_tokens":{output},"total_tokens":{total}}}}}"#
    )
}

/// The events of a streamed chat that used so much.
fn chat_events(input: u64, output: u64) -> Vec<String> {
    let chunk = |choices: &str, usage: &str| {
        format!(
            "data: {{\"id\":\"c1\",\"object\":\"chat.completion.chunk\",\"model\":\"m\",\"choices\":{choices},\"usage\":{usage}}}\n\n"
        )
    };
    let total = input + output;
    let usage =
        format!("{{\"prompt_tokens\":{input},\"completion_tokens\":{output},\"total_tokens\":{total}}}");
    vec![
        chunk(r#"[{"index":0,"delta":{"role":"assistant","content":"Hel"},"finish_reason":null}]"#, "null"),
        chunk(r#"[{"index":0,"delta":{"content":"lo"},"finish_reason":null}]"#, "null"),
        chunk(r#"[{"index":0,"delta":{},"finish_reason":"stop"}]"#, "null"),
        chunk("[]", &usage),
        "data: [DONE]\n\n".to_owned(),
    ]
}
