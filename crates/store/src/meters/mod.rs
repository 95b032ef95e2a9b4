//! What meters counted: each event once, in the transaction that says that it was counted.
//!
//! Records are counted by whoever moves the cursor of the sink `meters` over them; requests by the shipment
//! that takes them over. Both check that meters are still those that they counted for, so that a meter counts
//! from its creation on, neither twice nor not at all; what was there before is counted step by step ([`crate::past`]). Values are kept by minute, hour and
//! group, and merge into any window. What must never be here: where events come from.

mod count;
mod dashboards;
mod retention;
mod set;
mod values;
mod views;
mod write;

pub(crate) use count::{Request, record, request, shipped};
pub use dashboards::{Dashboard, DashboardAt, NewDashboard, WIDGETS_MAX, Widget, WidgetForm};
pub use set::Meters;
pub(crate) use set::{hold_version, is_same, load_set, load_set_of};
pub use values::{GROUPS_SHOWN_MAX, GroupValues, MeterQuestion, MeterValue, MeterValues};
pub use views::{MeterFilter, MeterPast, MeterView};
pub(crate) use write::write_tally;
