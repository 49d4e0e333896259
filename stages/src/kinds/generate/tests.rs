//! Runs the kind on an untrained model: what is kept and counted, and that a stop changes nothing.

use engine::artifact as mark;
use serde_json::{Map, Value, json};
use tempfile::TempDir;

use super::*;
use crate::artifacts::{PromptRow, SampleRow, write_prompts};
use crate::sampling::sample_seed;
use crate::testing::{Attempt, graded, message, reference, tiny_model, well};
use crate::verifiers::Verify;

struct Scratch(TempDir);

impl Scratch {
    /// A folder with a model and 40 prompts, 20 of them distinct.
    fn new() -> Self {
        let place = tempfile::tempdir().unwrap();
        tiny_model(&place.path().join("model"));
        let prompts: Vec<_> = (0..40)
            .map(|index| PromptRow {
                id: index.to_string(),
                prompt: format!("{}+1=?", index % 20).into(),
                answer: Some((index % 20 + 1).to_string()),
                verify: Verify::NUMBER,
                tests: None,
                tolerance: None,
                task: None,
                language: None,
                source: String::new(),
            })
            .collect();
        write_prompts(&place.path().join("prompts"), &prompts).unwrap();
        let exemplars: Vec<_> = (0..4).map(|index| SampleRow::new(format!("{index}+2=?"), "3")).collect();
        write_samples(&place.path().join("exemplars"), &exemplars).unwrap();
        Self(place)
    }

    /// The keys of the stage, with `more` added.
    fn config(&self, more: Value) -> Value {
        let at = |name: &str| self.0.path().join(name);
        let mut config = json!({
            "model": reference::<mark::Model>("base.model", &at("model")),
            "prompts": [reference::<mark::Prompts>("sums.prompts", &at("prompts"))],
            "completions": 2, "max-tokens": 24, "batch-size": 4, "seed": 3,
        });
        config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        config
    }

    fn attempt(&self, name: &str, more: Value) -> Attempt {
        Attempt::new::<Generate>(&self.0.path().join(name), &self.config(more), None)
    }
}

fn done(outcome: Outcome) -> Map<String, Value> {
    match outcome {
        Outcome::Done(summary) => summary,
        Outcome::Stopped(step) => panic!("stopped at {step}"),
    }
}

#[test]
fn completions_go_through_the_filters_in_order() {
    let place = Scratch::new();
    let attempt = place.attempt("a", json!({ "keep": ["readable", "unique"] }));
    let summary = done(well(attempt.run::<Generate>()));
    assert_eq!((&summary["prompts"], &summary["completions"]), (&json!(40), &json!(80)));
    let filters = summary["filters"].as_array().unwrap();
    let names: Vec<_> = filters.iter().map(|filter| filter["filter"].as_str().unwrap()).collect();
    assert_eq!(names, ["finished", "readable", "unique"]);
    for pair in filters.windows(2) {
        assert_eq!(pair[0]["out"], pair[1]["in"]);
    }
    assert_eq!(filters[2]["out"], summary["kept"]);

    let samples: Vec<SampleRow> =
        attempt.output("samples/samples.jsonl").lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(json!(samples.len()), summary["kept"]);
    assert!(samples.len() > 10, "an untrained model ends about a third of its completions: {summary:?}");
    for sample in &samples {
        let first: i64 = sample.prompt.key().strip_suffix("+1=?").unwrap().parse().unwrap();
        assert_eq!(sample.answer, Some((first + 1).to_string()), "{sample:?}");
        assert!(sample.source.as_ref().is_some_and(|source| source.starts_with("b3:") && source.len() == 15));
        assert!(!sample.completion.contains("<eos>") && sample.grade.as_ref().unwrap().tokens <= 24);
    }
    // Two equal prompts have different draws.
    let distinct: std::collections::BTreeSet<_> =
        samples.iter().map(|sample| (sample.prompt.key(), &sample.completion)).collect();
    assert_eq!(distinct.len(), samples.len());
}

#[test]
fn bf16_where_they_are_asked_for() {
    let place = Scratch::new();
    let attempt = place.attempt("a", json!({ "dtype": "bfloat16", "completions": 1, "keep": [] }));
    done(well(attempt.run::<Generate>()));
    let lines = attempt.output("samples/samples.jsonl");
    let samples: Vec<SampleRow> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(!samples.is_empty());
    let dir = place.0.path().join("model");
    let options = lm::Options { dtype: lm::Kind::BFloat16, ..lm::Options::default() };
    let (model, chat) = (lm::Model::load(&dir, &options).unwrap(), text::Chat::load(&dir).unwrap());
    let sampling = Sampling { max_tokens: 24, stop: vec![chat.eos], ..Sampling::default() };
    for sample in &samples {
        // The second of two equal prompts has the next draw; either of the two may have been kept.
        let draws = [0, 1].map(|index| {
            let seed = sample_seed(3, 0, &sample.prompt.key(), index);
            let request = lm::generate::Request { prompt: chat.prompt_ids(&sample.prompt).unwrap(), seed };
            let drawn = lm::generate::generate(&model, &[request], &sampling, 1, &mut |_, _| {}).unwrap();
            chat.completion_text(&drawn[0].ids)
        });
        assert!(draws.contains(&sample.completion), "{sample:?} is none of {draws:?}");
    }
}

#[test]
fn only_what_is_not_known_is_sampled() {
    let place = Scratch::new();
    let first = place.attempt("first", json!({ "keep": ["unique"] }));
    done(well(first.run::<Generate>()));
    let (folders, rows) = first.rows();
    assert_eq!(rows, 80);
    let again = |name: &str, more: Value| {
        let config = place.config(more.clone());
        let again = Attempt::with_rows::<Generate>(&place.0.path().join(name), &config, None, folders.clone());
        let summary = done(well(again.run::<Generate>()));
        let anew = place.attempt(&format!("{name}-anew"), more);
        assert_eq!(done(well(anew.run::<Generate>())), summary, "{name}");
        assert_eq!(again.output("samples/samples.jsonl"), anew.output("samples/samples.jsonl"), "{name}");
        again.rows().1
    };
    assert_eq!(again("filters", json!({ "keep": ["readable"], "per-prompt-limit": 1 })), 0);
    assert_eq!(again("more-of-each", json!({ "completions": 3 })), 40, "each of two equal prompts has one more");
    assert_eq!(again("hotter", json!({ "temperature": 1.5 })), 80);
    assert_eq!(again("seed", json!({ "seed": 4 })), 80);
    // Two prompts are new, one is removed, and the others are in another order.
    let rows =
        ["50+1=?", "51+1=?"].map(str::to_owned).into_iter().chain((0..39).rev().map(|n| format!("{}+1=?", n % 20)));
    let rows = rows.enumerate().map(|(id, prompt)| PromptRow {
        id: id.to_string(),
        prompt: prompt.into(),
        answer: None,
        verify: Verify::NONE,
        tests: None,
        tolerance: None,
        task: None,
        language: None,
        source: String::new(),
    });
    write_prompts(&place.0.path().join("prompts"), &rows.collect::<Vec<_>>()).unwrap();
    assert_eq!(again("prompts", json!({})), 4);
}

#[test]
fn a_stopped_attempt_continues_to_the_same_bytes() {
    let place = Scratch::new();
    for (name, more) in
        [("plain", json!({ "keep": ["unique"], "per-prompt-limit": 1 })), ("limited", json!({ "limit": 20 }))]
    {
        let whole = place.attempt(&format!("{name}-whole"), more.clone());
        let summary = done(well(whole.run::<Generate>()));

        let first = place.attempt(&format!("{name}-first"), more.clone());
        assert_eq!(
            first.run_stopped::<Generate>().step,
            2,
            "what has begun is sampled to its end: one batch of four, two completions a prompt"
        );
        let (folders, rows) = first.rows();
        assert_eq!(rows, 4);
        let second_dir = place.0.path().join(format!("{name}-second"));
        let second = Attempt::with_rows::<Generate>(&second_dir, &place.config(more), None, folders);
        assert_eq!(done(well(second.run::<Generate>())), summary);
        assert_eq!(second.output("samples/samples.jsonl"), whole.output("samples/samples.jsonl"));
    }
}

#[test]
fn a_limit_keeps_exactly_so_many_and_counts_no_more() {
    let place = Scratch::new();
    let all = place.attempt("all", json!({}));
    done(well(all.run::<Generate>()));
    let some = place.attempt("some", json!({ "limit": 5 }));
    let summary = done(well(some.run::<Generate>()));
    assert_eq!(summary["kept"], json!(5));
    let all = all.output("samples/samples.jsonl");
    assert_eq!(
        some.output("samples/samples.jsonl").lines().collect::<Vec<_>>(),
        all.lines().take(5).collect::<Vec<_>>()
    );
    let other_batch = place.attempt("batch", json!({ "limit": 5, "batch-size": 16 }));
    assert_eq!(done(well(other_batch.run::<Generate>())), summary, "the batch size is no part of the result");
}

#[test]
fn few_shot_samples_have_the_bare_prompt() {
    let place = Scratch::new();
    let exemplars = reference::<mark::Samples>("exemplars.samples", &place.0.path().join("exemplars"));
    let bare = place.attempt("bare", json!({}));
    let shown = place.attempt("shown", json!({ "few-shot": exemplars, "shots": 2 }));
    done(well(bare.run::<Generate>()));
    done(well(shown.run::<Generate>()));
    let shown = shown.output("samples/samples.jsonl");
    assert_ne!(bare.output("samples/samples.jsonl"), shown, "the exemplars are read");
    assert!(!shown.is_empty() && !shown.contains("+2=?"), "{shown}");

    let few = place.attempt("few", json!({ "few-shot": exemplars, "shots": 4 }));
    assert_eq!(message(few.run::<Generate>()), "`exemplars.samples` has 4 samples, too few for 4 shots");
}

#[test]
fn what_looks_wrong_is_said() {
    let place = Scratch::new();
    let attempt = place.attempt("a", json!({ "max-tokens": 1, "keep": ["correct"], "limit": 3 }));
    assert_eq!(done(well(attempt.run::<Generate>()))["kept"], json!(0));
    assert_eq!(
        attempt.warnings(),
        ["no completion passed every filter: the summary shows how many each filter dropped"]
    );
    assert_eq!(attempt.output("samples/samples.jsonl"), "");
    for (more, expected) in [
        (json!({ "keep": ["short-enough"] }), "the filter `short-enough` and the key `keep-tokens` need each other"),
        (json!({ "keep-tokens": 3 }), "the filter `short-enough` and the key `keep-tokens` need each other"),
        (json!({ "keep": ["unique", "unique"] }), "the filter `unique` is listed twice"),
        (json!({ "limit": 0 }), "a limit of 0 keeps nothing"),
    ] {
        assert_eq!(message(place.attempt("b", more).run::<Generate>()), expected);
    }
}

#[test]
fn each_filter_tells_good_from_bad() {
    let question = |verify, answer: &str| Question {
        row: PromptRow {
            id: "0".to_owned(),
            prompt: "3+4=?".into(),
            answer: Some(answer.to_owned()),
            verify,
            tests: None,
            tolerance: None,
            task: None,
            language: None,
            source: String::new(),
        },
        source: String::new(),
        set: 0,
        occurrence: 0,
        asked_instead: None,
    };
    let params = Params { keep_tokens: Some(50), ..Params::default() };
    let good = "<think>3+4=7</think><answer>7</answer>";
    let long = format!("<think>{}</think><answer>7</answer>", "so on. ".repeat(40));
    for (keep, verify, answer, completion, expected) in [
        (Keep::Correct, Verify::NUMBER, "7", good, true),
        (Keep::Correct, Verify::NUMBER, "8", good, false),
        (Keep::Correct, Verify::NONE, "7", good, false),
        (Keep::Correct, Verify::EXACT, "7", "7", true),
        (Keep::Format, Verify::NUMBER, "7", good, true),
        (Keep::Format, Verify::NUMBER, "7", "7", false),
        (Keep::Format, Verify::EXACT, "7", "7", true),
        (Keep::Format, Verify::EXACT, "7", good, false),
        (Keep::OneLanguage, Verify::NUMBER, "7", good, true),
        (Keep::OneLanguage, Verify::NUMBER, "7", "<think>3+4得7</think><answer>7</answer>", false),
        (Keep::OneLanguage, Verify::EXACT, "chien", "chien", true),
        (Keep::Readable, Verify::NUMBER, "7", good, true),
        (Keep::Readable, Verify::NUMBER, "7", long.as_str(), false),
        (Keep::ShortEnough, Verify::NUMBER, "7", good, true),
        (Keep::ShortEnough, Verify::NUMBER, "7", long.as_str(), false),
    ] {
        let question = question(verify, answer);
        let drawn = Drawn { text: completion.to_owned(), finished: true, num_tokens: completion.len() };
        let candidate = Candidate::of((drawn, graded(&question.row, completion)));
        let passes = keep.passes(&question, &candidate, &params, true);
        assert_eq!(passes, expected, "{} of {completion}", keep.name());
    }
}

#[test]
fn prompts_without_room_are_counted_and_left_out() {
    let place = Scratch::new();
    let row = |id: &str, prompt: String| PromptRow {
        id: id.to_owned(),
        prompt: prompt.into(),
        answer: Some("2".to_owned()),
        verify: Verify::NUMBER,
        tests: None,
        tolerance: None,
        task: None,
        language: None,
        source: String::new(),
    };
    let rows = [row("long", "1+".repeat(200)), row("short", "1+1=?".to_owned())];
    write_prompts(&place.0.path().join("prompts"), &rows).unwrap();
    let attempt = place.attempt("a", json!({ "completions": 2 }));
    let summary = done(well(attempt.run::<Generate>()));
    let counts = ["prompts", "prompts-too-long", "completions"].map(|count| summary[count].as_u64().unwrap());
    assert_eq!(counts, [2, 1, 2]);
    assert!(attempt.warnings().iter().any(|warning| warning.starts_with("1 of 2 prompts")), "{:?}", attempt.warnings());
}

/// A template that only repeats the question asks what the question itself asks, so the draws are the same.
#[test]
fn samples_are_rewritten_and_keep_what_they_come_with() {
    let place = Scratch::new();
    let rows: Vec<SampleRow> = (0..20)
        .map(|index| SampleRow {
            answer: Some((index + 1).to_string()),
            source: Some("b3:0123456789ab".to_owned()),
            ..SampleRow::new(format!("{index}+1=?"), format!("<think>9</think><answer>{index}</answer>"))
        })
        .collect();
    write_samples(&place.0.path().join("first"), &rows).unwrap();
    let first = reference::<mark::Samples>("first.samples", &place.0.path().join("first"));
    let run = |name: &str, more: Value| {
        let attempt = place.attempt(name, more);
        done(well(attempt.run::<Generate>()));
        let lines = attempt.output("samples/samples.jsonl");
        lines.lines().map(|line| serde_json::from_str::<SampleRow>(line).unwrap()).collect::<Vec<_>>()
    };
    let texts = |rows: &[SampleRow]| -> std::collections::BTreeSet<(String, String)> {
        rows.iter().map(|row| (row.prompt.key().into_owned(), row.completion.clone())).collect()
    };
    let answered = texts(&run("answered", json!({})));
    let repeated = run("repeated", json!({ "prompts": [], "samples": [first], "rewrite": "{{ prompt }}" }));
    assert!(!repeated.is_empty() && texts(&repeated).is_subset(&answered));
    for row in &repeated {
        let first: i64 = row.prompt.key().strip_suffix("+1=?").unwrap().parse().unwrap();
        assert_eq!(
            (row.answer.clone(), row.source.as_deref()),
            (Some((first + 1).to_string()), Some("b3:0123456789ab"))
        );
    }
    let asks = "{{ thought }}, {{ answer }}, {{ completion }}";
    let asked = run("asked", json!({ "prompts": [], "samples": [first], "rewrite": asks }));
    assert!(!texts(&asked).is_subset(&answered));
    for (more, expected) in [
        (json!({ "samples": [first] }), "`prompts` and `samples` are both given"),
        (
            json!({ "prompts": [], "samples": [first] }),
            "`samples` needs `rewrite`, the text that asks for a new completion",
        ),
        (json!({ "prompts": [] }), "there is nothing to sample from"),
        (json!({ "rewrite": "{{ prompt }}" }), "`rewrite` is for `samples`"),
        (
            json!({ "prompts": [], "samples": [first], "rewrite": "{{ gold }}" }),
            "template `rewrite`: it reads `gold`, which it is not given",
        ),
    ] {
        assert_eq!(message(place.attempt("bad", more).run::<Generate>()), expected);
    }
    let more = json!({ "prompts": [], "samples": [first], "rewrite": "{{ gold }}" });
    let help = place.attempt("bad", more).run::<Generate>().unwrap_err().help;
    assert_eq!(help.as_deref(), Some("it may read `prompt`, `completion`, `thought`, `answer`"));
}

#[test]
fn a_stop_text_ends_completions_and_is_no_part_of_them() {
    let place = Scratch::new();
    let read = |name: &str, more: Value| {
        let attempt = place.attempt(name, more);
        done(well(attempt.run::<Generate>()));
        let lines = attempt.output("samples/samples.jsonl");
        lines.lines().map(|line| serde_json::from_str::<SampleRow>(line).unwrap().completion).collect::<Vec<_>>()
    };
    let (plain, stopped) = (read("plain", json!({})), read("stopped", json!({ "stop": ["e", "a"] })));
    assert!(plain.iter().any(|text| text.contains('a')));
    assert!(stopped.iter().all(|text| !text.contains(['a', 'e'])) && stopped.len() > plain.len(), "{stopped:?}");
    assert_eq!(message(place.attempt("bad", json!({ "stop": [""] })).run::<Generate>()), "`stop` has an empty text");
}
