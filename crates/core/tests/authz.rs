//! Who may do what: the committed page of permissions, and the rules no row can change.

use std::fmt::Write as _;

use tollgate_core::{
    authz::{ACTIONS, Action, Actor, Right, Role, authorise},
    id::{ConsumerId, TenantId, UserId},
};

const OWN: TenantId = TenantId(1);
const OTHER: TenantId = TenantId(2);

fn member(role: Role) -> Actor {
    Actor::Member { user: UserId(7), tenant: OWN, role, consumers: [ConsumerId(5)].into() }
}

#[test]
fn the_page_of_permissions_is_up_to_date() {
    let page = render();
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/generated/permissions.md");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(path, &page).unwrap();
    }
    let stored = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        stored == page,
        "docs/generated/permissions.md is not what the table says; run `UPDATE_DOCS=1 cargo test -p tollgate-core authz`"
    );
}

fn render() -> String {
    let mut page = String::from(
        "<!-- Written by `UPDATE_DOCS=1 cargo test -p tollgate-core authz`; do not edit. -->\n\n\
         # Permissions\n\n\
         What each role may do in its own tenant. Nobody acts in another tenant: what is there looks absent. `own`\n\
         means: what belongs to the consumers that the person is mapped to. Actions marked with `fresh` need a sign-in\n\
         that is at most ten minutes old. Keys and service tokens may do nothing of this.\n\n\
         | action | owner | admin | developer | auditor | member | fresh | what it is |\n\
         | --- | --- | --- | --- | --- | --- | --- | --- |\n",
    );
    for row in ACTIONS {
        let words = Role::ALL.map(|role| match row.right(role) {
            Right::No => "–",
            Right::Own => "own",
            Right::All => "yes",
        });
        let fresh = if row.fresh_sign_in { "fresh" } else { "" };
        let line = format!("| `{}` | {} | {fresh} | {} |", row.name, words.join(" | "), row.doc.trim());
        writeln!(page, "{}", line.replace("|  |", "| |")).unwrap();
    }
    page.push_str(
        "\n`initialise` is for the command line on the host, `keys.rehash` for Tollgate itself. The operating-system user\n\
         of the host may do everything else as well; the audit shows them as `os:NAME`.\n",
    );
    page
}

#[test]
fn every_action_finds_its_own_row() {
    for row in ACTIONS {
        assert_eq!(row.action.row().name, row.name);
    }
}

#[test]
fn no_member_acts_outside_the_own_tenant() {
    for role in Role::ALL {
        for row in ACTIONS {
            assert!(authorise(&member(role), row.action, Some(OTHER)).is_err(), "I21: {role} {}", row.name);
            assert!(authorise(&member(role), row.action, None).is_err(), "I21: {role} {}", row.name);
        }
    }
}

#[test]
fn no_role_may_more_than_the_owner_and_auditors_change_nothing() {
    for row in ACTIONS {
        let owner = row.right(Role::Owner);
        for role in Role::ALL {
            assert!(owner == Right::All || row.right(role) == Right::No, "I21: {role} {}", row.name);
        }
        let changes = !(row.name.ends_with(".read") || row.name.starts_with("account."));
        if changes && !matches!(row.action, Action::Explain | Action::ExportAudit) {
            assert_eq!(row.right(Role::Auditor), Right::No, "{}", row.name);
        }
    }
}

#[test]
fn a_permit_covers_one_action_in_one_place() {
    let actor = member(Role::Owner);
    let permit = authorise(&actor, Action::ChangeKeys, Some(OWN)).unwrap();
    assert!(permit.covers(Action::ChangeKeys, Some(OWN)));
    assert!(permit.covers(Action::TendKeys, Some(OWN)), "the lesser is part of the greater");
    assert!(!permit.covers(Action::ChangeKeys, Some(OTHER)));
    assert!(!permit.covers(Action::ChangeKeys, None));
    assert!(!permit.covers(Action::ChangeResources, Some(OWN)));
    let tend = authorise(&actor, Action::TendKeys, Some(OWN)).unwrap();
    assert!(!tend.covers(Action::ChangeKeys, Some(OWN)), "the greater is no part of the lesser");
    assert_eq!(permit.actor(), &actor);
    let host = authorise(&Actor::OsUser("alice".into()), Action::ChangeKeys, None).unwrap();
    assert!(host.covers(Action::ChangeKeys, Some(OTHER)));
}

#[test]
fn a_developer_is_held_to_their_consumers() {
    let permit = authorise(&member(Role::Developer), Action::TendKeys, Some(OWN)).unwrap();
    assert_eq!(permit.consumers(), Some(&[ConsumerId(5)][..]));
    assert!(permit.covers_consumer(Action::TendKeys, OWN, ConsumerId(5)));
    assert!(!permit.covers_consumer(Action::TendKeys, OWN, ConsumerId(6)));
    assert!(!permit.covers_consumer(Action::TendKeys, OTHER, ConsumerId(5)));
    assert!(!permit.covers(Action::TendKeys, Some(OWN)), "what has no consumer is not theirs");
    let nobodys = authorise(&Actor::member(UserId(7), OWN, Role::Developer), Action::TendKeys, Some(OWN));
    assert!(!nobodys.unwrap().covers_consumer(Action::TendKeys, OWN, ConsumerId(5)));
    let admin = authorise(&member(Role::Admin), Action::TendKeys, Some(OWN)).unwrap();
    assert!(admin.consumers().is_none() && admin.covers_consumer(Action::TendKeys, OWN, ConsumerId(6)));
}

#[test]
fn a_member_sees_and_rotates_own_keys_and_nothing_else() {
    for row in ACTIONS {
        let expected = match row.action {
            Action::ReadKeys | Action::RotateKeys | Action::ReadUsage => Right::Own,
            Action::ReadTenant | Action::UseOwnAccount | Action::ChangeOwnAccount => Right::All,
            _ => Right::No,
        };
        assert_eq!(row.right(Role::Member), expected, "{}", row.name);
    }
    let permit = authorise(&member(Role::Member), Action::RotateKeys, Some(OWN)).unwrap();
    assert!(permit.covers_consumer(Action::RotateKeys, OWN, ConsumerId(5)));
    assert!(!permit.covers_consumer(Action::RotateKeys, OWN, ConsumerId(6)));
    assert!(!permit.covers_consumer(Action::TendKeys, OWN, ConsumerId(5)), "rotating is less than tending");
}

#[test]
fn the_host_workers_and_persons_have_their_own_bounds() {
    let may = |actor: &Actor, action| authorise(actor, action, None).is_ok();
    let host = Actor::OsUser("alice".into());
    let worker = Actor::Worker("rehash".into());
    let person = Actor::Person(UserId(7));
    for row in ACTIONS {
        let action = row.action;
        assert_eq!(may(&host, action), action != Action::RehashKeys, "{}", row.name);
        assert_eq!(
            may(&worker, action),
            matches!(action, Action::RehashKeys | Action::ChangeKeys),
            "{}",
            row.name
        );
        assert_eq!(may(&person, action), row.name.starts_with("account."), "{}", row.name);
    }
}
