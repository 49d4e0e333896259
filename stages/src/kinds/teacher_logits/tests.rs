//! Runs the kind on an untrained teacher: its output agrees with the full logits, and a stop changes nothing.

use engine::artifact as mark;
use engine::stage::Outcome;
use lm::{Kind, no_grad_guard};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::*;
use crate::artifacts::{LogitsRows, SampleRow, write_samples};
use crate::testing::{Attempt, input, message, reference, tiny_model, well};

struct Scratch(TempDir);

impl Scratch {
    /// A folder with a teacher and samples `1` to `count`.
    fn new(count: usize) -> Self {
        let place = tempfile::tempdir().unwrap();
        tiny_model(&place.path().join("model"));
        let place = Self(place);
        place.write(count);
        place
    }

    fn write(&self, count: usize) {
        let rows: Vec<_> = (1..=count).map(|n| SampleRow::new(format!("{n}+1=?"), "1".repeat(n % 5 + 1))).collect();
        well(write_samples(&self.0.path().join("data"), &rows).map_err(Into::into));
    }

    fn config(&self, more: Value) -> Value {
        let at = |name: &str| self.0.path().join(name);
        let mut config = json!({
            "model": reference::<mark::Model>("teacher.model", &at("model")),
            "data": [reference::<mark::Samples>("data.samples", &at("data"))],
            "top-k": 5, "micro-batch-tokens": 24,
        });
        config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        config
    }

    fn attempt(&self, name: &str, known: Vec<PathBuf>) -> Attempt {
        self.attempt_of(name, json!({}), known)
    }

    fn attempt_of(&self, name: &str, more: Value, known: Vec<PathBuf>) -> Attempt {
        let config = self.config(more);
        Attempt::with_rows::<TeacherLogits>(&self.0.path().join(name), &config, None, known)
    }

    fn logits(&self, name: &str) -> PathBuf {
        self.0.path().join(name).join("output-logits")
    }

    /// Every file of an output with its bytes.
    fn files(&self, name: &str) -> BTreeMap<String, Vec<u8>> {
        let entries = fs_err::read_dir(self.logits(name)).unwrap().map(|entry| entry.unwrap());
        entries.map(|entry| (entry.file_name().into_string().unwrap(), fs_err::read(entry.path()).unwrap())).collect()
    }
}

#[test]
fn what_is_written_is_what_the_whole_logits_say() {
    is_what_the_whole_logits_say(json!({}), Kind::Float);
    is_what_the_whole_logits_say(json!({ "dtype": "bfloat16" }), Kind::BFloat16);
}

fn is_what_the_whole_logits_say(more: Value, dtype: Kind) {
    let place = Scratch::new(40);
    well(place.attempt_of("a", more, Vec::new()).run::<TeacherLogits>());
    let logits = input::<mark::Logits>("a.logits", &place.logits("a"), json!({}));
    let mut indices = Vec::new();
    let data = well(LogitsRows::open(&[logits], (place.0.path(), 1_000), |index, _| {
        indices.push(index.clone());
        Ok(())
    }));
    assert!(indices[0].shards > 2 && indices[0].rows == 40, "{indices:?}");
    let model = Model::load(&place.0.path().join("model"), &lm::Options { dtype, ..lm::Options::default() }).unwrap();
    let _guard = no_grad_guard();
    let mut tokens = 0;
    for index in 0..data.rows.len() {
        let row = well(data.rows.row(index));
        let rows = lm::Rows::pack([&row.ids]);
        let all_nv = model.logits(&model.hidden(&rows)).log_softmax(-1, Kind::Double);
        let all_nv = all_nv.narrow(0, row.start as i64 - 1, row.num_targets() as i64);
        let (top_ids_nk, log_probs_nk) = well(data.likeliest(&[index]));
        let (expected_nk, _) = all_nv.topk(5, -1, true, true);
        let found_nk = log_probs_nk.narrow(1, 0, 5).to_kind(Kind::Double);
        assert!((&found_nk - &expected_nk).abs().max().double_value(&[]) < 1e-5);
        assert!((all_nv.gather(1, &top_ids_nk, false) - &found_nk).abs().max().double_value(&[]) < 1e-5);
        let sums_n = log_probs_nk.to_kind(Kind::Double).exp().sum_dim_intlist(-1, false, Kind::Double);
        assert!((sums_n - 1.0).abs().max().double_value(&[]) < 1e-5, "the rest is what is missing");
        tokens += row.num_targets();
    }
    assert_eq!(indices[0].tokens, tokens);
}

#[test]
fn a_stopped_attempt_goes_on_after_its_shards() {
    let place = Scratch::new(40);
    well(place.attempt("whole", Vec::new()).run::<TeacherLogits>());
    let broken = place.attempt("broken", Vec::new());
    broken.run_stopped::<TeacherLogits>();
    let (known, rows) = broken.rows();
    assert!((1..40).contains(&rows), "{rows}");
    let resumed = place.attempt("resumed", known);
    well(resumed.run::<TeacherLogits>());
    assert_eq!(resumed.rows().1, 40 - rows);
    assert!(place.files("whole") == place.files("resumed"));
}

#[test]
fn more_data_cost_their_own_shards() {
    let place = Scratch::new(40);
    let first = place.attempt("first", Vec::new());
    well(first.run::<TeacherLogits>());
    place.write(50);
    let second = place.attempt("second", first.rows().0);
    well(second.run::<TeacherLogits>());
    let anew = place.attempt("anew", Vec::new());
    well(anew.run::<TeacherLogits>());
    let (new, all) = (second.rows().1, anew.rows().1);
    assert!((10..30).contains(&new) && all == 50, "{new} of {all}");
    assert!(place.files("second") == place.files("anew"));
}

#[test]
fn some_tokens_must_be_left_over() {
    let place = Scratch::new(2);
    let config = place.config(json!({ "top-k": 64 }));
    let attempt = Attempt::new::<TeacherLogits>(&place.0.path().join("a"), &config, None);
    assert!(message(attempt.run::<TeacherLogits>()).starts_with("`top-k` = 64 is all of the"));
    let attempt = place.attempt("b", Vec::new());
    assert!(matches!(well(attempt.run::<TeacherLogits>()), Outcome::Done(summary) if summary["rows"] == 2));
}
