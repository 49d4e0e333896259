//! Pools: the machine's resources that stages take while they run.
//!
//! `cores`, `memory-gib` and `gpus` are built in: a stage gets as many threads as cores, and GPUs of its own. Any other
//! pool is defined by the user, for example for a licence, and is only counted.

use std::collections::{BTreeMap, BTreeSet};

use crate::placement::{Device, Placement};
use crate::workflow::{StageDecl, Workflow};

pub use crate::placement::{CORES, GPUS, MEMORY, POOLS};

/// A stage needs more of a pool than there is.
#[derive(Debug, thiserror::Error)]
#[error("stage `{stage}` needs {needs} of the pool `{pool}`, which has {has}")]
pub struct TooMuch {
    /// The stage.
    pub stage: String,
    /// The pool.
    pub pool: String,
    /// What it needs.
    pub needs: u64,
    /// What there is.
    pub has: u64,
}

/// The free part of each pool.
#[derive(Debug)]
pub(crate) struct Pools {
    free: BTreeMap<String, u64>,
    /// Free GPUs by CUDA's names, in the order in which they are lent.
    gpus: BTreeSet<(usize, String)>,
}

/// What a running stage has taken from the pools.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Lent {
    needs: BTreeMap<String, u64>,
    pub(crate) gpus: Vec<(usize, String)>,
}

impl Lent {
    /// Returns the placement of a stage with this device.
    pub(crate) fn placement(&self, device: Device) -> Placement {
        Placement::alone(device, self.gpus.len())
    }

    pub(crate) fn threads(&self) -> usize {
        self.needs.get(CORES).map_or(1, |cores| usize::try_from(*cores).unwrap_or(usize::MAX)).max(1)
    }
}

impl Pools {
    /// Makes pools of the sizes in `total`, and one of the named GPUs.
    pub(crate) fn new(total: &BTreeMap<String, u64>, gpus: &[String]) -> Self {
        let mut free = total.clone();
        free.insert(GPUS.to_owned(), gpus.len() as u64);
        Self { free, gpus: gpus.iter().cloned().enumerate().collect() }
    }

    /// Fails if a stage could never start, because it needs more than a pool has.
    pub(crate) fn check(&self, workflow: &Workflow, threads: usize) -> Result<(), TooMuch> {
        for stage in workflow.graph.node_weights() {
            for (pool, needs) in needs(stage, threads) {
                let has = self.free.get(&pool).copied().unwrap_or(0);
                if needs > has {
                    return Err(TooMuch { stage: stage.name.to_string(), pool, needs, has });
                }
            }
        }
        Ok(())
    }

    /// Lends what a stage needs, if all of it is free.
    pub(crate) fn lend(&mut self, needs: &BTreeMap<String, u64>) -> Option<Lent> {
        let free = |pool: &String| self.free.get(pool).copied().unwrap_or(0);
        if needs.iter().any(|(pool, amount)| *amount > free(pool)) {
            return None;
        }
        for (pool, amount) in needs {
            *self.free.entry(pool.clone()).or_default() -= amount;
        }
        let gpus = (0..needs.get(GPUS).copied().unwrap_or(0)).filter_map(|_| self.gpus.pop_first()).collect();
        Some(Lent { needs: needs.clone(), gpus })
    }

    pub(crate) fn take_back(&mut self, lent: Lent) {
        for (pool, amount) in lent.needs {
            *self.free.entry(pool).or_default() += amount;
        }
        self.gpus.extend(lent.gpus);
    }
}

/// Returns what a stage takes of each pool: its own `needs`, else `threads` cores and, on `cuda`, one GPU.
pub fn needs(stage: &StageDecl, threads: usize) -> BTreeMap<String, u64> {
    let mut needs = stage.run.needs.clone();
    needs.entry(CORES.to_owned()).or_insert(threads as u64);
    if stage.device == Device::Cuda(None) {
        needs.entry(GPUS.to_owned()).or_insert(1);
    }
    needs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_lent_comes_back() {
        let total = BTreeMap::from([(CORES.to_owned(), 4), ("licence".to_owned(), 1)]);
        let gpus = ["3".to_owned(), "7".to_owned()];
        let mut pools = Pools::new(&total, &gpus);
        let needs = |pairs: &[(&str, u64)]| pairs.iter().map(|(name, n)| ((*name).to_owned(), *n)).collect();
        let first = pools.lend(&needs(&[(CORES, 3), (GPUS, 1)])).unwrap();
        assert_eq!((first.threads(), first.gpus[0].1.as_str()), (3, "3"));
        assert_eq!(pools.lend(&needs(&[(CORES, 2)])), None, "one core is left");
        assert_eq!(pools.lend(&needs(&[("unknown", 1)])), None);
        let second = pools.lend(&needs(&[(CORES, 1), (GPUS, 1), ("licence", 1)])).unwrap();
        assert_eq!(second.gpus[0].1, "7");
        assert_eq!(pools.lend(&needs(&[("licence", 1)])), None);
        pools.take_back(first);
        pools.take_back(second);
        assert_eq!(pools.lend(&needs(&[(CORES, 4), (GPUS, 2), ("licence", 1)])).unwrap().gpus.len(), 2);
    }
}
