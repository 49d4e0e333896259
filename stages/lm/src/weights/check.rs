//! Checks that a folder's tensors are those of the configuration, and that they fit into the machine's memory.

use std::collections::BTreeMap;

use tch::Device;

use super::shards::listing;
use super::{Error, Spec};
use crate::device::Options;
use crate::memory;

/// Drops superfluous tensors of old checkpoints, and returns an error that names tensors that are missing, unknown or
/// of the wrong shape.
pub(super) fn check_shapes(sizes: &mut BTreeMap<String, &[i64]>, specs: &[Spec]) -> Result<(), Error> {
    let wanted: BTreeMap<&str, &[i64]> = specs.iter().map(|(name, shape)| (name.as_str(), shape.as_slice())).collect();
    // Old checkpoints may store a tied head beside the embedding, or rotary tables. Neither is needed.
    sizes.retain(|name, _| {
        wanted.contains_key(name.as_str()) || !(name == "lm_head.weight" || name.ends_with("rotary_emb.inv_freq"))
    });
    let mut faults = Vec::new();
    for (name, shape) in &wanted {
        match sizes.get(*name) {
            None => faults.push(format!("`{name}` is missing")),
            Some(size) if size != shape => {
                faults.push(format!("`{name}` has shape {size:?}, expected {shape:?}"));
            }
            Some(_) => {}
        }
    }
    faults.extend(
        sizes.keys().filter(|name| !wanted.contains_key(name.as_str())).map(|name| format!("`{name}` is unknown")),
    );
    if faults.is_empty() {
        return Ok(());
    }
    Err(Error::Mismatch(listing(faults)))
}

/// Refuses weights that are larger than the machine's memory and swap. On a GPU, the allocation fails by itself.
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
