//! Quotes arguments for a shell, in commands that the user is told to type.

use std::path::Path;

use store::Source;

use crate::ui;

/// Returns a file's path as it can be typed in the current folder.
pub(crate) fn typed_file(path: &Path) -> String {
    typed(&ui::short_path(path))
}

/// Returns `--set` arguments as they can be typed.
pub(crate) fn typed_sets(sets: &[String]) -> String {
    sets.iter().flat_map(|set| [" --set ".to_owned(), typed(set)]).collect()
}

/// Returns the arguments that a result was made with, except its file.
pub(super) fn typed_source(source: &Source) -> String {
    let device = Some(source.device.as_str()).filter(|device| !matches!(*device, "" | "cpu"));
    let device = device.map_or_else(String::new, |device| format!(" --device {}", typed(device)));
    format!("{}{device}", typed_sets(&source.sets))
}

/// Returns a word, quoted for a shell if it needs to be.
pub(super) fn typed(word: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || "-_./=:,+@%~".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_can_be_typed() {
        for (word, expected) in [("a.steps=80", "a.steps=80"), ("a.text=it's", r"'a.text=it'\''s'"), ("", "''")] {
            assert_eq!(typed(word), expected);
        }
    }
}
