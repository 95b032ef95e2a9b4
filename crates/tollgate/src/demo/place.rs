//! Where the parts of the demo are.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
};

use crate::{failure::Failure, serve::Addresses};

/// Where everything is.
pub(super) struct Place {
    pub(super) gateway: SocketAddr,
    pub(super) service_api: SocketAddr,
    pub(super) control: SocketAddr,
    pub(super) upstream: SocketAddr,
    pub(super) data_dir: PathBuf,
}

impl Place {
    pub(super) fn of(addresses: Addresses, upstream: SocketAddr, data_dir: &Path) -> Result<Self, Failure> {
        let missing = || Failure::failed("the demo's node has not all of its listeners");
        Ok(Self {
            gateway: addresses.gateway.ok_or_else(missing)?,
            service_api: addresses.service_api.ok_or_else(missing)?,
            control: addresses.control.ok_or_else(missing)?,
            upstream,
            data_dir: data_dir.to_owned(),
        })
    }
}
