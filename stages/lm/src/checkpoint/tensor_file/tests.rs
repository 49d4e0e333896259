//! Files with false headers, and files that change while they are read.

use std::io::{Seek, Write};

use super::*;
use crate::checkpoint::save_tensors;

/// Writes a file with this header and `data` bytes of data, as a sparse file.
fn file_of(header: &str, data: u64) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("x.safetensors");
    let mut file = std::fs::File::create(&path).expect("a writable folder");
    file.write_all(&(header.len() as u64).to_le_bytes()).expect("room");
    file.write_all(header.as_bytes()).expect("room");
    let end = file.stream_position().expect("a file") + data;
    file.set_len(end).expect("room for a hole");
    (dir, path)
}

fn message(header: &str, data: u64) -> String {
    let (_dir, path) = file_of(header, data);
    TensorFile::open(&path).err().expect("it lies").to_string()
}

#[test]
fn a_header_that_lies_is_refused() {
    let one = |shape: &str, begin: u64, end: u64| {
        format!(r#"{{"dtype":"F32","shape":{shape},"data_offsets":[{begin},{end}]}}"#)
    };
    let ok = one("[2,2]", 0, 16);
    let table = [
        (format!(r#"{{"a":{ok}}}"#), 12, "its header tells of 16 bytes of tensors, and 12 are there"),
        (format!(r#"{{"a":{ok}}}"#), 1 << 40, "and 1099511627776 are there"),
        (format!(r#"{{"a":{ok},"b":{ok}}}"#), 32, "invalid offset"),
        (format!(r#"{{"a":{ok},"a":{}}}"#, one("[2,2]", 16, 32)), 32, "invalid offset"),
        (format!(r#"{{"a":{}}}"#, one("[4294967296,4294967296,4294967296]", 0, 16)), 16, "overflow"),
        (format!(r#"{{"a":{}}}"#, one("[1,1,1,1,1,1,1,1,4]", 0, 16)), 16, "`a` has the shape"),
        (format!(r#"{{"a":{}}}"#, one("[18446744073709551615,0]", 0, 0)), 0, "`a` has the shape"),
        (format!(r#"{{"a":{}1{}}}"#, "[".repeat(100_000), "]".repeat(100_000)), 0, "x.safetensors"),
        ("[]".to_owned(), 0, "x.safetensors"),
    ];
    for (header, data, expected) in table {
        let message = message(&header, data);
        assert!(message.to_lowercase().contains(expected), "{header:.100}: {message}");
    }
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("x.safetensors");
    for bytes in [vec![255; 40], vec![1, 2, 3], Vec::new()] {
        std::fs::write(&path, bytes).expect("a writable folder");
        TensorFile::open(&path).err().expect("no header");
    }
}

#[test]
fn a_file_that_is_cut_short_or_written_to_is_an_error_and_no_signal() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("x.safetensors");
    let changes: [fn(&Path); 3] = [
        |path| std::fs::OpenOptions::new().write(true).open(path).and_then(|file| file.set_len(4_096)).expect("a file"),
        |path| std::fs::write(path, "").expect("a file"),
        |path| {
            let bytes = std::fs::read(path).expect("a file");
            std::fs::rename(path, path.with_extension("old")).expect("a file");
            std::fs::write(path, bytes).expect("a writable folder");
        },
    ];
    for change in changes {
        let tensor = Tensor::arange(1 << 20, (Kind::Float, Device::Cpu));
        save_tensors(&path, &[("x".to_owned(), tensor)]).expect("a writable folder");
        let file = TensorFile::open(&path).expect("whole");
        change(&path);
        let message = file.read(&file.entries()[0]).expect_err("it changed").to_string();
        assert!(message.contains("x.safetensors` changed while it was read"), "{message}");
    }
}

#[test]
fn tensors_come_to_any_place_and_what_is_no_number_is_counted() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("x.safetensors");
    // More than one piece, and not a whole number of pieces.
    let values = Tensor::arange((3 << 20) + 5, (Kind::Float, Device::Cpu)).view([-1, 1]);
    for (at, value) in [(7, f64::NAN), (900_000, f64::INFINITY), ((3 << 20) + 4, f64::NEG_INFINITY)] {
        let _ = values.get(at).fill_(value);
    }
    for kind in [Kind::Float, Kind::BFloat16, Kind::Double] {
        let stored = values.to_kind(kind);
        save_tensors(&path, &[("x".to_owned(), stored.shallow_clone())]).expect("a writable folder");
        let file = TensorFile::open(&path).expect("whole");
        let entry = file.entry("x").expect("it is there");
        for place in [Kind::Float, Kind::BFloat16] {
            let place = Tensor::zeros([(3 << 20) + 5, 1], (place, Device::Cpu));
            assert_eq!(file.read_into(entry, &place).expect("whole"), 3, "{kind:?}");
            assert!(place.allclose(&stored.to_kind(place.kind()), 0.0, 0.0, true), "{kind:?}");
        }
        assert!(file.read_rows(entry, 8, 9).expect("there").equal(&stored.narrow(0, 8, 9)));
    }
}
