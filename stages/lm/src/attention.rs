//! Causal attention over packed rows, and the interface by which a layer reaches it.
//!
//! A layer projects all tokens of all rows at once and hands them to an [`Attend`], which alone knows where rows begin,
//! and whether there is a cache. Shapes: n tokens, c = (h + 2g) d channels: the queries of h heads, the keys of g, the
//! values of g; b rows, t tokens of the longest.

use tch::{Device, Kind, Tensor};

use crate::layers::latent::LatentTokens;
use crate::rope::Rotation;
use crate::shim;

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

    /// Returns the attention's output, [n, h d], for tokens whose queries and keys are already rotated.
    fn attend(&mut self, layer: usize, qkv_nc: &Tensor, heads: Heads) -> Tensor;

    /// Returns the output of multi-head latent attention, [n, h v].
    fn attend_latent(&mut self, layer: usize, tokens: &LatentTokens) -> Tensor;
}

impl Heads {
    pub(crate) fn split(self, qkv_nc: &Tensor) -> (Tensor, Tensor, Tensor) {
        let n = qkv_nc.size()[0];
        let part =
            |start: i64, heads: i64| qkv_nc.narrow(1, start * self.dim, heads * self.dim).view([n, heads, self.dim]);
        let values = self.query + self.key_value;
        (part(0, self.query), part(self.query, self.key_value), part(values, self.key_value))
    }

    /// Rotates the queries and keys.
    pub(crate) fn rotate(self, qkv_nc: &Tensor, rotation: &Rotation) -> Tensor {
        let (n, turned) = (qkv_nc.size()[0], self.query + self.key_value);
        if shim::is_native(qkv_nc) {
            return shim::rotate(qkv_nc, &rotation.cos_nd, &rotation.sin_nd, turned).expect("one angle for each token");
        }
        let qk_nhd = qkv_nc.narrow(1, 0, turned * self.dim).view([n, turned, self.dim]);
        let v_nc = qkv_nc.narrow(1, turned * self.dim, self.key_value * self.dim);
        Tensor::cat(&[rotation.apply(&qk_nhd).view([n, turned * self.dim]), v_nc], 1)
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

/// Where rows lie among packed tokens, and how to pad them for attention.
pub(crate) struct Layout {
    lengths: Vec<i64>,
    max_length: i64,
    /// Where rows begin, and the number of tokens at its end; on the CPU.
    starts: Tensor,
    /// For each place of the padded [b, t] grid the packed token it holds; `None` when all rows are equally long.
    /// Padding holds the row's first token: any finite value will do, as no real token looks right under causal order.
    to_padded: Option<Tensor>,
    from_padded: Option<Tensor>,
    /// Each token's place in its row.
    pub(crate) positions_n: Tensor,
}

impl Layout {
    pub(crate) fn new(lengths: &[i64], device: Device) -> Self {
        let max_length = lengths.iter().copied().max().unwrap_or(0);
        let positions: Vec<i64> = lengths.iter().flat_map(|length| 0..*length).collect();
        let uniform = lengths.iter().all(|length| *length == max_length);
        let (mut to, mut from, mut start) = (Vec::new(), Vec::new(), 0);
        if !uniform {
            for (row, length) in lengths.iter().enumerate() {
                to.extend((0..max_length).map(|t| if t < *length { start + t } else { start }));
                from.extend((0..*length).map(|t| row as i64 * max_length + t));
                start += length;
            }
        }
        let tensor = |indices: &[i64]| Tensor::from_slice(indices).to_device(device);
        let ends = lengths.iter().scan(0, |end, length| {
            *end += length;
            Some(*end)
        });
        let starts: Vec<i64> = std::iter::once(0).chain(ends).collect();
        Self {
            lengths: lengths.to_vec(),
            max_length,
            starts: Tensor::from_slice(&starts),
            to_padded: (!uniform).then(|| tensor(&to)),
            from_padded: (!uniform).then(|| tensor(&from)),
            positions_n: tensor(&positions),
        }
    }

    /// Causal attention of every row over itself: [n, c] to [n, h d].
    pub(crate) fn attend(&self, qkv_nc: &Tensor, heads: Heads) -> Tensor {
        if shim::is_native(qkv_nc) && self.max_length <= LOOPS_UP_TO {
            return shim::row_attention(qkv_nc, &self.starts, heads).expect("the rows are those of the tokens");
        }
        let (num_rows, length) = (self.lengths.len() as i64, self.max_length);
        let padded =
            self.to_padded.as_ref().map_or_else(|| qkv_nc.shallow_clone(), |index| qkv_nc.index_select(0, index));
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
        self.from_padded.as_ref().map_or_else(|| out.shallow_clone(), |index| out.index_select(0, index))
    }
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
        self.layout.attend(qkv_nc, heads)
    }

    fn attend_latent(&mut self, _layer: usize, tokens: &LatentTokens) -> Tensor {
        tokens.attend_expanded(&self.layout)
    }
}
