//! Decoding on a GPU, where a step of a small batch is over before a host has asked for its hundreds of kernels.
//!
//! A step's form is its number of rows, rounded up to a power of two, and of places that it reads, rounded up to a block. What
//! steps of one form ask of the GPU differs in nothing but the numbers that they read: so when a form comes up for the
//! third time it is recorded as a CUDA graph, and every step of it after that is one launch, with one copy to the GPU before and
//! one back. A row that only fills up the form works on a slot that nobody has. Shapes: r rows, t places.

use std::collections::BTreeMap;

use tch::{Device, Kind, Tensor};

use super::Sampling;
use super::attend::Decode;
use super::cache::Cache;
use super::sample;
use crate::model::Model;
use crate::shim::Error;
use crate::shim::gpu::{Graph, Pool};

/// Places that steps of one form differ in at the most.
const BLOCK: i64 = 256;

/// Steps of a form that are taken one kernel at a time before it is recorded: recording costs about as much as one.
const BEFORE_RECORDING: u32 = 2;

/// The steps of one batch on a GPU.
pub(super) struct Steps {
    gpu: usize,
    num_slots: i64,
    limit: i64,
    can_record: bool,
    forms: BTreeMap<(i64, i64), Form>,
    pool: Option<Pool>,
}

struct Form {
    /// Token, position and uniform number of each row; all of them are exact in double precision.
    inputs_3r: Tensor,
    uses: u32,
    recorded: Option<(Graph, Tensor)>,
}

impl Steps {
    /// Prepares for a batch of so many slots of `limit` places; nothing where the model is not on a GPU.
    pub(super) fn new(model: &Model, num_slots: usize, limit: i64) -> Option<Self> {
        let Device::Cuda(gpu) = model.device() else { return None };
        // Which expert gets how many tokens is for the host to know.
        let can_record = model.config.experts.is_none();
        Some(Self { gpu, num_slots: num_slots as i64, limit, can_record, forms: BTreeMap::new(), pool: None })
    }

    /// Takes the rows of the first slots one token further: each row's newest token, its position and the uniform number that
    /// decides the next one, which is returned with its log-probability.
    pub(super) fn step(
        &mut self,
        model: &Model,
        cache: &mut Cache,
        sampling: &Sampling,
        (ids, positions, uniforms): (&[i64], &[i64], &[f32]),
    ) -> Vec<(i64, f32)> {
        let longest = positions.iter().max().map_or(0, |position| position + 1);
        let rows = (ids.len() as i64).max(1).cast_unsigned().next_power_of_two().cast_signed().min(self.num_slots);
        let places = ((longest + BLOCK - 1) / BLOCK * BLOCK).min(self.limit);
        let form = self.forms.entry((rows, places)).or_insert_with(|| Form {
            inputs_3r: Tensor::zeros([3, rows], (Kind::Double, model.device())),
            uses: 0,
            recorded: None,
        });
        let mut inputs = vec![0.0; 3 * rows as usize];
        for (index, ((id, position), uniform)) in ids.iter().zip(positions).zip(uniforms).enumerate() {
            let column = |line: usize| line * rows as usize + index;
            inputs[column(0)] = *id as f64;
            inputs[column(1)] = *position as f64;
            inputs[column(2)] = f64::from(*uniform);
        }
        form.inputs_3r.copy_(&Tensor::from_slice(&inputs).view([3, rows]));

        let inputs_3r = &form.inputs_3r;
        let mut draw = || draw(model, cache, sampling, inputs_3r, places, self.limit);
        if self.can_record && form.recorded.is_none() && form.uses == BEFORE_RECORDING {
            match record(self.gpu, &mut self.pool, &mut draw) {
                Ok(recorded) => form.recorded = Some(recorded),
                Err(error) => {
                    tracing::warn!("steps are taken one kernel at a time, for they cannot be recorded: {error}");
                    self.can_record = false;
                }
            }
        }
        form.uses += 1;
        let mut drawn = match &form.recorded {
            Some((graph, drawn_r2)) => {
                graph.replay().expect("what was recorded can be replayed");
                sample::read(drawn_r2)
            }
            None => sample::read(&draw()),
        };
        drawn.truncate(ids.len());
        drawn
    }
}

/// One step of the rows in `inputs_3r`, which read `places` places of their slots; without a word to the host.
fn draw(model: &Model, cache: &mut Cache, sampling: &Sampling, inputs_3r: &Tensor, places: i64, limit: i64) -> Tensor {
    let whole = |line: i64| inputs_3r.select(0, line).to_kind(Kind::Int64);
    let (ids_r, positions_r) = (whole(0), whole(1));
    let mut attend = Decode::on_device(cache, model.rotation(&positions_r, limit), &positions_r, places);
    let hidden_rd = model.forward(&ids_r, &mut attend);
    sample::on_device(&model.logits(&hidden_rd), &inputs_3r.select(0, 2), sampling)
}

/// Records a step, with the memory of the others of its batch.
fn record(gpu: usize, pool: &mut Option<Pool>, step: impl FnOnce() -> Tensor) -> Result<(Graph, Tensor), Error> {
    let pool = match pool {
        Some(pool) => pool,
        none => none.insert(Pool::new()?),
    };
    Graph::record(gpu, pool, step)
}
