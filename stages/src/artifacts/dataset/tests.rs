//! The same rows in every format, as pyarrow, pandas and `datasets` wrote them (`tests/datasets/make.py`).

use std::path::{Path, PathBuf};

use engine::artifact as mark;
use serde_json::{Value, json};

use crate::artifacts::{read_preferences, read_prompts, read_samples, write_prompts, write_samples};
use crate::testing::input;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/datasets").join(name)
}

fn files(folder: &str) -> Vec<PathBuf> {
    let mut files: Vec<_> = fs_err::read_dir(fixture(folder)).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

/// Returns the artifact that is made of the prompts at `path`, or the error's message without the path.
fn prompts(path: &Path, import: Value) -> Result<String, String> {
    let folder = path.parent().unwrap();
    let rows = read_prompts(&input::<mark::Prompts>("inputs.it", path, import))
        .map_err(|error| error.to_string().replace(&format!("{}/", folder.display()), ""))?;
    let out = tempfile::tempdir().unwrap();
    write_prompts(out.path(), &rows).unwrap();
    Ok(fs_err::read_to_string(out.path().join("prompts.jsonl")).unwrap())
}

fn questions() -> Value {
    json!({ "fields": { "prompt": "question" }, "answer-after": "####" })
}

fn with(mut import: Value, key: &str, value: impl Into<Value>) -> Value {
    import[key] = value.into();
    import
}

#[test]
fn rows_are_the_same_in_every_format() {
    let mut graded = with(questions(), "limit", 4);
    graded["fields"]["task"] = "level".into();
    let part = with(with(questions(), "skip", 1), "limit", 2);
    for import in [questions(), graded, part] {
        let expected = prompts(&fixture("questions/rows.jsonl"), import.clone()).unwrap();
        let files = files("questions");
        assert_eq!(files.len(), 23);
        for file in files {
            assert_eq!(prompts(&file, import.clone()).as_ref(), Ok(&expected), "{}", file.display());
        }
    }
}

#[test]
fn chats_are_the_same_in_every_format() {
    let read = |file: &Path| {
        let rows = read_samples(&input::<mark::Samples>("inputs.it", file, json!({ "answer-after": "####" }))).unwrap();
        let out = tempfile::tempdir().unwrap();
        write_samples(out.path(), &rows).unwrap();
        fs_err::read_to_string(out.path().join("samples.jsonl")).unwrap()
    };
    let expected = read(&fixture("chats/rows.jsonl"));
    assert!(
        expected.starts_with(r#"{"prompt":"How many are 4 and 5?","completion":"<think>4 and 5 are nine.</think>"#)
    );
    let files = files("chats");
    assert_eq!(files.len(), 15);
    for file in files {
        assert_eq!(read(&file), expected, "{}", file.display());
    }
}

#[test]
fn numbers_keep_their_digits() {
    let share = json!({ "fields": { "prompt": "question", "task": "share" }, "verify": "none", "limit": 3 });
    let expected = prompts(&fixture("questions/rows.jsonl"), share.clone()).unwrap();
    assert!(expected.contains(r#""task":"0.1""#) && expected.contains(r#""task":"2.0""#), "{expected}");
    for file in ["questions/none.parquet", "questions/types.feather", "questions/stream.arrow"] {
        assert_eq!(prompts(&fixture(file), share.clone()).as_ref(), Ok(&expected), "{file}");
    }
}

#[test]
fn folders_are_read_by_the_conventions_of_the_hub() {
    let all = prompts(&fixture("questions/rows.jsonl"), questions()).unwrap();
    let train: String = all.split_inclusive('\n').take(3).collect();
    for folder in ["saved", "hub", "named"] {
        let read = |import| prompts(&fixture(folder), import);
        assert_eq!(read(with(questions(), "split", "train")).as_ref(), Ok(&train), "{folder}");
        // Rows without an id are numbered among the rows that were read.
        let test = read(with(questions(), "split", "test")).unwrap();
        assert_eq!(test.lines().count(), 2, "{folder}");
        let unclear = format!("`{folder}`: there are the splits `test`, `train`: choose one with `split`");
        assert_eq!(read(questions()), Err(unclear));
        let unknown = format!("`{folder}`: no split `dev`; there are `test`, `train`");
        assert_eq!(read(with(questions(), "split", "dev")), Err(unknown));
    }
    assert_eq!(prompts(&fixture("saved-one"), questions()), Ok(train.clone()));
    let limited = prompts(&fixture("saved-one"), with(with(questions(), "skip", 1), "limit", 2)).unwrap();
    assert_eq!(limited, train.split_inclusive('\n').skip(1).collect::<String>(), "they count over all shards");
    let file = prompts(&fixture("named/gsm8k_test.jsonl"), with(questions(), "split", "test"));
    assert_eq!(file.unwrap_err(), "`gsm8k_test.jsonl`: one file has no splits: leave `split` out");
}

/// Makes a folder of empty files, and returns the result of reading it.
fn folder(names: &[&str], import: Value) -> Result<String, String> {
    let root = tempfile::tempdir().unwrap();
    for name in names {
        let path = root.path().join("d").join(name);
        fs_err::create_dir_all(path.parent().unwrap()).unwrap();
        fs_err::write(path, format!("{{\"prompt\": \"{name}\"}}\n")).unwrap();
    }
    prompts(&root.path().join("d"), import)
}

#[test]
fn what_would_double_or_lose_rows_is_refused() {
    let spread = "point the input at one file or folder";
    let table = [
        (&["train.jsonl", "train.csv"][..], format!("`d`: `train` may be `train.csv` or `train.jsonl`: {spread}")),
        (
            &["train.jsonl.gz", "train.csv.gz"],
            format!("`d`: `train` may be `train.csv.gz` or `train.jsonl.gz`: {spread}"),
        ),
        (
            &["main/train.jsonl", "socratic/train.jsonl"],
            format!("`d`: `train` may be `main/train.jsonl` or `socratic/train.jsonl`: {spread}"),
        ),
        (
            &["data/train-00000-of-00003.jsonl", "data/train-00002-of-00003.jsonl"],
            "`d`: the shard `train-00001-of-00003` is missing".to_owned(),
        ),
        (
            &["train.jsonl", "more.jsonl"],
            "`d`: there are the splits `more`, `train`: choose one with `split`".to_owned(),
        ),
        (
            &["README.md", "config.json"],
            "`d`: no data in this folder: neither `prompts.jsonl` nor a file that ends in jsonl, ndjson, json, csv, tsv, \
             parquet, arrow, feather, ipc"
                .to_owned(),
        ),
    ];
    for (names, expected) in table {
        assert_eq!(folder(names, json!({})), Err(expected), "{names:?}");
    }
}

#[test]
fn files_without_a_split_are_one_and_come_by_name() {
    let rows = folder(&["b.jsonl", "a.jsonl", ".hidden/c.jsonl", "LICENSE"], json!({})).unwrap();
    let first = rows.lines().next().unwrap();
    assert!(rows.lines().count() == 2 && first.contains("a.jsonl"), "{rows}");
    let words = ["x-dev.json", "training/a.jsonl", "b.eval.jsonl"];
    for (split, name) in [("validation", "x-dev.json"), ("train", "training/a.jsonl"), ("test", "b.eval.jsonl")] {
        let rows = folder(&words, json!({ "split": split })).unwrap();
        assert!(rows.lines().count() == 1 && rows.contains(name), "{split}: {rows}");
    }
}

/// Reads `bytes` as the file `name`.
fn of_bytes(name: &str, bytes: &[u8], import: Value) -> Result<String, String> {
    let root = tempfile::tempdir().unwrap();
    fs_err::write(root.path().join(name), bytes).unwrap();
    prompts(&root.path().join(name), import)
}

#[test]
fn a_bad_row_is_named_in_every_format() {
    let named = json!({ "fields": { "prompt": "question", "task": "level" }, "verify": "none" });
    for (file, location) in
        [("none.parquet", "row 5"), ("stream.arrow", "row 5"), ("array.json", "row 5"), ("pandas.csv", "line 9")]
    {
        let expected = format!("`{file}` {location}: `level` is empty (1 of 5 rows cannot be read)");
        assert_eq!(prompts(&fixture("questions").join(file), named.clone()), Err(expected));
    }
    let table = [
        ("prompt,answer\na,1\nb\n", "`x` line 3: 1 cells under 2 headings (1 of 2 rows cannot be read)"),
        ("prompt,prompt\na,1\n", "`x` from line 1 on cannot be read: two columns are called `prompt`"),
        ("prompt\n\"a\nb\n", "`x` from line 2 on cannot be read: the quote that opens here is never closed"),
        ("[{\"prompt\": \"a\"}, 3]", "`x` row 2: not a JSON object (1 of 2 rows cannot be read)"),
        ("[{\"prompt\": \"a\"}", "`x` from row 2 on cannot be read: the array ends too early"),
        ("[{\"prompt\": \"a\"} {}]", "`x` from row 2 on cannot be read: `{` where a comma or `]` is due"),
        ("[] {}", "`x` from row 1 on cannot be read: something follows the array"),
        ("\0\0\0", "`x` cannot be read: neither UTF-8 text (JSON, CSV) nor Parquet nor Arrow"),
        (
            "version https://git-lfs.github.com/spec/v1\n",
            "`x` is a pointer of Git LFS, not the file itself; help: `git lfs pull` in its folder fetches the file",
        ),
    ];
    for (text, expected) in table {
        assert_eq!(of_bytes("x", text.as_bytes(), json!({})), Err(expected.to_owned()), "{text}");
    }
    assert_eq!(of_bytes("x", b"", json!({})), Ok(String::new()));
    assert_eq!(of_bytes("x", b" [ ] ", json!({})), Ok(String::new()));
    let rows = of_bytes("x", "\u{feff}prompt\tn\na, b\t1\n".as_bytes(), json!({})).unwrap();
    assert!(rows.contains(r#""prompt":"a, b""#), "{rows}");
}

#[test]
fn a_file_cut_anywhere_is_an_error_and_never_fewer_rows() {
    // A stream may end between two batches, and JSON lines between two lines: truncation there cannot be detected.
    for name in
        ["snappy.parquet", "zstd.parquet", "file.arrow", "lz4.feather", "rows.jsonl.gz", "rows.jsonl.zst", "array.json"]
    {
        let whole = fs_err::read(fixture("questions").join(name)).unwrap();
        for length in (8..whole.len()).step_by(5) {
            let result = of_bytes("x", &whole[..length], questions());
            let padding = name == "array.json" && whole[length..].trim_ascii().is_empty();
            assert!(
                padding || result.as_ref().is_err_and(|message| message.starts_with("`x`")),
                "{name} {length}: {result:?}"
            );
        }
    }
    let whole = fs_err::read(fixture("questions/stream.arrow")).unwrap();
    let message = of_bytes("x", &whole[..whole.len() - 100], questions()).unwrap_err();
    assert!(message.starts_with("`x` from row 5 on cannot be read: "), "{message}");
}

#[test]
fn a_file_with_a_wrong_byte_never_ends_the_process() {
    for name in ["snappy.parquet", "file.arrow", "stream.arrow", "zstd.feather"] {
        let mut bytes = fs_err::read(fixture("questions").join(name)).unwrap();
        for at in (0..bytes.len()).step_by(11) {
            bytes[at] ^= 0x55;
            // The changed byte may be a letter of a text, which cannot be detected.
            if let Err(message) = of_bytes("x", &bytes, questions()) {
                assert!(message.starts_with("`x`"), "{name} {at}: {message}");
            }
            bytes[at] ^= 0x55;
        }
    }
}

#[test]
fn chats_may_be_text_in_a_cell() {
    let cell = r#""[{""role"": ""user"", ""content"": ""x""}, {""role"": ""assistant"", ""content"": ""y""}]""#;
    let read = |text: String| {
        let root = tempfile::tempdir().unwrap();
        fs_err::write(root.path().join("x"), text).unwrap();
        read_samples(&input::<mark::Samples>("inputs.it", &root.path().join("x"), json!({}))).map_err(|e| e.to_string())
    };
    let rows = read(format!("messages\n{cell}\n")).unwrap();
    assert_eq!((rows[0].prompt.last_text().as_ref(), rows[0].completion.as_str()), ("x", "y"));
    let message = read("messages\nhello\n".to_owned()).unwrap_err();
    assert!(message.contains("line 2: `messages` is text, expected a list of messages in JSON"), "{message}");
    let root = tempfile::tempdir().unwrap();
    fs_err::write(root.path().join("x"), "prompt,completion,label\na,b,True\n").unwrap();
    let rows = read_preferences(&input::<mark::Preferences>("inputs.it", &root.path().join("x"), json!({})));
    assert!(rows.is_ok(), "{rows:?}");
}
