//! Expressions in prose: the first of a statement, and the last of a text.

use super::super::equal;
use super::super::node::Node;
use super::super::parse::Parser;
use super::super::token::Kind;
use super::super::unit;
use super::{Found, How, Missing, begin};
use crate::math::read;

/// Words before an expression that make it a bound or a part of something else.
const BOUNDS: [&str; 14] = [
    "than", "least", "most", "under", "below", "above", "exceed", "exceeds", "within", "except", "without", "until",
    "root", "divide",
];

/// The most sentences that are looked through from the end.
const MAX_SENTENCES: usize = 40;

/// Finds the first expression of a statement.
pub(super) fn first(text: &str, how: How) -> Result<Found, Missing> {
    let sentence = statement(text);
    let mut parser = begin(sentence).ok_or(Missing::Nothing)?;
    while !parser.is_at_end() {
        let start = parser.at;
        if let Some(node) = expression(&mut parser) {
            if equal::is_name(&node) && is_subject(&parser) {
                continue;
            }
            check_before(&parser, start)?;
            check_after(&parser, how)?;
            let span = sentence[parser.tokens[start].start..parser.tokens[parser.at - 1].end].to_owned();
            return Ok(found(span, how, node));
        }
        parser.at = start + 1;
    }
    Err(Missing::Nothing)
}

/// Cuts what is after a statement at a paragraph's end, if something stands before it.
fn statement(text: &str) -> &str {
    let begin = text.len() - text.trim_start_matches(|c: char| c.is_whitespace()).len();
    let rest = &text[begin..];
    let end =
        rest.find("\n\n").filter(|end| rest[..*end].contains(|c: char| c.is_alphanumeric())).unwrap_or(rest.len());
    &rest[..end]
}

/// Finds the last expression of the last sentence that has one.
pub(super) fn last(text: &str) -> Result<Found, Missing> {
    for sentence in sentences(text).into_iter().rev().take(MAX_SENTENCES) {
        let Some(mut parser) = begin(sentence) else { continue };
        let mut last: Option<(usize, usize, Node)> = None;
        while !parser.is_at_end() {
            let start = parser.at;
            match expression(&mut parser) {
                Some(node) => last = Some((start, parser.at, node)),
                None => parser.at = start + 1,
            }
        }
        if let Some((start, end, node)) = last {
            parser.at = end;
            check_before(&parser, start)?;
            check_after(&parser, How::Last)?;
            let span = sentence[parser.tokens[start].start..parser.tokens[end - 1].end].to_owned();
            return Ok(found(span, How::Last, node));
        }
    }
    Err(Missing::Nothing)
}

fn found(text: String, how: How, node: Node) -> Found {
    let mut readings = vec![node];
    readings.extend(read::other_reading(&text));
    Found { text, how, readings }
}

/// Parses an expression where the parser is, if one is there that prose would not be.
fn expression(parser: &mut Parser) -> Option<Node> {
    let start = parser.at;
    let begins = match parser.kind()? {
        Kind::Number(..) | Kind::Structure(_) | Kind::Name(_) | Kind::Function(_) | Kind::Command(_) => true,
        Kind::Sign(sign) => matches!(
            *sign,
            "-" | "+"
                | "±"
                | "("
                | "["
                | "\\{"
                | "|"
                | "="
                | "<"
                | ">"
                | "<="
                | ">="
                | "!="
                | "~"
                | "∞"
                | "∅"
                | "⌊"
                | "⌈"
        ),
        Kind::Word(_) => false,
    };
    let node = begins.then(|| parser.answer()).flatten();
    // One letter, or words in parentheses, are prose.
    let is_prose = |node: &Node| match node {
        Node::Symbol(name) => name != "…" && parser.at == start + 1 && !is_alone(parser, start),
        Node::Nothing => true,
        Node::Constant(_) => {
            parser.at == start + 1
                && matches!(&parser.tokens[start].kind, Kind::Name(name) if name != "pi")
                && !is_alone(parser, start)
        }
        _ => false,
    };
    let node = node.filter(|node| !is_prose(node));
    if node.is_none() {
        parser.at = start;
    }
    node
}

/// Whether a token is all that is left but for full stops.
fn is_alone(parser: &Parser, at: usize) -> bool {
    at == 0 && parser.tokens[1..].iter().all(|token| matches!(&token.kind, Kind::Sign("." | "\"")))
}

/// Whether what is behind a name says something of it: "the largest n is 34".
fn is_subject(parser: &Parser) -> bool {
    const VERBS: [&str; 8] = ["is", "are", "has", "have", "equals", "was", "that", "must"];
    matches!(parser.kind(), Some(Kind::Word(word)) if VERBS.contains(&word.to_lowercase().as_str()))
}

fn check_before(parser: &Parser, start: usize) -> Result<(), Missing> {
    let Some(before) = start.checked_sub(1).map(|at| &parser.tokens[at].kind) else { return Ok(()) };
    match before {
        Kind::Sign("not" | "!=") => Err(Missing::Refused("the expression is denied")),
        Kind::Word(word) if word.is_ascii() && !parser.tokens[start].spaced => Err(Missing::Nothing),
        Kind::Number(..) => Err(Missing::Refused("several numbers stand there")),
        Kind::Sign("^" | "_" | "/" | "*" | "}" | "\\}") => {
            Err(Missing::Refused("the expression is part of one that does not parse"))
        }
        Kind::Word(word) if BOUNDS.contains(&word.to_lowercase().as_str()) => {
            Err(Missing::Refused("the expression is only a bound"))
        }
        _ => Ok(()),
    }
}

/// Refuses an expression that what is behind it changes or puts in doubt.
fn check_after(parser: &Parser, how: How) -> Result<(), Missing> {
    let at = parser.at;
    let token = |at: usize| parser.tokens.get(at);
    let sign =
        |at: usize| token(at).and_then(|token| if let Kind::Sign(sign) = token.kind { Some(sign) } else { None });
    let offers_more = sign(at) == Some("or")
        || matches!(sign(at), Some("." | "," | "(" | ";")) && sign(at + 1) == Some("or")
        || sign(at) == Some(".") && matches!(sign(at + 1), Some("\"" | ")")) && sign(at + 2) == Some("or");
    if offers_more {
        return Err(Missing::Refused("another answer is offered"));
    }
    if how == How::Last && sign(at) == Some(",") && sign(at + 1) == Some("not") {
        return Err(Missing::Refused("answers are weighed"));
    }
    match token(at).map(|token| &token.kind) {
        Some(Kind::Number(..)) => Err(Missing::Refused("another number follows")),
        Some(Kind::Word(word))
            if unit::is_operation(&word.to_lowercase()) || unit::scale(&word.to_lowercase()).is_some() =>
        {
            Err(Missing::Refused("a word behind the number changes it"))
        }
        Some(Kind::Sign("/" | "*" | "^" | "_" | "+" | "±" | "!" | "}" | "]" | "\\}"))
            if how != How::Last || !is_closing(sign(at)) =>
        {
            Err(Missing::Refused("the expression goes on and does not parse"))
        }
        _ => Ok(()),
    }
}

fn is_closing(sign: Option<&str>) -> bool {
    matches!(sign, Some("}" | "]" | "\\}" | "!"))
}

/// Cuts a text into sentences.
fn sentences(text: &str) -> Vec<&str> {
    let mut sentences = Vec::new();
    let mut start = 0;
    let mut chars = text.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        let next = chars.peek().map(|(_, next)| *next);
        let is_end = match c {
            '.' | '!' | '?' => next.is_none_or(|next| next.is_whitespace() || matches!(next, '"' | ')' | '<')),
            '\n' | '。' | '！' | '？' => true,
            _ => false,
        };
        if is_end {
            sentences.push(&text[start..at]);
            start = at + c.len_utf8();
        }
    }
    sentences.push(&text[start..]);
    sentences.retain(|sentence| !sentence.trim().is_empty());
    sentences
}
