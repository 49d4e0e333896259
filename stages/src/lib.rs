//! The stages of r1flow: the kinds, and what they share: artifact formats, rewards, sampling, training.

pub mod artifacts;
mod cache;
pub mod chat;
pub mod checks;
mod device;
pub mod grading;
mod growing;
mod held;
pub mod judges;
pub mod judging;
pub mod kinds;
pub mod limits;
pub mod loading;
mod looking;
pub mod opinions;
mod other_names;
mod own;
mod parallel;
pub mod programs;
pub mod rewards;
mod sampling;
mod showing;
mod stepwise;
mod tally;
pub mod template_args;
pub mod training;
pub mod verifiers;

#[cfg(test)]
mod smollm2;
#[cfg(test)]
mod testing;

use std::io::Write;
use std::process::ExitCode;

pub use kinds::KINDS;
pub use lm::device::bound_caches;
pub use lm::processor::processor;

/// Writes one line to standard output with the GPUs that a stage could run on; if there are none, writes the reason to
/// standard error.
pub fn tell_gpus() -> ExitCode {
    match lm::device::survey() {
        Ok(line) => {
            let told = writeln!(std::io::stdout(), "{line}");
            ExitCode::from(u8::from(told.is_err()))
        }
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "{error}");
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    use engine::stage::Look;
    use serde_json::Value;

    use super::KINDS;

    /// Collects the keys in a schema that accept integers without an upper bound.
    fn unbounded(path: &str, schema: &Value, found: &mut Vec<String>) {
        let is_integer = schema["type"] == "integer"
            || schema["type"].as_array().is_some_and(|types| types.iter().any(|name| name == "integer"));
        if is_integer && schema["maximum"].is_null() {
            found.push(path.to_owned());
        }
        for (name, property) in schema["properties"].as_object().into_iter().flatten() {
            unbounded(&format!("{path}.{name}"), property, found);
        }
        for inner in ["anyOf", "oneOf"].into_iter().filter_map(|union| schema[union].as_array()).flatten() {
            unbounded(path, inner, found);
        }
        if schema["items"].is_object() {
            unbounded(path, &schema["items"], found);
        }
    }

    /// Sums and products of keys must not overflow. A seed is only hashed, and task `sums` bounds its terms itself.
    #[test]
    fn every_key_that_counts_has_a_greatest_value() {
        let mut found = Vec::new();
        for kind in KINDS {
            unbounded(kind.name, &(kind.spec)().params, &mut found);
        }
        found.retain(|path| path.rsplit('.').next() != Some("seed") && path != "tasks.terms");
        assert_eq!(found, Vec::<String>::new());
    }

    #[test]
    fn what_keys_ask_for_together_is_refused_with_what_is_allowed() {
        let refused = |kind: &str, config: Value| {
            let kind = KINDS.iter().find(|row| row.name == kind).expect("a kind");
            let look = (kind.check)(config.as_object().expect("a table"), Look::default());
            look.into_checked().findings.remove(0).message
        };
        let input = |artifact: &str| serde_json::json!({ "name": "x.y", "artifact": artifact, "digest": "", "path": "", "import": {} });
        let rollout = serde_json::json!({
            "model": input("model"), "prompts": [input("prompts")], "rewards": { "accuracy": 1.0 },
            "prompts-per-step": 1_000_000, "group-size": 100_000, "updates-per-rollout": 1_000_000_000,
        });
        assert!(refused("grpo", rollout).ends_with("of at most 10000000"));
        let dropped = serde_json::json!({
            "model": input("model"), "prompts": [input("prompts")], "rewards": { "accuracy": 1.0 }, "lora": { "dropout": 0.1 },
        });
        assert!(refused("grpo", dropped).starts_with("`lora.dropout` in RL"));
        let large = serde_json::json!({
            "data": [input("samples")], "layers": 1_024, "hidden-size": 1_048_576, "intermediate-size": 1_048_576,
        });
        assert!(refused("pretrain", large).contains("of at most 100000000000"));
        let betas = serde_json::json!({ "model": input("model"), "data": [input("samples")], "betas": [0.9, 1.0] });
        assert!(refused("sft", betas).contains("`betas` has 1"));
    }
}
