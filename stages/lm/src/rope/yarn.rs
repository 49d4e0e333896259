//! YaRN (Peng et al. 2023, section 3.4): high frequencies are kept, low ones divided by a factor, with a ramp between.
//! Attention's logits grow with the factor, through the table of cosines, the softmax, or both.

/// The constants of YaRN.
#[derive(Debug, Clone, PartialEq)]
pub struct Yarn {
    /// How many times longer rows may be.
    pub factor: f64,
    /// Positions the model was first trained for.
    pub original: f64,
    /// Pairs that rotate more often than this over the original positions keep their frequency.
    pub beta_fast: f64,
    /// Pairs that rotate less often than this have their frequency divided by the factor.
    pub beta_slow: f64,
    /// Whether the ramp begins and ends at whole pairs.
    pub truncate: bool,
    /// Multiplies cosines and sines.
    pub table_factor: f64,
    /// DeepSeek's factor of the softmax's scale; 1 for other architectures.
    pub softmax_factor: f64,
}

impl Yarn {
    /// Returns the frequency of pair `index` of a head of width `head_dim`; `plain` is the frequency without YaRN.
    pub(super) fn frequency(&self, plain: f64, index: i64, head_dim: i64, theta: f64) -> f64 {
        let pair_that_rotates = |times: f64| {
            let radians = times * 2.0 * std::f64::consts::PI;
            head_dim as f64 * (self.original / radians).ln() / (2.0 * theta.ln())
        };
        let (low, high) = (pair_that_rotates(self.beta_fast), pair_that_rotates(self.beta_slow));
        let (low, high) = if self.truncate { (low.floor(), high.ceil()) } else { (low, high) };
        let (low, high) = (low.max(0.0), high.min(head_dim as f64 - 1.0));
        // A ramp of width 0 becomes a step, as in transformers.
        let width = if (high - low).abs() < 1e-9 { 0.001 } else { high - low };
        let slow = ((index as f64 - low) / width).clamp(0.0, 1.0);
        plain / self.factor * slow + plain * (1.0 - slow)
    }
}
