use super::*;
use serde_json::json;
use engine::artifact as mark;
use crate::testing::{Attempt, reference, well, tiny_model};
#[test]
fn bench() {
    let dir = tempfile::tempdir().unwrap();
    let at = |n: &str| dir.path().join(n);
    tiny_model(&at("model"));
    let chat = text::Chat::load(&at("model")).unwrap();
    let shape = lm::Shape { vocab_size: 64, hidden_size: 64, intermediate_size: 192, num_hidden_layers: 3, num_attention_heads: 4, num_key_value_heads: 4, head_dim: None, rope_theta: 100.0, max_position_embeddings: 256, tie_word_embeddings: true };
    let mut config = lm::Config::new("qwen2", &shape).unwrap();
    config.set_special_tokens(&[chat.eos], Some(chat.pad));
    lm::Model::init(config, 7, tch::Device::Cpu).save(&at("model")).unwrap();
    let t = Attempt::new::<crate::tasks::Tasks>(&at("t"), &json!({"count": 3000}), None);
    well(t.run::<crate::tasks::Tasks>());
    for batch in [64, 256] {
        let config = json!({"model": reference::<mark::Model>("m", &at("model")), "prompts": [reference::<mark::Prompts>("p", &at("t/outputs/prompts"))], "completions": 1, "max-tokens": 40, "batch-size": batch});
        let a = Attempt::new::<Generate>(&at(&format!("g{batch}")), &config, None);
        let s = std::time::Instant::now();
        let r = a.run::<Generate>();
        match r { Ok(_) => {}, Err(e) => { eprintln!("{}", e.message); return; } }
        eprintln!("batch {batch}: {:?}", s.elapsed());
        let last = a.sent().into_iter().rev().find(|l| matches!(l, engine::worker::protocol::FromWorker::Progress{..}));
        eprintln!("{last:?}");
    }
    let config = json!({"model": reference::<mark::Model>("m", &at("model")), "prompts": {"p": reference::<mark::Prompts>("p", &at("t/outputs/prompts"))}, "completions": 2, "max-tokens": 40, "limit": 384});
    let a = Attempt::new::<crate::eval::Eval>(&at("e"), &config, None);
    let s = std::time::Instant::now();
    well(a.run::<crate::eval::Eval>());
    eprintln!("eval: {:?}", s.elapsed());
}
