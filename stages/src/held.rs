//! A model beside the one that a stage trains or samples from: a judge, a reward model. It lies on its device all the
//! time, or only while it is used.

use std::cell::RefCell;

use engine::placement::Device as Named;
use engine::stage::{Context, StageError};
use lm::Device;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where judges and reward models lie: keys of the kinds that use them.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, rename_all = "kebab-case")]
pub struct JudgePlace {
    /// Where judges and reward models compute. `same`: with the stage's model. `next`: on the stage's second GPU, which
    /// it gets by `run = { needs = { gpus = 2 } }`. `cpu`: on the CPU.
    #[schemars(extend("x-omit-default" = true))]
    pub judge_device: JudgeDevice,
    /// Whether judges and reward models are taken off their device whenever they have judged. They are read again from
    /// their files, which takes time, and leave their memory to sampling and training.
    #[schemars(extend("x-role" = "neutral", "x-omit-default" = true))]
    pub judge_offload: bool,
}

/// The device of judges.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum JudgeDevice {
    /// That of the stage's model.
    #[default]
    Same,
    /// The stage's second GPU.
    Next,
    /// The CPU.
    Cpu,
}

impl JudgePlace {
    /// Returns the device for judges of a stage whose model is on `device`.
    pub(crate) fn device(self, ctx: &Context, device: Device) -> Result<Device, StageError> {
        match (self.judge_device, ctx.machine().placement.devices.as_slice()) {
            (JudgeDevice::Same, _) => Ok(device),
            (JudgeDevice::Cpu, _) => Ok(Device::Cpu),
            (JudgeDevice::Next, [_, Named::Cuda(index), ..]) => Ok(Device::Cuda(index.unwrap_or(1) as usize)),
            (JudgeDevice::Next, _) => Err(StageError::new("`judge-device = \"next\"`: the stage has no second GPU")
                .with_help("give it two by `run = { needs = { gpus = 2 } }`, and run with `--device cuda`")),
        }
    }
}

/// A model that is loaded when it is first used.
pub(crate) struct Held<M> {
    load: Box<dyn Fn() -> Result<M, StageError>>,
    model: RefCell<Option<M>>,
    /// Whether it stays loaded after a use.
    stays: bool,
}

impl<M> Held<M> {
    /// Loads a model, so that mistakes are found; it stays loaded if `stays`.
    pub(crate) fn load(load: impl Fn() -> Result<M, StageError> + 'static, stays: bool) -> Result<Self, StageError> {
        let model = Some(load()?).filter(|_| stays);
        Ok(Self { load: Box::new(load), model: RefCell::new(model), stays })
    }

    /// Calls `read` with the model.
    pub(crate) fn with<T>(&self, read: impl FnOnce(&M) -> Result<T, StageError>) -> Result<T, StageError> {
        let kept = self.model.borrow_mut().take();
        let model = kept.map_or_else(|| (self.load)(), Ok)?;
        let result = read(&model);
        if self.stays {
            *self.model.borrow_mut() = Some(model);
        }
        result
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::rc::Rc;

    use super::*;
    use crate::testing::well;

    #[test]
    fn a_model_that_does_not_stay_is_loaded_for_each_use() {
        for (stays, times) in [(true, 1), (false, 3)] {
            let count = Rc::new(Cell::new(0));
            let loads = Rc::clone(&count);
            let load = move || {
                loads.set(loads.get() + 1);
                Ok(7)
            };
            let held = well(Held::load(load, stays));
            let sum = well(held.with(|model| Ok(model + 1))) + well(held.with(|model| Ok(*model)));
            assert_eq!((sum, count.get()), (15, times));
        }
    }
}
