//! The functions by which allenai/RLVR-IFeval names the instructions of IFEval (Lambert et al. 2024, Tülu 3).
//!
//! Its prompts put some instructions otherwise: a keyword or letter stands exactly N times, counts may be "around" N,
//! `* * *` divides paragraphs. The rest is checked as in IFEval, because the words of the instruction are the same. That
//! is mostly stricter than the functions (a title may not be empty, capitals must be English), but accepts a fence around
//! JSON, white space around the answer, and a forbidden word within a longer one.

use super::{Arguments, Bound, Instruction, format, languages, sentences, words};

/// The instructions by the names of the functions.
pub(super) static FUNCTIONS: [Instruction; 25] = [
    Instruction("verify_keywords", &["keyword_list"], |a, t| words::all_occur(&a.texts("keyword_list")?, t)),
    Instruction("verify_keyword_frequency", &["word", "N"], |a, t| {
        Ok(words::whole_words(a.text("word")?, t) == a.count("N")?)
    }),
    Instruction("validate_forbidden_words", &["forbidden_words"], |a, t| {
        words::none_occurs(&a.texts("forbidden_words")?, t)
    }),
    Instruction("verify_letter_frequency", &["letter", "N"], |a, t| {
        let (letter, num) = (a.letter("letter")?, a.count("N")?);
        Ok(t.chars().filter(|c| *c == letter).count() == num)
    }),
    Instruction("validate_response_language", &["language"], |a, t| languages::is_in(t, a.text("language")?)),
    Instruction("verify_paragraph_count", &["N"], |a, t| {
        let num = a.count("N")?;
        Ok(t.split("* * *").filter(|part| !part.trim().is_empty()).count() == num
            && t.matches("* * *").count() + 1 == num)
    }),
    Instruction("validate_word_constraint", &["N", "quantifier"], |a, t| {
        Ok(quantity(a, |n| tenth(n).max(1))?.holds(t.split_whitespace().count()))
    }),
    Instruction("verify_sentence_constraint", &["N", "quantifier"], |a, t| {
        Ok(quantity(a, |_| 1)?.holds(sentences::count(t)))
    }),
    Instruction("validate_paragraphs", &["N", "first_word", "i"], |a, t| {
        let ((nth, num), first_word) = (a.index("i", "N")?, a.text("first_word")?);
        let paragraphs: Vec<_> = t.split("\n\n").collect();
        Ok(paragraphs.len() == num && paragraphs[nth - 1].trim().starts_with(first_word))
    }),
    Instruction("verify_postscript", &["postscript_marker"], |a, t| {
        let (_, postscript) = t.split_once(a.text("postscript_marker")?).unwrap_or_default();
        Ok(!postscript.trim().is_empty())
    }),
    Instruction("validate_placeholders", &["N"], |a, t| Ok(format::placeholders(t) >= a.count("N")?)),
    Instruction("verify_bullet_points", &["N"], |a, t| Ok(format::bullets(t) == a.count("N")?)),
    Instruction("validate_title", &[], |_, t| Ok(format::has_title(t))),
    Instruction("validate_choice", &["options"], |a, t| Ok(format::chooses_one(&a.texts("options")?, t))),
    Instruction("validate_highlighted_sections", &["N"], |a, t| Ok(format::highlights(t) >= a.count("N")?)),
    Instruction("validate_sections", &["N", "section_splitter"], |a, t| {
        Ok(format::sections(t, a.text("section_splitter")?)? >= a.count("N")?)
    }),
    Instruction("validate_json_format", &[], |_, t| Ok(format::is_json(t))),
    Instruction("validate_repeat_prompt", &["original_prompt"], |a, t| {
        Ok(format::repeats(t, a.text("original_prompt")?))
    }),
    Instruction("validate_two_responses", &[], |_, t| Ok(format::are_two_responses(t))),
    Instruction("validate_uppercase", &[], |_, t| Ok(words::is_upper(t) && languages::may_be_english(t))),
    Instruction("validate_lowercase", &[], |_, t| Ok(words::is_lower(t) && languages::may_be_english(t))),
    Instruction("validate_frequency_capital_words", &["N", "quantifier"], |a, t| {
        Ok(quantity(a, |n| tenth(n).max(1))?.holds(words::capitals(t)))
    }),
    Instruction("validate_end", &["end_phrase"], |a, t| Ok(format::ends_with(t, a.text("end_phrase")?))),
    Instruction("validate_quotation", &[], |_, t| Ok(format::is_quoted(t))),
    Instruction("validate_no_commas", &[], |_, t| Ok(!t.contains(','))),
];

/// Returns the bound that `quantifier` and `N` make; `tolerance` says how far "around" reaches.
fn quantity(arguments: &Arguments, tolerance: fn(usize) -> usize) -> Result<Bound, String> {
    if arguments.text("quantifier")? == "around" {
        let n = arguments.count("N")?;
        return Ok(Bound::Around(n, tolerance(n)));
    }
    arguments.relation("quantifier", "N")
}

/// Returns a tenth, rounded to the even number where it lies between two.
fn tenth(n: usize) -> usize {
    let (tenth, rest) = (n / 10, n % 10);
    tenth + usize::from(rest > 5 || rest == 5 && tenth % 2 == 1)
}
