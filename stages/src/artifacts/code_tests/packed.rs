//! LiveCodeBench's private tests: base64 of zlib of the pickle of one text.
//!
//! A pickle is a program that may run any code, so it is never executed. Of its instructions only those are read that
//! Python writes for a single text: the protocol, frames, the text, the memo and the end. Any other one is refused.

use std::io::Read;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flate2::bufread::ZlibDecoder;

use crate::artifacts::dataset::Budget;

const PROTO: u8 = 0x80;
const FRAME: u8 = 0x95;
const SHORT_TEXT: u8 = 0x8c;
const TEXT: u8 = b'X';
const LONG_TEXT: u8 = 0x8d;
const MEMOIZE: u8 = 0x94;
const PUT: u8 = b'q';
const LONG_PUT: u8 = b'r';
const STOP: u8 = b'.';

/// The newest protocol that is known to write a text so.
const NEWEST: u8 = 5;

/// Unpacks a text, within the budget of its input.
pub(super) fn unpack(packed: &str, budget: &Budget) -> Result<String, String> {
    let zipped = STANDARD.decode(packed.trim()).map_err(|error| format!("no base64: {error}"))?;
    let most = budget.row_bytes();
    let mut pickle = Vec::new();
    let unzipped = ZlibDecoder::new(zipped.as_slice()).take(most.saturating_add(1)).read_to_end(&mut pickle);
    unzipped.map_err(|error| format!("no zlib: {error}"))?;
    if pickle.len() as u64 > most {
        return Err(budget.too_long());
    }
    budget.take(pickle.len() as u64)?;
    text(&pickle).map(str::to_owned)
}

/// Returns the text that a pickle consists of.
fn text(pickle: &[u8]) -> Result<&str, String> {
    let mut rest = pickle;
    let mut found = None;
    match take(&mut rest, 2)? {
        [PROTO, version] if *version <= NEWEST => {}
        _ => return Err("no pickle of a known protocol".to_owned()),
    }
    loop {
        let code = take(&mut rest, 1)?[0];
        let length = match code {
            SHORT_TEXT => number(&mut rest, 1)?,
            TEXT => number(&mut rest, 4)?,
            LONG_TEXT => number(&mut rest, 8)?,
            STOP if rest.is_empty() => return found.ok_or_else(|| "an empty pickle".to_owned()),
            FRAME => {
                number(&mut rest, 8)?;
                continue;
            }
            MEMOIZE if found.is_some() => continue,
            PUT if found.is_some() => {
                number(&mut rest, 1)?;
                continue;
            }
            LONG_PUT if found.is_some() => {
                number(&mut rest, 4)?;
                continue;
            }
            _ => return Err(format!("a pickle that is more than a text: instruction {code:#04x}")),
        };
        if found.is_some() {
            return Err("a pickle that is more than a text: two of them".to_owned());
        }
        let bytes = take(&mut rest, length)?;
        found = Some(std::str::from_utf8(bytes).map_err(|error| format!("a pickle whose text is no UTF-8: {error}"))?);
    }
}

/// Takes the next `count` bytes.
fn take<'a>(rest: &mut &'a [u8], count: usize) -> Result<&'a [u8], String> {
    let (taken, after) = rest.split_at_checked(count).ok_or("a pickle that ends too early")?;
    *rest = after;
    Ok(taken)
}

/// Takes a number of so many bytes, the lowest first.
fn number(rest: &mut &[u8], bytes: usize) -> Result<usize, String> {
    let digits = take(rest, bytes)?;
    let number = digits.iter().rev().fold(0_u64, |number, digit| (number << 8) | u64::from(*digit));
    usize::try_from(number).map_err(|_| "a pickle that ends too early".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_as_python_pickles_it_is_read() {
        // pickle.dumps("[1, \"é\"]", protocol), for protocols 2 to 5.
        let text_bytes = "[1, \"é\"]".as_bytes();
        let long = [&[9, 0, 0, 0], text_bytes].concat();
        let short = [&[9][..], text_bytes].concat();
        let table: [&[&[u8]]; 5] = [
            &[b"\x80\x02X", &long, b"q\x00."],
            &[b"\x80\x03X", &long, b"q\x00."],
            &[b"\x80\x04\x95\x0d\x00\x00\x00\x00\x00\x00\x00\x8c", &short, b"\x94."],
            &[b"\x80\x05\x95\x0d\x00\x00\x00\x00\x00\x00\x00\x8c", &short, b"\x94."],
            // A text of more than 64 KiB is outside of frames; as here, a length of eight bytes is allowed.
            &[b"\x80\x04\x8d", &[9, 0, 0, 0, 0, 0, 0, 0], text_bytes, b"\x95\x02\x00\x00\x00\x00\x00\x00\x00\x94."],
        ];
        for parts in table {
            let pickle = parts.concat();
            assert_eq!(text(&pickle), Ok("[1, \"é\"]"), "{pickle:?}");
            for end in 0..pickle.len() {
                assert!(text(&pickle[..end]).is_err(), "{end} of {pickle:?}");
            }
        }
    }

    #[test]
    fn any_other_pickle_is_refused() {
        let table: [(&[u8], &str); 8] = [
            // pickle.dumps(print), which would be called by an unpickler that sees the instruction R.
            (
                b"\x80\x04\x95\x16\x00\x00\x00\x00\x00\x00\x00\x8c\x08builtins\x94\x8c\x05print\x94\x93\x94.",
                "two of them",
            ),
            (b"\x80\x02cposix\nsystem\nq\x00X\x02\x00\x00\x00lsq\x01\x85q\x02Rq\x03.", "instruction 0x63"),
            (b"\x80\x04]\x94.", "instruction 0x5d"),
            (b"\x80\x04.", "an empty pickle"),
            (b"\x80\x06\x8c\x01a.", "known protocol"),
            (b"Va\n.", "known protocol"),
            (b"\x80\x04\x8d\xff\xff\xff\xff\xff\xff\xff\xff", "ends too early"),
            (b"\x80\x04\x8c\x01a\x94.x", "instruction 0x2e"),
        ];
        for (pickle, expected) in table {
            let error = text(pickle).unwrap_err();
            assert!(error.contains(expected), "{pickle:?}: {error}");
        }
        assert!(text(b"\x80\x04\x8c\x02\xed\xa0\x94.").unwrap_err().contains("no UTF-8"));
    }

    #[test]
    fn unpacking_stops_at_the_limit_of_a_row() {
        // base64.b64encode(zlib.compress(pickle.dumps("a" * 3_000_000)))
        let zipped = {
            use std::io::Write;
            let mut zip = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
            let letters = "a".repeat(3_000_000);
            let pickle = [&b"\x80\x04X"[..], &3_000_000_u32.to_le_bytes(), letters.as_bytes(), b"."];
            zip.write_all(&pickle.concat()).unwrap();
            STANDARD.encode(zip.finish().unwrap())
        };
        assert!(zipped.len() < 10_000);
        let error = unpack(&zipped, &Budget::new(Some(2), None)).unwrap_err();
        assert!(error.contains("more than 2 MiB") && error.contains("`row-mib`"), "{error}");
        assert_eq!(unpack(&zipped, &Budget::new(Some(4), None)).map(|text| text.len()), Ok(3_000_000));
        let error = unpack(&zipped, &Budget::new(Some(4), Some(1))).unwrap_err();
        assert!(error.contains("`total-mib`"), "{error}");
        assert!(unpack("§", &Budget::new(None, None)).unwrap_err().starts_with("no base64"));
        assert!(unpack("aaaa", &Budget::new(None, None)).unwrap_err().starts_with("no zlib"));
    }
}
