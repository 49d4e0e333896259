//! Decoding on a GPU with CUDA graphs. Without them, launching the hundreds of kernels of a step takes the host longer
//! than a small batch takes the GPU.
//!
//! Steps are bucketed by shape: rows rounded up to a power of two, and context rounded up to [`BLOCK`] positions. Every
//! step in a bucket launches the same kernels, so on its third use a bucket is captured as a CUDA graph. From then on a
//! step is one launch, with one copy to the GPU before it and one back. Padding rows use a spare cache slot. Shapes: r
//! rows.

use std::collections::BTreeMap;

use tch::{Device, Kind, Tensor};

use super::attend::Decode;
use crate::model::Model;
use crate::ops::{self, Cache, Draw, Newest};
use crate::shim::Error;
use crate::shim::gpu::{Graph, Pool};

/// The context of a bucket is a multiple of this many positions.
const BLOCK: i64 = 256;

/// Steps of a bucket that are launched kernel by kernel before it is captured; capturing costs about as much as one
/// step.
const BEFORE_RECORDING: u32 = 2;

/// The steps of one batch on a GPU.
pub(super) struct Steps {
    gpu: usize,
    num_slots: i64,
    limit: i64,
    can_record: bool,
    /// Keyed by rows and context.
    buckets: BTreeMap<(i64, i64), Bucket>,
    pool: Option<Pool>,
}

struct Bucket {
    /// Token, position and uniform number of each row; all of them are exact in double precision.
    inputs_3r: Tensor,
    uses: u32,
    recorded: Option<(Graph, Tensor)>,
}

/// For each row: its newest token, that token's position, and the uniform number that decides the next one.
pub(super) struct Inputs<'a> {
    pub(super) ids: &'a [i64],
    pub(super) positions: &'a [i64],
    pub(super) uniforms: &'a [f32],
}

impl Inputs<'_> {
    /// Returns all three as one tensor, [3, r] with r = `rows`, for a single copy to the GPU. Padding rows are zeros.
    fn padded(&self, rows: i64) -> Tensor {
        let mut inputs = vec![0.0; 3 * rows as usize];
        for (index, ((id, position), uniform)) in self.ids.iter().zip(self.positions).zip(self.uniforms).enumerate() {
            let column = |line: usize| line * rows as usize + index;
            inputs[column(0)] = *id as f64;
            inputs[column(1)] = *position as f64;
            inputs[column(2)] = f64::from(*uniform);
        }
        Tensor::from_slice(&inputs).view([3, rows])
    }
}

impl Steps {
    /// Prepares for a batch of `num_slots` slots of `limit` positions. Returns `None` if the model is not on a GPU.
    pub(super) fn new(model: &Model, num_slots: usize, limit: i64) -> Option<Self> {
        let Device::Cuda(gpu) = model.device() else { return None };
        // With experts, the host must read how many tokens each expert gets, which a graph cannot capture.
        let can_record = model.config.experts.is_none();
        Some(Self { gpu, num_slots: num_slots as i64, limit, can_record, buckets: BTreeMap::new(), pool: None })
    }

    /// Decodes one token for the rows of the first slots, and returns the tokens with their log-probabilities.
    pub(super) fn step(
        &mut self,
        model: &Model,
        cache: &mut Cache,
        draw: (Draw, i64),
        inputs: &Inputs,
    ) -> Vec<(i64, f32)> {
        let num_rows = inputs.ids.len();
        let longest = inputs.positions.iter().max().map_or(0, |position| position + 1);
        let rows = (num_rows as i64).max(1).cast_unsigned().next_power_of_two().cast_signed().min(self.num_slots);
        let context = ((longest + BLOCK - 1) / BLOCK * BLOCK).min(self.limit);
        let bucket = self.buckets.entry((rows, context)).or_insert_with(|| Bucket {
            inputs_3r: Tensor::zeros([3, rows], (Kind::Double, model.device())),
            uses: 0,
            recorded: None,
        });
        bucket.inputs_3r.copy_(&inputs.padded(rows));

        let inputs_3r = &bucket.inputs_3r;
        let mut one_step = || step(model, cache, draw, inputs_3r, context, self.limit);
        if self.can_record && bucket.recorded.is_none() && bucket.uses == BEFORE_RECORDING {
            match record(self.gpu, &mut self.pool, &mut one_step) {
                Ok(recorded) => bucket.recorded = Some(recorded),
                Err(error) => {
                    tracing::warn!("steps are taken one kernel at a time, for they cannot be recorded: {error}");
                    self.can_record = false;
                }
            }
        }
        bucket.uses += 1;
        let mut drawn = match &bucket.recorded {
            Some((graph, drawn_r2)) => {
                graph.replay().expect("what was recorded can be replayed");
                ops::read_drawn(drawn_r2)
            }
            None => ops::read_drawn(&one_step()),
        };
        drawn.truncate(num_rows);
        drawn
    }
}

/// One step of the rows in `inputs_3r`, which read `context` positions of their slots, without a host sync.
fn step(model: &Model, cache: &mut Cache, draw: (Draw, i64), inputs_3r: &Tensor, context: i64, limit: i64) -> Tensor {
    let whole = |line: i64| inputs_3r.select(0, line).to_kind(Kind::Int64);
    let (ids_r, positions_r) = (whole(0), whole(1));
    let mut attend = Decode::new(cache, model.rotation(&positions_r, limit), Newest::on_device(&positions_r, context));
    let hidden_rd = model.forward(&ids_r, &mut attend);
    ops::sample_on_device(&model.logits(&hidden_rd), &inputs_3r.select(0, 2), draw.0, draw.1)
}

/// Captures a step, in the memory pool that all graphs of the batch share.
fn record(gpu: usize, pool: &mut Option<Pool>, step: impl FnOnce() -> Tensor) -> Result<(Graph, Tensor), Error> {
    let pool = match pool {
        Some(pool) => pool,
        none => none.insert(Pool::new()?),
    };
    Graph::record(gpu, pool, step)
}
