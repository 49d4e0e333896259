//! Whether names of other programs lead to keys of ours, and to what the pages say.

use std::collections::BTreeSet;

use serde_json::Value;

use super::*;
use crate::kinds::KINDS;

fn keys(schema: &Value, found: &mut BTreeSet<String>) {
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        found.insert(name.clone());
        keys(property, found);
    }
}

fn ours() -> BTreeSet<String> {
    let mut ours = BTreeSet::new();
    for kind in KINDS {
        let spec = (kind.spec)();
        keys(&spec.inputs, &mut ours);
        keys(&spec.params, &mut ours);
    }
    ours
}

#[test]
fn every_name_leads_to_a_key_and_is_none_itself() {
    let ours = ours();
    for (name, key) in OTHER_NAMES {
        assert!(ours.contains(*key), "{name}: there is no key `{key}`");
        assert!(!ours.contains(*name), "`{name}` is a key");
    }
    assert!(OTHER_NAMES.is_sorted_by_key(|(name, _)| name), "in alphabetical order");
    assert!(OTHER_WAYS.is_sorted_by_key(|(name, _)| name), "in alphabetical order");
}

/// Returns the texts in backticks.
fn code(cell: &str) -> impl Iterator<Item = &str> {
    cell.split('`').skip(1).step_by(2)
}

/// Returns the rows of a page's tables: the other program's names, and the column of ours.
fn rows(page: &str) -> Vec<(Vec<String>, String)> {
    let lines = page.lines().filter(|line| line.starts_with("| `"));
    let row = |line: &str| {
        let cells: Vec<&str> = line.trim_matches('|').split(" | ").collect();
        // `actor.optim.lr` is `lr` in its table; of `loss_type = "grpo"` only the name counts.
        let name = |name: &str| name.split([' ', '=']).next().unwrap_or("").trim_end_matches(".*").to_owned();
        let name = |full: &str| name(full).rsplit('.').next().unwrap_or("").to_owned();
        (code(cells[0]).map(name).collect(), cells[2].to_owned())
    };
    lines.map(row).collect()
}

#[test]
fn a_way_that_begins_with_a_key_of_a_name_says_how_it_differs() {
    let begins = |way: &str, key: &str| way.starts_with(&format!("`{key}`")) || way.starts_with(&format!("`{key} = "));
    // These count or are of another type there, so that a bare "is" would be wrong.
    for (name, key) in [
        ("adam_beta1", "betas"),
        ("bf16", "dtype"),
        ("clip_ratio", "clip-low"),
        ("epsilon", "clip-low"),
        ("lora_alpha", "lora"),
        ("lora_r", "lora"),
        ("num_train_epochs", "steps"),
        ("per_device_train_batch_size", "batch-size"),
        ("per_device_train_batch_size", "prompts-per-step"),
        ("ppo_micro_batch_size_per_gpu", "micro-batch-tokens"),
        ("reward_funcs", "rewards"),
        ("custom_reward_function", "rewards"),
        ("total_epochs", "steps"),
        ("use_kl_loss", "kl"),
        ("warmup_ratio", "warmup-steps"),
    ] {
        assert!(OTHER_NAMES.contains(&(name, key)), "{name}");
        let way = OTHER_WAYS.iter().find(|(other, way)| *other == name && begins(way, key));
        assert!(way.is_some(), "{name}: {key}");
    }
}

#[test]
fn every_name_of_the_pages_gets_the_help_of_the_pages() {
    let ours = ours();
    let docs = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs");
    let mut count = 0;
    for page in ["from-trl.md", "from-verl.md"] {
        for (names, here) in rows(&fs_err::read_to_string(docs.join(page)).unwrap()) {
            // A pattern, a word of a loss, or a function, and no name of a key.
            let is_name =
                |name: &&String| !name.contains(['*', '"', '-']) && !name.is_empty() && *name != "get_peft_model";
            let is_known = |name: &String| OTHER_NAMES.iter().any(|(other, _)| other == name);
            // Of a row with several names, `a` × `b`, one leads to the key that the page names.
            let of_row = OTHER_NAMES.iter().filter(|(other, _)| names.iter().any(|name| name == other));
            let keys: Vec<&str> = of_row.map(|(_, key)| *key).collect();
            let ours_first: Vec<&str> = code(&here).flat_map(|code| code.split([' ', ',', '.'])).collect();
            for name in names.iter().filter(is_name) {
                count += 1;
                let is_ours = ours.contains(&name.replace('_', "-"));
                let way = OTHER_WAYS.iter().find(|(other, _)| other == name).map(|(_, way)| *way);
                let has_help = is_ours || is_known(name) || way.is_some();
                assert!(has_help, "{page}: `{name}` gets no help");
                if !is_ours && ours_first.first().is_some_and(|first| ours.contains(*first)) {
                    let is_said = way.is_some_and(|way| ours_first.iter().any(|key| way.contains(key)));
                    let is_named = ours_first.iter().any(|key| keys.contains(key));
                    assert!(is_named || is_said, "{page}: `{name}` is {here}, not {keys:?} {way:?}");
                }
            }
        }
    }
    assert!(count > 120, "{count} names");
}
