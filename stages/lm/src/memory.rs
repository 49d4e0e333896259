//! Memory in use and in total: of the process on a CPU, of libtorch's allocator on a GPU.

use tch::Device;

use crate::shim::{self, gpu};

/// Memory in use, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Used {
    /// Now.
    pub now: u64,
    /// The maximum since [`reset_peak`], or since the process began.
    pub peak: u64,
}

/// Returns this process's use of a device's memory; zeros if the system does not report it.
pub fn used(device: Device) -> Result<Used, shim::Error> {
    if let Device::Cuda(index) = device {
        let [now, peak, _] = gpu::memory(index)?;
        return Ok(Used { now, peak });
    }
    let text = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    Ok(Used { now: kib(&text, "VmRSS:"), peak: kib(&text, "VmHWM:") })
}

/// Resets the peak to the memory in use now.
pub fn reset_peak(device: Device) -> Result<(), shim::Error> {
    if let Device::Cuda(index) = device {
        return gpu::reset_peak(index);
    }
    // If the system refuses, the peak counts from the start of the process, which is an upper bound.
    let _ = std::fs::write("/proc/self/clear_refs", "5");
    Ok(())
}

/// Returns the free bytes of a device; `u64::MAX` if the system does not report them.
pub fn free(device: Device) -> Result<u64, shim::Error> {
    if let Device::Cuda(index) = device {
        return gpu::memory(index).map(|[_, _, free]| free);
    }
    match std::fs::read_to_string("/proc/meminfo") {
        Ok(text) => Ok(kib(&text, "MemAvailable:")),
        Err(_) => Ok(u64::MAX),
    }
}

/// Returns the machine's bytes of memory and swap; `u64::MAX` if the system does not report them.
pub fn total() -> u64 {
    match std::fs::read_to_string("/proc/meminfo") {
        Ok(text) => kib(&text, "MemTotal:") + kib(&text, "SwapTotal:"),
        Err(_) => u64::MAX,
    }
}

/// Reads a line of `/proc`, `VmRSS:  123 kB`, as bytes.
fn kib(text: &str, key: &str) -> u64 {
    let line = text.lines().find_map(|line| line.strip_prefix(key));
    let number = line.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok());
    number.map_or(0, |kib| kib << 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peak_outlives_what_made_it() {
        let before = used(Device::Cpu).expect("a CPU needs no libtorch").now;
        assert!(before > 1 << 20, "{before}");
        reset_peak(Device::Cpu).expect("a CPU needs no libtorch");
        let block = vec![1_u8; 64 << 20];
        assert_eq!(std::hint::black_box(&block).len(), 64 << 20);
        drop(block);
        let after = used(Device::Cpu).expect("a CPU needs no libtorch");
        assert!(after.peak >= before + (60 << 20), "{before} {after:?}");
        assert!(free(Device::Cpu).expect("a CPU needs no libtorch") > 1 << 20);
    }
}
