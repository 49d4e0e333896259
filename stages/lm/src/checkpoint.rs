//! Named tensors in a safetensors file: models, optimiser states, anything a step must find again bit for bit.
//!
//! The writer sorts and adds nothing that changes from run to run: equal tensors give equal bytes. Pickle files
//! (`.bin`, `.pt`, `.pth`) are refused, as reading one can run code.

use std::borrow::Cow;
use std::collections::HashMap;
use std::path::{Path, PathBuf};

use safetensors::tensor::{Dtype, SafeTensors, View};
use tch::{Device, Kind, Tensor};

/// Why a file of tensors cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file cannot be opened, read or written.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// The file breaks the format.
    #[error("`{path}` is no valid safetensors file: {reason}")]
    Format {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A tensor's element type has no counterpart.
    #[error("tensor `{name}` has the unsupported element type `{kind}`")]
    ElementType {
        /// The tensor.
        name: String,
        /// Its type.
        kind: String,
    },
    /// The file is a pickle.
    #[error("`{0}` is a pickle file, which can run code when it is read; help: {PICKLES}")]
    Pickle(PathBuf),
    /// libtorch refused.
    #[error(transparent)]
    Torch(#[from] tch::TchError),
}

/// What to do about a pickle.
pub(crate) const PICKLES: &str =
    "convert it to safetensors, for example with transformers: `from_pretrained`, then `save_pretrained`";

const DTYPES: &[(Dtype, Kind)] = &[
    (Dtype::F32, Kind::Float),
    (Dtype::BF16, Kind::BFloat16),
    (Dtype::F16, Kind::Half),
    (Dtype::F64, Kind::Double),
    (Dtype::I64, Kind::Int64),
    (Dtype::I32, Kind::Int),
    (Dtype::I16, Kind::Int16),
    (Dtype::I8, Kind::Int8),
    (Dtype::U8, Kind::Uint8),
    (Dtype::BOOL, Kind::Bool),
];

/// Writes named tensors; names must differ. Equal tensors give equal bytes, in whatever order they come.
pub fn save_tensors(path: &Path, tensors: &[(String, Tensor)]) -> Result<(), Error> {
    let views = tensors.iter().map(|(name, tensor)| Ok((name.as_str(), Bytes::of(name, tensor)?)));
    let views = views.collect::<Result<Vec<_>, Error>>()?;
    let metadata = HashMap::from([("format".to_owned(), "pt".to_owned())]);
    safetensors::serialize_to_file(views, Some(metadata), path).map_err(|error| match error {
        safetensors::SafeTensorError::IoError(error) => Error::Io(named(path, &error)),
        other => Error::Format { path: path.to_owned(), reason: other.to_string() },
    })
}

/// Reads all tensors of a file onto the CPU, sorted by name.
pub fn load_tensors(path: &Path) -> Result<Vec<(String, Tensor)>, Error> {
    let file = Mapped::open(path)?;
    let copy = |tensor: &Tensor| tensor.f_to_device_(Device::Cpu, tensor.f_kind()?, false, true);
    file.tensors().iter().map(|(name, tensor)| Ok((name.clone(), copy(tensor)?))).collect()
}

/// The tensors of a file where they lie: in memory that maps it.
pub struct Mapped {
    tensors: Vec<(String, Tensor)>,
    // After the tensors, which look into it.
    map: memmap2::Mmap,
}

impl Mapped {
    /// Maps a file.
    pub fn open(path: &Path) -> Result<Self, Error> {
        refuse_pickle(path)?;
        let file = fs_err::File::open(path)?;
        // SAFETY: the map is read-only; a file that another process truncates meanwhile would end this process, which
        // the engine treats as a failed attempt. Published artifacts are never changed.
        let map = unsafe { memmap2::Mmap::map(file.file()) }.map_err(|error| named(path, &error))?;
        let format = |reason: String| Error::Format { path: path.to_owned(), reason };
        let archive = SafeTensors::deserialize(&map).map_err(|error| format(error.to_string()))?;
        let mut tensors = Vec::with_capacity(archive.len());
        for (name, view) in archive.iter() {
            let kind = DTYPES.iter().find(|(dtype, _)| *dtype == view.dtype()).map(|(_, kind)| *kind);
            let kind = kind.ok_or_else(|| element_type(name, &view.dtype()))?;
            let size: Vec<i64> = view.shape().iter().map(|size| *size as i64).collect();
            tensors.push((name.to_owned(), look_at(view.data(), &size, kind)?));
        }
        tensors.sort_by(|(left, _), (right, _)| left.cmp(right));
        Ok(Self { tensors, map })
    }

    /// Returns the tensors, sorted by name. They must be copied before `self` goes, and never be written to.
    pub fn tensors(&self) -> &[(String, Tensor)] {
        &self.tensors
    }

    /// Gives back the memory of a tensor that has been copied, if it lies in this file; who looks at it again reads the file.
    pub(crate) fn release(&self, tensor: &Tensor) {
        let begin = (tensor.data_ptr() as usize).checked_sub(self.map.as_ptr() as usize);
        let length = tensor.numel() * tensor.kind().elt_size_in_bytes();
        if let Some(begin) = begin.filter(|begin| *begin < self.map.len()) {
            // SAFETY: the map is read-only and backed by its file, so pages that are dropped come back as they were. A system
            // that does not drop them loses nothing.
            let _ = unsafe { self.map.unchecked_advise_range(memmap2::UncheckedAdvice::DontNeed, begin, length) };
        }
    }
}

/// Makes a tensor of `data` where it lies, or a copy where its place does not suit its elements.
fn look_at(data: &[u8], size: &[i64], kind: Kind) -> Result<Tensor, tch::TchError> {
    if data.is_empty() || data.as_ptr().align_offset(kind.elt_size_in_bytes()) != 0 {
        return Tensor::f_from_data_size(data, size, kind);
    }
    let mut strides = vec![1; size.len()];
    for at in (1..size.len()).rev() {
        strides[at - 1] = strides[at] * size[at];
    }
    // SAFETY: the data is aligned, holds as many elements as `size` says (safetensors checks it), and outlives the
    // tensor, as [`Mapped`] keeps both.
    unsafe { Tensor::f_from_blob(data.as_ptr(), size, &strides, kind, Device::Cpu) }
}

/// Returns whether a file's name is that of a pickle.
pub(crate) fn is_pickle(path: &Path) -> bool {
    matches!(path.extension().and_then(|end| end.to_str()), Some("bin" | "pt" | "pth" | "pkl" | "ckpt"))
}

/// Refuses a file that reading would execute.
pub(crate) fn refuse_pickle(path: &Path) -> Result<(), Error> {
    if is_pickle(path) && !path.is_dir() { Err(Error::Pickle(path.to_owned())) } else { Ok(()) }
}

fn element_type(name: &str, kind: &dyn std::fmt::Debug) -> Error {
    Error::ElementType { name: name.to_owned(), kind: format!("{kind:?}") }
}

fn named(path: &Path, error: &std::io::Error) -> std::io::Error {
    std::io::Error::new(error.kind(), format!("{error}: `{}`", path.display()))
}

/// A tensor as the writer sees it: contiguous, on the CPU.
struct Bytes {
    dtype: Dtype,
    shape: Vec<usize>,
    length: usize,
    tensor: Tensor,
}

impl Bytes {
    fn of(name: &str, tensor: &Tensor) -> Result<Self, Error> {
        let kind = tensor.f_kind()?;
        let dtype = DTYPES.iter().find(|(_, other)| *other == kind).map(|(dtype, _)| *dtype);
        let dtype = dtype.ok_or_else(|| element_type(name, &kind))?;
        let tensor = tensor.detach().to_device(Device::Cpu).contiguous();
        let shape: Vec<usize> = tensor.size().iter().map(|size| *size as usize).collect();
        Ok(Self { dtype, shape, length: tensor.numel() * kind.elt_size_in_bytes(), tensor })
    }
}

impl View for Bytes {
    fn dtype(&self) -> Dtype {
        self.dtype
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        if self.length == 0 {
            return Cow::Borrowed(&[]);
        }
        // SAFETY: the tensor is contiguous, on the CPU, holds `length` bytes, and lives as long as the borrow.
        Cow::Borrowed(unsafe { std::slice::from_raw_parts(self.tensor.data_ptr().cast::<u8>(), self.length) })
    }

    fn data_len(&self) -> usize {
        self.length
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tensors_come_back_bit_for_bit_and_order_does_not_matter() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let weights = Tensor::from_slice(&[1.0f32, -0.0, f32::MIN_POSITIVE, f32::INFINITY]).view([2, 2]);
        let count = Tensor::from_slice(&[i64::MAX]);
        let half = weights.transpose(0, 1).to_kind(Kind::BFloat16);
        let pairs = |order: [usize; 3]| {
            let all = [("b.weight", &weights), ("a.step", &count), ("a.half", &half)];
            order.map(|i| (all[i].0.to_owned(), all[i].1.shallow_clone()))
        };
        let (one, two) = (dir.path().join("one.safetensors"), dir.path().join("two.safetensors"));
        save_tensors(&one, &pairs([0, 1, 2])).expect("a writable folder");
        save_tensors(&two, &pairs([2, 0, 1])).expect("a writable folder");
        assert_eq!(fs_err::read(&one).expect("written"), fs_err::read(&two).expect("written"));
        let back = load_tensors(&one).expect("a valid file");
        let names: Vec<_> = back.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["a.half", "a.step", "b.weight"]);
        assert_eq!(back[0].1, half);
        assert_eq!(back[1].1, count);
        assert_eq!(back[2].1, weights);
        assert_eq!(back[0].1.kind(), Kind::BFloat16);
    }

    #[test]
    fn pickles_and_broken_files_are_refused() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let pickle = dir.path().join("pytorch_model.bin");
        fs_err::write(&pickle, b"\x80\x02").expect("a writable folder");
        assert!(matches!(load_tensors(&pickle), Err(Error::Pickle(_))));
        let broken = dir.path().join("x.safetensors");
        fs_err::write(&broken, b"\xff\xff\xff\xff\xff\xff\xff\xff{}").expect("a writable folder");
        assert!(matches!(load_tensors(&broken), Err(Error::Format { .. })));
    }
}
