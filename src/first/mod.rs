//! The first workflow of a project, as `r1flow init` writes it: from a model and data to SFT, GRPO and evaluations.

mod columns;

use std::fmt::Write;

pub(crate) use columns::{Columns, columns};

/// What the user has: each a path or an id of the hub, as workflows write them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wishes {
    /// The workflow's name.
    pub(crate) name: String,
    pub(crate) model: String,
    /// Whether the model is known to have no chat template.
    pub(crate) is_base: bool,
    /// Prompts with gold answers.
    pub(crate) prompts: Option<Set>,
    /// Samples to learn from.
    pub(crate) samples: Option<Set>,
}

/// A data set.
#[derive(Clone, Debug)]
pub(crate) struct Set {
    pub(crate) path: String,
    /// What its first rows look like, if they could be read.
    pub(crate) columns: Option<Columns>,
}

/// What a model is asked for that was not trained for the form.
const SYSTEM: &str =
    "Think step by step between <think> and </think>, then give only the final answer between <answer> and </answer>.";

/// Most prompts that are kept for evaluation.
const TEST: usize = 200;

/// Most samples that are held out.
const HELD_OUT: usize = 100;

/// Returns the text of a workflow.
pub(crate) fn draft(wishes: &Wishes, file: &str) -> String {
    let (has_prompts, has_samples) = (wishes.prompts.is_some(), wishes.samples.is_some());
    let what = match (has_samples, has_prompts) {
        (true, true) => "SFT, then GRPO from its model, with evaluations before and after",
        (true, false) => "SFT with held-out samples",
        (false, _) => "GRPO, with evaluations before and after",
    };
    let mut text = format!(
        "# {what}.\n# Written by `r1flow init`: every value is a start, and `r1flow kinds KIND` explains it.\n#\n\
         #     r1flow check {file}    mistakes, also in data and model\n\
         #     r1flow plan {file}     what would run\n\
         #     r1flow apply {file}    run it; run it again after an edit\n\
         name = {}\n\n[inputs]\nbase = {{ model = {} }}\n",
        quoted(&wishes.name),
        quoted(&wishes.model)
    );
    if let Some(set) = &wishes.samples {
        let held_out = share(set, HELD_OUT);
        // Of one file for both, no row that is evaluated is learnt.
        let is_shared = wishes.prompts.as_ref().is_some_and(|prompts| prompts.path == set.path);
        let skipped = if is_shared { share(set, TEST).max(held_out) } else { held_out };
        input(&mut text, "text", "samples", set, &format!("skip = {skipped}"));
        input(&mut text, "held-out", "samples", set, &format!("limit = {held_out}"));
    }
    if let Some(set) = &wishes.prompts {
        let test = share(set, TEST);
        input(&mut text, "train", "prompts", set, &format!("skip = {test}"));
        input(&mut text, "test", "prompts", set, &format!("limit = {test}"));
    }
    if has_prompts {
        defaults(&mut text, wishes);
    }
    if has_samples {
        text.push_str(
            "\n[sft.taught]\nmodel      = \"inputs.base\"\ndata       = [\"inputs.text\"]\neval-data  = [\"inputs.held-out\"]\n\
             epochs     = 2\nbatch-size = 16\nlr         = 2e-5\n",
        );
    }
    if has_prompts {
        let from = if has_samples { "taught.model" } else { "inputs.base" };
        let after = if has_samples { "\"taught\", \"reasoner\"" } else { "\"reasoner\"" };
        let _ = write!(
            text,
            "\n[grpo.reasoner]\nmodel            = \"{from}\"\nprompts          = [\"inputs.train\"]\n\
             rewards          = {{ accuracy = 1.0, format = 0.2 }}\nsteps            = 100    # raise it later: training goes on\n\
             prompts-per-step = 8\ngroup-size       = 8\nlr               = 1e-6\n\n\
             [eval.scores]\neach    = [\"inputs.base\", {after}]\nmodel   = \"each.model\"\nprompts = {{ test = \"inputs.test\" }}\n",
        );
    }
    text
}

fn defaults(text: &mut String, wishes: &Wishes) {
    let (why, key) = if wishes.is_base {
        let why = "The model has no chat template. R1-Zero's asks for a thought and an answer in tags";
        (why, "chat-template = \"r1-zero\"".to_owned())
    } else {
        let why = "A right answer has a thought and an answer in tags, and this asks for them";
        (why, format!("system = {}", quoted(SYSTEM)))
    };
    let _ = write!(text, "\n[defaults]\n# {why}; `form = \"any\"` takes any form.\n");
    if wishes.samples.is_some() {
        let _ = writeln!(text, "sft  = {{ {key} }}");
    }
    let _ = writeln!(text, "grpo = {{ {key}, max-tokens = 1024 }}");
    let _ = writeln!(text, "eval = {{ {key}, max-tokens = 1024, completions = 1 }}");
}

fn input(text: &mut String, name: &str, kind: &str, set: &Set, part: &str) {
    let mut keys = vec![format!("{kind} = {}", quoted(&set.path))];
    if let Some(columns) = &set.columns {
        keys.extend(columns.keys(kind == "samples"));
    }
    let _ = writeln!(text, "{name} = {{ {}, {part} }}", keys.join(", "));
}

/// Returns how many rows are held out: `most`, or a fifth of a small set.
fn share(set: &Set, most: usize) -> usize {
    set.columns.as_ref().map_or(most, |columns| (columns.rows / 5).clamp(1, most))
}

/// Returns a text in quotes, as TOML and JSON have them.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_workflow_has_the_stages_that_the_data_allow() {
        let set = |path: &str| Some(Set { path: path.to_owned(), columns: None });
        let wishes = Wishes { name: "w".to_owned(), model: "m".to_owned(), ..Wishes::default() };
        let stages = |wishes: &Wishes| -> Vec<String> {
            let text = draft(wishes, "w.toml");
            text.lines().filter(|line| line.starts_with('[')).map(str::to_owned).collect()
        };
        let both = Wishes { prompts: set("p.jsonl"), samples: set("s.jsonl"), ..wishes.clone() };
        assert_eq!(stages(&both), ["[inputs]", "[defaults]", "[sft.taught]", "[grpo.reasoner]", "[eval.scores]"]);
        assert!(draft(&both, "w.toml").contains("model            = \"taught.model\""));
        let one = Wishes { prompts: set("s.jsonl"), ..both };
        let text = draft(&one, "w.toml");
        assert!(text.contains("text = { samples = \"s.jsonl\", skip = 200 }"), "{text}");
        let samples = Wishes { samples: set("s.jsonl"), ..wishes.clone() };
        assert_eq!(stages(&samples), ["[inputs]", "[sft.taught]"]);
        let base = Wishes { prompts: set("p \"q\".jsonl"), is_base: true, ..wishes };
        assert_eq!(stages(&base), ["[inputs]", "[defaults]", "[grpo.reasoner]", "[eval.scores]"]);
        let text = draft(&base, "w.toml");
        assert!(
            text.contains("r1-zero") && text.contains(r#"train = { prompts = "p \"q\".jsonl", skip = 200 }"#),
            "{text}"
        );
    }
}
