//! Figures of graded completions: how many are right, what each reward gives, how labels agree.

use std::collections::BTreeMap;

use engine::worker::grade::{GradedRow, GradedVerdict};
use serde::Serialize;

/// What is counted of graded rows.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Summary {
    pub(crate) rows: usize,
    /// Right, finished, and in the wanted form.
    pub(crate) right: usize,
    /// Right, but unfinished or not in the wanted form.
    pub(crate) right_but_not_in_form: usize,
    pub(crate) wrong: usize,
    pub(crate) answer_unparsed: usize,
    pub(crate) gold_unparsed: usize,
    /// Not compared with anything.
    pub(crate) without_gold: usize,
    /// Finished, and in the wanted form.
    pub(crate) format: usize,
    /// Reward name → its scores before its weight.
    pub(crate) rewards: BTreeMap<String, Spread>,
    /// The weighted sum.
    pub(crate) total: Spread,
}

/// Numbers in brief.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(crate) struct Spread {
    /// How many there are.
    pub(crate) rows: usize,
    pub(crate) mean: Option<f64>,
    pub(crate) least: Option<f64>,
    pub(crate) most: Option<f64>,
    #[serde(skip)]
    sum: f64,
}

/// What labels say beside what was judged, where there are both.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Confusion {
    pub(crate) label_right: Judged,
    pub(crate) label_wrong: Judged,
    /// Share of rows that are judged as labelled; absent without such rows.
    pub(crate) agreement: Option<f64>,
    /// Rows with no label, or with nothing to compare with.
    pub(crate) left_out: usize,
}

/// How rows of one label were judged.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Judged {
    pub(crate) judged_right: usize,
    pub(crate) judged_wrong: usize,
}

impl Summary {
    /// Begins to count, with a place for each of these rewards.
    pub(crate) fn of<'a>(rewards: impl Iterator<Item = &'a String>) -> Self {
        Self {
            rows: 0,
            right: 0,
            right_but_not_in_form: 0,
            wrong: 0,
            answer_unparsed: 0,
            gold_unparsed: 0,
            without_gold: 0,
            format: 0,
            rewards: rewards.map(|name| (name.clone(), Spread::default())).collect(),
            total: Spread::default(),
        }
    }

    /// Counts a row.
    pub(crate) fn add(&mut self, row: &GradedRow) {
        self.rows += 1;
        let count = match row.verdict {
            Some(GradedVerdict::Correct) if row.correct == Some(true) => &mut self.right,
            Some(GradedVerdict::Correct) => &mut self.right_but_not_in_form,
            Some(GradedVerdict::Wrong) => &mut self.wrong,
            Some(GradedVerdict::AnswerUnparsed) => &mut self.answer_unparsed,
            Some(GradedVerdict::GoldUnparsed) => &mut self.gold_unparsed,
            None => &mut self.without_gold,
        };
        *count += 1;
        self.format += usize::from(row.format);
        for (name, score) in &row.parts {
            self.rewards.entry(name.clone()).or_default().add(*score);
        }
        self.total.add(row.total);
    }
}

impl Spread {
    fn add(&mut self, value: f64) {
        self.rows += 1;
        self.sum += value;
        self.mean = Some(self.sum / self.rows as f64);
        self.least = Some(self.least.map_or(value, |least| least.min(value)));
        self.most = Some(self.most.map_or(value, |most| most.max(value)));
    }
}

impl Confusion {
    /// Counts a row.
    pub(crate) fn add(&mut self, row: &GradedRow) {
        let Some((label, correct)) = row.label.zip(row.correct) else {
            self.left_out += 1;
            return;
        };
        let judged = if label { &mut self.label_right } else { &mut self.label_wrong };
        *(if correct { &mut judged.judged_right } else { &mut judged.judged_wrong }) += 1;
        self.agreement = Some(self.agreeing() as f64 / self.rows() as f64);
    }

    /// Returns how many rows are judged as labelled.
    pub(crate) fn agreeing(&self) -> usize {
        self.label_right.judged_right + self.label_wrong.judged_wrong
    }

    /// Returns how many rows have a label and are judged.
    pub(crate) fn rows(&self) -> usize {
        self.agreeing() + self.label_right.judged_wrong + self.label_wrong.judged_right
    }
}

/// Returns whether a row's label says other than what was judged.
pub(crate) fn disagrees(row: &GradedRow) -> bool {
    row.label.zip(row.correct).is_some_and(|(label, correct)| label != correct)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(verdict: Option<GradedVerdict>, in_form: bool, label: Option<bool>) -> GradedRow {
        let correct = verdict.map(|verdict| in_form && verdict == GradedVerdict::Correct);
        GradedRow {
            index: 0,
            gold: None,
            answer: String::new(),
            verdict,
            correct,
            format: in_form,
            total: 0.0,
            parts: correct.map(|correct| ("accuracy".to_owned(), f64::from(u8::from(correct)))).into_iter().collect(),
            label,
            explanation: None,
        }
    }

    #[test]
    fn every_row_is_counted_once() {
        let names = ["accuracy".to_owned(), "length".to_owned()];
        let mut summary = Summary::of(names.iter());
        for (verdict, in_form) in [
            (Some(GradedVerdict::Correct), true),
            (Some(GradedVerdict::Correct), false),
            (Some(GradedVerdict::Wrong), true),
            (Some(GradedVerdict::AnswerUnparsed), true),
            (Some(GradedVerdict::GoldUnparsed), true),
            (None, true),
        ] {
            summary.add(&row(verdict, in_form, None));
        }
        let counts = [
            summary.right,
            summary.right_but_not_in_form,
            summary.wrong,
            summary.answer_unparsed,
            summary.gold_unparsed,
            summary.without_gold,
        ];
        assert_eq!((counts, summary.rows, summary.format), ([1; 6], 6, 5));
        let accuracy = &summary.rewards["accuracy"];
        let figures = (accuracy.rows, accuracy.mean, accuracy.least, accuracy.most);
        assert_eq!(figures, (5, Some(0.2), Some(0.0), Some(1.0)));
        assert_eq!(summary.rewards["length"], Spread::default(), "it applies nowhere");
    }

    #[test]
    fn labels_are_compared_with_judgements_where_there_are_both() {
        let mut confusion = Confusion::default();
        assert_eq!((confusion.agreement, confusion.rows()), (None, 0));
        for (verdict, in_form, label) in [
            (Some(GradedVerdict::Correct), true, Some(true)),
            (Some(GradedVerdict::Correct), true, Some(true)),
            (Some(GradedVerdict::Correct), true, Some(false)),
            (Some(GradedVerdict::Wrong), true, Some(false)),
            (Some(GradedVerdict::AnswerUnparsed), true, Some(true)),
            (Some(GradedVerdict::GoldUnparsed), true, Some(true)),
            (Some(GradedVerdict::Correct), false, Some(true)),
            (Some(GradedVerdict::Wrong), true, None),
            (None, true, Some(true)),
        ] {
            let row = row(verdict, in_form, label);
            confusion.add(&row);
            assert_eq!(disagrees(&row), label.zip(row.correct).is_some_and(|(label, correct)| label != correct));
        }
        let expected = Confusion {
            label_right: Judged { judged_right: 2, judged_wrong: 3 },
            label_wrong: Judged { judged_right: 1, judged_wrong: 1 },
            agreement: Some(3.0 / 7.0),
            left_out: 2,
        };
        assert_eq!((confusion.rows(), confusion), (7, expected));
    }
}
