//! Lists of letters: "A and C", "(A), (C)", "A or B".

use super::letters::Letters;
use super::mention::{Dress, Mention, mentions};
use super::pattern::{self, patterns};

/// How far two letters of a list stand apart at most, in bytes.
const MAX_BETWEEN: usize = 60;

/// Options that are named together.
#[derive(Clone, Debug)]
pub(super) struct Group {
    pub(super) letters: Letters,
    /// Where the letters stand, with their brackets.
    pub(super) start: usize,
    pub(super) end: usize,
    /// Joined by "or".
    pub(super) is_open: bool,
    pub(super) dress: Dress,
    /// Followed by a comma, a conjunction, or the end of a sentence.
    pub(super) ends_clause: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Join {
    And,
    Or,
}

patterns! {
    /// What stands between two letters of a list.
    BETWEEN = r#"^ [\s.,;:/&|+()?!"、。-]* (?:
        (?: and|or|nor|also|both|either|even|und|oder|et|ou|y|o|e|è|i|u|и|или|options?|choices?|answers?|the|letter
            |maybe|possibly|perhaps|probably|alternatively|otherwise|和|与|與|及|或者?|还有|と|か|または|와|과|또는|选项|選項
        ) [\s.,;:/&|+()?!"-]*
    )* $"#;
    OR = r"[/|?] | \b(?: or|nor|oder|ou|o|maybe|possibly|perhaps|probably|alternatively|otherwise )\b
        | или|或|または|か|또는";
    AND = r"[,;&+、] | \b(?: and|und|et|y|e|i|also )\b | и|和|与|與|及|还有|と|와|과 | ^[\s()]*$";
    /// What follows the last letter of a list with semicolons.
    LIST_END = r#"^ [)\]"]* \s* (?: $ | [.,;\n] )"#;
    /// The number of the question, before its answer.
    NUMBERED = r"^ \s* (?: question|problem|q )? \s* \d{1,3} \s* [.):] \s+";
    PAIRED_BEFORE = r"\b(?: both|either|neither ) \s* (?: options?|choices?|answers?|the )? \s* $";
    SINGULAR_AFTER = r#"^ [)\]"]* \s* (?: is|was|isn't|wasn't|has|does|doesn't|fails|seems|looks )\b"#;
    /// What a bare list may hold beside its letters.
    BARE_PIECE = r#"^ (?: [\s.,;:!?/&|+()\[\]{}"'<>\#、。→∴✅✓✔]
        | (?: and|or|also|both|either|und|oder|et|ou|maybe|possibly|perhaps|probably|definitely|certainly|clearly|surely
            |obviously|simply|so|the|options?|choices?|letters?|answers?|和|与|及|或|と|か|选项|選項|项|です ) )* $"#;
}

/// Finds the groups of a plain text, in order.
pub(super) fn groups(text: &str) -> Vec<Group> {
    let mentions = mentions(text);
    let mut groups: Vec<Group> = Vec::new();
    for (at, mention) in mentions.iter().enumerate() {
        let joins_next = mentions.get(at + 1).is_some_and(|next| join(text, mention, next).is_some());
        let joined = at.checked_sub(1).and_then(|before| join(text, &mentions[before], mention));
        match (joined, groups.last_mut()) {
            (Some(join), Some(group)) if joins_next || !begins_clause(text, group, join, mention) => {
                group.letters = group.letters.union(mention.letters);
                group.end = mention.end;
                group.is_open |= join == Join::Or;
                group.dress = group.dress.min(mention.dress);
                group.ends_clause = mention.ends_clause;
            }
            _ => groups.push(Group::of(mention)),
        }
    }
    groups
}

impl Group {
    fn of(mention: &Mention) -> Self {
        let &Mention { letters, start, end, dress, ends_clause } = mention;
        Self { letters, start, end, is_open: false, dress, ends_clause }
    }

    pub(super) fn is_marked(&self) -> bool {
        self.dress == Dress::Marked
    }

    pub(super) fn is_small(&self) -> bool {
        self.dress == Dress::Small
    }
}

/// Returns how two neighbours are joined, if they are.
fn join(text: &str, one: &Mention, next: &Mention) -> Option<Join> {
    let between = &text[one.end..next.start];
    let are_alike = one.dress == next.dress || [one.dress, next.dress].contains(&Dress::Marked);
    if !are_alike || between.len() > MAX_BETWEEN || !BETWEEN.is_match(between) {
        return None;
    }
    let goes_on = between.contains(';') && !LIST_END.is_match(pattern::after(text, next.end));
    let ends_sentence = between.contains(['.', '!', '\n', '。']);
    match (OR.is_match(between), AND.is_match(between)) {
        (true, _) => Some(Join::Or),
        (false, true) if !ends_sentence && !goes_on => Some(Join::And),
        _ => None,
    }
}

/// Returns whether the last letter of a list is the subject of what follows ("B, A is wrong"), not a part of the list.
fn begins_clause(text: &str, list: &Group, join: Join, last: &Mention) -> bool {
    join == Join::And
        && SINGULAR_AFTER.is_match(pattern::after(text, last.end))
        && !PAIRED_BEFORE.is_match(pattern::before(text, list.start))
}

/// Returns whether a text holds its groups, joining words and nothing else; `Some(true)` if they are alternatives.
pub(super) fn bare(text: &str, groups: &[Group]) -> Option<bool> {
    let starts = groups.iter().map(|group| group.start).chain([text.len()]);
    let ends = std::iter::once(0).chain(groups.iter().map(|group| group.end));
    let mut pieces: Vec<&str> = ends.zip(starts).map(|(from, to)| &text[from..to]).collect();
    pieces[0] = &pieces[0][NUMBERED.find(pieces[0]).map_or(0, |number| number.end())..];
    let is_bare = !groups.is_empty() && pieces.iter().all(|piece| is_filling(piece));
    let is_open = |piece: &&str| OR.is_match(piece);
    is_bare.then(|| pieces[1..groups.len()].iter().any(is_open) || groups.iter().any(|group| group.is_open))
}

/// Returns whether a text holds only what may stand around letters without saying more: punctuation, "and", "option".
pub(super) fn is_filling(text: &str) -> bool {
    BARE_PIECE.is_match(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists() {
        for (text, expected) in [
            ("A, B and C", vec!["A, B, C"]),
            ("(A) (C)", vec!["A, C"]),
            ("A e C", vec!["A, C"]),
            ("B, A is wrong", vec!["B", "A"]),
            ("both A and B is wrong", vec!["A, B"]),
            ("It is B. A and C are wrong", vec!["B", "A, C"]),
            ("option A, option B", vec!["A, B"]),
        ] {
            let found: Vec<String> = groups(text).iter().map(|group| group.letters.to_string()).collect();
            assert_eq!(found, expected, "{text:?}");
        }
    }

    #[test]
    fn alternatives() {
        for (text, is_open) in [("A or B", true), ("A. Or B", true), ("a/b", true), ("A and B", false), ("A, B", false)]
        {
            let found: Vec<bool> = groups(text).iter().map(|group| group.is_open).collect();
            assert_eq!(found, [is_open], "{text:?}");
        }
    }

    #[test]
    fn bare_lists() {
        for (text, expected) in [
            (" (B). ", Some(false)),
            ("A. B. D.", Some(false)),
            ("A? B", Some(true)),
            ("option b", Some(false)),
            ("B is", None),
            ("none", None),
        ] {
            assert_eq!(bare(text, &groups(text)), expected, "{text:?}");
        }
    }
}
