//! `r1flow tokens` with the real worker, on a model with a token for each character.

use std::path::PathBuf;

use super::support::{Sandbox, tiny_shape};

const CHARACTERS: &str = concat!(
    r#"[inputs]
data      = { samples = "data.jsonl" }
questions = { prompts = "questions.jsonl" }
[pretrain.base]
data              = ["inputs.data"]
chat-template     = "{% for m in messages %}[{{ m.role }}]{{ m.content }}\n{% endfor %}{% if add_generation_prompt %}<think>\n{% endif %}"
special-tokens    = ["<pad>", "<eos>", "<think>", "</think>", "[user]", "[assistant]"]
"#,
    tiny_shape!(),
    r#"steps             = 1
batch-size        = 1
[sft.taught]
model      = "base.model"
data       = ["inputs.data"]
steps      = 1
batch-size = 1
max-tokens = 12
[generate.drawn]
model   = "base.model"
prompts = ["inputs.questions"]
"#
);

/// Three rows, and a fourth that cannot be read.
const DATA: &str = r#"{"prompt": "1+1=?", "completion": "<think>\n1</think>2"}
{"messages": [{"role": "user", "content": "2?"}, {"role": "assistant", "content": "2"}, {"role": "user", "content": "3?"}, {"role": "assistant", "content": "3"}]}
{"prompt": "1+2=?", "completion": "3"}
"#;

fn sandbox() -> Sandbox {
    let sandbox = Sandbox::with_worker(PathBuf::from(env!("CARGO_BIN_EXE_r1flow-worker")));
    sandbox.write("flow.toml", CHARACTERS);
    sandbox.write("data.jsonl", DATA);
    sandbox.write("questions.jsonl", "{\"prompt\": \"1+1=?\", \"id\": \"first\", \"answer\": 2}\n");
    sandbox
}

#[test]
fn a_row_is_shown_as_the_model_sees_it() {
    let sandbox = sandbox();
    insta::assert_snapshot!(sandbox.run(&["tokens", "flow.toml", "taught"]), @r"
    exit code 2
    ── stderr
    error: `base.model` is not in the store as the workflow is now
    help: make it: `r1flow apply flow.toml --until base`
    ");
    sandbox.ok(&["apply", "flow.toml", "--until", "base"]);
    insta::assert_snapshot!(sandbox.run(&["tokens", "flow.toml"]), @r"
    exit code 2
    ── stderr
    error: several stages read rows: `taught`, `drawn`
    help: say which: `r1flow tokens flow.toml taught`
    ");
    insta::assert_snapshot!(sandbox.run(&["tokens", "flow.toml", "taught"]), @r"
    exit code 0
    ── stdout
    taught (sft), row 0 of `data`: 13 tokens, 4 in the loss, left out by `max-tokens` = 12
    the template opens the completion with `<think>⏎`
          [user]·1·+·1·=·?·⏎
          <think>·⏎
    loss  1·</think>·2·<eos>
    ");
    insta::assert_snapshot!(sandbox.run(&["tokens", "flow.toml", "taught", "--row", "1", "--set", "taught.learn=all"]), @r"
    exit code 0
    ── stdout
    taught (sft), row 1 of `data`: 8 tokens, 2 in the loss, within `max-tokens` = 12
    the template opens the completion with `<think>⏎`
          [user]·2·?·⏎
          <think>·⏎
    loss  2·<eos>
    taught (sft), row 1 of `data`: 15 tokens, 2 in the loss, left out by `max-tokens` = 12
    the template opens the completion with `<think>⏎`
          [user]·2·?·⏎
          [assistant]·2·⏎
          [user]·3·?·⏎
          <think>·⏎
    loss  3·<eos>
    ");
    insta::assert_snapshot!(sandbox.run(&["tokens", "flow.toml", "drawn", "--ids"]), @r"
    exit code 0
    ── stdout
    drawn (generate), prompt 0 (`first` of `inputs.questions`): 9 tokens, 0 in the loss
    the template opens the completion with `<think>⏎`
    at  id             token
    0   4     special  [user]
    1   8              1
    2   7              +
    3   8              1
    4   11             =
    5   12             ?
    6   6              ⏎
    7   2     special  <think>
    8   6              ⏎
    ");
    insta::assert_snapshot!(sandbox.run(&["tokens", "flow.toml", "taught", "--row", "7"]), @r"
    exit code 2
    ── stderr
    error: `taught`: there is no row 7: `data` has 3
    help: rows are counted from 0, so the last is 2
    ");
    insta::assert_snapshot!(sandbox.run(&["tokens", "flow.toml", "base"]), @r"
    exit code 2
    ── stderr
    error: `base` is a pretrain stage, which has no rows to show
    ");
    let json = sandbox.json(&["tokens", "flow.toml", "taught", "--row", "2"]);
    let tokens = json["row"]["sequences"][0]["tokens"].as_array().unwrap();
    let learnt: Vec<_> = tokens.iter().filter(|token| token["is-learnt"] == true).collect();
    assert_eq!((learnt.len(), &learnt[0]["text"], &learnt[1]["text"]), (2, &"3".into(), &"<eos>".into()), "{json}");
    assert_eq!((&learnt[1]["id"], &learnt[1]["is-special"]), (&1.into(), &true.into()));
    let colours = sandbox.ok(&["tokens", "flow.toml", "taught", "--row", "2", "--color", "always"]);
    assert!(colours.contains("\u{1b}[32m3\u{1b}[0m") && !colours.contains("\u{1b}[32m1"), "{colours:?}");
}

/// A model of one's own needs neither a store nor a run, and rows after the one that is shown are not read.
#[test]
fn a_look_at_inputs_needs_no_store() {
    let sandbox = sandbox();
    sandbox.ok(&["apply", "flow.toml", "--until", "base"]);
    sandbox.ok(&["export", "base.model", "mine"]);
    sandbox.write("data.jsonl", &format!("{DATA}this is no row\n"));
    sandbox.write(
        "other.toml",
        "[inputs]\nmine = { model = \"mine\" }\ndata = { samples = \"data.jsonl\" }\n[sft.only]\nmodel = \"inputs.mine\"\ndata = [\"inputs.data\"]\n",
    );
    let shown = sandbox.ok(&["tokens", "other.toml", "--row", "2", "--store", "nowhere"]);
    assert!(shown.contains("row 2 of `data`: 11 tokens, 2 in the loss, within `max-tokens` = 4096"), "{shown}");
    assert!(!sandbox.root().join("nowhere").exists());
    let refused = sandbox.run(&["tokens", "other.toml", "--row", "3", "--store", "nowhere"]);
    assert!(refused.code == Some(2) && refused.stderr.contains("line 4: not JSON"), "{refused}");
}
