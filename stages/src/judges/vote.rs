//! Parses a judge's verdict: the text after the last `Verdict:`, or the last line if there is no such word.
//!
//! Only an exact answer counts: `yes`, `no`, a number on the scale, `A>B`. Anything else is no verdict, for example a
//! judge that repeats the question.

use super::Asks;

/// Returns the vote in a judge's text: 0 or 1 (`yes-no`), 0 to 1 (`score`), or how much better the first answer is, −2
/// to 2 (`comparison`). `None` if there is no verdict.
pub(super) fn read(asks: Asks, [least, most]: [i64; 2], text: &str) -> Option<f64> {
    let text = text::think::parse(text).answer;
    let said = verdict(text)?;
    match asks {
        Asks::YesNo => yes_no(&said),
        Asks::Score => {
            let score = score(&said, most)?;
            let (least, most) = (least as f64, most as f64);
            (least..=most).contains(&score).then(|| (score - least) / (most - least))
        }
        Asks::Comparison => comparison(&said),
    }
}

/// Returns what is said as the verdict, without marks around it, in lower case.
fn verdict(text: &str) -> Option<String> {
    let plain: String = text.to_lowercase().chars().filter(|c| !"*_`\"[](){}$\\".contains(*c)).collect();
    let said = match plain.rfind("verdict") {
        Some(at) => plain[at + "verdict".len()..].trim_start_matches([':', '：', ' ', '\n']),
        None => plain.trim_end().rsplit('\n').next()?,
    };
    let line = said.lines().next()?.trim();
    (!line.is_empty()).then(|| line.to_owned())
}

fn yes_no(said: &str) -> Option<f64> {
    let words: Vec<&str> = said.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).collect();
    let has = |word: &str| words.contains(&word);
    match *words.first()? {
        "yes" if !has("no") => Some(1.0),
        "no" if !has("yes") => Some(0.0),
        _ => None,
    }
}

/// Reads `7`, `7.5`, `7/10`, `7 out of 10`.
fn score(said: &str, most: i64) -> Option<f64> {
    let end = said.find(|c: char| !c.is_ascii_digit() && !".-".contains(c)).unwrap_or(said.len());
    let score: f64 = said[..end].trim_end_matches('.').parse().ok()?;
    let rest = said[end..].trim();
    let of = rest.strip_prefix('/').or_else(|| rest.strip_prefix("out of"));
    let is_whole = match of {
        Some(of) => of.trim().trim_end_matches('.').parse::<i64>().ok()? == most,
        None => !rest.starts_with(|c: char| c.is_alphanumeric() || "-–~/".contains(c)),
    };
    is_whole.then_some(score)
}

fn comparison(said: &str) -> Option<f64> {
    let said: String = said.chars().filter(|c| !c.is_whitespace()).collect();
    match said.trim_end_matches(['.', '!', ',', ';']) {
        "a>>b" | "b<<a" => Some(2.0),
        "a>b" | "b<a" | "a" => Some(1.0),
        "a=b" | "b=a" | "a==b" | "tie" => Some(0.0),
        "b>a" | "a<b" | "b" => Some(-1.0),
        "b>>a" | "a<<b" => Some(-2.0),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verdict_is_exactly_one_of_those_that_were_asked_for() {
        for (text, vote) in [
            ("It is right.\nVerdict: yes", Some(1.0)),
            ("**Verdict:** No.", Some(0.0)),
            ("Verdict: yes\nOn second thoughts:\nVerdict: no", Some(0.0)),
            ("<think>Verdict: no?</think>It fits. [[Verdict]]: [[Yes]]", Some(1.0)),
            ("yes", Some(1.0)),
            ("It is 7, so\nno", Some(0.0)),
            ("verdict：yes", Some(1.0)),
            ("Verdict: `yes` or `no`", None),
            ("Verdict: it depends", None),
            ("I would say yes to this, but", None),
            ("Verdict:", None),
            ("", None),
        ] {
            assert_eq!(read(Asks::YesNo, [1, 10], text), vote, "{text}");
        }
    }

    #[test]
    fn scores_lie_on_the_scale() {
        for (text, vote) in [
            ("Verdict: 10", Some(1.0)),
            ("Verdict: 1", Some(0.0)),
            ("Verdict: **5.5**/10", Some(0.5)),
            ("Verdict: 10 out of 10.", Some(1.0)),
            ("Verdict: 10.", Some(1.0)),
            ("Verdict: 1, because it is wrong", Some(0.0)),
            ("Verdict: 11", None),
            ("Verdict: 0", None),
            ("Verdict: 7/100", None),
            ("Verdict: 7-8", None),
            ("Verdict: 7 to 8", None),
            ("Verdict: N", None),
            ("Verdict: NaN", None),
            ("Verdict: 1e1", None),
        ] {
            assert_eq!(read(Asks::Score, [1, 10], text), vote, "{text}");
        }
        assert_eq!(read(Asks::Score, [-2, 2], "Verdict: -1"), Some(0.25));
    }

    #[test]
    fn comparisons_have_five_ends() {
        for (text, vote) in [
            ("Verdict: A>>B", Some(2.0)),
            ("My final verdict is: [[A > B]]", None),
            ("Final verdict: [[A > B]]", Some(1.0)),
            ("Verdict: A=B.", Some(0.0)),
            ("Verdict: B>A", Some(-1.0)),
            ("Verdict: B >> A", Some(-2.0)),
            ("Verdict: A<B", Some(-1.0)),
            ("Verdict: A", Some(1.0)),
            ("Verdict: tie", Some(0.0)),
            ("Verdict: A>>B, A>B, A=B", None),
            ("Verdict: both are good", None),
        ] {
            assert_eq!(read(Asks::Comparison, [1, 10], text), vote, "{text}");
        }
    }
}
