//! Causal attention of packed rows over themselves: training, log-probs, rewards, prompts.
//!
//! The kernels take whole rows without padding. libtorch's attention needs a grid, so rows of unequal length are
//! padded for it. Shapes: n tokens, c = (h + 2g) d channels of queries, keys and values; b rows, t tokens of the
//! longest.

use std::cell::OnceCell;
use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use tch::{Device, Kind, Tensor};

use super::kernels::cpu_takes;
use crate::heads::Heads;
use crate::rows::Rows;
use crate::shim::{cpu, cuda};

/// The longest row, in tokens, for the CPU kernels. They beat libtorch's attention by half at 512 tokens and by a
/// quarter at 1,024 (heads of 16 and 64, one thread), and were not measured beyond.
const CPU_LONGEST: i64 = 2048;

/// The widest head of the flash kernels.
const FLASH_WIDEST: i64 = 256;

/// The layout of rows in packed tokens.
pub(crate) struct Layout {
    lengths: Vec<i64>,
    max_length: i64,
    /// The start of each row, and the number of tokens at the end, in the type that the device's kernels read.
    starts: Tensor,
    padding: OnceCell<Option<Padding>>,
    sharing: Option<Sharing>,
    /// Each packed token's position in its row.
    pub(crate) positions_n: Tensor,
}

/// How packed tokens become whole rows and back, where rows share their beginning. Attention runs over whole rows: it is
/// the only part in which a shared token has several results, and only its first is needed.
struct Sharing {
    /// The packed tokens in pieces: a shared beginning, or tokens of one row.
    packed: Vec<i64>,
    /// The pieces of the whole rows, as indices of `packed`.
    whole: Vec<usize>,
    whole_lengths: Vec<i64>,
    /// The pieces of the packed tokens, as indices of `whole`.
    back: Vec<usize>,
}

impl Sharing {
    /// Returns `None` if every row has its own tokens.
    fn new(rows: &Rows) -> Option<Self> {
        let (lengths, shared) = (rows.lengths(), rows.shared());
        if shared.iter().all(|shared| *shared == 0) {
            return None;
        }
        let (mut packed, mut whole, mut back) = (Vec::new(), Vec::new(), Vec::new());
        // The pieces of the last row that has all of its tokens, with where each begins in it.
        let mut first: Vec<(i64, usize)> = Vec::new();
        for row in 0..lengths.len() {
            if shared[row] == 0 {
                // It is cut where the rows after it leave it.
                let sharers = shared[row + 1..].iter().take_while(|shared| **shared > 0);
                let mut cuts: Vec<i64> = sharers.copied().chain([0, lengths[row]]).collect();
                cuts.sort_unstable();
                cuts.dedup();
                first = cuts.windows(2).enumerate().map(|(piece, cut)| (cut[0], packed.len() + piece)).collect();
                packed.extend(cuts.windows(2).map(|cut| cut[1] - cut[0]));
                for (_, piece) in &first {
                    back.push(whole.len());
                    whole.push(*piece);
                }
            } else {
                whole.extend(first.iter().filter(|(start, _)| *start < shared[row]).map(|(_, piece)| *piece));
                back.push(whole.len());
                whole.push(packed.len());
                packed.push(lengths[row] - shared[row]);
            }
        }
        let whole_lengths = whole.iter().map(|piece| packed[*piece]).collect();
        Some(Self { packed, whole, whole_lengths, back })
    }

    /// Returns whole rows. The backward pass adds up the gradients of a shared token in the order of the rows.
    fn expand(&self, packed_nc: &Tensor) -> Tensor {
        joined(packed_nc, &self.packed, &self.whole)
    }

    /// Returns packed tokens.
    fn collapse(&self, whole_nc: &Tensor) -> Tensor {
        joined(whole_nc, &self.whole_lengths, &self.back)
    }
}

/// Splits tokens into pieces of these lengths, and joins those with these indices.
fn joined(tokens_nc: &Tensor, lengths: &[i64], indices: &[usize]) -> Tensor {
    let pieces = tokens_nc.split_with_sizes(lengths, 0);
    let chosen: Vec<&Tensor> = indices.iter().map(|piece| &pieces[*piece]).collect();
    Tensor::cat(&chosen, 0)
}

/// Indices between packed rows and a padded grid.
struct Padding {
    /// The packed token of each cell of the [b, t] grid. Padding cells contain the row's first token: any finite value
    /// is fine, because the causal mask hides padding from the real tokens before it.
    to: Tensor,
    from: Tensor,
}

impl Padding {
    /// Returns `None` if all rows have the same length.
    fn new(lengths: &[i64], max_length: i64, device: Device) -> Option<Self> {
        if lengths.iter().all(|length| *length == max_length) {
            return None;
        }
        let (mut to, mut from, mut start) = (Vec::new(), Vec::new(), 0);
        for (row, length) in lengths.iter().enumerate() {
            to.extend((0..max_length).map(|t| if t < *length { start + t } else { start }));
            from.extend((0..*length).map(|t| row as i64 * max_length + t));
            start += length;
        }
        let tensor = |indices: &[i64]| Tensor::from_slice(indices).to_device(device);
        Some(Self { to: tensor(&to), from: tensor(&from) })
    }
}

impl Layout {
    /// Lays out rows.
    pub(crate) fn new(rows: &Rows, device: Device) -> Self {
        let lengths = rows.lengths();
        let positions: Vec<i64> =
            lengths.iter().zip(rows.shared()).flat_map(|(length, shared)| *shared..*length).collect();
        let ends = lengths.iter().scan(0, |end, length| {
            *end += length;
            Some(*end)
        });
        let starts: Vec<i64> = std::iter::once(0).chain(ends).collect();
        let starts = Tensor::from_slice(&starts);
        Self {
            lengths: lengths.to_vec(),
            max_length: rows.max_length(),
            starts: if device == Device::Cpu { starts } else { starts.to_kind(Kind::Int).to_device(device) },
            padding: OnceCell::new(),
            sharing: Sharing::new(rows),
            positions_n: Tensor::from_slice(&positions).to_device(device),
        }
    }
}

/// Returns the causal attention of every row over itself: [n, c], rotated, to [n, h d].
pub(crate) fn packed_attention(qkv_nc: &Tensor, layout: &Layout, heads: Heads) -> Tensor {
    match &layout.sharing {
        Some(sharing) => sharing.collapse(&attention_of_rows(&sharing.expand(qkv_nc), layout, heads)),
        None => attention_of_rows(qkv_nc, layout, heads),
    }
}

fn attention_of_rows(qkv_nc: &Tensor, layout: &Layout, heads: Heads) -> Tensor {
    if cpu_takes(qkv_nc) && layout.max_length <= CPU_LONGEST {
        return cpu::row_attention(qkv_nc, &layout.starts, heads).expect("the rows are those of the tokens");
    }
    flash(qkv_nc, layout, heads).unwrap_or_else(|| padded(qkv_nc, layout, heads))
}

/// The flash kernels (Dao 2023): on a GPU, in 16 bits. Returns `None` if they do not support these heads or this GPU.
fn flash(qkv_nc: &Tensor, layout: &Layout, heads: Heads) -> Option<Tensor> {
    /// GPUs that are too old for the flash kernels.
    static REFUSED: Mutex<BTreeSet<usize>> = Mutex::new(BTreeSet::new());

    let Device::Cuda(index) = qkv_nc.device() else { return None };
    let is_half = matches!(qkv_nc.kind(), Kind::BFloat16 | Kind::Half);
    let refused = || REFUSED.lock().unwrap_or_else(PoisonError::into_inner);
    if !is_half || heads.dim % 8 != 0 || heads.dim > FLASH_WIDEST || refused().contains(&index) {
        return None;
    }
    match cuda::flash_attention(qkv_nc, &layout.starts, layout.max_length, heads) {
        Ok(out_nc) => Some(out_nc),
        Err(error) => {
            // Out of memory is not a refusal of this GPU, and padded rows would need even more memory.
            assert!(!error.is_out_of_memory, "{error}");
            tracing::warn!("rows are padded for attention, for the flash kernels refuse them: {error}");
            refused().insert(index);
            None
        }
    }
}

/// libtorch's attention over a grid of padded rows.
fn padded(qkv_nc: &Tensor, layout: &Layout, heads: Heads) -> Tensor {
    let (num_rows, length) = (layout.lengths.len() as i64, layout.max_length);
    let padding =
        layout.padding.get_or_init(|| Padding::new(&layout.lengths, length, layout.positions_n.device())).as_ref();
    let padded = padding.map_or_else(|| qkv_nc.shallow_clone(), |padding| qkv_nc.index_select(0, &padding.to));
    let (q, k, v) = heads.split(&padded);
    let grid = |x: &Tensor, count: i64| x.view([num_rows, length, count, heads.dim]).transpose(1, 2);
    let q_bhtd = grid(&q, heads.query);
    let k_bhtd = heads.repeat(&grid(&k, heads.key_value));
    let v_bhtd = heads.repeat(&grid(&v, heads.key_value));
    // A window that covers the longest row needs no mask.
    let mask = heads.window.filter(|window| *window < length).map(|window| band(length, window, qkv_nc.device()));
    let (is_causal, mask) = (mask.is_none(), mask.as_ref());
    let out = Tensor::scaled_dot_product_attention(&q_bhtd, &k_bhtd, &v_bhtd, mask, 0.0, is_causal, None, false);
    let out = out.transpose(1, 2).reshape([num_rows * length, heads.query * heads.dim]);
    padding.map_or_else(|| out.shallow_clone(), |padding| out.index_select(0, &padding.from))
}

/// Returns the mask of a window, [length, length]: each token sees itself and the `window - 1` tokens before it.
fn band(length: i64, window: i64, device: Device) -> Tensor {
    let ones = Tensor::ones([length, length], (Kind::Bool, device));
    ones.tril(0).triu(1 - window)
}
