//! Limits on the size of a row, and of all rows of an input together, uncompressed.
//!
//! The size of a compressed file says little about its contents, so bytes are counted as they are decompressed, and
//! columns by the size of their values in memory. An error names the key that raises the limit.

use std::cell::Cell;
use std::io::{self, Read};
use std::rc::Rc;

use serde_json::{Map, Value};

use crate::limits;

/// The limits of an input. Clones share the number of bytes left.
#[derive(Clone)]
pub(crate) struct Budget {
    /// Most bytes of a row.
    pub(super) row: u64,
    total: u64,
    /// Most bytes of a file that must be in memory as a whole.
    whole: u64,
    left: Rc<Cell<u64>>,
}

impl Budget {
    /// Makes a budget from the input's keys, in MiB, for rows that are kept in memory. Without `total-mib`, the limit
    /// is at most half of the machine's memory.
    pub(crate) fn new(row_mib: Option<u64>, total_mib: Option<u64>) -> Self {
        let total = in_memory(total_mib);
        let row = row_mib.unwrap_or(limits::ROW_MIB).saturating_mul(1 << 20);
        Self { row, total, whole: total / limits::WHOLE_SHARE, left: Rc::new(Cell::new(total)) }
    }

    /// Like [`new`](Self::new), for rows that are read one at a time. Without `total-mib`, the limit does not depend on
    /// memory, except for a file that must be in memory as a whole.
    pub(crate) fn one_at_a_time(row_mib: Option<u64>, total_mib: Option<u64>) -> Self {
        let total = total_mib.unwrap_or(limits::PASSING_MIB).saturating_mul(1 << 20);
        Self { total, left: Rc::new(Cell::new(total)), ..Self::new(row_mib, total_mib) }
    }

    /// Returns the most bytes of a file that must be in memory as a whole.
    pub(super) fn whole(&self) -> u64 {
        self.whole
    }

    /// Returns the most bytes of a row.
    pub(crate) fn row_bytes(&self) -> u64 {
        self.row
    }

    /// Subtracts bytes from those left for the input.
    pub(crate) fn take(&self, bytes: u64) -> Result<(), String> {
        let left = self.left.get().checked_sub(bytes);
        self.left.set(left.unwrap_or(0));
        left.map(|_| ()).ok_or_else(|| {
            let most = self.total >> 20;
            format!("the input has more than {most} MiB of rows; help: read fewer with `limit`, or raise `total-mib`")
        })
    }

    /// Returns the message for a row that is too long.
    pub(crate) fn too_long(&self) -> String {
        let most = self.row >> 20;
        format!("a row of more than {most} MiB; help: raise the input's `row-mib` if it is meant")
    }

    /// Returns the message for a file that is too large to be in memory as a whole.
    pub(super) fn too_large(&self) -> String {
        let most = self.whole() >> 20;
        format!(
            "more than {most} MiB in one JSON array or table, which must be in memory whole; help: make JSON lines or Parquet \
             of it, or raise `total-mib`"
        )
    }

    /// Subtracts the size of a row's values, for formats whose bytes are not counted.
    pub(super) fn take_row(&self, fields: &Map<String, Value>) -> Result<(), String> {
        let bytes = fields.iter().map(|(name, value)| name.len() as u64 + weight(value)).sum();
        if bytes > self.row { Err(self.too_long()) } else { self.take(bytes) }
    }
}

/// Returns the most bytes of rows that are kept in memory.
fn in_memory(total_mib: Option<u64>) -> u64 {
    let half = lm::memory::total() / 2;
    total_mib.map_or((limits::TOTAL_MIB << 20).min(half), |mib| mib.saturating_mul(1 << 20))
}

/// Returns the approximate size of a value in memory, in bytes.
fn weight(value: &Value) -> u64 {
    let inner: u64 = match value {
        Value::String(text) => text.len() as u64,
        Value::Array(items) => items.iter().map(weight).sum(),
        Value::Object(fields) => fields.iter().map(|(name, value)| name.len() as u64 + weight(value)).sum(),
        Value::Null | Value::Bool(_) | Value::Number(_) => 0,
    };
    inner + size_of::<Value>() as u64
}

/// A reader that subtracts the bytes it reads from a budget.
pub(super) struct Metered<R> {
    pub(super) inner: R,
    pub(super) budget: Budget,
}

impl<R: Read> Read for Metered<R> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(bytes)?;
        self.budget.take(count as u64).map_err(io::Error::other)?;
        Ok(count)
    }
}
