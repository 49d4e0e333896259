//! Where a stage computes: the device that the user names, and the devices and processes of one stage.
//!
//! `--device` is parsed once, at the command line. The pools lend GPUs, and a stage's [`Machine`] carries its
//! [`Placement`] to the worker. Only the backend (`cpu` or `cuda`) is part of a fingerprint. The GPU's index and the
//! numbers of ranks and machines never are.
//!
//! [`Machine`]: crate::worker::protocol::Machine

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// CPU cores; a stage gets as many threads.
pub const CORES: &str = "cores";
/// Memory in GiB, as stages declare it; what they really use is not measured.
pub const MEMORY: &str = "memory-gib";
/// GPUs, each lent to one stage at a time.
pub const GPUS: &str = "gpus";
/// The pools that every machine has.
pub const POOLS: [&str; 3] = [CORES, MEMORY, GPUS];

/// A device by its name in PyTorch: `cpu`, `cuda` or `cuda:N`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Device {
    /// The CPU.
    #[default]
    Cpu,
    /// A GPU by its index. Without one, each stage gets GPUs of its own from the pool.
    Cuda(Option<u32>),
}

/// The name is none of `cpu`, `cuda` and `cuda:N`.
#[derive(Clone, Debug, thiserror::Error)]
#[error("unknown device `{0}`; known: cpu, cuda (GPUs of its own for each stage), cuda:N (that GPU for all)")]
pub struct UnknownDevice(String);

impl Device {
    /// Returns the backend, if it changes bits: `None` for the CPU.
    pub fn backend(self) -> Option<&'static str> {
        match self {
            Self::Cpu => None,
            Self::Cuda(_) => Some("cuda"),
        }
    }
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cpu => f.write_str("cpu"),
            Self::Cuda(None) => f.write_str("cuda"),
            Self::Cuda(Some(index)) => write!(f, "cuda:{index}"),
        }
    }
}

impl FromStr for Device {
    type Err = UnknownDevice;

    fn from_str(name: &str) -> Result<Self, UnknownDevice> {
        let unknown = || UnknownDevice(name.to_owned());
        match name {
            "cpu" => Ok(Self::Cpu),
            "cuda" => Ok(Self::Cuda(None)),
            other => {
                let index = other.strip_prefix("cuda:").ok_or_else(unknown)?;
                // One spelling for each device: `parse` would also take `+1` and `01`.
                let device = Self::Cuda(Some(index.parse().map_err(|_| unknown())?));
                if device.to_string() == name { Ok(device) } else { Err(unknown()) }
            }
        }
    }
}

impl TryFrom<String> for Device {
    type Error = UnknownDevice;

    fn try_from(name: String) -> Result<Self, UnknownDevice> {
        name.parse()
    }
}

impl From<Device> for String {
    fn from(device: Device) -> Self {
        device.to_string()
    }
}

/// The devices and processes of one stage.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Placement {
    /// Devices as the worker sees them, at least one for each rank of a machine.
    pub devices: Vec<Device>,
    /// Worker processes that compute together.
    pub ranks: u32,
    /// Machines that the ranks are spread over.
    pub nodes: u32,
}

impl Placement {
    /// Returns the placement of one process. With `cuda`, the process sees only the GPUs that the pool lends it.
    pub(crate) fn alone(device: Device, gpus: usize) -> Self {
        let devices = match device {
            Device::Cuda(None) => (0..gpus.max(1) as u32).map(|index| Device::Cuda(Some(index))).collect(),
            named => vec![named],
        };
        Self { devices, ranks: 1, nodes: 1 }
    }

    /// Returns the device of a stage that runs as one process; `None` for any other placement.
    pub fn only(&self) -> Option<Device> {
        self.devices.first().copied().filter(|_| self.ranks == 1 && self.nodes == 1)
    }
}

impl Default for Placement {
    fn default() -> Self {
        Self::alone(Device::Cpu, 0)
    }
}

/// The devices that compute, in the order of their ranks.
impl fmt::Display for Placement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let used = self.devices.iter().take(self.ranks as usize).map(Device::to_string);
        f.write_str(&used.collect::<Vec<_>>().join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_have_the_names_of_pytorch() {
        for (name, device, backend) in [
            ("cpu", Device::Cpu, None),
            ("cuda", Device::Cuda(None), Some("cuda")),
            ("cuda:3", Device::Cuda(Some(3)), Some("cuda")),
        ] {
            assert_eq!((name.parse::<Device>().unwrap(), device.to_string().as_str()), (device, name));
            assert_eq!(device.backend(), backend);
            assert_eq!(serde_json::to_value(device).unwrap(), name);
        }
        for name in ["", "CPU", "gpu", "cpu:0", "cuda:", "cuda:x", "cuda:01", "cuda:+1", "cuda:-1", "cuda:0 "] {
            assert!(name.parse::<Device>().is_err(), "{name}");
        }
    }

    #[test]
    fn a_stage_is_placed_on_what_it_is_lent() {
        let place = |device, gpus| Placement::alone(device, gpus).to_string();
        assert_eq!(place(Device::Cpu, 0), "cpu");
        assert_eq!(place(Device::Cuda(None), 1), "cuda:0");
        assert_eq!(place(Device::Cuda(Some(2)), 0), "cuda:2");
        let four = Placement::alone(Device::Cuda(None), 4);
        assert_eq!((four.devices.len(), four.only()), (4, Some(Device::Cuda(Some(0)))));
        assert_eq!(Placement { ranks: 2, ..four.clone() }.to_string(), "cuda:0, cuda:1");
        assert_eq!(Placement { ranks: 2, ..four.clone() }.only(), None);
        assert_eq!(Placement { nodes: 2, ..four }.only(), None);
    }
}
