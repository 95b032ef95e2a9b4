//! What a start can trust of earlier runs: one small file a run, in the folder of its journal.
//!
//! A journal survives the death of its process, for its pages are the kernel's. A power cut can take the
//! last of them away without a trace, and a folder that was lost takes all. So each run says, before it
//! leases anything, under which boot of the kernel it runs, and at an orderly end that all of it was
//! shipped. Unless a later start finds the same boot or the mark, what the run held counts as spent (I14).

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    path::{Path, PathBuf},
};

/// The mark of an orderly end.
const ENDED: &str = "ended";
/// Where Linux says which boot of the kernel this is.
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// The files of the runs of one journal.
#[derive(Clone, Debug)]
pub(crate) struct Runs {
    dir: PathBuf,
    /// This boot of the kernel; empty where nobody can tell, and then no earlier run is trusted.
    kernel: String,
}

impl Runs {
    /// Those in the folder of a journal.
    pub(crate) fn of(dir: &Path) -> Self {
        let kernel = fs::read_to_string(BOOT_ID).unwrap_or_default().trim().to_owned();
        Self { dir: dir.to_owned(), kernel }
    }

    /// Writes, to the disk, that a run begins.
    pub(crate) fn begin(&self, boot: u64) -> io::Result<()> {
        let mut file = File::create(self.path(boot))?;
        writeln!(file, "{}", self.kernel)?;
        file.sync_all()?;
        File::open(&self.dir)?.sync_all()
    }

    /// Writes, to the disk, that all of a run was shipped.
    pub(crate) fn end(&self, boot: u64) -> io::Result<()> {
        let mut file = OpenOptions::new().append(true).open(self.path(boot))?;
        writeln!(file, "{ENDED}")?;
        file.sync_all()
    }

    /// Whether the journal of a run has all that the run wrote into it, but for holes that show.
    pub(crate) fn is_whole(&self, boot: u64) -> bool {
        let Ok(text) = fs::read_to_string(self.path(boot)) else { return false };
        let mut lines = text.lines();
        let is_same_kernel = lines.next().is_some_and(|kernel| !kernel.is_empty() && kernel == self.kernel);
        is_same_kernel || lines.next() == Some(ENDED)
    }

    /// Takes the files of all runs but one away.
    pub(crate) fn keep_only(&self, boot: u64) -> io::Result<()> {
        let own = self.path(boot);
        for entry in fs::read_dir(&self.dir)? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "run") && path != own {
                fs::remove_file(path)?;
            }
        }
        Ok(())
    }

    fn path(&self, boot: u64) -> PathBuf {
        self.dir.join(format!("{boot:016x}.run"))
    }
}

#[cfg(test)]
mod tests {
    use super::Runs;

    fn runs(dir: &tempfile::TempDir, kernel: &str) -> Runs {
        Runs { dir: dir.path().to_owned(), kernel: kernel.to_owned() }
    }

    /// I14: a killed process costs nothing; a power cut and a lost folder cost what was held.
    #[test]
    fn a_run_is_whole_under_the_same_kernel_or_after_an_orderly_end() {
        let dir = tempfile::tempdir().unwrap();
        let (before, after) = (runs(&dir, "one"), runs(&dir, "two"));
        before.begin(1).unwrap();
        before.begin(2).unwrap();
        before.end(2).unwrap();
        assert!(before.is_whole(1), "killed");
        assert!(!after.is_whole(1), "the power was cut");
        assert!(after.is_whole(2), "ended in order");
        assert!(!before.is_whole(3), "the folder was lost");
        let nobody = runs(&dir, "");
        nobody.begin(4).unwrap();
        assert!(!nobody.is_whole(4), "nobody can tell");
        after.begin(5).unwrap();
        after.keep_only(5).unwrap();
        assert!(!before.is_whole(1) && after.is_whole(5));
    }
}
