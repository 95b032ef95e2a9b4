//! Who may do what, as one table that a review can read.

use tollgate_core::{
    authz::{Action, Actor, Role, authorise},
    id::{TenantId, UserId},
};

const OWN: TenantId = TenantId(1);
const OTHER: TenantId = TenantId(2);

fn actors() -> Vec<(&'static str, Actor)> {
    let member = |role| Actor::Member { user: UserId(7), tenant: OWN, role };
    vec![
        ("os user", Actor::OsUser("alice".into())),
        ("worker", Actor::Worker("rehash".into())),
        ("owner", member(Role::Owner)),
        ("admin", member(Role::Admin)),
        ("developer", member(Role::Developer)),
        ("auditor", member(Role::Auditor)),
    ]
}

const ACTIONS: [Action; 6] = [
    Action::Initialise,
    Action::ChangeTenants,
    Action::ChangeResources,
    Action::ChangeKeys,
    Action::RehashKeys,
    Action::ChangeServiceTokens,
];

#[test]
fn the_matrix_of_rights_is_as_committed() {
    let mut lines = vec![format!("{:<10} {:<20} installation  own tenant  other tenant", "actor", "action")];
    for (name, actor) in actors() {
        for action in ACTIONS {
            let word = |tenant| if authorise(&actor, action, tenant).is_ok() { "yes" } else { "-" };
            let action = format!("{action:?}");
            lines.push(
                format!(
                    "{name:<10} {action:<20} {:<13} {:<11} {}",
                    word(None),
                    word(Some(OWN)),
                    word(Some(OTHER))
                )
                .trim_end()
                .to_owned(),
            );
        }
    }
    let table = lines.join("\n");
    println!("{table}");
    insta::assert_snapshot!(table);
}

#[test]
fn no_member_acts_outside_the_own_tenant() {
    for (name, actor) in actors() {
        if matches!(actor, Actor::Member { .. }) {
            for action in ACTIONS {
                assert!(authorise(&actor, action, Some(OTHER)).is_err(), "{name} {action:?}");
                assert!(authorise(&actor, action, None).is_err(), "{name} {action:?}");
            }
        }
    }
}

#[test]
fn a_permit_covers_one_action_in_one_place() {
    let actor = Actor::Member { user: UserId(7), tenant: OWN, role: Role::Owner };
    let permit = authorise(&actor, Action::ChangeKeys, Some(OWN)).unwrap();
    assert!(permit.covers(Action::ChangeKeys, Some(OWN)));
    assert!(!permit.covers(Action::ChangeKeys, Some(OTHER)));
    assert!(!permit.covers(Action::ChangeKeys, None));
    assert!(!permit.covers(Action::ChangeResources, Some(OWN)));
    assert_eq!(permit.actor(), &actor);
    let host = authorise(&Actor::OsUser("alice".into()), Action::ChangeKeys, None).unwrap();
    assert!(host.covers(Action::ChangeKeys, Some(OTHER)));
}
