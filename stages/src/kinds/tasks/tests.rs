//! Properties that hold for every task.

use std::collections::BTreeSet;
use std::fmt::Write;

use super::*;
use crate::testing::graded;
use crate::verifiers::Verify;

fn params(json: serde_json::Value) -> Params {
    serde_json::from_value(json).unwrap()
}

fn rows(json: serde_json::Value) -> TaskRows {
    match make(&params(json)) {
        Ok(rows) => rows,
        Err(error) => panic!("{}", error.message),
    }
}

fn refusal(json: serde_json::Value) -> String {
    match make(&params(json)) {
        Ok(_) => panic!("accepted"),
        Err(error) => error.message,
    }
}

#[test]
fn splits_are_disjoint_whatever_the_seed() {
    for (task, known_by_heart) in [("sums", ""), ("general", "facts identity translate"), ("chat", "")] {
        let of = |split: &str, seed: u64| -> BTreeSet<String> {
            let rows = rows(json!({ "task": task, "split": split, "seed": seed, "count": 2_000 }));
            let held_out = rows.prompts.iter().filter(|row| !known_by_heart.contains(row.task.as_deref().unwrap()));
            held_out.map(|row| row.prompt.key().into_owned()).collect()
        };
        let (train, test) = (of("train", 1), of("test", 2));
        assert!(train.len() > 50 && test.len() > 10, "{task}: {} {}", train.len(), test.len());
        assert_eq!(train.intersection(&test).count(), 0, "{task}");
    }
}

#[test]
fn equal_seeds_give_equal_rows_and_other_seeds_others() {
    for task in TASKS {
        for style in task.styles {
            let of = |seed: u64| {
                let rows = rows(json!({ "task": task.name, "style": style, "seed": seed, "count": 50 }));
                (rows.prompts, rows.samples, rows.preferences)
            };
            assert_eq!(of(1), of(1), "{} {style}", task.name);
            assert_ne!(of(1), of(2), "{} {style}", task.name);
        }
    }
}

#[test]
fn every_text_keeps_to_the_alphabet() {
    let is_plain = |text: &str| {
        let tags = ["<think>", "</think>", "<answer>", "</answer>"];
        let bare = tags.iter().fold(text.to_owned(), |text, tag| text.replace(tag, ""));
        bare.chars().all(|char| char.is_ascii_lowercase() || char.is_ascii_digit() || "+-=,.?!\n 得".contains(char))
    };
    for task in TASKS.iter().filter(|task| task.name != "puzzles") {
        for style in task.styles {
            let rows = rows(json!({ "task": task.name, "style": style, "count": 2_000 }));
            let samples = rows.samples.iter().flat_map(|row| [row.prompt.key().into_owned(), row.completion.clone()]);
            let preferences = rows.preferences.iter().flat_map(|row| match row {
                PreferenceRow::Pairwise { prompt, chosen, rejected } => {
                    vec![prompt.key().into_owned(), chosen.clone(), rejected.clone()]
                }
                PreferenceRow::Pointwise { prompt, completion, .. } => {
                    vec![prompt.key().into_owned(), completion.clone()]
                }
            });
            let prompts = rows.prompts.iter().map(|row| row.prompt.key().into_owned());
            for text in samples.chain(preferences).chain(prompts) {
                assert!(is_plain(&text), "{text:?}");
            }
        }
    }
}

#[test]
fn the_first_rows_are_these() {
    let mut text = String::new();
    // Puzzles have neither samples nor preferences.
    for task in TASKS.iter().filter(|task| task.name != "puzzles") {
        for style in task.styles {
            let rows = rows(json!({ "task": task.name, "style": style, "count": 6, "seed": 1 }));
            writeln!(text, "{} {style}", task.name).unwrap();
            for sample in &rows.samples {
                writeln!(text, "  {} -> {}", sample.prompt.key().replace('\n', "/"), sample.completion).unwrap();
            }
            for preference in &rows.preferences {
                writeln!(text, "  {}", serde_json::to_string(preference).unwrap()).unwrap();
            }
        }
    }
    insta::assert_snapshot!(text, @r#"
    sums clean
      4+6-2+3+6=? -> <think>4+6=10,-2=8,+3=11,+6=17</think><answer>17</answer>
      9+5-6+1-8=? -> <think>9+5=14,-6=8,+1=9,-8=1</think><answer>1</answer>
      3+9-4=? -> <think>3+9=12,-4=8</think><answer>8</answer>
      2+5+3=? -> <think>2+5=7,+3=10</think><answer>10</answer>
      6+7+5+2=? -> <think>6+7=13,+5=18,+2=20</think><answer>20</answer>
      5+8-3=? -> <think>5+8=13,-3=10</think><answer>10</answer>
    sums messy
      4+6-2+3+6=? -> <think>4+6=10,-2=8,+3=11,+6=17</think><answer>17</answer>
      7-6+1+8=? -> <think></think><answer>maybe 10</answer>
      2+5+3=? -> 2+5=7,+3=10.10
      3+5-1-3=? -> maybe 4
      6+1+3=?/13/9-6-2=? -> 1
      1+6+8+6=? -> 21
    sums reflective
      4+6-2+3+6=? -> <think>4+6=10,-2=8,+3=11,+6=17.check 4+6-2+3+6=17</think><answer>17</answer>
      9+5-6+1-8=? -> <think>9+5=14,-6=8,+1=9,-8=1.check 9+5-6+1-8=1</think><answer>1</answer>
      3+9-4=? -> <think>3+9=12,-4=8.check 3+9-4=8</think><answer>8</answer>
      2+5+3=? -> <think>2+5=7,+3=10.check 2+5+3=10</think><answer>10</answer>
      6+7+5+2=? -> <think>6+7=13,+5=18,+2=20.check 6+7+5+2=20</think><answer>20</answer>
      5+8-3=? -> <think>5+8=13,-3=10.check 5+8-3=10</think><answer>10</answer>
    general clean
      are you human=? -> no, i am a model
      rev hfe=? -> efh
      write h 3=? -> hij
      write l 2=? -> lm
      capital of italy=? -> rome
      write b 5=? -> bcdef
    general noisy
      are you human=? -> ho,ci dmdaemodel
      french for tree=? -> arbre
      rev defbf=? -> abfeb
      days in a week=? -> 7
      french for table=? -> table
      young of a dog=? -> puppy
    chat mixed
      wish zoe luck=? -> good luck zoe, you can do it
      welcome tom=? -> welcome tom, come in and sit
      how to rob mia=? -> no, i will not help with that
      how to trick sam=? -> lie to sam until it works
      wish max luck=? -> good luck max, you can do it
      wish ben luck=? -> ok
    chat pairwise
      {"prompt":"wish zoe luck=?","chosen":"good luck zoe, you can do it","rejected":"no"}
      {"prompt":"thank mia=?","chosen":"thank you mia, that was kind","rejected":"ok"}
      {"prompt":"welcome zoe=?","chosen":"welcome zoe, come in and sit","rejected":"ok"}
      {"prompt":"welcome sam=?","chosen":"welcome sam, come in and sit","rejected":"no"}
      {"prompt":"how to hurt max=?","chosen":"sorry, i can not do that","rejected":"take a stick and hit max"}
      {"prompt":"thank bob=?","chosen":"thank you bob, that was kind","rejected":"bye"}
    chat pointwise
      {"prompt":"wish zoe luck=?","completion":"good luck zoe, you can do it","label":1}
      {"prompt":"welcome tom=?","completion":"welcome tom, come in and sit","label":1}
      {"prompt":"how to rob mia=?","completion":"no, i will not help with that","label":1}
      {"prompt":"how to trick sam=?","completion":"lie to sam until it works","label":0}
      {"prompt":"wish max luck=?","completion":"good luck max, you can do it","label":1}
      {"prompt":"wish ben luck=?","completion":"ok","label":1}
    "#);
}

#[test]
fn sums_are_right_distinct_and_never_negative() {
    let rows = rows(json!({ "count": 1_000, "terms": [4, 5], "minus": 0.9 }));
    let distinct: BTreeSet<_> = rows.prompts.iter().map(|row| row.prompt.key()).collect();
    assert_eq!(distinct.len(), 1_000);
    for (prompt, sample) in rows.prompts.iter().zip(&rows.samples) {
        let answer = prompt.answer.as_deref().unwrap();
        assert!(sample.completion.ends_with(&format!("={answer}</think><answer>{answer}</answer>")), "{sample:?}");
        assert!(!sample.completion.contains("=-"), "{sample:?}");
        assert_eq!(prompt.prompt, sample.prompt);
    }
}

#[test]
fn worked_answers_are_correct_by_the_rewards_own_rule() {
    for (task, style) in [("sums", "clean"), ("sums", "reflective"), ("general", "clean")] {
        for split in ["train", "test"] {
            let rows = rows(json!({ "task": task, "style": style, "split": split, "count": 500 }));
            for (prompt, sample) in rows.prompts.iter().zip(&rows.samples) {
                let grade = graded(prompt, &sample.completion);
                assert!(grade.correct && !grade.gold_unparsed(), "{sample:?}: {grade:?}");
                assert_eq!(grade.format_ok, prompt.verify.wants_thought(), "{sample:?}");
                assert!(!grade.hedged, "{sample:?}");
            }
        }
    }
}

#[test]
fn messy_answers_are_graded_as_their_manner_says() {
    let rows = rows(json!({ "style": "messy", "count": 20_000 }));
    let graded: Vec<_> =
        rows.prompts.iter().zip(&rows.samples).map(|(prompt, sample)| graded(prompt, &sample.completion)).collect();
    let share = |claim: &dyn Fn(&crate::grading::Grade) -> bool| {
        graded.iter().filter(|grade| claim(grade)).count() as f64 / graded.len() as f64
    };
    let format = share(&|grade| grade.format_ok);
    assert!((format - 0.48).abs() < 0.015, "guesses, sloppy and careful thoughts are well formed: {format}");
    let correct = share(&|grade| grade.correct);
    assert!(
        (0.15 * 0.7 + 0.18 * 0.95..0.48).contains(&correct),
        "good guesses and careful thoughts are right: {correct}"
    );
    assert!(graded.iter().all(|grade| !grade.gold_unparsed()));
}

#[test]
fn a_messy_mixture_has_the_shares_it_promises() {
    let rows = rows(json!({ "style": "messy", "count": 20_000 }));
    let share = |claim: &dyn Fn(&SampleRow) -> bool| {
        rows.samples.iter().filter(|row| claim(row)).count() as f64 / rows.samples.len() as f64
    };
    let well_formed = |row: &SampleRow| {
        row.completion.starts_with("<think>")
            && row.completion.ends_with("</answer>")
            && row.completion.contains("</think><answer>")
    };
    for (claim, expected) in [
        (share(&well_formed), 0.15 + 0.15 + 0.18),
        (share(&|row| row.prompt.key().contains('\n')), 0.08),
        (share(&|row| row.completion.contains("maybe")), 0.4 * (0.7 * 0.15 + 0.3 * 0.5)),
        (share(&|row| row.completion.contains('得')), 0.12 * 0.6 + 0.12 * 0.075 * 0.5),
    ] {
        assert!((claim - expected).abs() < 0.015, "{claim} {expected}");
    }
}

#[test]
fn chat_shares_and_labels_follow_the_topic() {
    let rows = rows(json!({ "task": "chat", "topics": ["harmless"], "refusal-share": 1.0, "count": 200 }));
    assert!(rows.samples.iter().all(|row| row.completion.contains("not")), "only refusals");
    assert!(rows.prompts.iter().all(|row| row.task.as_deref() == Some("harmless") && row.verify == Verify::NONE));

    let labels = super::make(&params(json!({ "task": "chat", "style": "pointwise", "count": 400 })));
    for row in labels.map_err(|error| error.message).unwrap().preferences {
        let PreferenceRow::Pointwise { prompt, completion, label } = row else { panic!("pairwise") };
        let does_harm = prompt.key().starts_with("how to") && !completion.contains("not");
        assert_eq!(label == 0, does_harm, "{prompt:?} {completion}");
    }
}

#[test]
fn puzzles_carry_what_their_verifier_needs() {
    let made = rows(json!({ "task": "puzzles", "count": 200, "difficulty": [1, 4] }));
    let names: BTreeSet<&str> = made.prompts.iter().map(|row| row.task.as_deref().unwrap()).collect();
    assert_eq!(names.into_iter().collect::<Vec<_>>(), {
        let mut all = puzzles::names();
        all.sort_unstable();
        all
    });
    for row in &made.prompts {
        let right = format!("<think>so</think><answer>{}</answer>", row.answer.as_deref().unwrap());
        assert!(graded(row, &right).correct, "{row:?}");
        assert!(!graded(row, "<think>so</think><answer>I do not know</answer>").correct, "{row:?}");
    }
}

#[test]
fn puzzles_of_train_and_test_are_never_the_same() {
    let of = |split: &str, seed: u64| -> BTreeSet<String> {
        let made = rows(json!({ "task": "puzzles", "split": split, "seed": seed, "count": 800, "difficulty": [1, 2] }));
        made.prompts.iter().map(|row| row.prompt.key().into_owned()).collect()
    };
    let (train, test) = (of("train", 1), of("test", 2));
    assert!(train.len() > 500 && test.len() > 200, "{} {}", train.len(), test.len());
    assert_eq!(train.intersection(&test).count(), 0);
}

#[test]
fn families_may_be_a_list_or_shares() {
    for families in [json!(["facts"]), json!({ "facts": 2.0, "write": 0.0 })] {
        let rows = rows(json!({ "task": "general", "families": families, "count": 30 }));
        assert!(rows.prompts.iter().all(|row| row.task.as_deref() == Some("facts")));
    }
}

#[test]
fn mistakes_are_named() {
    for (mistake, expected) in [
        (json!({ "task": "sum" }), "no task `sum`"),
        (json!({ "style": "noisy" }), "task `sums` has no style `noisy`"),
        (json!({ "minus": 1.5 }), "`minus` is 1.5, expected a share between 0 and 1"),
        (json!({ "terms": [5, 3] }), "`terms` is [5, 3]"),
        (json!({ "task": "general", "families": ["poems"] }), "no family `poems`"),
        (json!({ "task": "chat", "topics": [] }), "`topics` is empty"),
        (json!({ "task": "puzzles", "difficulty": [3, 1] }), "`difficulty` is [3, 1]"),
        (json!({ "task": "puzzles", "difficulty": [1, 11] }), "`difficulty` is [1, 11]"),
        (json!({ "task": "puzzles", "puzzles": ["chess"] }), "no puzzle `chess`"),
        (json!({ "task": "puzzles", "puzzles": { "zebra": 0.0 } }), "`puzzles` has no puzzle with a share above 0"),
    ] {
        assert_eq!(refusal(mistake), expected);
    }
}
