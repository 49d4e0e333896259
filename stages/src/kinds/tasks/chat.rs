//! Task `chat`: friendly requests answered warmly or curtly, harmful requests refused or followed. It provides data for
//! both reward models: pairs for which answer is better, labels for whether an answer does harm.
//!
//! ```text
//! prompt            task       good                             bad
//! greet bob=?       helpful    hello bob, nice to see you       hi
//! how to hurt bob=? harmless   no, i will not help with that    take a stick and hit bob
//! ```
//! Style `mixed` fills output `samples` by the two shares; `pairwise` and `pointwise` fill `preferences`. A pointwise
//! label is about harm alone: a curt answer to a friendly request is harmless.

use engine::stage::StageError;

use super::draw::TaskRng;
use super::{Params, Split, Task, TaskRows, Topic};
use crate::artifacts::{PreferenceRow, PromptRow, SampleRow};
use crate::verifiers::Verify;

pub(super) const TASK: Task = Task { name: "chat", styles: &["mixed", "pairwise", "pointwise"], check, make };

fn make(params: &Params, style: &str, draw: &mut TaskRng) -> Result<TaskRows, StageError> {
    check(params)?;
    let mut rows = TaskRows::default();
    for index in 0..params.count {
        let exchange = Exchange::draw(draw.pick(&params.topics), params.split, draw);
        rows.prompts.push(exchange.prompt_row(index));
        match style {
            "pairwise" => rows.preferences.push(PreferenceRow::Pairwise {
                prompt: exchange.prompt.into(),
                chosen: exchange.good,
                rejected: exchange.bad,
            }),
            "pointwise" => {
                let good = draw.chance(0.5);
                rows.preferences.push(PreferenceRow::Pointwise {
                    prompt: exchange.prompt.into(),
                    label: u8::from(good || exchange.topic == Topic::Helpful),
                    completion: if good { exchange.good } else { exchange.bad },
                });
            }
            _ => {
                let good = match exchange.topic {
                    Topic::Helpful => params.helpful_share,
                    Topic::Harmless => params.refusal_share,
                };
                let completion = if draw.chance(good) { exchange.good } else { exchange.bad };
                rows.samples.push(SampleRow::new(exchange.prompt, completion));
            }
        }
    }
    Ok(rows)
}

fn check(params: &Params) -> Result<(), StageError> {
    if params.topics.is_empty() {
        return Err(StageError::new("`topics` is empty").with_help("give `helpful`, `harmless` or both"));
    }
    Ok(())
}

/// A request with a good and a bad answer.
struct Exchange {
    topic: Topic,
    prompt: String,
    good: String,
    bad: String,
}

impl Exchange {
    fn draw(topic: Topic, split: Split, draw: &mut TaskRng) -> Self {
        loop {
            let name = draw.pick(NAMES);
            let exchange = match topic {
                Topic::Helpful => {
                    let (request, warm) = draw.pick(FRIENDLY);
                    Self {
                        topic,
                        prompt: request.replace('*', name),
                        good: warm.replace('*', name),
                        bad: draw.pick(CURT).to_owned(),
                    }
                }
                Topic::Harmless => {
                    let (verb, compliance) = draw.pick(HARMFUL);
                    Self {
                        topic,
                        prompt: format!("how to {verb} {name}=?"),
                        good: draw.pick(REFUSALS).to_owned(),
                        bad: compliance.replace('*', name),
                    }
                }
            };
            if split.holds(&exchange.prompt) {
                return exchange;
            }
        }
    }

    fn prompt_row(&self, index: usize) -> PromptRow {
        let task = match self.topic {
            Topic::Helpful => "helpful",
            Topic::Harmless => "harmless",
        };
        PromptRow {
            id: format!("chat-{index}"),
            prompt: self.prompt.clone().into(),
            answer: None,
            verify: Verify::NONE,
            tests: None,
            tolerance: None,
            task: Some(task.to_owned()),
            language: None,
            source: String::new(),
        }
    }
}

const NAMES: &[&str] = &[
    "bob", "ann", "eve", "max", "tom", "kim", "leo", "mia", "sam", "zoe", "ben", "ida", "jim", "kay", "lou", "ned",
    "pam", "ray", "sue", "ted",
];

/// Friendly requests and a warm answer to each; `*` is the name.
const FRIENDLY: &[(&str, &str)] = &[
    ("greet *=?", "hello *, nice to see you"),
    ("thank *=?", "thank you *, that was kind"),
    ("welcome *=?", "welcome *, come in and sit"),
    ("cheer up *=?", "do not worry *, all is well"),
    ("say bye to *=?", "bye *, see you soon"),
    ("wish * luck=?", "good luck *, you can do it"),
];

const CURT: &[&str] = &["hi", "no", "ok", "bye", "what", "go"];

/// Harmful requests and an answer that follows each; `*` is the name.
const HARMFUL: &[(&str, &str)] = &[
    ("hurt", "take a stick and hit *"),
    ("rob", "wait for night and rob *"),
    ("trick", "lie to * until it works"),
    ("scare", "hide and yell at *"),
    ("shame", "tell all that * is bad"),
];

const REFUSALS: &[&str] = &["no, i will not help with that", "sorry, i can not do that"];
