//! Whether a folder's tensors are those that the configuration calls for, and whether the machine can hold them.

use std::collections::BTreeMap;

use tch::Device;

use super::shards::listing;
use super::{Error, Spec};
use crate::device::Options;
use crate::memory;

/// Drops what old checkpoints carry without need, and names every tensor that is missing, extra or misshapen.
pub(super) fn check_shapes(sizes: &mut BTreeMap<&str, &[i64]>, specs: &[Spec]) -> Result<(), Error> {
    let wanted: BTreeMap<&str, &[i64]> = specs.iter().map(|(name, shape)| (name.as_str(), shape.as_slice())).collect();
    // A tied head may be stored beside the embedding, and rotary tables used to be stored: both are derived.
    sizes.retain(|name, _| {
        wanted.contains_key(name) || !(*name == "lm_head.weight" || name.ends_with("rotary_emb.inv_freq"))
    });
    let mut faults = Vec::new();
    for (name, shape) in &wanted {
        match sizes.get(name) {
            None => faults.push(format!("`{name}` is missing")),
            Some(size) if size != shape => {
                faults.push(format!("`{name}` has shape {size:?}, expected {shape:?}"));
            }
            Some(_) => {}
        }
    }
    faults.extend(sizes.keys().filter(|name| !wanted.contains_key(**name)).map(|name| format!("`{name}` is unknown")));
    if faults.is_empty() {
        return Ok(());
    }
    Err(Error::Mismatch(listing(faults)))
}

/// Refuses what no order of loading could hold; a GPU refuses by itself.
pub(super) fn check_memory(specs: &[Spec], options: Options) -> Result<(), Error> {
    if options.device != Device::Cpu {
        return Ok(());
    }
    let numel = |shape: &[i64]| shape.iter().map(|size| size.unsigned_abs()).fold(1, u64::saturating_mul);
    let elements = specs.iter().map(|(_, shape)| numel(shape)).fold(0, u64::saturating_add);
    let needs = elements.saturating_mul(options.dtype.elt_size_in_bytes() as u64);
    let has = memory::total();
    if needs <= has {
        return Ok(());
    }
    Err(Error::TooLarge { needs: needs.div_ceil(1 << 30), has: has >> 30, kind: options.dtype })
}
