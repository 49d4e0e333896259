//! The fields of a data set's first rows, and which of ours each probably is.

use std::io::{BufRead, BufReader};
use std::path::Path;

use serde_json::{Map, Value};

/// What the rows of a data set look like.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Columns {
    /// Rows of the set.
    pub(crate) rows: usize,
    /// Their fields for a prompt, a completion and a gold answer, where a name says so.
    prompt: Option<String>,
    completion: Option<String>,
    answer: Option<String>,
    /// The field with the options of a question of multiple choice.
    options: Option<String>,
    /// What the gold answer is behind, in a worked solution.
    mark: Option<&'static str>,
}

/// Names under which data sets have each of our fields, the commonest first.
const PROMPT: [&str; 8] =
    ["prompt", "question", "problem", "instruction", "query", "messages", "conversations", "input"];
const COMPLETION: [&str; 6] = ["completion", "response", "output", "solution", "answer", "generation"];
const ANSWER: [&str; 8] = ["answer", "answerKey", "answer_key", "final_answer", "target", "gold", "label", "solution"];
const OPTIONS: [&str; 2] = ["choices", "options"];

/// The mark of GSM8K and of sets like it.
const MARK: &str = "####";

/// Reads the first row of a file of JSON lines, and counts its rows; `None` for any other file.
pub(crate) fn columns(path: &Path) -> Option<Columns> {
    if path.extension().is_none_or(|end| end != "jsonl" && end != "json") {
        return None;
    }
    let mut lines = BufReader::new(outside::open(path).ok()?).lines();
    let first: Map<String, Value> = serde_json::from_str(&lines.next()?.ok()?).ok()?;
    let rows = 1 + lines.map_while(Result::ok).filter(|line| !line.trim().is_empty()).count();
    Some(of_row(&first, rows))
}

fn of_row(row: &Map<String, Value>, rows: usize) -> Columns {
    let find = |names: &[&str]| names.iter().find(|name| row.contains_key(**name)).map(|name| (*name).to_owned());
    let answer = find(&ANSWER);
    let text = answer.as_ref().and_then(|answer| row[answer].as_str());
    let mark = text.filter(|text| text.contains(MARK)).map(|_| MARK);
    let options = OPTIONS.iter().find(|name| row.get(**name).is_some_and(is_list)).map(|name| (*name).to_owned());
    Columns { rows, prompt: find(&PROMPT), completion: find(&COMPLETION), answer, options, mark }
}

/// Returns whether a value lists options: texts, or a table with the list `text`, as ARC has it.
fn is_list(value: &Value) -> bool {
    value.is_array() || value["text"].is_array()
}

impl Columns {
    /// Returns the import keys by which rows are read as samples, or as prompts.
    pub(crate) fn keys(&self, is_samples: bool) -> Vec<String> {
        let ours = if is_samples { ("completion", &self.completion) } else { ("answer", &self.answer) };
        // A conversation has the completion, too, and is found under its usual names.
        let is_chat = self.prompt.as_deref().is_some_and(|name| name == "messages" || name == "conversations");
        let pairs = [("prompt", &self.prompt), ours].into_iter().filter(|_| !is_chat);
        let named = pairs.filter_map(|(ours, theirs)| theirs.as_deref().map(|theirs| (ours, theirs)));
        let fields: Vec<String> = named
            .filter(|(ours, theirs)| ours != theirs)
            .map(|(ours, theirs)| format!("{ours} = \"{theirs}\""))
            .collect();
        let fields = (!fields.is_empty()).then(|| format!("fields = {{ {} }}", fields.join(", ")));
        let mut keys: Vec<String> = fields.into_iter().collect();
        keys.extend(self.mark.map(|mark| format!("answer-after = \"{mark}\"")));
        // The options go below the question, and its answer becomes a letter.
        if let Some(options) = self.options.as_ref().filter(|_| !is_samples) {
            keys.push(format!("options = \"{options}\", verify = \"choice\""));
        }
        keys
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn fields_are_mapped_by_their_usual_names() {
        let keys = |row: Value, is_samples: bool| of_row(row.as_object().unwrap(), 1).keys(is_samples).join(", ");
        let gsm8k = json!({ "question": "1+1?", "answer": "It is 2.\n#### 2" });
        assert_eq!(keys(gsm8k.clone(), false), "fields = { prompt = \"question\" }, answer-after = \"####\"");
        let learnt = "fields = { prompt = \"question\", completion = \"answer\" }, answer-after = \"####\"";
        assert_eq!(keys(gsm8k, true), learnt);
        let mawps = json!({ "input": "1+1?", "target": 2 });
        assert_eq!(keys(mawps, false), "fields = { prompt = \"input\", answer = \"target\" }");
        let mmlu = json!({ "question": "1+1?", "choices": ["1", "2"], "answer": 1 });
        let asked = "fields = { prompt = \"question\" }, options = \"choices\", verify = \"choice\"";
        assert_eq!(keys(mmlu, false), asked);
        let arc = json!({ "question": "?", "choices": { "text": ["a"], "label": ["A"] }, "answerKey": "A" });
        let asked =
            "fields = { prompt = \"question\", answer = \"answerKey\" }, options = \"choices\", verify = \"choice\"";
        assert_eq!(keys(arc, false), asked);
        assert_eq!(keys(json!({ "prompt": "a", "answer": "b", "options": "c" }), false), "", "no list");
        assert_eq!(keys(json!({ "prompt": "a", "answer": "b", "completion": "c" }), true), "");
        assert_eq!(keys(json!({ "messages": [], "answer": "b" }), true), "");
    }

    #[test]
    fn only_json_lines_are_read() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = dir.path().join(name);
            fs_err::write(&path, text).unwrap();
            columns(&path)
        };
        assert_eq!(write("a.jsonl", "{\"prompt\": \"a\"}\n{\"prompt\": \"b\"}\n\n").unwrap().rows, 2);
        assert_eq!(write("a.parquet", "{\"prompt\": \"a\"}\n"), None);
        assert_eq!(write("b.jsonl", "[1]\n"), None);
        assert_eq!(columns(&dir.path().join("none.jsonl")), None);
    }
}
