//! Dashboards: widgets that somebody puts together from meters, their own or shared with the tenant.
//!
//! A change of one widget is a change of the dashboard, with its version: who changes what somebody else has changed
//! meanwhile is told so.

use askama::Template;
use axum::{
    extract::Path,
    response::{IntoResponse as _, Redirect, Response},
};
use tollgate_core::{
    authz::{Action, Permit},
    id::{DashboardId, MeterId},
    meter::window::WindowUnit,
};
use tollgate_store::{
    Dashboard, DashboardAt, MeterFilter, MeterQuestion, MeterView, NewDashboard, PageRequest, StoreError,
    Widget, WidgetForm,
};

use super::{
    consumer_form::Errors,
    form::Fields,
    shell::Shell,
    trouble::{Trouble, html},
    visit::{Posted, Visit},
    widget::{Drawn, Looks, draw},
};
use crate::problem::Refused;

/// The spans on offer, hours and words.
const SPANS: [(u32, &str); 6] =
    [(1, "1 h"), (6, "6 h"), (24, "24 h"), (168, "7 d"), (720, "30 d"), (2_160, "90 d")];
/// Meters that can be chosen.
const METERS: PageRequest = PageRequest { limit: 500, cursor: None };

#[derive(Template)]
#[template(path = "dashboards.html")]
struct List {
    shell: Shell,
    rows: Vec<Row>,
    has_meters: bool,
    may_share: bool,
    errors: Errors,
}

struct Row {
    id: String,
    name: String,
    widgets: usize,
    shared: bool,
    is_own: bool,
}

pub(crate) async fn list(visit: Visit) -> Result<Response, Trouble> {
    list_page(&visit, Errors::default()).await
}

async fn list_page(visit: &Visit, errors: Errors) -> Result<Response, Trouble> {
    visit.permit(Action::ReadAutomation)?;
    let found = visit.store().dashboards(visit.tenant(), visit.who.user).await?;
    let filter = MeterFilter { tenant: visit.tenant(), project: None, search: None };
    let one = PageRequest { limit: 1, cursor: None };
    html(&List {
        rows: found
            .into_iter()
            .map(|own| Row {
                id: own.id.to_string(),
                is_own: own.owner == visit.who.user,
                name: own.name,
                widgets: own.widgets.len(),
                shared: own.shared,
            })
            .collect(),
        has_meters: !visit.store().list_meters(Some(&filter), &one).await?.items.is_empty(),
        may_share: visit.may_all(Action::ChangeResources),
        errors,
        shell: visit.shell("Dashboards"),
    })
}

pub(crate) async fn create(posted: Posted) -> Result<Response, Trouble> {
    let Posted { visit, fields } = posted;
    let shared = fields.has("shared");
    let new = NewDashboard { name: fields.owned("name").unwrap_or_default(), shared, widgets: Vec::new() };
    let permit = permit(&visit, shared)?;
    match visit.store().create_dashboard(&permit, visit.tenant(), new, visit.now_us).await {
        Ok(made) => Ok(Redirect::to(&format!("/dashboards/{}?done=created", made.value.id)).into_response()),
        Err(StoreError::Invalid(errors)) => list_page(&visit, Errors(errors)).await,
        Err(error) => Err(error.into()),
    }
}

/// The right to change one: sharing needs more than having one.
fn permit(visit: &Visit, is_shared: bool) -> Result<Permit, Trouble> {
    visit.permit(Action::ReadAutomation)?;
    visit.permit(if is_shared { Action::ChangeResources } else { Action::UseOwnAccount })
}

#[derive(Template)]
#[template(path = "dashboard.html")]
struct Page {
    shell: Shell,
    id: String,
    name: String,
    version: u64,
    shared: bool,
    widgets: Vec<Shown>,
    meters: Vec<Choice>,
    edits: bool,
    may_change: bool,
    may_share: bool,
    errors: Errors,
    spans: [(u32, &'static str); 6],
    windows: [&'static str; 5],
    forms: [&'static str; 4],
}

/// A meter that can be chosen.
struct Choice {
    id: String,
    name: String,
    group_by: Vec<String>,
}

struct Shown {
    index: usize,
    title: String,
    sub: String,
    form: &'static str,
    wide: bool,
    is_first: bool,
    is_last: bool,
    meter: String,
    drawn: Option<Drawn>,
    /// Why there is nothing to see.
    problem: String,
}

pub(crate) async fn show(Path(id): Path<String>, visit: Visit) -> Result<Response, Trouble> {
    let found = found(&visit, &id).await?;
    page(&visit, found, Errors::default()).await
}

async fn found(visit: &Visit, id: &str) -> Result<Dashboard, Trouble> {
    visit.permit(Action::ReadAutomation)?;
    let id: DashboardId = id.parse().map_err(|_| Refused::not_found())?;
    Ok(visit.store().dashboard((visit.tenant(), visit.who.user), id).await?)
}

async fn page(visit: &Visit, found: Dashboard, errors: Errors) -> Result<Response, Trouble> {
    let filter = MeterFilter { tenant: visit.tenant(), project: None, search: None };
    let meters = visit.store().list_meters(Some(&filter), &METERS).await?.items;
    let is_own = found.owner == visit.who.user;
    let may_share = visit.may_all(Action::ChangeResources);
    let may_change = may_share && found.shared || is_own && !found.shared;
    let count = found.widgets.len();
    let mut widgets = Vec::with_capacity(count);
    for (index, widget) in found.widgets.iter().enumerate() {
        widgets.push(shown(visit, (index, count), widget, &meters).await);
    }
    html(&Page {
        id: found.id.to_string(),
        name: found.name.clone(),
        version: found.version,
        shared: found.shared,
        widgets,
        meters: meters
            .into_iter()
            .map(|meter| Choice {
                id: meter.id.to_string(),
                name: format!("{}/{}", meter.project.name, meter.spec.name),
                group_by: meter.spec.group_by,
            })
            .collect(),
        edits: may_change && (visit.query.text("edit").is_some() || count == 0 || !errors.0.is_empty()),
        may_change,
        may_share,
        errors,
        spans: SPANS,
        windows: ["minute", "hour", "day", "week", "month"],
        forms: WidgetForm::ALL.map(WidgetForm::name),
        shell: visit.shell(found.name),
    })
}

async fn shown(
    visit: &Visit,
    (index, count): (usize, usize),
    widget: &Widget,
    meters: &[MeterView],
) -> Shown {
    let meter = meters.iter().find(|meter| meter.id == widget.meter);
    let mut shown = Shown {
        index,
        title: widget.title.clone(),
        sub: String::new(),
        form: widget.form.name(),
        wide: widget.wide,
        is_first: index == 0,
        is_last: index + 1 == count,
        meter: widget.meter.to_string(),
        drawn: None,
        problem: String::new(),
    };
    let Some(meter) = meter else {
        "The meter is gone. Take this widget away, or make the meter again.".clone_into(&mut shown.problem);
        return shown;
    };
    let by = widget.by.map(|by| by as usize).filter(|by| *by < meter.spec.group_by.len());
    let span = SPANS.iter().find(|(hours, _)| *hours == widget.hours).map_or("", |(_, words)| words);
    let place = by.and_then(|by| meter.spec.group_by.get(by));
    let place = place.map(|place| format!(" by {place}")).unwrap_or_default();
    // Without a title of its own the meter's name stands above it already.
    let of = if shown.title.is_empty() { String::new() } else { format!(" of {}", meter.spec.name) };
    shown.sub = format!("{}{of}{place}, last {span}", meter.spec.aggregate.name());
    if shown.title.is_empty() {
        shown.title.clone_from(&meter.spec.name);
    }
    let question = MeterQuestion {
        unit: if widget.form == WidgetForm::Number { WindowUnit::Total } else { widget.window },
        zone: visit.look.zone.iana_name().unwrap_or("UTC").to_owned(),
        from_us: visit.now_us.saturating_sub(i64::from(widget.hours) * 3_600_000_000),
        to_us: visit.now_us,
        by: by.into_iter().collect(),
        groups_max: 20,
    };
    match visit.store().meter_values(meter, &question).await {
        Ok(values) => {
            let looks = if widget.form == WidgetForm::Bars { Looks::Bars } else { Looks::Lines };
            shown.drawn = Some(draw(meter, &values, looks));
        }
        Err(error) => shown.problem = error.to_string(),
    }
    shown
}

/// Adds, moves or takes away a widget; renames, shares.
pub(crate) async fn change(Path(id): Path<String>, posted: Posted) -> Result<Response, Trouble> {
    let Posted { visit, fields } = posted;
    let present = found(&visit, &id).await?;
    let mut new =
        NewDashboard { name: present.name.clone(), shared: present.shared, widgets: present.widgets.clone() };
    let act = fields.text("act").unwrap_or_default();
    let index = fields.text("index").and_then(|text| text.parse::<usize>().ok()).unwrap_or(usize::MAX);
    match act {
        "add" => match widget(&fields) {
            Ok(widget) => new.widgets.push(widget),
            Err(errors) => return page(&visit, present, errors).await,
        },
        "remove" if index < new.widgets.len() => drop(new.widgets.remove(index)),
        "earlier" if index > 0 && index < new.widgets.len() => new.widgets.swap(index - 1, index),
        "later" if index.saturating_add(1) < new.widgets.len() => new.widgets.swap(index, index + 1),
        "width" => {
            if let Some(widget) = new.widgets.get_mut(index) {
                widget.wide = !widget.wide;
            }
        }
        "settings" => {
            new.name = fields.owned("name").unwrap_or_default();
            new.shared = fields.has("shared");
        }
        _ => return Err(Refused::not_found().into()),
    }
    let at = at(&visit, &present, &fields);
    // Who works with the keyboard goes on where the widget is now.
    let goes_on = match act {
        "add" => new.widgets.len().checked_sub(1),
        "earlier" => Some(index - 1),
        "later" => Some(index.saturating_add(1)),
        "width" => Some(index),
        "remove" => Some(index.min(new.widgets.len().saturating_sub(1))),
        _ => None,
    };
    let goes_on = goes_on.map(|index| format!("#h-{index}")).unwrap_or_default();
    let permit = permit(&visit, present.shared || new.shared)?;
    match visit.store().change_dashboard(&permit, at, new, visit.now_us).await {
        Ok(_) => Ok(Redirect::to(&format!("/dashboards/{id}?edit=1&done=saved{goes_on}")).into_response()),
        Err(StoreError::Invalid(errors)) => page(&visit, present, Errors(errors)).await,
        Err(error) => Err(error.into()),
    }
}

pub(crate) async fn delete(Path(id): Path<String>, posted: Posted) -> Result<Response, Trouble> {
    let Posted { visit, fields } = posted;
    let present = found(&visit, &id).await?;
    let permit = permit(&visit, present.shared)?;
    visit.store().delete_dashboard(&permit, at(&visit, &present, &fields), visit.now_us).await?;
    Ok(Redirect::to("/dashboards?done=deleted").into_response())
}

fn at(visit: &Visit, present: &Dashboard, fields: &Fields) -> DashboardAt {
    let version = fields.text("version").and_then(|version| version.parse().ok());
    DashboardAt { tenant: visit.tenant(), id: present.id, version }
}

/// The widget that a form describes.
fn widget(fields: &Fields) -> Result<Widget, Errors> {
    let wrong = |field: &str, problem: &str| {
        Errors(vec![tollgate_core::field_error::FieldError::new(field, problem)])
    };
    let meter = fields.text("meter").unwrap_or_default();
    // `mtr_…` alone, or with the place of what it groups by: `mtr_….0`.
    let (meter, by) = meter.split_once('.').map_or((meter, None), |(meter, by)| (meter, by.parse().ok()));
    let meter: MeterId = meter.parse().map_err(|_| wrong("meter", "choose a meter"))?;
    let form = fields.text("form").and_then(WidgetForm::of);
    let window = fields.text("window").and_then(WindowUnit::of);
    let hours = fields.text("hours").and_then(|hours| hours.parse::<u32>().ok());
    Ok(Widget {
        meter,
        title: fields.owned("title").unwrap_or_default(),
        form: form.ok_or_else(|| wrong("form", "choose how it looks"))?,
        window: window.ok_or_else(|| wrong("window", "choose how long windows are"))?,
        hours: hours.ok_or_else(|| wrong("hours", "choose how far back it looks"))?,
        by,
        wide: fields.has("wide"),
    })
}
