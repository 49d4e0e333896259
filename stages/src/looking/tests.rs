//! Each mistake in a small model or data set, and what is said of it before a stage runs.

use std::path::Path;

use engine::diagnostic::Severity;
use engine::stage::{Look, Stage, kind};
use engine::worker::check::{Checked, Finding};
use serde_json::{Value, json};

use super::*;
use crate::kinds::{eval::Eval, grpo::Grpo, reward_model, sft::Sft};
use crate::testing::{artifact, tiny_model, tiny_reward_model};

/// A folder with a model and data sets of one row for each text.
struct Files(tempfile::TempDir);

impl Files {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        tiny_model(&dir.path().join("model"));
        Self(dir)
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.0.path().join(name)
    }

    fn prompts(&self, rows: &[Value]) -> Value {
        self.rows::<engine::artifact::Prompts>("p", rows, json!({}))
    }

    fn rows<A: engine::artifact::Artifact>(&self, name: &str, rows: &[Value], import: Value) -> Value {
        let path = self.path(&format!("{name}.jsonl"));
        fs_err::write(&path, rows.iter().flat_map(|row| [row.to_string(), "\n".to_owned()]).collect::<String>())
            .unwrap();
        json!(artifact::<A>(&format!("inputs.{name}"), &path, import))
    }

    fn model(&self) -> Value {
        json!(artifact::<ModelMarker>("inputs.m", &self.path("model"), json!({})))
    }
}

/// Returns what is found about a stage with these keys, and the kind's defaults for the others.
fn look<S: Stage>(keys: Value) -> Checked {
    (kind::<S>().check)(keys.as_object().unwrap(), Look::default()).into_checked()
}

/// Expects one finding, and returns its message.
fn only<S: Stage>(severity: Severity, about: Option<&str>, keys: Value) -> String {
    let found = look::<S>(keys).findings;
    let [Finding { severity: bad, about: place, message, .. }] = found.as_slice() else { panic!("{found:#?}") };
    assert_eq!((*bad, place.as_deref()), (severity, about), "{message}");
    message.clone()
}

fn policy(files: &Files, prompts: Value, more: Value) -> Value {
    let mut keys = json!({
        "model": files.model(), "prompts": [prompts], "rewards": { "accuracy": 1.0 }, "form": "any", "max-tokens": 8,
    });
    keys.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    keys
}

const SUM: fn() -> Value = || json!({ "prompt": "1+1=?", "answer": "2" });

#[test]
fn what_is_right_gives_nothing_but_the_memory() {
    let files = Files::new();
    let found = look::<Grpo>(policy(&files, files.prompts(&[SUM()]), json!({})));
    assert_eq!(found.findings, []);
    let samples = files.rows::<Samples>("s", &[json!({ "prompt": "1+1=?", "completion": "2" })], json!({}));
    let keys = |more: Value| {
        let mut keys = json!({ "model": files.model(), "data": [samples.clone()] });
        keys.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        keys
    };
    let bytes = |more: Value| look::<Sft>(keys(more)).memory.unwrap().bytes;
    // The program itself is most of it.
    assert!((64 << 20..4 << 30).contains(&bytes(json!({}))), "{}", bytes(json!({})));
    assert_eq!(look::<Sft>(keys(json!({}))).findings, []);
}

#[test]
fn a_data_set_is_read_with_the_stage_s_eyes() {
    let files = Files::new();
    let eval = |prompts: Value| json!({ "model": files.model(), "prompts": { "p": prompts }, "max-tokens": 8 });
    let cases: [(&[Value], Severity, &str); 5] = [
        (&[json!({ "question": "1+1=?", "answer": "2" })], Severity::Error, "no field `prompt`; there are"),
        (&[], Severity::Error, "`inputs.p` holds no prompts"),
        (&[json!({ "prompt": "漢", "answer": "2" })], Severity::Error, "prompt `0` of `inputs.p`"),
        (
            &[SUM(), json!({ "prompt": "a?", "answer": "2 +" })],
            Severity::Warning,
            "1 of the first 2 gold answers of `inputs.p` do not parse as `number`: `2 +`",
        ),
        (
            &[SUM(), json!({ "prompt": "1".repeat(300), "answer": "2" })],
            Severity::Warning,
            "1 of the first 2 prompts of `inputs.p` is longer than the model's 256 positions",
        ),
    ];
    for (rows, severity, expected) in cases {
        let message = only::<Eval>(severity, Some("inputs.p"), eval(files.prompts(rows)));
        assert!(message.contains(expected), "{expected}: {message}");
    }
}

#[test]
fn of_a_large_set_the_first_rows_are_read() {
    let files = Files::new();
    let mut rows = vec![json!({ "prompt": "1+1=?", "completion": "2" }); 1_000];
    rows.push(json!({ "broken": true }));
    let samples = files.rows::<Samples>("s", &rows, json!({}));
    assert_eq!(look::<Sft>(json!({ "model": files.model(), "data": [samples] })).findings, []);
    rows.swap(1, 1_000);
    let samples = files.rows::<Samples>("s", &rows, json!({}));
    let message = only::<Sft>(Severity::Error, Some("inputs.s"), json!({ "model": files.model(), "data": [samples] }));
    assert!(message.contains("line 2: no field `prompt`") && message.contains("1 of 1000 rows"), "{message}");
}

#[test]
fn too_few_exemplars_are_told() {
    let files = Files::new();
    let rows: Vec<_> = (0..3).map(|n| json!({ "prompt": format!("{n}+1=?"), "completion": "2" })).collect();
    let shots = files.rows::<Samples>("s", &rows, json!({}));
    let keys =
        |count: u64| policy(&files, files.prompts(&[SUM()]), json!({ "few-shot": shots.clone(), "shots": count }));
    assert_eq!(look::<Grpo>(keys(2)).findings, []);
    let message = only::<Grpo>(Severity::Error, Some("inputs.s"), keys(3));
    assert_eq!(message, "`inputs.s` has 3 samples, too few for 3 shots");
}

#[test]
fn rows_that_do_not_fit_are_counted() {
    let files = Files::new();
    let rows = [3, 100, 400].map(|length| json!({ "prompt": "1+1=?", "completion": "1".repeat(length) }));
    let samples = files.rows::<Samples>("s", &rows, json!({}));
    let keys = |most: u64| json!({ "model": files.model(), "data": [samples.clone()], "max-tokens": most });
    let message = |most: u64| only::<Sft>(Severity::Warning, Some("inputs.s"), keys(most));
    assert_eq!(message(50), "2 of the first 3 rows of `inputs.s` are longer than `max-tokens` = 50");
    assert_eq!(message(500), "1 of the first 3 rows of `inputs.s` is longer than the model's 256 positions");
}

#[test]
fn a_model_is_refused_before_its_weights_are_read() {
    let files = Files::new();
    let prompts = files.prompts(&[SUM()]);
    let refused = || only::<Grpo>(Severity::Error, Some("inputs.m"), policy(&files, prompts.clone(), json!({})));
    let config = files.path("model/config.json");
    let text = fs_err::read_to_string(&config).unwrap();
    fs_err::write(&config, text.replace("\"qwen2\"", "\"gemma2\"")).unwrap();
    assert!(refused().starts_with("model_type `gemma2` is not supported"), "{}", refused());
    fs_err::write(&config, text.replace("\"hidden_size\": 16", "\"hidden_size\": 32")).unwrap();
    assert!(refused().starts_with("the weights do not fit `config.json`"), "{}", refused());
    fs_err::write(&config, &text).unwrap();
    for (name, expected) in [("model.safetensors", "has no `model.safetensors`"), ("tokenizer.json", "tokenizer.json")]
    {
        let (path, away) = (files.path("model").join(name), files.path("away"));
        fs_err::rename(&path, &away).unwrap();
        assert!(refused().contains(expected), "{}", refused());
        fs_err::rename(&away, &path).unwrap();
    }
    let message = only::<Grpo>(
        Severity::Error,
        None,
        policy(&files, prompts.clone(), json!({ "lora": { "targets": ["qproj"] } })),
    );
    assert!(message.starts_with("`lora.targets` names `qproj`"), "{message}");
}

#[test]
fn layers_of_a_model_are_looked_at_before_its_weights_are_read() {
    let files = Files::new();
    let found = |import: Value| {
        let mut keys = policy(&files, files.prompts(&[SUM()]), json!({}));
        keys["model"]["import"] = import;
        keys
    };
    assert_eq!(look::<Grpo>(found(json!({ "layers": [0] }))).findings, []);
    for (import, expected) in [
        (json!({ "layers": [9] }), "`inputs.m`: `layers` names layer 9, and the model has 1"),
        (
            json!({ "layers": [0], "adapter": "somewhere" }),
            "the import keys of `inputs.m` are not understood: `layers` and",
        ),
    ] {
        let message = only::<Grpo>(Severity::Error, Some("inputs.m"), found(import));
        assert!(message.starts_with(expected), "{message}");
    }
}

#[test]
fn a_policy_hears_of_limits_and_of_forms_that_no_prompt_asks_for() {
    let files = Files::new();
    let only = |more: Value| {
        let keys = policy(&files, files.prompts(&[SUM()]), more);
        only::<Grpo>(Severity::Warning, None, keys)
    };
    assert_eq!(only(json!({ "max-tokens": 300 })), "`max-tokens` is 300, and `inputs.m` has 256 positions");
    let message = only(json!({ "form": "tags" }));
    assert!(message.starts_with("a right answer is one in the form `<think>"), "{message}");
    let boxed = only(json!({ "form": "boxed" }));
    assert!(boxed.contains("boxed"), "{boxed}");
    let asked = json!({ "form": "tags", "prompt-template": "<think></think><answer></answer>{{ prompt }}" });
    assert_eq!(look::<Grpo>(policy(&files, files.prompts(&[SUM()]), asked)).findings, []);
    // Another reward than these does not want a form.
    let unformed = json!({ "form": "tags", "rewards": { "repetition": 1.0 } });
    assert_eq!(look::<Grpo>(policy(&files, files.prompts(&[SUM()]), unformed)).findings, []);
}

#[test]
fn a_model_that_another_stage_will_make_is_seen_as_the_input_that_it_will_be_like() {
    let files = Files::new();
    let mut keys = policy(&files, files.prompts(&[SUM()]), json!({ "form": "tags", "max-tokens": 300 }));
    keys["model"]["name"] = json!("sft.model");
    // It may have learnt the form, but it has no more positions.
    assert_eq!(
        only::<Grpo>(Severity::Warning, None, keys.clone()),
        "`max-tokens` is 300, and `sft.model` has 256 positions"
    );
    // What is wrong with the input, the other stage says; and of what is not there yet, nothing.
    let files = Files::new();
    keys["model"]["path"] = json!(files.path("model"));
    fs_err::rename(files.path("model/tokenizer.json"), files.path("away")).unwrap();
    assert_eq!(look::<Grpo>(keys.clone()).findings, []);
    keys["model"]["path"] = json!("");
    keys["prompts"][0]["path"] = json!("");
    assert_eq!(look::<Grpo>(keys).findings, []);
}

#[test]
fn reward_models_and_their_judgements_are_looked_at() {
    let files = Files::new();
    let judgements =
        files.rows::<engine::artifact::Preferences>("j", &[json!({ "prompt": "a", "best": "b" })], json!({}));
    let keys = json!({ "model": files.model(), "data": [judgements] });
    let message = only::<reward_model::RewardModel>(Severity::Error, Some("inputs.j"), keys);
    assert!(message.contains("(1 of 1 rows cannot be read)"), "{message}");
    let dir = files.path("judge");
    tiny_reward_model(&dir);
    let judge = |dir: &Path| json!(artifact::<RewardModel>("inputs.r", dir, json!({})));
    let keys = |dir: &Path| {
        policy(&files, files.prompts(&[SUM()]), json!({ "rewards": { "helpful": { "model": judge(dir) } } }))
    };
    assert_eq!(look::<Grpo>(keys(&dir)).findings, []);
    let message = only::<Grpo>(Severity::Error, Some("inputs.r"), keys(&files.path("model")));
    assert!(message.contains("score.weight"), "{message}");
}

#[test]
fn prompts_without_anything_to_compare_with_are_told_of_an_evaluation() {
    let files = Files::new();
    let keys =
        |row: Value| json!({ "model": files.model(), "prompts": { "a": files.prompts(&[row]) }, "max-tokens": 8 });
    let told = only::<Eval>(Severity::Note, Some("inputs.p"), keys(json!({ "prompt": "1+1=?" })));
    assert!(told.starts_with("none of the first 1 prompt of `inputs.p` has a gold answer or tests"), "{told}");
    assert_eq!(look::<Eval>(keys(SUM())).findings, []);
}

#[test]
fn a_broken_configuration_and_a_pointer_of_git_lfs_are_one_mistake_each_with_a_cure() {
    let files = Files::new();
    let about = |files: &Files| {
        let found = look::<Grpo>(policy(files, files.prompts(&[SUM()]), json!({}))).findings;
        let [Finding { message, help, .. }] = found.as_slice() else { panic!("{found:#?}") };
        (message.clone(), help.clone().unwrap_or_default())
    };
    fs_err::write(files.path("model/config.json"), "{").unwrap();
    assert!(about(&files).0.contains("config.json` is no valid JSON"), "{:?}", about(&files));
    let files = Files::new();
    let pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 5\n";
    fs_err::write(files.path("model/model.safetensors"), pointer).unwrap();
    let (message, help) = about(&files);
    assert!(message.ends_with("model.safetensors` is a pointer of Git LFS, not the file itself"), "{message}");
    assert!(help.contains("`git lfs pull`"), "{help}");
}

#[test]
fn help_that_a_library_gives_is_help() {
    let files = Files::new();
    fs_err::write(files.path("model/tokenizer_config.json"), "{}").unwrap();
    let found = look::<Grpo>(policy(&files, files.prompts(&[SUM()]), json!({}))).findings;
    let [Finding { message, help: Some(help), .. }] = found.as_slice() else { panic!("{found:#?}") };
    assert!(message.ends_with("names no `eos_token`, nor does special_tokens_map.json"), "{message}");
    assert!(help.contains("`end-token`"), "{help}");
}

#[test]
fn a_form_is_asked_for_in_its_own_words() {
    let files = Files::new();
    let of = |form: &str| {
        let keys = policy(&files, files.prompts(&[SUM()]), json!({ "form": form, "rewards": { "format": 1.0 } }));
        let found = look::<Grpo>(keys).findings;
        let one = found.iter().find(|finding| finding.message.contains("no prompt asks for it")).unwrap();
        (one.message.clone(), one.help.clone().unwrap())
    };
    let (message, help) = of("boxed");
    assert!(message.starts_with("a right answer is one in `\\boxed{…}`"), "{message}");
    assert!(help.contains(r"Put the answer in \boxed{}.") && !help.contains("r1-zero"), "{help}");
    assert!(of("tags").1.contains("r1-zero"));
}
