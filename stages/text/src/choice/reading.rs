//! What an answer chooses: of all that it says, what decides.

use std::ops::Range;

use super::cue::{self, Standing};
use super::letters::{Chosen, Letters};
use super::list::{self, Group};
use super::pattern::{self, patterns};
use super::plain::plain;
use super::wording::Wordings;

/// How much of an answer is read, in bytes from its end. It bounds the work.
const MAX_ANSWER: usize = 1 << 14;
/// The longest contents of a box that are read, in bytes.
const MAX_BOX: usize = 400;
/// The most letters that an answer may name; one with more chooses nothing.
const MAX_GROUPS: usize = 1_000;
/// How far before the last statement another one still counts, in bytes.
const REACH: usize = 240;
/// The most words behind a letter without punctuation at the head of an answer ("B 12 cm").
const MAX_WORDS: usize = 4;

patterns! {
    /// What follows a letter at the head of an answer.
    HEAD_END = r#"^ [)\]"]* \s* (?: $ | [.:,;)(、\n] | -\s | (?: because|since|as|due|with|not )\b )"#;
    HEAD_MARK = r#"^ [)\]"]* \s* [.:)、]"#;
    /// The end of what an answer says at its head; reasons follow.
    HEAD_REGION_END = r"\n\s*\n | \b(?: because|since|as|given|while|whereas|but|than|not|explanation|reason|note )\b
        | 解释|因为|解析|理由";
    VERB_AFTER = r"^ \s* (?: is|are|was|were|has|does|can|may|will|would|to )\b";
    /// A change of mind, after which what is merely called right or concluded is stated.
    CORRECTION = r"\b(?: wait|actually|correction|scratch_that|on_second_thought|oops|sorry|rather|instead )\b | \bno,";
}

/// Some letters of an answer, and how it stands to them.
struct Claim {
    group: Group,
    standing: Standing,
    /// With the options whose text stands beside them.
    letters: Letters,
}

/// Reads a gold answer: letters, a letter with its text, or an option's text.
pub(super) fn gold(gold: &str, wordings: &Wordings) -> Option<Letters> {
    let plain = plain(Some(gold).filter(|gold| gold.len() <= MAX_ANSWER)?);
    let text = plain.text.trim();
    if let Some(letters) = wordings.of(text) {
        return Some(letters);
    }
    let groups = list::groups(text);
    match bare(text, &groups, wordings) {
        Some(Chosen::All(letters)) => Some(letters),
        Some(Chosen::OneOf(_)) => None,
        None => {
            let is_head = |group: &&Group| HEAD_MARK.is_match(pattern::after(text, group.end)) || group.is_marked();
            groups.first().filter(|group| group.start == 0).filter(is_head).map(|group| group.letters)
        }
    }
}

/// Reads an answer.
pub(super) fn answer(answer: &str, wordings: &Wordings) -> Option<Chosen> {
    let plain = plain(&answer[answer.ceil_char_boundary(answer.len().saturating_sub(MAX_ANSWER))..]);
    let boxes = plain.boxes.iter().filter(|range| range.len() <= MAX_BOX);
    let boxes = boxes.filter_map(|range| Some((range.start, read(&plain.text[range.clone()], &[], wordings)?)));
    read(&plain.text, &boxes.collect::<Vec<_>>(), wordings)
}

/// Reads a plain text with its boxes: where they stand, and what is chosen in them.
fn read(text: &str, boxes: &[(usize, Chosen)], wordings: &Wordings) -> Option<Chosen> {
    let text = text.trim();
    let groups = Some(list::groups(text)).filter(|groups| groups.len() <= MAX_GROUPS)?;
    let texts = wordings.stated(text);
    let claims = claims(text, &groups, wordings, &texts);
    let whole = wordings.of(text).map(Chosen::All).or_else(|| bare(text, &groups, wordings));
    if let Some(chosen) = whole.or_else(|| marked(text, wordings)) {
        return Some(chosen);
    }
    let head = head(text, &claims).or_else(|| wordings.of(text.lines().next()?).map(Chosen::All));
    let one_head = head.filter(|head| head.letters().len() == 1);
    if let Some(stated) = stated(text, boxes, &texts, &claims, wordings) {
        let others = [corrected(text, &claims), one_head.filter(|_| !is_label(text))];
        return Some(others.into_iter().flatten().fold(stated, Chosen::join));
    }
    let of = |standing: Standing| union(claims.iter().filter(move |claim| claim.standing == standing));
    let drawn = of(Standing::Concluded).or_else(|| of(Standing::Right));
    match (drawn, one_head) {
        (Some(drawn), Some(head)) => Some(drawn.join(head)),
        _ => drawn.or(head).or_else(|| last_sentence(text, &claims, wordings)),
    }
}

/// Returns what stands behind `####`, which marks the answer whatever comes before it.
fn marked(text: &str, wordings: &Wordings) -> Option<Chosen> {
    let marked = text.lines().filter_map(|line| {
        let rest = line.rsplit_once("####")?.1;
        bare(rest, &list::groups(rest), wordings).or_else(|| wordings.of(rest).map(Chosen::All))
    });
    marked.reduce(Chosen::join)
}

/// Returns what a text states: in boxes, in its first line, and in the last statement or shortly before it.
///
/// What a long text says on the way to its end ("the option with 5 is A") does not count.
fn stated(
    text: &str,
    boxes: &[(usize, Chosen)],
    texts: &[(Range<usize>, Letters)],
    claims: &[Claim],
    wordings: &Wordings,
) -> Option<Chosen> {
    let first_end = text.find('\n').unwrap_or(text.len());
    let lines = [(0, text.lines().next()), (text.len(), text.lines().next_back())];
    let lines = lines.into_iter().filter_map(|(at, line)| Some((at, bare(line?, &list::groups(line?), wordings)?)));
    let claims = claims.iter().filter(|claim| claim.standing == Standing::Stated);
    let claims = claims.map(|claim| (claim.group.start, Chosen::new(claim.letters, claim.group.is_open)));
    let texts = texts.iter().map(|(range, letters)| (range.start, Chosen::All(*letters)));
    let prose: Vec<(usize, Chosen)> = lines.chain(claims).chain(texts).collect();
    let last = prose.iter().chain(boxes).map(|(at, _)| *at).max()?;
    let prose = prose.iter().filter(|(at, _)| *at < first_end || at + REACH >= last);
    prose.chain(boxes).map(|(_, chosen)| *chosen).reduce(Chosen::join)
}

/// Returns what a text chooses that holds letters and nothing else; an option's text may look like letters, too.
fn bare(text: &str, groups: &[Group], wordings: &Wordings) -> Option<Chosen> {
    let has_text = groups.first().is_some_and(|first| wordings.behind(text, first.end).is_some());
    if has_text {
        return None;
    }
    let is_open = list::bare(text, groups)?;
    let letters = groups.iter().map(|group| group.letters).reduce(Letters::union)?;
    Some(Chosen::new(letters, is_open))
}

/// Judges each group, leaving out those inside an option's own text (among `texts`, or behind a letter).
fn claims(text: &str, groups: &[Group], wordings: &Wordings, texts: &[(Range<usize>, Letters)]) -> Vec<Claim> {
    let mut claims = Vec::new();
    let mut covered = 0;
    let mut texts = texts.iter().peekable();
    for group in groups {
        while let Some((range, _)) = texts.next_if(|(range, _)| range.start <= group.start) {
            covered = covered.max(range.end);
        }
        if group.start < covered {
            continue;
        }
        let behind = wordings.behind(text, group.end);
        covered = behind.as_ref().map_or(covered, |(range, _)| covered.max(range.end));
        let ahead = group.is_marked().then(|| wordings.ahead(text, group.start)).flatten();
        let beside = [behind.map(|(_, letters)| letters), ahead];
        let letters = beside.into_iter().flatten().fold(group.letters, Letters::union);
        claims.push(Claim { standing: cue::standing(text, group), group: group.clone(), letters });
    }
    claims
}

fn union<'a>(claims: impl Iterator<Item = &'a Claim>) -> Option<Chosen> {
    claims.map(|claim| Chosen::new(claim.letters, claim.group.is_open)).reduce(Chosen::join)
}

/// Returns what a text concludes, or calls right, after a change of mind.
fn corrected(text: &str, claims: &[Claim]) -> Option<Chosen> {
    let from = CORRECTION.find(text)?.end();
    let is_drawn = |claim: &&Claim| matches!(claim.standing, Standing::Concluded | Standing::Right);
    union(claims.iter().filter(|claim| claim.group.start >= from).filter(is_drawn))
}

/// Returns whether a text begins with `A:`, which may as well be short for "Answer:".
fn is_label(text: &str) -> bool {
    text.strip_prefix(['A', 'a']).is_some_and(|rest| rest.trim_start().starts_with(':'))
}

/// Returns the letter that a text begins with ("B. 12 cm"), and those of a list that goes on ("A. 12 B. 13").
fn head(text: &str, claims: &[Claim]) -> Option<Chosen> {
    let first = claims.first().filter(|first| list::is_filling(&text[..first.group.start]))?;
    let has_mark = |claim: &Claim| claim.group.is_marked() || HEAD_MARK.is_match(pattern::after(text, claim.group.end));
    let is_head = has_mark(first)
        || !first.group.is_small()
            && (HEAD_END.is_match(pattern::after(text, first.group.end)) || is_short(text, first));
    if !is_head || first.standing == Standing::Refused {
        return None;
    }
    let region = HEAD_REGION_END.find_at(text, first.group.end).map_or(text.len(), |end| end.start());
    let first_line = text.find('\n').unwrap_or(text.len());
    let names = |claim: &Claim| has_mark(claim) || text[claim.group.end..].trim_start().starts_with('(');
    let is_listed = |claim: &&Claim| {
        let start = claim.group.start;
        let in_place = start < first_line || text[..start].trim_end_matches(' ').ends_with('\n');
        in_place && start < region && claim.standing == Standing::Named && names(claim)
    };
    union(std::iter::once(first).chain(claims[1..].iter().filter(is_listed)))
}

/// Returns whether a text is a letter and a few words ("B 12 cm"), no sentence about the letter.
fn is_short(text: &str, first: &Claim) -> bool {
    let rest = &text[first.group.end..];
    !text[..first.group.start].contains(char::is_alphabetic)
        && rest.starts_with(' ')
        && !rest.contains('\n')
        && rest.split_whitespace().take(MAX_WORDS + 1).count() <= MAX_WORDS
        && !VERB_AFTER.is_match(rest)
}

/// Returns what the last sentence names: letters in brackets or behind "option", and what it says to match; or the
/// option whose text is the last line.
fn last_sentence(text: &str, claims: &[Claim], wordings: &Wordings) -> Option<Chosen> {
    let body = text.trim_end_matches(|c: char| c.is_whitespace() || ".!?。)]".contains(c));
    let ends = body.char_indices().rev().filter(|(_, c)| ".!?。\n".contains(*c));
    let mut starts = ends.map(|(at, c)| at + c.len_utf8());
    let start = starts.find(|&at| body[..at].ends_with(['。', '\n']) || body[at..].starts_with(char::is_whitespace));
    let is_named = |claim: &&Claim| {
        claim.group.start >= start.unwrap_or(0)
            && claim.standing != Standing::Refused
            && (claim.group.is_marked() || claim.standing == Standing::Matched)
    };
    let sentence = &body[start.unwrap_or(0)..];
    let named = bare(sentence, &list::groups(sentence), wordings).or_else(|| union(claims.iter().filter(is_named)));
    named.or_else(|| wordings.of(text.lines().next_back()?).map(Chosen::All))
}
