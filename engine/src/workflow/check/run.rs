//! The table `run`: how often a stage stores checkpoints, how long it may take, and what it needs of the machine.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::super::RunOptions;
use super::super::tree::{Entry, Node, Value};
use crate::diagnostic::{Diagnostic, Sources, suggest};
use crate::limits;
use crate::placement::POOLS;

/// The keys of `run`.
pub(super) const KEYS: [&str; 9] = [
    "checkpoint-every",
    "checkpoint-steps",
    "keep-checkpoints",
    "log-mib",
    "timeout",
    "progress-timeout",
    "retries",
    "needs",
    "tensorboard",
];

/// Parses a `run` table; keys that it lacks have their values in `base`.
pub(in crate::workflow) fn run_options(
    node: Option<&Node>,
    base: &RunOptions,
    sources: &Sources,
    diagnostics: &mut Vec<Diagnostic>,
) -> RunOptions {
    let mut options = base.clone();
    let Some(node) = node else { return options };
    let Some(table) = node.table() else {
        diagnostics.push(Diagnostic::new(&node.span, "`run` is a table", node.value.sort()));
        return options;
    };
    for entry in &table.0 {
        match entry.key.as_str() {
            "checkpoint-every" => options.checkpoint_every = duration(entry, diagnostics),
            "timeout" => options.timeout = duration(entry, diagnostics),
            "progress-timeout" => options.progress_timeout = duration(entry, diagnostics),
            "needs" => options.needs = needs(entry, diagnostics),
            "tensorboard" => options.tensorboard = folder(entry, sources, diagnostics),
            "checkpoint-steps" => {
                options.checkpoint_steps = bounded(entry, 1, limits::STEPS, diagnostics).map(|steps| steps as u64);
            }
            "keep-checkpoints" => {
                options.keep_checkpoints = bounded(entry, 1, 1_000_000, diagnostics).map(|count| count as usize);
            }
            "log-mib" => options.log_mib = bounded(entry, 1, limits::MIB, diagnostics).map(|mib| mib as u64),
            "retries" => options.retries = bounded(entry, 0, 1_000, diagnostics).map_or(0, |retries| retries as u32),
            _ => {
                let help = of_needs(&entry.key).or_else(|| suggest(&entry.key, KEYS));
                let message = format!("unknown key `{}` in `run`", entry.key);
                diagnostics
                    .push(Diagnostic::new(&entry.key_span, message, "not a key of `run`").with_optional_help(help));
            }
        }
    }
    options
}

/// Returns where a pool's name belongs.
fn of_needs(key: &str) -> Option<String> {
    let near = suggest(key, POOLS).filter(|_| !KEYS.contains(&key));
    let pool = near
        .as_deref()
        .and_then(|near| POOLS.into_iter().find(|pool| key == *pool || near.contains(&format!("`{pool}`?"))))?;
    Some(format!("what a stage takes of the machine is in `needs`: `run = {{ needs = {{ {pool} = 1 }} }}`"))
}

/// Parses what a stage takes of each pool. Names are not checked, because the pools are those of the machine.
fn needs(entry: &Entry, diagnostics: &mut Vec<Diagnostic>) -> BTreeMap<String, u64> {
    let Some(table) = entry.node.table() else {
        let help = "for example `needs = { cores = 4, memory-gib = 16, gpus = 1 }`";
        let diagnostic = Diagnostic::new(&entry.node.span, "`needs` is a table", entry.node.value.sort());
        diagnostics.push(diagnostic.with_help(help));
        return BTreeMap::new();
    };
    let amounts = table.0.iter().filter_map(|pool| {
        let amount = bounded(pool, 0, limits::NEEDS, diagnostics)?;
        Some((pool.key.clone(), amount as u64))
    });
    amounts.collect()
}

/// Parses the path of a folder, which need not exist. A path is relative to the file that it is written in; a path from
/// `--set` is relative to the current folder.
fn folder(entry: &Entry, sources: &Sources, diagnostics: &mut Vec<Diagnostic>) -> Option<PathBuf> {
    let mut refuse = |label: &str, help: &str| {
        let message = format!("`{}` is the path of a folder", entry.key);
        diagnostics.push(Diagnostic::new(&entry.node.span, message, label).with_help(help));
        None
    };
    let example = "for example \"logs\", beside the workflow file; it is made if it is not there";
    let Some(text) = entry.node.text() else { return refuse(entry.node.value.sort(), example) };
    if text.is_empty() {
        return refuse("it is empty", example);
    }
    if text.contains("://") {
        return refuse("not a path", "event files are written to this machine: name a folder, and copy it from there");
    }
    if text.starts_with('~') || text.contains('$') {
        let help = "`~` and variables such as `$HOME` are not replaced here: write the whole path";
        return refuse("not a path", help);
    }
    let base = sources.get(entry.node.span.source).name.parent().unwrap_or(Path::new(""));
    let path = std::path::absolute(base.join(text)).ok()?;
    if path.exists() && !path.is_dir() {
        return refuse("this is a file", "name another folder, or move the file");
    }
    Some(path)
}

/// Parses a whole number within bounds.
fn bounded(entry: &Entry, least: i64, most: i64, diagnostics: &mut Vec<Diagnostic>) -> Option<i64> {
    match entry.node.value {
        Value::Integer(number) if (least..=most).contains(&number) => Some(number),
        _ => {
            let message = format!("`{}` is a whole number, from {least} to {most}", entry.key);
            diagnostics.push(Diagnostic::new(&entry.node.span, message, entry.node.value.sort()));
            None
        }
    }
}

/// Parses "30s", "10m", "1h 30m", "2d".
fn duration(entry: &Entry, diagnostics: &mut Vec<Diagnostic>) -> Option<std::time::Duration> {
    let parsed = entry.node.text().and_then(seconds);
    if parsed.is_none() {
        let message = format!("`{}` is a duration", entry.key);
        let help = "for example \"30s\", \"10m\", \"1h 30m\" or \"2d\"; at most ten years";
        diagnostics.push(Diagnostic::new(&entry.node.span, message, "not a duration").with_help(help));
    }
    parsed.map(std::time::Duration::from_secs)
}

fn seconds(text: &str) -> Option<u64> {
    let mut total = 0_u64;
    let mut any = false;
    for part in text.split_whitespace() {
        let split = part.find(|c: char| !c.is_ascii_digit())?;
        let (number, unit) = part.split_at(split);
        let factor = match unit {
            "s" => 1,
            "m" => 60,
            "h" => 3_600,
            "d" => 86_400,
            _ => return None,
        };
        total = total.checked_add(number.parse::<u64>().ok()?.checked_mul(factor)?)?;
        any = true;
    }
    (any && (1..=limits::SECONDS).contains(&total)).then_some(total)
}
