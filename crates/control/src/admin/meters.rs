//! What meters counted. Meters themselves are resources like others.

use tollgate_core::{id::MeterId, meter::window::WindowUnit};
use tollgate_store::{MeterQuestion, MeterValue, MeterValues, MeterView};
use tollgate_wire::admin as wire;

use super::{answer::Answer, call::Call, moment::rfc3339};
use crate::problem::Refused;

/// The windows that can be asked for, as they are written.
pub(crate) const WINDOWS: &[&str] = &["minute", "hour", "day", "week", "month", "total"];
/// How far back values are given where nothing is said, microseconds.
const SPAN_US: i64 = 86_400_000_000;
/// Groups that are given where nothing is said.
const GROUPS: u32 = 50;

pub(crate) async fn values(call: Call) -> Result<Answer, Refused> {
    let meter = call.store().meter(call.tenant(), call.id::<MeterId>()?).await?;
    let question = question(&call, &meter)?;
    let values = call.store().meter_values(&meter, &question).await?;
    Answer::ok(&shown(&meter, &question, &values))
}

fn question(call: &Call, meter: &MeterView) -> Result<MeterQuestion, Refused> {
    let mut by = Vec::new();
    for word in call.query.words("group_by") {
        let own = meter.spec.group_by.iter().position(|own| own == word);
        let Some(index) = own.filter(|index| !by.contains(index)) else {
            let own = meter.spec.group_by.join(", ");
            let problem = match own.as_str() {
                "" => "this meter groups by nothing; leave it away".to_owned(),
                own => {
                    format!("`{word}` is none of what this meter groups by, or stands twice; there are {own}")
                }
            };
            return Err(Refused::invalid("group_by", problem));
        };
        by.push(index);
    }
    let to_us = call.query.moment_us("to", call.now_us).unwrap_or(call.now_us);
    Ok(MeterQuestion {
        unit: call.query.text("window").and_then(WindowUnit::of).unwrap_or(WindowUnit::Hour),
        zone: call.query.owned("time_zone").unwrap_or_else(|| "UTC".to_owned()),
        from_us: call.query.moment_us("from", call.now_us).unwrap_or_else(|| to_us.saturating_sub(SPAN_US)),
        to_us,
        by,
        groups_max: call.query.number("groups").unwrap_or(GROUPS) as usize,
    })
}

fn shown(meter: &MeterView, question: &MeterQuestion, values: &MeterValues) -> wire::MeterValues {
    let by = question.by.iter().filter_map(|index| meter.spec.group_by.get(*index).cloned());
    let groups = values.groups.iter().map(|group| wire::MeterGroup {
        words: group.words.clone().unwrap_or_default(),
        other: group.words.is_none(),
        values: group.values.iter().map(value).collect(),
        total: value(&group.total),
    });
    wire::MeterValues {
        meter: wire::Named { id: meter.id.to_string(), name: meter.spec.name.clone() },
        aggregate: meter.spec.aggregate.name().to_owned(),
        group_by: by.collect(),
        window: question.unit.name().to_owned(),
        time_zone: question.zone.clone(),
        windows: values.starts_us.iter().map(|start| rfc3339(*start)).collect(),
        values: values.values.iter().map(value).collect(),
        total: value(&values.total),
        groups: groups.collect(),
        groups_left: values.groups_left as u64,
        counts_from: rfc3339(meter.from_us),
        past: past(meter),
        other_events: meter.others,
        skipped_events: meter.skipped,
    }
}

fn past(meter: &MeterView) -> wire::MeterPast {
    let from = || Some(rfc3339(meter.from_us));
    let Some(past) = meter.past else {
        let state = wire::MeterPastState::None;
        return wire::MeterPast {
            state,
            share: 0.0,
            whole_from: from(),
            events: 0,
            left: 0,
            damaged: 0,
            unsummed: 0,
        };
    };
    let is_whole = past.is_done && past.damaged == 0 && past.unsummed == 0;
    wire::MeterPast {
        state: if past.is_done { wire::MeterPastState::Counted } else { wire::MeterPastState::Counting },
        share: past.percent() as f64 / 100.0,
        whole_from: if is_whole { None } else { from() },
        events: past.events,
        left: past.left,
        damaged: past.damaged,
        unsummed: past.unsummed,
    }
}

fn value(found: &MeterValue) -> wire::MeterValue {
    wire::MeterValue {
        value: found.value.map(tollgate_core::meter::number::Number::to_float),
        events: found.events,
        exact: found.is_exact,
    }
}
