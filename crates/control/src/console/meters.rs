//! Meters: the list, and what one of them counted over a span of time.

use askama::Template;
use axum::{extract::Path, response::Response};
use tollgate_core::{authz::Action, id::MeterId, meter::window::WindowUnit};
use tollgate_store::{MeterFilter, MeterQuestion, MeterView};

use super::{
    shell::Shell,
    trouble::{Trouble, html},
    visit::Visit,
    widget::{Drawn, Looks, draw},
};
use crate::problem::Refused;

#[derive(Template)]
#[template(path = "meters.html")]
struct Page {
    shell: Shell,
    rows: Vec<MeterView>,
    older: Option<String>,
    search: String,
}

pub(crate) async fn list(visit: Visit) -> Result<Response, Trouble> {
    visit.permit(Action::ReadAutomation)?;
    let search = visit.query.owned("search");
    let filter = MeterFilter { tenant: visit.tenant(), project: None, search: search.clone() };
    let page = visit.store().list_meters(Some(&filter), &visit.rows()).await?;
    html(&Page {
        rows: page.items,
        older: visit.older(page.next.as_deref()),
        search: search.unwrap_or_default(),
        shell: visit.shell("Meters"),
    })
}

/// The spans on offer: name, words, hours, how long windows are.
const SPANS: [(&str, &str, u32, WindowUnit); 4] = [
    ("6h", "6 h", 6, WindowUnit::Minute),
    ("24h", "24 h", 24, WindowUnit::Hour),
    ("7d", "7 d", 168, WindowUnit::Hour),
    ("30d", "30 d", 720, WindowUnit::Day),
];

#[derive(Template)]
#[template(path = "meter.html")]
struct One {
    shell: Shell,
    meter: MeterView,
    spans: Vec<(&'static str, String, bool)>,
    words: &'static str,
    all: Drawn,
    /// By each of what it groups by.
    groups: Vec<(String, Drawn)>,
}

pub(crate) async fn show(Path(id): Path<String>, visit: Visit) -> Result<Response, Trouble> {
    visit.permit(Action::ReadAutomation)?;
    let id: MeterId = id.parse().map_err(|_| Refused::not_found())?;
    let meter = visit.store().meter(visit.tenant(), id).await?;
    let asked = visit.query.text("range").unwrap_or("24h");
    let (name, words, hours, unit) = SPANS.into_iter().find(|(name, ..)| *name == asked).unwrap_or(SPANS[1]);
    let question = |by: Vec<usize>| MeterQuestion {
        unit,
        zone: visit.look.zone.iana_name().unwrap_or("UTC").to_owned(),
        from_us: visit.now_us.saturating_sub(i64::from(hours) * 3_600_000_000),
        to_us: visit.now_us,
        by,
        groups_max: 10,
    };
    let values = visit.store().meter_values(&meter, &question(Vec::new())).await?;
    let all = draw(&meter, &values, Looks::Lines);
    let mut groups = Vec::new();
    for (index, place) in meter.spec.group_by.iter().enumerate() {
        let values = visit.store().meter_values(&meter, &question(vec![index])).await?;
        groups.push((place.clone(), draw(&meter, &values, Looks::Lines)));
    }
    html(&One {
        spans: SPANS
            .into_iter()
            .map(|(own, words, ..)| (words, visit.link(&[("range", Some(own))]), own == name))
            .collect(),
        words,
        all,
        groups,
        shell: visit.shell(meter.spec.name.clone()),
        meter,
    })
}
