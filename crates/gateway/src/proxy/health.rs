//! Active checks: the first lane asks every upstream of every service that wants it, with or
//! without traffic.

use std::{
    rc::{Rc, Weak},
    time::Duration,
};

use tollgate_core::{counters::Counters, upstream_spec::HealthSpec};

use crate::{
    http::{
        body::RequestBody,
        bounds::Timeouts,
        head::RequestHead,
        upstream::{Origin, UpstreamRequest},
    },
    lane::Gateway,
    service::ProxyService,
};

/// How often it is looked which checks are due.
const TICK: Duration = Duration::from_millis(100);
/// Checks under way at once; what is due beyond it waits for the next tick.
const CHECKS_MAX: usize = 64;
/// Bytes of a check's answer that are read so that its connection can be used again.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// Checks as long as the gateway lives.
pub(crate) async fn watch<C: Counters + 'static>(gateway: Weak<Gateway<C>>) {
    let slots = Rc::new(tokio::sync::Semaphore::new(CHECKS_MAX));
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let Some(gateway) = gateway.upgrade() else { return };
        check_due(&gateway, &slots);
    }
}

fn check_due<C: Counters + 'static>(gateway: &Rc<Gateway<C>>, slots: &Rc<tokio::sync::Semaphore>) {
    let tables = gateway.tables();
    let now_ns = gateway.mono_ns();
    for service in tables.tables.services.values() {
        let Some(health) = &service.spec.health else { continue };
        let compiled = tables.compiled(service, &gateway.shared.registry);
        for index in 0..compiled.conditions.len() {
            if slots.available_permits() == 0 {
                return;
            }
            let due = compiled
                .conditions
                .get(index)
                .is_some_and(|condition| condition.claim_check(now_ns, health.interval.as_nanos()));
            if due {
                let (gateway, slots, compiled) = (gateway.clone(), slots.clone(), compiled.clone());
                tokio::task::spawn_local(async move {
                    let Ok(_slot) = slots.acquire().await else { return };
                    check(&gateway, &compiled, index).await;
                });
            }
        }
    }
}

async fn check<C: Counters + 'static>(gateway: &Gateway<C>, service: &ProxyService, index: usize) {
    let (Some(health), Some(origin), Some(condition)) =
        (&service.service.spec.health, service.origins.get(index), service.conditions.get(index))
    else {
        return;
    };
    let asked = tokio::time::timeout(health.timeout.to_std(), ask(gateway, origin, health)).await;
    let well = asked.unwrap_or(false);
    if let Some(up) = condition.checked(well, health.unhealthy_after, health.healthy_after) {
        let (service, host, port) = (service.service.name(), origin.host(), origin.port());
        if up {
            tracing::info!(service, host, port, "an upstream is well again");
        } else {
            tracing::warn!(service, host, port, "an upstream fails its health checks and is left out");
        }
    }
}

/// Whether the upstream answers 2xx or 3xx.
async fn ask<C: Counters + 'static>(gateway: &Gateway<C>, origin: &Origin, health: &HealthSpec) -> bool {
    let Ok(head) = RequestHead::originate("GET", &health.path) else { return false };
    let timeout = health.timeout.to_std();
    let timeouts = Timeouts { connect: timeout, response_head: timeout, body_idle: timeout };
    let mut request = UpstreamRequest { head: &head, body: RequestBody::empty(), timeouts, upgrade: None };
    let Ok(mut answer) = gateway.upstreams.send(origin, &mut request).await else { return false };
    let mut left = ANSWER_BYTES_MAX;
    while let Some(frame) = answer.body.frame().await {
        let Ok(frame) = frame else { return false };
        let length = if let crate::http::body::Frame::Data(data) = &frame { data.len() } else { 0 };
        match left.checked_sub(length) {
            Some(rest) => left = rest,
            None => break,
        }
    }
    (200..400).contains(&answer.head.status())
}
