//! Sampling: greedy tokens against the full forward pass, independence of the batch, continuous batching,
//! log-probabilities.

use std::ops::ControlFlow;

use lm::generate::{Error, generate, generate_until};
use lm::{Completion, Kind, Model, Request, Rows, Sampling, Shape, Tensor, head};

use crate::{TINY, UNGROUPED, in_double, shaken, tiny};

fn requests(count: usize) -> Vec<Request> {
    // Groups of three share a prompt, as in GRPO.
    let prompt = |i: usize| (0..2 + (i / 3) % 5).map(|t| ((i / 3) * 5 + t * 3) as i64 % 19).collect();
    (0..count).map(|i| Request { prompt: prompt(i), seed: 1000 + i as u64 }).collect()
}

fn run(model: &Model, requests: &[Request], sampling: &Sampling, batch: usize) -> Vec<Completion> {
    generate(model, requests, sampling, batch, &mut |_, _| {}).expect("valid requests")
}

fn model() -> Model {
    tiny("qwen2", &TINY)
}

#[test]
fn greedy_is_the_argmax_of_the_full_forward_pass() {
    let gqa = Shape { num_attention_heads: 6, num_key_value_heads: 2, head_dim: Some(20), hidden_size: 40, ..TINY };
    let plain = [model(), tiny("llama", &gqa)];
    for model in plain.iter().flat_map(|model| [model.deep_copy(), shaken(model, 1), shaken(model, 2)]) {
        let sampling = Sampling { temperature: 0.0, max_tokens: 40, ..Sampling::default() };
        let requests = requests(7);
        let completions = run(&model, &requests, &sampling, 7);
        let _guard = lm::no_grad_guard();
        for (request, completion) in requests.iter().zip(&completions) {
            assert_eq!((completion.ids.len(), completion.finished), (40, false));
            let whole = Rows::pack([[&request.prompt[..], &completion.ids].concat()]);
            let expected: Vec<i64> =
                Vec::try_from(model.logits(&model.hidden(&whole)).argmax(-1, false)).expect("integers");
            let start = request.prompt.len() - 1;
            assert_eq!(completion.ids, expected[start..start + 40]);
        }
    }
}

/// By the definition in transformers: a logit of a token that was seen is divided by the penalty if it is positive, and
/// multiplied by it if not.
#[test]
fn a_repetition_penalty_is_applied_to_all_tokens_before() {
    let (model, penalty) = (model(), 1.7);
    let sampling = Sampling { temperature: 0.0, max_tokens: 16, repetition_penalty: penalty, ..Sampling::default() };
    let requests = requests(5);
    let plain = run(&model, &requests, &Sampling { repetition_penalty: 1.0, ..sampling.clone() }, 5);
    let completions = run(&model, &requests, &sampling, 3);
    assert_ne!(plain, completions);
    let _guard = lm::no_grad_guard();
    for (request, completion) in requests.iter().zip(&completions) {
        let tokens = [&request.prompt[..], &completion.ids].concat();
        let logits = model.logits(&model.hidden(&Rows::pack([tokens.clone()])));
        for (step, token) in completion.ids.iter().enumerate() {
            let end = request.prompt.len() + step;
            let mut row = Vec::<f32>::try_from(logits.get(end as i64 - 1)).expect("floats");
            for seen in tokens[..end].iter().collect::<std::collections::BTreeSet<_>>() {
                let logit = &mut row[*seen as usize];
                *logit = if *logit > 0.0 { *logit / penalty as f32 } else { *logit * penalty as f32 };
            }
            let best = (0..row.len()).max_by(|a, b| row[*a].total_cmp(&row[*b])).expect("a token");
            assert_eq!(best as i64, *token, "step {step}");
        }
    }
}

#[test]
fn the_caller_may_end_a_completion() {
    let model = model();
    let sampling = Sampling { max_tokens: 24, ..Sampling::default() };
    let requests = requests(9);
    let whole = run(&model, &requests, &sampling, 4);
    let ends_with_even = |ids: &[i64]| ids.last().is_some_and(|id| id % 2 == 0);
    let ended = generate_until(&model, &requests, &sampling, 4, &ends_with_even, &mut |_, _| ControlFlow::Continue(()))
        .expect("valid requests");
    for (whole, ended) in whole.iter().zip(&ended) {
        let end = (1..=24).find(|end| ends_with_even(&whole.ids[..*end]));
        assert_eq!((ended.ids.as_slice(), ended.finished), (&whole.ids[..end.unwrap_or(24)], end.is_some()));
    }
    assert!(ended.iter().any(|completion| completion.finished));
}

#[test]
fn what_has_not_begun_when_the_caller_breaks_off_never_begins() {
    let model = model();
    let sampling = Sampling { max_tokens: 24, stop: vec![0], ..Sampling::default() };
    let requests = requests(31);
    let whole = run(&model, &requests, &sampling, 4);
    let cut = generate_until(&model, &requests, &sampling, 4, &|_| false, &mut |_, _| ControlFlow::Break(()));
    let cut = cut.expect("valid requests");
    let begun = cut.iter().take_while(|completion| !completion.ids.is_empty()).count();
    assert!((4..8).contains(&begun), "{begun} of a batch of 4");
    assert_eq!(cut[..begun], whole[..begun], "those that have begun are whole");
    assert!(cut[begun..].iter().all(|completion| completion.ids.is_empty()));
}

#[test]
fn a_completion_does_not_depend_on_its_batch() {
    let model = model();
    let sampling = Sampling { max_tokens: 24, stop: vec![0], ..Sampling::default() };
    let requests = requests(31);
    let alone: Vec<Completion> =
        requests.iter().map(|request| run(&model, std::slice::from_ref(request), &sampling, 1).remove(0)).collect();
    assert!(alone.iter().any(|completion| completion.finished), "some row must end early");
    assert!(alone.iter().any(|completion| !completion.finished), "some row must not");
    for batch in [2, 5, 31, 1000] {
        let together = run(&model, &requests, &sampling, batch);
        for (index, (one, two)) in alone.iter().zip(&together).enumerate() {
            assert_eq!((&one.ids, one.finished), (&two.ids, two.finished), "request {index}, batch {batch}");
        }
    }
    for seed in [1, 2, 3] {
        for (one, two) in alone.iter().zip(run(&shaken(&model, seed), &requests, &sampling, 5)) {
            assert_eq!(one.ids, two.ids, "a token that noise tips over belongs in no test");
        }
    }
    let mut reversed = requests.clone();
    reversed.reverse();
    let mut together = run(&model, &reversed, &sampling, 8);
    together.reverse();
    for (one, two) in alone.iter().zip(&together) {
        assert_eq!(one.ids, two.ids);
    }
}

#[test]
fn the_same_call_gives_the_same_bits() {
    let model = model();
    let sampling = Sampling { max_tokens: 20, stop: vec![0, 3], ..Sampling::default() };
    let (one, two) = (run(&model, &requests(23), &sampling, 6), run(&model, &requests(23), &sampling, 6));
    assert_eq!(one, two);
}

#[test]
fn every_request_is_reported_once() {
    let model = model();
    let sampling = Sampling { max_tokens: 9, stop: vec![0, 1, 2], ..Sampling::default() };
    let mut seen = Vec::new();
    let requests = requests(29);
    let completions =
        generate(&model, &requests, &sampling, 4, &mut |index, completion| seen.push((index, completion.clone())))
            .expect("valid requests");
    seen.sort_by_key(|(index, _)| *index);
    assert_eq!(seen.iter().map(|(index, _)| *index).collect::<Vec<_>>(), (0..29).collect::<Vec<_>>());
    for (index, completion) in seen {
        assert_eq!(completion, completions[index]);
        let stops = |id: &i64| sampling.stop.contains(id);
        assert_eq!(completion.finished, completion.ids.last().is_some_and(stops));
        assert!(!completion.ids[..completion.ids.len() - 1].iter().any(stops));
        assert_eq!(completion.ids.len(), completion.logprobs.len());
    }
}

#[test]
fn log_probabilities_are_those_of_training() {
    let model = model();
    for temperature in [1.0, 0.6] {
        let sampling = Sampling { temperature, max_tokens: 30, ..Sampling::default() };
        let requests = requests(6);
        for (request, completion) in requests.iter().zip(run(&model, &requests, &sampling, 3)) {
            let rows = Rows::pack([[&request.prompt[..], &completion.ids].concat()]);
            let predictions = rows.predictions_from(&[request.prompt.len() as i64]);
            let _guard = lm::no_grad_guard();
            let hidden = model.hidden(&rows).index_select(0, &Tensor::from_slice(&predictions.positions));
            let expected = head::logprobs(&model, &hidden, &Tensor::from_slice(&predictions.targets), temperature, 64);
            crate::assert_close(&Tensor::from_slice(&completion.logprobs), &expected, 2e-5, "log-probabilities");
        }
    }
}

#[test]
fn libtorch_and_the_kernels_sample_alike() {
    let others = ["qwen3", "mistral", "qwen3_moe"].map(|model_type| tiny(model_type, &TINY));
    for model in [model(), tiny("deepseek_v3", &UNGROUPED)].into_iter().chain(others) {
        alike(&model);
    }
}

fn alike(model: &Model) {
    let others = [in_double(model), shaken(model, 1), shaken(model, 2), shaken(model, 3)];
    for sampling in [
        Sampling { max_tokens: 25, stop: vec![0], ..Sampling::default() },
        Sampling { max_tokens: 25, temperature: 0.7, top_p: 0.8, ..Sampling::default() },
        Sampling { max_tokens: 25, temperature: 1.3, top_k: 4, ..Sampling::default() },
        Sampling { max_tokens: 25, min_p: 0.2, ..Sampling::default() },
        Sampling { max_tokens: 25, temperature: 1.5, vocabulary: Some(7), ..Sampling::default() },
        Sampling { max_tokens: 25, temperature: 0.0, ..Sampling::default() },
    ] {
        let tokens = |model: &Model, batch| -> Vec<Vec<i64>> {
            run(model, &requests(12), &sampling, batch).into_iter().map(|completion| completion.ids).collect()
        };
        let expected = tokens(model, 5);
        for other in &others {
            assert_eq!(tokens(other, 7), expected, "{sampling:?}");
        }
    }
}

#[test]
fn top_k_top_p_and_min_p_keep_the_likeliest() {
    let model = model();
    let greedy = Sampling { temperature: 0.0, max_tokens: 12, ..Sampling::default() };
    let expected = run(&model, &requests(5), &greedy, 5);
    for (one, two) in expected.iter().zip(run(&shaken(&model, 1), &requests(5), &greedy, 5)) {
        assert_eq!(one.ids, two.ids, "two tokens are too near each other for a test");
    }
    for narrow in [
        Sampling { top_k: 1, max_tokens: 12, ..Sampling::default() },
        Sampling { top_p: 1e-6, max_tokens: 12, ..Sampling::default() },
        Sampling { min_p: 1.0, max_tokens: 12, ..Sampling::default() },
    ] {
        for (one, two) in expected.iter().zip(run(&model, &requests(5), &narrow, 5)) {
            assert_eq!(one.ids, two.ids, "{narrow:?}");
        }
    }
}

#[test]
fn ids_beyond_the_vocabulary_are_never_drawn_and_the_log_probs_are_those_of_the_whole_head() {
    let model = model();
    for temperature in [0.0, 1.4] {
        let sampling = Sampling { max_tokens: 12, temperature, vocabulary: Some(7), ..Sampling::default() };
        let requests = requests(6);
        let completions = run(&model, &requests, &sampling, 4);
        let free = run(&model, &requests, &Sampling { vocabulary: None, ..sampling }, 4);
        assert!(free.iter().flat_map(|completion| &completion.ids).any(|id| *id >= 7), "the limit must bind");
        let _guard = lm::no_grad_guard();
        for (request, completion) in requests.iter().zip(&completions) {
            assert!(completion.ids.iter().all(|id| (0..7).contains(id)), "{:?}", completion.ids);
            let whole = Rows::pack([[&request.prompt[..], &completion.ids].concat()]);
            let divisor = if temperature == 0.0 { 1.0 } else { temperature };
            let log_probs = (model.logits(&model.hidden(&whole)) / divisor).log_softmax(-1, Kind::Double);
            for (index, (id, log_prob)) in completion.ids.iter().zip(&completion.logprobs).enumerate() {
                let expected = log_probs.double_value(&[(request.prompt.len() + index) as i64 - 1, *id]);
                assert!((expected - f64::from(*log_prob)).abs() < 2e-5, "{expected} {log_prob}");
            }
        }
    }
}

#[test]
fn tokens_come_as_often_as_their_probability_says() {
    let model = model();
    let prompt = vec![3i64, 8, 1];
    let count = 20_000u64;
    let requests: Vec<Request> = (0..count).map(|seed| Request { prompt: prompt.clone(), seed }).collect();
    let sampling = Sampling { max_tokens: 1, ..Sampling::default() };
    let mut seen = [0u32; 19];
    for completion in run(&model, &requests, &sampling, 4096) {
        seen[completion.ids[0] as usize] += 1;
    }
    let _guard = lm::no_grad_guard();
    let logits = model.logits(&model.hidden(&Rows::pack([prompt])));
    let probs: Vec<f64> = Vec::try_from(logits.get(2).softmax(-1, Kind::Double)).expect("doubles");
    for (token, (seen, prob)) in seen.iter().zip(&probs).enumerate() {
        let expected = prob * count as f64;
        let deviation = (expected * (1.0 - prob)).sqrt();
        assert!((f64::from(*seen) - expected).abs() < 4.5 * deviation, "token {token}: {seen}, expected {expected}");
    }
}

#[test]
fn rows_end_at_the_last_position() {
    let model = tiny("llama", &Shape { max_position_embeddings: 10, ..TINY });
    let sampling = Sampling { max_tokens: 50, ..Sampling::default() };
    let requests = [Request { prompt: vec![1, 2, 3], seed: 1 }, Request { prompt: vec![4; 9], seed: 2 }];
    let completions = run(&model, &requests, &sampling, 2);
    assert_eq!(completions.iter().map(|completion| completion.ids.len()).collect::<Vec<_>>(), [7, 1]);
    assert!(completions.iter().all(|completion| !completion.finished));
}

#[test]
fn wrong_requests_are_refused_by_number() {
    let model = tiny("llama", &Shape { max_position_embeddings: 10, ..TINY });
    let check = |prompt: Vec<i64>, sampling: Sampling| {
        let requests = [Request { prompt: vec![1], seed: 0 }, Request { prompt, seed: 0 }];
        generate(&model, &requests, &sampling, 2, &mut |_, _| {}).expect_err("a wrong request")
    };
    for prompt in [vec![], vec![1; 10], vec![19], vec![-1]] {
        assert!(matches!(check(prompt, Sampling::default()), Error::Prompt { index: 1, .. }));
    }
    for sampling in [
        Sampling { temperature: -1.0, ..Sampling::default() },
        Sampling { temperature: f64::NAN, ..Sampling::default() },
        Sampling { top_p: 0.0, ..Sampling::default() },
        Sampling { top_p: 1.5, ..Sampling::default() },
    ] {
        assert!(matches!(check(vec![1], sampling), Error::Sampling(_)));
    }
    assert_eq!(run(&model, &[], &Sampling::default(), 4), []);
}
