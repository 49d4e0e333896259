//! A worker's log: its stderr, and noise from its stdout, written to the run's folder by a task of its own.
//!
//! ```text
//! <the first 8 MiB> [r1flow: N bytes are left out here …] <the last 8 MiB>
//! ```
//! `run.log-mib` sets another size than 8. Secrets are masked on the way ([`crate::secrets`]). Output is in the file as
//! soon as it has been read. While the log grows, its end may be twice as long, because the middle is removed in large
//! cuts. The last lines are also in memory, for the message if the worker dies.

use std::collections::VecDeque;
use std::fs::File;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use tokio::io::AsyncReadExt;
use tokio::process::ChildStderr;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use super::Job;
use crate::blocking::off_thread;
use crate::exec::session::{CHUNK, what_is_left};
use crate::secrets::{Secrets, Stream};
use crate::worker::understand::cut;

/// Default of `run.log-mib`: MiB that a log keeps of its beginning, and as many of its end.
const KEPT_MIB: u64 = 8;

/// More bytes than the line that replaces the middle has: removing less than this is not worth it.
const MARK: u64 = 256;

/// Bytes moved at a time when the middle of a log is removed.
const PART: usize = 1 << 16;

/// Bytes of the log's end that are kept in memory.
const WORDS: usize = 1 << 14;

/// Lines of that end that a failure quotes.
const QUOTED_LINES: usize = 5;

/// Most bytes of a quoted line.
const QUOTED: usize = 1_000;

/// Most lines of noise that wait to be written.
const WAITING: usize = 64;

/// The log of a running worker.
pub(super) struct Log {
    noise: mpsc::Sender<Vec<u8>>,
    dead: oneshot::Sender<()>,
    task: JoinHandle<Written>,
}

impl Log {
    /// Starts the task that appends `stderr` to the log of a stage.
    pub(super) fn follow(job: &Job, stderr: ChildStderr, secrets: &Arc<Secrets>) -> std::io::Result<Self> {
        let kept = job.stage.run.log_mib.unwrap_or(KEPT_MIB) << 20;
        let written = Written::open(&job.log, Arc::clone(secrets), kept)?;
        let (noise, more) = mpsc::channel(WAITING);
        let (dead, death) = oneshot::channel();
        let task = tokio::spawn(drain(written, stderr, more, death));
        Ok(Self { noise, dead, task })
    }

    /// Adds a line that did not come from stderr.
    pub(super) async fn add(&self, mut line: Vec<u8>) {
        line.push(b'\n');
        // If the log cannot be written, `finish` returns the error.
        let _ = self.noise.send(line).await;
    }

    /// Reads what a dead worker has left in its pipe. Returns the last lines, and the error if the file is incomplete.
    pub(super) async fn finish(self) -> (String, Option<std::io::Error>) {
        drop(self.noise);
        let _ = self.dead.send(());
        let written = self.task.await.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()));
        (written.last_words(), written.trouble)
    }
}

/// Writes output until the worker is dead and its pipe is empty. It does not wait for the end of the pipe, because
/// other processes may hold the pipe open.
async fn drain(
    mut written: Written,
    mut stderr: ChildStderr,
    mut noise: mpsc::Receiver<Vec<u8>>,
    mut dead: oneshot::Receiver<()>,
) -> Written {
    let mut chunk = vec![0; CHUNK];
    let (mut is_open, mut is_over, mut is_silent) = (true, false, true);
    while !is_over {
        let bytes = tokio::select! {
            biased;
            Some(line) = noise.recv() => Part::Noise(line),
            _ = &mut dead => {
                is_over = true;
                Part::Stderr(if is_open { what_is_left(stderr.as_raw_fd()) } else { Vec::new() })
            }
            read = stderr.read(&mut chunk), if is_open => match read {
                Ok(number) if number > 0 => Part::Stderr(chunk[..number].to_vec()),
                Ok(_) | Err(_) => { is_open = false; continue }
            },
        };
        is_silent &= matches!(&bytes, Part::Stderr(bytes) if bytes.is_empty());
        if is_silent {
            continue;
        }
        written = off_thread(move || {
            written.take(&bytes, is_over);
            written
        })
        .await;
    }
    written
}

enum Part {
    Stderr(Vec<u8>),
    Noise(Vec<u8>),
}

/// A log's file.
#[derive(Debug)]
struct Written {
    file: File,
    secrets: Arc<Secrets>,
    stderr: Stream,
    /// Lines from elsewhere, which wait until a line of stderr has ended.
    noise: Vec<u8>,
    /// Where this attempt's part begins, after those of earlier attempts.
    start: u64,
    /// Where the part begins that may be cut.
    tail: u64,
    end: u64,
    /// Bytes kept of the beginning, and as many of the end.
    kept: u64,
    left_out: u64,
    words: VecDeque<u8>,
    /// The error after which nothing more is written; the worker keeps running.
    trouble: Option<std::io::Error>,
}

impl Written {
    fn open(path: &std::path::Path, secrets: Arc<Secrets>, kept: u64) -> std::io::Result<Self> {
        let file = fs_err::OpenOptions::new().create(true).truncate(false).read(true).write(true).open(path)?;
        let start = file.metadata()?.len();
        let (file, stderr, words) = (file.into_parts().0, Stream::default(), VecDeque::new());
        let tail = start + kept;
        Ok(Self {
            file,
            secrets,
            stderr,
            noise: Vec::new(),
            start,
            tail,
            end: start,
            kept,
            left_out: 0,
            words,
            trouble: None,
        })
    }

    fn take(&mut self, part: &Part, is_over: bool) {
        let mut bytes = Vec::new();
        match part {
            Part::Noise(noise) => self.noise.extend(self.secrets.mask_bytes(noise)),
            Part::Stderr(more) => self.stderr.push(&self.secrets, more, &mut bytes),
        }
        if is_over {
            self.stderr.finish(&self.secrets, &mut bytes);
        }
        self.add_noise(&mut bytes, is_over);
        if self.trouble.is_none() {
            self.trouble = self.write(&bytes, is_over).err();
        }
        self.words.extend(&bytes[bytes.len().saturating_sub(WORDS)..]);
        self.words.drain(..self.words.len().saturating_sub(WORDS));
    }

    /// Inserts waiting noise after the last whole line, so that it does not split a line of stderr. A line without an
    /// end makes it wait, but not forever.
    fn add_noise(&mut self, bytes: &mut Vec<u8>, is_over: bool) {
        let line_start = match bytes.iter().rposition(|byte| *byte == b'\n') {
            Some(end) => Some(end + 1),
            None => Some(0).filter(|_| self.words.back().is_none_or(|byte| *byte == b'\n')),
        };
        if let Some(at) = line_start {
            bytes.splice(at..at, self.noise.drain(..));
        } else if !self.noise.is_empty() && (is_over || self.noise.len() > WORDS) {
            bytes.push(b'\n');
            bytes.append(&mut self.noise);
        }
    }

    fn write(&mut self, bytes: &[u8], is_over: bool) -> std::io::Result<()> {
        self.file.write_all_at(bytes, self.end)?;
        self.end += bytes.len() as u64;
        let most = if is_over { self.kept + MARK } else { 2 * self.kept };
        if self.end > self.tail + most { self.cut() } else { Ok(()) }
    }

    /// Removes the middle: the end that stays is moved forward in the file, a chunk at a time.
    fn cut(&mut self) -> std::io::Result<()> {
        let mut chunk = vec![0; PART.min(self.kept as usize)];
        let mut from = self.end - self.kept;
        self.file.read_exact_at(&mut chunk, from)?;
        // Let the end begin with a whole line, if a line break is near.
        from += chunk.iter().position(|byte| *byte == b'\n').map_or(0, |at| at as u64 + 1);
        self.left_out += from - self.tail;
        let text = format!(
            "\n[r1flow: {} bytes are left out here; a log keeps its first and its last {} MiB]\n",
            self.left_out,
            self.kept >> 20
        );
        let middle = self.start + self.kept;
        self.file.write_all_at(text.as_bytes(), middle)?;
        self.tail = middle + text.len() as u64;
        let mut to = self.tail;
        while from < self.end {
            let part = &mut chunk[..(self.end - from).min(PART as u64).min(self.kept) as usize];
            self.file.read_exact_at(part, from)?;
            self.file.write_all_at(part, to)?;
            from += part.len() as u64;
            to += part.len() as u64;
        }
        self.end = to;
        self.file.set_len(self.end)
    }

    /// Returns the last lines, with invalid UTF-8 replaced.
    fn last_words(&self) -> String {
        let words: Vec<u8> = self.words.iter().copied().collect();
        let text = String::from_utf8_lossy(&words);
        // Of a line that is rewritten with `\r`, such as a progress bar, keep the last state.
        let states = text.lines().map(|line| line.trim_end().rsplit('\r').next().unwrap_or_default());
        let lines: Vec<&str> = states.filter(|line| !line.is_empty()).collect();
        let last = lines[lines.len().saturating_sub(QUOTED_LINES)..].iter();
        last.map(|line| cut((*line).to_owned(), QUOTED)).collect::<Vec<_>>().join("\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(kept: u64) -> (tempfile::TempDir, Written) {
        let dir = tempfile::tempdir().unwrap();
        let secrets = Secrets::of([("A_TOKEN".into(), "abcdefgh".into())]);
        let written = Written::open(&dir.path().join("log"), Arc::new(secrets), kept).unwrap();
        (dir, written)
    }

    fn text(dir: &tempfile::TempDir) -> String {
        String::from_utf8_lossy(&fs_err::read(dir.path().join("log")).unwrap()).into_owned()
    }

    #[test]
    fn a_secret_across_two_reads_is_masked_and_last_words_need_not_be_utf_8() {
        let (dir, mut written) = log(KEPT_MIB << 20);
        for (part, is_over) in [(&b"first\nit is abcd"[..], false), (b"efgh\nbar 10%\rbar 90%\rcaf\xe9 \xff abc", true)]
        {
            written.take(&Part::Stderr(part.to_vec()), is_over);
        }
        written.take(&Part::Noise(b"noise abcdefgh\n".to_vec()), true);
        let expected =
            "first\nit is [masked A_TOKEN]\nbar 10%\rbar 90%\rcaf\u{fffd} \u{fffd} abc\nnoise [masked A_TOKEN]\n";
        assert_eq!(text(&dir), expected);
        let words = "first\nit is [masked A_TOKEN]\ncaf\u{fffd} \u{fffd} abc\nnoise [masked A_TOKEN]";
        assert_eq!(written.last_words(), words);
    }

    #[test]
    fn of_a_long_log_both_ends_stay_and_what_is_between_is_counted() {
        const SMALL: u64 = 1_000;
        let (dir, mut written) = log(SMALL);
        let mut whole = String::new();
        for number in 0..10_000 {
            let line = format!("line {number}\n");
            whole.push_str(&line);
            written.take(&Part::Stderr(line.into_bytes()), number == 9_999);
            assert!(written.end <= 4 * SMALL, "{}", written.end);
        }
        let text = text(&dir);
        let (head, rest) = text.split_once("\n[r1flow: ").unwrap();
        let (number, tail) = rest.split_once("]\n").unwrap();
        assert!(whole.starts_with(head) && head.len() as u64 == SMALL, "{head}");
        assert!(whole.ends_with(tail) && tail.starts_with("line ") && tail.len() as u64 <= SMALL + MARK, "{tail}");
        let left_out: usize = number.split(' ').next().unwrap().parse().unwrap();
        assert_eq!(head.len() + left_out + tail.len(), whole.len());
    }

    #[test]
    fn a_second_attempt_writes_after_the_first() {
        let (dir, mut first) = log(KEPT_MIB << 20);
        first.take(&Part::Stderr(b"one\n".to_vec()), true);
        let mut second = Written::open(&dir.path().join("log"), Arc::default(), KEPT_MIB << 20).unwrap();
        second.take(&Part::Stderr(b"two\n".to_vec()), true);
        assert_eq!((text(&dir).as_str(), second.last_words().as_str()), ("one\ntwo\n", "two"));
    }
}
