//! Bounds how much a `tokenizer.json` from outside can lengthen a text: sizes are checked when the file is read, and
//! rewriting rules are checked on each text if necessary.
//!
//! Each rewriting rule multiplies the length of a text, so thirty short rules can turn one letter into a gigabyte. If
//! the sizes of a chain's rules exclude that, texts are not checked. Otherwise the matches of each rule in a text are
//! counted before the rule is applied.

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;
use tokenizers::NormalizedString;
use tokenizers::normalizers::NormalizerWrapper;
use tokenizers::tokenizer::Normalizer;
use tokenizers::utils::SysRegex;

use crate::limits;

/// The parts of a `tokenizer.json` that are checked before the library builds anything; vocabulary and merges are not.
#[derive(Deserialize)]
struct Document {
    #[serde(default)]
    normalizer: Value,
    #[serde(default)]
    decoder: Value,
    #[serde(default)]
    added_tokens: Vec<Added>,
    #[serde(default)]
    model: Model,
}

#[derive(Deserialize)]
struct Added {
    content: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Model {
    max_input_chars_per_word: Option<u64>,
    continuing_subword_prefix: Option<String>,
    end_of_word_suffix: Option<String>,
    #[serde(rename = "vocab")]
    _vocab: IgnoredAny,
}

/// The rewriting rules of a tokenizer, if they must be checked on each text; empty otherwise.
#[derive(Clone, Debug, Default)]
pub(crate) struct Growth(Vec<Rule>);

#[derive(Clone, Debug)]
struct Rule {
    normalizer: NormalizerWrapper,
    /// For a rule that replaces: its pattern and its replacement.
    replaces: Option<(String, String)>,
}

impl Growth {
    /// Reads the rules of a `tokenizer.json`, and refuses a file that exceeds [`limits`], which no real one does.
    pub(crate) fn of(json: &str) -> Result<Self, String> {
        let document: Document = serde_json::from_str(json).map_err(|error| error.to_string())?;
        check_tokens(&document.added_tokens)?;
        check_sizes(&document)?;
        if factor(&document.decoder)? > limits::TEXT_GROWTH {
            let most = limits::TEXT_GROWTH;
            return Err(format!("its decoder makes texts more than {most} times longer"));
        }
        let rules = &document.normalizer;
        if factor(rules)? <= limits::TEXT_GROWTH {
            return Ok(Self::default());
        }
        let rules = flat(rules).into_iter().map(|rule| {
            let normalizer = serde_json::from_value(rule.clone()).map_err(|error| format!("`normalizer`: {error}"))?;
            Ok(Rule { normalizer, replaces: replaces(rule) })
        });
        Ok(Self(rules.collect::<Result<_, String>>()?))
    }

    /// Refuses a text that the rules would make too long, before they are applied.
    pub(crate) fn check(&self, text: &str) -> Result<(), String> {
        if self.0.is_empty() {
            return Ok(());
        }
        let most = limits::TEXT_FLOOR.saturating_add(text.len().saturating_mul(limits::TEXT_GROWTH));
        let mut written = NormalizedString::from(text);
        for rule in &self.0 {
            let length = rule.length_after(written.get())?;
            if length > most {
                let from = text.len();
                return Err(format!("its rules make {length} bytes of a text of {from}, of at most {most}"));
            }
            rule.normalizer.normalize(&mut written).map_err(|error| error.to_string())?;
        }
        Ok(())
    }
}

impl Rule {
    fn length_after(&self, text: &str) -> Result<usize, String> {
        let Some((pattern, content)) = &self.replaces else { return Ok(text.len()) };
        let regex = SysRegex::new(pattern).map_err(|error| error.to_string())?;
        let (mut count, mut taken) = (0_usize, 0);
        for (start, end) in regex.find_iter(text) {
            count += 1;
            taken += end - start;
        }
        Ok((text.len() - taken).saturating_add(count.saturating_mul(content.len())))
    }
}

fn check_tokens(added: &[Added]) -> Result<(), String> {
    if added.len() > limits::ADDED_TOKENS {
        return Err(format!("it adds {} tokens, of at most {}", added.len(), limits::ADDED_TOKENS));
    }
    match added.iter().find(|token| token.content.len() > limits::TOKEN_BYTES) {
        None => Ok(()),
        Some(token) => Err(too_long(&token.content)),
    }
}

/// Returns the message that a token is too long, with the token's beginning.
pub(crate) fn too_long(token: &str) -> String {
    let start: String = token.chars().take(16).collect();
    format!("the token that begins with `{start}` has {} bytes, of at most {}", token.len(), limits::TOKEN_BYTES)
}

fn check_sizes(document: &Document) -> Result<(), String> {
    let model = &document.model;
    if let Some(most) = model.max_input_chars_per_word.filter(|most| *most > limits::TOKEN_BYTES as u64) {
        return Err(format!("`max_input_chars_per_word` is {most}, at most {}", limits::TOKEN_BYTES));
    }
    for (key, part) in [
        ("continuing_subword_prefix", &model.continuing_subword_prefix),
        ("end_of_word_suffix", &model.end_of_word_suffix),
    ] {
        if part.as_ref().is_some_and(|part| part.len() > limits::INDENT) {
            return Err(format!("`{key}` has more than {} bytes", limits::INDENT));
        }
    }
    Ok(())
}

/// Returns the rules of nested chains, flattened, in order.
fn flat(rules: &Value) -> Vec<&Value> {
    let inner = ["normalizers", "decoders"].into_iter().find_map(|key| rules.get(key)?.as_array());
    match inner {
        Some(inner) => inner.iter().flat_map(flat).collect(),
        None if rules.is_null() => Vec::new(),
        None => vec![rules],
    }
}

/// Returns how many times longer a chain can make a text.
fn factor(rules: &Value) -> Result<usize, String> {
    let mut factors = flat(rules).into_iter().map(|rule| {
        let factor = factor_of(rule);
        let own = rule["type"] != "Replace" && factor > 2 * limits::TEXT_GROWTH;
        if own { Err(format!("its rule {} makes texts {factor} times longer", rule["type"])) } else { Ok(factor) }
    });
    factors.try_fold(1_usize, |all, factor| Ok(all.saturating_mul(factor?)))
}

/// Returns how many times longer one rule can make a text, at least 1.
fn factor_of(rule: &Value) -> usize {
    if let Some((_, content)) = replaces(rule) {
        let least = rule.pointer("/pattern/String").and_then(Value::as_str).map_or(0, str::len);
        // A pattern may match the empty string before every byte.
        return if least == 0 { content.len() + 1 } else { content.len().div_ceil(least).max(1) };
    }
    match rule["type"].as_str() {
        Some("NFKC" | "NFKD") => 11,
        Some("NFC" | "NFD" | "BertNormalizer" | "Bert" | "Nmt") => 3,
        Some("Lowercase" | "ByteLevel") => 2,
        Some("Prepend") => rule["prepend"].as_str().map_or(1, str::len),
        Some("Precompiled") => rule["precompiled_charsmap"].as_str().map_or(1, longest_replacement),
        _ => 1,
    }
}

fn replaces(rule: &Value) -> Option<(String, String)> {
    let content = rule.get("content").filter(|_| rule["type"] == "Replace")?.as_str()?;
    let literal = rule.pointer("/pattern/String").and_then(Value::as_str).map(regex::escape);
    let pattern = literal.or_else(|| rule.pointer("/pattern/Regex")?.as_str().map(str::to_owned))?;
    Some((pattern, content.to_owned()))
}

/// Returns the length of the longest replacement in SentencePiece's table. The table, in base64, is the size of an
/// index in bytes, the index, and the replacements, each ended by a zero byte.
fn longest_replacement(base64: &str) -> usize {
    let bytes = decoded(base64);
    let Some(size) = bytes.first_chunk::<4>().map(|size| u32::from_le_bytes(*size) as usize) else { return 1 };
    let texts = bytes.get(size.saturating_add(4)..).unwrap_or_default();
    texts.split(|byte| *byte == 0).map(<[u8]>::len).max().unwrap_or(1).max(1)
}

/// Decodes base64. Invalid characters are ignored, because the library refuses them anyway.
fn decoded(base64: &str) -> Vec<u8> {
    let digit = |byte: u8| match byte {
        b'A'..=b'Z' => Some(byte - b'A'),
        b'a'..=b'z' => Some(byte - b'a' + 26),
        b'0'..=b'9' => Some(byte - b'0' + 52),
        b'+' => Some(62),
        b'/' => Some(63),
        _ => None,
    };
    let digits: Vec<u32> = base64.bytes().filter_map(digit).map(u32::from).collect();
    let groups = digits.chunks(4).flat_map(|group| {
        let bits = group.iter().chain(std::iter::repeat(&0)).take(4).fold(0, |bits, digit| bits << 6 | digit);
        let [_, one, two, three] = bits.to_be_bytes();
        [one, two, three].into_iter().take((group.len() * 6 / 8).min(3))
    });
    groups.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chain_multiplies_and_a_table_has_a_longest_text() {
        let rule = |from: &str, to: &str| serde_json::json!({ "type": "Replace", "pattern": { "String": from }, "content": to });
        let chain = serde_json::json!({ "type": "Sequence", "normalizers": [rule("a", "bb"), rule("b", "ccc")] });
        assert_eq!(factor(&chain).unwrap(), 6);
        assert_eq!(factor_of(&rule(" ", "▁")), 3);
        assert_eq!(factor_of(&rule("''", "\"")), 1);
        assert_eq!(factor(&Value::Null).unwrap(), 1);
        assert_eq!(decoded("AAECA/8="), [0, 1, 2, 3, 255]);
        // An index of four bytes, then `abc` and `d`.
        assert_eq!(longest_replacement("BAAAAAAAAABhYmMAZAA="), 3);
    }
}
