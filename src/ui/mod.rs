//! The only place that prints. Results go to stdout, everything else to stderr.

mod download;
mod number;
mod out;
mod progress;
mod reasons;
mod scores;
mod sparkline;
mod table;
mod text;

use std::path::Path;

use serde::Serialize;

pub(crate) use engine::diagnostic::count;

pub(crate) use download::Download;
pub(crate) use number::number;
pub(crate) use progress::{MAIN_METRICS, Progress};
pub(crate) use reasons::{reason, status_word};
pub(crate) use scores::{note_unreadable, scores_table};
pub(crate) use sparkline::Sparkline;
pub(crate) use table::{Table, cut};
pub(crate) use text::{Style, placeheld, visible};

use crate::arguments::{Color, Global};

/// Sets colours and the level of logs from the user's options.
pub(crate) fn start(global: &Global) {
    out::start(global.color);
    let level = match global.verbose {
        0 => "warn",
        1 => "info",
        _ => "debug",
    };
    let filter = tracing_subscriber::EnvFilter::try_from_env("R1FLOW_LOG").unwrap_or_else(|_| level.into());
    // `try_init` fails only in tests that call this twice; the first subscriber stays. Internal errors are off, because
    // with a closed stderr reporting one would panic.
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(|| Complaints)
        .with_ansi(false)
        .with_target(false)
        .log_internal_errors(false)
        .try_init();
    // Libraries trace whole requests, byte by byte, which contain the hub's token.
    log::set_max_level(log::max_level().min(log::LevelFilter::Debug));
}

/// Writes the logs of libraries to stderr.
struct Complaints;

impl std::io::Write for Complaints {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        complain(&String::from_utf8_lossy(bytes));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Returns whether notes and mistakes have colours.
pub(crate) fn errors_have_color() -> bool {
    out::errors_have_color()
}

/// Returns text with its style, if any stream has colours.
pub(crate) fn styled(text: &str, style: Style) -> String {
    let has_color = out::has_color() || out::errors_have_color();
    if has_color && !text.is_empty() { text::marked(text, style) } else { text.to_owned() }
}

/// Prints a line of the result.
pub(crate) fn line(text: &str) {
    raw(&format!("{text}\n"));
}

/// Prints a sentence of the result; on a terminal, broken between words, with `indent` spaces before all lines but the
/// first.
pub(crate) fn text(text: &str, indent: usize) {
    let Some(room) = out::room() else { return line(text) };
    let indent = " ".repeat(indent.min(room / 2));
    // Painted as a whole, so that a style goes on in the next line.
    line(&textwrap::wrap(text, words(room).subsequent_indent(&indent)).join("\n"));
}

/// Prints text of the result.
pub(crate) fn raw(text: &str) {
    out::put(text::painted(text, out::has_color()).as_bytes());
}

/// Prints JSON of the result. On a terminal, control characters that JSON allows are escaped, too.
pub(crate) fn json(text: &str) {
    out::put(if out::is_terminal() { text::visible_json(text) } else { text.into() }.as_bytes());
}

/// Prints a value of the result as JSON.
pub(crate) fn print_json<T: Serialize>(value: &T) -> serde_json::Result<()> {
    json(&format!("{}\n", serde_json::to_string_pretty(value)?));
    Ok(())
}

/// Prints bytes of a log or a data set, unchanged except on a terminal.
pub(crate) fn data(bytes: &[u8]) {
    if out::is_terminal() { raw(&String::from_utf8_lossy(bytes)) } else { out::put(bytes) }
}

/// Returns the columns of the terminal that the result goes to; `None` if it goes elsewhere.
pub(crate) fn room() -> Option<usize> {
    out::room()
}

/// Returns whether the result goes to a terminal.
pub(crate) fn is_terminal() -> bool {
    out::is_terminal()
}

/// Returns a table as text that fits the terminal, if the result goes to one.
pub(crate) fn table_text(table: &Table) -> String {
    table.render(out::room())
}

/// Text that is shown again and again in the same place; on what is no terminal, below each other where it differs.
#[derive(Default)]
pub(crate) struct Screen {
    shown: String,
}

impl Screen {
    /// Shows a text in place of the one before.
    pub(crate) fn show(&mut self, text: &str) {
        if text == self.shown {
            return;
        }
        let lines = self.shown.lines().count();
        if out::is_live_result() && lines > 0 {
            // Up to the first line, and clear what is below.
            out::put(format!("\x1b[{lines}A\x1b[0J").as_bytes());
        }
        raw(text);
        text.clone_into(&mut self.shown);
    }
}

/// Prints a table of the result.
pub(crate) fn table(table: &Table) {
    raw(&table.render(out::room()));
}

/// Prints a note.
pub(crate) fn note(text: &str) {
    complain(&format!("{}\n", styled(&broken(text, 0), Style::Dim)));
}

/// Prints an error and its help.
pub(crate) fn error(text: &str, help: Option<&str>) {
    let label = |label: &str, style: Style, text: &str| {
        // What has lines of its own keeps them.
        let indent = if text.contains('\n') { String::new() } else { " ".repeat(label.len() + 1) };
        let lines = broken(text, label.len() + 1).replace('\n', &format!("\n{indent}"));
        complain(&format!("{} {lines}\n", styled(label, style)));
    };
    label("error:", Style::Bad, text);
    if let Some(help) = help {
        label("help:", Style::Strong, help);
    }
}

/// Returns the columns of the terminal that errors go to; `None` if they go elsewhere.
pub(crate) fn error_room() -> Option<usize> {
    out::error_room()
}

/// Returns a text broken between words, if stderr is a terminal: into lines that leave `beside` columns free.
pub(crate) fn broken(text: &str, beside: usize) -> String {
    let Some(room) = out::error_room() else { return text.to_owned() };
    textwrap::wrap(text, words(room.saturating_sub(beside).max(20))).join("\n")
}

/// Returns how sentences are broken: between words, and not within `--dry-run`.
fn words<'a>(width: usize) -> textwrap::Options<'a> {
    textwrap::Options::new(width)
        .word_separator(textwrap::WordSeparator::AsciiSpace)
        .word_splitter(textwrap::WordSplitter::NoHyphenation)
}

/// Prints to stderr.
pub(crate) fn complain(text: &str) {
    out::complain(text::painted(text, out::errors_have_color()).as_bytes());
}

/// Prints a renderer's text to stderr and keeps its colours.
pub(crate) fn complain_rendered(text: &str) {
    out::complain(text::rendered(text).as_bytes());
}

/// Prints the message of the command line's parser, and returns the exit code.
pub(crate) fn usage(error: &clap::Error) -> u8 {
    out::start(Color::Auto);
    let is_plain = std::env::args_os().all(|word| word.to_str().is_some_and(|word| !word.contains(text::is_control)));
    let has_color = is_plain && if error.use_stderr() { out::errors_have_color() } else { out::has_color() };
    let said = error.render();
    let said = if has_color { said.ansi().to_string() } else { said.to_string() };
    let said = text::rendered(&said);
    if error.use_stderr() {
        out::complain(said.as_bytes());
    } else {
        out::put(said.as_bytes());
    }
    u8::try_from(error.exit_code()).unwrap_or(2)
}

/// Returns whether stdout still accepts output; `r1flow … | head` closes it early.
pub(crate) fn has_reader() -> bool {
    out::has_reader()
}

/// Returns why the result could not be printed completely.
pub(crate) fn trouble() -> Option<String> {
    out::trouble()
}

/// Returns a path as seen from the current folder.
pub(crate) fn short_path(path: &Path) -> String {
    let here = std::env::current_dir().ok();
    let short = here.and_then(|here| path.strip_prefix(here).ok().map(Path::to_owned));
    short.unwrap_or_else(|| path.to_owned()).display().to_string()
}

/// Returns a duration for people, as in `2 h 01 min`.
pub(crate) fn duration(seconds: f64) -> String {
    let whole = seconds.round() as u64;
    match whole {
        _ if seconds < 10.0 => format!("{seconds:.1} s"),
        0..60 => format!("{whole} s"),
        60..3_600 => format!("{} min {:02} s", whole / 60, whole % 60),
        _ => format!("{} h {:02} min", whole / 3_600, whole % 3_600 / 60),
    }
}

/// Returns a size for people, as in `1.5 KiB`.
pub(crate) fn bytes(size: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut value = size as f64;
    let mut unit = 0;
    while value >= 1_024.0 && unit + 1 < UNITS.len() {
        value /= 1_024.0;
        unit += 1;
    }
    if unit == 0 { format!("{size} B") } else { format!("{value:.1} {}", UNITS[unit]) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_for_people() {
        assert_eq!(duration(0.34), "0.3 s");
        assert_eq!(duration(59.4), "59 s");
        assert_eq!(duration(61.0), "1 min 01 s");
        assert_eq!(duration(7_260.0), "2 h 01 min");
        assert_eq!((count(1, "row"), count(0, "row")), ("1 row".to_owned(), "0 rows".to_owned()));
        assert_eq!(bytes(1_023), "1023 B");
        assert_eq!(bytes(1_536), "1.5 KiB");
    }
}
