//! Rotary position embeddings, in the half-rotation form of Llama and Qwen (RoFormer, section 3.2.2; Llama 3's
//! frequency scaling as in its reference code; YaRN in `yarn.rs`).
//!
//! A [`Rotation`] holds the cosines and sines of the tokens at hand, gathered once per pass and used by every layer.
//! Shapes: n tokens, h heads, d width of a head.

mod yarn;

use serde_json::{Map, Value};
use tch::{Device, Kind, Tensor};

use crate::config::Error;
use crate::config::keys::{Keys, key_error};
pub use yarn::Yarn;

/// How angles follow from positions.
#[derive(Debug, Clone, PartialEq)]
pub struct Rope {
    /// Base of the geometric series of frequencies.
    pub theta: f64,
    /// What is done to the frequencies to reach longer rows.
    pub scaling: Scaling,
}

/// A change of the rotary frequencies.
#[derive(Debug, Clone, PartialEq)]
pub enum Scaling {
    /// None.
    None,
    /// All frequencies divided by the factor.
    Linear {
        /// How many times longer rows may be.
        factor: f64,
    },
    /// Llama 3: long wavelengths divided by the factor, short ones kept, a ramp between.
    Llama3 {
        /// Divisor of the lowest frequencies.
        factor: f64,
        /// Wavelengths above `original / low` are divided.
        low: f64,
        /// Wavelengths below `original / high` are kept.
        high: f64,
        /// Positions the model was first trained for.
        original: f64,
    },
    /// YaRN: slow pairs divided by the factor, fast ones kept, a ramp between, and sharper attention.
    Yarn(Yarn),
}

impl Rope {
    /// Reads `rope_theta` and `rope_scaling`, or `rope_parameters` (transformers 5), which only the former outrank.
    pub(crate) fn parse(document: &Map<String, Value>) -> Result<Self, Error> {
        let whole = Keys(document);
        let filled = |key: &str| document.get(key)?.as_object().filter(|table| !table.is_empty());
        let Some(table) = filled("rope_scaling").or_else(|| filled("rope_parameters")) else {
            return Ok(Self { theta: base(whole.number_or("rope_theta", 10_000.0)?)?, scaling: Scaling::None });
        };
        let keys = Keys(table);
        refuse_unsupported(&keys, &whole)?;
        let theta = base(keys.number_or("rope_theta", whole.number_or("rope_theta", 10_000.0)?)?)?;
        let name = table.get("rope_type").or_else(|| table.get("type")).and_then(Value::as_str).unwrap_or("default");
        let scaling = match name {
            "default" => Scaling::None,
            "linear" => Scaling::Linear { factor: keys.number("factor")? },
            "llama3" => Scaling::Llama3 {
                factor: keys.number("factor")?,
                low: keys.number("low_freq_factor")?,
                high: keys.number("high_freq_factor")?,
                original: keys.number("original_max_position_embeddings")?,
            },
            "yarn" => Scaling::Yarn(Yarn::parse(&keys, &whole)?),
            other => {
                return Err(key_error(
                    "rope_type",
                    format!("`{other}` is not supported; supported: default, linear, llama3, yarn"),
                ));
            }
        };
        Ok(Self { theta, scaling })
    }

    /// Angle per position of each pair of a head of width `head_dim`.
    pub fn frequencies(&self, head_dim: i64) -> Vec<f64> {
        let plain = |pair: i64| self.theta.powf(-2.0 * pair as f64 / head_dim as f64);
        let scaled = |pair: i64| match &self.scaling {
            Scaling::Yarn(yarn) => yarn.frequency(plain(pair), pair, head_dim, self.theta),
            _ => self.scaled(plain(pair)),
        };
        (0..head_dim / 2).map(scaled).collect()
    }

    /// What cosines and sines are multiplied by.
    pub fn table_factor(&self) -> f64 {
        if let Scaling::Yarn(yarn) = &self.scaling { yarn.table_factor } else { 1.0 }
    }

    /// What the scale of the softmax is multiplied by, in the architectures that do so.
    pub fn softmax_factor(&self) -> f64 {
        if let Scaling::Yarn(yarn) = &self.scaling { yarn.softmax_factor } else { 1.0 }
    }

    /// Scales a frequency by what depends on nothing else.
    fn scaled(&self, frequency: f64) -> f64 {
        match self.scaling {
            Scaling::None | Scaling::Yarn(_) => frequency,
            Scaling::Linear { factor } => frequency / factor,
            Scaling::Llama3 { factor, low, high, original } => {
                let wavelength = 2.0 * std::f64::consts::PI / frequency;
                if wavelength < original / high {
                    frequency
                } else if wavelength > original / low {
                    frequency / factor
                } else {
                    let share = (original / wavelength - low) / (high - low);
                    (1.0 - share) * frequency / factor + share * frequency
                }
            }
        }
    }
}

/// Refuses a base of no series of frequencies: of 1 all are equal, and YaRN divides by its logarithm.
fn base(theta: f64) -> Result<f64, Error> {
    if theta > 1.0 {
        Ok(theta)
    } else {
        Err(key_error("rope_theta", format!("{theta} is no base, expected more than 1")))
    }
}

/// Refuses tables that say more than one rotation of whole heads.
fn refuse_unsupported(keys: &Keys, whole: &Keys) -> Result<(), Error> {
    if let Some((layers, _)) = keys.0.iter().find(|(_, value)| value.is_object()) {
        return Err(key_error("rope_parameters", format!("parameters for `{layers}` alone are not supported")));
    }
    for keys in [keys, whole] {
        let share = keys.number_or("partial_rotary_factor", 1.0)?;
        if (share - 1.0).abs() > f64::EPSILON {
            return Err(key_error("partial_rotary_factor", format!("{share} is not supported, only 1")));
        }
    }
    Ok(())
}

/// Cosines and sines of every position up to some length.
pub(crate) struct RopeTable {
    cos_td: Tensor,
    sin_td: Tensor,
}

/// Cosines and sines of the tokens at hand.
pub(crate) struct Rotation {
    pub(crate) cos_nd: Tensor,
    pub(crate) sin_nd: Tensor,
}

impl RopeTable {
    /// Computes the table for positions `0..length`. The angle of pair `i` stands at `i` and at `i + d/2`.
    ///
    /// All but double precision starts from single: a brain float is rounded twice.
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
    /// Turns every head of `x_nhd` by its token's angles.
    pub(crate) fn apply(&self, x_nhd: &Tensor) -> Tensor {
        let halves = x_nhd.chunk(2, 2);
        let turned = Tensor::cat(&[&-&halves[1], &halves[0]], 2);
        x_nhd * self.cos_nd.unsqueeze(1) + turned * self.sin_nd.unsqueeze(1)
    }

    /// As [`Rotation::apply`], where the channels of a pair are neighbours; in the output they stand half a head apart.
    ///
    /// Queries and keys change their order alike, so no product of them does.
    pub(crate) fn apply_interleaved(&self, x_nhd: &Tensor) -> Tensor {
        let (n, h, d) = x_nhd.size3().expect("tokens have heads of channels");
        self.apply(&x_nhd.reshape([n, h, d / 2, 2]).transpose(2, 3).reshape([n, h, d]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn llama3_keeps_short_waves_and_stretches_long_ones() {
        let scaling = Scaling::Llama3 { factor: 8.0, low: 1.0, high: 4.0, original: 8192.0 };
        let rope = Rope { theta: 500_000.0, scaling };
        let plain = Rope { scaling: Scaling::None, ..rope.clone() };
        let (scaled, plain) = (rope.frequencies(128), plain.frequencies(128));
        assert_eq!(scaled[0].to_bits(), plain[0].to_bits());
        assert!((scaled[63] - plain[63] / 8.0).abs() < 1e-18);
        for (scaled, plain) in scaled.iter().zip(&plain) {
            assert!((plain / 8.0..=*plain).contains(scaled), "{scaled} outside {plain} / 8 ..= {plain}");
        }
        // The ramp: wavelength 4096 lies between 2048 and 8192; s = (8192 / 4096 - 1) / 3 = 1/3.
        let frequency = 2.0 * std::f64::consts::PI / 4096.0;
        let expected = (2.0 / 3.0) * frequency / 8.0 + frequency / 3.0;
        assert!((rope.scaled(frequency) - expected).abs() < 1e-15);
    }

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
