//! The folder of the journal: which segments it holds, who owns it, which boot is alive.
//!
//! The file `lock` is held by `flock` for as long as the owner lives, and names its boot, so that a
//! reader in another process knows which lanes can still grow.

use std::{
    collections::BTreeMap,
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use rustix::fs::FlockOperation;

use crate::{error::JournalError, name::SegmentName};

/// The boot and lane that wrote a segment.
pub(crate) type LaneKey = (u64, u16);

/// Makes the folder if it is not there, readable by its owner only.
pub(crate) fn create(dir: &Path) -> Result<(), JournalError> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .map_err(JournalError::io("create the folder", dir))
}

/// Opens the folder itself, so that it can be flushed.
pub(crate) fn open(dir: &Path) -> Result<File, JournalError> {
    File::open(dir).map_err(JournalError::io("open the folder", dir))
}

/// Takes the folder for this process until the file is dropped.
pub(crate) fn lock(dir: &Path) -> Result<File, JournalError> {
    let path = lock_path(dir);
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&path)
        .map_err(JournalError::io("open", &path))?;
    match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(file),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(JournalError::Locked { dir: dir.to_owned() }),
        Err(errno) => Err(JournalError::io("lock", path)(errno.into())),
    }
}

/// Writes into the lock file which boot is alive.
pub(crate) fn declare_live(dir: &Path, lock: &File, boot: u64) -> Result<(), JournalError> {
    // Always the same number of bytes in one write: a reader sees the old boot or the new one.
    lock.write_all_at(format!("{boot:016x}\n").as_bytes(), 0)
        .map_err(JournalError::io("write", lock_path(dir)))
}

/// The boot that holds the folder or held it last; `None` when nobody ever did.
pub(crate) fn live_boot(dir: &Path) -> Option<u64> {
    let text = fs::read_to_string(lock_path(dir)).ok()?;
    u64::from_str_radix(text.trim_end(), 16).ok()
}

/// The indexes of all segments in the folder, ascending, by lane.
pub(crate) fn segments(dir: &Path) -> Result<BTreeMap<LaneKey, Vec<u32>>, JournalError> {
    let mut lanes: BTreeMap<LaneKey, Vec<u32>> = BTreeMap::new();
    for entry in fs::read_dir(dir).map_err(JournalError::io("read the folder", dir))? {
        let entry = entry.map_err(JournalError::io("read the folder", dir))?;
        if let Some(name) = entry.file_name().to_str().and_then(SegmentName::parse) {
            lanes.entry((name.boot, name.lane)).or_default().push(name.index);
        }
    }
    for indexes in lanes.values_mut() {
        indexes.sort_unstable();
    }
    Ok(lanes)
}

/// Opens a segment for reading; `None` when it has been released meanwhile.
pub(crate) fn open_segment(dir: &Path, name: SegmentName) -> Result<Option<File>, JournalError> {
    let path = dir.join(name.to_string());
    match File::open(&path) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(JournalError::io("open", path)(error)),
    }
}

/// Removes a segment; one that is gone already is no error.
pub(crate) fn remove_segment(dir: &Path, name: SegmentName) -> Result<(), JournalError> {
    let path = dir.join(name.to_string());
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(JournalError::io("remove", path)(error)),
        _ => Ok(()),
    }
}

fn lock_path(dir: &Path) -> PathBuf {
    dir.join("lock")
}
