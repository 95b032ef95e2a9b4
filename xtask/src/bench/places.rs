//! One folder and free ports for one bench.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};

use crate::command::Outcome;
use crate::workspace;

/// CPU of the contestant.
pub(super) const CONTESTANT_CPU: &str = "0";
/// CPU of load and upstream.
pub(super) const LOAD_CPU: &str = "1";

/// A folder below the build folder, emptied at the start and left for a look afterwards.
pub(super) struct Folder(PathBuf);

impl Folder {
    pub(super) fn fresh(name: &str) -> Outcome<Self> {
        let path = workspace::target().join("bench").join(name);
        if path.exists() {
            std::fs::remove_dir_all(&path)?;
        }
        std::fs::create_dir_all(&path)?;
        Ok(Self(std::path::absolute(path)?))
    }

    /// A folder inside, for a server of which there is another one.
    pub(super) fn below(&self, name: &str) -> Outcome<Self> {
        let path = self.0.join(name);
        std::fs::create_dir_all(&path)?;
        Ok(Self(path))
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    /// Writes one file and returns its path.
    pub(super) fn write(&self, name: &str, text: &str) -> Outcome<PathBuf> {
        let path = self.0.join(name);
        std::fs::write(&path, text)?;
        Ok(path)
    }
}

/// A loopback address whose port was free a moment ago.
pub(super) fn free_address() -> Outcome<SocketAddr> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}
