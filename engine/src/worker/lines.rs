//! Splits a worker's stdout into lines, in bounded memory.
//!
//! A line may be anything: it need not be UTF-8, and it need not end. Of a line longer than [`LONGEST`], the beginning
//! is kept for the log, and the end because it may be a message.

use std::collections::VecDeque;

/// The longest line that is kept whole, in bytes.
pub(crate) const LONGEST: usize = 8 << 20;

/// Bytes that are kept of the beginning of a longer line.
const BEGINNING: usize = 1 << 16;

/// Bytes that are kept of the end of a longer line.
const END: usize = 1 << 20;

/// A line without its line break.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Line {
    /// The beginning of a line that was too long; empty otherwise.
    pub(crate) beginning: Vec<u8>,
    /// Number of bytes after the beginning that are lost.
    pub(crate) lost: u64,
    /// The rest of the line: all of it, unless it was too long.
    pub(crate) bytes: Vec<u8>,
}

/// Takes bytes as they come, and returns lines.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    whole: VecDeque<Line>,
    current: Line,
}

impl Lines {
    /// Takes more bytes.
    pub(crate) fn push(&mut self, mut bytes: &[u8]) {
        while let Some(end) = bytes.iter().position(|byte| *byte == b'\n') {
            self.extend(&bytes[..end]);
            self.whole.push_back(std::mem::take(&mut self.current));
            bytes = &bytes[end + 1..];
        }
        self.extend(bytes);
    }

    /// Ends the input: bytes without a line break are a line, too.
    pub(crate) fn finish(&mut self) {
        let last = std::mem::take(&mut self.current);
        if last != Line::default() {
            self.whole.push_back(last);
        }
    }

    /// Returns the next whole line.
    pub(crate) fn next(&mut self) -> Option<Line> {
        self.whole.pop_front()
    }

    fn extend(&mut self, bytes: &[u8]) {
        let line = &mut self.current;
        line.bytes.extend_from_slice(bytes);
        if line.bytes.len() > LONGEST {
            if line.beginning.is_empty() {
                line.beginning = line.bytes.drain(..BEGINNING).collect();
            }
            let lost = line.bytes.len() - END;
            line.lost += lost as u64;
            line.bytes.drain(..lost);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(lines: &mut Lines) -> Vec<Vec<u8>> {
        std::iter::from_fn(|| lines.next()).map(|line| line.bytes).collect()
    }

    #[test]
    fn lines_come_out_as_they_went_in_however_they_are_cut() {
        let text = b"one\n\ncaf\xe9 \xff\n{\"done\"}\r\nno end";
        let expected: Vec<&[u8]> = vec![b"one", b"", b"caf\xe9 \xff", b"{\"done\"}\r", b"no end"];
        for part in 1..=text.len() {
            let mut lines = Lines::default();
            text.chunks(part).for_each(|bytes| lines.push(bytes));
            lines.finish();
            assert_eq!(all(&mut lines), expected, "in parts of {part}");
        }
    }

    #[test]
    fn a_line_without_end_keeps_its_two_ends_and_no_more() {
        let mut lines = Lines::default();
        let chunk = vec![b'x'; 1 << 16];
        lines.push(b"begins");
        for _ in 0..1_000 {
            lines.push(&chunk);
            assert!(lines.current.bytes.len() <= LONGEST && lines.next().is_none());
        }
        lines.push(b"ends\nnext\n");
        let line = lines.next().unwrap();
        assert!(line.beginning.starts_with(b"beginsx") && line.bytes.ends_with(b"xends"));
        let kept = (line.beginning.len() + line.bytes.len()) as u64;
        assert_eq!(kept + line.lost, 6 + 1_000 * (1 << 16) + 4);
        assert_eq!(all(&mut lines), [b"next"]);
    }
}
