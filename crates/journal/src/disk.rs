//! What the journal asks of the disk, as a port, so that tests can make it fail.

use std::{fs::File, io, os::unix::fs::FileExt};

use rustix::fs::FallocateFlags;

use crate::mapping::Mapping;

/// The operations whose failure decides what is promised.
pub(crate) trait Disk: Send + Sync {
    /// Gives a new file `bytes` bytes of zeros that are really there.
    fn allocate(&self, file: &File, bytes: u64) -> io::Result<()>;
    /// Waits until a file or folder is on the disk.
    fn sync(&self, file: &File) -> io::Result<()>;
    /// Waits until the first `bytes` bytes of a mapping are on the disk.
    fn flush(&self, mapping: &Mapping, bytes: usize) -> io::Result<()>;
}

/// The disk of the operating system.
pub(crate) struct SystemDisk;

impl Disk for SystemDisk {
    fn allocate(&self, file: &File, bytes: u64) -> io::Result<()> {
        match rustix::fs::fallocate(file, FallocateFlags::empty(), 0, bytes) {
            // Where the file system cannot allocate ahead, zeros are written out (as posix_fallocate does).
            Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS) => write_zeros(file, bytes),
            outcome => outcome.map_err(io::Error::from),
        }
    }

    fn sync(&self, file: &File) -> io::Result<()> {
        file.sync_all()
    }

    fn flush(&self, mapping: &Mapping, bytes: usize) -> io::Result<()> {
        mapping.flush(bytes)
    }
}

fn write_zeros(file: &File, bytes: u64) -> io::Result<()> {
    static ZEROS: [u8; 64 * 1024] = [0; 64 * 1024];
    let mut at = 0;
    while at < bytes {
        let count = ZEROS.len().min(usize::try_from(bytes - at).unwrap_or(usize::MAX));
        file.write_all_at(ZEROS.get(..count).unwrap_or(&ZEROS), at)?;
        at += count as u64;
    }
    Ok(())
}
