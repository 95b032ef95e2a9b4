//! Services of kind `llm` as written: what is asked of them, and what is filled in.

use std::sync::Arc;

use tollgate_core::{
    id::{ProjectId, ServiceId, TenantId},
    llm_spec::CredentialSpec,
    resource::ServiceSpec,
    service::{Service, ServiceRow},
    service_spec::check_service,
};

const ROW: ServiceRow =
    ServiceRow { id: ServiceId(1), project: ProjectId(2), tenant: TenantId(3), version: 1 };

fn spec(lines: &str) -> ServiceSpec {
    let head = "project = \"maps\"\nname = \"models\"\n";
    toml::from_str(&format!("{head}{lines}")).unwrap()
}

fn problems(lines: &str) -> Vec<String> {
    check_service(&spec(lines)).into_iter().map(|error| error.field).collect()
}

const OPENAI: &str = "kind = \"llm\"\nprovider = \"openai\"\nupstreams = [\"https://api.openai.com\"]\n";

#[test]
fn the_provider_says_the_match_when_none_is_written() {
    for (provider, prefix) in [("openai", "/v1"), ("anthropic", "/v1"), ("gemini", "/v1beta")] {
        let lines =
            format!("kind = \"llm\"\nprovider = \"{provider}\"\nupstreams = [\"https://a.example\"]\n");
        let service = Service::compile(Arc::new(spec(&lines)), ROW).unwrap();
        assert_eq!(service.spec.matches.path_prefix.as_deref(), Some(prefix));
    }
    let own = spec(&format!("{OPENAI}match = {{ host = \"ai.example\" }}\n")).completed();
    assert_eq!((own.matches.host.as_deref(), own.matches.path_prefix), (Some("ai.example"), None));
}

#[test]
fn a_credential_is_in_exactly_one_place() {
    let read =
        |text: &str| toml::from_str::<ServiceSpec>(&format!("project=\"a\"\nname=\"b\"\n{OPENAI}{text}"));
    let written = read("credential = { secret = \"openai\" }").unwrap();
    assert_eq!(written.credential, Some(CredentialSpec::Secret("openai".to_owned())));
    assert!(read("credential = {}").is_err());
    assert!(read("credential = { env = \"A\", secret = \"b\" }").is_err());
    assert!(read("credential = { value = \"sk-1\" }").is_err());
    let again = toml::to_string(&written).unwrap();
    assert_eq!(toml::from_str::<ServiceSpec>(&again).unwrap(), written);
}

#[test]
fn what_an_llm_service_needs_is_said_and_what_a_proxy_may_not_have_is_refused() {
    assert_eq!(
        problems("kind = \"llm\"\nmatch = { path_prefix = \"/v1\" }\npublic = true\n"),
        ["upstreams", "provider", "public"]
    );
    let proxy = "kind = \"proxy\"\nmatch = { path_prefix = \"/v1\" }\nupstreams = [\"http://a\"]\n\
                 provider = \"openai\"\ncredential = { env = \"A\" }\n[[fallback]]\nmodel = \"m\"\n";
    assert_eq!(problems(proxy), ["provider", "credential", "fallback"]);
    let matched = format!("{OPENAI}match = {{ path_prefix = \"/v1\" }}\n");
    let bad = [
        ("credential = { env = \"A B\" }\n", "credential.env"),
        ("credential = { file = \"key\" }\n", "credential.file"),
        ("credential = { secret = \"a/b\" }\n", "credential.secret"),
        ("[[fallback]]\ncredential = { env = \"A\" }\n", "fallback[0]"),
        ("[[fallback]]\nmodel = \"gpt-*\"\n", "fallback[0].model"),
        ("[[fallback]]\nmodel = \"m\"\nupstreams = [\"ftp://a\"]\n", "fallback[0].upstreams[0]"),
    ];
    for (lines, field) in bad {
        assert_eq!(problems(&format!("{matched}{lines}")), [field], "{lines}");
    }
    let fallbacks = "[[fallback]]\nmodel = \"m\"\n";
    assert!(problems(&format!("{matched}{}", fallbacks.repeat(4))).is_empty());
    assert_eq!(problems(&format!("{matched}{}", fallbacks.repeat(5))), ["fallback"]);
}
