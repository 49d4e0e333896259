//! Hedges: whether an answer says that it may be wrong.

use std::sync::LazyLock;

use regex::Regex;

static HEDGES: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(
        r"(?i)\b(?:maybe|perhaps|possibly|probably|presumably|i (?:think|guess|believe)|not (?:quite |entirely )?(?:sure|certain)|unsure|uncertain|might be|could be|may be)\b|可能|也许|大概|不确定",
    )
    .expect("a constant pattern")
});

/// Returns whether an answer hedges.
pub fn is_hedged(answer: &str) -> bool {
    HEDGES.is_match(answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table() {
        for hedged in ["maybe 7", "I'm not sure, 7", "Probably 12.", "it could be 3", "大概是7", "I think 4"] {
            assert!(is_hedged(hedged), "{hedged}");
        }
        for plain in ["7", "the answer is 7", "surely 7", "certainly 7", "thinking 7"] {
            assert!(!is_hedged(plain), "{plain}");
        }
    }
}
