//! Rules of a file compared with their rows, and compiled as the nodes will compile them.

use std::borrow::Cow;

use tollgate_core::{
    id::ServiceId,
    rule::{Rule, RuleRow, spec::RuleSpec},
};

use super::{
    checks::under,
    diff::Diff,
    prune::{delete, split},
    rows::{ProjectRow, Spec, State},
};
use crate::error::{Entity, StoreError};

/// Rules of one project.
const RULES_MAX: usize = 100;

impl Spec for RuleSpec {
    fn name(&self) -> Cow<'_, str> {
        Cow::Borrowed(&self.name)
    }
}

impl Diff<'_> {
    /// Compares the rules of the file with their rows.
    pub(super) fn rules(&mut self) -> Result<(), StoreError> {
        for (index, written) in self.resources.rules.iter().enumerate() {
            let field = format!("rule[{index}]");
            let Some(project) = self.project(format!("{field}.project"), &written.project) else { continue };
            let spec = RuleSpec { project: project.full_name(), ..written.clone() };
            let mut rows = std::mem::take(&mut self.state.rules);
            let id = self.put(Entity::Rule, &project, spec, &mut rows)?;
            let count = rows.iter().filter(|row| row.project == project.id).count();
            self.state.rules = rows;
            if self.places.insert((Entity::Rule, id), index).is_some() {
                let problem = format!("rule `{}` stands here twice; leave one away", written.name);
                self.error(format!("{field}.name"), problem);
            }
            if count > RULES_MAX {
                let problem = format!("project `{}` has more than {RULES_MAX} rules", project.full_name());
                self.error(field, problem);
            }
        }
        Ok(())
    }

    /// Compiles the rules of every project that the file names, those that it leaves alone too: a service they
    /// name may be going.
    pub(super) fn check_rules(&mut self) {
        let mut errors = Vec::new();
        for row in self.state.rules.iter().filter(|row| self.touched.contains(&row.project.0)) {
            let meta = RuleRow { id: row.id as u64, project: row.project };
            if let Err(problems) =
                Rule::compile(&row.spec, meta, |name| self.service_named(row.project, name))
            {
                let field = match self.places.get(&(Entity::Rule, row.id)) {
                    Some(index) => format!("rule[{index}]"),
                    None => format!("rule `{}`", row.spec.name),
                };
                errors.extend(under(&field, problems));
            }
        }
        self.errors.append(&mut errors);
    }

    /// Takes away the rules that the file does not name, of a project that it names.
    pub(super) fn prune_rules(&mut self, project: &ProjectRow) -> Result<(), StoreError> {
        let rows = std::mem::take(&mut self.state.rules);
        let (gone, kept) = split(rows, project.id, |id| self.places.contains_key(&(Entity::Rule, id)));
        self.state.rules = kept;
        for row in gone {
            let edit = delete(Entity::Rule, project, &row)?;
            self.edits.push(edit);
        }
        Ok(())
    }
}

/// The rules of all projects, compiled.
pub(crate) fn compiled(state: &State) -> Vec<Rule> {
    let mut rules = Vec::with_capacity(state.rules.len());
    for row in &state.rules {
        let named = |name: &str| {
            let is_it = |service: &&super::rows::SpecRow<tollgate_core::resource::ServiceSpec>| {
                service.project == row.project && service.spec.name == name
            };
            state.services.iter().find(is_it).map(|service| ServiceId::from_sql(service.id))
        };
        let meta = RuleRow { id: row.id as u64, project: row.project };
        match Rule::compile(&row.spec, meta, named) {
            Ok(rule) => rules.push(rule),
            // It was checked when it was written; another version of the program wrote it.
            Err(errors) => {
                tracing::error!(rule = %row.spec.name, ?errors, "a stored rule does not compile; it does nothing");
            }
        }
    }
    rules
}
