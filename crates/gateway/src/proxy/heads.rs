//! The fields an upstream gets and the fields of its answer.
//!
//! Keeps I18: every inbound field that says who calls or where from is dropped and written anew
//! from what the gate knows; the credential is gone.

use std::net::IpAddr;

use smallvec::SmallVec;
use tollgate_core::counters::Counters;
use tollgate_wire::text::{DecisionText, push_id};

use super::Passage;
use crate::{
    assertion::Audience,
    caller::{Caller, Identity},
    denial::RateFields,
    http::{answer::AnswerHead, exchange::Peer, field::FieldValue, head::RequestHead},
    identity::{push_consumer, push_value, value_of},
    lane::Gateway,
    names,
    request::{Sender, credential::Place, only},
    service::ProxyService,
};

/// Writes the fields that go upstream.
pub(crate) fn write_request<C: Counters + 'static>(
    gateway: &Gateway<C>,
    head: &mut RequestHead,
    peer: Peer,
    passage: &Passage,
    request_id: DecisionText,
) {
    head.strip_all(&passage.service.strips);
    strip_credentials(head, &passage.caller);
    change(head, &passage.service);
    head.set_text(&names::X_REQUEST_ID, |out| out.extend_from_slice(request_id.as_bytes()));
    write_forwarded(head, peer, passage.sender);
    write_identity(gateway, head, passage);
    if let Some(token) = assertion(gateway, passage) {
        head.add(&names::X_TOLLGATE_ASSERTION, &token);
    }
}

fn strip_credentials(head: &mut RequestHead, caller: &Caller) {
    for place in &caller.strip {
        match place {
            Place::Authorization => head.strip(&names::AUTHORIZATION),
            Place::Field(name) => head.strip(name),
            // The target is written without it (see `target`).
            Place::Query(_) => {}
        }
    }
}

/// What the service's settings add; before the identity fields, which they cannot replace.
fn change(head: &mut RequestHead, service: &ProxyService) {
    for (name, value) in &service.request_headers.set {
        if name.as_str() == "host" {
            let authority = std::str::from_utf8(value.as_bytes()).unwrap_or("");
            // A host that cannot be one is left at the upstream's own.
            let _ = head.set_authority(authority);
        } else {
            head.set(name, value);
        }
    }
}

/// The client's own fields of these names are stripped and services cannot add any (core refuses
/// them), so that they need not be looked for before they are added.
fn write_identity<C: Counters + 'static>(gateway: &Gateway<C>, head: &mut RequestHead, passage: &Passage) {
    head.add_lines(&passage.service.told);
    let Some(Identity { record, granted }) = &passage.caller.identity else { return };
    head.add_text(&names::X_TOLLGATE_KEY_ID, |out| push_id(out, "key", record.id.0));
    gateway.with_consumer(record, |consumer| {
        head.add_text(&names::X_TOLLGATE_CONSUMER, |out| push_consumer(out, record, consumer));
        if let Some(external_id) = consumer.and_then(|consumer| consumer.external_id.as_deref()) {
            head.add_text(&names::X_TOLLGATE_CONSUMER_EXTERNAL_ID, |out| push_value(out, external_id));
        }
    });
    head.add_lines(granted.lines(record.environment));
}

fn assertion<C: Counters + 'static>(gateway: &Gateway<C>, passage: &Passage) -> Option<FieldValue> {
    if !passage.service.service.spec.assertion {
        return None;
    }
    let identity = passage.caller.identity.as_ref()?;
    let ProxyService { service, tenant, project, .. } = &*passage.service;
    gateway.assertions.token(Audience { service, tenant, project }, identity, gateway.now(), || {
        gateway.with_consumer(&identity.record, |consumer| match consumer {
            Some(consumer) => (value_of(&consumer.name), consumer.external_id.as_deref().map(value_of)),
            None => (value_of(&identity.record.consumer.to_string()), None),
        })
    })
}

/// Writes where a request came from, in the words of forwarding proxies.
///
/// A trusted proxy's own words are kept and the proxy itself is added; anybody else's are not.
fn write_forwarded(head: &mut RequestHead, peer: Peer, sender: Sender) {
    let proto = if peer.tls { &names::HTTPS } else { &names::HTTP };
    if !sender.trusted {
        let host = head.authority().map(short);
        head.set_text(&names::X_FORWARDED_FOR, |out| push_address(out, sender.peer));
        head.set(&names::X_FORWARDED_PROTO, proto);
        if let Some(host) = host {
            head.set_text(&names::X_FORWARDED_HOST, |out| out.extend_from_slice(&host));
        }
        return;
    }
    let mut path = Vec::with_capacity(64);
    for line in head.values(names::X_FORWARDED_FOR.as_str()) {
        path.extend_from_slice(line);
        path.extend_from_slice(b", ");
    }
    push_address(&mut path, sender.peer);
    let proto = match only(head, names::X_FORWARDED_PROTO.as_str()) {
        Some("https") => &names::HTTPS,
        Some("http") => &names::HTTP,
        _ => proto,
    };
    let host = only(head, names::X_FORWARDED_HOST.as_str()).or_else(|| head.authority()).map(short);
    head.set_text(&names::X_FORWARDED_FOR, |out| out.extend_from_slice(&path));
    head.set(&names::X_FORWARDED_PROTO, proto);
    if let Some(host) = host {
        head.set_text(&names::X_FORWARDED_HOST, |out| out.extend_from_slice(&host));
    }
}

/// A copy that needs no allocation for a usual host.
fn short(text: &str) -> SmallVec<[u8; 64]> {
    SmallVec::from_slice(text.as_bytes())
}

/// On every request: an IPv4 address is written without the formatting machinery.
fn push_address(out: &mut Vec<u8>, address: IpAddr) {
    let v4 = match address {
        IpAddr::V4(v4) => v4,
        IpAddr::V6(v6) => return out.extend_from_slice(v6.to_string().as_bytes()),
    };
    for (place, part) in v4.octets().into_iter().enumerate() {
        if place > 0 {
            out.push(b'.');
        }
        let (hundreds, tens) = (part / 100, part / 10);
        if hundreds > 0 {
            out.push(b'0' + hundreds);
        }
        if tens > 0 {
            out.push(b'0' + tens % 10);
        }
        out.push(b'0' + part % 10);
    }
}

/// Changes the fields of an upstream's answer and adds the gate's own.
pub(crate) fn write_answer(head: &mut AnswerHead, service: &ProxyService, rate: RateFields) {
    for name in &service.response_headers.strip {
        head.strip(name.as_str());
    }
    for (name, value) in &service.response_headers.set {
        head.set(name, value);
    }
    rate.write(head);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_written_as_the_standard_library_writes_them() {
        for text in ["0.0.0.0", "1.20.255.100", "127.0.0.1", "10.99.101.9", "2001:db8::1", "::1"] {
            let mut written = Vec::new();
            push_address(&mut written, text.parse().unwrap());
            assert_eq!(written, text.as_bytes());
        }
    }
}
