//! How good a reward model is on held-out judgements: accuracy, calibration, and whether it judges by length.
//!
//! *Calibration*: of the judgements to which the model gives a confidence of 0.8, it should be right about 80 %. The
//! expected calibration error is the mean distance, weighted by judgements (Guo et al., 2017, arXiv 1706.04599). *Length
//! bias*: a policy learns to write long answers from a model that prefers them more often than the judgements do.

use serde_json::{Map, Value, json};

use super::judgements::Judgement;

/// Bins of confidence between a half and 1.
const BINS: usize = 5;
/// A bias within this is not warned of.
const BIAS: f64 = 0.1;
/// Fewer judgements say too little.
const ENOUGH: usize = 30;

/// What is found on held-out judgements.
pub(super) struct Quality {
    accuracy: f64,
    /// Mean of (1 − p)², where p is the probability of the judgement.
    brier: f64,
    calibration_error: f64,
    bins: Vec<Bin>,
    length: Option<Length>,
}

/// Judgements of which the model is about equally sure.
struct Bin {
    judgements: usize,
    confidence: f64,
    accuracy: f64,
}

/// How the model and the judgements go with length.
enum Length {
    /// Of pairs of unequal length, the shares in which the longer is preferred.
    Pairs { pairs: usize, by_model: f64, by_judgements: f64 },
    /// Correlations of length with the model's score, and with the labels.
    Labels { labels: usize, of_scores: f64, of_labels: f64 },
}

impl Quality {
    /// Measures the model on judgements, given the margins that it gives them.
    pub(super) fn of(rows: &[Judgement], margins: &[f64]) -> Self {
        let probabilities: Vec<f64> = margins.iter().map(|margin| 1.0 / (1.0 + (-margin).exp())).collect();
        let count = rows.len().max(1) as f64;
        let bins = bins(&probabilities);
        let distance = |bin: &Bin| bin.judgements as f64 * (bin.confidence - bin.accuracy).abs();
        Self {
            accuracy: probabilities.iter().filter(|p| **p > 0.5).count() as f64 / count,
            brier: probabilities.iter().map(|p| (1.0 - p) * (1.0 - p)).sum::<f64>() / count,
            calibration_error: bins.iter().map(distance).sum::<f64>() / count,
            bins,
            length: of_pairs(rows, margins).or_else(|| of_labels(rows, margins)),
        }
    }

    /// Returns the figures, for the summary.
    pub(super) fn shown(&self) -> Map<String, Value> {
        let rounded = |value: f64| json!((value * 1e6).round() / 1e6);
        let bins: Vec<Value> = self
            .bins
            .iter()
            .map(|bin| {
                let (confidence, accuracy) = (rounded(bin.confidence), rounded(bin.accuracy));
                json!({ "confidence": confidence, "accuracy": accuracy, "judgements": bin.judgements })
            })
            .collect();
        let mut shown = Map::from_iter([
            ("held-out accuracy".to_owned(), json!(self.accuracy)),
            ("brier".to_owned(), rounded(self.brier)),
            ("calibration-error".to_owned(), rounded(self.calibration_error)),
            ("calibration".to_owned(), json!(bins)),
        ]);
        let figures = match &self.length {
            None => return shown,
            Some(Length::Pairs { by_model, by_judgements, .. }) => {
                [("prefers-longer", *by_model), ("longer-is-preferred", *by_judgements)]
            }
            Some(Length::Labels { of_scores, of_labels, .. }) => {
                [("length-score-correlation", *of_scores), ("length-label-correlation", *of_labels)]
            }
        };
        shown.extend(figures.map(|(name, value)| (name.to_owned(), rounded(value))));
        shown
    }

    /// Returns a warning if the model goes by length more than the judgements do.
    pub(super) fn warning(&self) -> Option<String> {
        let advice = "a policy that is rewarded by it will learn to write long answers: balance the lengths of the data, as \
                      the kind `judge` does, or reward conciseness beside it";
        match self.length.as_ref()? {
            Length::Pairs { pairs, by_model, by_judgements } if *pairs >= ENOUGH && by_model - by_judgements > BIAS => {
                let (model, judgements) = (100.0 * by_model, 100.0 * by_judgements);
                Some(format!(
                    "of {pairs} held-out pairs of unequal length the model prefers the longer answer in {model:.0} %, and the \
                     judgements do in {judgements:.0} %: {advice}"
                ))
            }
            Length::Labels { labels, of_scores, of_labels }
                if *labels >= ENOUGH && of_scores - of_labels > 2.0 * BIAS =>
            {
                Some(format!(
                    "on {labels} held-out labels the model's score goes with length (correlation {of_scores:.2}) more than \
                     the labels do ({of_labels:.2}): {advice}"
                ))
            }
            _ => None,
        }
    }
}

/// Groups judgements by the model's confidence, which is at least a half: that of the side that it takes.
fn bins(probabilities: &[f64]) -> Vec<Bin> {
    let place = |p: &f64| (((p.max(1.0 - p) - 0.5) * 2.0 * BINS as f64) as usize).min(BINS - 1);
    let bin = |number: usize| {
        let members: Vec<f64> = probabilities.iter().copied().filter(|p| place(p) == number).collect();
        let count = members.len() as f64;
        (!members.is_empty()).then(|| Bin {
            judgements: members.len(),
            confidence: members.iter().map(|p| p.max(1.0 - p)).sum::<f64>() / count,
            accuracy: members.iter().filter(|p| **p > 0.5).count() as f64 / count,
        })
    };
    (0..BINS).filter_map(bin).collect()
}

fn of_pairs(rows: &[Judgement], margins: &[f64]) -> Option<Length> {
    let unequal: Vec<(bool, bool)> = rows
        .iter()
        .zip(margins)
        .filter_map(|(row, margin)| match row {
            Judgement::Pair { chosen, rejected } if chosen.len() != rejected.len() => {
                let is_longer_chosen = chosen.len() > rejected.len();
                Some((is_longer_chosen, is_longer_chosen == (*margin > 0.0)))
            }
            _ => None,
        })
        .collect();
    let share = |holds: fn(&(bool, bool)) -> bool| {
        unequal.iter().filter(|pair| holds(pair)).count() as f64 / unequal.len() as f64
    };
    (!unequal.is_empty()).then(|| Length::Pairs {
        pairs: unequal.len(),
        by_model: share(|(_, model)| *model),
        by_judgements: share(|(judgement, _)| *judgement),
    })
}

fn of_labels(rows: &[Judgement], margins: &[f64]) -> Option<Length> {
    let labels: Vec<(f64, f64, f64)> = rows
        .iter()
        .zip(margins)
        .filter_map(|(row, margin)| match row {
            Judgement::Label { label, length, .. } => {
                let sign = if *label == 1 { 1.0 } else { -1.0 };
                Some((*length as f64, margin * sign, sign))
            }
            Judgement::Pair { .. } => None,
        })
        .collect();
    let of_scores = correlation(labels.iter().map(|(length, score, _)| (*length, *score)))?;
    // Labels that are all alike go with nothing.
    let of_labels = correlation(labels.iter().map(|(length, _, label)| (*length, *label))).unwrap_or(0.0);
    Some(Length::Labels { labels: labels.len(), of_scores, of_labels })
}

/// Returns Pearson's correlation; `None` if one side does not vary.
fn correlation(values: impl Iterator<Item = (f64, f64)> + Clone) -> Option<f64> {
    let count = values.clone().count() as f64;
    let sum = values.clone().fold((0.0, 0.0), |sum, value| (sum.0 + value.0, sum.1 + value.1));
    let (x, y) = (sum.0 / count, sum.1 / count);
    let products = values.fold((0.0, 0.0, 0.0), |sum, value| {
        let (dx, dy) = (value.0 - x, value.1 - y);
        (sum.0 + dx * dy, sum.1 + dx * dx, sum.2 + dy * dy)
    });
    let scale = (products.1 * products.2).sqrt();
    (scale > 0.0).then(|| products.0 / scale)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(chosen: usize, rejected: usize) -> Judgement {
        Judgement::Pair { chosen: vec![0; chosen], rejected: vec![0; rejected] }
    }

    #[test]
    fn confidence_is_compared_with_what_is_right() {
        // Four judgements at 0.8, three of them right; two at 0.95, both right.
        let logit = |p: f64| (p / (1.0 - p)).ln();
        let margins = [logit(0.8), logit(0.8), logit(0.8), -logit(0.8), logit(0.95), logit(0.95)];
        let rows = vec![pair(2, 2); 6];
        let shown = Quality::of(&rows, &margins).shown();
        let close = |name: &str, value: f64| {
            let found = shown[name].as_f64().unwrap();
            assert!((found - value).abs() < 1e-6, "{name} is {found}, not {value}");
        };
        close("held-out accuracy", 5.0 / 6.0);
        close("calibration-error", (4.0 * 0.05 + 2.0 * 0.05) / 6.0);
        close("brier", (3.0 * 0.04 + 0.64 + 2.0 * 0.0025) / 6.0);
        assert_eq!(shown["calibration"].as_array().unwrap().len(), 2);
        assert!(!shown.contains_key("prefers-longer"), "all are equally long");
    }

    #[test]
    fn a_model_that_goes_by_length_is_told_of() {
        // People prefer the longer one in half of the pairs, the model in nine of ten.
        let rows: Vec<Judgement> = (0..40).map(|n| if n % 2 == 0 { pair(9, 3) } else { pair(3, 9) }).collect();
        let margins: Vec<f64> = (0..40).map(|n| if n % 2 == 0 || n % 10 == 1 { 1.0 } else { -1.0 }).collect();
        let biased = Quality::of(&rows, &margins);
        assert_eq!(
            (&biased.shown()["prefers-longer"], &biased.shown()["longer-is-preferred"]),
            (&json!(0.9), &json!(0.5))
        );
        assert!(biased.warning().unwrap().starts_with("of 40 held-out pairs of unequal length the model prefers"));
        assert!(Quality::of(&rows, &[1.0; 40]).warning().is_none(), "it agrees with the judgements");
    }

    #[test]
    fn labels_and_lengths_are_correlated() {
        let label = |length: usize, label: u8| Judgement::Label { completion: Vec::new(), label, length };
        let rows: Vec<Judgement> = (0..40).map(|n| label(n, u8::from(n % 2 == 0))).collect();
        // The score is the length, whatever the label.
        let margins: Vec<f64> = (0..40).map(|n| f64::from(n) * if n % 2 == 0 { 1.0 } else { -1.0 }).collect();
        let quality = Quality::of(&rows, &margins);
        assert_eq!(quality.shown()["length-score-correlation"], json!(1.0));
        assert!(quality.warning().unwrap().contains("correlation 1.00"));
    }
}
