//! Tokenizers in Hugging Face's `tokenizer.json` format: loaded, made from an alphabet, or trained.
//!
//! Python's `tokenizers` loads the tokenizers made here unchanged. Making is deterministic: equal texts in equal order
//! give equal bytes.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::str::FromStr;
use std::sync::Once;

use serde_json::{Value, json};
use tokenizers::models::TrainerWrapper;
use tokenizers::models::bpe::{BPE, BpeTrainer};
use tokenizers::normalizers::unicode::NFC;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::sequence::Sequence;
use tokenizers::pre_tokenizers::split::{Split, SplitPattern};
use tokenizers::tokenizer::normalizer::SplitDelimiterBehavior;
use tokenizers::{AddedToken, Tokenizer as HfTokenizer};

use crate::growth::{Growth, too_long};
use crate::{Error, limits};

/// Text ↔ token ids.
#[derive(Clone, Debug)]
pub struct Tokenizer {
    inner: HfTokenizer,
    json: String,
    growth: Growth,
    /// A text before which the tokenizer inserts no space, with its ids, if it inserts one before a text that stands
    /// alone.
    anchor: Option<(&'static str, Vec<i64>)>,
}

impl Tokenizer {
    /// Reads `tokenizer.json` of a model's folder.
    pub fn load(dir: &Path) -> Result<Self, Error> {
        let path = dir.join("tokenizer.json");
        let json = outside::read_text(&path, limits::TOKENIZER_BYTES, limits::NO_SUCH_FILE)?;
        Self::from_json(&json).map_err(|error| match error {
            Error::Tokenizer(reason) => Error::Json { path, reason },
            other => other,
        })
    }

    /// Parses the text of a `tokenizer.json`; returns an error if it exceeds [`limits`].
    pub fn from_json(json: &str) -> Result<Self, Error> {
        bound_patterns();
        let refused = |reason: String| Error::Tokenizer(format!("{reason}; help: {CURE}"));
        let growth = caught(|| Growth::of(json)).map_err(refused)?;
        let inner = caught(|| HfTokenizer::from_str(json).map_err(|error| error.to_string()));
        let mut inner = inner.map_err(Error::Tokenizer)?;
        // They are settings of one call in Python, which its `tokenizers` saves; transformers ignores them, too.
        inner.with_padding(None);
        inner.with_truncation(None).map_err(|error| Error::Tokenizer(error.to_string()))?;
        let count = inner.get_vocab_size(true);
        if count > limits::TOKENS {
            return Err(refused(format!("it has {count} tokens, of at most {}", limits::TOKENS)));
        }
        if let Some(token) = inner.get_vocab(true).into_keys().find(|token| token.len() > limits::TOKEN_BYTES) {
            return Err(refused(too_long(&token)));
        }
        let mut tokenizer = Self { inner, json: json.to_owned(), growth, anchor: None };
        tokenizer.anchor = tokenizer.anchor_if_needed();
        Ok(tokenizer)
    }

    /// Returns the text of the `tokenizer.json`, byte for byte as read or made.
    pub fn to_json(&self) -> &str {
        &self.json
    }

    /// Returns the ids of `text`. Special tokens in the text are recognised; none are added.
    pub fn encode(&self, text: &str) -> Result<Vec<i64>, Error> {
        self.encode_with(text, false)
    }

    /// Returns the ids of a text that stands alone: with the special tokens that the tokenizer adds before it, such as
    /// `<s>`, and without those that it adds after it.
    pub fn encode_text(&self, text: &str) -> Result<Vec<i64>, Error> {
        let (mut ids, bare) = (self.encode_with(text, true)?, self.encode_with(text, false)?);
        if let Some(end) = (0..=ids.len()).rev().find(|end| ids[..*end].ends_with(&bare)) {
            ids.truncate(end);
        }
        Ok(ids)
    }

    /// Returns the ids of a text that continues another: without a space that the tokenizer inserts before a text.
    pub fn encode_continuation(&self, text: &str) -> Result<Vec<i64>, Error> {
        if let Some((anchor, before)) = &self.anchor {
            let mut ids = self.encode(&format!("{anchor}{text}"))?;
            if ids.starts_with(before) {
                return Ok(ids.split_off(before.len()));
            }
        }
        self.encode(text)
    }

    /// Finds an anchor for [`encode_continuation`](Self::encode_continuation), as for Llama 2's tokenizer.
    fn anchor_if_needed(&self) -> Option<(&'static str, Vec<i64>)> {
        let alone = self.encode("a").ok()?;
        for anchor in ["\n", ":", "."] {
            let Ok(before) = self.encode(anchor) else { continue };
            let Ok(both) = self.encode(&format!("{anchor}a")) else { continue };
            if !before.is_empty() && both.starts_with(&before) {
                return (both[before.len()..] != alone).then_some((anchor, before));
            }
        }
        None
    }

    fn encode_with(&self, text: &str, special: bool) -> Result<Vec<i64>, Error> {
        caught(|| {
            self.growth.check(text).map_err(|reason| format!("{reason}; help: {CURE}"))?;
            let encoding =
                self.inner.encode_fast(text, special).map_err(|error| self.unknown(text, &error.to_string()))?;
            Ok(encoding.get_ids().iter().map(|id| i64::from(*id)).collect())
        })
        .map_err(Error::Tokenizer)
    }

    /// Returns the error about a text that cannot be encoded, with the first character that has no token.
    fn unknown(&self, text: &str, error: &str) -> String {
        let is_unknown = |c: &char| self.inner.encode_fast(c.to_string(), false).is_err();
        match text.chars().find(is_unknown) {
            Some(c) => format!("it has no token for `{c}`, and none for unknown characters"),
            None => error.to_owned(),
        }
    }

    /// Returns the text of `ids`, special tokens included; ids outside the vocabulary are ignored.
    pub fn decode(&self, ids: &[i64]) -> String {
        self.decode_with(ids, false)
    }

    /// Returns the text of `ids` without special tokens.
    pub fn decode_plain(&self, ids: &[i64]) -> String {
        self.decode_with(ids, true)
    }

    fn decode_with(&self, ids: &[i64], skip_special: bool) -> String {
        let ids: Vec<u32> = ids.iter().filter_map(|id| u32::try_from(*id).ok()).collect();
        // The only possible error is a broken decoder, and a `tokenizer.json` with one has already been refused.
        self.inner.decode(&ids, skip_special).unwrap_or_default()
    }

    /// Returns the tokenizer with more tokens, which get the next ids in their order.
    pub fn with_tokens(mut self, tokens: Vec<AddedToken>) -> Result<Self, Error> {
        let failed = |error: tokenizers::Error| Error::Tokenizer(error.to_string());
        self.inner.add_tokens(tokens).map_err(failed)?;
        Self::from_json(&self.inner.to_string(false).map_err(failed)?)
    }

    /// Returns the greatest id.
    pub fn last_id(&self) -> i64 {
        self.inner.get_vocab(true).into_values().max().map_or(0, i64::from)
    }

    /// Returns the number of ids, added tokens included.
    pub fn vocab_size(&self) -> usize {
        self.inner.get_vocab_size(true)
    }

    /// Returns all ids with their tokens, added ones included, by id.
    pub fn tokens(&self) -> BTreeMap<u32, String> {
        self.inner.get_vocab(true).into_iter().map(|(token, id)| (id, token)).collect()
    }

    /// Returns the id of a token.
    pub fn id(&self, token: &str) -> Option<i64> {
        self.inner.token_to_id(token).map(i64::from)
    }
}

/// Help for a tokenizer that cannot be used.
const CURE: &str = "take the `tokenizer.json` that the model was published with";

/// Calls the library and turns its panics into errors: it panics on some broken files, and on patterns that exceed
/// their retries.
fn caught<T>(work: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str).or(panic.downcast_ref::<&str>().copied());
        Err(format!("{}; help: {CURE}", text.unwrap_or("the library gave up")))
    })
}

/// Bounds the retries of a pattern in one search. By default, the library only bounds them for each start position.
fn bound_patterns() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // SAFETY: the library copies the number, and no search is running in this process yet, because no pattern
        // exists.
        unsafe { onig_sys::onig_set_retry_limit_in_search(limits::PATTERN_RETRIES) };
    });
}

/// Makes a tokenizer with one token for each character: `specials` first, then the characters of `texts`, sorted.
///
/// Encoding a character outside the alphabet is an error; there is no unknown token.
pub fn char_level<'a>(texts: impl Iterator<Item = &'a str>, specials: &[String]) -> Result<Tokenizer, Error> {
    let mut alphabet = BTreeSet::new();
    for text in texts {
        // Special tokens in a text are tokens, not characters.
        let plain = specials.iter().fold(text.to_owned(), |text, special| text.replace(special.as_str(), ""));
        alphabet.extend(plain.chars());
    }
    let mut vocab = serde_json::Map::new();
    for token in specials.iter().cloned().chain(alphabet.into_iter().map(String::from)) {
        let id = vocab.len();
        vocab.entry(token).or_insert(json!(id));
    }
    let document = json!({
        "version": "1.0", "truncation": null, "padding": null,
        "added_tokens": specials.iter().enumerate().map(|(id, token)| added_token(id, token)).collect::<Vec<_>>(),
        "normalizer": null,
        "pre_tokenizer": { "type": "Split", "pattern": { "Regex": "[\\s\\S]" }, "behavior": "Isolated", "invert": false },
        "post_processor": null,
        "decoder": { "type": "Fuse" },
        "model": { "type": "WordLevel", "vocab": vocab, "unk_token": "\u{0}" },
    });
    Tokenizer::from_json(&pretty(&document))
}

fn added_token(id: usize, token: &str) -> Value {
    json!({ "id": id, "content": token, "single_word": false, "lstrip": false, "rstrip": false,
            "normalized": false, "special": true })
}

/// How Qwen2 splits text into words before BPE (from its published `tokenizer.json`): each digit is a word.
const WORDS: &str =
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

/// Trains a byte-level BPE tokenizer of about `vocab_size` tokens, `specials` first. Every byte has a token.
///
/// It normalises and splits text as Qwen2 does, because transformers applies Qwen2's rules to a Qwen2 model whatever
/// its `tokenizer.json` contains.
pub fn train_byte_bpe<S: AsRef<str> + Send>(
    texts: impl Iterator<Item = S> + Send,
    vocab_size: usize,
    specials: &[String],
) -> Result<Tokenizer, Error> {
    let fail = |error: tokenizers::Error| Error::Tokenizer(error.to_string());
    let special_tokens: Vec<_> = specials.iter().map(|token| AddedToken::from(token.as_str(), true)).collect();
    let trainer = BpeTrainer::builder()
        .vocab_size(vocab_size)
        .min_frequency(2)
        .show_progress(false)
        // Otherwise a word that occurs twice becomes a token, however long it is. Half of the limit, because some bytes
        // are written as two.
        .max_token_length(Some(limits::TOKEN_BYTES / 2))
        .initial_alphabet(ByteLevel::alphabet().into_iter().collect())
        .special_tokens(special_tokens.clone())
        .build();
    let mut tokenizer = HfTokenizer::new(BPE::default());
    let words =
        Split::new(SplitPattern::Regex(WORDS.to_owned()), SplitDelimiterBehavior::Isolated, false).map_err(fail)?;
    let bytes = ByteLevel::new(false, false, false);
    tokenizer.with_normalizer(Some(NFC)).map_err(fail)?;
    tokenizer.with_pre_tokenizer(Some(Sequence::new(vec![words.into(), bytes.into()])));
    tokenizer.with_decoder(Some(ByteLevel::default()));
    let mut trainer = TrainerWrapper::BpeTrainer(trainer);
    tokenizer.train(&mut trainer, texts).map_err(fail)?;
    tokenizer.add_special_tokens(special_tokens).map_err(fail)?;
    Tokenizer::from_json(&tokenizer.to_string(true).map_err(fail)?)
}

fn pretty(document: &Value) -> String {
    serde_json::to_string_pretty(document).expect("a document of ours is JSON")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn specials() -> Vec<String> {
        ["<pad>", "<eos>", "<think>", "</think>"].map(str::to_owned).to_vec()
    }

    #[test]
    fn characters_round_trip() {
        let texts = ["8-8=0,得 ab\n", "<think>7</think>"];
        let tokenizer = char_level(texts.into_iter(), &specials()).unwrap();
        assert_eq!(tokenizer.vocab_size(), 4 + 11);
        for text in ["8-8=0\n", "<think>7得7</think><eos>", ""] {
            assert_eq!(tokenizer.decode(&tokenizer.encode(text).unwrap()), text);
        }
        assert_eq!(tokenizer.encode("<think>7").unwrap(), [2, tokenizer.id("7").unwrap()]);
        assert_eq!(tokenizer.decode_plain(&tokenizer.encode("<think>7").unwrap()), "7");
        let tokens = tokenizer.tokens();
        assert_eq!((tokens.len(), tokens[&2].as_str()), (15, "<think>"));
    }

    #[test]
    fn an_unknown_character_is_an_error() {
        let tokenizer = char_level(["abc"].into_iter(), &specials()).unwrap();
        assert!(tokenizer.encode("abx").is_err());
    }

    #[test]
    fn making_is_deterministic() {
        let texts = || ["the cat sat on the mat, the cat sat", "12 + 30 = 42 and 12 + 31 = 43"].into_iter();
        let one = train_byte_bpe(texts(), 300, &specials()).unwrap();
        let two = train_byte_bpe(texts(), 300, &specials()).unwrap();
        assert_eq!(one.to_json(), two.to_json());
        let text = "the cat 得 <think>42</think>";
        let ids = one.encode(text).unwrap();
        assert!(ids.contains(&2) && ids.contains(&3));
        assert_eq!(one.decode(&ids), text);
    }

    /// A tokenizer with one token for each character, with some parts of its JSON replaced.
    fn altered(parts: &[(&str, Value)]) -> Result<Tokenizer, Error> {
        let plain = char_level(["abcdefghijklmnopqrstuvwxyz "].into_iter(), &specials()).unwrap();
        let mut document: Value = serde_json::from_str(plain.to_json()).unwrap();
        for (pointer, value) in parts {
            *document.pointer_mut(pointer).unwrap() = value.clone();
        }
        Tokenizer::from_json(&document.to_string())
    }

    fn rule(pattern: Value, content: &str) -> Value {
        json!({ "type": "Replace", "pattern": pattern, "content": content })
    }

    #[test]
    fn rules_that_make_a_gigabyte_of_a_letter_are_refused_before_they_do() {
        let chain: Vec<Value> = (0..30).map(|_| rule(json!({ "String": "a" }), "aa")).collect();
        let long = rule(json!({ "Regex": "" }), &"b".repeat(100_000));
        for rules in [json!(chain), json!([long.clone(), long])] {
            let tokenizer = altered(&[("/normalizer", json!({ "type": "Sequence", "normalizers": rules }))]).unwrap();
            let error = tokenizer.encode("aaaa").unwrap_err().to_string();
            assert!(error.contains("of a text of 4, of at most"), "{error}");
        }
        // A chain of the same length that writes little is accepted.
        let chain: Vec<Value> = ('a'..='z').map(|from| rule(json!({ "String": from }), "zz")).collect();
        let tokenizer = altered(&[("/normalizer", json!({ "type": "Sequence", "normalizers": chain }))]).unwrap();
        assert_eq!(
            tokenizer.encode("ab").unwrap().len(),
            8,
            "`a` is two of `z`, and each of them two again, as `b` is"
        );
    }

    #[test]
    fn a_tokenizer_that_no_model_has_is_refused() {
        let blob = "BAAAAAAAAAA".to_owned() + &"YWFh".repeat(1_000);
        let deep = (0..200).fold(json!(1), |inner, _| json!({ "type": "Sequence", "normalizers": [inner] }));
        let table = [
            (vec![("/added_tokens/0/content", json!("x".repeat(5_000)))], "has 5000 bytes, of at most 4096"),
            (vec![("/decoder", json!(rule(json!({ "String": "a" }), &"b".repeat(99))))], "its decoder"),
            (vec![("/normalizer", json!({ "type": "Precompiled", "precompiled_charsmap": blob }))], "times longer"),
            (vec![("/normalizer", json!({ "type": "Precompiled", "precompiled_charsmap": "AA" }))], "help: take"),
            (vec![("/normalizer", deep)], "recursion limit"),
            (vec![("/model/vocab", json!({ "y".repeat(5_000): 0 }))], "`yyyyyyyyyyyyyyyy` has 5000 bytes"),
        ];
        for (parts, expected) in table {
            let error = altered(&parts).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn a_pattern_that_backtracks_gives_up() {
        let pattern =
            json!({ "type": "Split", "pattern": { "Regex": "(a|aa|aaa)+$" }, "behavior": "Isolated", "invert": false });
        let tokenizer = altered(&[("/pre_tokenizer", pattern)]).unwrap();
        let error = tokenizer.encode(&("a".repeat(200) + "b")).unwrap_err().to_string();
        assert!(error.contains("retry-limit") && error.contains("help:"), "{error}");
    }

    #[test]
    fn words_are_cut_as_qwen2_cuts_them() {
        let texts = ["room 42, room 43, room 44 don't", "room 42, room 43, room 44 don't"];
        let tokenizer = train_byte_bpe(texts.into_iter(), 400, &specials()).unwrap();
        let tokens: Vec<String> =
            tokenizer.encode("room 42 don't").unwrap().iter().map(|id| tokenizer.decode(&[*id])).collect();
        assert_eq!(tokens, ["room", " ", "4", "2", " don", "'t"]);
    }
}
