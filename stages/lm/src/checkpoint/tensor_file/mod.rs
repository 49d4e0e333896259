//! A safetensors file, whose tensors are read one by one into their final place.
//!
//! Files are read, not memory-mapped. If another process truncated a mapped file, this process would end with SIGBUS,
//! and a write to the file would change weights in use. A file that is truncated, grows, or is replaced between the
//! opening and the last read is an error that names it. A write in place that keeps the length, within the same clock
//! tick, is not detected. Each piece is checked for NaN while it is in the processor's cache, so the check costs almost
//! nothing.

use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

use safetensors::tensor::Metadata;
use tch::{Device, Kind, Tensor};

use super::{Error, element_type, kind_of, named, refuse_pickle};
use crate::limits;

/// Elements of a piece: few enough for the processor's cache, and for libtorch to copy them on the calling thread (it
/// splits more than 32,768 among its own threads).
const COPIED: i64 = 32_000;
/// Elements of a piece that is copied to a GPU.
const SENT: i64 = 4 << 20;

/// A file whose header has been read and checked.
pub struct TensorFile {
    path: PathBuf,
    identity: Identity,
    entries: Vec<Entry>,
}

/// A tensor's entry in the header.
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

/// Identifies a file and its state: device, inode, length, modification time.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Identity(u64, u64, u64, i64, i64);

impl Identity {
    fn of(file: &fs_err::File) -> Result<Self, Error> {
        let data = file.metadata()?;
        Ok(Self(data.dev(), data.ino(), data.len(), data.mtime(), data.mtime_nsec()))
    }
}

impl TensorFile {
    /// Opens a file, and checks its header against the format and the file's length.
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

    /// Returns the header's entries, sorted by name.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Returns the entry of a tensor.
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

    /// Reads into a tensor of the same shape, of any element type and device. Returns the number of infinite or NaN
    /// elements.
    pub(crate) fn read_into(&self, entry: &Entry, to: &Tensor) -> Result<u64, Error> {
        let file = outside::open(&self.path)?;
        if Identity::of(&file)? != self.identity {
            return Err(Error::Changed(self.path.clone()));
        }
        let broken = if entry.length == 0 { 0 } else { self.copy(&file, entry, to)? };
        if Identity::of(&file)? != self.identity {
            return Err(Error::Changed(self.path.clone()));
        }
        Ok(broken)
    }

    /// Reads through a small buffer, from which libtorch copies to any element type and device. Reading directly into a
    /// new tensor takes a third longer, because of its page faults.
    fn copy(&self, file: &fs_err::File, entry: &Entry, to: &Tensor) -> Result<u64, Error> {
        let flat = to.f_view([-1])?;
        let total = (entry.length / entry.kind.elt_size_in_bytes()) as i64;
        let is_here = to.device() == Device::Cpu;
        let (threads, most) = if is_here { (num_threads(), COPIED) } else { (1, SENT) };
        let share = (total as u64).div_ceil(threads as u64 * most as u64) as i64 * most;
        let part = |begin: i64| Ok((begin, flat.f_narrow(0, begin, share.min(total - begin))?));
        let parts = (0..total).step_by(share as usize).map(part).collect::<Result<Vec<_>, Error>>()?;
        in_parallel(parts, |(begin, to)| {
            let _guard = tch::no_grad_guard();
            self.copy_part(file, entry, begin, &to, most)
        })
    }

    /// Copies a part of a tensor, `most` elements at a time.
    fn copy_part(&self, file: &fs_err::File, entry: &Entry, begin: i64, to: &Tensor, most: i64) -> Result<u64, Error> {
        let (width, total) = (entry.kind.elt_size_in_bytes() as i64, to.numel() as i64);
        let staging = Tensor::f_empty([most.min(total)], (entry.kind, Device::Cpu))?;
        // Without this shortcut, libtorch's overhead for each piece would be as long as the copy.
        let is_plain = to.device() == Device::Cpu && to.kind() == entry.kind && to.is_contiguous();
        let mut broken = 0;
        for done in (0..total).step_by(most as usize) {
            let count = most.min(total - done);
            // SAFETY: the tensor was made here, is contiguous and on the CPU, and holds as many elements at least;
            // nothing else looks at it.
            let bytes =
                unsafe { std::slice::from_raw_parts_mut(staging.data_ptr().cast::<u8>(), (count * width) as usize) };
            read_at(file, &self.path, bytes, entry.begin + ((begin + done) * width) as u64)?;
            broken += num_broken(bytes, entry.kind);
            if is_plain {
                // SAFETY: `to` is contiguous, on the CPU, of this element type, and has these elements; nothing else
                // looks at it before it is full.
                unsafe {
                    let start = to.data_ptr().cast::<u8>().add((done * width) as usize);
                    std::ptr::copy_nonoverlapping(bytes.as_ptr(), start, bytes.len());
                }
            } else {
                to.f_narrow(0, done, count)?.f_copy_(&staging.f_narrow(0, 0, count)?)?;
            }
        }
        Ok(broken)
    }
}

/// Returns libtorch's number of threads.
fn num_threads() -> i64 {
    i64::from(tch::get_num_threads()).max(1)
}

/// Runs `work` on each part in its own thread (on the first in this thread), and returns the sum of the results.
fn in_parallel<P: Send>(
    parts: impl IntoIterator<Item = P>,
    work: impl Fn(P) -> Result<u64, Error> + Sync,
) -> Result<u64, Error> {
    std::thread::scope(|scope| {
        let (mut parts, work) = (parts.into_iter(), &work);
        let first = parts.next();
        let others: Vec<_> = parts.map(|part| scope.spawn(move || work(part))).collect();
        let mut sum = first.map_or(Ok(0), work)?;
        for other in others {
            sum += other.join().expect("reading does not panic")?;
        }
        Ok(sum)
    })
}

fn read_at(file: &fs_err::File, path: &Path, bytes: &mut [u8], begin: u64) -> Result<(), Error> {
    file.file().read_exact_at(bytes, begin).map_err(|error| match error.kind() {
        std::io::ErrorKind::UnexpectedEof => Error::CutShort(path.to_owned()),
        _ => Error::Io(named(path, &error)),
    })
}

/// Counts infinities and NaN: elements whose exponent is all ones.
fn num_broken(bytes: &[u8], kind: Kind) -> u64 {
    match kind {
        Kind::Float => words(bytes, |element| u32::from_le_bytes(*element), 0x7f80_0000),
        Kind::Double => words(bytes, |element: &[u8; 8]| (u64::from_le_bytes(*element) >> 32) as u32, 0x7ff0_0000),
        Kind::BFloat16 => halves(bytes, 0x7f80),
        Kind::Half => halves(bytes, 0x7c00),
        _ => 0,
    }
}

/// Counts elements with all bits of a mask set. Counters are as wide as the elements, so that the loop is vectorised.
fn words<const N: usize>(bytes: &[u8], word: impl Fn(&[u8; N]) -> u32, mask: u32) -> u64 {
    let count = |piece: &[[u8; N]]| piece.iter().map(|element| u32::from(word(element) & mask == mask)).sum::<u32>();
    bytes.as_chunks().0.chunks(1 << 20).map(|piece| u64::from(count(piece))).sum()
}

fn halves(bytes: &[u8], mask: u16) -> u64 {
    let is_broken = |element: &[u8; 2]| u16::from(u16::from_le_bytes(*element) & mask == mask);
    let count = |piece: &[[u8; 2]]| piece.iter().map(is_broken).sum::<u16>();
    bytes.as_chunks().0.chunks(1 << 15).map(|piece| u64::from(count(piece))).sum()
}

#[cfg(test)]
mod tests;
