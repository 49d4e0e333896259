//! Training in double precision with plain operations: the reference for the product's steps in single precision.
//!
//! Two processors add in different orders, and training amplifies the difference: after fifty steps at a high learning
//! rate, a router may choose other experts, and no bound on a free run holds everywhere. In double precision, the
//! difference stays below 1e-12. So a whole curve is tested in double precision. In single precision, each single step
//! is tested, starting from the state of the double-precision run.

use lm::{AdamW, AdamWOptions, Kind, Model, Rows, Tensor, clip_grad_norm, no_grad_guard};

use crate::half::relative;
use crate::{gradient, sft_loss};

/// SFT of a model in double precision: AdamW as Loshchilov and Hutter define it, gradients clipped to a norm of 1.
pub(crate) struct Training {
    model: Model,
    options: AdamWOptions,
    lr: f64,
    moments: Vec<[Tensor; 2]>,
    steps: i32,
}

impl Training {
    pub(crate) fn new(model: Model, options: AdamWOptions, lr: f64) -> Self {
        assert_eq!(model.dtype(), Kind::Double);
        let zeros = |(_, parameter): &(String, Tensor)| [(); 2].map(|()| parameter.detach().zeros_like());
        Self { moments: model.parameters().iter().map(zeros).collect(), model, options, lr, steps: 0 }
    }

    /// Takes a step, and returns the loss before it and the norm of its gradients before clipping.
    pub(crate) fn step(&mut self, rows: &Rows) -> (f64, f64) {
        let loss = backward(&self.model, rows);
        let gradients: Vec<Tensor> = self.model.parameters().iter().map(|(_, parameter)| gradient(parameter)).collect();
        let norm = gradients.iter().map(|g| g.square().sum(Kind::Double).double_value(&[])).sum::<f64>().sqrt();
        let scale = (1.0 / (norm + 1e-6)).min(1.0);
        let AdamWOptions { beta1, beta2, eps, weight_decay } = self.options;
        self.steps += 1;
        let (first, second) = (1.0 - beta1.powi(self.steps), 1.0 - beta2.powi(self.steps));
        let _guard = no_grad_guard();
        for (((_, parameter), gradient), [mean, square]) in
            self.model.parameters().iter().zip(&gradients).zip(&mut self.moments)
        {
            let (gradient, decay) = (gradient * scale, if parameter.dim() >= 2 { weight_decay } else { 0.0 });
            *mean = &*mean * beta1 + &gradient * (1.0 - beta1);
            *square = &*square * beta2 + gradient.square() * (1.0 - beta2);
            let change = (&*mean / first) / ((&*square / second).sqrt() + eps);
            let moved = parameter * (1.0 - self.lr * decay) - change * self.lr;
            parameter.shallow_clone().copy_(&moved);
        }
        (loss, norm)
    }

    /// The optimiser's state in the product's form.
    fn state(&self) -> Vec<(String, Tensor)> {
        let mut state = vec![("step".to_owned(), Tensor::from(f64::from(self.steps)).to_kind(Kind::Float))];
        for ((name, _), [mean, square]) in self.model.parameters().iter().zip(&self.moments) {
            state.push((format!("exp_avg.{name}"), mean.to_kind(Kind::Float)));
            state.push((format!("exp_avg_sq.{name}"), square.to_kind(Kind::Float)));
        }
        state
    }
}

/// The product's step in single precision, from the state of a [`Training`].
pub(crate) struct Follower {
    model: Model,
    optimiser: AdamW,
}

impl Follower {
    pub(crate) fn new(model: Model, options: AdamWOptions) -> Self {
        assert_eq!(model.dtype(), Kind::Float);
        Self { optimiser: AdamW::new(model.parameters(), options), model }
    }

    /// Takes the next step of `exact` from the state of `exact`, and compares loss, gradients, norm and weights with
    /// those of `exact`.
    ///
    /// Bounds are ten times the worst difference of these models under seven settings of libtorch, oneDNN and MKL, from
    /// SSE to AVX-512: 2.1e-7 of the loss, 2.0e-6 of the norm, 9.3e-6 of a gradient. A gradient whose terms nearly
    /// cancel is compared relative to a hundredth of the whole norm. AdamW divides by the root of the squared gradient:
    /// where a gradient is near zero, its sign is decided by rounding, and in the first step no mean outweighs it (6e-4
    /// of the step, 2e-5 from the second step on).
    pub(crate) fn follow(&mut self, exact: &mut Training, rows: &Rows, what: &str) -> (f64, f64) {
        self.model.copy_weights_from(&exact.model);
        self.optimiser.restore(&exact.state()).expect("the same parameters");
        let before: Vec<Tensor> = exact.model.parameters().iter().map(|(_, parameter)| parameter.copy()).collect();
        let found = sft_loss(&self.model, rows);
        let (loss, norm) = exact.step(rows);
        assert!((found - loss).abs() < 2e-6 * loss, "{what}: loss {found}, in double precision {loss}");
        let parameters = || self.model.parameters().iter().zip(exact.model.parameters());
        for ((name, single), (_, double)) in parameters() {
            let (single, double) = (gradient(single), gradient(double));
            let differs = size(&(single.to_kind(Kind::Double) - &double));
            let allowed = 1e-4 * size(&double).max(0.01 * norm);
            assert!(differs <= allowed, "{what}: gradient of {name} is off by {differs}, allowed {allowed}");
        }
        let clipped = clip_grad_norm(self.model.parameters(), 1.0).expect("gradients");
        assert!((clipped - norm).abs() < 2e-5 * norm, "{what}: norm {clipped}, in double precision {norm}");
        self.optimiser.step(exact.lr).expect("matching shapes");
        let moves = |to: &dyn Fn(usize) -> Tensor| {
            let all: Vec<Tensor> = before.iter().enumerate().map(|(i, from)| (to(i) - from).view(-1)).collect();
            Tensor::cat(&all, 0)
        };
        let at = |model: &Model, i: usize| model.parameters()[i].1.detach().to_kind(Kind::Double);
        let differs = relative(&moves(&|i| at(&self.model, i)), &moves(&|i| at(&exact.model, i)));
        let allowed = if exact.steps == 1 { 1e-2 } else { 2e-4 };
        assert!(differs < allowed, "{what}: weights move otherwise by {differs} of their way");
        (loss, norm)
    }
}

/// Stores the gradients of a batch of SFT in the parameters and returns the loss. It computes all logits at once,
/// because the product's head always computes in single precision.
pub(crate) fn backward(model: &Model, rows: &Rows) -> f64 {
    model.zero_grad().expect("parameters take gradients");
    let predictions = rows.predictions();
    let hidden = model.hidden(rows).index_select(0, &Tensor::from_slice(&predictions.positions));
    let logps = model.logits(&hidden).log_softmax(-1, Kind::Double);
    let loss = -logps.gather(1, &Tensor::from_slice(&predictions.targets).unsqueeze(1), false).mean(Kind::Double);
    loss.backward();
    loss.double_value(&[])
}

fn size(tensor: &Tensor) -> f64 {
    tensor.to_kind(Kind::Double).norm().double_value(&[])
}
