//! Blocks of rules, lifted by people, and what rules did. Rules themselves are resources like others.

use tollgate_core::id::{BlockId, KeyId, RuleId};
use tollgate_store::{BlockFilter, BlockView, FiringFilter, FiringView, SubjectView};
use tollgate_wire::admin as wire;

use super::{answer::Answer, call::Call, moment::rfc3339, view::named};
use crate::problem::Refused;

pub(crate) async fn blocks(call: Call) -> Result<Answer, Refused> {
    let filter = BlockFilter {
        scope: Some(call.scope()),
        held: (!call.query.flag("ended")).then_some(true),
        key: call.query.text("key_id").map(str::parse::<KeyId>).transpose().map_err(no_id)?,
        rule: call.query.text("rule").map(str::parse::<RuleId>).transpose().map_err(no_id)?,
    };
    let page = call.store().list_blocks(&filter, &call.page()).await?;
    Answer::ok(&wire::List { items: page.items.into_iter().map(block).collect(), next: page.next })
}

pub(crate) async fn lift(call: Call) -> Result<Answer, Refused> {
    let done = call.store().lift_block(&call.permit, call.id::<BlockId>()?, call.now_us).await?;
    call.known_here(done.seq).await;
    Answer::ok(&block(done.value))
}

pub(crate) async fn firings(call: Call) -> Result<Answer, Refused> {
    let rule = call.query.text("rule").map(str::parse::<RuleId>).transpose().map_err(no_id)?;
    let filter = FiringFilter { tenant: Some(call.tenant()), rule };
    let page = call.store().list_firings(&filter, &call.page()).await?;
    Answer::ok(&wire::List { items: page.items.into_iter().map(firing).collect(), next: page.next })
}

fn no_id(error: tollgate_core::id::IdError) -> Refused {
    Refused::NotFound(error.to_string())
}

fn subject(view: SubjectView) -> wire::RuleSubject {
    wire::RuleSubject { kind: view.whose.noun().to_owned(), id: view.id, name: view.name }
}

fn block(view: BlockView) -> wire::Block {
    wire::Block {
        id: view.id.to_string(),
        project: named(&view.project),
        rule: wire::Named { id: view.rule.to_string(), name: view.rule_name },
        subject: subject(view.subject),
        service: view.service.as_ref().map(named),
        from: rfc3339(view.from_us),
        until: view.until_us.map(rfc3339),
        reason: view.reason,
        ended_at: view.ended_us.map(rfc3339),
        ended_by: view.ended_by,
    }
}

fn firing(view: FiringView) -> wire::RuleFiring {
    wire::RuleFiring {
        project: named(&view.project),
        rule: wire::Named { id: view.rule.to_string(), name: view.rule_name },
        observed: view.observed,
        action: view.action.name().to_owned(),
        subject: subject(view.subject),
        at: rfc3339(view.at_us),
        until: view.until_us.map(rfc3339),
        reason: view.words,
    }
}
