//! The device of a stage.

use engine::stage::{Context, StageError};
use lm::Device;

/// Sets libtorch up for an attempt with its share of the machine's threads, and returns the device to compute on.
pub(crate) fn set_up(ctx: &Context) -> Result<Device, StageError> {
    let machine = ctx.machine();
    Ok(lm::setup(machine.threads, &machine.device)?)
}
