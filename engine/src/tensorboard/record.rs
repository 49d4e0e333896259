//! The framing of records in an event file, that of TensorFlow's TFRecord.
//!
//! ```text
//! length     u64, little endian
//! checksum   u32 of the length's 8 bytes
//! data       `length` bytes: an encoded event
//! checksum   u32 of the data
//! ```
//! A checksum is CRC-32C, masked: rotated and shifted by a constant, so that a checksum of bytes that contain checksums
//! is not degenerate.

use crc::{CRC_32_ISCSI, Crc};
use prost::Message;

use super::message::Event;

/// CRC-32C, which the catalogue lists under its use in iSCSI.
static CRC: Crc<u32> = Crc::<u32>::new(&CRC_32_ISCSI);

const MASK: u32 = 0xa282_ead8;

/// Why bytes are no event file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A record ends after the file does: its writer was killed, or is still writing.
    #[error("the record at byte {0} is cut short")]
    CutShort(usize),
    /// A checksum differs.
    #[error("the record at byte {0} does not match its checksum")]
    Checksum(usize),
    /// The data are no event.
    #[error("the record at byte {0} is no event")]
    NotAnEvent(usize),
}

/// Appends an event to `bytes` as a record.
pub fn append(bytes: &mut Vec<u8>, event: &Event) {
    let data = event.encode_to_vec();
    let length = (data.len() as u64).to_le_bytes();
    bytes.extend(length);
    bytes.extend(checksum(&length).to_le_bytes());
    bytes.extend(&data);
    bytes.extend(checksum(&data).to_le_bytes());
}

/// Returns the events of a whole file, after checking both checksums of every record. An error names the byte at which
/// the record begins.
pub fn read(bytes: &[u8]) -> Result<Vec<Event>, Error> {
    let (mut events, mut at) = (Vec::new(), 0);
    while at < bytes.len() {
        let begin = at;
        let length = take(bytes, &mut at, 8, begin)?;
        if take(bytes, &mut at, 4, begin)? != checksum(length).to_le_bytes() {
            return Err(Error::Checksum(begin));
        }
        let length = u64::from_le_bytes(length.try_into().expect("8 bytes were taken"));
        let data = take(bytes, &mut at, usize::try_from(length).unwrap_or(usize::MAX), begin)?;
        if take(bytes, &mut at, 4, begin)? != checksum(data).to_le_bytes() {
            return Err(Error::Checksum(begin));
        }
        events.push(Event::decode(data).map_err(|_| Error::NotAnEvent(begin))?);
    }
    Ok(events)
}

/// Returns the next `count` bytes of the record that begins at `begin`.
fn take<'a>(bytes: &'a [u8], at: &mut usize, count: usize, begin: usize) -> Result<&'a [u8], Error> {
    let end = at.checked_add(count).ok_or(Error::CutShort(begin))?;
    let taken = bytes.get(*at..end).ok_or(Error::CutShort(begin))?;
    *at = end;
    Ok(taken)
}

fn checksum(bytes: &[u8]) -> u32 {
    CRC.checksum(bytes).rotate_right(15).wrapping_add(MASK)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tensorboard::message::{FILE_VERSION, What};

    fn first() -> Event {
        Event { wall_time: 0.0, step: 0, what: Some(What::FileVersion(FILE_VERSION.to_owned())) }
    }

    /// The checksums of RFC 3720, B.4, and the check value of the catalogue.
    #[test]
    fn checksums_are_those_of_the_format() {
        assert_eq!(CRC.checksum(&[0; 32]), 0x8a91_36aa);
        assert_eq!(CRC.checksum(&[0xff; 32]), 0x62a8_ab43);
        assert_eq!(CRC.checksum(b"123456789"), 0xe306_9283);
        // ((crc >> 15) | (crc << 17)) + 0xa282ead8
        assert_eq!(checksum(b"123456789"), 0xc78a_b0e5);
    }

    #[test]
    fn a_record_is_length_data_and_two_checksums() {
        let mut bytes = Vec::new();
        append(&mut bytes, &first());
        let data = [&[0x1a, 13][..], b"brain.Event:2"].concat();
        assert_eq!(bytes.len(), 8 + 4 + data.len() + 4);
        assert_eq!(bytes[..8], [15, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(bytes[12..27], data);
        append(&mut bytes, &Event { step: 7, ..Event::default() });
        assert_eq!(read(&bytes), Ok(vec![first(), Event { step: 7, ..Event::default() }]));
    }

    #[test]
    fn every_damaged_byte_is_found() {
        let mut bytes = Vec::new();
        append(&mut bytes, &first());
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1;
            assert_eq!(read(&damaged), Err(Error::Checksum(0)), "byte {at}");
            let expected = if at == 0 { Ok(Vec::new()) } else { Err(Error::CutShort(0)) };
            assert_eq!(read(&bytes[..at]), expected, "cut at {at}");
        }
    }
}
