//! Peak memory of training: estimated by term before the first step, and measured after each step.
//!
//! Memory held when training begins is measured; the rest is computed from sizes. On a CPU, the whole process counts;
//! on a GPU, libtorch's memory on the device.

use engine::stage::{Context, Look, StageError};
use lm::{Config, Device, Kind, Model, Options, Tensor, footprint, head, memory};

use super::cures::Cures;
use super::lora::{Adapters, Lora};
use super::rows::{LargestPasses, PassSize};
use super::{Metrics, Objective, Optimisation};
use crate::artifacts::Dtype;

/// The metric: the most memory that training has held so far, in GiB.
const PEAK: &str = "peak_memory_gib";
/// How far the peak may exceed the estimate without a warning: a factor for allocators' rounding, and a constant.
const TOLERANCE: f64 = 1.25;
const SLACK: f64 = 128.0 * 1_048_576.0;

/// Allocator fragmentation on a CPU, as a share of the activations; measured with SFT of SmolLM2-135M, whole and by
/// LoRA, on rows of different lengths, with 2,048 and 8,192 tokens a pass (`docs/real-models.md` has the table).
const FRAGMENTATION: f64 = 0.06;
/// Workspace of bf16 matmuls on a CPU (oneDNN), in bytes, for any size of a pass; measured in the same way.
const BF16_WORKSPACE: u64 = 320 << 20;

/// The sizes of an objective's largest passes, and what else they hold.
#[derive(Clone, Copy, Debug)]
pub struct Passes {
    /// The largest micro-batches.
    pub largest: LargestPasses,
    /// Whether the backward pass computes activations again.
    pub recompute: bool,
    /// The logits that exist at a time.
    pub logits: Logits,
    /// Bytes that sampling holds between passes.
    pub sampling: u64,
    /// Whether the sizes are those of completions that are as long as they may be.
    pub is_bound: bool,
    /// The keys of the kind that lower the peak.
    pub cures: Cures,
}

/// The logits that exist at a time.
#[derive(Clone, Copy, Debug)]
pub enum Logits {
    /// None: the head has one output.
    None,
    /// Those of a chunk of [`head::CHUNK`] tokens and their gradient, in the model's element type.
    OfTargets,
    /// So many distributions of a chunk of [`head::DISTRIBUTIONS_CHUNK`] tokens, in single precision.
    Distributions(usize),
}

impl Logits {
    fn bytes(self, config: &Config, dtype: Kind, targets: usize) -> u64 {
        match self {
            Self::None => 0,
            Self::OfTargets => footprint::logits(config, dtype, targets.min(head::CHUNK), 2),
            Self::Distributions(copies) => {
                footprint::logits(config, Kind::Float, targets.min(head::DISTRIBUTIONS_CHUNK), copies)
            }
        }
    }
}

/// What an objective trains, and its largest pass.
pub struct Workload<'a> {
    /// The model that is trained.
    pub model: &'a Model,
    /// Its largest passes.
    pub passes: Passes,
}

/// The sizes of a training, from which its peak follows.
#[derive(Clone, Copy)]
pub(super) struct Sizes<'a> {
    pub(super) config: &'a Config,
    pub(super) options: Options,
    /// Bytes that are held when training begins.
    pub(super) held: u64,
    /// Elements that are trained.
    pub(super) trained: u64,
    /// Elements of the largest parameter that gets a gradient.
    pub(super) largest: u64,
    pub(super) passes: Passes,
}

/// An estimate of the peak, by term, in bytes.
pub(super) struct Expected {
    device: Device,
    terms: Vec<(&'static str, u64)>,
    is_bound: bool,
    cures: String,
}

/// Tells how much memory a training of a model with this configuration will hold, before the model is read. `copies` is
/// the number of further models of the same size that are held.
pub(crate) fn look_at_memory(
    look: &mut Look,
    (config, options): (&Config, Options),
    (optimisation, lora): (&Optimisation, Option<&Lora>),
    copies: u64,
    passes: Passes,
) {
    match outline(config, options, (optimisation, lora), copies, passes) {
        Ok(sizes) => {
            let expected = Expected::from(sizes);
            look.expect_memory(expected.total(), &expected.cures);
        }
        Err(error) => look.refuse(error),
    }
}

/// Returns where and in which element type a model that is not read yet will be trained.
pub(crate) fn options(look: &Look, config: &Config, dtype: Option<Dtype>) -> Options {
    let device = if look.device().backend().is_none() { Device::Cpu } else { Device::Cuda(0) };
    Options { device, dtype: dtype.map_or(config.dtype(), Dtype::kind) }
}

/// Returns the sizes of a training whose model is not read yet, and refuses names of parameters that it will not have.
fn outline<'a>(
    config: &'a Config,
    options: Options,
    (optimisation, lora): (&Optimisation, Option<&Lora>),
    copies: u64,
    passes: Passes,
) -> Result<Sizes<'a>, StageError> {
    // An expanded tensor has one element in memory.
    let one = Tensor::zeros([1], (Kind::Float, Device::Cpu));
    let parameters = footprint::parameters(config).into_iter().map(|(name, shape)| (name, one.expand(shape, false)));
    let parameters: Vec<(String, Tensor)> = parameters.collect();
    let numel = |parameters: &[(String, Tensor)]| parameters.iter().map(|(_, leaf)| leaf.numel() as u64).sum::<u64>();
    let largest = |parameters: &[(String, Tensor)]| parameters.iter().map(|(_, leaf)| leaf.numel() as u64).max();
    let (trained, largest, adapted) = if let Some(lora) = lora {
        let adapters = Adapters::outline(&parameters, lora)?;
        (adapters.trained, adapters.largest, adapters.adapted)
    } else {
        let trained = optimisation.trained(&parameters)?;
        (numel(&trained), largest(&trained).unwrap_or(0), 0)
    };
    let weights = (numel(&parameters) * (1 + copies) + adapted) * options.dtype.elt_size_in_bytes() as u64;
    let program = if options.device == Device::Cpu { memory::used(Device::Cpu)?.now } else { 0 };
    Ok(Sizes { config, options, held: program + weights, trained, largest, passes })
}

impl From<Sizes<'_>> for Expected {
    fn from(sizes: Sizes<'_>) -> Self {
        let (terms, is_bound) = (sizes.terms(), sizes.passes.is_bound);
        Self { device: sizes.options.device, terms, is_bound, cures: sizes.cures() }
    }
}

impl Sizes<'_> {
    /// Returns the bytes of the peak.
    pub(super) fn total(&self) -> u64 {
        self.terms().iter().map(|(_, bytes)| bytes).sum()
    }

    fn terms(&self) -> Vec<(&'static str, u64)> {
        let Sizes { config, options: Options { device, dtype }, held, trained, largest, passes } = *self;
        let Passes { largest: LargestPasses { first, later, .. }, recompute, logits, sampling, .. } = passes;
        let is_single = dtype == Kind::Float;
        let activations = |pass: PassSize| footprint::activations(config, dtype, pass.tokens, recompute);
        let of_pass = |pass: PassSize| activations(pass) + logits.bytes(config, dtype, pass.targets);
        // A pass after the first holds the gradients of those before it.
        let (pass, sums) =
            if of_pass(first) >= of_pass(later) + 4 * trained { (first, 0) } else { (later, 4 * trained) };
        let fragmentation = (activations(pass) as f64 * FRAGMENTATION) as u64;
        let workspace = if is_single { 0 } else { BF16_WORKSPACE };
        let mut terms = vec![
            ("model and data", held),
            ("optimiser", (if is_single { 8 } else { 12 }) * trained),
            // While a gradient is accumulated, the old and the new one of that parameter exist together.
            ("gradients", sums + 4 * largest),
            ("activations", activations(pass)),
            ("logits", logits.bytes(config, dtype, pass.targets)),
            ("allocator", if device == Device::Cpu { fragmentation + workspace } else { 0 }),
        ];
        // Sampling ends before a pass begins, and gradients are freed before the next sampling, so only the larger
        // counts. After the last pass there are all gradients.
        let pass: u64 = terms[2..].iter().map(|(_, bytes)| bytes).sum();
        terms.push(("sampling or update", sampling.max(4 * trained).saturating_sub(pass)));
        terms
    }
}

impl Expected {
    /// Estimates the peak of a training; call it before the optimiser is made.
    pub(super) fn of(objective: &impl Objective) -> Result<Self, StageError> {
        let Workload { model, passes } = objective.workload();
        let trained = objective.leaves().iter().map(|leaf| leaf.numel() as u64).sum::<u64>();
        let reached = model.parameters().iter().map(|(_, parameter)| parameter).filter(|leaf| leaf.requires_grad());
        let largest = reached.map(|leaf| leaf.numel() as u64).max().unwrap_or(0);
        let held = memory::used(model.device())?.now;
        Ok(Self::from(Sizes { config: &model.config, options: model.options(), held, trained, largest, passes }))
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
        let word = if self.is_bound { "up to" } else { "about" };
        ctx.note(format!("needs {word} {} of memory", gib(self.total())));
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
