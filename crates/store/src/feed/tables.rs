//! The small tables on their way from rows to memory: read whole, compiled whole, swapped whole.

use std::{collections::HashMap, sync::Arc};

use sqlx::AnyConnection;
use tollgate_core::{
    budget::{Budget, held::HeldBudget, spec::BudgetMode},
    id::{BudgetId, ModelId, PolicyId, ProjectId, ServiceId, ServiceTokenId, TenantId},
    key::Digest,
    model::Model,
    money::{
        amount::Amount,
        price::Price,
        prices::{Prices, Written},
    },
    policy::{Policy, PolicyRow},
    route::Router,
    secret::Secret,
    service::{Service, ServiceRow},
    tables::{ById, EventType, Foreign, Project, ServiceToken, Tables, Tenant},
};

use crate::{
    error::StoreError,
    open::Store,
    resources::{BudgetRow, PriceRow, State, compiled_rules, from_json},
    secrets::{Place, decrypted},
    sql::{Columns as _, all, sql},
};

/// Reads and compiles them; `seq` is the last change that they hold.
pub(super) async fn load_tables(
    store: &Store,
    conn: &mut AnyConnection,
    seq: u64,
) -> Result<Tables, StoreError> {
    let state = State::load(conn).await?;
    let services = services(&state);
    let policies = policies(&state);
    Ok(Tables {
        tenants: state
            .tenants
            .iter()
            .map(|row| (row.id, Tenant { name: row.name.as_str().into() }))
            .collect(),
        projects: state
            .projects
            .iter()
            .map(|row| {
                let project = Project {
                    tenant: row.tenant,
                    name: row.name.as_str().into(),
                    key_prefix: row.key_prefix.as_str().into(),
                };
                (row.id, project)
            })
            .collect(),
        policies,
        router: Router::new(services.values().cloned()),
        services,
        service_tokens: service_tokens(conn).await?,
        foreign: foreign(store, conn).await?,
        prices: Arc::new(prices(&state.prices)),
        budgets: state.budgets.iter().map(held).collect(),
        secrets: decrypted(store, conn).await?,
        event_types: event_types(&state),
        models: models(&state),
        rules: compiled_rules(&state).into(),
        seq,
    })
}

fn services(state: &State) -> ById<ServiceId, Arc<Service>> {
    let mut services = ById::default();
    for row in &state.services {
        let Some(project) = state.project_by_id(row.project) else { continue };
        let id = ServiceId::from_sql(row.id);
        let meta = ServiceRow { id, project: row.project, tenant: project.tenant, version: row.version };
        match Service::compile(Arc::new(row.spec.clone()), meta) {
            Ok(service) => {
                services.insert(id, Arc::new(service));
            }
            // It was checked when it was written; another version of the program wrote it. Without
            // it requests get `no_service`, which is the safe side.
            Err(errors) => {
                tracing::error!(service = %row.spec.name, ?errors, "a stored service does not compile; it is left out");
            }
        }
    }
    services
}

fn policies(state: &State) -> ById<PolicyId, Arc<Policy>> {
    let named: HashMap<(u64, &str), ServiceId> = state
        .services
        .iter()
        .map(|row| ((row.project.0, row.spec.name.as_str()), ServiceId::from_sql(row.id)))
        .collect();
    let mut policies = ById::default();
    for row in &state.policies {
        let id = PolicyId::from_sql(row.id);
        let meta = PolicyRow { id, project: row.project, version: row.version };
        match Policy::compile(&row.spec, meta, |name| named.get(&(row.project.0, name)).copied()) {
            Ok(policy) => {
                policies.insert(id, Arc::new(policy));
            }
            // Keys of a policy that is not there are granted nothing, which is the safe side.
            Err(errors) => {
                tracing::error!(policy = %row.spec.name, ?errors, "a stored policy does not compile; it is left out");
            }
        }
    }
    policies
}

fn models(state: &State) -> HashMap<ModelId, Model> {
    let mut models = HashMap::with_capacity(state.models.len());
    for row in &state.models {
        let Some(project) = state.project_by_id(row.project) else { continue };
        let id = ModelId::from_sql(row.id);
        let (project, tenant, spec) = (row.project, project.tenant, Arc::new(row.spec.clone()));
        models.insert(id, Model { id, project, tenant, version: row.version, spec });
    }
    models
}

fn event_types(state: &State) -> HashMap<(ProjectId, Box<str>), Arc<EventType>> {
    let mut types: HashMap<(ProjectId, Box<str>), EventType> = HashMap::new();
    for row in &state.event_types {
        let known = types.entry((row.project, row.spec.name.as_str().into())).or_default();
        known.versions.insert(row.spec.version, row.spec.schema.as_str().into());
    }
    types.into_iter().map(|(name, known)| (name, Arc::new(known))).collect()
}

fn prices(rows: &[PriceRow]) -> Prices {
    let mut written = Written::new();
    for row in rows {
        match Price::compile(&row.spec) {
            Ok(_) => written.entry(row.tenant).or_default().push(row.spec.clone()),
            // It was checked when it was written. A model without a price is denied under a hard budget,
            // but one that an own price was meant for would cost the shipped one: somebody must look.
            Err(errors) => {
                tracing::error!(model = %row.spec.model, ?errors, "a stored price does not compile; it is left out");
            }
        }
    }
    Prices::compile(&written).unwrap_or_else(|errors| {
        tracing::error!(?errors, "the stored prices do not compile; those that Tollgate ships with count");
        Prices::default()
    })
}

fn held(row: &BudgetRow) -> HeldBudget {
    let budget = Budget::compile(&row.spec).unwrap_or_else(|errors| {
        // It was checked when it was written. Without it nothing would bound its holder.
        tracing::error!(budget = %row.name, ?errors, "a stored budget does not compile; nothing may be spent of it");
        Budget {
            currency: row.spec.currency,
            amount: Amount::ZERO,
            period: None,
            refill: None,
            thresholds: Box::default(),
            mode: BudgetMode::Hard,
        }
    });
    HeldBudget {
        id: BudgetId::from_sql(row.id),
        level: row.level,
        subject: row.subject as u64,
        holder: row.holder().into(),
        tenant: row.tenant,
        period: row.spec.period,
        budget,
    }
}

async fn service_tokens(conn: &mut AnyConnection) -> Result<HashMap<Digest, Arc<ServiceToken>>, StoreError> {
    let text = "SELECT digest, id, name, tenant, services FROM service_tokens WHERE revoked_us IS NULL";
    let mut tokens = HashMap::new();
    for row in all(sql(text), conn).await? {
        let services: Vec<ServiceId> = from_json(row.text(4)?)?;
        let token = ServiceToken {
            id: ServiceTokenId::from_sql(row.int(1)?),
            name: row.text(2)?.into(),
            tenant: TenantId::from_sql(row.int(3)?),
            services: services.into(),
        };
        tokens.insert(Digest(row.hash(0)?), Arc::new(token));
    }
    Ok(tokens)
}

/// Which shapes beside our own can be keys at all.
async fn foreign(store: &Store, conn: &mut AnyConnection) -> Result<Foreign, StoreError> {
    let mut schemes = Vec::new();
    for row in all(sql("SELECT scheme FROM imported_schemes WHERE secrets > 0"), conn).await? {
        schemes.push(row.int(0)?);
    }
    let mut hmacs = Vec::new();
    if schemes.contains(&3) {
        for row in all(sql("SELECT id, secret, sealed FROM hmac_secrets ORDER BY id"), conn).await? {
            hmacs.push(match row.int(2)? {
                // A store without a file of keys leaves what a former version wrote as it is.
                0 => Secret::new(row.blob(1)?.to_vec()),
                // Without it valid keys would be answered as unknown ones: rather nothing is known at all.
                _ => store.sealer(conn).await?.open(Place::Hmac(row.int(0)?), row.blob(1)?)?,
            });
        }
    }
    let mut slow_prefix_lens = Vec::new();
    for row in all(sql("SELECT DISTINCT prefix_bytes FROM slow_secrets ORDER BY prefix_bytes"), conn).await? {
        slow_prefix_lens.extend(u16::try_from(row.int(0)?));
    }
    let any = !schemes.is_empty() || !slow_prefix_lens.is_empty();
    Ok(Foreign { any, sha512: schemes.contains(&2), hmacs, slow_prefix_lens })
}
