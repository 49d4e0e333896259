//! The device of a stage.

use engine::placement;
use engine::stage::{Context, StageError};
use lm::Device;

/// Sets libtorch up for an attempt with its share of the machine's threads, and returns the device to compute on.
pub(crate) fn set_up(ctx: &Context) -> Result<Device, StageError> {
    let machine = ctx.machine();
    let device = match machine.placement.only() {
        Some(placement::Device::Cpu) => Device::Cpu,
        Some(placement::Device::Cuda(index)) => Device::Cuda(index.unwrap_or(0) as usize),
        None => {
            let (ranks, nodes) = (machine.placement.ranks, machine.placement.nodes);
            let message = format!("this worker computes as one process, not as {ranks} ranks on {nodes} machines");
            return Err(StageError::new(message));
        }
    };
    Ok(lm::setup(machine.threads, device)?)
}
