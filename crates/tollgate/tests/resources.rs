//! Files of resources: everything that is wrong is shown with its place.

use tollgate::resource_file::{Places, ResourceFile, parse};
use tollgate_core::field_error::FieldError;

fn errors(text: &str) -> String {
    let errors = parse("r.toml", text).expect_err("the file is wrong");
    errors.iter().map(|error| format!("{error}\n")).collect()
}

fn good(text: &str) -> ResourceFile {
    parse("r.toml", text).unwrap_or_else(|errors| panic!("{errors:#?}"))
}

const GOOD: &str = r#"
[[tenant]]
name = "acme"

[[project]]
tenant = "acme"
name = "maps"

[[service]]
project = "maps"
name = "tiles"
kind = "proxy"
match = { path_prefix = "/tiles", methods = ["GET"] }
upstreams = ["http://127.0.0.1:9000"]

[[policy]]
project = "maps"
name = "standard"
services = ["tiles", "gone"]
  [[policy.limit]]
  name = "burst"
  amount = 100
  window = "1m"
  [[policy.quota]]
  name = "monthly"
  amount = 1000
  period = "month"
"#;

fn place(places: &Places, field: &str) -> String {
    places.locate(&FieldError::new(field, "it is wrong")).to_string()
}

#[test]
fn what_a_good_file_says_has_its_place() {
    let file = good(GOOD);
    assert_eq!(file.resources.policies[0].limits[0].amount, 100);
    let at = |field| place(&file.places, field);
    assert_eq!(at("policy[0].services[1]"), "r.toml:19:22: policy[0].services[1]: it is wrong");
    assert_eq!(at("policy[0].limit[0].window"), "r.toml:23:3: policy[0].limit[0].window: it is wrong");
    assert_eq!(at("service[0].match.path_prefix"), "r.toml:13:11: service[0].match.path_prefix: it is wrong");
    assert_eq!(at("policy[0].scopes[3]"), "r.toml:16:1: policy[0].scopes[3]: it is wrong");
}

#[test]
fn everything_that_is_wrong_is_reported_at_once_with_its_place() {
    insta::assert_snapshot!(errors(
        r#"
[[tenant]]
nme = "acme"

[project]
name = "maps"

[[service]]
project = 7
name = "tiles"
kind = "grpc"
match = { path_prefx = "/tiles", methods = "GET" }
upstreams = ["http://127.0.0.1:9000", 9001]
timeouts.connect = "soon"

[[budgt]]
project = "maps"

[[polcy]]
name = "x"

[[policy]]
project = "maps"
name = "standard"
max_concurrency = -1
  [[policy.limit]]
  name = "burst"
  window = "1 minute"
  [[policy.limit]]
  amount = "many"
  window = "1m"
  [[policy.quota]]
  name = "monthly"
  amount = 1.5
  period = "year"
"#
    ));
}

#[test]
fn a_file_that_is_no_toml_shows_where() {
    insta::assert_snapshot!(errors("[[tenant]]\nname = acme\n[[project\n"));
}

#[test]
fn prices_budgets_and_model_services_are_placed_too() {
    let wrong = errors(
        r#"
[[service]]
project = "maps"
name = "models"
kind = "llm"
provider = "openia"
upstreams = ["https://api.openai.com"]
credential = { env = "A", secret = "b" }
  [[service.fallback]]
  modl = "gpt-5-mini"

[[price]]
provider = "openai"
model = "gpt-*"
inptu = "1.25"

[[price]]
provider = "openai"
model = "gpt-*"
input = "a lot"

[[budget]]
project = "maps"
currency = "USD"
amount = "25.00"
period = "year"
"#,
    );
    for place in ["r.toml:6:", "r.toml:8:", "r.toml:10:", "r.toml:26:"] {
        assert!(wrong.contains(place), "{place} is missing in\n{wrong}");
    }
    // Rates are read as a part of the price, so that their errors stand at the price.
    for words in ["r.toml:15:1: price[0].inptu: there is no such field", "price[1]", "a lot"] {
        assert!(wrong.contains(words), "{words} is missing in\n{wrong}");
    }
}
