//! Reads who is of which kind: `Ada is a knight`, `Ada and Ben are knights`, `Knights: Ada, Ben`.

use crate::puzzles::answer::{Reading, words};

/// Reads answers about given people, in given terms.
pub(super) struct Reader {
    /// The words of each name, in lower case.
    names: Vec<Vec<String>>,
    /// How the two kinds are called, in lower case.
    terms: [Vec<String>; 2],
}

/// What a word of an answer is.
enum Word {
    Name(usize),
    Kind(bool),
}

impl Reader {
    /// `None` if names or terms cannot be told apart.
    pub(super) fn new(names: &[&str], terms: [&str; 2]) -> Option<Self> {
        let lower: Vec<String> = names.iter().map(|name| name.to_lowercase()).collect();
        let names: Vec<Vec<String>> =
            lower.iter().map(|name| words(name).into_iter().map(|(_, word)| word.to_owned()).collect()).collect();
        let terms = terms.map(|term| {
            let term = term.to_lowercase();
            vec![format!("{term}s"), format!("{term}es"), term]
        });
        let is_clear = names.iter().enumerate().all(|(at, name)| {
            !name.is_empty()
                && !names[..at].contains(name)
                && !terms.iter().flatten().any(|term| name == &[term.as_str()])
        });
        (is_clear && terms[0] != terms[1]).then_some(Self { names, terms })
    }

    /// Reads a part of an answer: the kind of everyone.
    pub(super) fn read(&self, part: &str) -> Reading<Vec<bool>> {
        let lower = part.to_lowercase();
        let mut kinds: Vec<Option<bool>> = vec![None; self.names.len()];
        let mut says_something = false;
        // A clause begins anew, so that "Knights: Ada. Ben is a knave" is read rightly.
        for clause in lower.split(['\n', ';', '.']) {
            let Some(clause) = self.clause(clause) else { return Reading::Several };
            for (name, kind) in clause {
                says_something = true;
                if kinds[name].replace(kind).is_some_and(|other| other != kind) {
                    return Reading::Several;
                }
            }
        }
        match kinds.into_iter().collect() {
            Some(kinds) => Reading::One(kinds),
            None if says_something => Reading::Part,
            None => Reading::Nothing,
        }
    }

    /// Returns what a clause says of whom; `None` if it says so under a condition, or denies it.
    fn clause(&self, clause: &str) -> Option<Vec<(usize, bool)>> {
        let words: Vec<&str> = words(clause).into_iter().map(|(_, word)| word).collect();
        let mut said = Vec::new();
        let mut pending = Vec::new();
        // In "Knights: Ada, Ben" the kind stands before the names.
        let mut ahead = None;
        let (mut at, mut has_kind, mut is_open) = (0, false, false);
        while at < words.len() {
            let (found, length) = self.word(&words[at..]);
            match found {
                Some(Word::Name(name)) => match ahead {
                    Some(kind) => said.push((name, kind)),
                    None => pending.push(name),
                },
                Some(Word::Kind(kind)) if pending.is_empty() => {
                    has_kind = true;
                    ahead = Some(kind);
                }
                Some(Word::Kind(kind)) => {
                    has_kind = true;
                    said.extend(pending.drain(..).map(|name| (name, kind)));
                }
                None => {
                    is_open |= matches!(words[at], "or" | "not" | "isn" | "aren" | "neither" | "if" | "unless" | "nor");
                }
            }
            at += length;
        }
        (!(has_kind && is_open)).then_some(said)
    }

    /// Returns what the first word is, and how many words it takes.
    fn word(&self, words: &[&str]) -> (Option<Word>, usize) {
        let name =
            self.names.iter().enumerate().filter(|(_, name)| {
                words.len() >= name.len() && words.iter().zip(*name).all(|(word, name)| word == name)
            });
        if let Some((at, name)) = name.max_by_key(|(_, name)| name.len()) {
            return (Some(Word::Name(at)), name.len());
        }
        let is_kind = |terms: &[String]| terms.iter().any(|term| term == words[0]);
        let kind = if is_kind(&self.terms[0]) { Some(true) } else { is_kind(&self.terms[1]).then_some(false) };
        (kind.map(Word::Kind), 1)
    }
}
