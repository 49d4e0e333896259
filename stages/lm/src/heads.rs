//! The heads of one layer's attention: their number, width and window.
//!
//! Shapes: n tokens, c = (h + 2g) d channels: the queries of h heads, the keys of g, the values of g; b rows, t tokens.

use tch::Tensor;

/// Number, width and window of a layer's heads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Heads {
    pub(crate) query: i64,
    pub(crate) key_value: i64,
    pub(crate) dim: i64,
    /// Number of tokens that a token sees, its own included; `None` for all before it.
    pub(crate) window: Option<i64>,
}

impl Heads {
    /// Returns queries, keys and values of [n, c] as views, each [n, heads, d].
    pub(crate) fn split(self, qkv_nc: &Tensor) -> (Tensor, Tensor, Tensor) {
        let n = qkv_nc.size()[0];
        let counts = [self.query, self.key_value, self.key_value];
        // A single split, so that the backward pass concatenates the three gradients at once.
        let parts = qkv_nc.split_with_sizes(counts.map(|count| count * self.dim), 1);
        let part = |index: usize| parts[index].view([n, counts[index], self.dim]);
        (part(0), part(1), part(2))
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
