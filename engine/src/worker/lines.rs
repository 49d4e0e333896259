//! Lines of bytes out of what a worker writes to its stdout, at bounded memory.
//!
//! A line may be anything: it need not be UTF-8, and it need not end. Of one that is longer than [`LONGEST`] the beginning is
//! kept for the log and the end for a message that may stand there.

use std::collections::VecDeque;

/// The longest line that is kept whole, in bytes.
pub(crate) const LONGEST: usize = 8 << 20;

/// What is kept of the beginning of a longer one.
const BEGINNING: usize = 1 << 16;

/// What is kept of its end.
const END: usize = 1 << 20;

/// A line without its end.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Line {
    /// Of a line that was too long, what it began with.
    pub(crate) beginning: Vec<u8>,
    /// Bytes after the beginning that are lost.
    pub(crate) lost: u64,
    /// The rest, mostly all of it.
    pub(crate) bytes: Vec<u8>,
}

/// Takes bytes as they come, and gives lines.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    whole: VecDeque<Line>,
    current: Line,
}

impl Lines {
    /// Takes what has come.
    pub(crate) fn push(&mut self, mut bytes: &[u8]) {
        while let Some(end) = bytes.iter().position(|byte| *byte == b'\n') {
            self.extend(&bytes[..end]);
            self.whole.push_back(std::mem::take(&mut self.current));
            bytes = &bytes[end + 1..];
        }
        self.extend(bytes);
    }

    /// Takes note that nothing more will come: what has no end is a line, too.
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
