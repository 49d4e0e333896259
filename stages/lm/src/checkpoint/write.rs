//! Writing a safetensors file.

use std::borrow::Cow;
use std::collections::HashMap;
use std::path::Path;

use safetensors::tensor::{Dtype, View};
use tch::{Device, Tensor};

use super::{DTYPES, Error, element_type, named};

/// Writes named tensors; names must differ. Equal tensors give equal bytes, in any order.
pub fn save_tensors(path: &Path, tensors: &[(String, Tensor)]) -> Result<(), Error> {
    let views = tensors.iter().map(|(name, tensor)| Ok((name.as_str(), Bytes::of(name, tensor)?)));
    let views = views.collect::<Result<Vec<_>, Error>>()?;
    let metadata = HashMap::from([("format".to_owned(), "pt".to_owned())]);
    safetensors::serialize_to_file(views, Some(metadata), path).map_err(|error| match error {
        safetensors::SafeTensorError::IoError(error) => Error::Io(named(path, &error)),
        other => Error::Format { path: path.to_owned(), reason: other.to_string() },
    })
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
