//! Services by name, within the reach of a token.
//!
//! A name is `name`, `project/name` or `tenant/project/name`. What a token may not ask about has no
//! name for it: the answer is that of a service that does not exist.

use std::{cell::RefCell, collections::HashMap, rc::Rc, sync::Arc};

use tollgate_core::{
    code::Code,
    id::TenantId,
    service::Service,
    tables::{ServiceToken, Tables},
};

use super::token::covers;
use crate::denial::Denial;

/// The names of the tables that were asked last.
#[derive(Default)]
pub(super) struct ServiceNames {
    known: RefCell<Option<Rc<Index>>>,
}

/// All names of one moment: three for each service.
struct Index {
    tables: Arc<Tables>,
    tenants: HashMap<TenantId, HashMap<Box<str>, Named>>,
}

/// What a name stands for.
enum Named {
    One(Arc<Service>),
    /// Services of several projects have it.
    Several,
}

impl ServiceNames {
    /// The service with this name that the token may ask about.
    pub(super) fn find(
        &self,
        tables: &Arc<Tables>,
        token: &ServiceToken,
        name: &str,
    ) -> Result<Arc<Service>, Denial> {
        let index = self.index(tables);
        match index.tenants.get(&token.tenant).and_then(|names| names.get(name)) {
            Some(Named::One(service)) if covers(token, service.id) => Ok(Arc::clone(service)),
            Some(Named::Several) => Err(Denial::new(
                Code::NoService,
                format!("{} is the name of several services; write `project/name`", shown(name)),
            )),
            Some(Named::One(_)) | None => Err(Denial::new(
                Code::NoService,
                format!("there is no service {} that this token may ask about", shown(name)),
            )),
        }
    }

    fn index(&self, tables: &Arc<Tables>) -> Rc<Index> {
        if let Some(index) = &*self.known.borrow()
            && Arc::ptr_eq(&index.tables, tables)
        {
            return Rc::clone(index);
        }
        let index = Rc::new(Index::of(tables));
        self.known.replace(Some(Rc::clone(&index)));
        index
    }
}

impl Index {
    fn of(tables: &Arc<Tables>) -> Self {
        let mut tenants: HashMap<TenantId, HashMap<Box<str>, Named>> = HashMap::new();
        for service in tables.services.values() {
            let names = tenants.entry(service.tenant).or_default();
            let name = service.name();
            put(names, name.into(), service);
            let Some(project) = tables.projects.get(&service.project) else { continue };
            put(names, format!("{}/{name}", project.name).into(), service);
            let Some(tenant) = tables.tenants.get(&service.tenant) else { continue };
            put(names, format!("{}/{}/{name}", tenant.name, project.name).into(), service);
        }
        Self { tables: Arc::clone(tables), tenants }
    }
}

fn put(names: &mut HashMap<Box<str>, Named>, name: Box<str>, service: &Arc<Service>) {
    names
        .entry(name)
        .and_modify(|named| *named = Named::Several)
        .or_insert_with(|| Named::One(Arc::clone(service)));
}

/// A name of the asker's, fit for a message.
fn shown(name: &str) -> String {
    let clipped: String = name.chars().filter(|sign| !sign.is_control()).take(64).collect();
    format!("`{clipped}`")
}
