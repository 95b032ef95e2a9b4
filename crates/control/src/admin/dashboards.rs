//! Dashboards: what somebody put together themselves, and what is shared with the tenant. Having one asks for no more
//! than seeing meters; sharing one, and changing what is shared, asks for the right to change resources.

use tollgate_core::{
    authz::{Action, Permit},
    field_error::FieldError,
    id::{DashboardId, MeterId},
};
use tollgate_store::{Dashboard, DashboardAt, NewDashboard, Widget, WidgetForm};
use tollgate_wire::admin as wire;

use super::{BASE, answer::Answer, call::Call};
use crate::problem::Refused;

pub(crate) async fn list(call: Call) -> Result<Answer, Refused> {
    let all = call.store().dashboards(call.tenant(), call.who.user).await?;
    Answer::part(all.into_iter().map(shown), &call.page())
}

pub(crate) async fn show(call: Call) -> Result<Answer, Refused> {
    let found = present(&call).await?;
    let version = found.version;
    Ok(Answer::ok(&shown(found))?.version(version))
}

pub(crate) async fn create(call: Call) -> Result<Answer, Refused> {
    let new = asked(&call)?;
    let permit = permit(&call, new.shared)?;
    let made = call.store().create_dashboard(&permit, call.tenant(), new, call.now_us).await?.value;
    let (version, location) = (made.version, format!("{BASE}/dashboards/{}", made.id));
    Ok(Answer::created(&shown(made), location)?.version(version))
}

pub(crate) async fn replace(call: Call) -> Result<Answer, Refused> {
    let (present, new) = (present(&call).await?, asked(&call)?);
    let permit = permit(&call, present.shared || new.shared)?;
    let at = DashboardAt { tenant: call.tenant(), id: present.id, version: call.expected_version()? };
    let done = call.store().change_dashboard(&permit, at, new, call.now_us).await?.value;
    let version = done.version;
    Ok(Answer::ok(&shown(done))?.version(version))
}

pub(crate) async fn delete(call: Call) -> Result<Answer, Refused> {
    let present = present(&call).await?;
    let permit = permit(&call, present.shared)?;
    let at = DashboardAt { tenant: call.tenant(), id: present.id, version: call.expected_version()? };
    call.store().delete_dashboard(&permit, at, call.now_us).await?;
    Ok(Answer::nothing())
}

async fn present(call: &Call) -> Result<Dashboard, Refused> {
    let id: DashboardId = call.id()?;
    Ok(call.store().dashboard((call.tenant(), call.who.user), id).await?)
}

fn permit(call: &Call, is_shared: bool) -> Result<Permit, Refused> {
    call.right(if is_shared { Action::ChangeResources } else { Action::UseOwnAccount })
}

fn asked(call: &Call) -> Result<NewDashboard, Refused> {
    let wire::DashboardChange { name, shared, widgets } = call.body()?;
    let mut errors = Vec::new();
    let mut read = Vec::with_capacity(widgets.len());
    for (index, widget) in widgets.into_iter().enumerate() {
        let Ok(meter) = widget.meter.parse::<MeterId>() else {
            let problem = "it is the id of no meter; list them with `GET /meters`";
            errors.push(FieldError::new(format!("widgets[{index}].meter"), problem));
            continue;
        };
        let wire::DashboardWidget { title, window, hours, by, wide, .. } = widget;
        read.push(Widget { meter, title, form: stored(widget.form), window, hours, by, wide });
    }
    if errors.is_empty() {
        Ok(NewDashboard { name, shared, widgets: read })
    } else {
        Err(Refused::Invalid(errors))
    }
}

fn shown(dashboard: Dashboard) -> wire::Dashboard {
    let widget = |widget: Widget| {
        let Widget { meter, title, form, window, hours, by, wide } = widget;
        wire::DashboardWidget {
            meter: meter.to_string(),
            title,
            form: written(form),
            window,
            hours,
            by,
            wide,
        }
    };
    wire::Dashboard {
        id: dashboard.id.to_string(),
        version: dashboard.version,
        name: dashboard.name,
        shared: dashboard.shared,
        owner: dashboard.owner.to_string(),
        widgets: dashboard.widgets.into_iter().map(widget).collect(),
    }
}

const fn stored(form: wire::DashboardForm) -> WidgetForm {
    match form {
        wire::DashboardForm::Line => WidgetForm::Line,
        wire::DashboardForm::Bars => WidgetForm::Bars,
        wire::DashboardForm::Number => WidgetForm::Number,
        wire::DashboardForm::Table => WidgetForm::Table,
    }
}

const fn written(form: WidgetForm) -> wire::DashboardForm {
    match form {
        WidgetForm::Line => wire::DashboardForm::Line,
        WidgetForm::Bars => wire::DashboardForm::Bars,
        WidgetForm::Number => wire::DashboardForm::Number,
        WidgetForm::Table => wire::DashboardForm::Table,
    }
}
