//! A hub folder's `configs`, which the head of its README.md names: which files are a split's, by glob patterns.
//!
//! ```text
//! ---
//! configs:
//! - config_name: main                       data_files: text, a list of texts, or by split:
//!   data_files:
//!   - split: train
//!     path: data/train-*.parquet            a pattern, or a list of patterns
//! - config_name: socratic
//!   data_dir: socratic                      without `data_files`, all of the folder by the usual conventions
//! ---
//! ```
//! Patterns are relative to `data_dir`, or to the README's folder. As in `datasets`, patterns without a split are
//! `train`; `*` and `?` stay within a name, `**` crosses folders. Departures: aliases of YAML are refused, and so are
//! keys that change how files are read, because nothing here would follow them.

use std::path::Path;

use saphyr_parser::{Event, Parser, StrInput};
use serde_json::{Map, Value};

use super::folder::{Splits, data_files, splits};
use crate::artifacts::Error;
use crate::limits;

/// The file that is read; the mark `x-reads` of the key `config` names it, too.
pub(super) const README: &str = "README.md";
/// Keys of a config that are followed, or that change nothing.
const KNOWN: [&str; 6] = ["config_name", "data_files", "data_dir", "default", "description", "version"];
/// The split of files that have none.
const TRAIN: &str = "train";

/// The parts of a YAML text, one after the other.
type Events<'a> = Parser<'a, StrInput<'a>>;

/// Returns the splits of the config `name` of the folder `dir`.
pub(super) fn config(dir: &Path, name: &str) -> Result<Splits, Error> {
    let failed = |reason: String| Error::Dataset { path: dir.join(README), reason };
    if !dir.join(README).exists() {
        let reason = "it is not there, and names the configs: leave `config` out, or name the whole repository";
        return Err(failed(reason.to_owned()));
    }
    let text = outside::read_text(&dir.join(README), limits::DOCUMENT_BYTES, limits::NO_SUCH_FILE)?;
    let configs = configs(&text).map_err(failed)?;
    let named = |config: &&Map<String, Value>| config.get("config_name").and_then(Value::as_str) == Some(name);
    let config = configs.iter().find(named).ok_or_else(|| {
        let names = configs.iter().filter_map(|config| config.get("config_name")?.as_str());
        let names = names.map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
        failed(format!("no config `{name}`; there are {names}"))
    })?;
    if let Some(key) = config.keys().find(|key| !KNOWN.contains(&key.as_str())) {
        return Err(failed(format!("config `{name}` has the key `{key}`, which is not understood")));
    }
    let root = match config.get("data_dir").and_then(Value::as_str) {
        Some(folder) => dir.join(inside(folder).map_err(failed)?),
        None => dir.to_owned(),
    };
    let Some(data) = config.get("data_files") else { return splits(&root) };
    let files = data_files(&root)?;
    let mut found = Splits::new();
    for (split, patterns) in patterns(data).map_err(failed)? {
        let of_split = found.entry(split).or_default();
        for pattern in patterns {
            let pattern = inside(&pattern).map_err(failed)?;
            let matching = files.iter().filter(|file| matches(&pattern, file));
            let before = of_split.len();
            of_split.extend(matching.map(|file| root.join(file)));
            if of_split.len() == before {
                return Err(failed(format!("config `{name}`: no file of data matches `{pattern}`")));
            }
        }
        // A file that two patterns match is read once.
        let mut seen = std::collections::HashSet::new();
        of_split.retain(|file| seen.insert(file.clone()));
    }
    Ok(found)
}

/// Returns the configs in the head of a README.
fn configs(text: &str) -> Result<Vec<Map<String, Value>>, String> {
    let none = || "it has no `configs` in its head, between two lines `---`".to_owned();
    let text = text.trim_start_matches('\u{feff}').replace("\r\n", "\n");
    let head = text.strip_prefix("---\n").and_then(|rest| Some(&rest[..=rest.find("\n---")?])).ok_or_else(none)?;
    let mut events = Parser::new_from_str(head);
    let head = value(&mut events).map_err(|reason| format!("its head is no YAML: {reason}"))?;
    let configs = head.get("configs").and_then(Value::as_array).ok_or_else(none)?;
    let configs = configs.iter().map(|config| config.as_object().cloned().ok_or("a config is no table".to_owned()));
    configs.collect()
}

/// Reads the next value; every scalar is a text.
fn value(events: &mut Events<'_>) -> Result<Value, String> {
    loop {
        match next(events)? {
            Event::StreamStart | Event::DocumentStart(_) | Event::Nothing => {}
            event => return value_of(event, events, 0),
        }
    }
}

fn value_of<'a>(event: Event<'a>, events: &mut Events<'a>, depth: usize) -> Result<Value, String> {
    if depth > limits::NESTING {
        return Err(format!("nested more than {} times", limits::NESTING));
    }
    match event {
        Event::Scalar(text, ..) => Ok(Value::String(text.into_owned())),
        Event::SequenceStart(..) => {
            let mut items = Vec::new();
            loop {
                match next(events)? {
                    Event::SequenceEnd => return Ok(Value::Array(items)),
                    event => items.push(value_of(event, events, depth + 1)?),
                }
            }
        }
        Event::MappingStart(..) => {
            let mut fields = Map::new();
            loop {
                let name = match next(events)? {
                    Event::MappingEnd => return Ok(Value::Object(fields)),
                    Event::Scalar(name, ..) => name.into_owned(),
                    _ => return Err("a key is no text".to_owned()),
                };
                let event = next(events)?;
                fields.insert(name, value_of(event, events, depth + 1)?);
            }
        }
        Event::Alias(_) => Err("it has an alias (`*name`)".to_owned()),
        _ => Err("it ends too early".to_owned()),
    }
}

fn next<'a>(events: &mut Events<'a>) -> Result<Event<'a>, String> {
    match events.next() {
        Some(Ok((event, _))) => Ok(event),
        Some(Err(error)) => Err(error.to_string()),
        None => Err("it ends too early".to_owned()),
    }
}

/// Returns the patterns of each split.
fn patterns(data: &Value) -> Result<Vec<(String, Vec<String>)>, String> {
    let wrong = || "`data_files` is neither patterns nor a list of `split` and `path`".to_owned();
    let texts = |value: &Value| match value {
        Value::String(pattern) => Some(vec![pattern.clone()]),
        Value::Array(items) => items.iter().map(|item| item.as_str().map(str::to_owned)).collect(),
        _ => None,
    };
    if let Some(patterns) = texts(data) {
        return Ok(vec![(TRAIN.to_owned(), patterns)]);
    }
    let of_split = |split: &str, path: &Value| Ok((split.to_owned(), texts(path).ok_or_else(wrong)?));
    match data {
        Value::Array(items) => {
            let split = |item: &Value| of_split(item["split"].as_str().ok_or_else(wrong)?, &item["path"]);
            items.iter().map(split).collect()
        }
        Value::Object(splits) => splits.iter().map(|(split, path)| of_split(split, path)).collect(),
        _ => Err(wrong()),
    }
}

/// Returns a path or pattern that stays below its folder, in plain form.
fn inside(path: &str) -> Result<String, String> {
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
    if path.starts_with('/') || path.contains("://") || path.contains('\\') || parts.contains(&"..") {
        return Err(format!("`{path}` does not lie below its folder"));
    }
    Ok(parts.join("/"))
}

/// Returns whether a pattern matches a path below the same folder.
fn matches(pattern: &str, file: &Path) -> bool {
    let names: Option<Vec<&str>> = file.iter().map(|name| name.to_str()).collect();
    names.is_some_and(|names| matches_parts(&pattern.split('/').collect::<Vec<_>>(), &names))
}

fn matches_parts(pattern: &[&str], names: &[&str]) -> bool {
    match (pattern, names) {
        ([], []) => true,
        // At the end `**` stands for at least a file's name.
        (["**"], names) => !names.is_empty(),
        (["**", rest @ ..], names) => (0..=names.len()).any(|skipped| matches_parts(rest, &names[skipped..])),
        ([part, parts @ ..], [name, names @ ..]) => {
            let (part, name): (Vec<char>, Vec<char>) = (part.chars().collect(), name.chars().collect());
            matches_name(&part, &name) && matches_parts(parts, names)
        }
        _ => false,
    }
}

/// Matches a name by `*`, `?` and `[a-z]`; goes back to the last `*` on a mismatch, so that it takes linear memory and
/// at most quadratic time.
fn matches_name(pattern: &[char], name: &[char]) -> bool {
    let (mut at, mut from) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while from < name.len() {
        let step = match pattern.get(at) {
            Some('*') => {
                star = Some((at + 1, from));
                at += 1;
                continue;
            }
            Some('?') => Some(1),
            Some('[') => class(&pattern[at..], name[from]),
            Some(letter) if *letter == name[from] => Some(1),
            _ => None,
        };
        match (step, star) {
            (Some(step), _) => (at, from) = (at + step, from + 1),
            (None, Some((after, begin))) => {
                star = Some((after, begin + 1));
                (at, from) = (after, begin + 1);
            }
            (None, None) => return false,
        }
    }
    pattern[at..].iter().all(|letter| *letter == '*')
}

/// Returns the length of the class that a pattern begins with, if a letter is in it. One that is never closed is a
/// plain `[`.
fn class(pattern: &[char], letter: char) -> Option<usize> {
    let is_not = pattern.get(1).is_some_and(|sign| ['!', '^'].contains(sign));
    let begin = if is_not { 2 } else { 1 };
    let Some(end) = (begin + 1..pattern.len()).find(|end| pattern[*end] == ']') else {
        return (letter == '[').then_some(1);
    };
    let members = &pattern[begin..end];
    let mut is_in = false;
    let mut at = 0;
    while at < members.len() {
        match members[at..] {
            [low, '-', high, ..] => {
                is_in |= (low..=high).contains(&letter);
                at += 3;
            }
            [member, ..] => {
                is_in |= member == letter;
                at += 1;
            }
            [] => break,
        }
    }
    (is_in != is_not).then_some(end + 1)
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    #[test]
    fn patterns_match_as_in_datasets() {
        for (pattern, file, expected) in [
            ("data/train-*.parquet", "data/train-00000-of-00002.parquet", true),
            ("data/train-*", "data/more/train-0.parquet", false),
            ("*.jsonl", "a.jsonl", true),
            ("*.jsonl", "data/a.jsonl", false),
            ("**", "data/a.jsonl", true),
            ("**/*.jsonl", "a.jsonl", true),
            ("**/*.jsonl", "a/b/c.jsonl", true),
            ("data/**", "data/a/b.jsonl", true),
            ("data/**", "other/b.jsonl", false),
            ("a/**/b.jsonl", "a/b.jsonl", true),
            ("part-?.jsonl", "part-1.jsonl", true),
            ("part-?.jsonl", "part-12.jsonl", false),
            ("part-[0-3a].jsonl", "part-2.jsonl", true),
            ("part-[0-3a].jsonl", "part-a.jsonl", true),
            ("part-[!0-3].jsonl", "part-2.jsonl", false),
            ("part-[!0-3].jsonl", "part-4.jsonl", true),
            ("[x.jsonl", "[x.jsonl", true),
            ("*a*b*.jsonl", "xxaxxbxx.jsonl", true),
            ("*a*b*.jsonl", "xxbxxaxx.jsonl", false),
            ("", "a.jsonl", false),
        ] {
            assert_eq!(matches(pattern, &PathBuf::from(file)), expected, "{pattern} {file}");
        }
        let stars = format!("{}b", "*a".repeat(40));
        assert!(!matches(&stars, &PathBuf::from("a".repeat(200))));
    }

    /// A folder with the files of a data set, and a README with this head.
    fn folder(head: &str) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for file in ["main/train-0.jsonl", "main/train-1.jsonl", "main/test-0.jsonl", "extra/a.jsonl", "notes.txt"] {
            fs_err::create_dir_all(root.path().join(file).parent().unwrap()).unwrap();
            fs_err::write(root.path().join(file), "").unwrap();
        }
        fs_err::write(root.path().join(README), format!("---\n{head}\n---\n# A set\n")).unwrap();
        root
    }

    fn read(head: &str, name: &str) -> Result<String, String> {
        let root = folder(head);
        let splits = config(root.path(), name);
        let splits = splits.map_err(|error| error.to_string().replace(&format!("{}/", root.path().display()), ""))?;
        let name = |file: &PathBuf| file.strip_prefix(root.path()).unwrap().display().to_string();
        let split = |(split, files): (&String, &Vec<PathBuf>)| {
            format!("{split}: {}", files.iter().map(name).collect::<Vec<_>>().join(" "))
        };
        Ok(splits.iter().map(split).collect::<Vec<_>>().join("; "))
    }

    #[test]
    fn a_config_says_which_files_are_a_splits() {
        let head = "license: mit\nconfigs:\n- config_name: main\n  default: true\n  data_files:\n  - split: train\n    \
                    path: main/train-*\n  - split: test\n    path:\n    - \"main/test-*.jsonl\"\n- config_name: extra\n  \
                    data_dir: extra\n- config_name: all\n  data_files: ['main/*', \"extra/a.jsonl\", main/train-0.jsonl]\n\
                    - config_name: by\n  data_dir: main\n  data_files:\n    train: train-1.jsonl\nsize_categories:\n- n<1K";
        let table = [
            ("main", "test: main/test-0.jsonl; train: main/train-0.jsonl main/train-1.jsonl"),
            ("extra", "train: extra/a.jsonl"),
            ("all", "train: main/test-0.jsonl main/train-0.jsonl main/train-1.jsonl extra/a.jsonl"),
            ("by", "train: main/train-1.jsonl"),
        ];
        for (name, expected) in table {
            assert_eq!(read(head, name).as_deref(), Ok(expected), "{name}");
        }
        let error = read(head, "none").unwrap_err();
        assert_eq!(error, "`README.md`: no config `none`; there are `main`, `extra`, `all`, `by`");
    }

    #[test]
    fn what_cannot_be_followed_is_refused() {
        let of = |data: &str| format!("configs:\n- config_name: a\n  {data}");
        for (head, expected) in [
            (of("data_files: gone-*.jsonl"), "no file of data matches `gone-*.jsonl`"),
            (of("data_files: notes.txt"), "no file of data matches `notes.txt`"),
            (of("data_files: ../*"), "does not lie below its folder"),
            (of("data_files: https://x.org/a.jsonl"), "does not lie below its folder"),
            (of("data_dir: /etc"), "does not lie below its folder"),
            (of("data_files: [{split: train}]"), "neither patterns nor a list"),
            (of("sep: \";\""), "the key `sep`, which is not understood"),
            ("license: mit".to_owned(), "no `configs`"),
            ("configs: &x [{config_name: a}]\nmore: *x".to_owned(), "an alias"),
            ("configs: [".to_owned(), "no YAML"),
            (format!("configs: {}", "[".repeat(100)), "no YAML: nested more than 64 times"),
        ] {
            let error = read(&head, "a").unwrap_err();
            assert!(error.starts_with("`README.md`: ") && error.contains(expected), "{head}: {error}");
        }
        let root = folder("");
        fs_err::write(root.path().join(README), "# A set\n").unwrap();
        assert!(config(root.path(), "a").unwrap_err().to_string().contains("no `configs`"));
        fs_err::rename(root.path().join(README), root.path().join("NOTICE")).unwrap();
        let gone = config(root.path(), "a").unwrap_err().to_string();
        assert!(gone.contains("README.md`: it is not there"), "{gone}");
    }
}
