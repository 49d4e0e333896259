//! Finds the files of a folder that contain the rows, in order, by the conventions of the Hugging Face hub and of
//! `datasets`.
//!
//! ```text
//! prompts.jsonl                            the output of a stage of ours
//! dataset_dict.json, train/…               `save_to_disk` of several splits
//! state.json, data-00000-of-00002.arrow    `save_to_disk` of one; its caches beside it are not read
//! data/train-00000-of-00002.parquet        a split in shards
//! train.jsonl, gsm8k_test.csv, test/a.csv  a split named by a word of the file's or the folder's name
//! anything.jsonl                           without such a word, all files are `train`
//! ```
//! A README's `configs` are read where the input names one (`readme.rs`). Departures from `datasets`: where that would
//! choose silently (two formats of one split, folders side by side, files with and without a split), this is an error
//! that asks the user to choose. A missing shard is an error.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use engine::artifact::{DATA_FORMATS, data_format, is_beside};
use serde::Deserialize;
use serde_json::Value;

use super::readme;
use crate::artifacts::Error;
use crate::limits;

/// Files that describe the data beside them.
const ABOUT: [&str; 5] = ["config.json", "dataset_dict.json", "dataset_info.json", "dataset_infos.json", "state.json"];
const WORDS: [(&str, &[&str]); 3] = [
    ("train", &["train", "training"]),
    ("validation", &["validation", "valid", "val", "dev"]),
    ("test", &["test", "testing", "eval", "evaluation"]),
];

/// The files of each split.
pub(super) type Splits = BTreeMap<String, Vec<PathBuf>>;

/// Returns the files of the dataset at `path`, of this config and split; `own` is the name of the file in a stage's
/// folder.
pub(crate) fn files(path: &Path, own: &str, config: Option<&str>, split: Option<&str>) -> Result<Vec<PathBuf>, Error> {
    let failed = |reason: String| Error::Dataset { path: path.to_owned(), reason };
    if !path.is_dir() {
        return match (config, split) {
            (None, None) => Ok(vec![path.to_owned()]),
            (None, Some(_)) => Err(failed("one file has no splits: leave `split` out".to_owned())),
            (Some(_), _) => Err(failed("one file has no configs: leave `config` out".to_owned())),
        };
    }
    if config.is_none() && split.is_none() && path.join(own).exists() {
        return Ok(vec![path.join(own)]);
    }
    let mut splits = match config {
        Some(name) => readme::config(path, name)?,
        None => splits(path)?,
    };
    if splits.is_empty() {
        return Err(failed(format!(
            "no data in this folder: neither `{own}` nor a file that ends in {}",
            DATA_FORMATS.join(", ")
        )));
    }
    let names = splits.keys().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    let chosen = match split {
        Some(split) => split.to_owned(),
        None if splits.len() == 1 => splits.keys().next().expect("one is there").clone(),
        None => return Err(failed(format!("there are the splits {names}: choose one with `split`"))),
    };
    let files = splits.remove(&chosen).ok_or_else(|| failed(format!("no split `{chosen}`; there are {names}")))?;
    // A config names its files, so none is there by accident.
    if config.is_none() {
        check(path, &chosen, &files).map_err(failed)?;
    }
    Ok(files)
}

/// Returns the splits of a folder, by the conventions above.
pub(super) fn splits(dir: &Path) -> Result<Splits, Error> {
    #[derive(Deserialize)]
    struct Dict {
        splits: Vec<String>,
    }
    if dir.join("dataset_dict.json").exists() {
        let dict: Dict = document(&dir.join("dataset_dict.json"))?;
        return dict
            .splits
            .into_iter()
            .map(|split| Ok((split.clone(), saved(&dir.join(plain(dir, &split)?))?.1)))
            .collect();
    }
    if dir.join("state.json").exists() {
        let (split, files) = saved(dir)?;
        return Ok(Splits::from([(split.unwrap_or_else(|| "train".to_owned()), files)]));
    }
    let found = data_files(dir)?;
    let named: Vec<(Option<String>, &PathBuf)> = found.iter().map(|file| (split_of(file), file)).collect();
    let is_named = named.iter().any(|(split, _)| split.is_some());
    let mut splits = Splits::new();
    for (split, file) in &named {
        let other = if is_named { stem(file) } else { "train" };
        splits.entry(split.clone().unwrap_or_else(|| other.to_owned())).or_default().push(dir.join(file));
    }
    Ok(splits)
}

/// Returns the data files below a folder, relative to it and sorted.
pub(super) fn data_files(dir: &Path) -> Result<Vec<PathBuf>, Error> {
    let mut found = Vec::new();
    walk(dir, dir, &mut found)?;
    found.sort();
    Ok(found)
}

/// Returns the split and the files of a folder that `save_to_disk` wrote.
fn saved(dir: &Path) -> Result<(Option<String>, Vec<PathBuf>), Error> {
    #[derive(Deserialize)]
    struct State {
        #[serde(rename = "_data_files")]
        data_files: Vec<File>,
        #[serde(rename = "_split", default)]
        split: Option<String>,
        #[serde(rename = "_indices_files", default)]
        indices_files: Option<Vec<Value>>,
    }
    #[derive(Deserialize)]
    struct File {
        filename: String,
    }
    let state: State = document(&dir.join("state.json"))?;
    if state.indices_files.is_some_and(|files| !files.is_empty()) {
        let reason = "its rows are reordered by a file of indices: save it again after `flatten_indices`".to_owned();
        return Err(Error::Dataset { path: dir.to_owned(), reason });
    }
    let files = state.data_files.iter().map(|file| Ok(dir.join(plain(dir, &file.filename)?)));
    Ok((state.split, files.collect::<Result<_, Error>>()?))
}

fn document<T: for<'de> Deserialize<'de>>(file: &Path) -> Result<T, Error> {
    let text = outside::read_text(file, limits::DOCUMENT_BYTES, limits::NO_SUCH_FILE)?;
    serde_json::from_str(&text).map_err(|source| Error::Damaged { file: file.to_owned(), source })
}

/// Checks that a document names a file beside it; a path elsewhere means a broken or hostile document.
fn plain<'a>(dir: &Path, name: &'a str) -> Result<&'a str, Error> {
    if Path::new(name).file_name().is_some_and(|file| file == name) {
        return Ok(name);
    }
    Err(Error::Dataset { path: dir.to_owned(), reason: format!("`{name}` is no plain name of a file beside it") })
}

/// Collects the data files below `dir`, relative to `root`. Files that are no part of an input's digest are skipped:
/// caches of other tools, for example.
fn walk(root: &Path, dir: &Path, found: &mut Vec<PathBuf>) -> Result<(), Error> {
    let failed = |reason: String| Error::Dataset { path: dir.to_owned(), reason };
    // Links are followed, and may form a cycle.
    if dir.components().count() - root.components().count() > limits::FOLDERS {
        let most = limits::FOLDERS;
        return Err(failed(format!("more than {most} nested folders; help: point the input at the one with data")));
    }
    for entry in fs_err::read_dir(dir)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if is_beside(&name) || ABOUT.contains(&name.as_str()) {
            continue;
        }
        if fs_err::metadata(&path)?.is_dir() {
            walk(root, &path, found)?;
        } else if data_format(&name).is_some() {
            if found.len() == limits::FILES {
                return Err(failed(format!("more than {} files of data; help: join them", limits::FILES)));
            }
            found.push(path.strip_prefix(root).expect("it lies below").to_owned());
        }
    }
    Ok(())
}

fn stem(file: &Path) -> &str {
    let name = file.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    data_format(name).map_or(name, |format| &name[..name.len() - format.len() - 1])
}

fn split_of(file: &Path) -> Option<String> {
    let stem = stem(file);
    if let Some(shard) = Shard::parse(stem).filter(|shard| shard.of != "data" && is_word(shard.of)) {
        return Some(shard.of.to_owned());
    }
    let folders = file.parent().unwrap_or(Path::new("")).iter().rev().filter_map(|folder| folder.to_str());
    std::iter::once(stem).chain(folders).find_map(|name| {
        let name = name.to_lowercase();
        let mut words = name.split(|letter: char| !letter.is_alphabetic());
        words.find_map(|word| {
            WORDS.iter().find(|(_, words)| words.contains(&word)).map(|(split, _)| (*split).to_owned())
        })
    })
}

fn is_word(name: &str) -> bool {
    name.chars().all(|letter| letter.is_alphanumeric() || "_.".contains(letter))
}

/// A shard of a split by its file name: `train-00000-of-00002`, with any suffix.
struct Shard<'a> {
    of: &'a str,
    number: usize,
    count: usize,
}

impl<'a> Shard<'a> {
    fn parse(stem: &'a str) -> Option<Self> {
        let (rest, count) = stem.rsplit_once("-of-")?;
        let (of, number) = rest.rsplit_once('-')?;
        let count = count.split(|letter: char| !letter.is_ascii_digit()).next()?;
        Some(Self { of, number: number.parse().ok()?, count: count.parse().ok()? })
    }
}

/// Refuses files that would give rows twice, and missing shards.
fn check(dir: &Path, split: &str, files: &[PathBuf]) -> Result<(), String> {
    let name = |file: &Path| format!("`{}`", file.strip_prefix(dir).unwrap_or(file).display());
    let sort = |file: &PathBuf| {
        let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        (file.parent().map(Path::to_owned), data_format(&name).map(str::to_owned))
    };
    if let Some(other) = files.iter().find(|file| sort(file) != sort(&files[0])) {
        let (one, other) = (name(&files[0]), name(other));
        return Err(format!("`{split}` may be {one} or {other}: point the input at one file or folder"));
    }
    let mut shards: BTreeMap<(&str, usize), BTreeSet<usize>> = BTreeMap::new();
    for shard in files.iter().filter_map(|file| Shard::parse(stem(file))) {
        shards.entry((shard.of, shard.count)).or_default().insert(shard.number);
    }
    for ((of, count), numbers) in shards {
        if let Some(number) = (0..count).find(|number| !numbers.contains(number)) {
            return Err(format!("the shard `{of}-{number:05}-of-{count:05}` is missing"));
        }
    }
    Ok(())
}
