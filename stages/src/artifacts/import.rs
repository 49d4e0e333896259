//! The import keys of an input, which describe how the rows of a user's own dataset are read. The worker describes them
//! to the engine (`r1flow-worker kinds`); the engine checks them in a workflow and passes them on as an input's
//! `import`.

use std::collections::BTreeMap;

use engine::limits::MIB;
use engine::stage::Input;
use schemars::JsonSchema;
use serde::de::Error as _;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Error;
use super::code_tests::TestsForm;
use super::options::Options;
use super::prefer::Prefer;
use super::select::Condition;
use super::transcript::Marks;
use crate::checks::Checker;
use crate::template_args::TemplateArgs;
use crate::verifiers::{Tolerance, Verify};

/// The import keys of an input; all are absent for a stage's output. `x-inputs` names the types that a key applies to.
#[derive(Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
pub struct Import {
    /// r1flow's field → your field, or several of yours, whose texts are joined by a space.
    #[schemars(extend("x-inputs" = ["prompts", "samples", "preferences"]))]
    pub(super) fields: Fields,
    /// The config of a folder to read, as its README.md names the files of each; without this key, the README is not
    /// read.
    #[schemars(extend("x-inputs" = ["prompts", "samples", "preferences"], "x-reads" = "README.md"))]
    pub(super) config: Option<String>,
    /// The split of a folder to read; needed only if there are several.
    #[schemars(extend("x-inputs" = ["prompts", "samples", "preferences"]))]
    pub(super) split: Option<String>,
    /// Most rows to read, after those that are skipped.
    #[schemars(extend("x-inputs" = ["prompts", "samples", "preferences"]))]
    pub(super) limit: Option<usize>,
    /// Number of rows to skip at the beginning.
    #[schemars(extend("x-inputs" = ["prompts", "samples", "preferences"]))]
    pub(super) skip: usize,
    /// Makes several rows of one: a row for each item of the lists in these fields, which have equally many items.
    #[schemars(extend("x-inputs" = ["prompts", "samples", "preferences"]))]
    pub(super) expand: Vec<String>,
    /// Reads only rows whose fields have these values: field → a value, a list of values, or two numbers for a range.
    #[schemars(extend("x-inputs" = ["prompts", "samples", "preferences"]))]
    pub(super) r#where: BTreeMap<String, Condition>,
    /// Reads only the rows of this part, such as `[0, 0.75]`: a hash of the prompt gives each row a place from 0 to 1,
    /// and a row is read from the first number on and below the second. The parts `[0, 0.75]` and `[0.75, 1]` of a file
    /// share no prompt. Of a conversation, the user's first turn counts.
    #[schemars(extend("x-inputs" = ["prompts", "samples", "preferences"]))]
    pub(super) part: Option<[f64; 2]>,
    /// A field; of the rows with the same value there, only the first is read.
    #[schemars(extend("x-inputs" = ["prompts", "samples", "preferences"]))]
    pub(super) unique: Option<String>,
    /// What happens with a row that cannot be read: `fail`, or `leave-out`, which counts it.
    #[schemars(extend("x-inputs" = ["prompts", "samples", "preferences"]))]
    pub(super) on_bad_row: OnBadRow,
    /// The marks before a user's turn and an assistant's, where a conversation is one text: `["\n\nHuman:",
    /// "\n\nAssistant:"]`.
    #[schemars(extend("x-inputs" = ["prompts", "samples", "preferences"]))]
    pub(super) turn_marks: Option<Marks>,
    /// Makes pairs of a row's completions, by a preference that is beside them: `{ by = "sign", of = "preference",
    /// between = ["response1", "response2"] }`, or `{ by = "rank", of = "rank", list = "answers", text = "answer" }`.
    #[schemars(extend("x-inputs" = ["preferences"]))]
    pub(super) prefer: Option<Prefer>,
    /// Most MiB of a row; 16 by default.
    #[schemars(range(min = 1, max = MIB), extend("x-role" = "neutral", "x-inputs" = ["prompts", "samples", "preferences"]))]
    pub(super) row_mib: Option<u64>,
    /// Most MiB of all rows, unpacked; by default 8192, or half of the machine's memory if that is less. Samples that
    /// are trained on are not kept in memory: 65536 by default.
    #[schemars(range(min = 1, max = MIB), extend("x-role" = "neutral", "x-inputs" = ["prompts", "samples", "preferences"]))]
    pub(super) total_mib: Option<u64>,
    /// The gold answer is the text after the last occurrence of this mark.
    #[schemars(extend("x-inputs" = ["prompts", "samples"]))]
    pub(super) answer_after: Option<String>,
    /// How answers are checked, or a table that says it for each word in the rows' field `verify`. Absent: by each
    /// row's own `verify`, else as numbers if there are gold answers.
    #[schemars(extend("x-inputs" = ["prompts"]))]
    pub(super) verify: Option<VerifyBy>,
    /// How far a number may be from the gold answer: `{ relative = 0.01 }`, `{ absolute = 0.5 }`, in the gold answer's
    /// unit, or `{ figures = 3 }`, significant ones. Absent: each row's own `tolerance`, else not at all.
    #[schemars(extend("x-inputs" = ["prompts"]))]
    pub(super) tolerance: Option<Tolerance>,
    /// The options of a question: a field with a list, a list of fields, or `{ right, wrong, seed }`, which shuffles
    /// them. They go below the question with letters, the answer becomes a letter, and `verify` is `choice`.
    #[schemars(extend("x-inputs" = ["prompts"]))]
    pub(super) options: Option<Options>,
    /// The form in which a data set publishes the tests of programming problems, or the rules of IFEval; with them,
    /// `verify` is `code` or `instructions`. `fields = { tests = … }` names the field where another one than the set's own has them.
    #[schemars(extend("x-inputs" = ["prompts"]))]
    pub(super) tests: Option<TestsForm>,
    /// How the output of a program that writes to its standard output is compared with the expected one: `tokens`,
    /// `lines`, `exact`, `{ float = 1e-4 }`, or `{ program = "…" }`, one in Python. Absent: as the tests say, else
    /// `tokens`.
    #[schemars(extend("x-inputs" = ["prompts"]))]
    pub(super) checker: Option<Checker>,
    /// The language that a thought should be in, for example `en`. Absent: each row's own `language`, else `en`.
    #[schemars(extend("x-inputs" = ["prompts"]))]
    pub(super) language: Option<String>,
    /// Values for the chat template's own variables in these rows, for example `{ enable_thinking = false }`; a stage's
    /// own are for rows that do not set them.
    #[schemars(extend("x-inputs" = ["prompts", "samples"]))]
    pub(super) template_args: TemplateArgs,
    /// A folder of LoRA adapters, as PEFT saves them, that are merged into the model when it is read. The tokenizer is
    /// the model's, unless the folder has its own.
    #[schemars(extend("x-path" = true, "x-inputs" = ["model"]))]
    pub(crate) adapter: Option<String>,
    /// Reads only these layers of the model, in this order; the first is 0. What a stage makes of it has as many layers,
    /// numbered from 0. Not together with `adapter`.
    #[schemars(length(min = 1), extend("x-inputs" = ["model"]))]
    pub(crate) layers: Option<Vec<usize>>,
    /// Accepts a model with weights that are infinite or NaN.
    #[schemars(extend("x-role" = "neutral", "x-inputs" = ["model", "reward-model"]))]
    pub(super) allow_non_finite: bool,
}

impl Import {
    pub(crate) fn of<A>(input: &Input<A>) -> Result<Self, Error> {
        let import = Self::deserialize(Value::Object(input.artifact.import.clone())).and_then(Self::checked);
        import.map_err(|source| Error::Import { input: input.name().to_owned(), source })
    }

    /// Refuses what a schema cannot.
    fn checked(self) -> Result<Self, serde_json::Error> {
        let wrong = |reason: &str| Err(serde_json::Error::custom(reason));
        if let Some([user, assistant]) = &self.turn_marks
            && (user.trim().is_empty()
                || assistant.trim().is_empty()
                || user.contains(assistant)
                || assistant.contains(user))
        {
            return wrong("`turn-marks` are two texts, neither of which contains the other");
        }
        if self.layers.is_some() && self.adapter.is_some() {
            return wrong(
                "`layers` and `adapter` do not go together; help: merge the adapters with PEFT (`merge_and_unload`, then \
                 `save_pretrained`), and name the merged model",
            );
        }
        if let Some([from, to]) = self.part
            && !(0.0 <= from && from < to && to <= 1.0)
        {
            return wrong(&format!(
                "`part` is [{from}, {to}]; help: name two numbers from 0 to 1, the smaller one first, such as `[0, 0.75]`"
            ));
        }
        if matches!(self.options, Some(Options::Shuffled(_))) && self.fields.has("answer") {
            return wrong("`options` names the right option already: leave `answer` out of `fields`");
        }
        Ok(self)
    }
}

/// What happens with a row that cannot be read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum OnBadRow {
    /// The stage fails, and names the first.
    #[default]
    Fail,
    /// It is left out.
    LeaveOut,
}

/// How answers are checked.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(untagged, expecting = "a verifier, or a table of words and verifiers")]
pub(super) enum VerifyBy {
    /// All rows alike.
    Always(Verify),
    /// By the word in a row's field `verify`.
    Word(BTreeMap<String, Verify>),
}

/// r1flow's fields.
#[derive(Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct Fields {
    /// What the model is asked: a text, or a list of turns.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-omit-default" = true))]
    prompt: Option<FieldNames>,
    /// What it answers, in samples and judgements with a `label`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-omit-default" = true))]
    completion: Option<FieldNames>,
    /// The thought before a completion that has none of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-omit-default" = true))]
    thought: Option<FieldNames>,
    /// The gold answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-omit-default" = true))]
    answer: Option<FieldNames>,
    /// What says how the answer is checked: see `verify`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-omit-default" = true))]
    verify: Option<FieldNames>,
    /// The system text of the conversation.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-omit-default" = true))]
    system: Option<FieldNames>,
    /// The language that a thought should be in.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-omit-default" = true))]
    language: Option<FieldNames>,
    /// The better of two completions.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-omit-default" = true))]
    chosen: Option<FieldNames>,
    /// The worse of two completions.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-omit-default" = true))]
    rejected: Option<FieldNames>,
    /// Whether a completion is acceptable: 0 or 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-omit-default" = true))]
    label: Option<FieldNames>,
    /// The tests of a programming problem: see `tests`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-omit-default" = true))]
    tests: Option<FieldNames>,
    /// A name of the row, for messages.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-omit-default" = true))]
    id: Option<FieldNames>,
    /// What the row is about: `helpful` or `harmless` for alignment.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-omit-default" = true))]
    task: Option<FieldNames>,
    /// Where the row is from.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-omit-default" = true))]
    source: Option<FieldNames>,
}

impl Fields {
    /// Returns the user's fields for ours of this name, if they are mapped.
    pub(super) fn get(&self, name: &str) -> Option<&FieldNames> {
        let field = match name {
            "prompt" => &self.prompt,
            "completion" => &self.completion,
            "thought" => &self.thought,
            "answer" => &self.answer,
            "verify" => &self.verify,
            "system" => &self.system,
            "language" => &self.language,
            "chosen" => &self.chosen,
            "rejected" => &self.rejected,
            "label" => &self.label,
            "tests" => &self.tests,
            "id" => &self.id,
            "task" => &self.task,
            "source" => &self.source,
            _ => return None,
        };
        field.as_ref()
    }

    /// Returns whether ours of this name is mapped.
    pub(super) fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }
}

/// One or several of the user's fields. The texts of several are joined by a space.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(untagged, expecting = "the name of a field, or a list of names")]
pub(super) enum FieldNames {
    One(String),
    Several(#[schemars(length(min = 1))] Vec<String>),
}

impl FieldNames {
    pub(super) fn iter(&self) -> impl Iterator<Item = &str> {
        let names = match self {
            Self::One(name) => std::slice::from_ref(name),
            Self::Several(names) => names,
        };
        names.iter().map(String::as_str)
    }
}
