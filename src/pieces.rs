//! Lines of files of any size, read one at a time in bounded memory.

use std::io::{BufRead, BufReader, Read, Result};

/// The longest piece in bytes; a longer line is read as several pieces.
pub(crate) const LONGEST: usize = 1 << 20;

/// The lines of a file.
pub(crate) struct Pieces<R> {
    reader: BufReader<R>,
    piece: Vec<u8>,
}

/// A line, or a piece of a long one; without its line break.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Piece<'a> {
    pub(crate) bytes: &'a [u8],
    /// Whether the line ends here.
    pub(crate) is_last: bool,
}

impl<R: Read> Pieces<R> {
    pub(crate) fn of(file: R) -> Self {
        Self { reader: BufReader::with_capacity(1 << 16, file), piece: Vec::new() }
    }

    /// Returns the next line, or the next piece of a long line.
    pub(crate) fn next(&mut self) -> Result<Option<Piece<'_>>> {
        self.piece.clear();
        let mut part = (&mut self.reader).take(LONGEST as u64);
        if part.read_until(b'\n', &mut self.piece)? == 0 {
            return Ok(None);
        }
        let is_last = self.piece.last() == Some(&b'\n') || self.reader.fill_buf()?.is_empty();
        let bytes = self.piece.strip_suffix(b"\n").unwrap_or(&self.piece);
        Ok(Some(Piece { bytes, is_last }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_any_length() {
        let long = vec![b'x'; LONGEST + 3];
        let text = [b"a\n\n".as_slice(), &long, b"\nend"].concat();
        let mut pieces = Pieces::of(text.as_slice());
        let mut found = Vec::new();
        while let Some(Piece { bytes, is_last }) = pieces.next().unwrap() {
            found.push((bytes.len(), is_last));
        }
        assert_eq!(found, [(1, true), (0, true), (LONGEST, false), (3, true), (3, true)]);
    }
}
