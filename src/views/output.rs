//! The tensors in a file of an output, from the file's header. The list of files is a [`store::Tree`].

use std::io::Read;

use serde::Serialize;
use serde_json::{Map, Value};

/// The longest safetensors header in bytes; the format's own limit.
const HEADER: u64 = 100_000_000;

/// The tensors of a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Tensors {
    /// How many numbers all tensors have.
    pub(crate) parameters: u128,
    /// In the order of the header.
    pub(crate) tensors: Vec<Tensor>,
}

/// A tensor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Tensor {
    /// Its name.
    pub(crate) name: String,
    /// Its element type in the format's words, `?` if the header has none.
    pub(crate) dtype: String,
    /// Its shape.
    pub(crate) shape: Vec<u64>,
}

/// Reads the header of a safetensors file; returns `None` for another file.
pub(crate) fn tensors(file: &mut impl Read) -> Option<Tensors> {
    let mut parameters: u128 = 0;
    let mut tensors = Vec::new();
    for (name, about) in header(file)?.into_iter().filter(|(name, _)| name != "__metadata__") {
        let shape: Vec<u64> = about["shape"].as_array().into_iter().flatten().filter_map(Value::as_u64).collect();
        let size = shape.iter().fold(1_u128, |size, length| size.saturating_mul(u128::from(*length)));
        parameters = parameters.saturating_add(size);
        tensors.push(Tensor { name, dtype: about["dtype"].as_str().unwrap_or("?").to_owned(), shape });
    }
    Some(Tensors { parameters, tensors })
}

/// The header is 8 bytes of length, then JSON of name → dtype, shape, offsets.
fn header(file: &mut impl Read) -> Option<Map<String, Value>> {
    let mut length = [0; 8];
    file.read_exact(&mut length).ok()?;
    let length = u64::from_le_bytes(length);
    let mut header = Vec::new();
    file.take(length.min(HEADER)).read_to_end(&mut header).ok()?;
    serde_json::from_slice(&header).ok().filter(|_| length <= HEADER)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tensors_by_a_header_and_none_in_another_file() {
        let header = br#"{"__metadata__":{"format":"pt"},"w":{"dtype":"F32","shape":[2,3]},"b":{"shape":[]}}"#;
        let file = [&(header.len() as u64).to_le_bytes(), header.as_slice()].concat();
        let tensor = |name: &str, dtype: &str, shape: &[u64]| Tensor {
            name: name.to_owned(),
            dtype: dtype.to_owned(),
            shape: shape.to_vec(),
        };
        let expected = Tensors { parameters: 7, tensors: vec![tensor("w", "F32", &[2, 3]), tensor("b", "?", &[])] };
        assert_eq!(tensors(&mut file.as_slice()), Some(expected));
        assert_eq!(tensors(&mut &file[..file.len() - 1]), None, "it is cut short");
        assert_eq!(tensors(&mut b"no tensors".as_slice()), None);
    }
}
