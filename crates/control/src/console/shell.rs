//! What surrounds every page: who is signed in, where one is, how to get elsewhere.

use tollgate_core::authz::{Action, Role};

use super::{assets, look::Look, visit::Visit};

/// An entry of the navigation: the letter after `g`, icon, name, path, and what it needs.
struct Place {
    letter: char,
    icon: &'static str,
    name: &'static str,
    href: &'static str,
    needs: Action,
    group: u8,
}

static PLACES: [Place; 12] = [
    place('o', "home", "Overview", "/", Action::ReadUsage, 0),
    place('e', "events", "Events", "/events", Action::ReadEvents, 0),
    place('u', "meter", "Usage", "/usage", Action::ReadUsage, 0),
    place('d', "home", "Dashboards", "/dashboards", Action::ReadAutomation, 0),
    place('c', "people", "Consumers", "/consumers", Action::ReadConsumers, 1),
    place('k', "key", "Keys", "/keys", Action::ReadKeys, 1),
    place('p', "policy", "Policies", "/policies", Action::ReadPolicies, 1),
    place('s', "service", "Services", "/services", Action::ReadServices, 1),
    place('b', "meter", "Budgets", "/budgets", Action::ReadBudgets, 1),
    place('r', "limited", "Rules", "/rules", Action::ReadAutomation, 1),
    place('a', "audit", "Audit", "/audit", Action::ReadAudit, 2),
    place('x', "settings", "Settings", "/settings", Action::UseOwnAccount, 2),
];

/// What people of partners have.
static OWN_PLACES: [Place; 2] = [
    place('k', "key", "Your keys", "/own", Action::ReadKeys, 0),
    place('a', "people", "Account", "/account", Action::UseOwnAccount, 1),
];

const fn place(
    letter: char,
    icon: &'static str,
    name: &'static str,
    href: &'static str,
    needs: Action,
    group: u8,
) -> Place {
    Place { letter, icon, name, href, needs, group }
}

/// An entry of the navigation as it is shown.
pub(crate) struct Entry {
    pub(crate) letter: char,
    pub(crate) icon: &'static str,
    pub(crate) name: &'static str,
    pub(crate) href: &'static str,
    pub(crate) is_here: bool,
}

/// What surrounds a page.
pub(crate) struct Shell {
    pub(crate) title: String,
    pub(crate) theme: Option<&'static str>,
    /// Whether single keys are shortcuts (WCAG 2.1.4).
    pub(crate) shortcuts: bool,
    /// The path with its query, to come back to.
    pub(crate) path: String,
    pub(crate) tenant: String,
    pub(crate) email: String,
    pub(crate) initials: String,
    pub(crate) role: &'static str,
    pub(crate) csrf: String,
    pub(crate) version: &'static str,
    /// What just worked and is not visible anyway.
    pub(crate) told: Option<&'static str>,
    pub(super) look: Look,
    pub(super) now_us: i64,
    /// Whether somebody of a partner looks, who has pages of their own and no others.
    pub(crate) is_self_service: bool,
    places: Vec<&'static Place>,
}

impl Shell {
    pub(super) fn of(visit: &Visit, title: String) -> Self {
        let is_self_service = visit.who.role == Role::Member;
        let offered: &'static [Place] = if is_self_service { &OWN_PLACES } else { &PLACES };
        Self {
            title,
            theme: visit.look.theme,
            shortcuts: visit.look.shortcuts,
            path: visit.path.clone(),
            tenant: visit.who.tenant.name.clone(),
            email: visit.who.email.clone(),
            initials: initials(&visit.who.name, &visit.who.email),
            role: visit.who.role.name(),
            csrf: visit.who.session.as_ref().map(|own| own.csrf_token.clone()).unwrap_or_default(),
            version: visit.app.control().version,
            told: visit.query.text("done").and_then(told),
            look: visit.look.clone(),
            now_us: visit.now_us,
            is_self_service,
            places: offered.iter().filter(|place| visit.may(place.needs)).collect(),
        }
    }

    /// For pages outside of the console: signing in, what went wrong.
    pub(super) fn alone(look: Look, title: &str, path: String) -> Self {
        Self {
            title: title.to_owned(),
            theme: look.theme,
            shortcuts: false,
            path,
            tenant: String::new(),
            email: String::new(),
            initials: String::new(),
            role: "",
            csrf: String::new(),
            version: "",
            told: None,
            look,
            now_us: 0,
            is_self_service: false,
            places: Vec::new(),
        }
    }

    /// The address of a style, script or picture.
    pub(crate) fn asset(&self, name: &str) -> String {
        assets::address(name)
    }

    /// The theme that the button without a script leads to.
    pub(crate) fn other_theme(&self) -> &'static str {
        if self.theme == Some("dark") { "light" } else { "dark" }
    }

    /// The navigation, in groups; what the role never has is left out.
    pub(crate) fn groups(&self) -> Vec<Vec<Entry>> {
        (0..3)
            .map(|group| {
                let own = self.places.iter().filter(|place| place.group == group);
                own.map(|place| self.entry(place)).collect()
            })
            .filter(|entries: &Vec<Entry>| !entries.is_empty())
            .collect()
    }

    fn entry(&self, place: &Place) -> Entry {
        let path = self.path.split('?').next().unwrap_or("/");
        let path = if matches!(path, "/prices" | "/spend") { "/budgets" } else { path };
        let path = if path == "/blocks" { "/rules" } else { path };
        let path = if path.starts_with("/meters") { "/dashboards" } else { path };
        let path = if path.starts_with("/models") { "/services" } else { path };
        let below =
            path.strip_prefix(place.href).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        let is_account = place.href == "/settings" && path.starts_with("/account");
        let is_here = if place.href == "/" { path == "/" } else { below || is_account };
        Entry { letter: place.letter, icon: place.icon, name: place.name, href: place.href, is_here }
    }
}

fn initials(name: &str, email: &str) -> String {
    let source = if name.is_empty() { email } else { name };
    let words = source.split(|sign: char| !sign.is_alphanumeric()).filter(|word| !word.is_empty());
    let text: String = words.take(2).filter_map(|word| word.chars().next()).collect();
    text.to_uppercase()
}

/// What a page says after something worked; an address can name one of these and say nothing else.
fn told(name: &str) -> Option<&'static str> {
    Some(match name {
        "saved" => "Saved",
        "created" => "Created",
        "deleted" => "Deleted",
        "disabled" => "Key disabled",
        "enabled" => "Key enabled",
        "revoked" => "Key revoked",
        "finished" => "Old secret ended",
        "ended" => "Session ended",
        "ended-all" => "Your other sessions have ended",
        "sessions-ended" => "Sessions ended",
        "factor-off" => "Second factor removed",
        "invited" => "Invitation mailed",
        "withdrawn" => "Invitation withdrawn",
        "reset-mailed" => "A link to set a new password was mailed",
        "token-revoked" => "Token revoked",
        "password" => "Password changed; your other sessions have ended",
        "removed" => "Removed",
        "retried" => "It is tried again within seconds",
        "left-out" => "It is left out; those that wait for it go on",
        "lifted" => "Block lifted",
        "funded" => "Funds brought in",
        "ended-price" => "Price ended",
        "test-sent" => "Test on its way; reload to see the answer",
        "sent-again" => "Sent again; reload to see the answer",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::initials;

    #[test]
    fn initials_are_of_the_name_or_else_of_the_address() {
        assert_eq!(initials("Ada Lovelace King", "x@y"), "AL");
        assert_eq!(initials("", "owner@example.com"), "OE");
    }
}
