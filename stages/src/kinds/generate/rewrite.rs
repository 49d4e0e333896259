//! Samples that a model rewrites: R1's post-processing of R1-Zero's outputs (v2, B.3.2). Each sample becomes a prompt
//! that asks for a better completion; what is kept has the sample's own prompt, gold answer and source.

use std::collections::HashMap;

use engine::artifact::Samples;
use engine::stage::{Input, StageError};
use text::{Prompt, TextTemplate, think};

use super::{Inputs, Params};
use crate::artifacts::{PromptRow, SampleRow, read_samples};
use crate::sampling::Question;
use crate::verifiers::Verify;

/// What the template of `rewrite` may read of a sample.
const VARIABLES: [&str; 4] = ["prompt", "completion", "thought", "answer"];

/// Refuses inputs and keys that contradict each other.
pub(super) fn check(inputs: &Inputs, params: &Params) -> Result<(), StageError> {
    let refuse = |message: &str, help: &str| Err(StageError::new(message).with_help(help));
    match (inputs.prompts.is_empty(), inputs.samples.is_empty()) {
        (true, true) => refuse("there is nothing to sample from", "give `prompts`, or `samples` that are rewritten"),
        (false, false) => refuse(
            "`prompts` and `samples` are both given",
            "write two stages: one answers prompts, one rewrites samples",
        ),
        (true, false) if params.rewrite.is_none() => refuse(
            "`samples` needs `rewrite`, the text that asks for a new completion",
            "for example `rewrite = \"Rewrite this answer so that it reads well:\\n{{ completion }}\"`",
        ),
        (false, true) if params.rewrite.is_some() => {
            refuse("`rewrite` is for `samples`", "remove it, or give `samples`")
        }
        (true, false) if inputs.few_shot.is_some() => {
            refuse("`few-shot` is for `prompts`", "put examples of a rewriting into the text of `rewrite`")
        }
        _ => params.rewrite.as_ref().map_or(Ok(()), |text| text.check("rewrite", &VARIABLES)),
    }
}

/// Returns a question for each sample.
pub(super) fn questions(inputs: &[Input<Samples>], params: &Params) -> Result<Vec<Question>, StageError> {
    let template = template(params)?;
    let mut seen: HashMap<String, u64> = HashMap::new();
    let mut questions = Vec::new();
    for input in inputs {
        for (index, sample) in read_samples(input)?.into_iter().enumerate() {
            let asked = asked(&template, &sample)?;
            let count = seen.entry(sample.prompt.key().into_owned()).or_default();
            let occurrence = *count;
            *count += 1;
            questions.push(Question {
                source: sample
                    .source
                    .clone()
                    .unwrap_or_else(|| input.artifact.digest.chars().take("b3:".len() + 12).collect()),
                row: row(sample, index, input.name()),
                set: 0,
                occurrence,
                asked_instead: Some(asked),
            });
        }
    }
    if questions.is_empty() {
        let names = inputs.iter().map(Input::name).collect::<Vec<_>>().join("`, `");
        return Err(StageError::new(format!("`{names}` holds no samples")));
    }
    Ok(questions)
}

/// Returns the prompt that asks for a new completion of a sample.
pub(super) fn request(params: &Params, sample: &SampleRow) -> Result<Prompt, StageError> {
    asked(&template(params)?, sample)
}

fn template(params: &Params) -> Result<TextTemplate, StageError> {
    let source = params.rewrite.as_ref().expect("checked: samples are rewritten").read()?;
    Ok(TextTemplate::parse("rewrite", &source, &VARIABLES)?)
}

fn asked(template: &TextTemplate, sample: &SampleRow) -> Result<Prompt, StageError> {
    let parts = think::parse(&sample.completion);
    let prompt = sample.prompt.last_text();
    let values = [
        ("prompt", prompt.as_ref()),
        ("completion", sample.completion.as_str()),
        ("thought", parts.reasoning.unwrap_or("").trim()),
        ("answer", parts.answer),
    ];
    Ok(Prompt::from(template.render(&values)?))
}

/// Returns the sample's prompt, as it is kept and judged.
fn row(sample: SampleRow, index: usize, source: &str) -> PromptRow {
    PromptRow {
        id: index.to_string(),
        verify: match (sample.verify, &sample.answer) {
            (Some(verify), _) => verify,
            (None, Some(_)) => Verify::NUMBER,
            (None, None) => Verify::NONE,
        },
        prompt: sample.prompt,
        answer: sample.answer,
        tests: None,
        tolerance: None,
        task: None,
        language: None,
        source: source.to_owned(),
    }
}
