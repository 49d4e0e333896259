//! The list of objects that records name and that a collection was told to remove.
//!
//! Their digests are written to `collected`, one per line, before they are removed, so that an audit does not report
//! them as lost.

use std::collections::HashSet;
use std::io::{ErrorKind, Read};

use crate::collect::named_in;
use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::{Store, layout};

impl Store {
    /// Adds those of `objects` that records name to the list, before they are removed. Objects that have been made
    /// again are dropped from it.
    pub(crate) fn note_collected(&self, objects: &[Digest]) -> Result<()> {
        let known = self.collected()?;
        let mut noted: HashSet<Digest> = known.iter().filter(|digest| !self.has(digest)).copied().collect();
        if !objects.is_empty() {
            let mut named = HashSet::new();
            self.journal.each_from(0, |line| named.extend(named_in(line.record)))?;
            noted.extend(objects.iter().filter(|digest| named.contains(digest)));
        }
        if noted == known {
            return Ok(());
        }
        let mut lines: Vec<String> = noted.iter().map(|digest| format!("{digest}\n")).collect();
        lines.sort();
        self.replace(layout::collected(), lines.concat().as_bytes())
    }

    /// Returns the objects that records name and that a collection was told to remove.
    pub(crate) fn collected(&self) -> Result<HashSet<Digest>> {
        let mut text = String::new();
        match self.root.open_file(layout::collected()) {
            Ok(mut file) => file.read_to_string(&mut text)?,
            Err(Error::Io(error)) if error.kind() == ErrorKind::NotFound => 0,
            Err(error) => return Err(error),
        };
        Ok(text.lines().filter_map(|line| line.parse().ok()).collect())
    }
}
