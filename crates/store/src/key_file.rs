//! The keys that secrets are encrypted under. They are in a file outside the database, so that neither a dump
//! nor a backup of it gives a secret away. The file has several when they are being changed; each has a name,
//! which stands in front of whatever is encrypted under it.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
};

use rustix::fs::{FlockOperation, flock};
use tollgate_core::secret::Secret;

use crate::{error::StoreError, random};

/// Bytes of a key.
pub(crate) const KEY_BYTES: usize = 32;
/// Keys that a file may have.
const KEYS_MAX: usize = 16;
/// The largest file that is read.
const FILE_BYTES_MAX: u64 = 16 << 10;

const HEAD: &str = "# Tollgate keeps secrets encrypted under these keys; the last one is the newest.\n\
                    # Without this file they cannot be read any more. Keep a copy of it, apart from backups\n\
                    # of the database.\n";

/// The name of a key: random, no part of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct KeyName(pub(crate) [u8; 8]);

impl std::fmt::Display for KeyName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl KeyName {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        from_hex(text).map(Self)
    }
}

/// A key with its name.
pub(crate) struct Key {
    pub(crate) name: KeyName,
    pub(crate) bytes: Secret<[u8; KEY_BYTES]>,
}

/// What was read of a file, and what told it from another state of it.
#[derive(Default)]
struct Read {
    keys: Vec<Arc<Key>>,
    /// Inode, length, and when it was changed.
    stamp: Option<(u64, u64, i64, i64)>,
}

/// The file of keys. It is read at first need, and again when a key is asked for that was not in it.
pub(crate) struct KeyFile {
    path: PathBuf,
    /// Whether it is made where there is none and one is needed.
    pub(crate) is_made_at_need: bool,
    read: RwLock<Read>,
}

impl std::fmt::Debug for KeyFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeyFile").field("path", &self.path).finish_non_exhaustive()
    }
}

impl KeyFile {
    pub(crate) fn new(path: PathBuf, is_made_at_need: bool) -> Self {
        Self { path, is_made_at_need, read: RwLock::default() }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The key of this name; `None` when the file has none such, or is not there.
    pub(crate) fn key(&self, name: KeyName) -> Result<Option<Arc<Key>>, StoreError> {
        let known = |read: &Read| read.keys.iter().find(|key| key.name == name).cloned();
        if let Some(key) = known(&self.read.read().unwrap_or_else(PoisonError::into_inner)) {
            return Ok(Some(key));
        }
        self.refresh()?;
        Ok(known(&self.read.read().unwrap_or_else(PoisonError::into_inner)))
    }

    /// All keys, the newest last; none when there is no file.
    pub(crate) fn keys(&self) -> Result<Vec<Arc<Key>>, StoreError> {
        self.refresh()?;
        Ok(self.read.read().unwrap_or_else(PoisonError::into_inner).keys.clone())
    }

    /// Reads the file again if it is another one than was read.
    fn refresh(&self) -> Result<(), StoreError> {
        let meta = match fs::metadata(&self.path) {
            Ok(meta) => meta,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                *self.read.write().unwrap_or_else(PoisonError::into_inner) = Read::default();
                return Ok(());
            }
            Err(error) => return Err(self.unusable(&error)),
        };
        let stamp = Some((meta.ino(), meta.len(), meta.mtime(), meta.mtime_nsec()));
        if self.read.read().unwrap_or_else(PoisonError::into_inner).stamp == stamp {
            return Ok(());
        }
        if meta.mode() & 0o077 != 0 {
            return Err(self.wrong("others may read it; take that away with `chmod 600`"));
        }
        if meta.len() > FILE_BYTES_MAX {
            return Err(self.wrong("it is too large for a file of keys"));
        }
        let text = Secret::new(fs::read_to_string(&self.path).map_err(|error| self.unusable(&error))?);
        let keys = parse(text.expose()).map_err(|problem| self.wrong(&problem))?;
        *self.read.write().unwrap_or_else(PoisonError::into_inner) = Read { keys, stamp };
        Ok(())
    }

    /// Makes the file with a first key, unless it is there. Of two processes one makes it.
    pub(crate) fn make(&self) -> Result<(), StoreError> {
        let first = new_key()?;
        let _alone = self.alone()?;
        let linked = self.write_aside(&[&first], |aside| fs::hard_link(aside, &self.path));
        match linked {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(self.unusable(&error)),
            _ => Ok(()),
        }
    }

    /// Adds a key, which is the newest from then on.
    pub(crate) fn add(&self) -> Result<KeyName, StoreError> {
        let _alone = self.alone()?;
        let present = self.keys()?;
        if present.len() >= KEYS_MAX {
            return Err(self.wrong("it has too many keys; take those away that nothing is encrypted under"));
        }
        let new = new_key()?;
        let all: Vec<&Key> = present.iter().map(AsRef::as_ref).chain([&new]).collect();
        self.replace(&all)?;
        Ok(new.name)
    }

    /// Takes all keys away but these, and those that are newer than them: somebody prepared one.
    pub(crate) fn keep(&self, names: &[KeyName]) -> Result<(), StoreError> {
        let _alone = self.alone()?;
        let present = self.keys()?;
        let is_named = |key: &Key| names.contains(&key.name);
        let newest = present.iter().rposition(|key| is_named(key)).unwrap_or(0);
        let kept: Vec<&Key> = (0..)
            .zip(&present)
            .filter(|(place, key)| *place > newest || is_named(key))
            .map(|(_, key)| key.as_ref())
            .collect();
        if kept.len() == present.len() || kept.is_empty() {
            return Ok(());
        }
        self.replace(&kept)
    }

    /// Keeps others from writing the file until it is dropped: what they read they may write back. The lock is
    /// on the folder, for the file itself is replaced.
    fn alone(&self) -> Result<fs::File, StoreError> {
        let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let folder =
            fs::File::open(folder.unwrap_or(Path::new("."))).map_err(|error| self.unusable(&error))?;
        flock(&folder, FlockOperation::LockExclusive).map_err(|error| self.unusable(&error.into()))?;
        Ok(folder)
    }

    fn replace(&self, keys: &[&Key]) -> Result<(), StoreError> {
        self.write_aside(keys, |aside| fs::rename(aside, &self.path)).map_err(|error| self.unusable(&error))
    }

    /// Writes a file beside it, for this user alone, and brings it into its place whole.
    fn write_aside(&self, keys: &[&Key], place: impl FnOnce(&Path) -> io::Result<()>) -> io::Result<()> {
        let mut text = HEAD.to_owned();
        for key in keys {
            text.push_str(&format!("{} ", key.name));
            key.bytes.expose().iter().for_each(|byte| text.push_str(&format!("{byte:02x}")));
            text.push('\n');
        }
        let text = Secret::new(text);
        let aside = self.path.with_extension(format!("new-{}", std::process::id()));
        let _left_behind = fs::remove_file(&aside);
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&aside)?;
        let placed = file
            .write_all(text.expose().as_bytes())
            .and_then(|()| file.sync_all())
            .and_then(|()| place(&aside));
        let _moved_or_linked = fs::remove_file(&aside);
        placed?;
        // The name in the folder is durable before anything is encrypted under the key.
        self.path.parent().map_or(Ok(()), |folder| fs::File::open(folder)?.sync_all())
    }

    pub(crate) fn wrong(&self, problem: &str) -> StoreError {
        let public = format!("the keys of secrets in {}: {problem}", self.path.display());
        StoreError::Unavailable { public, cause: "the file of keys cannot be used".to_owned() }
    }

    fn unusable(&self, error: &io::Error) -> StoreError {
        self.wrong(&format!("the file cannot be used: {error}"))
    }
}

fn new_key() -> Result<Key, StoreError> {
    let mut bytes = [0; KEY_BYTES];
    random::fill(&mut bytes)?;
    Ok(Key { name: KeyName(random::id_bytes()?), bytes: Secret::new(bytes) })
}

/// Reads lines of `name key` in hexadecimal digits.
fn parse(text: &str) -> Result<Vec<Arc<Key>>, String> {
    let mut keys: Vec<Arc<Key>> = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let key = line.split_once(' ').and_then(|(name, bytes)| {
            let bytes = Secret::new(from_hex::<KEY_BYTES>(bytes.trim())?);
            Some(Key { name: KeyName::parse(name)?, bytes })
        });
        let Some(key) = key else { return Err(format!("line {number} is no key; restore the file")) };
        if keys.iter().any(|known| known.name == key.name) {
            return Err(format!("line {number} has the name of another key; restore the file"));
        }
        keys.push(Arc::new(key));
    }
    Ok(keys)
}

fn from_hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    if text.len() != N * 2 || !text.is_ascii() {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Writers at the same time each add their keys and take nobody else's away; the first key is made once.
    #[test]
    fn writers_at_once_lose_no_key() {
        const WRITERS: usize = 4;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secrets.key");
        let names: Vec<KeyName> = std::thread::scope(|scope| {
            let writer = || {
                // Each as a process of its own would: with what it read itself.
                let file = KeyFile::new(path.clone(), true);
                file.make().unwrap();
                let first = file.add().unwrap();
                // Keys that are newer than those that are kept stay.
                let made: Vec<KeyName> = file.keys().unwrap().iter().map(|key| key.name).collect();
                file.keep(&made).unwrap();
                [first, file.add().unwrap()]
            };
            let writers: Vec<_> = (0..WRITERS).map(|_| scope.spawn(writer)).collect();
            writers.into_iter().flat_map(|writer| writer.join().unwrap()).collect()
        });
        let file = KeyFile::new(path.clone(), true);
        let keys = file.keys().unwrap();
        assert_eq!(keys.len(), 1 + 2 * WRITERS, "one was made, and two added by each");
        for name in names {
            assert!(file.key(name).unwrap().is_some(), "{name}");
        }
        let left: Vec<_> =
            fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left, ["secrets.key"], "nothing is left beside it");
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
    }
}
