//! Rotary position embeddings, in the half-rotation form of Llama and Qwen (RoFormer, section 3.2.2; Llama 3's
//! frequency scaling as in its reference code; YaRN in `yarn.rs`).
//!
//! This file computes the frequencies; `table.rs` has the cosines and sines; `config/rope.rs` reads the keys of
//! `config.json`.

mod table;
mod yarn;

pub(crate) use table::{RopeTable, Rotation};
pub use yarn::Yarn;

/// The rotary position embedding of a model.
#[derive(Debug, Clone, PartialEq)]
pub struct Rope {
    /// Base of the geometric series of frequencies.
    pub theta: f64,
    /// How the frequencies are scaled for longer rows.
    pub scaling: Scaling,
}

/// A scaling of the rotary frequencies.
#[derive(Debug, Clone, PartialEq)]
pub enum Scaling {
    /// None.
    None,
    /// All frequencies divided by the factor.
    Linear {
        /// How many times longer rows may be.
        factor: f64,
    },
    /// Llama 3: frequencies of long wavelengths divided by the factor, those of short ones kept, with a ramp between.
    Llama3 {
        /// Divisor of the lowest frequencies.
        factor: f64,
        /// Frequencies with wavelengths above `original / low` are divided.
        low: f64,
        /// Frequencies with wavelengths below `original / high` are kept.
        high: f64,
        /// Positions the model was first trained for.
        original: f64,
    },
    /// YaRN: low frequencies divided by the factor, high ones kept, with a ramp between, and sharper attention.
    Yarn(Yarn),
}

impl Rope {
    /// Returns the angle per position of each channel pair of a head of width `head_dim`.
    pub fn frequencies(&self, head_dim: i64) -> Vec<f64> {
        let plain = |pair: i64| self.theta.powf(-2.0 * pair as f64 / head_dim as f64);
        let scaled = |pair: i64| match &self.scaling {
            Scaling::Yarn(yarn) => yarn.frequency(plain(pair), pair, head_dim, self.theta),
            _ => self.scaled(plain(pair)),
        };
        (0..head_dim / 2).map(scaled).collect()
    }

    /// Returns the factor of cosines and sines.
    pub fn table_factor(&self) -> f64 {
        if let Scaling::Yarn(yarn) = &self.scaling { yarn.table_factor } else { 1.0 }
    }

    /// Returns the factor of the softmax's scale, in architectures that have one.
    pub fn softmax_factor(&self) -> f64 {
        if let Scaling::Yarn(yarn) = &self.scaling { yarn.softmax_factor } else { 1.0 }
    }

    /// Scales a frequency, for scalings that depend on the frequency alone.
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
        // On the ramp: wavelength 4096 is between 2048 and 8192; s = (8192 / 4096 - 1) / 3 = 1/3.
        let frequency = 2.0 * std::f64::consts::PI / 4096.0;
        let expected = (2.0 / 3.0) * frequency / 8.0 + frequency / 3.0;
        assert!((rope.scaled(frequency) - expected).abs() < 1e-15);
    }
}
