//! `tollgate ledger …` and `tollgate budgets …`: what budgets have, and why.

use serde::Serialize;
use serde_json::json;
use tollgate_core::{
    authz::Action,
    id::{AccountId, BudgetId},
    money::amount::{Amount, Currency},
};
use tollgate_store::{
    AccountFilter, AccountRow, EntryRow, Forgiveness, Funding, Lease, Moved, PageRequest, Reconciled, Store,
    TransferId,
};

use super::recorded;
use crate::{
    cli::{AdjustArgs, BudgetsCommand, LedgerCommand, time::rfc3339},
    context::Context,
    data_dir,
    failure::Failure,
    print,
};

/// Accounts that one list shows.
const ACCOUNTS_MAX: usize = 10_000;

#[derive(Serialize)]
struct ShownAccount {
    account: AccountId,
    budget: BudgetId,
    holder: String,
    level: &'static str,
    currency: String,
    mode: &'static str,
    from: String,
    to: Option<String>,
    funded: String,
    reserved: String,
    spent: String,
    overrun: String,
    free: String,
}

#[derive(Serialize)]
struct ShownLease {
    node: String,
    boot: String,
    holds: String,
    charged: String,
    since: String,
}

#[derive(Serialize)]
struct ShownEntry {
    time: String,
    kind: &'static str,
    side: &'static str,
    amount: String,
    cause: String,
    transfer: String,
}

pub(crate) async fn run(context: &Context, command: LedgerCommand) -> Result<(), Failure> {
    let store = context.store().await?;
    match command {
        LedgerCommand::List { all } => list(context, &store, all).await,
        LedgerCommand::Show { account, limit } => show(context, &store, &account, limit).await,
        LedgerCommand::Reconcile => reconcile(context, &store).await,
        LedgerCommand::ChargeLost { node } => charge_lost(context, &store, node).await,
    }
}

pub(crate) async fn budgets(context: &Context, command: BudgetsCommand) -> Result<(), Failure> {
    let store = context.store().await?;
    match command {
        BudgetsCommand::TopUp(args) => {
            if args.amount.starts_with('-') {
                let problem = "a top-up adds; use `tollgate budgets adjust` to take funds away";
                return Err(Failure::Usage(problem.to_owned()));
            }
            fund(context, &store, args).await
        }
        BudgetsCommand::Adjust(args) => fund(context, &store, args).await,
        BudgetsCommand::WriteOff { budget, reason } => {
            let account = find(&store, &budget, context.now_us()).await?;
            let permit = context.permit(Action::ChangeResources)?;
            let forgiveness = Forgiveness { id: transfer()?, account: account.id, reason: &reason };
            let done = store.write_off(&permit, &forgiveness, context.now_us()).await?.value;
            changed(context, &store, account.id, done).await
        }
    }
}

async fn fund(context: &Context, store: &Store, args: AdjustArgs) -> Result<(), Failure> {
    let account = find(store, &args.budget, context.now_us()).await?;
    let amount = Amount::parse(&args.amount, account.currency)
        .map_err(|error| Failure::Usage(format!("the amount: {error}")))?;
    let permit = context.permit(Action::ChangeResources)?;
    let funding = Funding { id: transfer()?, account: account.id, amount, reason: &args.reason };
    let done = store.fund(&permit, &funding, context.now_us()).await?.value;
    changed(context, store, account.id, done).await
}

/// Shows what an account has after a change.
async fn changed(context: &Context, store: &Store, account: AccountId, _done: Moved) -> Result<(), Failure> {
    let shown = ShownAccount::of(&store.account_row(account).await?);
    context.printer.result(&shown, || {
        format!("{} of {}: {} funded, {} free", shown.account, shown.holder, shown.funded, shown.free)
    })
}

async fn list(context: &Context, store: &Store, all: bool) -> Result<(), Failure> {
    let filter = AccountFilter { tenant: None, budget: None, at_us: (!all).then(|| context.now_us()) };
    let mut page = PageRequest { limit: 1_000, cursor: None };
    let mut accounts = Vec::new();
    loop {
        let part = store.accounts(&filter, &page).await?;
        accounts.extend(part.items.iter().map(ShownAccount::of));
        page.cursor = part.next;
        if page.cursor.is_none() || accounts.len() >= ACCOUNTS_MAX {
            break;
        }
    }
    let leases: Vec<_> = store.leases(None).await?.iter().map(with_account).collect();
    let reconciled = store.last_reconciled().await?.map(|last| {
        json!({ "at": rfc3339(last.at_us), "accounts": last.accounts, "differences": last.differences })
    });
    let more = page.cursor.is_some();
    let shown = json!({ "accounts": accounts, "leases": leases, "reconciled": reconciled, "more": more });
    context.printer.result(&shown, || {
        const HEADER: [&str; 8] =
            ["account", "holder", "currency", "funded", "reserved", "spent", "free", "from"];
        let row = |account: &ShownAccount| {
            let ShownAccount { account: id, holder, currency, funded, reserved, spent, free, from, .. } =
                account;
            [&id.to_string(), holder, currency, funded, reserved, spent, free, from].map(Clone::clone)
        };
        print::table(HEADER, accounts.iter().map(row))
    })
}

async fn show(context: &Context, store: &Store, account: &str, limit: u32) -> Result<(), Failure> {
    recorded::bring_in(context, store).await?;
    let row = find(store, account, context.now_us()).await?;
    let currency = row.currency;
    let mut page = PageRequest { limit: limit.clamp(1, 1_000), cursor: None };
    let mut entries: Vec<ShownEntry> = Vec::new();
    while entries.len() < limit as usize {
        let part = store.entries(row.id, &page).await?;
        entries.extend(part.items.iter().map(|entry| ShownEntry::of(entry, currency)));
        page.cursor = part.next;
        if page.cursor.is_none() {
            break;
        }
    }
    let leases: Vec<ShownLease> = store
        .leases(None)
        .await?
        .iter()
        .filter(|lease| lease.account == row.id)
        .map(|lease| ShownLease::of(lease, currency))
        .collect();
    let account = ShownAccount::of(&row);
    let shown =
        json!({ "account": account, "leases": leases, "entries": entries, "more": page.cursor.is_some() });
    context.printer.result(&shown, || {
        let fields = print::fields(&[
            ("account", account.account.to_string()),
            ("budget", account.budget.to_string()),
            ("holder", format!("{} {}", account.level, account.holder)),
            ("from", account.from.clone()),
            ("funded", format!("{} {}", account.funded, account.currency)),
            ("reserved", account.reserved.clone()),
            ("spent", account.spent.clone()),
            ("overrun", account.overrun.clone()),
            ("free", account.free.clone()),
        ]);
        let held = leases.iter().map(|lease| [&lease.node, &lease.holds, &lease.since].map(Clone::clone));
        let held = print::table(["node", "holds", "since"], held);
        let row = |entry: &ShownEntry| {
            let ShownEntry { time, kind, side, amount, cause, .. } = entry;
            [time.clone(), (*kind).to_owned(), (*side).to_owned(), amount.clone(), cause.clone()]
        };
        let entries = print::table(["time", "kind", "side", "amount", "cause"], entries.iter().map(row));
        format!("{fields}\n{held}\n\n{entries}")
    })
}

async fn reconcile(context: &Context, store: &Store) -> Result<(), Failure> {
    let found = store.reconcile().await?;
    store.note_reconciled(&found, context.now_us()).await?;
    let Reconciled { accounts, differences, sum, pending, leases, withheld } = &found;
    let differences: Vec<_> = differences
        .iter()
        .map(|one| {
            let (account, side) = (one.account.to_string(), one.side.name());
            json!({ "account": account, "side": side, "balance": one.balance, "entries": one.entries })
        })
        .collect();
    let withheld: Vec<_> = withheld
        .iter()
        .map(|(account, reserved, held)| json!({ "account": account.to_string(), "reserved": reserved, "held": held }))
        .collect();
    let shown = json!({
        "clean": found.is_clean(), "accounts": accounts, "differences": differences,
        "withheld": withheld, "sum": sum, "pending": pending, "leases": leases,
    });
    context.printer.result(&shown, || {
        if found.is_clean() {
            format!("{accounts} accounts, each balance is the sum of its entries; {leases} leases")
        } else {
            serde_json::to_string_pretty(&shown).unwrap_or_default()
        }
    })?;
    if found.is_clean() {
        Ok(())
    } else {
        Err(Failure::failed("the ledger does not balance; look at the accounts that are named"))
    }
}

async fn charge_lost(context: &Context, store: &Store, node: u64) -> Result<(), Failure> {
    let charged = store.charge_lost(node, context.now_us()).await?;
    if charged.is_empty() {
        return Err(Failure::failed(format!("node {node:016x} holds nothing; see `tollgate ledger list`")));
    }
    let shown = json!({ "charged": charged.iter().map(with_account).collect::<Vec<_>>() });
    context.printer.result(&shown, || format!("{} leases are charged whole", charged.len()))
}

/// An account by its id, or by its budget's and the present moment.
async fn find(store: &Store, text: &str, now_us: i64) -> Result<AccountRow, Failure> {
    if let Ok(account) = text.parse::<AccountId>() {
        return Ok(store.account_row(account).await?);
    }
    let budget: BudgetId = text.parse().map_err(|_| {
        Failure::Usage(format!("`{text}` is neither an account (acc_…) nor a budget (bdg_…)"))
    })?;
    let filter = AccountFilter { budget: Some(budget), at_us: Some(now_us), tenant: None };
    let page = store.accounts(&filter, &PageRequest { limit: 1, cursor: None }).await?;
    page.items.into_iter().next().ok_or_else(|| {
        Failure::failed(format!(
            "nothing was asked of {budget} in its present period, so it has no account yet; change its amount instead"
        ))
    })
}

/// The id of an act of a person: chosen once.
fn transfer() -> Result<TransferId, Failure> {
    let [low, high]: [[u8; 8]; 2] = [data_dir::random()?, data_dir::random()?];
    let mut id = [0; 16];
    for (place, byte) in id.iter_mut().zip(low.into_iter().chain(high)) {
        *place = byte;
    }
    Ok(TransferId(id))
}

fn with_account(lease: &Lease) -> serde_json::Value {
    json!({
        "account": lease.account.to_string(),
        "node": format!("{:016x}", lease.lessee.node),
        "boot": format!("{:012x}", lease.lessee.boot),
        "holds_atoms": lease.holds.atoms(),
        "since": rfc3339(lease.opened_us),
    })
}

impl ShownAccount {
    fn of(row: &AccountRow) -> Self {
        let text = |amount: Amount| amount.to_text(row.currency);
        let balance = &row.balance;
        Self {
            account: row.id,
            budget: row.budget,
            holder: row.holder.clone(),
            level: row.level.name(),
            currency: row.currency.to_string(),
            mode: if row.hard { "hard" } else { "observe" },
            from: rfc3339(row.window.start_us),
            to: (row.window.end_us != i64::MAX).then(|| rfc3339(row.window.end_us)),
            funded: text(balance.funded),
            reserved: text(balance.reserved),
            spent: text(balance.spent),
            overrun: text(balance.overrun),
            free: text(balance.free()),
        }
    }
}

impl ShownLease {
    fn of(lease: &Lease, currency: Currency) -> Self {
        Self {
            node: format!("{:016x}", lease.lessee.node),
            boot: format!("{:012x}", lease.lessee.boot),
            holds: lease.holds.to_text(currency),
            charged: lease.charged.to_text(currency),
            since: rfc3339(lease.opened_us),
        }
    }
}

impl ShownEntry {
    fn of(entry: &EntryRow, currency: Currency) -> Self {
        Self {
            time: rfc3339(entry.at_us),
            kind: entry.kind.name(),
            side: entry.side.name(),
            amount: entry.amount.to_text(currency),
            cause: entry.cause.clone(),
            transfer: entry.transfer.to_string(),
        }
    }
}
