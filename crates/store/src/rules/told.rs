//! What people want told of rules: that one acted, that somebody is blocked, and is no longer.

use tollgate_core::{
    blocks::Block,
    id::{BlockId, ConsumerId, KeyId, ProjectId, RuleId, ServiceId, TenantId},
    notice::NoticeKind,
    rule::{
        spec::{RuleMode, Whose},
        watch::Subject,
    },
};

use super::acting::Fired;
use crate::notices::{Notice, moment};

/// That a rule acted, or would have.
pub(super) fn fired(fired: &Fired, now_us: i64) -> Notice {
    let rule = &fired.rule;
    let notice = about(NoticeKind::RuleFired, (fired.tenant, rule.project), fired.subject, now_us);
    let notice = notice
        .with("rule_id", RuleId(rule.id).to_string())
        .with("rule", &*rule.name)
        .with("observed", rule.mode == RuleMode::Observe)
        .with("action", rule.action.name())
        .with("reason", fired.words())
        .with("fired_at", moment(fired.at_us));
    match fired.until_us {
        Some(until_us) => notice.with("until", moment(until_us)),
        None => notice,
    }
}

/// That somebody was blocked.
pub(super) fn blocked(fired: &Fired, id: BlockId, now_us: i64) -> Notice {
    let rule = &fired.rule;
    let notice = about(NoticeKind::KeyBlocked, (fired.tenant, rule.project), fired.subject, now_us);
    let notice = Notice { service: rule.closes.or(notice.service), ..notice };
    let notice = notice
        .with("block_id", id.to_string())
        .with("rule_id", RuleId(rule.id).to_string())
        .with("rule", &*rule.name)
        .with("reason", fired.words());
    match fired.until_us {
        Some(until_us) => notice.with("until", moment(until_us)),
        None => notice,
    }
}

/// That a block has ended, by time or by whom.
pub(super) fn unblocked(block: &Block, by: &str, now_us: i64) -> Notice {
    let notice = about(NoticeKind::KeyUnblocked, (block.tenant, block.project), block.subject, now_us);
    let notice = Notice { service: block.service.or(notice.service), ..notice };
    notice
        .with("block_id", block.id.to_string())
        .with("rule_id", RuleId(block.rule).to_string())
        .with("rule", &*block.rule_name)
        .with("by", by)
}

fn about(
    kind: NoticeKind,
    (tenant, project): (TenantId, ProjectId),
    subject: Subject,
    now_us: i64,
) -> Notice {
    let notice = Notice { project: Some(project), ..Notice::new(kind, tenant, now_us) };
    let notice = match subject.whose {
        Whose::Key => Notice { key: Some(KeyId(subject.id)), ..notice },
        Whose::Consumer => Notice { consumer: Some(ConsumerId(subject.id)), ..notice },
        Whose::Service => Notice { service: Some(ServiceId(subject.id)), ..notice },
        Whose::Project => notice,
    };
    notice.with("whose", subject.whose.noun()).with("subject_id", subject.to_string())
}
