//! The fields an upstream gets and the fields of its answer.
//!
//! Keeps I18: every inbound field that says who calls or where from is dropped and written anew
//! from what the gate knows; the credential is gone.

use std::net::IpAddr;

use smallvec::SmallVec;
use tollgate_core::counters::Counters;
use tollgate_wire::{headers::IDENTITY_PREFIX, text::push_id};

use super::Passage;
use crate::{
    assertion::Audience,
    caller::Caller,
    http::{answer::AnswerHead, exchange::Peer, field::FieldValue, head::RequestHead},
    lane::Gateway,
    names,
    request::{Sender, credential::Place, only},
    service::ProxyService,
};

/// `key_` and eleven digits.
const KEY_ID_LEN: usize = 15;

/// Writes the fields that go upstream.
pub(super) fn write_request<C: Counters + 'static>(
    gateway: &Gateway<C>,
    head: &mut RequestHead,
    peer: Peer,
    passage: &Passage,
    request_id: FieldValue,
) {
    // Read before the client's own words are dropped.
    let forwarded = Forwarded::of(head, peer, passage.sender);
    head.strip_prefix(IDENTITY_PREFIX);
    head.strip_prefix(names::FORWARDED_PREFIX);
    head.strip(names::FORWARDED.clone());
    head.strip(names::X_REAL_IP.clone());
    strip_credentials(head, &passage.caller);
    change(head, &passage.service);
    head.set(names::X_REQUEST_ID.clone(), request_id);
    forwarded.write(head);
    write_identity(head, passage);
    if let Some(token) = assertion(gateway, passage) {
        head.add(names::X_TOLLGATE_ASSERTION.clone(), token);
    }
}

fn strip_credentials(head: &mut RequestHead, caller: &Caller) {
    for place in &caller.strip {
        match place {
            Place::Authorization => head.strip(names::AUTHORIZATION.clone()),
            Place::Field(name) => head.strip((*name).clone()),
            // The target is written without it (see `target`).
            Place::Query(_) => {}
        }
    }
}

/// What the service's settings change; before the identity fields, which they cannot replace.
fn change(head: &mut RequestHead, service: &ProxyService) {
    for name in &service.request_headers.strip {
        head.strip(name.clone());
    }
    for (name, value) in &service.request_headers.set {
        if name.as_str() == "host" {
            let authority = std::str::from_utf8(value.as_bytes()).unwrap_or("");
            // A host that cannot be one is left at the upstream's own.
            let _ = head.set_authority(authority);
        } else {
            head.set(name.clone(), value.clone());
        }
    }
}

/// The client's own fields of these names are stripped and services cannot add any (core refuses
/// them), so that they need not be looked for before they are added.
fn write_identity(head: &mut RequestHead, passage: &Passage) {
    head.add(names::X_TOLLGATE_TENANT.clone(), passage.service.tenant.clone());
    head.add(names::X_TOLLGATE_PROJECT.clone(), passage.service.project.clone());
    let Some(identity) = &passage.caller.identity else { return };
    let mut key = Vec::with_capacity(KEY_ID_LEN);
    push_id(&mut key, "key", identity.record.id.0);
    if let Ok(key) = FieldValue::from_bytes(key.into()) {
        head.add(names::X_TOLLGATE_KEY_ID.clone(), key);
    }
    head.add(names::X_TOLLGATE_CONSUMER.clone(), identity.consumer.clone());
    if let Some(external_id) = &identity.external_id {
        head.add(names::X_TOLLGATE_CONSUMER_EXTERNAL_ID.clone(), external_id.clone());
    }
    head.add(names::X_TOLLGATE_ENVIRONMENT.clone(), identity.environment.clone());
    head.add(names::X_TOLLGATE_SCOPES.clone(), identity.scopes.clone());
}

fn assertion<C: Counters + 'static>(gateway: &Gateway<C>, passage: &Passage) -> Option<FieldValue> {
    if !passage.service.service.spec.assertion {
        return None;
    }
    let identity = passage.caller.identity.as_ref()?;
    let ProxyService { service, tenant, project, .. } = &*passage.service;
    gateway.assertions.token(Audience { service, tenant, project }, identity, gateway.now())
}

/// Where a request came from, in the words of forwarding proxies.
struct Forwarded {
    path: FieldValue,
    proto: FieldValue,
    host: Option<FieldValue>,
}

impl Forwarded {
    /// A trusted proxy's own words are kept and the proxy itself is added; anybody else's are not.
    fn of(head: &RequestHead, peer: Peer, sender: Sender) -> Self {
        let proto = if peer.tls { &names::HTTPS } else { &names::HTTP };
        let host = head.authority().and_then(|host| FieldValue::parse(host).ok());
        if !sender.trusted {
            return Self { path: address_value(sender.peer), proto: proto.clone(), host };
        }
        let mut path = Vec::with_capacity(64);
        for line in head.values(names::X_FORWARDED_FOR.as_str()) {
            path.extend_from_slice(line);
            path.extend_from_slice(b", ");
        }
        path.extend_from_slice(sender.peer.to_string().as_bytes());
        let told_proto = match only(head, names::X_FORWARDED_PROTO.as_str()) {
            Some("https") => &names::HTTPS,
            Some("http") => &names::HTTP,
            _ => proto,
        };
        let told_host =
            only(head, names::X_FORWARDED_HOST.as_str()).and_then(|host| FieldValue::parse(host).ok());
        Self {
            path: FieldValue::from_bytes(path.into()).unwrap_or_else(|_| address_value(sender.peer)),
            proto: told_proto.clone(),
            host: told_host.or(host),
        }
    }

    fn write(self, head: &mut RequestHead) {
        head.set(names::X_FORWARDED_FOR.clone(), self.path);
        head.set(names::X_FORWARDED_PROTO.clone(), self.proto);
        if let Some(host) = self.host {
            head.set(names::X_FORWARDED_HOST.clone(), host);
        }
    }
}

fn address_value(address: IpAddr) -> FieldValue {
    let value = match address {
        // On every request: written without the formatting machinery, copied once.
        IpAddr::V4(v4) => {
            let mut text: SmallVec<[u8; 16]> = SmallVec::new();
            for (place, part) in v4.octets().into_iter().enumerate() {
                if place > 0 {
                    text.push(b'.');
                }
                let (hundreds, tens) = (part / 100, part / 10);
                if hundreds > 0 {
                    text.push(b'0' + hundreds);
                }
                if tens > 0 {
                    text.push(b'0' + tens % 10);
                }
                text.push(b'0' + part % 10);
            }
            FieldValue::parse(text)
        }
        IpAddr::V6(v6) => FieldValue::parse(v6.to_string()),
    };
    value.unwrap_or_else(|_| FieldValue::of("unknown"))
}

/// Changes the fields of an upstream's answer and adds the gate's own.
pub(super) fn write_answer(head: &mut AnswerHead, passage: Passage) {
    let service = &passage.service;
    for name in &service.response_headers.strip {
        head.strip(name.as_str());
    }
    for (name, value) in &service.response_headers.set {
        head.set(name.clone(), value.clone());
    }
    for (name, value) in passage.caller.rate {
        head.set(name, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_written_as_the_standard_library_writes_them() {
        for text in ["0.0.0.0", "1.20.255.100", "127.0.0.1", "10.99.101.9", "2001:db8::1", "::1"] {
            let address: IpAddr = text.parse().unwrap();
            assert_eq!(address_value(address).as_bytes(), text.as_bytes());
        }
    }
}
