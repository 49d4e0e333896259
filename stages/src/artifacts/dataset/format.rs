//! Detects a file's format by its first bytes, and opens the reader for it.

use std::io::{BufRead, BufReader, Cursor, Read};

use super::budget::{Budget, Metered};
use super::{Broken, Records, array, cells, columns, lines};

const GZIP: &[u8] = &[0x1f, 0x8b];
const ZSTD: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];
const PARQUET: &[u8] = b"PAR1";
const ARROW_FILE: &[u8] = b"ARROW1";
/// The beginning of each message of a stream, since Arrow 0.15.
const ARROW_STREAM: &[u8] = &[0xff; 4];
pub(super) const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

/// Number of bytes that are checked.
const HEAD: u64 = 1024;

/// Opens a file with the reader of its format.
pub(super) fn open(mut file: fs_err::File, budget: &Budget) -> Result<Records, Broken> {
    let head = head(&mut file)?;
    if head.starts_with(PARQUET) {
        return columns::parquet(file, budget);
    }
    if head.starts_with(ARROW_FILE) {
        return columns::arrow_file(file, budget);
    }
    let is_packed = head.starts_with(GZIP) || head.starts_with(ZSTD);
    let file = Cursor::new(head.clone()).chain(BufReader::new(file));
    if !is_packed {
        return stream(head, file, budget);
    }
    let mut unpacked: Box<dyn BufRead> = if head.starts_with(GZIP) {
        Box::new(BufReader::new(flate2::bufread::MultiGzDecoder::new(file)))
    } else {
        Box::new(BufReader::new(zstd::Decoder::with_buffer(file).map_err(Broken::whole)?))
    };
    let head = self::head(&mut unpacked)?;
    if head.starts_with(PARQUET) || head.starts_with(ARROW_FILE) {
        return Err(Broken::whole("Parquet and Arrow files are compressed inside, not as a whole: unpack it first"));
    }
    stream(head.clone(), Cursor::new(head).chain(unpacked), budget)
}

/// Opens a format that is read from beginning to end; `all` begins with `head`.
fn stream(head: Vec<u8>, all: impl BufRead + 'static, budget: &Budget) -> Result<Records, Broken> {
    let all = BufReader::new(Metered { inner: all, budget: budget.clone() });
    if head.starts_with(ARROW_STREAM) {
        return columns::arrow_stream(all, budget);
    }
    if !is_text(&head) {
        return Err(Broken::whole("neither UTF-8 text (JSON, CSV) nor Parquet nor Arrow"));
    }
    match head.strip_prefix(BYTE_ORDER_MARK).unwrap_or(&head).trim_ascii_start().first() {
        None | Some(b'{') => Ok(lines::read(all, budget)),
        Some(b'[') => array::read(all, budget),
        Some(_) => cells::read(all, budget),
    }
}

fn head(file: &mut impl Read) -> Result<Vec<u8>, Broken> {
    let mut head = Vec::new();
    file.take(HEAD).read_to_end(&mut head).map_err(Broken::whole)?;
    Ok(head)
}

/// Returns whether the head is UTF-8 text; its last character may be incomplete.
fn is_text(head: &[u8]) -> bool {
    let is_utf8 = std::str::from_utf8(head).map_or_else(|error| error.error_len().is_none(), |_| true);
    is_utf8 && !head.contains(&0)
}
