//! The weights of a new model, drawn from a seed.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tch::{Device, Kind, Tensor};

use super::{Spec, Weights};
use crate::device::Options;

impl Weights {
    /// Draws new weights.
    ///
    /// Matrices, including the embedding, are N(0, 1/hidden): the logits of a tied head then have standard deviation 1.
    /// Matrices that write to the residual stream (`o_proj`, `down_proj`) have an eighth of that standard deviation, so
    /// that the layers do not drown the small embedding; on the toy task, training was faster than with a half or the
    /// whole. Norms are 1, biases and a reward head 0.
    pub(crate) fn init(specs: &[Spec], hidden_size: i64, seed: u64, device: Device) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let std = (hidden_size as f64).powf(-0.5);
        let mut sorted: Vec<&Spec> = specs.iter().collect();
        sorted.sort();
        let draw = |(name, shape): &Spec| {
            let tensor = if name.ends_with("bias") || name == "score.weight" {
                Tensor::zeros(shape.as_slice(), (Kind::Float, Device::Cpu))
            } else if shape.len() < 2 {
                Tensor::ones(shape.as_slice(), (Kind::Float, Device::Cpu))
            } else {
                let writes_residual = name.ends_with("o_proj.weight") || name.ends_with("down_proj.weight");
                normal(&mut rng, shape, if writes_residual { 0.125 * std } else { std })
            };
            (name.clone(), tensor)
        };
        Self::copies(sorted.into_iter().map(draw), Options { device, dtype: Kind::Float })
    }
}

/// Draws normal numbers by Box and Muller's method, in double precision.
fn normal(rng: &mut ChaCha8Rng, shape: &[i64], std: f64) -> Tensor {
    let count = shape.iter().product::<i64>() as usize;
    let mut values = Vec::with_capacity(count + 1);
    while values.len() < count {
        let radius = (-2.0 * (1.0 - rng.random::<f64>()).ln()).sqrt();
        let (sin, cos) = (2.0 * std::f64::consts::PI * rng.random::<f64>()).sin_cos();
        values.push((std * radius * cos) as f32);
        values.push((std * radius * sin) as f32);
    }
    Tensor::from_slice(&values[..count]).view(shape)
}
