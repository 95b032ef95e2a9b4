//! From a credential and the facts to a decision, for one token.
//!
//! Recognition is the pipeline's, the decision `core`'s; what is added here is the tenant: a key of
//! another tenant is a key that does not exist.

use std::rc::Rc;

use tollgate_core::{
    admit::{
        Case, Decision, admit,
        afford::{Afforded, Wish},
        screen,
    },
    code::Code,
    counters::Counters,
    facts::Facts,
    id::TenantId,
    keyring::KeyRecord,
    policy::Policy,
    resource::ServiceKind,
    tables::ServiceToken,
};
use tollgate_journal::Flags;

use super::ServiceApi;
use crate::{
    denial::Denial,
    lane::{account::Account, purse::Budgets, tables::LaneTables},
    pipeline::{
        admission::{policy_of, tenant_of},
        recognition::{NO_SUCH_KEY, Recognition},
    },
    request::credential::Presented,
};

/// A decision, with what it was made of.
pub(super) struct Decided {
    pub(super) known: Recognition,
    pub(super) tables: Rc<LaneTables>,
    pub(super) decision: Decision,
}

impl Decided {
    /// The key.
    pub(super) fn record(&self) -> &KeyRecord {
        &self.known.record
    }

    /// Its policy.
    pub(super) fn policy(&self) -> Option<&Policy> {
        policy_of(&self.tables, self.record())
    }

    /// The names of the key's tenant and project.
    pub(super) fn owner(&self) -> (&str, &str) {
        let tables = &self.tables.tables;
        let project = tables.projects.get(&self.record().project);
        let tenant = project.and_then(|project| tables.tenants.get(&project.tenant));
        (tenant.map_or("", |tenant| &tenant.name), project.map_or("", |project| &project.name))
    }
}

impl<C: Counters + 'static> ServiceApi<C> {
    /// Opens the account of a decision; its tenant is the token's until a key says more.
    pub(super) fn open(&self, ticket: tollgate_journal::Ticket, token: &ServiceToken) -> Box<Account<C>> {
        let mut account = Account::open(&self.gateway, ticket, self.gateway.now());
        account.note_flag(Flags::VERIFIED);
        account.entry.tenant = token.tenant.0;
        account
    }

    /// Decides. What the facts say of the bound host's addresses is filled in here.
    pub(super) async fn ask(
        &self,
        account: &mut Account<C>,
        token: &ServiceToken,
        presented: &Presented<'_>,
        facts: Facts<'_>,
    ) -> Result<Decided, Denial> {
        let gateway = &self.gateway;
        let now = account.opened();
        gateway.check_fresh(now)?;
        let known = gateway.recognise(presented, facts.address, now).await?;
        let tables = gateway.tables();
        let tenant = tenant_of(&tables, &known.record);
        if tenant != token.tenant.0 {
            return Err(gateway.bad_key(Code::KeyUnknown, NO_SUCH_KEY, facts.address, known.now));
        }
        account.note_key(&known.record, tenant);
        let policy = policy_of(&tables, &known.record);
        let bound_host_addresses = known.host.as_ref().and_then(|known| known.as_deref());
        let facts = Facts { bound_host_addresses, ..facts };
        let blocks = &tables.blocks;
        let case = Case { facts: &facts, record: &known.record, policy, blocks, now: known.now };
        let decision = match costs_money(&facts) {
            false => self.admit_beyond(case).await,
            true => self.admit_payer(case, &tables, TenantId(tenant)).await,
        };
        account.note_decision(&decision, policy);
        Ok(Decided { known, tables, decision })
    }

    /// Decides, and asks beyond this process where that is needed.
    async fn admit_beyond(&self, case: Case<'_>) -> Decision {
        let gateway = &self.gateway;
        let again = || admit(case, &*gateway.shared.counters);
        let decision = again();
        match decision.is_open() {
            false => decision,
            true => Box::pin(gateway.settled_beyond(decision, case.policy, case.now, again)).await,
        }
    }

    /// Decides about a call that costs money: a hard budget that has nothing left refuses it, before any
    /// limit counts it. What it may cost is not known here, so that nothing is reserved.
    async fn admit_payer(&self, case: Case<'_>, tables: &LaneTables, tenant: TenantId) -> Decision {
        let gateway = &self.gateway;
        let mut decision = screen(case);
        if decision.is_allowed() {
            let budgets = Budgets::of(&tables.tables, case.record, tenant, case.now.wall_us);
            match budgets.pay(gateway, Wish::Nothing).await {
                Ok(_nothing) => decision = self.admit_beyond(case).await,
                Err(refusal) => {
                    decision.note_afforded(&budgets.purses(), &Afforded::Refused(refusal));
                }
            }
        }
        decision
    }
}

/// Whether a call has a price: it names a model, or goes to a service of them.
fn costs_money(facts: &Facts<'_>) -> bool {
    facts.model.is_some() || facts.service.is_some_and(|service| service.spec.kind == ServiceKind::Llm)
}
