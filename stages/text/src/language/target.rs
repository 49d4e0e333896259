//! The target: the scripts in which a language is written, and its place among those that are told apart.

use unicode_script::Script;

use super::LANGUAGES;

/// A language to be judged by.
pub(super) struct Target {
    pub(super) scripts: &'static [Script],
    /// Its bit in a set of [`LANGUAGES`]; two for one that is listed by script; 0 for one that is not listed.
    pub(super) languages: u64,
}

impl Target {
    /// Returns the target of a code (`pt`, `pt-BR`). A code that is not known counts as a language in Latin script.
    pub(super) fn of(code: &str) -> Self {
        let code = code.split(['-', '_']).next().unwrap_or_default().to_ascii_lowercase();
        let listed = match code.as_str() {
            "nb" | "nn" => "no",
            "ms" => "id",
            "bs" => "hr",
            other => other,
        };
        let is_target = |known: &str| known == listed || listed == "sr" && known == "hr";
        let languages = LANGUAGES.iter().enumerate().filter(|(_, language)| is_target(language.code));
        Self { scripts: scripts(&code), languages: languages.map(|(index, _)| 1 << index).sum() }
    }
}

fn scripts(code: &str) -> &'static [Script] {
    match code {
        "zh" | "yue" | "wuu" | "lzh" => &[Script::Han],
        "ja" => &[Script::Han, Script::Hiragana, Script::Katakana],
        "ko" => &[Script::Hangul],
        "sr" => &[Script::Cyrillic, Script::Latin],
        "ru" | "uk" | "be" | "bg" | "mk" | "kk" | "ky" | "mn" | "tg" | "tt" => &[Script::Cyrillic],
        "ar" | "fa" | "ur" | "ps" | "sd" | "ug" | "ckb" => &[Script::Arabic],
        "he" | "yi" => &[Script::Hebrew],
        "el" => &[Script::Greek],
        "hi" | "mr" | "ne" | "sa" => &[Script::Devanagari],
        "bn" | "as" => &[Script::Bengali],
        "ta" => &[Script::Tamil],
        "te" => &[Script::Telugu],
        "kn" => &[Script::Kannada],
        "ml" => &[Script::Malayalam],
        "gu" => &[Script::Gujarati],
        "pa" => &[Script::Gurmukhi],
        "or" => &[Script::Oriya],
        "si" => &[Script::Sinhala],
        "th" => &[Script::Thai],
        "lo" => &[Script::Lao],
        "km" => &[Script::Khmer],
        "my" => &[Script::Myanmar],
        "ka" => &[Script::Georgian],
        "hy" => &[Script::Armenian],
        "am" | "ti" => &[Script::Ethiopic],
        "bo" | "dz" => &[Script::Tibetan],
        _ => &[Script::Latin],
    }
}
