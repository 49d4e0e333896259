//! Named tensors in a safetensors file: models, optimiser states, everything that must be restored bit for bit.
//!
//! The writer sorts tensors and adds nothing that changes between runs, so equal tensors give equal bytes. Pickle files
//! (`.bin`, `.pt`, `.pth`) are refused, because reading one can run code.

mod tensor_file;
mod write;

use std::path::{Path, PathBuf};

use safetensors::tensor::Dtype;
use tch::{Kind, Tensor};

pub use tensor_file::{Entry, TensorFile};
pub use write::save_tensors;

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
    /// The path is not a regular file.
    #[error(transparent)]
    Outside(#[from] outside::Error),
    /// The file has fewer bytes than a moment ago, or than its header needs.
    #[error("`{}` ends in the middle of its tensors; help: fetch or write it again", .0.display())]
    CutShort(PathBuf),
    /// The file was replaced or changed after it was opened.
    #[error("`{}` changed while it was read; help: let nothing write there, and run again", .0.display())]
    Changed(PathBuf),
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

/// Help for a pickle.
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

/// Reads all tensors of a file onto the CPU, sorted by name.
pub fn load_tensors(path: &Path) -> Result<Vec<(String, Tensor)>, Error> {
    let file = TensorFile::open(path)?;
    file.entries().iter().map(|entry| Ok((entry.name.clone(), file.read(entry)?))).collect()
}

/// Returns whether a file's name is that of a pickle.
pub(crate) fn is_pickle(path: &Path) -> bool {
    matches!(path.extension().and_then(|end| end.to_str()), Some("bin" | "pt" | "pth" | "pkl" | "ckpt"))
}

/// Refuses a pickle file: reading one can run code.
pub(crate) fn refuse_pickle(path: &Path) -> Result<(), Error> {
    if is_pickle(path) && !path.is_dir() { Err(Error::Pickle(path.to_owned())) } else { Ok(()) }
}

/// Returns libtorch's element type, `None` if it has none.
fn kind_of(dtype: Dtype) -> Option<Kind> {
    DTYPES.iter().find(|(other, _)| *other == dtype).map(|(_, kind)| *kind)
}

fn element_type(name: &str, kind: &dyn std::fmt::Debug) -> Error {
    Error::ElementType { name: name.to_owned(), kind: format!("{kind:?}") }
}

fn named(path: &Path, error: &std::io::Error) -> std::io::Error {
    std::io::Error::new(error.kind(), format!("{error}: `{}`", path.display()))
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
