//! The only place that prints. Results go to stdout, everything else to stderr.

mod download;
mod progress;
mod table;

use std::io::{IsTerminal, Write};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use anstyle::{AnsiColor, Style as AnsiStyle};

pub(crate) use download::Download;
pub(crate) use progress::Progress;
pub(crate) use table::Table;

use crate::commands::{Color, Global};

static HAS_COLOR: AtomicBool = AtomicBool::new(false);
static HAS_READER: AtomicBool = AtomicBool::new(true);

/// Takes note of how the user wants to be spoken to.
pub(crate) fn start(global: &Global) {
    let wanted = match global.color {
        Color::Always => true,
        Color::Never => false,
        Color::Auto => {
            std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
        }
    };
    HAS_COLOR.store(wanted, Ordering::Relaxed);
    let level = match global.verbose {
        0 => "warn",
        1 => "info",
        _ => "debug",
    };
    let filter = tracing_subscriber::EnvFilter::try_from_env("R1FLOW_LOG").unwrap_or_else(|_| level.into());
    // A second subscriber only in tests that call this twice; the first stays.
    let _ =
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_target(false).try_init();
    // What libraries trace has requests in it, byte by byte, and with them the hub's token.
    log::set_max_level(log::max_level().min(log::LevelFilter::Debug));
}

pub(crate) fn has_color() -> bool {
    HAS_COLOR.load(Ordering::Relaxed)
}

/// What a piece of text is.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Style {
    Good,
    Warn,
    Bad,
    Dim,
    Strong,
}

/// Returns text with its colour, where colours are wanted.
pub(crate) fn styled(text: &str, style: Style) -> String {
    if !has_color() || text.is_empty() {
        return text.to_owned();
    }
    let style = match style {
        Style::Good => AnsiColor::Green.on_default(),
        Style::Warn => AnsiColor::Yellow.on_default(),
        Style::Bad => AnsiColor::Red.on_default(),
        Style::Dim => AnsiStyle::new().dimmed(),
        Style::Strong => AnsiStyle::new().bold(),
    };
    format!("{style}{text}{style:#}")
}

/// Prints a line of the result.
pub(crate) fn line(text: &str) {
    raw(&format!("{text}\n"));
}

/// Prints text of the result as it is.
pub(crate) fn raw(text: &str) {
    if put(&mut std::io::stdout().lock(), text).is_err() {
        HAS_READER.store(false, Ordering::Relaxed);
    }
}

/// Prints a table of the result.
pub(crate) fn table(table: &Table) {
    raw(&table.render());
}

/// Prints a remark.
pub(crate) fn note(text: &str) {
    complain(&format!("{}\n", styled(text, Style::Dim)));
}

/// Prints an error and its cure.
pub(crate) fn error(text: &str, help: Option<&str>) {
    complain(&format!("{} {text}\n", styled("error:", Style::Bad)));
    if let Some(help) = help {
        complain(&format!("{} {help}\n", styled("help:", Style::Strong)));
    }
}

/// Prints to stderr as it is.
pub(crate) fn complain(text: &str) {
    // Whoever closed stderr does not want to hear of it.
    let _ = put(&mut std::io::stderr().lock(), text);
}

/// Returns whether anybody still reads the result; `r1flow … | head` is satisfied early.
pub(crate) fn has_reader() -> bool {
    HAS_READER.load(Ordering::Relaxed)
}

fn put(out: &mut impl Write, text: &str) -> std::io::Result<()> {
    out.write_all(text.as_bytes())?;
    out.flush()
}

/// Returns a path as seen from the current folder.
pub(crate) fn short_path(path: &Path) -> String {
    let here = std::env::current_dir().ok();
    let short = here.and_then(|here| path.strip_prefix(here).ok().map(Path::to_owned));
    short.unwrap_or_else(|| path.to_owned()).display().to_string()
}

/// Returns seconds as people say them.
pub(crate) fn duration(seconds: f64) -> String {
    let whole = seconds.round() as u64;
    match whole {
        _ if seconds < 10.0 => format!("{seconds:.1} s"),
        0..60 => format!("{whole} s"),
        60..3_600 => format!("{} min {:02} s", whole / 60, whole % 60),
        _ => format!("{} h {:02} min", whole / 3_600, whole % 3_600 / 60),
    }
}

/// Returns a number of things as people say it.
pub(crate) fn count(number: usize, thing: &str) -> String {
    format!("{number} {thing}{}", if number == 1 { "" } else { "s" })
}

/// Returns a size as people say it.
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

/// Draws values as a line of at most 32 blocks.
pub(crate) fn sparkline(values: &[f64]) -> String {
    const BLOCKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let width = values.len().min(32);
    let means: Vec<f64> = (0..width)
        .map(|at| {
            let part = &values[at * values.len() / width..(at + 1) * values.len() / width];
            part.iter().sum::<f64>() / part.len() as f64
        })
        .collect();
    let low = means.iter().copied().fold(f64::INFINITY, f64::min);
    let high = means.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let scale = if high > low { 7.0 / (high - low) } else { 0.0 };
    means.iter().map(|mean| BLOCKS[((mean - low) * scale).round() as usize]).collect()
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
        assert_eq!(sparkline(&[0.0, 1.0, 2.0, 7.0]), "▁▂▃█");
        assert_eq!(sparkline(&[1.0, 1.0]), "▁▁");
    }
}
