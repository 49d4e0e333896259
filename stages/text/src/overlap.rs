//! Overlap of texts: shared n-grams of words, and near-duplicates by MinHash.
//!
//! Decontamination as DeepSeek describes it (R1, "Data": a text is left out if it has a 10-gram of an evaluation
//! question) and Open-R1's `decontaminate.py` does it (n-grams of words in lower case; 8 there). Departures: words are
//! runs of letters and digits instead of all that stands between white space, so that punctuation and LaTeX's marks do
//! not hide an overlap; letters of scripts that are written without spaces are words of their own; and a text of fewer
//! than n words is one n-gram, so that short questions match equal ones instead of nothing.
//!
//! Near-duplicates: MinHash with bands (Broder 1997; Leskovec et al., "Mining of Massive Datasets", section 3.4) finds
//! pairs that may be similar, and the exact Jaccard index of their shingles decides. Everything is a function of the
//! texts alone: neither threads nor processors change a result.

use unicode_script::{Script, UnicodeScript};

/// Words in a shingle.
const SHINGLE: usize = 5;
/// Hash functions of a signature.
const HASHES: usize = 128;
/// Least probability that a pair at the threshold is found.
const RECALL: f64 = 0.999;

/// Returns a hash of each word of a text.
pub fn words(text: &str) -> Vec<u64> {
    let mut words = Vec::new();
    let mut word = Hash::default();
    for letter in text.chars().flat_map(char::to_lowercase) {
        let is_whole = is_word(letter);
        if (is_whole || !letter.is_alphanumeric())
            && let Some(word) = std::mem::take(&mut word).end()
        {
            words.push(word);
        }
        if letter.is_alphanumeric() {
            word.push(letter);
        }
        if is_whole && let Some(word) = std::mem::take(&mut word).end() {
            words.push(word);
        }
    }
    words.extend(word.end());
    words
}

/// Returns whether a letter is a word: scripts that are written without spaces.
fn is_word(letter: char) -> bool {
    matches!(letter.script(), Script::Han | Script::Hiragana | Script::Katakana | Script::Thai | Script::Lao)
        && letter.is_alphanumeric()
}

/// FNV-1a of a word's letters.
#[derive(Default)]
struct Hash(Option<u64>);

impl Hash {
    fn push(&mut self, letter: char) {
        let before = self.0.unwrap_or(0xcbf2_9ce4_8422_2325);
        self.0 = Some((before ^ u64::from(letter)).wrapping_mul(0x0000_0100_0000_01b3));
    }

    fn end(self) -> Option<u64> {
        self.0.map(mixed)
    }
}

/// Spreads a number over all bits (the end of MurmurHash3).
fn mixed(number: u64) -> u64 {
    let number = (number ^ (number >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    let number = (number ^ (number >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    number ^ (number >> 33)
}

/// Returns a hash of each n-gram of a text's words; of a shorter text, one of all its words.
pub fn ngrams(words: &[u64], n: usize) -> impl Iterator<Item = u64> {
    let n = n.clamp(1, words.len().max(1));
    words.windows(n).map(|gram| gram.iter().fold(gram.len() as u64, |hash, word| mixed(hash.rotate_left(5) ^ word)))
}

/// Returns the shingles of a text, sorted, each once.
pub fn shingles(text: &str) -> Vec<u64> {
    let mut shingles: Vec<u64> = ngrams(&words(text), SHINGLE).collect();
    shingles.sort_unstable();
    shingles.dedup();
    shingles
}

/// Returns the share of shingles that two texts have in common. Texts without a word are alike.
pub fn jaccard(one: &[u64], other: &[u64]) -> f64 {
    let (mut both, mut rest) = (0_usize, other);
    for shingle in one {
        let at = rest.partition_point(|known| known < shingle);
        rest = &rest[at..];
        both += usize::from(rest.first() == Some(shingle));
    }
    let all = one.len() + other.len() - both;
    if all == 0 { 1.0 } else { both as f64 / all as f64 }
}

/// Finds texts that may be near-duplicates: they have a band in common.
#[derive(Clone, Debug)]
pub struct MinHash {
    functions: Vec<(u64, u64)>,
    rows: usize,
}

impl MinHash {
    /// Makes bands for pairs with at least this Jaccard index; a pair at the threshold is missed once in a thousand
    /// times at most.
    pub fn new(threshold: f64) -> Self {
        let recall = |rows: i32| 1.0 - (1.0 - threshold.powi(rows)).powi(HASHES as i32 / rows);
        let rows = (1..=16).rev().find(|rows| recall(*rows) >= RECALL).unwrap_or(1);
        // An odd factor makes each function a permutation.
        let functions = (1..=HASHES as u64).map(|number| (mixed(2 * number) | 1, mixed(2 * number + 1)));
        Self { functions: functions.collect(), rows: rows as usize }
    }

    /// Returns the bands of a text by its shingles.
    pub fn bands(&self, shingles: &[u64]) -> Vec<u64> {
        let least = |(factor, term): &(u64, u64)| {
            let values = shingles.iter().map(|shingle| shingle.wrapping_mul(*factor).wrapping_add(*term));
            values.min().unwrap_or(u64::MAX)
        };
        let signature: Vec<u64> = self.functions.iter().map(least).collect();
        let bands = signature.chunks_exact(self.rows).enumerate();
        bands
            .map(|(index, band)| band.iter().fold(index as u64, |hash, value| mixed(hash.rotate_left(5) ^ value)))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shared(one: &str, other: &str, n: usize) -> bool {
        let (one, other) = (words(one), words(other));
        let known: Vec<u64> = ngrams(&one, n).collect();
        ngrams(&other, n).any(|gram| known.contains(&gram))
    }

    #[test]
    fn words_are_runs_of_letters_and_digits_in_lower_case() {
        for (one, other) in [
            ("What is  $x+1$?", "what IS x 1"),
            ("Don't\nstop.", "don t stop"),
            ("Ein ÄPFEL", "ein äpfel"),
            ("二加二等于几", "二 加 二 等 于 几"),
            ("x2 = 3", "X2=3"),
        ] {
            assert_eq!(words(one), words(other), "{one}");
        }
        assert_ne!(words("x2"), words("x 2"));
        assert_ne!(words("ab c"), words("a bc"));
        assert_eq!((words("?! …").len(), words("二加二").len(), words("a二b").len()), (0, 3, 3));
    }

    #[test]
    fn an_ngram_is_shared_or_not() {
        let ten = "one two three four five six seven eight nine ten";
        assert!(shared(ten, &format!("zero {ten} eleven"), 10));
        assert!(!shared(ten, "one two three four five six seven eight nine eleven", 10));
        assert!(!shared(&format!("{ten} eleven"), ten, 11));
        assert!(shared("What is 2+2?", "what is 2 2", 10), "short texts match as a whole");
        assert!(!shared("What is 2+2?", "so what is 2 2", 10));
        assert!(!shared("", "a", 10));
        assert_eq!(ngrams(&words(ten), 10).count(), 1);
        assert_eq!(ngrams(&words(ten), 4).count(), 7);
        assert_eq!(ngrams(&words("a b c"), 10).count(), 1);
        assert_eq!(ngrams(&[], 10).count(), 0);
    }

    #[test]
    fn similarity_is_the_share_of_common_shingles() {
        let text = |words: std::ops::Range<usize>| words.map(|word| format!("w{word} ")).collect::<Vec<_>>().concat();
        // 96 and 96 shingles, 76 of them in both.
        let (one, other) = (shingles(&text(0..100)), shingles(&text(20..120)));
        assert!((jaccard(&one, &other) - 76.0 / 116.0).abs() < 1e-12);
        assert!((jaccard(&other, &one) - 76.0 / 116.0).abs() < 1e-12);
        assert!((jaccard(&one, &one) - 1.0).abs() < 1e-12);
        assert!(jaccard(&one, &shingles("other words")).abs() < 1e-12);
        assert!((jaccard(&[], &[]) - 1.0).abs() < 1e-12);
    }

    #[test]
    fn bands_find_what_is_similar() {
        let text = |first: usize, words: usize| {
            (first..first + words).map(|word| format!("w{word} ")).collect::<Vec<_>>().concat()
        };
        for threshold in [0.3, 0.5, 0.8, 0.95, 1.0] {
            let hash = MinHash::new(threshold);
            let mut missed = 0;
            for pair in 0..1_000 {
                let first = pair * 10_000;
                // Of n shingles each, the overlap o with o / (2n - o) just at the threshold.
                let overlap = (2.0 * 200.0 * threshold / (1.0 + threshold)).ceil() as usize;
                let one = shingles(&text(first, 204));
                let other = shingles(&text(first + 200 - overlap, 204));
                assert!(jaccard(&one, &other) >= threshold);
                let (one, other) = (hash.bands(&one), hash.bands(&other));
                missed += usize::from(!one.iter().any(|band| other.contains(band)));
            }
            assert!(missed <= 5, "{threshold}: {missed} of 1000 missed");
        }
        let hash = MinHash::new(0.8);
        let (one, other) = (hash.bands(&shingles(&text(0, 200))), hash.bands(&shingles(&text(1_000, 200))));
        assert!(!one.iter().any(|band| other.contains(band)));
    }
}
