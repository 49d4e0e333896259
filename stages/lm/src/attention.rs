//! Causal attention over packed rows, and the interface by which a layer reaches it.
//!
//! A layer projects all tokens of all rows at once and hands them to an [`Attend`], which alone knows where rows begin,
//! and whether there is a cache. Shapes: n tokens, c = (h + 2g) d channels: the queries of h heads, the keys of g, the
//! values of g; b rows, t tokens of the longest.

use std::cell::OnceCell;
use std::sync::atomic::{AtomicBool, Ordering};

use tch::{Device, Kind, Tensor};

use crate::layers::latent::LatentTokens;
use crate::rope::Rotation;
use crate::shim::{self, cuda};

/// The longest row, in tokens, that the CPU kernels take: they beat libtorch's attention by half at 512 tokens and by a
/// quarter at 1,024 (heads of 16 and 64, one thread), and were not measured beyond.
const LOOPS_UP_TO: i64 = 2048;

/// How many heads there are, how wide they are, and how far back they see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Heads {
    pub(crate) query: i64,
    pub(crate) key_value: i64,
    pub(crate) dim: i64,
    /// How many tokens each sees, its own included; `None` sees all before it.
    pub(crate) window: Option<i64>,
}

/// What a layer's attention reads from: the tokens at hand, or a cache too.
pub(crate) trait Attend {
    /// The angles of the tokens at hand.
    fn rotation(&self) -> &Rotation;

    /// Returns the attention's output, [n, h d], for tokens whose queries and keys are not rotated yet.
    fn attend(&mut self, layer: usize, qkv_nc: &Tensor, heads: Heads) -> Tensor;

    /// Returns the output of multi-head latent attention, [n, h v].
    fn attend_latent(&mut self, layer: usize, tokens: &LatentTokens) -> Tensor;
}

impl Heads {
    pub(crate) fn split(self, qkv_nc: &Tensor) -> (Tensor, Tensor, Tensor) {
        let n = qkv_nc.size()[0];
        let counts = [self.query, self.key_value, self.key_value];
        // Taken together, so that their gradients are put together in one go.
        let parts = qkv_nc.split_with_sizes(counts.map(|count| count * self.dim), 1);
        let part = |index: usize| parts[index].view([n, counts[index], self.dim]);
        (part(0), part(1), part(2))
    }

    /// Rotates the queries and keys.
    pub(crate) fn rotate(self, qkv_nc: &Tensor, rotation: &Rotation) -> Tensor {
        let (n, turned) = (qkv_nc.size()[0], self.query + self.key_value);
        if shim::is_native(qkv_nc) || cuda::suits(qkv_nc, &[self.dim / 2]) {
            return shim::rotate(qkv_nc, &rotation.cos_nd, &rotation.sin_nd, turned).expect("one angle for each token");
        }
        let parts = qkv_nc.split_with_sizes([turned * self.dim, self.key_value * self.dim], 1);
        let qk_nhd = rotation.apply(&parts[0].view([n, turned, self.dim]));
        Tensor::cat(&[&qk_nhd.view([n, turned * self.dim]), &parts[1]], 1)
    }

    /// Repeats each key or value head for the query heads of its group; `x` is [b, g, t, d].
    pub(crate) fn repeat(self, x: &Tensor) -> Tensor {
        let times = self.query / self.key_value;
        if times == 1 {
            return x.shallow_clone();
        }
        let size = x.size();
        x.unsqueeze(2)
            .expand([size[0], size[1], times, size[2], size[3]], false)
            .reshape([size[0], self.query, size[2], size[3]])
    }
}

/// Where rows lie among packed tokens.
pub(crate) struct Layout {
    lengths: Vec<i64>,
    max_length: i64,
    /// Where rows begin, and the number of tokens at its end; as the device's kernels want it.
    starts: Tensor,
    padding: OnceCell<Option<Padding>>,
    /// Each token's place in its row.
    pub(crate) positions_n: Tensor,
}

/// How rows of unequal length are padded to a grid for attention that wants one.
struct Padding {
    /// For each place of the [b, t] grid the packed token it holds. Padding holds the row's first token: any finite value will
    /// do, as no real token looks right under causal order.
    to: Tensor,
    from: Tensor,
}

impl Padding {
    /// Nothing where all rows are equally long.
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
    pub(crate) fn new(lengths: &[i64], device: Device) -> Self {
        let max_length = lengths.iter().copied().max().unwrap_or(0);
        let positions: Vec<i64> = lengths.iter().flat_map(|length| 0..*length).collect();
        let ends = lengths.iter().scan(0, |end, length| {
            *end += length;
            Some(*end)
        });
        let starts: Vec<i64> = std::iter::once(0).chain(ends).collect();
        let starts = Tensor::from_slice(&starts);
        Self {
            lengths: lengths.to_vec(),
            max_length,
            starts: if device == Device::Cpu { starts } else { starts.to_kind(Kind::Int).to_device(device) },
            padding: OnceCell::new(),
            positions_n: Tensor::from_slice(&positions).to_device(device),
        }
    }

    /// Causal attention of every row over itself: [n, c] to [n, h d].
    pub(crate) fn attend(&self, qkv_nc: &Tensor, heads: Heads) -> Tensor {
        if shim::is_native(qkv_nc) && self.max_length <= LOOPS_UP_TO {
            return shim::row_attention(qkv_nc, &self.starts, heads).expect("the rows are those of the tokens");
        }
        if suits_flash(qkv_nc, heads) && !FLASH_IS_REFUSED.load(Ordering::Relaxed) {
            match cuda::flash_attention(qkv_nc, &self.starts, self.max_length, heads) {
                Ok(out_nc) => return out_nc,
                Err(error) => {
                    // That is no refusal: padded rows want more.
                    assert!(!error.0.contains("out of memory"), "{error}");
                    tracing::warn!("rows are padded for attention, for the flash kernels refuse them: {error}");
                    FLASH_IS_REFUSED.store(true, Ordering::Relaxed);
                }
            }
        }
        self.attend_padded(qkv_nc, heads)
    }

    fn attend_padded(&self, qkv_nc: &Tensor, heads: Heads) -> Tensor {
        let (num_rows, length) = (self.lengths.len() as i64, self.max_length);
        let padding =
            self.padding.get_or_init(|| Padding::new(&self.lengths, length, self.positions_n.device())).as_ref();
        let padded = padding.map_or_else(|| qkv_nc.shallow_clone(), |padding| qkv_nc.index_select(0, &padding.to));
        let (q, k, v) = heads.split(&padded);
        let grid = |x: &Tensor, count: i64| x.view([num_rows, length, count, heads.dim]).transpose(1, 2);
        let q_bhtd = grid(&q, heads.query);
        let k_bhtd = heads.repeat(&grid(&k, heads.key_value));
        let v_bhtd = heads.repeat(&grid(&v, heads.key_value));
        // A window that the longest row does not leave is none.
        let mask = heads.window.filter(|window| *window < length).map(|window| band(length, window, qkv_nc.device()));
        let (is_causal, mask) = (mask.is_none(), mask.as_ref());
        let out = Tensor::scaled_dot_product_attention(&q_bhtd, &k_bhtd, &v_bhtd, mask, 0.0, is_causal, None, false);
        let out = out.transpose(1, 2).reshape([num_rows * length, heads.query * heads.dim]);
        padding.map_or_else(|| out.shallow_clone(), |padding| out.index_select(0, &padding.from))
    }
}

/// Set when a GPU is too old for the flash kernels.
static FLASH_IS_REFUSED: AtomicBool = AtomicBool::new(false);

/// Whether there is a flash kernel for these heads (Dao 2023): on a GPU, in 16 bits, up to 256 channels.
fn suits_flash(qkv_nc: &Tensor, heads: Heads) -> bool {
    matches!(qkv_nc.device(), Device::Cuda(_))
        && matches!(qkv_nc.kind(), Kind::BFloat16 | Kind::Half)
        && heads.dim % 8 == 0
        && heads.dim <= 256
}

/// Says which tokens each of `length` sees: itself and the `window - 1` before it.
fn band(length: i64, window: i64, device: Device) -> Tensor {
    let ones = Tensor::ones([length, length], (Kind::Bool, device));
    ones.tril(0).triu(1 - window)
}

/// Attention of packed rows without a cache: training, log-probs, rewards.
pub(crate) struct PackedRows {
    pub(crate) layout: Layout,
    pub(crate) rotation: Rotation,
}

impl Attend for PackedRows {
    fn rotation(&self) -> &Rotation {
        &self.rotation
    }

    fn attend(&mut self, _layer: usize, qkv_nc: &Tensor, heads: Heads) -> Tensor {
        self.layout.attend(&heads.rotate(qkv_nc, &self.rotation), heads)
    }

    fn attend_latent(&mut self, _layer: usize, tokens: &LatentTokens) -> Tensor {
        tokens.attend_expanded(&self.layout)
    }
}
