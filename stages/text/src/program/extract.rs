//! Which part of an answer is the program.
//!
//! 1. The last fenced block whose label names a language that is asked for.
//! 2. Else the last block without a label that looks like a program of one, else the last without a label.
//! 3. Else, in an answer without any block: the whole text, if it begins like a program; or, if its first line is
//!    indented, a text that continues the prompt, as base models write it, up to the first line that is not indented.
//!
//! An answer that has a program in none of these places has no program.

use super::fences::blocks;

/// A language that programs are written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Language {
    /// Python 3.
    Python,
    /// C++.
    Cpp,
}

impl Language {
    /// Reads the label of a fenced block.
    fn of_label(label: &str) -> Option<Self> {
        match label.to_ascii_lowercase().as_str() {
            "python" | "python3" | "py" | "py3" | "pypy" | "pypy3" => Some(Self::Python),
            "cpp" | "c++" | "cc" | "cxx" | "cplusplus" | "c++11" | "c++14" | "c++17" | "c++20" | "c++23" => {
                Some(Self::Cpp)
            }
            _ => None,
        }
    }

    /// Returns whether a line is what a program begins with.
    fn begins_with(self, line: &str) -> bool {
        let starts: &[&str] = match self {
            Self::Python => &["import ", "from ", "def ", "class ", "@", "#!", "print(", "if __name__", "async def "],
            Self::Cpp => &["#include", "using namespace", "int main", "template", "#define", "#pragma"],
        };
        starts.iter().any(|start| line.starts_with(start))
    }
}

/// What was found in an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found<'a> {
    /// A program.
    Program(Language, &'a str),
    /// The rest of a Python program that begins with the prompt.
    Continuation(&'a str),
}

/// Finds the program in an answer, in one of the languages that are asked for.
pub fn extract<'a>(answer: &'a str, languages: &[Language]) -> Option<Found<'a>> {
    let blocks = blocks(answer);
    let labelled = blocks.iter().rev().find_map(|block| {
        let language = Language::of_label(block.label).filter(|language| languages.contains(language))?;
        Some(Found::Program(language, block.text))
    });
    if labelled.is_some() {
        return labelled;
    }
    let plain = || blocks.iter().rev().filter(|block| block.label.is_empty());
    let looking_like_one =
        plain().find_map(|block| Some(Found::Program(language_of(block.text, languages)?, block.text)));
    if looking_like_one.is_some() {
        return looking_like_one;
    }
    if let Some(block) = plain().next() {
        return Some(Found::Program(*languages.first()?, block.text));
    }
    if blocks.is_empty() { without_fences(answer, languages) } else { None }
}

/// Returns the language in which a text has lines that a program begins with.
fn language_of(text: &str, languages: &[Language]) -> Option<Language> {
    languages.iter().copied().find(|language| text.lines().any(|line| language.begins_with(line)))
}

fn without_fences<'a>(answer: &'a str, languages: &[Language]) -> Option<Found<'a>> {
    let first = answer.lines().find(|line| !line.trim().is_empty())?;
    if let Some(language) = languages.iter().find(|language| language.begins_with(first)) {
        return Some(Found::Program(*language, answer));
    }
    let is_body = first.starts_with([' ', '\t']) && languages.contains(&Language::Python);
    is_body.then(|| Found::Continuation(&answer[..end_of_body(answer)]))
}

/// Returns where the first line begins that is not indented, after the first line.
fn end_of_body(answer: &str) -> usize {
    let mut at = 0;
    for line in answer.split_inclusive('\n') {
        let is_outside = !line.trim().is_empty() && !line.starts_with([' ', '\t', ')', ']', '}', '#']);
        if at > 0 && is_outside {
            return at;
        }
        at += line.len();
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOTH: &[Language] = &[Language::Python, Language::Cpp];

    fn python(text: &str) -> Found<'_> {
        Found::Program(Language::Python, text)
    }

    #[test]
    fn the_last_labelled_block_is_the_program() {
        let answer =
            "First:\n```python\nx = 1\n```\nBetter:\n```py\nx = 2\n```\nOutput:\n```\n2\n```\n```json\n{}\n```";
        assert_eq!(extract(answer, BOTH), Some(python("x = 2\n")));
        let two = "```python\n1\n```\n```cpp\nint main() {}\n```";
        assert_eq!(extract(two, BOTH), Some(Found::Program(Language::Cpp, "int main() {}\n")));
        assert_eq!(extract(two, &[Language::Python]), Some(python("1\n")), "C++ is not asked for");
        assert_eq!(extract("```python\nx = 1", BOTH), Some(python("x = 1")), "it was cut off, or the fence forgotten");
    }

    #[test]
    fn blocks_without_labels() {
        assert_eq!(extract("```\ndef f(): pass\n```\nIt prints\n```\n7\n```", BOTH), Some(python("def f(): pass\n")));
        assert_eq!(extract("```\nx = int(input())\n```", BOTH), Some(python("x = int(input())\n")));
        let cpp = "```\n#include <cstdio>\nint main() {}\n```";
        assert!(matches!(extract(cpp, BOTH), Some(Found::Program(Language::Cpp, _))));
        assert_eq!(extract("```json\n{}\n```", BOTH), None, "another language");
    }

    #[test]
    fn answers_without_blocks() {
        assert_eq!(extract("def f():\n    return 1\n", BOTH), Some(python("def f():\n    return 1\n")));
        assert_eq!(extract("I would sort the list.", BOTH), None);
        assert_eq!(extract("", BOTH), None);
        let body = "    return 1\n\n    # end\n\ndef other():\n    pass\n";
        assert_eq!(extract(body, BOTH), Some(Found::Continuation("    return 1\n\n    # end\n\n")));
        assert_eq!(extract(body, &[Language::Cpp]), None);
    }
}
