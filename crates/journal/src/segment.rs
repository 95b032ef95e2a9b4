//! Making a segment ready: allocated, headed, on the disk, mapped.
//!
//! Done ahead by the maintenance thread, so that a writer never waits for the disk.

use std::{
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::{FileExt, OpenOptionsExt},
    path::Path,
};

use crate::{disk::Disk, frame, header, mapping::SegmentWriter, name::SegmentName};

/// How much of a new segment is faulted in at once; the maintenance thread keeps ahead of the
/// writer from there on.
const POPULATE_BYTES: usize = 1024 * 1024;

/// A segment that waits for its writer.
pub(crate) struct Prepared {
    pub(crate) name: SegmentName,
    pub(crate) writer: SegmentWriter,
}

/// Why a segment could not be made ready; nothing is left of it.
pub(crate) enum PrepareError {
    /// No space, no permission, no file handle: may pass.
    Space(io::Error),
    /// The disk did not take what it was given: does not pass.
    Sync(io::Error),
}

/// Makes a segment. `folder` is `dir`, opened, so that the new name itself is made durable.
pub(crate) fn prepare(
    dir: &Path,
    folder: &File,
    disk: &dyn Disk,
    name: SegmentName,
    bytes: u64,
) -> Result<Prepared, PrepareError> {
    let path = dir.join(name.to_string());
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&path)
        .map_err(PrepareError::Space)?;
    let outcome = write(&file, folder, disk, name, bytes);
    if outcome.is_err() {
        // What remains after a failed removal is an unused spare, which the next start removes.
        let _kept = fs::remove_file(&path);
    }
    outcome
}

fn write(
    file: &File,
    folder: &File,
    disk: &dyn Disk,
    name: SegmentName,
    bytes: u64,
) -> Result<Prepared, PrepareError> {
    disk.allocate(file, bytes).map_err(PrepareError::Space)?;
    file.write_all_at(&header::encode(name, bytes), 0).map_err(PrepareError::Space)?;
    disk.sync(file).map_err(PrepareError::Sync)?;
    disk.sync(folder).map_err(PrepareError::Sync)?;
    let writer = SegmentWriter::new(file, frame::seed(name)).map_err(PrepareError::Space)?;
    writer.mapping().populate(0, POPULATE_BYTES);
    Ok(Prepared { name, writer })
}
