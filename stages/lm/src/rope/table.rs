//! Cosines and sines: of all positions up to some length, and of the current tokens.
//!
//! A [`Rotation`] is gathered once per pass and used by every layer. Shapes: t positions, n tokens, h heads, d width of
//! a head.

use tch::{Device, Kind, Tensor};

use super::Rope;

/// Cosines and sines of all positions up to some length.
pub(crate) struct RopeTable {
    cos_td: Tensor,
    sin_td: Tensor,
}

/// Cosines and sines of the current tokens.
pub(crate) struct Rotation {
    pub(crate) cos_nd: Tensor,
    pub(crate) sin_nd: Tensor,
}

impl RopeTable {
    /// Computes the table for positions `0..length`. The angle of pair `i` is at `i` and at `i + d/2`.
    ///
    /// Except in double precision, values are first rounded to single precision: bf16 is rounded twice.
    pub(crate) fn new(rope: &Rope, head_dim: i64, length: i64, device: Device, kind: Kind) -> Self {
        let half: Vec<f64> = rope.frequencies(head_dim);
        let factor = rope.table_factor();
        let tensor = |function: fn(f64) -> f64| {
            let angles = (0..length).flat_map(|t| half.iter().chain(&half).map(move |frequency| t as f64 * frequency));
            let values = angles.map(|angle| function(angle) * factor);
            let table = if kind == Kind::Double {
                Tensor::from_slice(&values.collect::<Vec<f64>>())
            } else {
                Tensor::from_slice(&values.map(|value| value as f32).collect::<Vec<f32>>())
            };
            table.view([length, head_dim]).to_device(device).to_kind(kind)
        };
        Self { cos_td: tensor(f64::cos), sin_td: tensor(f64::sin) }
    }

    pub(crate) fn length(&self) -> i64 {
        self.cos_td.size()[0]
    }

    pub(crate) fn at(&self, positions_n: &Tensor) -> Rotation {
        Rotation { cos_nd: self.cos_td.index_select(0, positions_n), sin_nd: self.sin_td.index_select(0, positions_n) }
    }
}

impl Rotation {
    /// Rotates every head of `x_nhd` by its token's angles.
    pub(crate) fn apply(&self, x_nhd: &Tensor) -> Tensor {
        let halves = x_nhd.chunk(2, 2);
        let rotated = Tensor::cat(&[&-&halves[1], &halves[0]], 2);
        x_nhd * self.cos_nd.unsqueeze(1) + rotated * self.sin_nd.unsqueeze(1)
    }

    /// Like [`Rotation::apply`], for input in which the channels of a pair are neighbours; in the output they are half
    /// a head apart.
    ///
    /// Queries and keys are reordered in the same way, so their dot products stay the same.
    pub(crate) fn apply_interleaved(&self, x_nhd: &Tensor) -> Tensor {
        let (n, h, d) = x_nhd.size3().expect("tokens have heads of channels");
        self.apply(&x_nhd.reshape([n, h, d / 2, 2]).transpose(2, 3).reshape([n, h, d]))
    }
}

#[cfg(test)]
mod tests {
    use super::super::Scaling;
    use super::*;

    #[test]
    fn rotation_keeps_length_and_depends_on_distance_only() {
        let rope = Rope { theta: 100.0, scaling: Scaling::None };
        let table = RopeTable::new(&rope, 8, 32, Device::Cpu, Kind::Float);
        let x = Tensor::from_slice(&[0.3f32, -1.0, 0.5, 2.0, 0.1, 0.7, -0.2, 1.1]).view([1, 1, 8]);
        let y = Tensor::from_slice(&[1.0f32, 0.2, -0.4, 0.6, 0.9, -1.3, 0.8, 0.05]).view([1, 1, 8]);
        let at = |x: &Tensor, position: i64| table.at(&Tensor::from_slice(&[position])).apply(x);
        let dot = |a: i64, b: i64| (at(&x, a) * at(&y, b)).sum(Kind::Float).double_value(&[]);
        assert!((dot(3, 1) - dot(19, 17)).abs() < 1e-5);
        assert!((dot(3, 1) - dot(4, 1)).abs() > 1e-3);
        let norm = |t: &Tensor| t.norm().double_value(&[]);
        assert!((norm(&at(&x, 13)) - norm(&x)).abs() < 1e-6);
    }
}
