//! Every endpoint of the admin API with the permission that it asks for. The router, the OpenAPI
//! document and the page of permissions are made from this table and from nothing else.

use tollgate_core::authz::Action;
use tollgate_store::Entity;

use super::{
    budgets, dashboards, documents,
    endpoint::{Endpoint, Gives, Method},
    events, invoice, jobs, keys, members, meters, models,
    params::{
        APPLY, BLOCKS, DELIVERIES, EXTERNAL, FIRINGS, INVOICE, KEYS, METER, NAMES, NOTICES, ORDER, PAGE,
        PARKED, PRICES, PROJECT, REVOKE, SEARCH, SELECT, SUBJECT, TIMES, USAGE, WAIT,
    },
    prices, records, resources, rules, secrets, status, tokens, trail, usage, webhooks,
};

/// Makes a handler of an asynchronous function.
macro_rules! to {
    ($handler:path) => {
        |call| Box::pin($handler(call))
    };
    ($handler:path, $kind:ident) => {
        |call| Box::pin($handler(call, Entity::$kind))
    };
}

use Action::{
    ChangeBlocks, ChangeKeys, ChangeMembers, ChangeProviderCredentials, ChangeResources, ChangeServiceTokens,
    ExportAudit, ExportEverything, ReadAudit, ReadAutomation, ReadBudgets, ReadConsumers, ReadEvents,
    ReadInvitations, ReadKeys, ReadMembers, ReadPolicies, ReadProjects, ReadProviderCredentials,
    ReadServiceTokens, ReadServices, ReadSystem, ReadTenant, ReadUsage, RotateKeys, TendKeys,
};
use Method::{Delete, Get, Patch, Post, Put};

const fn on(
    method: Method,
    path: &'static str,
    action: Action,
    handler: super::endpoint::Handler,
    summary: &'static str,
) -> Endpoint {
    Endpoint::new(method, path, action, handler, summary)
}

/// The endpoints.
pub(crate) const ENDPOINTS: &[Endpoint] = &[
    on(Get, "/tenants", ReadTenant, to!(resources::list_tenants), "List tenants")
        .about("A session belongs to one tenant, so there is one. Tenants are made on the host, with `tollgate apply`.")
        .gives(Gives::List("Tenant")),
    on(Get, "/tenants/{id}", ReadTenant, to!(resources::show_tenant), "Show a tenant")
        .gives(Gives::One(200, "Tenant"))
        .tagged(),
    on(Get, "/projects", ReadProjects, to!(resources::list, Project), "List projects")
        .query(&[PAGE, NAMES])
        .gives(Gives::List("Project")),
    on(Post, "/projects", ChangeResources, to!(resources::create, Project), "Create a project")
        .takes("NewProject")
        .gives(Gives::One(201, "Project"))
        .tagged(),
    on(Get, "/projects/{id}", ReadProjects, to!(resources::show, Project), "Show a project")
        .gives(Gives::One(200, "Project"))
        .tagged(),
    on(Put, "/projects/{id}", ChangeResources, to!(resources::replace, Project), "Replace a project")
        .takes("ProjectChange")
        .gives(Gives::One(200, "Project"))
        .tagged()
        .guarded(),
    on(Delete, "/projects/{id}", ChangeResources, to!(resources::delete, Project), "Delete a project")
        .about("Only one that is empty and never had keys.")
        .guarded(),
    on(Get, "/services", ReadServices, to!(resources::list, Service), "List services")
        .query(&[PAGE, PROJECT, NAMES])
        .gives(Gives::List("Service")),
    on(Post, "/services", ChangeResources, to!(resources::create, Service), "Create a service")
        .takes("ServiceSpec")
        .gives(Gives::One(201, "Service"))
        .tagged(),
    on(Get, "/services/{id}", ReadServices, to!(resources::show, Service), "Show a service")
        .gives(Gives::One(200, "Service"))
        .tagged(),
    on(Put, "/services/{id}", ChangeResources, to!(resources::replace, Service), "Replace a service")
        .about("Its name and project stay: they tell it from others.")
        .takes("ServiceSpec")
        .gives(Gives::One(200, "Service"))
        .tagged()
        .guarded(),
    on(Delete, "/services/{id}", ChangeResources, to!(resources::delete, Service), "Delete a service")
        .about("Only one that no policy names.")
        .guarded(),
    on(Get, "/policies", ReadPolicies, to!(resources::list, Policy), "List policies")
        .query(&[PAGE, PROJECT, NAMES])
        .gives(Gives::List("Policy")),
    on(Post, "/policies", ChangeResources, to!(resources::create, Policy), "Create a policy")
        .takes("PolicySpec")
        .gives(Gives::One(201, "Policy"))
        .tagged(),
    on(Get, "/policies/{id}", ReadPolicies, to!(resources::show, Policy), "Show a policy")
        .gives(Gives::One(200, "Policy"))
        .tagged(),
    on(Put, "/policies/{id}", ChangeResources, to!(resources::replace, Policy), "Replace a policy")
        .about("Its name and project stay: they tell it from others.")
        .takes("PolicySpec")
        .gives(Gives::One(200, "Policy"))
        .tagged()
        .guarded(),
    on(Delete, "/policies/{id}", ChangeResources, to!(resources::delete, Policy), "Delete a policy")
        .about("Only one that no key has that is not revoked.")
        .guarded(),
    on(Get, "/consumers", ReadConsumers, to!(resources::list, Consumer), "List consumers")
        .query(&[PAGE, PROJECT, NAMES, EXTERNAL])
        .gives(Gives::List("Consumer")),
    on(Post, "/consumers", ChangeResources, to!(resources::create, Consumer), "Create a consumer")
        .takes("ConsumerSpec")
        .gives(Gives::One(201, "Consumer"))
        .tagged(),
    on(Get, "/consumers/{id}", ReadConsumers, to!(resources::show, Consumer), "Show a consumer")
        .gives(Gives::One(200, "Consumer"))
        .tagged(),
    on(Put, "/consumers/{id}", ChangeResources, to!(resources::replace, Consumer), "Replace a consumer")
        .about("Its name and project stay: they tell it from others.")
        .takes("ConsumerSpec")
        .gives(Gives::One(200, "Consumer"))
        .tagged()
        .guarded(),
    on(Delete, "/consumers/{id}", ChangeResources, to!(resources::delete, Consumer), "Delete a consumer")
        .about("Only one without keys that are not revoked.")
        .guarded(),
    on(Get, "/budgets", ReadBudgets, to!(budgets::list), "List budgets")
        .about("With what is spent in the present period.")
        .query(&[PAGE, PROJECT, SEARCH])
        .gives(Gives::List("Budget")),
    on(Post, "/budgets", ChangeResources, to!(budgets::create), "Create a budget")
        .about("Holder, currency and period tell it from others.")
        .takes("BudgetSpec")
        .gives(Gives::One(201, "Budget"))
        .tagged(),
    on(Get, "/budgets/{id}", ReadBudgets, to!(budgets::show), "Show a budget")
        .gives(Gives::One(200, "Budget"))
        .tagged(),
    on(Put, "/budgets/{id}", ChangeResources, to!(budgets::replace), "Replace a budget")
        .about("Its holder, currency and period stay: they tell it from others.")
        .takes("BudgetSpec")
        .gives(Gives::One(200, "Budget"))
        .tagged()
        .guarded(),
    on(Delete, "/budgets/{id}", ChangeResources, to!(budgets::delete), "Delete a budget")
        .about("Nothing bounds its holder by it any more. What was spent stays in the ledger.")
        .guarded(),
    on(Post, "/budgets/{id}/funding", ChangeResources, to!(budgets::fund), "Bring funds into a budget")
        .about("Into its present period, or with an amount below zero free ones out of it; with a reason, which is kept.")
        .takes("NewFunding")
        .gives(Gives::One(200, "Budget")),
    on(Get, "/accounts/{id}/entries", ReadBudgets, to!(budgets::entries), "List entries of the ledger")
        .about("Of one budget in one period, oldest first. The entries of a transfer sum up to zero.")
        .query(&[PAGE])
        .gives(Gives::List("LedgerEntry")),
    on(Get, "/prices", ReadBudgets, to!(prices::list), "List prices")
        .about("Own ones, then the operator's, then those that Tollgate ships with; each in all its versions.")
        .query(&[PAGE, PRICES])
        .gives(Gives::List("Price")),
    on(Post, "/prices", ChangeResources, to!(prices::create), "Add a price, or a version of one")
        .about("For calls of the own tenant. Without `effective_from` it holds from now on; what it replaces stays to be looked at.")
        .takes("PriceSpec")
        .gives(Gives::One(201, "Price"))
        .tagged(),
    on(Get, "/prices/{id}", ReadBudgets, to!(prices::show), "Show a price")
        .gives(Gives::One(200, "Price"))
        .tagged(),
    on(Delete, "/prices/{id}", ChangeResources, to!(prices::end), "End a price")
        .about("It counts no more from now on, and stays to be looked at.")
        .guarded(),
    on(Get, "/meters", ReadAutomation, to!(resources::list, Meter), "List meters")
        .query(&[PAGE, PROJECT, NAMES])
        .gives(Gives::List("Meter")),
    on(Post, "/meters", ChangeResources, to!(resources::create, Meter), "Create a meter")
        .about("It counts from now on.")
        .takes("MeterSpec")
        .gives(Gives::One(201, "Meter"))
        .tagged(),
    on(Get, "/meters/{id}", ReadAutomation, to!(resources::show, Meter), "Show a meter")
        .gives(Gives::One(200, "Meter"))
        .tagged(),
    on(Put, "/meters/{id}", ChangeResources, to!(resources::replace, Meter), "Replace a meter")
        .about("Its name and project stay. What it counted so far is forgotten, and it counts anew.")
        .takes("MeterSpec")
        .gives(Gives::One(200, "Meter"))
        .tagged()
        .guarded(),
    on(Delete, "/meters/{id}", ChangeResources, to!(resources::delete, Meter), "Delete a meter")
        .about("With all that it counted.")
        .guarded(),
    on(Get, "/meters/{id}/values", ReadAutomation, to!(meters::values), "Show what a meter counted")
        .about("By window and group: whole windows, from the one that holds `from` (a day ago when not said) to the one \
            that holds the last moment before `to` (now when not said).")
        .query(&[TIMES, METER])
        .gives(Gives::One(200, "MeterValues")),
    on(Get, "/dashboards", ReadAutomation, to!(dashboards::list), "List dashboards")
        .about("Own ones and those that are shared with the tenant, by name.")
        .query(&[PAGE])
        .gives(Gives::List("Dashboard")),
    on(Post, "/dashboards", ReadAutomation, to!(dashboards::create), "Create a dashboard")
        .about("Of whoever calls. Sharing it with the tenant needs `resources.change`.")
        .takes("DashboardChange")
        .gives(Gives::One(201, "Dashboard"))
        .tagged(),
    on(Get, "/dashboards/{id}", ReadAutomation, to!(dashboards::show), "Show a dashboard")
        .gives(Gives::One(200, "Dashboard"))
        .tagged(),
    on(Put, "/dashboards/{id}", ReadAutomation, to!(dashboards::replace), "Replace a dashboard")
        .about("An own one; one that is shared, or is to be, needs `resources.change`.")
        .takes("DashboardChange")
        .gives(Gives::One(200, "Dashboard"))
        .tagged()
        .guarded(),
    on(Delete, "/dashboards/{id}", ReadAutomation, to!(dashboards::delete), "Delete a dashboard")
        .about("An own one; one that is shared needs `resources.change`.")
        .guarded(),
    on(Get, "/rules", ReadAutomation, to!(resources::list, Rule), "List rules")
        .query(&[PAGE, PROJECT, NAMES])
        .gives(Gives::List("Rule")),
    on(Post, "/rules", ChangeResources, to!(resources::create, Rule), "Create a rule")
        .takes("RuleSpec")
        .gives(Gives::One(201, "Rule"))
        .tagged(),
    on(Get, "/rules/{id}", ReadAutomation, to!(resources::show, Rule), "Show a rule")
        .gives(Gives::One(200, "Rule"))
        .tagged(),
    on(Put, "/rules/{id}", ChangeResources, to!(resources::replace, Rule), "Replace a rule")
        .about("Its name and project stay: they tell it from others.")
        .takes("RuleSpec")
        .gives(Gives::One(200, "Rule"))
        .tagged()
        .guarded(),
    on(Delete, "/rules/{id}", ChangeResources, to!(resources::delete, Rule), "Delete a rule")
        .about("What it has blocked stays blocked until its time, or until somebody lifts it.")
        .guarded(),
    on(Get, "/rule-firings", ReadAutomation, to!(rules::firings), "List what rules did")
        .about("Or would have done, where they only observe. Newest first.")
        .query(&[PAGE, FIRINGS])
        .gives(Gives::List("RuleFiring")),
    on(Get, "/blocks", ReadKeys, to!(rules::blocks), "List blocks of rules")
        .about("Newest first.")
        .query(&[PAGE, BLOCKS])
        .gives(Gives::List("Block")),
    on(Post, "/blocks/{id}/lift", ChangeBlocks, to!(rules::lift), "Lift a block")
        .about("The rule that set it begins anew with whom it blocked.")
        .gives(Gives::One(200, "Block")),
    on(Get, "/webhooks", ReadAutomation, to!(webhooks::list), "List webhooks")
        .query(&[PAGE])
        .gives(Gives::List("Webhook")),
    on(Post, "/webhooks", ChangeResources, to!(webhooks::create), "Create a webhook")
        .about("The answer has its secret, which is shown nowhere else. Project, tenant and address tell one from another.")
        .takes("WebhookSpec")
        .gives(Gives::One(201, "WebhookSecret"))
        .tagged(),
    on(Get, "/webhooks/{id}", ReadAutomation, to!(webhooks::show), "Show a webhook")
        .gives(Gives::One(200, "Webhook"))
        .tagged(),
    on(Put, "/webhooks/{id}", ChangeResources, to!(webhooks::replace), "Replace what a webhook says")
        .about("Its project, tenant and address stay: they tell it from others.")
        .takes("WebhookSpec")
        .gives(Gives::One(200, "Webhook"))
        .tagged()
        .guarded(),
    on(Delete, "/webhooks/{id}", ChangeResources, to!(webhooks::delete), "Delete a webhook")
        .about("With its secrets and what is on its way.")
        .guarded(),
    on(Post, "/webhooks/{id}/rotate", ChangeResources, to!(webhooks::rotate), "Give a webhook another secret")
        .about("The answer has it, and nothing else ever. Deliveries are signed with the former one too, for a while.")
        .takes("WebhookRotation")
        .gives(Gives::One(200, "WebhookSecret")),
    on(Post, "/webhooks/{id}/test", ChangeResources, to!(webhooks::test), "Send an example to a webhook")
        .gives(Gives::One(200, "WebhookTest")),
    on(Post, "/webhooks/{id}/resume", ChangeResources, to!(webhooks::resume), "Send to a webhook again")
        .about("That was switched off because its receiver failed.")
        .gives(Gives::One(200, "Webhook")),
    on(Get, "/webhooks/{id}/deliveries", ReadAutomation, to!(webhooks::deliveries), "List deliveries")
        .about("Newest first.")
        .query(&[PAGE, DELIVERIES])
        .gives(Gives::List("Delivery")),
    on(Post, "/webhooks/{id}/replay", ChangeResources, to!(webhooks::replay), "Send deliveries again")
        .about("One, or all that were given up since a moment; with the same ids.")
        .takes("WebhookReplay")
        .gives(Gives::One(200, "WebhookReplayed")),
    on(Get, "/notices", ReadEvents, to!(webhooks::notices), "List what happened that webhooks are told")
        .about("Newest first.")
        .query(&[PAGE, NOTICES])
        .gives(Gives::List("Notice")),
    on(Get, "/event-types", ReadAutomation, to!(records::types), "List types of events")
        .about("With their schemas, by project, name and version.")
        .query(&[PROJECT])
        .gives(Gives::List("EventType")),
    on(Post, "/event-types", ChangeResources, to!(records::register), "Register a version of a type of events")
        .about("Or change one that is there. From then on records of the type are held against it.")
        .takes("NewEventType")
        .gives(Gives::One(201, "EventType")),
    on(Post, "/event-types/try", ReadAutomation, to!(records::attempt), "Hold a record against a type")
        .about("Keeps nothing.")
        .takes("RecordTrial")
        .gives(Gives::One(200, "RecordVerdict")),
    on(Get, "/parked-events", ReadAutomation, to!(records::parked), "List records that a sink did not take")
        .about("With the reason; the oldest first, at most a thousand.")
        .query(&[PARKED])
        .gives(Gives::List("ParkedEvent")),
    on(Post, "/parked-events/{id}/retry", ChangeResources, to!(records::retry), "Have a record sent again")
        .about("And those of the tenant that wait for it.")
        .gives(Gives::One(200, "ParkedEvent")),
    on(Post, "/parked-events/{id}/skip", ChangeResources, to!(records::skip), "Leave a record out")
        .about("The sink never gets it; those that wait for it go on.")
        .gives(Gives::One(200, "ParkedEvent")),
    on(Get, "/secrets", ReadProviderCredentials, to!(secrets::list), "List secrets")
        .about("Never what they are: nothing gives that back.")
        .query(&[PAGE])
        .gives(Gives::List("Secret")),
    on(Post, "/secrets", ChangeProviderCredentials, to!(secrets::set), "Set a secret")
        .about("New, or in place of the one of this name. Services send it with `credential = { secret = … }`.")
        .takes("NewSecret")
        .gives(Gives::One(201, "Secret"))
        .tagged(),
    on(Get, "/secrets/{id}", ReadProviderCredentials, to!(secrets::show), "Show a secret, without what it is")
        .gives(Gives::One(200, "Secret"))
        .tagged(),
    on(Delete, "/secrets/{id}", ChangeProviderCredentials, to!(secrets::remove), "Remove a secret")
        .about("Only one that no service sends.")
        .guarded(),
    on(Post, "/apply", ChangeResources, to!(documents::apply), "Apply a document of resources")
        .about("Creates and updates what differs, in one transaction; nothing is changed when anything is wrong.")
        .query(&[APPLY])
        .takes("Resources")
        .gives(Gives::One(200, "ApplyPlan")),
    on(Get, "/export", ExportEverything, to!(documents::export), "Export all resources")
        .about("No secrets. Applying it changes nothing.")
        .gives(Gives::One(200, "Resources")),
    on(Get, "/keys", ReadKeys, to!(keys::list), "List keys")
        .about("Newest first.")
        .query(&[PAGE, PROJECT, KEYS])
        .gives(Gives::List("Key")),
    on(Post, "/keys", TendKeys, to!(keys::create), "Create a key")
        .about("The whole key is in this answer and nowhere else. A developer creates keys with a policy that the consumer holds already.")
        .takes("NewKey")
        .gives(Gives::One(201, "CreatedKey"))
        .tagged(),
    on(Post, "/keys/bulk", ChangeKeys, to!(keys::create_many), "Create many keys")
        .about("All or none. The whole keys are in this answer and nowhere else.")
        .takes("NewKeys")
        .gives(Gives::One(201, "CreatedKeys")),
    on(Get, "/keys/{id}", ReadKeys, to!(keys::show), "Show a key")
        .about("With its secrets as far as they may be shown: which are valid, until when, last used when and from where.")
        .gives(Gives::One(200, "KeyWithSecrets"))
        .tagged(),
    on(Patch, "/keys/{id}", ChangeKeys, to!(keys::change), "Change a key")
        .about("Its name, policy, expiry, metadata. What the body does not have stays; `null` takes away.")
        .takes("KeyChange")
        .gives(Gives::One(200, "Key"))
        .tagged()
        .guarded(),
    on(Post, "/keys/{id}/disable", TendKeys, to!(keys::disable), "Switch a key off")
        .gives(Gives::One(200, "Key"))
        .tagged(),
    on(Post, "/keys/{id}/enable", ChangeKeys, to!(keys::enable), "Switch a key on")
        .gives(Gives::One(200, "Key"))
        .tagged(),
    on(Post, "/keys/{id}/expire", ChangeKeys, to!(keys::expire), "Let a key expire now")
        .gives(Gives::One(200, "Key"))
        .tagged(),
    on(Post, "/keys/{id}/revoke", TendKeys, to!(keys::revoke), "Revoke a key for good")
        .query(&[REVOKE])
        .gives(Gives::One(200, "RevokedKey"))
        .tagged(),
    on(Post, "/keys/{id}/rotate", RotateKeys, to!(keys::rotate), "Give a key a new secret")
        .about("The id stays. The whole key is in this answer and nowhere else; the present secret stays valid for the overlap.")
        .takes("Rotate")
        .gives(Gives::One(200, "CreatedKey")),
    on(Get, "/jobs", ReadKeys, to!(jobs::list), "List jobs")
        .query(&[PAGE])
        .gives(Gives::List("Job")),
    on(Post, "/jobs", ChangeKeys, to!(jobs::start), "Change many keys")
        .about("Revokes, switches or tags the keys that the selection finds, some hundreds at a time. Ask the job how far it is; it goes on where it was when its process ends. Each key is changed once, with the job in its audit entry.")
        .takes("NewJob")
        .gives(Gives::One(202, "Job")),
    on(Post, "/jobs/preview", ChangeKeys, to!(jobs::preview), "Count what a job would be about")
        .about("Changes nothing: how many keys the selection finds, and who used them within the last day.")
        .takes("KeySelection")
        .gives(Gives::One(200, "JobPreview")),
    on(Get, "/jobs/{id}", ReadKeys, to!(jobs::show), "Show a job").gives(Gives::One(200, "Job")),
    on(Delete, "/jobs/{id}", ChangeKeys, to!(jobs::cancel), "Cancel a job")
        .about("What it has changed stays.")
        .gives(Gives::One(200, "Job")),
    on(Get, "/service-tokens", ReadServiceTokens, to!(tokens::list), "List service tokens")
        .query(&[PAGE])
        .gives(Gives::List("ServiceToken")),
    on(Post, "/service-tokens", ChangeServiceTokens, to!(tokens::create), "Create a service token")
        .about("The whole token is in this answer and nowhere else.")
        .takes("NewServiceToken")
        .gives(Gives::One(201, "CreatedServiceToken")),
    on(Get, "/service-tokens/{id}", ReadServiceTokens, to!(tokens::show), "Show a service token")
        .gives(Gives::One(200, "ServiceToken")),
    on(Delete, "/service-tokens/{id}", ChangeServiceTokens, to!(tokens::revoke), "Revoke a service token for good"),
    on(Get, "/events", ReadEvents, to!(events::list), "List events")
        .query(&[PAGE, SELECT, TIMES, ORDER, WAIT])
        .gives(Gives::List("Event")),
    on(Get, "/events/count", ReadEvents, to!(events::count), "Count events")
        .query(&[SELECT, TIMES, WAIT])
        .gives(Gives::One(200, "EventCount")),
    on(Get, "/events/{id}", ReadEvents, to!(events::show), "Show an event with its trace of checks")
        .gives(Gives::One(200, "EventDetail")),
    on(Get, "/usage", ReadUsage, to!(usage::show), "Sum usage")
        .query(&[USAGE, PROJECT, SELECT, TIMES, WAIT])
        .gives(Gives::Or("Usage", "text/csv")),
    on(Get, "/usage/invoice", ReadUsage, to!(invoice::show), "Sum a month up for bills")
        .query(&[INVOICE, WAIT])
        .gives(Gives::Or("Invoices", "text/csv")),
    on(Get, "/audit", ReadAudit, to!(trail::list), "List the audit")
        .about("Newest first.")
        .query(&[PAGE, SUBJECT, TIMES])
        .gives(Gives::List("AuditEntry")),
    on(Get, "/audit/verify", ReadAudit, to!(trail::verify), "Verify the chain of the audit")
        .gives(Gives::One(200, "AuditVerdict")),
    on(Get, "/audit/export", ExportAudit, to!(trail::export), "Export the audit")
        .about("A line of JSON for each change, newest first.")
        .query(&[SUBJECT, TIMES])
        .gives(Gives::Lines("AuditEntry")),
    on(Get, "/members", ReadMembers, to!(members::list), "List members")
        .query(&[PAGE])
        .gives(Gives::List("Member")),
    on(Get, "/members/{id}", ReadMembers, to!(members::show), "Show a member")
        .gives(Gives::One(200, "Member"))
        .tagged(),
    on(Patch, "/members/{id}", ChangeMembers, to!(members::change), "Give a member another role")
        .about("Making and unmaking owners needs `owners.change`; the last owner stays. Their sessions in the tenant end.")
        .takes("MemberChange")
        .gives(Gives::One(200, "Member"))
        .tagged()
        .guarded(),
    on(Put, "/members/{id}/consumers", ChangeMembers, to!(members::map), "Map a member to consumers")
        .about("To these and no others; what a developer or a member is limited to.")
        .takes("MemberConsumers")
        .gives(Gives::One(200, "Member"))
        .tagged()
        .guarded(),
    on(Delete, "/members/{id}", ChangeMembers, to!(members::remove), "Remove a member")
        .about("The account stays. Removing owners needs `owners.change`; the last owner stays.")
        .guarded(),
    on(Post, "/members/{id}/reset", ChangeMembers, to!(members::reset), "Make a link for a new password")
        .about("It is mailed where mail is set up. Else it is in this answer and nowhere else, to be handed over: for owners it needs `owners.change`, and it is not made for oneself nor for accounts of other tenants.")
        .gives(Gives::One(201, "CreatedReset")),
    on(Get, "/invitations", ReadInvitations, to!(members::list_invitations), "List open invitations")
        .gives(Gives::List("Invitation")),
    on(Post, "/invitations", ChangeMembers, to!(members::create_invitation), "Invite somebody")
        .about("The link is in this answer, and in the mail where mail is set up. Inviting owners needs `owners.change`.")
        .takes("NewInvitation")
        .gives(Gives::One(201, "CreatedInvitation")),
    on(Delete, "/invitations/{id}", ChangeMembers, to!(members::revoke_invitation), "Take an invitation back"),
    on(Get, "/models", ReadServices, to!(models::list), "List versions of models")
        .about("Those that are registered, whether they take requests on the node that answers, and how that went since it started.")
        .query(&[PAGE, PROJECT, SEARCH])
        .gives(Gives::List("Model")),
    on(Post, "/models", ChangeResources, to!(models::create), "Register a version of a model")
        .about("One that lives on a server of its own, as `remote`. Files of the host are named by its operator only, with `tollgate apply` there.")
        .takes("ModelSpec")
        .gives(Gives::One(201, "Model"))
        .tagged(),
    on(Get, "/models/{id}", ReadServices, to!(models::show), "Show a version of a model")
        .gives(Gives::One(200, "Model"))
        .tagged(),
    on(Put, "/models/{id}", ChangeResources, to!(models::replace), "Replace what a version of a model says")
        .about("Its project, name, version and file stay. A new sample is tried on the file first, and refused where the file does not answer it.")
        .takes("ModelSpec")
        .gives(Gives::One(200, "Model"))
        .tagged()
        .guarded(),
    on(Delete, "/models/{id}", ChangeResources, to!(models::delete), "Take a version of a model away")
        .about("Requests that found it are answered by it. Its file stays where it is.")
        .guarded(),
    on(Post, "/models/{id}/aliases", ChangeResources, to!(models::give_alias), "Give a version of a model an alias")
        .about("Another version of the model that has it loses it, at the same moment. To take one away, replace the version without it.")
        .takes("NewModelAlias")
        .gives(Gives::One(200, "Model"))
        .tagged(),
    on(Get, "/status", ReadSystem, to!(status::show), "How the node is")
        .gives(Gives::One(200, "Status")),
];
