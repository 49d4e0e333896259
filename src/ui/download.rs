//! Progress of a download: a bar on a terminal, lines elsewhere.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use super::{Style, bytes, complain, out, styled, visible};

/// Time between two lines about one file.
const PLAIN_EVERY: Duration = Duration::from_secs(10);

/// The progress of one file.
pub(crate) struct Download {
    name: String,
    size: u64,
    have: u64,
    bar: Option<ProgressBar>,
    last_line: Instant,
}

impl Download {
    /// Starts with the bytes that an earlier try has left.
    pub(crate) fn begin(name: &str, size: u64, have: u64) -> Self {
        let bar = out::is_live().then(|| {
            let template = "  {prefix} [{bar:24}] {bytes} of {total_bytes}, {bytes_per_sec}, {eta} left";
            let style = ProgressStyle::with_template(template).expect("a constant template");
            let bar =
                ProgressBar::new(size).with_style(style.progress_chars("=> ")).with_prefix(visible(name).into_owned());
            bar.with_position(have)
        });
        Self { name: name.to_owned(), size, have, bar, last_line: Instant::now() }
    }

    pub(crate) fn advance(&mut self, count: u64) {
        self.have += count;
        if let Some(bar) = &self.bar {
            bar.set_position(self.have);
        } else if self.last_line.elapsed() >= PLAIN_EVERY {
            self.last_line = Instant::now();
            complain(&format!("  {}: {} of {}\n", self.name, bytes(self.have), bytes(self.size)));
        }
    }

    /// Starts again from zero, because the whole file is sent again.
    pub(crate) fn restart(&mut self) {
        self.have = 0;
    }

    pub(crate) fn end(self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        complain(&format!("  {}  {}\n", styled(&self.name, Style::Dim), bytes(self.size)));
    }
}
