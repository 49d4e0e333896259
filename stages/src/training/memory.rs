//! Peak memory of training: estimated by term before the first step, and measured after each step.
//!
//! Memory held when training begins is measured; the rest is computed from sizes. On a CPU, the whole process counts;
//! on a GPU, libtorch's memory on the device.

use engine::stage::{Context, StageError};
use lm::{Device, Kind, Model, footprint, memory};

use super::{Metrics, Objective, Optimisation};

/// The metric: the most memory that training has held so far, in GiB.
const PEAK: &str = "peak_memory_gib";
/// How far the peak may exceed the estimate without a warning: a factor for allocators' rounding, and a constant.
const TOLERANCE: f64 = 1.25;
const SLACK: f64 = 128.0 * 1_048_576.0;

/// Allocator fragmentation on a CPU, as a share of the activations; measured with `pretrain`
/// at widths of 128 to 768 and 2,048 or 8,192 tokens a pass.
const FRAGMENTATION: f64 = 0.4;
/// Workspace of bf16 matmuls on a CPU (oneDNN), in bytes, for any size of a pass; measured in the same way, with
/// AVX-512.
const BF16_WORKSPACE: u64 = 320 << 20;

/// The largest pass of an objective.
pub struct Workload<'a> {
    /// The model that is trained.
    pub model: &'a Model,
    /// Most tokens of a micro-batch.
    pub tokens: usize,
    /// Whether the backward pass computes activations again.
    pub recompute: bool,
    /// Most tokens whose logits exist at a time, and the number of such tensors.
    pub logits: (usize, usize),
    /// Bytes that sampling holds between passes.
    pub sampling: u64,
    /// The keys of the kind that lower the peak, the cheapest first.
    pub cures: &'static str,
}

/// The keys that most kinds have.
pub const CURES: &str = "lower `micro-batch-tokens`, or set `gradient-checkpointing`, `dtype = \"bfloat16\"` or `lora`";

/// An estimate of the peak, by term, in bytes.
pub(super) struct Expected {
    device: Device,
    terms: Vec<(&'static str, u64)>,
    cures: &'static str,
}

impl Expected {
    /// Estimates the peak of a training; call it before the optimiser is made.
    pub(super) fn of(objective: &impl Objective, optimisation: &Optimisation) -> Result<Self, StageError> {
        let Workload { model, tokens, recompute, logits: (chunk, copies), sampling, cures } = objective.workload();
        let (config, dtype, device) = (&model.config, model.dtype(), model.device());
        let trained = objective.leaves().iter().map(|leaf| leaf.numel() as u64).sum::<u64>();
        let reached = model.parameters().iter().map(|(_, parameter)| parameter).filter(|leaf| leaf.requires_grad());
        let largest = reached.map(|leaf| leaf.numel() as u64).max().unwrap_or(0);
        let master = if optimisation.kind() == Kind::Float { 0 } else { 4 };
        let activations = footprint::activations(config, dtype, tokens, recompute);
        let fragmentation = if device == Device::Cpu { (activations as f64 * FRAGMENTATION) as u64 } else { 0 };
        let workspace = if device == Device::Cpu && dtype != Kind::Float { BF16_WORKSPACE } else { 0 };
        let mut terms = vec![
            ("model and data", memory::used(device)?.now),
            ("optimiser", (8 + master) * trained),
            // While a gradient is accumulated, the old and the new one of that parameter exist together.
            ("gradients", 4 * (trained + largest)),
            ("activations", activations),
            ("fragmentation", fragmentation),
            ("bf16 workspace", workspace),
            ("logits", footprint::logits(config, chunk.min(tokens), copies)),
        ];
        // Sampling ends before a pass begins, and gradients are freed before the next sampling, so only the larger
        // counts.
        let pass: u64 = terms[2..].iter().map(|(_, bytes)| bytes).sum();
        terms.push(("sampling", sampling.saturating_sub(pass)));
        Ok(Self { device, terms, cures })
    }

    /// Begins to look at the peak.
    pub(super) fn begin(&self) -> Result<(), StageError> {
        Ok(memory::reset_peak(self.device)?)
    }

    fn total(&self) -> u64 {
        self.terms.iter().map(|(_, bytes)| bytes).sum()
    }

    /// Reports the estimate, and warns if less memory is free.
    pub(super) fn tell(&self, ctx: &Context) -> Result<(), StageError> {
        let terms: Vec<String> = self
            .terms
            .iter()
            .filter(|(_, bytes)| *bytes > 0)
            .map(|(name, bytes)| format!("{name} {}", mib(*bytes)))
            .collect();
        ctx.note(format!("needs about {} of memory", gib(self.total())));
        ctx.detail(format!("memory: {}", terms.join(", ")));
        let (to_come, free) = (self.total() - self.terms[0].1, memory::free(self.device)?);
        if to_come > free {
            let (to_come, free) = (mib(to_come), mib(free));
            ctx.warn(format!("{to_come} more will be needed and {free} are free: {}", self.cures));
        }
        Ok(())
    }

    /// Adds the peak so far to the measurements of a step.
    pub(super) fn measure(&self, metrics: &mut Metrics) -> Result<(), StageError> {
        let gib = memory::used(self.device)?.peak as f64 / f64::from(1 << 30);
        metrics.insert(PEAK.to_owned(), gib);
        Ok(())
    }

    /// Warns if the peak of a finished training exceeded the estimate.
    pub(super) fn check(&self, ctx: &Context) -> Result<(), StageError> {
        let (peak, expected) = (memory::used(self.device)?.peak, self.total());
        if peak as f64 > TOLERANCE * expected as f64 + SLACK {
            ctx.warn(format!("held {} of memory at its peak, where {} were expected", mib(peak), mib(expected)));
        }
        Ok(())
    }
}

/// Returns a size with two digits, for a forecast.
fn gib(bytes: u64) -> String {
    let mib = bytes >> 20;
    if mib < 1_000 { format!("{mib} MiB") } else { format!("{:.1} GiB", bytes as f64 / f64::from(1 << 30)) }
}

fn mib(bytes: u64) -> String {
    format!("{} MiB", bytes >> 20)
}
