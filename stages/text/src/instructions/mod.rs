//! The 25 instructions of IFEval that a program can check: whether an answer follows those of its prompt.
//!
//! The gold answer is JSON: the instructions with their arguments (`gold` tells the forms). An answer is right if it
//! follows every one, which is the paper's strict accuracy of a prompt. The paper's loose mode tries the answer again
//! without its first line, its last line and its asterisks; it pays text that does not follow, and is not used here.
//!
//! A check counts as the published code counts, so that figures compare, but for these:
//! - Keywords, section names and postscript markers are text, not patterns.
//! - An argument that is missing, unknown or out of range is a mistake in the gold. The published code draws one at
//!   random, and so it does for a letter that is not in the alphabet (two prompts count `#` and `!`). Here it counts.
//! - Two of the permitted phrases in one answer are no choice between them.
//! - A repeated request must be followed by an answer.
//! - JSON is what its standard says: `NaN` is not. An asterisk alone on its line is no bullet point.
//! - A text without letters is in no language. `languages` tells how languages are told, and which cannot be.
//! - What has no letter or digit is no sentence. `sentences` lists its other departures.
//! - A vowel sign belongs to its word in the scripts that have them; the published code cuts the word there.
//!
//! Reference: Zhou et al. 2023, arXiv 2311.07911, section 2.2 and table 1.

mod arguments;
mod format;
mod function_words;
mod gold;
mod languages;
mod rlvr;
mod sentences;
mod words;

#[cfg(test)]
mod tests;

use crate::Verdict;
use arguments::{Arguments, Bound};

/// Says whether a text follows an instruction with these arguments; an error if the arguments are not its own.
type Check = fn(&Arguments, &str) -> Result<bool, String>;

/// An instruction: its published name, the names of its arguments and its check.
struct Instruction(&'static str, &'static [&'static str], Check);

/// The instructions by the names of IFEval.
static IFEVAL: [Instruction; 25] = [
    Instruction("keywords:existence", &["keywords"], |a, t| words::all_occur(&a.texts("keywords")?, t)),
    Instruction("keywords:frequency", &["keyword", "frequency", "relation"], |a, t| {
        words::occurrences(a.text("keyword")?, t).and_then(|n| Ok(a.relation("relation", "frequency")?.holds(n)))
    }),
    Instruction("keywords:forbidden_words", &["forbidden_words"], |a, t| {
        words::none_occurs(&a.texts("forbidden_words")?, t)
    }),
    Instruction("keywords:letter_frequency", &["letter", "let_frequency", "let_relation"], |a, t| {
        let bound = a.relation("let_relation", "let_frequency")?;
        Ok(bound.holds(words::letters(a.letter("letter")?, t)))
    }),
    Instruction("language:response_language", &["language"], |a, t| languages::is_in(t, a.text("language")?)),
    Instruction("length_constraints:number_sentences", &["num_sentences", "relation"], |a, t| {
        Ok(a.relation("relation", "num_sentences")?.holds(sentences::count(t)))
    }),
    Instruction("length_constraints:number_paragraphs", &["num_paragraphs"], |a, t| {
        Ok(format::divided(t, "***") == Some(a.count("num_paragraphs")?))
    }),
    Instruction("length_constraints:number_words", &["num_words", "relation"], |a, t| {
        Ok(a.relation("relation", "num_words")?.holds(words::count(t)))
    }),
    Instruction(
        "length_constraints:nth_paragraph_first_word",
        &["num_paragraphs", "nth_paragraph", "first_word"],
        |a, t| {
            let first_word = a.text("first_word")?.to_lowercase();
            let (nth, num) = a.index("nth_paragraph", "num_paragraphs")?;
            Ok(format::first_word_of_paragraph(t, nth, num).is_some_and(|found| found == first_word))
        },
    ),
    Instruction("detectable_content:number_placeholders", &["num_placeholders"], |a, t| {
        Ok(format::placeholders(t) >= a.count("num_placeholders")?)
    }),
    Instruction("detectable_content:postscript", &["postscript_marker"], |a, t| {
        format::has_postscript(t, a.text("postscript_marker")?)
    }),
    Instruction("detectable_format:number_bullet_lists", &["num_bullets"], |a, t| {
        Ok(format::bullets(t) == a.count("num_bullets")?)
    }),
    Instruction("detectable_format:constrained_response", &[], |_, t| {
        Ok(format::chooses_one(&["My answer is yes.", "My answer is no.", "My answer is maybe."], t))
    }),
    Instruction("detectable_format:number_highlighted_sections", &["num_highlights"], |a, t| {
        Ok(format::highlights(t) >= a.count("num_highlights")?)
    }),
    Instruction("detectable_format:multiple_sections", &["section_spliter", "num_sections"], |a, t| {
        Ok(format::sections(t, a.text("section_spliter")?)? >= a.count("num_sections")?)
    }),
    Instruction("detectable_format:json_format", &[], |_, t| Ok(format::is_json(t))),
    Instruction("detectable_format:title", &[], |_, t| Ok(format::has_title(t))),
    Instruction("combination:two_responses", &[], |_, t| Ok(format::are_two_responses(t))),
    Instruction("combination:repeat_prompt", &["prompt_to_repeat"], |a, t| {
        Ok(format::repeats(t, a.text("prompt_to_repeat")?))
    }),
    Instruction("startend:end_checker", &["end_phrase"], |a, t| Ok(format::ends_with(t, a.text("end_phrase")?))),
    Instruction("startend:quotation", &[], |_, t| Ok(format::is_quoted(t))),
    Instruction("change_case:capital_word_frequency", &["capital_frequency", "capital_relation"], |a, t| {
        Ok(a.relation("capital_relation", "capital_frequency")?.holds(words::capitals(t)))
    }),
    Instruction("change_case:english_capital", &[], |_, t| Ok(words::is_upper(t) && languages::may_be_english(t))),
    Instruction("change_case:english_lowercase", &[], |_, t| Ok(words::is_lower(t) && languages::may_be_english(t))),
    Instruction("punctuation:no_comma", &[], |_, t| Ok(!t.contains(','))),
];

/// Says whether an answer follows all instructions of the gold answer.
pub fn verify(instructions: &str, answer: &str) -> Verdict {
    match report(instructions, answer) {
        Err(_) => Verdict::GoldUnparsed,
        Ok(_) if answer.trim().is_empty() => Verdict::AnswerUnparsed,
        Ok(results) if results.iter().all(|(_, followed)| *followed) => Verdict::Correct,
        Ok(_) => Verdict::Wrong,
    }
}

/// Returns each instruction of the gold answer by name, in its order, and whether the answer follows it.
///
/// # Errors
/// What is wrong with the gold answer: it is not JSON of a known form, or an instruction or an argument is not known,
/// missing or out of range, or asks for a language that cannot be told.
pub fn report(instructions: &str, answer: &str) -> Result<Vec<(String, bool)>, String> {
    let check = |(instruction, arguments): (&Instruction, Arguments)| {
        let Instruction(name, known, check) = instruction;
        arguments.are_among(known).and_then(|()| check(&arguments, answer)).map_or_else(
            |why| Err(format!("`{name}`: {why}")),
            |followed| Ok(((*name).to_owned(), followed && !answer.trim().is_empty())),
        )
    };
    gold::read(instructions)?.into_iter().map(check).collect()
}
