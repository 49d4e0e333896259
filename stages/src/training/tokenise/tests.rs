//! Several batches give the rows that one gives, on any number of threads.

use engine::artifact as mark;
use serde_json::json;
use tempfile::TempDir;

use super::*;
use crate::artifacts::write_samples;
use crate::kinds::sft::Sft;
use crate::testing::{Attempt, input, message, tiny_model, well};
use text::Chat;

const KEYS: Tokenising = Tokenising { key: "data", learn: Learn::Last, max_tokens: 14 };
const ROWS: usize = 2 * BATCH_ROWS + 100;

struct Scratch(TempDir);

impl Scratch {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        tiny_model(&dir.path().join("model"));
        Self(dir)
    }

    fn chat(&self) -> Chat {
        Chat::load(&self.0.path().join("model")).unwrap()
    }

    /// Every tenth row is too long.
    fn rows() -> Vec<SampleRow> {
        let completion = |n: usize| if n.is_multiple_of(10) { "9".repeat(20) } else { n.to_string() };
        (0..ROWS).map(|n| SampleRow::new(format!("{n}=?"), completion(n))).collect()
    }

    fn tokenised(&self, name: &str, threads: usize, rows: Vec<SampleRow>) -> Result<Option<TokenRows>, StageError> {
        let ctx = Attempt::context_of::<Sft>(&self.0.path().join(name), threads);
        tokenise(&ctx, &self.chat(), &KEYS, |take| {
            let _ = rows.into_iter().try_for_each(take);
            Ok(())
        })
    }
}

#[test]
fn rows_keep_their_order_on_any_number_of_threads() {
    let scratch = Scratch::new();
    let one = well(scratch.tokenised("one", 1, Scratch::rows())).unwrap();
    let three = well(scratch.tokenised("three", 3, Scratch::rows())).unwrap();
    let bytes = |name: &str| fs_err::read(scratch.0.path().join(name).join("data.ids")).unwrap();
    assert!(bytes("one") == bytes("three"));
    let short = (0..ROWS).filter(|n| !n.is_multiple_of(10)).collect::<Vec<_>>();
    assert_eq!((one.len(), three.len()), (short.len(), short.len()));
    let (chat, rows) = (scratch.chat(), Scratch::rows());
    for at in [0, BATCH_ROWS - 1, one.len() - 1] {
        let alone = well(token_rows_of(&chat, (&KEYS, 0), &rows[short[at]])).remove(0);
        assert_eq!((well(one.row(at)), well(three.row(at))), (alone.clone(), alone));
    }
}

#[test]
fn of_several_rows_that_cannot_be_tokenised_the_first_is_named() {
    let scratch = Scratch::new();
    let mut rows = Scratch::rows();
    for at in [ROWS - 1, BATCH_ROWS + 7, BATCH_ROWS + 5] {
        rows[at].completion = "A".to_owned();
    }
    let error = message(scratch.tokenised("a", 3, rows));
    assert!(error.starts_with(&format!("row {} of `data`: tokenizer: ", BATCH_ROWS + 5)), "{error}");
}

#[test]
fn a_stop_ends_it_between_batches() {
    let scratch = Scratch::new();
    let stopped = |rows: Vec<SampleRow>| {
        let ctx = Attempt::context_of::<Sft>(&scratch.0.path().join("a"), 1);
        ctx.request_stop();
        let read = |take: &mut Take<'_>| {
            let _ = rows.into_iter().try_for_each(take);
            Ok(())
        };
        well(tokenise(&ctx, &scratch.chat(), &KEYS, read)).is_none()
    };
    assert!(stopped(Scratch::rows()));
    assert!(!stopped(Scratch::rows().split_off(ROWS - 5)), "what takes no time is done before a stop is looked at");
}

#[test]
fn rows_after_a_bad_one_are_counted_and_not_tokenised() {
    let scratch = Scratch::new();
    let folder = scratch.0.path().join("data");
    well(write_samples(&folder, &Scratch::rows()[1..9]).map_err(Into::into));
    let file = folder.join("samples.jsonl");
    let text = fs_err::read_to_string(&file).unwrap();
    fs_err::write(&file, format!("{text}{{\"prompt\": \"1\"}}\n{{\"prompt\": \"1\", \"completion\": \"A\"}}\n"))
        .unwrap();
    let input = input::<mark::Samples>("inputs.data", &file, json!({}));
    let mut taken = 0;
    let error = message(each_row(&[input], &mut |_| {
        taken += 1;
        ControlFlow::Continue(())
    }));
    assert!(error.contains("line 9: no field `completion`") && error.contains("1 of 10 rows"), "{error}");
    assert_eq!(taken, 8);
}
