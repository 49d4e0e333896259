//! Every kind on a GPU: the real worker on the simulated GPU (`stages/lm/simulated-gpu`), or on a real one.

use std::fs::Permissions;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::r1::{digests, kill_at_checkpoint, repository, sandbox};
use super::support::Sandbox;

/// Returns a sandbox that has a GPU; without one the worker refuses the device.
fn with_gpu() -> Sandbox {
    let mut sandbox = sandbox();
    sandbox.set("R1FLOW_TORCH_LIB", simulated_gpu::folder());
    sandbox.set("CUDA_VISIBLE_DEVICES", "0".into());
    sandbox
}

fn losses(sandbox: &Sandbox, stage: &str) -> Vec<f64> {
    let shown = sandbox.json(&["show", stage]);
    let steps = shown["curve"].as_array().unwrap();
    steps.iter().filter_map(|step| step["metrics"]["loss"].as_f64()).collect()
}

#[test]
fn every_kind_runs_there() {
    let workflow = repository().join("tests/workflows/r1/every-kind.toml").display().to_string();
    let (here, there) = (sandbox(), with_gpu());
    here.ok(&["apply", &workflow, "--until", "base"]);
    there.ok(&["apply", &workflow, "--device", "cuda:0"]);
    let (one, two) = (losses(&here, "base"), losses(&there, "base"));
    assert!(one.len() > 3 && one.len() == two.len(), "{one:?} {two:?}");
    for (one, two) in one.iter().zip(&two) {
        assert!((one - two).abs() < 1e-3 * one, "the GPU has {two}, the CPU {one}");
    }
    for stage in ["adapted", "bf16", "alignment-rl", "helpful", "teacher", "on-policy", "judged", "scores/base"] {
        assert_eq!(there.json(&["show", stage])["record"]["device"], "cuda:0", "{stage}");
    }
}

#[test]
fn killed_and_resumed_there_it_ends_as_if_nothing_had_happened() {
    let workflow = repository().join("tests/workflows/r1/every-kind.toml").display().to_string();
    let (unbroken, broken) = (with_gpu(), with_gpu());
    let select = ["--device", "cuda", "--until", "alignment-rl"];
    unbroken.ok(&[&["apply", &workflow], &select[..]].concat());
    for stage in ["base", "zero", "cold-start", "alignment-rl"] {
        kill_at_checkpoint(&broken, &workflow, stage, &select);
    }
    broken.ok(&[&["apply", &workflow], &select[..]].concat());
    assert_eq!(digests(&broken, &workflow, &select), digests(&unbroken, &workflow, &select));
}

#[test]
fn doctor_says_what_stages_will_find() {
    let found = |sandbox: &Sandbox| {
        let output = sandbox.run(&["doctor", "--json"]);
        serde_json::from_str::<serde_json::Value>(&output.stdout).unwrap()["cuda"].clone()
    };
    let there = found(&with_gpu());
    assert_eq!(there["ok"], true, "{there}");
    assert!(there["found"].as_str().unwrap().ends_with("libtorch_cuda.so, kernels compile"), "{there}");
    let mut elsewhere = sandbox();
    elsewhere.set("R1FLOW_TORCH_LIB", "nowhere".into());
    let absent = found(&elsewhere);
    assert_eq!(absent["ok"], false, "{absent}");
    assert!(absent["found"].as_str().unwrap().contains("`nowhere/libtorch_cuda.so` does not load"), "{absent}");
    assert!(absent["help"].as_str().unwrap().contains("scripts/libtorch"), "{absent}");
}

#[test]
fn compiled_kernels_are_kept() {
    if !simulated_gpu::is_simulated() {
        let _ = writeln!(std::io::stderr(), "skipped: a real GPU has its compiler");
        return;
    }
    let finds = |sandbox: &Sandbox, end: &str| {
        let output = sandbox.run(&["doctor"]);
        assert!(output.stdout.lines().any(|line| line.contains("cuda") && line.ends_with(end)), "{output}");
    };
    let mut sandbox = with_gpu();
    finds(&sandbox, "kernels compile");
    let kept = sandbox.root().join("cache/r1flow/kernels");
    let files: Vec<_> = fs_err::read_dir(&kept).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(files.len(), 1, "{files:?}");
    sandbox.set(simulated_gpu::LACKS_VARIABLE, "nvrtc".into());
    finds(&sandbox, "kernels compile");
    let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&kept), mode(kept.parent().unwrap()), mode(&files[0])), (0o700, 0o700, 0o600));
    // A kept kernel whose bytes have changed is not loaded.
    let whole = fs_err::read(&files[0]).unwrap();
    let flipped = |at: usize| {
        let mut bytes = whole.clone();
        bytes[at] ^= 1;
        bytes
    };
    let more = [&whole[..], b"x"].concat();
    for spoilt in [flipped(0), flipped(20), flipped(whole.len() - 1), whole[..whole.len() - 1].to_vec(), more, vec![]] {
        fs_err::write(&files[0], spoilt).unwrap();
        finds(&sandbox, "libtorch's are used");
    }
    fs_err::write(&files[0], &whole).unwrap();
    finds(&sandbox, "kernels compile");
    // Nor is one from a folder that others can write to, or one behind a link.
    fs_err::set_permissions(&kept, Permissions::from_mode(0o777)).unwrap();
    finds(&sandbox, "libtorch's are used");
    fs_err::set_permissions(&kept, Permissions::from_mode(0o700)).unwrap();
    let elsewhere = sandbox.root().join("elsewhere");
    fs_err::rename(&files[0], &elsewhere).unwrap();
    std::os::unix::fs::symlink(&elsewhere, &files[0]).unwrap();
    finds(&sandbox, "libtorch's are used");
}

#[test]
fn spoilt_kernels_are_compiled_again() {
    if !simulated_gpu::is_simulated() {
        let _ = writeln!(std::io::stderr(), "skipped: a real GPU has its compiler");
        return;
    }
    let sandbox = with_gpu();
    sandbox.ok(&["doctor"]);
    let kept = sandbox.root().join("cache/r1flow/kernels");
    let file = fs_err::read_dir(&kept).unwrap().next().unwrap().unwrap().path();
    let whole = fs_err::read(&file).unwrap();
    let mut spoilt = whole.clone();
    *spoilt.last_mut().unwrap() ^= 1;
    fs_err::write(&file, &spoilt).unwrap();
    sandbox.ok(&["doctor"]);
    assert!(fs_err::read(&file).unwrap() == whole);
    assert_eq!(fs_err::read_dir(&kept).unwrap().count(), 1);
}

/// The log says what the GPU lacks.
#[test]
fn an_old_gpu_does_without_graphs_and_kernels() {
    if !simulated_gpu::is_simulated() {
        let _ = writeln!(std::io::stderr(), "skipped: a real GPU has them");
        return;
    }
    let workflow = repository().join("tests/workflows/r1/every-kind.toml").display().to_string();
    let mut sandbox = with_gpu();
    sandbox.set(simulated_gpu::LACKS_VARIABLE, "flash,graphs,nvrtc".into());
    sandbox.ok(&["apply", &workflow, "--device", "cuda:0", "--until", "zero", "--until", "bf16"]);
    let told = |stage: &str, part: &str| {
        let log = sandbox.ok(&["log", stage]);
        assert!(log.contains(part), "{stage} does not say `{part}`: {log}");
    };
    told("zero", "steps are taken one kernel at a time");
    told("zero", "libtorch's kernels take the place of faster ones");
    told("bf16", "rows are padded for attention");
}
