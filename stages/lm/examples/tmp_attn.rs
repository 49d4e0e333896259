use lm::*;
use std::time::Instant;
fn main() {
    let dev = setup(1, "cpu").unwrap();
    for (hd, heads) in [(16, 4), (64, 4)] {
    let shape = Shape { vocab_size: 64, hidden_size: hd*heads, intermediate_size: 64, num_hidden_layers: 4, num_attention_heads: heads, num_key_value_heads: heads, head_dim: None, rope_theta: 100.0, max_position_embeddings: 4096, tie_word_embeddings: true };
    let m = Model::init(Config::new("llama", &shape).unwrap(), 0, dev);
    for (n, len) in [(32, 64), (16, 128), (16, 129), (8, 256), (8, 257), (4, 512), (4, 513), (2, 1024), (2, 1025)] {
        let rows = Rows::pack((0..n).map(|i| (0..len).map(|t| (i * 3 + t) % 64).collect::<Vec<i64>>()));
        let mut best = f64::MAX;
        let mut bestf = f64::MAX;
        for _ in 0..8 {
            let t = Instant::now();
            let h = m.hidden(&rows);
            bestf = bestf.min(t.elapsed().as_secs_f64());
            h.sum(Kind::Float).backward();
            zero_grad(m.parameters()).unwrap();
            best = best.min(t.elapsed().as_secs_f64());
        }
        println!("hd {hd} rows {n} x {len}: fwd {:.2} ms, both {:.2} ms", bestf * 1e3, best * 1e3);
    }}
}
