//! Parses a line of a worker: a message, noise, or noise with a message behind it.
//!
//! Workers by other authors print to stdout what is not of the protocol: progress bars without a line break, Latin-1
//! text, numbers that JSON cannot represent. The message in such a line is used, and the rest goes to the log. The size
//! of a message is bounded ([`bounded`]), because messages are kept in histories and records.
//!
//! | of a message | most |
//! |---|---|
//! | a line | 8 MiB |
//! | a note, a failure, a help | 16 KiB |
//! | a name of a metric, a unit, what is being done | 200 bytes |
//! | metrics of a step | 1,000 |
//! | a summary, as JSON | 1 MiB |

use std::fmt::Write as _;

use serde_json::{Map, Value, json};

use super::lines::Line;
use super::protocol::FromWorker;

/// Most bytes of a text.
const TEXT: usize = 16 << 10;

/// Most bytes of a name.
const NAME: usize = 200;

/// Most metrics of a step.
const METRICS: usize = 1_000;

/// Most bytes of a summary.
const SUMMARY: usize = 1 << 20;

/// Most positions in a line that are tried as the beginning of a message.
const PLACES: usize = 64;

/// Names of the messages that are JSON objects.
const KINDS: [&str; 9] = ["hello", "progress", "checkpoint", "rows", "doing", "note", "done", "stopped", "failed"];

/// Splits a line into noise and the message at its end.
pub(crate) fn understand(line: Line) -> (Vec<u8>, Option<FromWorker>) {
    let Line { mut beginning, lost, bytes } = line;
    let (start, message) = match message_in(&bytes) {
        Some((start, message)) => (start, Some(bounded(message))),
        None => (bytes.len(), None),
    };
    if lost > 0 {
        // What is left of so long a line before the message counts as left out, too.
        let lost = lost + start as u64;
        beginning.extend_from_slice(format!(" [{lost} bytes of this line are left out]").as_bytes());
        return (beginning, message);
    }
    beginning.extend_from_slice(&bytes[..start]);
    (beginning, message)
}

/// Returns the message that a line ends with, and where it begins.
fn message_in(bytes: &[u8]) -> Option<(usize, FromWorker)> {
    if let Some(message) = parse(bytes) {
        return Some((0, message));
    }
    let end = bytes.trim_ascii_end();
    if let Some(before) = end.strip_suffix(b"\"alive\"") {
        return Some((before.len(), FromWorker::Alive));
    }
    if end.last() != Some(&b'}') {
        return None;
    }
    let begins = |at: &usize| {
        let rest = end[at + 1..].trim_ascii_start();
        let name = rest.strip_prefix(b"\"").unwrap_or_default();
        end[*at] == b'{' && KINDS.iter().any(|kind| name.starts_with(kind.as_bytes()))
    };
    // A message that is quoted in another does not parse, because the outer one continues after it.
    let mut places = (0..end.len()).rev().filter(begins).take(PLACES);
    places.find_map(|at| parse(&end[at..]).map(|message| (at, message)))
}

fn parse(bytes: &[u8]) -> Option<FromWorker> {
    match serde_json::from_slice(bytes) {
        Ok(message) => Some(message),
        Err(_) => serde_json::from_slice(&without_nan(bytes)?).ok(),
    }
}

/// Replaces NaN and the infinities, as Python's JSON spells them, by null; `None` if there are none.
fn without_nan(bytes: &[u8]) -> Option<Vec<u8>> {
    const NAMES: [&[u8]; 3] = [b"NaN", b"-Infinity", b"Infinity"];
    let mut out = Vec::with_capacity(bytes.len());
    let (mut at, mut copied, mut is_text) = (0, 0, false);
    while at < bytes.len() {
        let name = NAMES.iter().find(|name| !is_text && bytes[at..].starts_with(name));
        match (bytes[at], name) {
            (_, Some(name)) => {
                out.extend_from_slice(&bytes[copied..at]);
                out.extend_from_slice(b"null");
                at += name.len();
                copied = at;
                continue;
            }
            (b'\\', _) if is_text => at += 1,
            (b'"', _) => is_text = !is_text,
            _ => {}
        }
        at += 1;
    }
    out.extend_from_slice(&bytes[copied..]);
    (copied > 0).then_some(out)
}

/// Shortens what is too long in a message.
fn bounded(message: FromWorker) -> FromWorker {
    match message {
        FromWorker::Progress { step, total, unit, mut metrics } => {
            if metrics.len() > METRICS || metrics.keys().any(|name| name.len() > NAME) {
                metrics = metrics.into_iter().map(|(name, value)| (cut(name, NAME), value)).take(METRICS).collect();
            }
            FromWorker::Progress { step, total, unit: cut(unit, NAME), metrics }
        }
        FromWorker::Doing { what, part } => FromWorker::Doing { what: cut(what, NAME), part },
        FromWorker::Note { level, message } => FromWorker::Note { level, message: cut(message, TEXT) },
        FromWorker::Failed { message, help } => {
            FromWorker::Failed { message: cut(message, TEXT), help: help.map(|help| cut(help, TEXT)) }
        }
        FromWorker::Hello { protocol, pid, processor } => {
            FromWorker::Hello { protocol, pid, processor: processor.map(|text| cut(text, NAME)) }
        }
        FromWorker::Done { outputs, summary } => FromWorker::Done { outputs, summary: bounded_summary(summary) },
        other => other,
    }
}

fn bounded_summary(summary: Map<String, Value>) -> Map<String, Value> {
    let len = serde_json::to_string(&summary).map_or(0, |text| text.len());
    if len <= SUMMARY {
        return summary;
    }
    let about = format!("a summary of {len} bytes is left out: the most is {SUMMARY}");
    Map::from_iter([("summary".to_owned(), json!(about))])
}

/// Cuts a text to `most` bytes, and appends how many are left out.
pub(crate) fn cut(mut text: String, most: usize) -> String {
    if text.len() > most {
        let (len, kept) = (text.len(), text.floor_char_boundary(most));
        text.truncate(kept);
        let _ = write!(text, " … [{} bytes left out]", len - kept);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Level;

    fn line(bytes: &[u8]) -> Line {
        Line { bytes: bytes.to_vec(), ..Line::default() }
    }

    fn check(bytes: &[u8], noise: &[u8], message: Option<FromWorker>) {
        assert_eq!(understand(line(bytes)), (noise.to_vec(), message), "{}", String::from_utf8_lossy(bytes));
    }

    fn note(message: &str) -> FromWorker {
        FromWorker::Note { level: Level::Info, message: message.to_owned() }
    }

    #[test]
    fn a_message_is_found_behind_whatever_stands_before_it() {
        let text = br#"{"note": {"level": "info", "message": "x"}}"#;
        check(text, b"", Some(note("x")));
        let all = |before: &[u8], after: &[u8]| [before, &text[..], after].concat();
        for noise in
            [&b"\rbar 10%\rbar 100%"[..], b"caf\xe9 \xff", b"{", b"{\"note\": ", b"[1, 2]", b"NaN \"", b"{\"a\": 1}"]
        {
            check(&all(noise, b""), noise, Some(note("x")));
            check(&all(noise, b"\r"), noise, Some(note("x")));
        }
        check(&all(b"", b" and more"), &all(b"", b" and more"), None);
        check(b"bar 10%\"alive\"", b"bar 10%", Some(FromWorker::Alive));
        check(b"\"alive\"", b"", Some(FromWorker::Alive));
        for noise in [&b""[..], b"Loading weights: done", b"{\"event\": \"x\"}", b"caf\xe9", b"\"dead\"", b"}}}}"] {
            check(noise, noise, None);
        }
    }

    #[test]
    fn the_whole_message_is_taken_not_one_that_is_quoted_in_it() {
        let summary = json!({ "inner": { "failed": { "message": "no", "help": null } } });
        let done = json!({ "done": { "outputs": { "done": "/x" }, "summary": summary } }).to_string();
        let Value::Object(summary) = summary else { unreachable!("it is a table") };
        let message = FromWorker::Done { outputs: [("done".to_owned(), "/x".into())].into(), summary };
        check(format!("bar{done}").as_bytes(), b"bar", Some(message));
    }

    #[test]
    fn numbers_that_are_none_cost_no_step() {
        for (spelt, expected) in [("NaN", "null"), ("-Infinity", "null"), ("Infinity", "null"), ("null", "null")] {
            let text = format!(
                r#"{{"progress": {{"step": 3, "total": 5, "unit": "NaN \" NaN", "metrics": {{"a": {spelt}, "b": 0.5}}}}}}"#
            );
            let (noise, message) = understand(line(text.as_bytes()));
            let Some(FromWorker::Progress { step: 3, unit, metrics, .. }) = message else {
                panic!("{spelt}: {message:?}")
            };
            assert_eq!((noise.as_slice(), unit.as_str()), (&b""[..], "NaN \" NaN"));
            assert!(metrics["a"].is_nan() && (metrics["b"] - 0.5).abs() < f64::EPSILON, "{metrics:?}");
            assert_eq!(serde_json::to_string(&metrics).unwrap(), format!(r#"{{"a":{expected},"b":0.5}}"#));
        }
    }

    #[test]
    fn what_is_too_long_is_cut_and_says_so() {
        let (_, message) = understand(line(
            json!({ "note": { "level": "info", "message": "ä".repeat(1 << 20) } }).to_string().as_bytes(),
        ));
        let Some(FromWorker::Note { message, .. }) = message else { panic!("{message:?}") };
        assert!(message.len() < TEXT + 100 && message.ends_with("bytes left out]"), "{}", message.len());

        let metrics: Map<String, Value> = (0..2 * METRICS).map(|at| (at.to_string(), json!(1.0))).collect();
        let text = json!({ "progress": { "step": 1, "total": 1, "unit": "step", "metrics": metrics } }).to_string();
        let Some(FromWorker::Progress { metrics, .. }) = understand(line(text.as_bytes())).1 else { panic!("{text}") };
        assert_eq!(metrics.len(), METRICS);

        let text = json!({ "done": { "outputs": {}, "summary": { "x": "y".repeat(2 * SUMMARY) } } }).to_string();
        let Some(FromWorker::Done { summary, .. }) = understand(line(text.as_bytes())).1 else { panic!("a summary") };
        assert!(summary["summary"].as_str().unwrap().contains("left out"), "{summary:?}");
    }

    #[test]
    fn of_a_line_that_was_too_long_the_message_at_its_end_is_heard() {
        let bytes = br#"xxx{"stopped": {"step": 7}}"#.to_vec();
        let (noise, message) = understand(Line { beginning: b"bar".to_vec(), lost: 9, bytes });
        assert_eq!(message, Some(FromWorker::Stopped { step: 7 }));
        assert_eq!(String::from_utf8(noise).unwrap(), "bar [12 bytes of this line are left out]");
    }
}
