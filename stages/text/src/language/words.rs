//! Words of a text: runs of letters of one script, and the characters of the scripts that do not part words by spaces.

use unicode_script::{Script, UnicodeScript};

/// The weight of a word that is parted from others by spaces. A character of a script that does not part words weighs
/// so much less as its words have characters on average.
const WORD: u32 = 12;

/// A word of a text.
#[derive(Clone, Copy, Debug)]
pub(super) struct Word<'a> {
    pub(super) text: &'a str,
    pub(super) script: Script,
    /// How much it counts for; 0 for a single letter, which may be a variable and only helps to tell the language.
    pub(super) weight: u32,
    /// The number of its sentence.
    pub(super) sentence: usize,
    /// Whether it is the first of its sentence.
    pub(super) opens: bool,
    pub(super) is_capital: bool,
    /// Whether nothing but spaces and light punctuation parts it from the word before it, of the same sentence.
    pub(super) continues: bool,
}

/// Returns the words of a text that has been stripped of formulas and code.
pub(super) fn words(text: &str) -> Vec<Word<'_>> {
    let mut found = Words { list: Vec::new(), sentence: 0, opens: true, continues: false };
    let mut before = ' ';
    let mut before_solid = ' ';
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let script = script_of(first);
        let length = match script {
            Some(script) => length_of_run(rest, script),
            None => first.len_utf8(),
        };
        let (run, after) = rest.split_at(length);
        match script {
            // A variable, or an article that says nothing.
            Some(Script::Latin) if length == 1 => {}
            Some(script) if is_maths(run, script, before, before_solid, after) => found.continues = false,
            Some(script) => found.push(run, script),
            None => found.pass(first, before, after),
        }
        before = run.chars().next_back().unwrap_or(' ');
        if !before.is_whitespace() {
            before_solid = before;
        }
        rest = after;
    }
    found.list
}

struct Words<'a> {
    list: Vec<Word<'a>>,
    sentence: usize,
    opens: bool,
    continues: bool,
}

impl<'a> Words<'a> {
    fn push(&mut self, text: &'a str, script: Script) {
        let is_capital = text.chars().next().is_some_and(char::is_uppercase);
        let weight = weight(text, script);
        let (opens, continues) = (self.opens, self.continues);
        self.list.push(Word { text, script, weight, sentence: self.sentence, opens, is_capital, continues });
        self.opens = false;
        self.continues = true;
    }

    /// Takes note of a character between words.
    fn pass(&mut self, between: char, before: char, after: &str) {
        let next = after.chars().next().unwrap_or(' ');
        let ends = match between {
            '\n' | '!' | '?' | '。' | '！' | '？' | '।' | '؟' | '۔' => true,
            '.' => next.is_whitespace() || (before.is_lowercase() && next.is_uppercase()),
            _ => false,
        };
        if ends && !self.opens {
            self.sentence += 1;
            self.opens = true;
        }
        let is_light = between.is_whitespace() || ",;:-–—'’\"“”()".contains(between);
        self.continues &= is_light && !ends;
    }
}

/// Returns the script of a letter, `None` for what is no letter.
fn script_of(c: char) -> Option<Script> {
    match c {
        'a'..='z' | 'A'..='Z' => Some(Script::Latin),
        // The mark of a long vowel belongs to no one script.
        'ー' => Some(Script::Katakana),
        _ if c.is_ascii() || !c.is_alphabetic() => None,
        _ => match c.script() {
            Script::Common | Script::Inherited | Script::Unknown => None,
            script => Some(script),
        },
    }
}

/// Returns the length in bytes of the run of `script` that begins a text: one character where each is a word.
fn length_of_run(text: &str, script: Script) -> usize {
    if matches!(script, Script::Han | Script::Hiragana | Script::Katakana) {
        return text.chars().next().map_or(0, char::len_utf8);
    }
    let ascii = if script == Script::Latin { text.bytes().take_while(u8::is_ascii_alphabetic).count() } else { 0 };
    let mut chars = text[ascii..].char_indices().map(|(at, c)| (ascii + at, c)).peekable();
    while let Some((at, c)) = chars.next() {
        let goes_on = match c {
            '\'' | '’' => chars.peek().is_some_and(|(_, next)| script_of(*next) == Some(script)),
            _ if c.is_ascii() => c.is_ascii_alphabetic() && script == Script::Latin,
            // A mark on a letter is not a letter, but of the letter's script or of any.
            _ => !c.is_numeric() && (c.script() == script || c.script() == Script::Inherited),
        };
        if !goes_on {
            return at;
        }
    }
    text.len()
}

/// Returns whether a run of letters is part of a formula or of code: a function, a unit after a number, or letters with
/// an operator, a digit or an opening bracket right beside them.
fn is_maths(run: &str, script: Script, before: char, before_solid: char, after: &str) -> bool {
    if !matches!(script, Script::Latin | Script::Greek) {
        return false;
    }
    let next = after.chars().next().unwrap_or(' ');
    let is_operator = |c: char| {
        matches!(c, '0'..='9' | '=' | '+' | '*' | '/' | '^' | '_' | '<' | '>' | '|' | '@' | '#' | '\\')
            || matches!(c, '²' | '³' | '·' | '×' | '÷' | '≠' | '≈' | '≤' | '≥' | '√')
    };
    is_operator(before)
        || is_operator(next)
        || matches!(next, '(' | '[' | '{')
        || is_function(run)
        || before_solid.is_ascii_digit() && is_unit(run)
}

/// Returns whether a word is the name of a function, which is the same in any language.
fn is_function(word: &str) -> bool {
    matches!(
        word,
        "sin"
            | "cos"
            | "tan"
            | "cot"
            | "sec"
            | "csc"
            | "sinh"
            | "cosh"
            | "tanh"
            | "arcsin"
            | "arccos"
            | "arctan"
            | "log"
            | "ln"
            | "lg"
            | "exp"
            | "max"
            | "min"
            | "mod"
            | "gcd"
            | "lcm"
            | "lim"
    )
}

/// Returns whether a word is a unit where it follows a number.
fn is_unit(word: &str) -> bool {
    matches!(
        word,
        "nm" | "mm"
            | "cm"
            | "dm"
            | "km"
            | "mg"
            | "kg"
            | "ml"
            | "cl"
            | "dl"
            | "ms"
            | "KB"
            | "kB"
            | "MB"
            | "GB"
            | "Hz"
            | "kHz"
            | "MHz"
            | "kW"
            | "kWh"
            | "mph"
            | "ft"
            | "lb"
            | "lbs"
            | "oz"
            | "am"
            | "pm"
            | "AM"
            | "PM"
            | "USD"
            | "EUR"
            | "rad"
    )
}

fn weight(text: &str, script: Script) -> u32 {
    let length = text.chars().count();
    match script {
        Script::Han => WORD * 2 / 3,
        Script::Hiragana | Script::Katakana => WORD / 2,
        Script::Thai | Script::Lao | Script::Khmer | Script::Myanmar | Script::Tibetan => WORD / 4 * length as u32,
        // Two Greek letters together are two variables.
        Script::Greek if length <= 2 => 0,
        _ if length == 1 => 0,
        _ => WORD,
    }
}
