//! What determines the last bits of a result on a CPU: its widest instruction sets, which of them libtorch uses, and
//! the environment variables that choose kernels.
//!
//! Two machines with the same text here use the same kernels. Otherwise sums may have another order, and the last bits
//! may differ.

use crate::shim;

/// Environment variables that make MKL, oneDNN and libtorch choose other kernels.
const CHOICES: [&str; 3] = ["MKL_CBWR", "ONEDNN_MAX_CPU_ISA", "ATEN_CPU_CAPABILITY"];

/// Returns a description of the processor, for example `x86_64 AVX512 AMX, libtorch AVX512, MKL_CBWR=AVX2`.
pub fn processor() -> String {
    let set = |name: &str| std::env::var(name).ok().map(|value| format!(", {name}={value}"));
    let choices: String = CHOICES.iter().filter_map(|name| set(name)).collect();
    let libtorch = shim::torch::cpu_capability();
    format!("{} {}, libtorch {libtorch}{choices}", std::env::consts::ARCH, instruction_sets()).replace(" ,", ",")
}

#[cfg(target_arch = "x86_64")]
fn instruction_sets() -> String {
    use std::arch::is_x86_feature_detected as has;
    let has_amx = has!("avx512f") && {
        let leaf = std::arch::x86_64::__cpuid_count(7, 0);
        leaf.edx >> 24 & 1 == 1
    };
    let sets = [
        ("AVX512", has!("avx512f") && has!("avx512vl") && has!("avx512bw") && has!("avx512dq")),
        ("AVX2", has!("avx2") && has!("fma")),
        ("baseline", true),
    ];
    // The widest set includes the others.
    let widest = sets.iter().find(|(_, has)| *has).map_or("baseline", |(name, _)| name);
    let extensions =
        [("VNNI", has!("avx512vnni")), ("BF16", has!("avx512bf16")), ("FP16", has!("avx512fp16")), ("AMX", has_amx)];
    extensions.iter().filter(|(_, has)| *has).fold(widest.to_owned(), |text, (name, _)| format!("{text} {name}"))
}

#[cfg(not(target_arch = "x86_64"))]
fn instruction_sets() -> String {
    String::new()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_processor_is_named_with_what_libtorch_makes_of_it() {
        let text = processor();
        assert!(text.starts_with(std::env::consts::ARCH), "{text}");
        let (_, libtorch) = text.split_once(", libtorch ").unwrap();
        assert!(libtorch.starts_with(|letter: char| letter.is_ascii_uppercase()), "{text}");
    }
}
