//! From the groups that a provider says somebody is in to a role here.

use std::str::FromStr;

use tollgate_core::authz::Role;

use super::dn::Group;

/// Which group gives which role. In words: `admins=admin,devs=developer`, or with `;` between the pairs
/// where names have commas; `*` is everybody the provider proves.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RoleMap(Vec<(String, Role)>);

impl RoleMap {
    /// A map of groups and the names of roles.
    ///
    /// # Errors
    /// What is wrong with a pair, in words.
    pub fn of<'p>(pairs: impl IntoIterator<Item = (&'p str, &'p str)>) -> Result<Self, String> {
        let pairs = pairs.into_iter().map(|(group, role)| {
            let role: Role = role.trim().parse().map_err(|error| format!("{error}"))?;
            match group.trim() {
                "" => Err("a group has no name; write `admins=admin,devs=developer`".to_owned()),
                group => Ok((group.to_owned(), role)),
            }
        });
        pairs.collect::<Result<_, String>>().map(Self)
    }

    /// The greatest role that any of the groups gives. Names are compared as they are, byte by byte.
    #[must_use]
    pub fn role_of<'g>(&self, groups: impl Iterator<Item = &'g str> + Clone) -> Option<Role> {
        self.greatest(|group| groups.clone().any(|name| name == group))
    }

    /// The greatest role that any of the groups of a directory gives: each is named whole, or by its `cn`,
    /// in whatever spelling.
    pub(crate) fn role_in_directory(&self, groups: &[Group]) -> Option<Role> {
        self.greatest(|name| groups.iter().any(|group| group.is_named(name)))
    }

    fn greatest(&self, is_in: impl Fn(&str) -> bool) -> Option<Role> {
        let given =
            |role: Role| self.0.iter().any(|(group, own)| *own == role && (group == "*" || is_in(group)));
        // Role::ALL begins with the greatest.
        Role::ALL.into_iter().find(|role| given(*role))
    }
}

impl FromStr for RoleMap {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let separator = if text.contains(';') { ';' } else { ',' };
        let mut pairs = Vec::new();
        for pair in text.split(separator).filter(|pair| !pair.trim().is_empty()) {
            // The last `=`, for names of groups in directories have some of their own.
            let (group, role) = pair.rsplit_once('=').ok_or_else(|| {
                format!("`{}` is no `group=role`; write `admins=admin,devs=developer`", pair.trim())
            })?;
            // The beginning of a whole name that its own commas would cut.
            let is_piece = ["cn", "ou", "dc", "o", "c", "l", "st", "uid"]
                .iter()
                .any(|kind| group.trim().eq_ignore_ascii_case(kind));
            if separator == ',' && is_piece {
                return Err(format!(
                    "`{}` is a piece of a name with commas; write a table with the name in quotes, `\"cn=admins,ou=groups\" = \"admin\"`, or put `;` between the pairs and at the end",
                    pair.trim()
                ));
            }
            pairs.push((group, role));
        }
        Self::of(pairs)
    }
}

#[cfg(test)]
mod tests {
    use tollgate_core::authz::Role;

    use super::RoleMap;
    use crate::providers::dn::Group;

    #[test]
    fn the_greatest_role_counts_and_no_group_gives_none() {
        let map: RoleMap = "ops=admin, staff = auditor,cn=a b=developer".parse().unwrap();
        assert_eq!(map.role_of(["staff", "ops"].into_iter()), Some(Role::Admin));
        assert_eq!(map.role_of(["cn=a b"].into_iter()), Some(Role::Developer));
        assert_eq!(map.role_of(["Ops", "opsx", ""].into_iter()), None);
        assert_eq!(RoleMap::default().role_of(["ops"].into_iter()), None);
        let everybody: RoleMap = "*=auditor".parse().unwrap();
        assert_eq!(everybody.role_of([].into_iter()), Some(Role::Auditor));
        for bad in
            ["ops", "ops=root", "=admin", "cn=admins,ou=groups,dc=x=admin", "cn=x,ou=admin,dc=y=auditor"]
        {
            assert!(bad.parse::<RoleMap>().is_err(), "{bad}");
        }
    }

    #[test]
    fn groups_of_a_directory_are_named_whole_or_by_their_cn() {
        let map: RoleMap = "cn=Admins,ou=groups,dc=x=admin; devs = developer".parse().unwrap();
        let role = |groups: &[&str]| {
            map.role_in_directory(&groups.iter().map(|name| Group::new(name, &[])).collect::<Vec<_>>())
        };
        assert_eq!(role(&["CN=admins, OU=Groups, DC=X"]), Some(Role::Admin));
        assert_eq!(role(&["cn=admins,ou=others,dc=x"]), None, "another group of that cn");
        assert_eq!(role(&["cn=Devs,ou=anywhere,dc=x"]), Some(Role::Developer));
        assert_eq!(role(&["cn=admins\\,ou\\=groups\\,dc\\=x,ou=evil,dc=x"]), None);
        assert_eq!(role(&["cn=devs\\,x,dc=x", "ou=devs,dc=x", "devs"]), None);
        let named = Group::new("ou=team,dc=x", &["DEVS".to_owned(), "cn=admins,ou=groups,dc=x".to_owned()]);
        assert_eq!(
            map.role_in_directory(&[named]),
            Some(Role::Developer),
            "by its attribute, never as a name"
        );
        let table = RoleMap::of([("cn=Admins,ou=groups,dc=x", "admin"), ("devs", "developer")]);
        assert_eq!(table, Ok(map));
    }
}
