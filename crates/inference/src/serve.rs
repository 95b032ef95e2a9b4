//! Which version takes requests under which name.

use std::{collections::HashMap, sync::Arc};

use tollgate_core::{
    id::ProjectId,
    model::{LATEST, Model, compare_versions},
    serving::{Served, Unserved},
};

/// Everything that takes requests now; swapped whole.
#[derive(Default)]
pub(crate) struct Serving {
    families: HashMap<ProjectId, HashMap<Box<str>, Family>>,
}

/// Versions of one model, each with what can be used of it.
type Versions<'m> = Vec<(&'m str, Option<Arc<Served>>)>;

/// The versions of one model.
#[derive(Default)]
struct Family {
    /// `None` for those that cannot be used.
    versions: HashMap<Box<str>, Option<Arc<Served>>>,
    aliases: HashMap<Box<str>, Option<Arc<Served>>>,
}

impl Serving {
    /// What takes requests, of the versions that are registered, what can be used of them, and what took requests
    /// before: an alias stays with what it was until its new version can be used.
    pub(crate) fn of<'m>(
        models: impl Iterator<Item = (&'m Model, Option<Arc<Served>>)>,
        former: &Self,
    ) -> Self {
        let mut serving = Self::default();
        let mut highest: HashMap<(ProjectId, Box<str>), Versions<'m>> = HashMap::new();
        for (model, served) in models {
            let (project, spec) = (model.project, &model.spec);
            let family =
                serving.families.entry(project).or_default().entry(spec.name.as_str().into()).or_default();
            family.versions.insert(spec.version.as_str().into(), served.clone());
            for alias in &spec.aliases {
                let usable = served.clone().or_else(|| former.by_alias(project, &spec.name, alias));
                family.aliases.insert(alias.as_str().into(), usable);
            }
            highest.entry((project, spec.name.as_str().into())).or_default().push((&spec.version, served));
        }
        for ((project, name), mut versions) in highest {
            versions.sort_by(|(a, _), (b, _)| compare_versions(b, a));
            let Some(family) = serving.families.get_mut(&project).and_then(|named| named.get_mut(&name))
            else {
                continue;
            };
            let top = versions.first().and_then(|(_, served)| served.clone());
            let usable = top
                .or_else(|| former.by_alias(project, &name, LATEST))
                .or_else(|| versions.iter().find_map(|(_, served)| served.clone()));
            family.aliases.entry(LATEST.into()).or_insert(usable);
        }
        serving
    }

    fn by_alias(&self, project: ProjectId, name: &str, alias: &str) -> Option<Arc<Served>> {
        self.families.get(&project)?.get(name)?.aliases.get(alias)?.clone()
    }

    pub(crate) fn find(
        &self,
        project: ProjectId,
        name: &str,
        version: Option<&str>,
    ) -> Result<Arc<Served>, Unserved> {
        let family =
            self.families.get(&project).and_then(|named| named.get(name)).ok_or(Unserved::NoModel)?;
        let version = version.unwrap_or(LATEST);
        let found = family.versions.get(version).or_else(|| family.aliases.get(version));
        found.ok_or(Unserved::NoVersion)?.clone().ok_or(Unserved::NotLoaded)
    }

    /// Whether everything of a project that should take requests does.
    pub(crate) fn is_ready(&self, project: ProjectId) -> bool {
        let Some(families) = self.families.get(&project) else { return true };
        families.values().all(|family| family.versions.values().all(Option::is_some))
    }

    /// Under which further names a version takes requests.
    pub(crate) fn aliases_of(&self, served: &Served) -> Vec<String> {
        let model = &served.model;
        let family = self.families.get(&model.project).and_then(|named| named.get(&*model.spec.name));
        let is_it =
            |other: &Option<Arc<Served>>| other.as_ref().is_some_and(|other| other.model.id == model.id);
        let own = family.into_iter().flat_map(|family| &family.aliases).filter(|(_, other)| is_it(other));
        let mut names: Vec<String> = own.map(|(name, _)| name.to_string()).collect();
        names.sort();
        names
    }
}
