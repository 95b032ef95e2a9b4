//! What the gateway counts of itself, through the `metrics` facade: handles made once per lane, so
//! that counting costs no look-up and no allocation. Label values come from closed sets.

use std::cell::Cell;

use metrics::{
    Counter, Gauge, Histogram, counter, describe_counter, describe_gauge, describe_histogram, gauge,
    histogram,
};
use tollgate_core::code::Code;

/// Handles of one lane.
pub(crate) struct Meters {
    /// By code, for requests that a service took.
    service: Vec<Counter>,
    /// By code, for calls to models.
    llm: Vec<Counter>,
    /// By code, for requests that none took.
    own: Vec<Counter>,
    seconds: Histogram,
    in_flight: Gauge,
    open: Cell<u32>,
    /// Requests refused because the journal had no room.
    pub(crate) journal_full: Counter,
    /// Requests refused by the throttle for bad keys.
    pub(crate) throttled: Counter,
    /// Attempts upstream beyond the first.
    pub(crate) retries: Counter,
    upstream_errors: Vec<Counter>,
    /// Model calls that used more than was reserved for them: the price table or a bound is wrong.
    pub(crate) exceeded: Counter,
    /// Model calls whose use was not told, and charged as bounded or counted here.
    pub(crate) estimated: Counter,
    /// Answers of models that are read to their end although their client left.
    pub(crate) outlived: Counter,
}

/// The kind of service that took a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Served {
    Proxy,
    Llm,
    ByNone,
}

/// What can go wrong with an upstream, as a label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum UpstreamFault {
    Unreachable,
    ConnectTimeout,
    Tls,
    ResponseTimeout,
    Reset,
    Garbage,
    Saturated,
}

impl UpstreamFault {
    const ALL: [(Self, &'static str); 7] = [
        (Self::Unreachable, "unreachable"),
        (Self::ConnectTimeout, "connect_timeout"),
        (Self::Tls, "tls"),
        (Self::ResponseTimeout, "response_timeout"),
        (Self::Reset, "reset"),
        (Self::Garbage, "garbage"),
        (Self::Saturated, "saturated"),
    ];
}

impl Meters {
    /// Makes the handles.
    pub(crate) fn new(lane: u16) -> Self {
        describe();
        let by_code = |kind: &'static str| {
            let handle = |code: &Code| counter!("tollgate_gateway_requests_total", "code" => code.name(), "kind" => kind);
            Code::ALL.iter().map(handle).collect()
        };
        Self {
            service: by_code("proxy"),
            llm: by_code("llm"),
            own: by_code("none"),
            seconds: histogram!("tollgate_gateway_request_seconds"),
            in_flight: gauge!("tollgate_gateway_in_flight", "lane" => lane.to_string()),
            open: Cell::new(0),
            journal_full: counter!("tollgate_gateway_journal_full_total"),
            throttled: counter!("tollgate_gateway_bad_keys_throttled_total"),
            retries: counter!("tollgate_gateway_upstream_retries_total"),
            upstream_errors: UpstreamFault::ALL
                .iter()
                .map(|(_, reason)| counter!("tollgate_gateway_upstream_errors_total", "reason" => *reason))
                .collect(),
            exceeded: counter!("tollgate_gateway_settle_exceeded_reserve_total"),
            estimated: counter!("tollgate_gateway_llm_estimated_total"),
            outlived: counter!("tollgate_gateway_llm_outlived_total"),
        }
    }

    /// Counts one request in. The gauge is written by this lane alone, so this is one store.
    pub(crate) fn opened(&self) {
        self.open.set(self.open.get().saturating_add(1));
        self.in_flight.set(f64::from(self.open.get()));
    }

    /// Counts one answered request, and out.
    pub(crate) fn answered(&self, code: Code, served: Served, took_ns: u64) {
        self.open.set(self.open.get().saturating_sub(1));
        self.in_flight.set(f64::from(self.open.get()));
        let handles = match served {
            Served::Proxy => &self.service,
            Served::Llm => &self.llm,
            Served::ByNone => &self.own,
        };
        if let Some(handle) = handles.get(usize::from(code.number())) {
            handle.increment(1);
        }
        self.seconds.record(took_ns as f64 / 1e9);
    }

    /// Counts one failed attempt.
    pub(crate) fn upstream_failed(&self, fault: UpstreamFault) {
        let place = UpstreamFault::ALL.iter().position(|(own, _)| *own == fault);
        if let Some(handle) = place.and_then(|place| self.upstream_errors.get(place)) {
            handle.increment(1);
        }
    }
}

fn describe() {
    describe_counter!("tollgate_gateway_requests_total", "Requests answered, by code and kind of service");
    describe_histogram!(
        "tollgate_gateway_request_seconds",
        metrics::Unit::Seconds,
        "From the head of a request to the last byte of its answer"
    );
    describe_gauge!("tollgate_gateway_in_flight", "Requests whose answer is not done");
    describe_counter!(
        "tollgate_gateway_journal_full_total",
        "Requests refused because they could not be journalled"
    );
    describe_counter!(
        "tollgate_gateway_bad_keys_throttled_total",
        "Bad keys refused because of too many before them from the same address"
    );
    describe_counter!(
        "tollgate_gateway_settle_exceeded_reserve_total",
        "Model calls that cost more than was reserved for them"
    );
    describe_counter!(
        "tollgate_gateway_llm_estimated_total",
        "Model calls whose use was not told by the provider"
    );
    describe_counter!(
        "tollgate_gateway_llm_outlived_total",
        "Model calls that went on after their client left, for their use to be known"
    );
    describe_counter!("tollgate_gateway_upstream_retries_total", "Attempts upstream beyond the first");
    describe_counter!("tollgate_gateway_upstream_errors_total", "Failed attempts upstream, by reason");
}
