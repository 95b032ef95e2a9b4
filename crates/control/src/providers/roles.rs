//! From the groups that a provider says somebody is in to a role here.

use std::str::FromStr;

use tollgate_core::authz::Role;

/// Which group gives which role. In words: `admins=admin,devs=developer`; `*` is everybody the provider
/// proves.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RoleMap(Vec<(String, Role)>);

impl RoleMap {
    /// The greatest role that any of the groups gives.
    #[must_use]
    pub fn role_of<'g>(&self, groups: impl Iterator<Item = &'g str> + Clone) -> Option<Role> {
        let given = |role: Role| {
            self.0.iter().any(|(group, own)| {
                *own == role && (group == "*" || groups.clone().any(|name| name == group))
            })
        };
        // Role::ALL begins with the greatest.
        Role::ALL.into_iter().find(|role| given(*role))
    }
}

impl FromStr for RoleMap {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let pairs = text.split(',').filter(|pair| !pair.trim().is_empty());
        let pairs = pairs.map(|pair| {
            // The last `=`, for names of groups in directories have some of their own.
            let (group, role) = pair.rsplit_once('=').ok_or_else(|| {
                format!("`{}` is no `group=role`; write `admins=admin,devs=developer`", pair.trim())
            })?;
            let role: Role = role.trim().parse().map_err(|error| format!("{error}"))?;
            match group.trim() {
                "" => Err("a group has no name; write `admins=admin,devs=developer`".to_owned()),
                group => Ok((group.to_owned(), role)),
            }
        });
        pairs.collect::<Result<_, String>>().map(Self)
    }
}

#[cfg(test)]
mod tests {
    use tollgate_core::authz::Role;

    use super::RoleMap;

    #[test]
    fn the_greatest_role_counts_and_no_group_gives_none() {
        let map: RoleMap = "ops=admin, staff = auditor,cn=a b=developer".parse().unwrap();
        assert_eq!(map.role_of(["staff", "ops"].into_iter()), Some(Role::Admin));
        assert_eq!(map.role_of(["cn=a b"].into_iter()), Some(Role::Developer));
        assert_eq!(map.role_of(["Ops", "opsx", ""].into_iter()), None);
        assert_eq!(RoleMap::default().role_of(["ops"].into_iter()), None);
        let everybody: RoleMap = "*=auditor".parse().unwrap();
        assert_eq!(everybody.role_of([].into_iter()), Some(Role::Auditor));
        for bad in ["ops", "ops=root", "=admin"] {
            assert!(bad.parse::<RoleMap>().is_err(), "{bad}");
        }
    }
}
