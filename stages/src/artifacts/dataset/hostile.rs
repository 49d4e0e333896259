//! Hostile files of rows: each must give its error soon, with little memory.
//!
//! A child process, [`child`], reads a file and prints the result and its peak memory.

use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use arrow_array::{ArrayRef, DictionaryArray, Int32Array, RecordBatch, RecordBatchOptions, StringArray};
use arrow_ipc::writer::StreamWriter;
use arrow_schema::{DataType, Field, Schema};
use engine::artifact as mark;
use fs_err::File;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use serde_json::json;

use crate::artifacts::read_prompts;
use crate::testing::input;

const FILE: &str = "R1FLOW_HOSTILE_FILE";
/// Most memory that a child may hold, in bytes: libtorch, this program, and what the limits allow for a file.
const MEMORY: u64 = 400 << 20;

/// Reads a file with low limits, in a separate process.
#[test]
#[ignore = "a part of the tests beside it"]
#[expect(clippy::disallowed_methods, reason = "a test starts this with a variable of its own")]
fn child() {
    let Some(file) = std::env::var_os(FILE) else { return };
    let keys = json!({ "row-mib": 1, "total-mib": 64 });
    let read = read_prompts(&input::<mark::Prompts>("inputs.it", Path::new(&file), keys));
    let said = read.map_or_else(|error| error.to_string(), |rows| format!("{} rows", rows.len()));
    let peak = lm::memory::used(lm::Device::Cpu).map_or(0, |used| used.peak);
    let _ = writeln!(std::io::stderr(), "\nPEAK {peak} SAID {said}");
}

/// Returns the child's result for a file; fails the test if the child died or held too much memory.
fn said(file: &Path) -> String {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "artifacts::dataset::hostile::child", "--ignored", "--nocapture"]).env(FILE, file);
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{}: {text:.2000}", file.display());
    let (peak, said) = text.split_once("PEAK ").unwrap().1.split_once(" SAID ").unwrap();
    assert!(peak.parse::<u64>().unwrap() < MEMORY, "{}: {peak} bytes, {said:.200}", file.display());
    said.to_owned()
}

fn packed(path: &Path, parts: usize, part: &[u8], begin: &str) {
    let mut out = flate2::write::GzEncoder::new(File::create(path).unwrap(), flate2::Compression::fast());
    out.write_all(begin.as_bytes()).unwrap();
    (0..parts).for_each(|_| out.write_all(part).unwrap());
    out.finish().unwrap();
}

fn hole(path: &Path, begin: &str) {
    let mut file = File::create(path).unwrap();
    // Long enough for the format's detection to find text.
    file.write_all(format!("{begin}{}", " ".repeat(2_048)).as_bytes()).unwrap();
    file.set_len(1 << 40).unwrap();
}

/// A table with one column, whose value of a megabyte is stored once and referred to a hundred thousand times.
fn repeated() -> RecordBatch {
    let values: ArrayRef = Arc::new(StringArray::from(vec!["x".repeat(1_000_000)]));
    let keys = Int32Array::from(vec![0; 100_000]);
    let column: ArrayRef = Arc::new(DictionaryArray::try_new(keys, values).unwrap());
    RecordBatch::try_from_iter([("prompt", column)]).unwrap()
}

fn parquet(path: &Path, batch: &RecordBatch) {
    // Without Arrow's schema in the metadata, like files of other writers.
    let options = ArrowWriterOptions::new().with_skip_arrow_metadata(true);
    let file = File::create(path).unwrap();
    let mut writer = ArrowWriter::try_new_with_options(file, batch.schema(), options).unwrap();
    writer.write(batch).unwrap();
    writer.close().unwrap();
}

fn arrow(path: &Path, batch: &RecordBatch) {
    let mut writer = StreamWriter::try_new(File::create(path).unwrap(), &batch.schema()).unwrap();
    writer.write(batch).unwrap();
    writer.finish().unwrap();
}

#[test]
fn a_file_that_wants_too_much_gives_its_error_in_little_memory() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let megabyte = vec![b'a'; 1 << 20];
    packed(&at("long-row.gz"), 300, &megabyte, "{\"prompt\": \"");
    packed(&at("many-rows.gz"), 10_000, "{\"prompt\": \"aaaaaaaa\"}\n".repeat(64).as_bytes(), "");
    packed(&at("array.gz"), 300, &megabyte, "[{\"prompt\": \"");
    packed(&at("cells.gz"), 300, &megabyte, "prompt\n");
    let mut out = zstd::Encoder::new(File::create(at("long-row.zst")).unwrap(), 1).unwrap();
    out.write_all(b"{\"prompt\": \"").unwrap();
    (0..300).for_each(|_| out.write_all(&megabyte).unwrap());
    out.finish().unwrap();
    hole(&at("hole.jsonl"), "{\"prompt\": \"a\"}\n{\"prompt\": \"");
    hole(&at("hole.json"), "[{\"prompt\": \"a\"}, {\"prompt\": \"");
    hole(&at("hole.csv"), "prompt\na\n");
    fs_err::write(at("long-cell.csv"), format!("prompt,b\nx,y\n\"{}\",z\n", "y\n".repeat(1 << 20))).unwrap();
    fs_err::write(at("wide.csv"), (0..=20_000).map(|at| at.to_string()).collect::<Vec<_>>().join(",")).unwrap();
    fs_err::write(at("element.json"), format!("[{{\"prompt\": \"{}\"}}]", "y".repeat(2 << 20))).unwrap();
    fs_err::write(at("deep.jsonl"), format!("{{\"prompt\": {}", "[".repeat(500_000))).unwrap();
    parquet(&at("repeated.parquet"), &repeated());
    arrow(&at("repeated.arrow"), &repeated());
    let options = RecordBatchOptions::new().with_row_count(Some(1 << 40));
    let nothing = RecordBatch::try_new_with_options(Arc::new(Schema::empty()), Vec::new(), &options).unwrap();
    arrow(&at("a-trillion-rows.arrow"), &nothing);
    let deep = (0..100).fold(DataType::Utf8, |of, _| DataType::List(Arc::new(Field::new("item", of, true))));
    let deep = RecordBatch::new_empty(Arc::new(Schema::new(vec![Field::new("prompt", deep, true)])));
    parquet(&at("deep.parquet"), &deep);
    assert!(Command::new("mkfifo").arg(at("pipe")).status().unwrap().success());
    std::os::unix::fs::symlink("/dev/zero", at("device")).unwrap();
    let table = [
        ("long-row.gz", "from line 1 on cannot be read: a row of more than 1 MiB; help: raise the input's `row-mib`"),
        ("many-rows.gz", "the input has more than 64 MiB of rows; help: read fewer with `limit`, or raise `total-mib`"),
        ("array.gz", "more than 16 MiB in one JSON array or table"),
        ("cells.gz", "more than 16 MiB in one JSON array or table"),
        ("long-row.zst", "from line 1 on cannot be read: a row of more than 1 MiB"),
        ("hole.jsonl", "from line 2 on cannot be read: a row of more than 1 MiB"),
        ("hole.json", "more than 16 MiB in one JSON array or table"),
        ("hole.csv", "more than 16 MiB in one JSON array or table"),
        ("long-cell.csv", "from line 3 on cannot be read: a row of more than 1 MiB"),
        ("wide.csv", "20001 columns, of at most 16384"),
        ("element.json", "from row 1 on cannot be read: a row of more than 1 MiB"),
        ("deep.jsonl", "line 1: not JSON: recursion limit exceeded"),
        ("repeated.parquet", "the input has more than 64 MiB of rows"),
        ("repeated.arrow", "the input has more than 64 MiB of rows"),
        ("a-trillion-rows.arrow", "(100000 of 100000 rows cannot be read)"),
        ("deep.parquet", "nested more than 64 times"),
        ("pipe", "is a named pipe, not a file"),
        ("device", "is a device, not a file"),
    ];
    for (name, expected) in table {
        let said = said(&at(name));
        assert!(said.contains(expected), "{name}: {said:.300}");
    }
}

/// Small files are read with one byte after another changed. Whatever the result, the process must not end.
#[test]
fn columns_with_spoilt_bytes_do_not_end_the_process() {
    let dir = tempfile::tempdir().unwrap();
    let words = StringArray::from((0..40).map(|at| format!("word {at}")).collect::<Vec<_>>());
    let batch = RecordBatch::try_from_iter([("prompt", Arc::new(words) as ArrayRef)]).unwrap();
    for (name, write) in [("x.parquet", parquet as fn(&Path, &RecordBatch)), ("x.arrow", arrow)] {
        let path = dir.path().join(name);
        write(&path, &batch);
        let whole = fs_err::read(&path).unwrap();
        for at in 8..whole.len() {
            let mut spoilt = whole.clone();
            spoilt[at] = if at % 2 == 0 { 0xff } else { spoilt[at] ^ 0x40 };
            fs_err::write(&path, &spoilt).unwrap();
            let keys = json!({ "row-mib": 1, "total-mib": 64 });
            let _ = read_prompts(&input::<mark::Prompts>("inputs.it", &path, keys));
        }
    }
}

/// A folder with two links to itself has exponentially many paths.
#[test]
fn a_folder_that_goes_round_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink(".", dir.path().join("a")).unwrap();
    std::os::unix::fs::symlink(".", dir.path().join("b")).unwrap();
    let error = read_prompts(&input::<mark::Prompts>("inputs.it", dir.path(), json!({}))).unwrap_err().to_string();
    assert!(error.contains("more than 32 nested folders"), "{error}");
}
