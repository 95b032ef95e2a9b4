//! Webhooks that come in, over the real binary: a signature instead of a key counts as the key that the service names.

use serde_json::json;
use tollgate_testkit::http::{Call, Reply};
use tollgate_testkit::{Tollgate, Upstream, wait_until};

use crate::world::{SOON, builder, text};

const RESOURCES: &str = r#"
[[project]]
tenant = "default"
name = "maps"
key_prefix = "mbk"

[[service]]
project = "maps"
name = "hooks"
kind = "proxy"
match = { path_prefix = "/hooks" }
upstreams = ["UPSTREAM"]
[service.signature]
scheme = "github"
secret = { secret = "github" }
mode = "instead"
key = { secret = "github-key" }

[[policy]]
project = "maps"
name = "standard"
services = ["hooks"]
scopes = ["write"]

[[consumer]]
project = "maps"
name = "github"
kind = "service"
"#;

/// The example of GitHub's documentation.
const SECRET: &str = "It's a Secret to Everybody";
const BODY: &str = "Hello, World!";
const SIGNATURE: &str = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";

async fn deliver(node: &Tollgate, body: &str) -> Reply {
    let call = Call::new("POST", "/hooks/push").header("x-hub-signature-256", SIGNATURE);
    call.body(body.to_owned()).send(node.gateway()).await
}

#[tokio::test]
async fn what_github_signs_comes_in_under_the_key_of_its_own_and_ends_with_it() {
    let upstream = Upstream::start();
    let node = builder().resources(&RESOURCES.replace("UPSTREAM", &upstream.url())).start();
    let key = node.create_key("maps", "github", &["--policy", "standard"]);
    assert_eq!(deliver(&node, BODY).await.code(), "key_unknown", "nothing is set yet");
    for (name, value) in [("github", SECRET), ("github-key", text(&key, "key"))] {
        let _ = node.cli_with_input(&["secrets", "set", "maps", name, "--value-stdin"], value).success();
    }
    wait_until(SOON, || async { deliver(&node, BODY).await.status == 200 }).await;
    let seen = upstream.take_seen().pop().expect("it was forwarded");
    assert_eq!((&seen.body[..], seen.header("x-tollgate-consumer")), (BODY.as_bytes(), Some("github")));
    let refused = deliver(&node, "Hello, Mallory!").await;
    assert_eq!((refused.status.as_u16(), refused.code().as_str()), (401, "signature_invalid"));
    let counted =
        node.json(&["events", "query", "--key", text(&key, "id"), "--code", "signature_invalid", "--count"]);
    assert_eq!(counted, json!({"count": 1}));
    let _ = node.cli(&["keys", "revoke", text(&key, "id"), "--wait"]).success();
    assert_eq!(deliver(&node, BODY).await.code(), "key_revoked");
    // A secret that a service needs is not taken away under it.
    assert!(!node.cli(&["secrets", "remove", "maps", "github"]).status.success());
}
