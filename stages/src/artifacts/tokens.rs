//! Rows of token ids, as trainers read them and `teacher-logits` writes them.
//!
//! A trainer's rows do not fit in memory: 800 thousand of 4 thousand tokens are 13 GB at four bytes a token. They are
//! written once to a file in the attempt's folder, and read a batch at a time. Memory holds 16 bytes for each row.
//!
//! ```text
//! rows.ids   u32 little-endian, row after row
//! ```
//! The file is read with `pread` and not mapped. A row costs a system call beside milliseconds of training, an error of
//! the disk is an error and not a signal that ends the process, and no `unsafe` is needed.

use std::io::{BufWriter, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;

use engine::stage::StageError;

/// A row of token ids. Tokens from `start` on are learnt: they count in the loss.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TokenRow {
    /// Prompt, completion and eos.
    pub(crate) ids: Vec<i64>,
    /// Index of the first token that counts in the loss.
    pub(crate) start: usize,
}

impl TokenRow {
    /// Returns the number of tokens that count in the loss.
    pub(crate) fn num_targets(&self) -> usize {
        num_targets(self.ids.len(), self.start)
    }
}

fn num_targets(length: usize, start: usize) -> usize {
    length.saturating_sub(start.max(1))
}

/// Where a row is in its file.
#[derive(Clone, Copy, Debug)]
struct Span {
    /// Tokens before it.
    begin: u64,
    length: u32,
    start: u32,
}

/// Rows in a file, in the order in which they were written.
#[derive(Debug)]
pub(crate) struct TokenRows {
    file: fs_err::File,
    spans: Vec<Span>,
}

impl TokenRows {
    /// Returns the number of rows.
    pub(crate) fn len(&self) -> usize {
        self.spans.len()
    }

    /// Returns the number of tokens of a row.
    pub(crate) fn length(&self, index: usize) -> usize {
        self.spans[index].length as usize
    }

    /// Returns the number of tokens of each row.
    pub(crate) fn lengths(&self) -> impl Iterator<Item = usize> + '_ {
        self.spans.iter().map(|span| span.length as usize)
    }

    /// Returns the number of tokens of a row that count in the loss.
    pub(crate) fn num_targets(&self, index: usize) -> usize {
        num_targets(self.length(index), self.spans[index].start as usize)
    }

    /// Lets every token count in the loss that has one before it.
    pub(crate) fn learn_whole_rows(&mut self) {
        for span in &mut self.spans {
            span.start = 1;
        }
    }

    /// Reads a row.
    pub(crate) fn row(&self, index: usize) -> Result<TokenRow, StageError> {
        let Span { begin, length, start } = self.spans[index];
        let mut bytes = vec![0; length as usize * WIDTH];
        self.file.file().read_exact_at(&mut bytes, begin * WIDTH as u64).map_err(|error| {
            StageError::new(format!("`{}` cannot be read again: {error}", self.file.path().display()))
        })?;
        let ids = bytes.as_chunks().0.iter().map(|id| i64::from(u32::from_le_bytes(*id)));
        Ok(TokenRow { ids: ids.collect(), start: start as usize })
    }
}

/// Bytes of an id.
const WIDTH: usize = size_of::<u32>();

/// Writes rows to a file.
pub(crate) struct TokenWriter {
    out: BufWriter<fs_err::File>,
    spans: Vec<Span>,
    tokens: u64,
}

impl TokenWriter {
    /// Makes the file `name` in an attempt's folder, with a number behind the name if there is one of that name.
    pub(crate) fn create(dir: &Path, name: &str) -> Result<Self, StageError> {
        let names = std::iter::once(name.to_owned()).chain((1..).map(|number: u64| format!("{name}.{number}")));
        for name in names {
            match fs_err::OpenOptions::new().read(true).write(true).create_new(true).open(dir.join(name)) {
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error.into()),
                Ok(file) => {
                    let out = BufWriter::with_capacity(1 << 20, file);
                    return Ok(Self { out, spans: Vec::new(), tokens: 0 });
                }
            }
        }
        unreachable!("there are names without end")
    }

    /// Appends a row.
    pub(crate) fn push(&mut self, row: &TokenRow) -> Result<(), StageError> {
        for id in &row.ids {
            self.out.write_all(&u32::try_from(*id)?.to_le_bytes())?;
        }
        let (length, start) = (u32::try_from(row.ids.len())?, u32::try_from(row.start)?);
        self.spans.push(Span { begin: self.tokens, length, start });
        self.tokens += u64::from(length);
        Ok(())
    }

    /// Returns the number of tokens so far.
    pub(crate) fn num_tokens(&self) -> u64 {
        self.tokens
    }

    /// Ends the file, and returns its rows.
    pub(crate) fn finish(self) -> Result<TokenRows, StageError> {
        let file = self.out.into_inner().map_err(std::io::IntoInnerError::into_error)?;
        Ok(TokenRows { file, spans: self.spans })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::well;

    #[test]
    fn rows_come_back_as_they_were_written() {
        let dir = tempfile::tempdir().unwrap();
        let rows = [(vec![7, 8, 9], 2), (vec![i64::from(u32::MAX)], 0), (vec![1, 2], 2)];
        let rows = rows.map(|(ids, start)| TokenRow { ids, start });
        let mut writer = well(TokenWriter::create(dir.path(), "rows.ids"));
        for row in &rows {
            well(writer.push(row));
        }
        assert_eq!(writer.num_tokens(), 6);
        assert!(writer.push(&TokenRow { ids: vec![-1], start: 0 }).is_err());
        let mut read = well(writer.finish());
        for index in [2, 0, 1] {
            assert_eq!(well(read.row(index)), rows[index]);
            assert_eq!(
                (read.length(index), read.num_targets(index)),
                (rows[index].ids.len(), rows[index].num_targets())
            );
        }
        assert_eq!((read.len(), read.lengths().collect::<Vec<_>>()), (3, vec![3, 1, 2]));
        read.learn_whole_rows();
        assert_eq!((read.num_targets(0), read.num_targets(1), well(read.row(2)).start), (2, 0, 1));
    }

    #[test]
    fn a_file_that_was_cut_short_is_an_error_with_its_name() {
        let dir = tempfile::tempdir().unwrap();
        let mut writer = well(TokenWriter::create(dir.path(), "rows.ids"));
        well(writer.push(&TokenRow { ids: vec![1, 2, 3], start: 0 }));
        let rows = well(writer.finish());
        fs_err::write(dir.path().join("rows.ids"), [0; 8]).unwrap();
        let error = rows.row(0).unwrap_err().message;
        assert!(error.contains("rows.ids` cannot be read again"), "{error}");
    }
}
