//! Reward models: the position of the score, training, saving and loading.

use lm::{AdamW, AdamWOptions, Kind, Model, Options, RewardModel, Rows, Shape, Tensor, loss, zero_grad};

use crate::{TINY, tiny};

fn scores(model: &RewardModel, rows: &Rows) -> Vec<f32> {
    let _guard = lm::no_grad_guard();
    Vec::try_from(model.scores(rows)).expect("single precision")
}

#[test]
fn a_new_reward_model_scores_nothing_and_learns_pairs() {
    for shape in [TINY, Shape { tie_word_embeddings: false, ..TINY }] {
        let model = RewardModel::init_from(&tiny("qwen2", &shape));
        assert!(model.parameters().iter().all(|(name, _)| name != "lm_head.weight"));
        // A row is good if it ends in 5.
        let good = Rows::pack([vec![1, 2, 5], vec![7, 5], vec![3, 3, 3, 5]]);
        let bad = Rows::pack([vec![1, 5, 2], vec![7, 6], vec![3, 3, 3, 4]]);
        assert_eq!(scores(&model, &good), [0.0; 3]);
        let mut optimiser = AdamW::new(model.parameters(), AdamWOptions::default());
        for _ in 0..40 {
            zero_grad(model.parameters()).expect("leaves");
            loss::bradley_terry(&model.scores(&good), &model.scores(&bad)).mean(Kind::Float).backward();
            optimiser.step(3e-3).expect("matching shapes");
        }
        for (good, bad) in scores(&model, &good).into_iter().zip(scores(&model, &bad)) {
            assert!(good > bad + 1.0, "{good} against {bad}");
        }
    }
}

#[test]
fn a_saved_reward_model_scores_the_same() {
    let dir = tempfile::tempdir().expect("a folder");
    let base = tiny("llama", &TINY);
    let model = RewardModel::init_from(&base);
    let score = model.parameters().iter().find(|(name, _)| name == "score.weight").expect("a score");
    let wave = (Tensor::arange(24, (Kind::Float, lm::Device::Cpu)) * 0.5).cos().view([1, 24]);
    lm::tch::no_grad(|| score.1.shallow_clone().copy_(&wave));
    model.save(dir.path(), 0).expect("a writable folder");
    let back = RewardModel::load(dir.path(), &Options::default()).expect("just written");
    let rows = Rows::pack([vec![1, 2, 5], vec![7, 5]]);
    assert_eq!(scores(&model, &rows), scores(&back, &rows));
    assert_ne!(scores(&model, &rows), [0.0, 0.0]);
    let config = std::fs::read_to_string(dir.path().join("config.json")).expect("written");
    assert!(config.contains("LlamaForSequenceClassification"), "{config}");
    assert!(Model::load(dir.path(), &Options::default()).is_err(), "a score is no head for tokens");
}
