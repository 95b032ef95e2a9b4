//! Verifying an exported audit without a database.

use std::io::BufRead;

use thiserror::Error;

use super::{anchors::Anchors, line};
use crate::{
    audit::{Broken, Verified},
    chain,
};

/// The longest line that is read: a change holds a resource before and after.
const LINE_BYTES_MAX: u64 = 64 << 20;

/// Why an export could not be verified.
#[derive(Debug, Error)]
pub enum ExportError {
    /// The file cannot be read.
    #[error("it cannot be read: {0}")]
    Unreadable(#[from] std::io::Error),
    /// It does not begin as an export does.
    #[error("it does not begin as an audit that `tollgate audit export` wrote")]
    NoExport,
}

/// Recomputes the chain of an export and holds it against checkpoints.
///
/// # Errors
/// When it is no export. A broken chain is no error but the answer `Err(Broken)`.
pub fn verify_export(
    file: &mut dyn BufRead,
    anchors: &Anchors,
) -> Result<Result<Verified, Broken>, ExportError> {
    let installation = next(file)?.and_then(|line| line::parse_head(&line)).ok_or(ExportError::NoExport)?;
    let hash = chain::genesis(installation as i64);
    let mut verified = Verified { rows: 0, head: 0, hash };
    if let Err(broken) = anchors.is_of(installation) {
        return Ok(Err(broken));
    }
    loop {
        let read = next(file);
        let broken = |what: &str| Ok(Err(Broken { seq: verified.head + 1, what: what.to_owned() }));
        let line = match read {
            Ok(Some(line)) => line,
            Ok(None) => return Ok(anchors.reached_by(&verified).map(|()| verified)),
            Err(error) if error.kind() == std::io::ErrorKind::InvalidData => {
                return broken("its line is not as it was exported");
            }
            Err(error) => return Err(error.into()),
        };
        let Some((seq, carried, computed)) = line::parse(&line, &verified.hash) else {
            return broken("its line is not as it was exported");
        };
        if seq != verified.head + 1 {
            return broken("another change stands in its place");
        }
        if carried != computed {
            return broken("its fields do not give its hash behind the change before it; it was altered");
        }
        verified = Verified { rows: verified.rows + 1, head: seq, hash: computed };
        if let Err(broken) = anchors.holds(seq, &computed) {
            return Ok(Err(broken));
        }
    }
}

/// The next line without its end; `None` at the end of the file.
fn next(file: &mut dyn BufRead) -> std::io::Result<Option<String>> {
    let mut line = String::new();
    let read = std::io::Read::take(&mut *file, LINE_BYTES_MAX).read_line(&mut line)?;
    if read == 0 {
        return Ok(None);
    }
    match line.strip_suffix('\n') {
        Some(whole) => Ok(Some(whole.to_owned())),
        None => Err(std::io::Error::new(std::io::ErrorKind::InvalidData, "the last line is cut off")),
    }
}
