//! A safetensors file, read tensor by tensor to where each is used.
//!
//! Files are read and not mapped: a mapped one that another process cuts short ends this process with SIGBUS, and one
//! that is written to changes weights under way. The promise: a file that is cut short, grows, or is put in the place
//! of the one that was opened, between the opening and the last read, is an error that names it. What is written over
//! in place within the same clock tick and length goes unseen. Reads come a piece at a time and are looked at while
//! they are in the processor's cache, so that counting what is no number costs next to nothing.

use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

use safetensors::tensor::Metadata;
use tch::{Device, Kind, Tensor};

use crate::checkpoint::{Error, element_type, kind_of, named, refuse_pickle};
use crate::limits;

/// Bytes that are read at a time.
const PIECE: usize = 1 << 20;
/// Bytes that are on their way to another element type or device at a time.
const STAGING: usize = 16 << 20;

/// A file whose header has been read and found true.
pub struct TensorFile {
    path: PathBuf,
    identity: Identity,
    entries: Vec<Entry>,
}

/// What a file says about a tensor.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Its name.
    pub name: String,
    /// Its element type.
    pub kind: Kind,
    /// Its shape.
    pub size: Vec<i64>,
    begin: u64,
    length: usize,
}

/// Tells one file from another, and from itself after a change.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Identity(u64, u64, u64, i64, i64);

impl Identity {
    fn of(file: &fs_err::File) -> Result<Self, Error> {
        let data = file.metadata()?;
        Ok(Self(data.dev(), data.ino(), data.len(), data.mtime(), data.mtime_nsec()))
    }
}

impl TensorFile {
    /// Opens a file, and holds its header to the format and to the file's length.
    pub fn open(path: &Path) -> Result<Self, Error> {
        refuse_pickle(path)?;
        let file = outside::open(path)?;
        let identity = Identity::of(&file)?;
        let failed = |reason: String| Error::Format { path: path.to_owned(), reason };
        let mut length = [0; 8];
        read_at(&file, path, &mut length, 0)?;
        let header = u64::from_le_bytes(length);
        let rest = identity.2.saturating_sub(8);
        if header > limits::HEADER_BYTES.min(rest) {
            let most = limits::HEADER_BYTES;
            return Err(failed(format!(
                "its header would have {header} bytes; the file has {rest}, and {most} is most"
            )));
        }
        let mut text = vec![0; header as usize];
        read_at(&file, path, &mut text, 8)?;
        let metadata: Metadata = serde_json::from_slice(&text).map_err(|error| failed(error.to_string()))?;
        let data = metadata.data_len() as u64;
        if data != rest - header {
            let there = rest - header;
            return Err(failed(format!("its header tells of {data} bytes of tensors, and {there} are there")));
        }
        let mut entries = Vec::with_capacity(metadata.tensors().len());
        for (name, info) in metadata.tensors() {
            let kind = kind_of(info.dtype).ok_or_else(|| element_type(&name, &info.dtype))?;
            let size: Option<Vec<i64>> = info.shape.iter().map(|size| i64::try_from(*size).ok()).collect();
            let size = size.filter(|size| size.len() <= limits::DIMENSIONS);
            let size = size.ok_or_else(|| failed(format!("`{name}` has the shape {:?}", info.shape)))?;
            let (begin, end) = info.data_offsets;
            entries.push(Entry { name, kind, size, begin: 8 + header + begin as u64, length: end - begin });
        }
        entries.sort_by(|left, right| left.name.cmp(&right.name));
        Ok(Self { path: path.to_owned(), identity, entries })
    }

    /// Returns what the header says, sorted by name.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Returns what the header says of a tensor.
    pub fn entry(&self, name: &str) -> Option<&Entry> {
        let at = self.entries.binary_search_by(|entry| entry.name.as_str().cmp(name));
        at.ok().map(|at| &self.entries[at])
    }

    /// Reads a tensor onto the CPU.
    pub fn read(&self, entry: &Entry) -> Result<Tensor, Error> {
        let tensor = Tensor::f_empty(&entry.size, (entry.kind, Device::Cpu))?;
        self.read_into(entry, &tensor)?;
        Ok(tensor)
    }

    /// Reads `count` rows of a tensor from row `start` on.
    ///
    /// # Panics
    /// When the tensor has no such rows.
    pub fn read_rows(&self, entry: &Entry, start: i64, count: i64) -> Result<Tensor, Error> {
        let rows = entry.size[0];
        assert!(start >= 0 && count >= 0 && start + count <= rows, "{start} and {count} of {rows} rows");
        let of_row = entry.length / rows.max(1) as usize;
        let mut part = entry.clone();
        part.size[0] = count;
        part.begin += start as u64 * of_row as u64;
        part.length = of_row * count as usize;
        self.read(&part)
    }

    /// Reads a tensor to a place of its shape, whatever its element type and device, and returns how many of its
    /// elements are infinite or no numbers.
    pub(crate) fn read_into(&self, entry: &Entry, place: &Tensor) -> Result<u64, Error> {
        let file = outside::open(&self.path)?;
        if Identity::of(&file)? != self.identity {
            return Err(Error::Changed(self.path.clone()));
        }
        let is_here = place.device() == Device::Cpu && place.kind() == entry.kind && place.is_contiguous();
        let broken = if entry.length == 0 {
            0
        } else if is_here {
            // SAFETY: the tensor is contiguous, on the CPU, and holds as many bytes as the header's shape comes to; it
            // is looked at when it is full.
            let bytes = unsafe { std::slice::from_raw_parts_mut(place.data_ptr().cast::<u8>(), entry.length) };
            self.fill(&file, entry.kind, bytes, entry.begin)?
        } else {
            self.convert(&file, entry, place)?
        };
        if Identity::of(&file)? != self.identity {
            return Err(Error::Changed(self.path.clone()));
        }
        Ok(broken)
    }

    /// Reads through memory that another element type or device is copied from.
    fn convert(&self, file: &fs_err::File, entry: &Entry, place: &Tensor) -> Result<u64, Error> {
        let _guard = tch::no_grad_guard();
        let flat = place.f_view([-1])?;
        let width = entry.kind.elt_size_in_bytes();
        let count = (STAGING / width).min(entry.length / width);
        let staging = Tensor::f_empty([count as i64], (entry.kind, Device::Cpu))?;
        let (mut broken, mut done) = (0, 0);
        while done < entry.length / width {
            let count = count.min(entry.length / width - done);
            // SAFETY: as above, for a tensor that this call has made.
            let bytes = unsafe { std::slice::from_raw_parts_mut(staging.data_ptr().cast::<u8>(), count * width) };
            broken += self.fill(file, entry.kind, bytes, entry.begin + (done * width) as u64)?;
            let (at, count) = (done as i64, count as i64);
            flat.f_narrow(0, at, count)?.f_copy_(&staging.f_narrow(0, 0, count)?)?;
            done += count as usize;
        }
        Ok(broken)
    }

    /// Reads bytes, on as many threads as libtorch has, and returns how many of their elements are broken.
    fn fill(&self, file: &fs_err::File, kind: Kind, bytes: &mut [u8], begin: u64) -> Result<u64, Error> {
        let threads = usize::try_from(tch::get_num_threads()).unwrap_or(1).max(1);
        let share = bytes.len().div_ceil(threads).next_multiple_of(PIECE);
        let read = |(part, begin): (&mut [u8], u64)| -> Result<u64, Error> {
            let mut broken = 0;
            for (index, piece) in part.chunks_mut(PIECE).enumerate() {
                read_at(file, &self.path, piece, begin + (index * PIECE) as u64)?;
                broken += num_broken(piece, kind);
            }
            Ok(broken)
        };
        let begins = (0..).map(|index: u64| begin + index * share as u64);
        std::thread::scope(|scope| {
            let mut shares = bytes.chunks_mut(share).zip(begins);
            let first = shares.next();
            let others: Vec<_> = shares.map(|share| scope.spawn(move || read(share))).collect();
            let mut broken = first.map_or(Ok(0), read)?;
            for other in others {
                broken += other.join().expect("reading does not panic")?;
            }
            Ok(broken)
        })
    }
}

fn read_at(file: &fs_err::File, path: &Path, bytes: &mut [u8], begin: u64) -> Result<(), Error> {
    file.file().read_exact_at(bytes, begin).map_err(|error| match error.kind() {
        std::io::ErrorKind::UnexpectedEof => Error::CutShort(path.to_owned()),
        _ => Error::Io(named(path, &error)),
    })
}

/// Counts infinities and what is no number: elements whose exponent is all ones.
fn num_broken(bytes: &[u8], kind: Kind) -> u64 {
    fn count<const N: usize>(bytes: &[u8], is_broken: impl Fn([u8; N]) -> bool) -> u64 {
        bytes.as_chunks::<N>().0.iter().map(|element| u64::from(is_broken(*element))).sum()
    }
    match kind {
        Kind::Float => count(bytes, |element| u32::from_le_bytes(element) & 0x7f80_0000 == 0x7f80_0000),
        Kind::BFloat16 => count(bytes, |element| u16::from_le_bytes(element) & 0x7f80 == 0x7f80),
        Kind::Half => count(bytes, |element| u16::from_le_bytes(element) & 0x7c00 == 0x7c00),
        Kind::Double => count(bytes, |element| u64::from_le_bytes(element) & (0x7ff << 52) == 0x7ff << 52),
        _ => 0,
    }
}

#[cfg(test)]
mod tests;
