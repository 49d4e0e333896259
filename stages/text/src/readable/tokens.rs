//! Words, numbers and signs of a text, as repetition sees them.

use unicode_script::{Script, UnicodeScript};

/// A word that goes on like this (`hahahaha…`) for so many letters is a loop by itself.
const DRAWN_OUT: usize = 20;
/// Longest piece that is repeated in such a word.
const MAX_SYLLABLE: usize = 8;

/// Names of functions, which come in formulas.
const FUNCTIONS: [&str; 12] = ["sin", "cos", "tan", "cot", "log", "ln", "exp", "max", "min", "mod", "gcd", "lcm"];

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Of two letters or more.
    Word,
    /// A character of a script that does not part words.
    Character,
    Number,
    /// A variable, a command of LaTeX, a relation.
    Sign,
    /// What joins the terms of a sum, of a product or of a chain.
    Joint,
    /// An edge of a cell in a table or a matrix. No two are the same.
    Edge,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Token {
    /// Stands for the text in lower case: the same for the same text.
    pub(super) id: u64,
    pub(super) kind: Kind,
}

impl Token {
    pub(super) fn is_word(&self) -> bool {
        matches!(self.kind, Kind::Word | Kind::Character)
    }
}

pub(super) struct Tokens {
    pub(super) tokens: Vec<Token>,
    /// Whether some word is a loop by itself.
    pub(super) has_drawn_out_word: bool,
}

/// Returns the tokens of a text. Spaces and punctuation are none.
pub(super) fn tokens(text: &str) -> Tokens {
    let mut found = Tokens { tokens: Vec::new(), has_drawn_out_word: false };
    let mut rest = text;
    let mut before = ' ';
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '\\' => 1 + length(&rest[1..], |c| c.is_ascii_alphabetic()),
            '0'..='9' => length(rest, |c| c.is_ascii_digit()),
            _ if is_character(first) => first.len_utf8(),
            _ if first.is_alphabetic() => length(rest, |c| is_of_word(c) && !is_character(c)),
            _ => first.len_utf8(),
        };
        let (text, after) = rest.split_at(length.max(first.len_utf8()));
        // Letters right after a brace or a bar are the columns of a table.
        let may_be_drawn_out = text.len() >= DRAWN_OUT && first.is_alphabetic() && !"{|".contains(before);
        found.has_drawn_out_word |= may_be_drawn_out && is_drawn_out(text);
        found.push(text, first);
        before = text.chars().next_back().unwrap_or(' ');
        rest = after;
    }
    found
}

impl Tokens {
    fn push(&mut self, text: &str, first: char) {
        let kind = match first {
            '\\' if matches!(text, "\\cdot" | "\\times" | "\\to" | "\\rightarrow") => Kind::Joint,
            '\\' if text.len() > 1 => Kind::Sign,
            '+' | '×' | '·' | '⋅' | '∘' | '→' => Kind::Joint,
            '=' | '<' | '>' | '≤' | '≥' | '≠' | '≈' | '^' | '%' => Kind::Sign,
            '|' | '&' | '\t' => Kind::Edge,
            '0'..='9' => Kind::Number,
            _ if is_character(first) => Kind::Character,
            _ if first.is_alphabetic() => kind_of_letters(text),
            _ => return,
        };
        let id = if kind == Kind::Edge { self.tokens.len() as u64 } else { id(text) };
        self.tokens.push(Token { id, kind });
    }
}

fn kind_of_letters(text: &str) -> Kind {
    let is_variable = text.chars().nth(1).is_none() || text.len() == 2 && text.bytes().all(|b| b.is_ascii_uppercase());
    let is_function = text.len() <= 3 && FUNCTIONS.contains(&text);
    if is_variable || is_function { Kind::Sign } else { Kind::Word }
}

fn length(text: &str, is_part: impl Fn(char) -> bool) -> usize {
    text.find(|c| !is_part(c)).unwrap_or(text.len())
}

/// Returns whether a letter is a word or a syllable of its own.
fn is_character(c: char) -> bool {
    c >= '\u{2e80}' && matches!(c.script(), Script::Han | Script::Hiragana | Script::Katakana)
}

/// Returns whether a character goes on with a word: a letter, a mark on one, or an apostrophe.
fn is_of_word(c: char) -> bool {
    if c.is_ascii() {
        return c.is_ascii_alphabetic() || c == '\'';
    }
    c.is_alphabetic() || c == '’' || !matches!(c.script(), Script::Common | Script::Unknown) && !c.is_numeric()
}

/// Returns whether a word repeats a piece of up to 8 letters to the end of it, from some letter on. DNA and tosses of
/// coins, in capitals, are signs rather than words.
fn is_drawn_out(word: &str) -> bool {
    let letters: Vec<char> = word.chars().collect();
    !word.bytes().all(|b| b.is_ascii_uppercase())
        && (1..=MAX_SYLLABLE.min(letters.len() / 4)).any(|period| {
            let same = letters.iter().zip(&letters[period..]).rev().take_while(|(one, two)| one == two).count();
            same + period >= DRAWN_OUT
        })
}

/// Returns a number for a text in lower case (FNV-1a). Different texts have different ones but for a chance of 2⁻⁶⁴.
fn id(text: &str) -> u64 {
    let fold = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    let start = 0xcbf2_9ce4_8422_2325;
    if text.is_ascii() {
        return text.bytes().fold(start, |hash, byte| fold(hash, byte.to_ascii_lowercase()));
    }
    let mut utf8 = [0; 4];
    let lower = text.chars().flat_map(char::to_lowercase);
    lower.fold(start, |hash, c| c.encode_utf8(&mut utf8).bytes().fold(hash, fold))
}
