//! Real input: `word-problems.toml` on JSONL in the shapes of GSM8K, SVAMP and MAWPS. Models are exported as Hugging
//! Face folders and read again.

use std::io::Write;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::support::Sandbox;

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn sandbox() -> Sandbox {
    Sandbox::with_worker(PathBuf::from(env!("CARGO_BIN_EXE_r1flow-worker")))
}

fn cut() -> String {
    repository().join("tests/workflows/word-problems/cut.toml").display().to_string()
}

/// Returns the kept and filtered counts of a `generate` stage.
fn summary(sandbox: &Sandbox, stage: &str) -> Value {
    sandbox.json(&["show", stage])["record"]["summary"].clone()
}

#[test]
fn all_five_steps_run_and_a_model_goes_out_and_in_again() {
    let sandbox = sandbox();
    sandbox.ok(&["apply", &cut()]);
    let kept = summary(&sandbox, "reasoning-data");
    assert!(kept["completions"].as_u64() > Some(0) && kept["gold-unparsed"] == 0, "{kept}");
    let thoughts = sandbox.ok(&["show", "zero.rollouts", "--rows", "1"]);
    assert!(thoughts.contains("\"reward\""), "{thoughts}");

    sandbox.ok(&["export", "alignment-rl.model", "mine"]);
    for file in
        ["config.json", "generation_config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"]
    {
        assert!(sandbox.root().join("mine").join(file).exists(), "{file}");
    }
    let again = sandbox.run(&["export", "alignment-rl.model", "mine"]);
    assert!(again.code == Some(2) && again.stderr.contains("already exists"), "{again}");
    let whole = sandbox.run(&["export", "alignment-rl", "other"]);
    assert!(whole.code == Some(2) && whole.stderr.contains("`alignment-rl.model`"), "{whole}");

    let text = "[inputs]\nmine = { model = \"mine\" }\n[tasks.sums]\ncount = 4\n[sft.taught]\nmodel = \"inputs.mine\"\n\
                data = [\"sums.samples\"]\nsteps = 1\n";
    sandbox.write("mine.toml", text);
    sandbox.ok(&["apply", "mine.toml"]);
    let config = |path: &Path| -> Value { serde_json::from_slice(&fs_err::read(path).unwrap()).unwrap() };
    sandbox.ok(&["export", "taught.model", "taught"]);
    let (given, taught) = (sandbox.root().join("mine/config.json"), sandbox.root().join("taught/config.json"));
    assert_eq!(config(&given), config(&taught), "training keeps the configuration");
}

#[test]
fn the_authors_own_files_are_read() {
    let data = repository().join("../shared/data");
    if !data.exists() {
        let _ = writeln!(std::io::stderr(), "skipped: there is no {}", data.display());
        return;
    }
    let path = |file: &str| data.join(file).display().to_string();
    let sets = [
        format!("inputs.gsm8k-text={{ samples = {:?}, limit = 20, skip = 7000 }}", path("gsm8k-train.jsonl")),
        format!("inputs.gsm8k-thoughts.samples={}", path("gsm8k-train.jsonl")),
        format!("inputs.gsm8k-train.prompts={}", path("gsm8k-train.jsonl")),
        format!("inputs.gsm8k-test.prompts={}", path("gsm8k-test.jsonl")),
        format!("inputs.svamp-train.prompts={}", path("svamp.jsonl")),
        format!("inputs.svamp-test={{ prompts = {:?}, skip = 900 }}", path("svamp.jsonl")),
        format!("inputs.mawps.prompts={}", path("mawps-singleop.jsonl")),
    ];
    let sandbox = sandbox();
    let cut = cut();
    let mut arguments = vec!["apply", &cut];
    arguments.extend(sets.iter().flat_map(|set| ["--set", set]));
    sandbox.ok(&arguments);
    for stage in ["zero-outputs", "reasoning-data"] {
        let mut show = vec!["show", stage, "--workflow", &cut];
        show.extend(sets.iter().flat_map(|set| ["--set", set]));
        assert_eq!(sandbox.json(&show)["record"]["summary"]["gold-unparsed"], 0, "{stage}");
    }
}
