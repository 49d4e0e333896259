//! Seals: a small JSON file contains a checksum of its content and its own name.
//!
//! ```text
//! {"step":4,"tree":{…},"check":"<16 hex>"}
//! ```
//! The check is the first 16 hex digits of the BLAKE3 hash of the name, a zero byte, and the object without the check.
//! A file with a flipped bit, a truncated one, or one in the place of another does not match and counts as absent.

use crate::digest::Digest;

const HEX: usize = 16;
const BEFORE: &[u8] = b",\"check\":\"";
const AFTER: &[u8] = b"\"}";

/// Returns a JSON object, which must have at least one key, with the check added as its last key.
pub fn seal(name: &str, mut object: Vec<u8>) -> Vec<u8> {
    object.pop();
    let check = check(name, &object);
    object.extend_from_slice(BEFORE);
    object.extend_from_slice(&check);
    object.extend_from_slice(AFTER);
    object
}

/// Returns whether an object, which may end with a line break, is unchanged since it was sealed under this name.
pub fn is_sealed(name: &str, bytes: &[u8]) -> bool {
    let parts = || {
        let rest = bytes.trim_ascii_end().strip_suffix(AFTER)?;
        let (rest, found) = rest.split_at_checked(rest.len().checked_sub(HEX)?)?;
        Some((rest.strip_suffix(BEFORE)?, found))
    };
    parts().is_some_and(|(object, found)| *found == check(name, object))
}

/// Returns the check of an object without its closing brace, as it is in the file before the check.
fn check(name: &str, open: &[u8]) -> [u8; HEX] {
    // One buffer: for so few bytes, setting up an incremental hasher would be most of the work.
    let digest = Digest::of(&[name.as_bytes(), &[0], open].concat());
    *digest.digits().as_bytes().first_chunk().expect("a digest has more digits")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_flipped_bit_no_cut_and_no_other_name_passes() {
        let sealed = seal("a/4", br#"{"step":4,"tree":{"bytes":1}}"#.to_vec());
        assert!(is_sealed("a/4", &sealed));
        let value: serde_json::Value = serde_json::from_slice(&sealed).unwrap();
        assert_eq!((value["step"].as_u64(), value["tree"]["bytes"].as_u64()), (Some(4), Some(1)));
        assert!(!is_sealed("a/5", &sealed) && !is_sealed("a/4", b"") && !is_sealed("a/4", b"{}"));
        for bit in 0..sealed.len() * 8 {
            let mut flipped = sealed.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(!is_sealed("a/4", &flipped), "bit {bit}");
        }
        for len in 0..sealed.len() {
            assert!(!is_sealed("a/4", &sealed[..len]), "{len} bytes");
        }
    }
}
