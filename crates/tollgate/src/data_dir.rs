//! The data folder: made for its owner only, held by one serving process, and what names the node.

use std::{
    fs::{DirBuilder, File, OpenOptions},
    io,
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::Path,
};

use rustix::fs::FlockOperation;
use tollgate_core::secret::Secret;
use tollgate_store::CheckpointKey;

use crate::failure::Failure;

/// Makes the folder if it is not there.
pub(crate) fn create(dir: &Path) -> Result<(), Failure> {
    DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(|error| {
        Failure::failed(format!(
            "cannot make the data folder {}: {error}; give another with --data-dir, or let this user write there",
            dir.display()
        ))
    })
}

/// Takes the folder for this process until the file is dropped.
pub(crate) fn lock(dir: &Path) -> Result<File, Failure> {
    let path = dir.join("lock");
    let file = private(&path).map_err(|error| unusable(&path, &error))?;
    match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(file),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(Failure::failed(format!(
            "another process serves from {}; stop it, or give this one another folder with --data-dir",
            dir.display()
        ))),
        Err(errno) => Err(unusable(&path, &errno.into())),
    }
}

/// The node's id: drawn once, kept in the folder.
pub(crate) fn node_id(dir: &Path) -> Result<u64, Failure> {
    let path = dir.join("node");
    if let Ok(text) = std::fs::read_to_string(&path)
        && let Ok(id) = u64::from_str_radix(text.trim(), 16)
    {
        return Ok(id);
    }
    let id = u64::from_le_bytes(random()?) >> 1;
    std::fs::write(&path, format!("{id:016x}\n")).map_err(|error| unusable(&path, &error))?;
    Ok(id)
}

/// The key that signs checkpoints of the audit; made at first need, for this user alone.
pub(crate) fn audit_key(path: &Path) -> Result<CheckpointKey, Failure> {
    let bytes = match std::fs::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => make_audit_key(path),
        read => read,
    };
    let bytes = Secret::new(bytes.map_err(|error| unusable(path, &error))?);
    CheckpointKey::from_pkcs8(bytes.expose()).map_err(|problem| {
        Failure::failed(format!(
            "audit.key_file {}: {problem}; make one with `openssl genpkey -algorithm ed25519 -outform DER -out {}`, or give a path that is not there yet",
            path.display(),
            path.display()
        ))
    })
}

/// Made aside and linked into its place whole: of two processes that need it first, one makes it.
fn make_audit_key(path: &Path) -> io::Result<Vec<u8>> {
    let key =
        CheckpointKey::generate().ok_or_else(|| io::Error::other("there is no randomness for a key"))?;
    let aside = path.with_extension(format!("new-{}", std::process::id()));
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&aside)?;
    let linked = io::Write::write_all(&mut file, &key)
        .and_then(|()| file.sync_all())
        .and_then(|()| std::fs::hard_link(&aside, path));
    let _removed = std::fs::remove_file(&aside);
    match linked {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => std::fs::read(path),
    }
}

/// Random bytes from the operating system.
pub(crate) fn random<const N: usize>() -> Result<[u8; N], Failure> {
    let mut bytes = [0u8; N];
    getrandom::fill(&mut bytes)
        .map_err(|error| Failure::failed(format!("the operating system gave no random bytes: {error}")))?;
    Ok(bytes)
}

fn private(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)
}

fn unusable(path: &Path, error: &io::Error) -> Failure {
    Failure::failed(format!("cannot use {}: {error}; let this user write there", path.display()))
}
