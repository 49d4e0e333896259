//! Formulas of propositional logic: truth tables, parsing.
//!
//! A truth table holds one bit for each assignment, so at most [`MAX_ATOMS`] atoms fit. Assignment `i` makes atom `k`
//! true if bit `k` of `i` is set.

/// The most atoms of a formula.
pub(super) const MAX_ATOMS: usize = 7;

/// The longest text of a formula, in bytes, and its deepest nesting.
const MAX_BYTES: usize = 1_000;
const MAX_DEPTH: usize = 50;

/// One bit for each assignment.
pub(super) type Table = u128;

/// A formula.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Formula {
    Atom(usize),
    Not(Box<Formula>),
    And(Box<Formula>, Box<Formula>),
    Or(Box<Formula>, Box<Formula>),
    If(Box<Formula>, Box<Formula>),
    Iff(Box<Formula>, Box<Formula>),
    /// Exactly so many of all atoms are true.
    Exactly(usize),
}

use Formula::{And, Atom, Exactly, If, Iff, Not, Or};

/// Returns the table in which every assignment of `count` atoms is set.
pub(super) fn everything(count: usize) -> Table {
    Table::MAX >> (128 - (1 << count))
}

impl Formula {
    /// Returns the truth table for `count` atoms.
    pub(super) fn table(&self, count: usize) -> Table {
        let of = |formula: &Self| formula.table(count);
        let assignments = 0..1_usize << count;
        let table = match self {
            Atom(atom) => tables_of(assignments.filter(|at| at >> atom & 1 == 1)),
            Exactly(number) => tables_of(assignments.filter(|at| at.count_ones() as usize == *number)),
            Not(inner) => !of(inner),
            And(left, right) => of(left) & of(right),
            Or(left, right) => of(left) | of(right),
            If(left, right) => !of(left) | of(right),
            Iff(left, right) => !(of(left) ^ of(right)),
        };
        table & everything(count)
    }

    /// Returns the denial, without a double one.
    pub(super) fn denied(self) -> Self {
        match self {
            Not(inner) => *inner,
            other => Not(Box::new(other)),
        }
    }

    /// Returns a text that is equal for formulas that differ in the order of operands only. `atom` spells an atom.
    pub(super) fn shape(&self, atom: &dyn Fn(usize) -> String) -> String {
        let pair = |sign: &str, left: &Self, right: &Self| {
            let mut sides = [left.shape(atom), right.shape(atom)];
            if sign != ">" {
                sides.sort_unstable();
            }
            format!("({}{sign}{})", sides[0], sides[1])
        };
        match self {
            Atom(at) => atom(*at),
            Not(inner) => format!("!{}", inner.shape(atom)),
            And(left, right) => pair("&", left, right),
            Or(left, right) => pair("|", left, right),
            If(left, right) => pair(">", left, right),
            Iff(left, right) => pair("=", left, right),
            Exactly(number) => format!("#{number}"),
        }
    }

    /// Returns the formula in signs, in parentheses where it has two sides.
    pub(super) fn signs(&self, atom: &dyn Fn(usize) -> String) -> String {
        let pair =
            |sign: &str, left: &Self, right: &Self| format!("({} {sign} {})", left.signs(atom), right.signs(atom));
        match self {
            Atom(at) => atom(*at),
            Not(inner) => format!("¬{}", inner.signs(atom)),
            And(left, right) => pair("∧", left, right),
            Or(left, right) => pair("∨", left, right),
            If(left, right) => pair("→", left, right),
            Iff(left, right) => pair("↔", left, right),
            Exactly(number) => format!("#{number}"),
        }
    }

    /// Returns whether the atom occurs.
    pub(super) fn mentions(&self, atom: usize) -> bool {
        match self {
            Atom(at) => *at == atom,
            Exactly(_) => true,
            Not(inner) => inner.mentions(atom),
            And(left, right) | Or(left, right) | If(left, right) | Iff(left, right) => {
                left.mentions(atom) || right.mentions(atom)
            }
        }
    }
}

fn tables_of(assignments: impl Iterator<Item = usize>) -> Table {
    assignments.fold(0, |table, at| table | 1 << at)
}

/// Reads a formula in signs. Names that are not among `atoms` yet are added to them. `None` if it does not parse, or
/// has too many atoms. `¬` binds tightest, then `∧`, `∨`, `→` (to the right) and `↔`.
pub(super) fn parse(text: &str, atoms: &mut Vec<String>) -> Option<Formula> {
    if text.len() > MAX_BYTES {
        return None;
    }
    let chars: Vec<char> = text.chars().filter(|c| !c.is_whitespace()).collect();
    let mut parser = Parser { chars, at: 0, atoms };
    let formula = parser.pair(0, 0)?;
    (parser.at == parser.chars.len()).then_some(formula)
}

/// The signs between two sides, from the loosest.
const SIGNS: [char; 4] = ['↔', '→', '∨', '∧'];

struct Parser<'a> {
    chars: Vec<char>,
    at: usize,
    atoms: &'a mut Vec<String>,
}

impl Parser<'_> {
    fn pair(&mut self, level: usize, depth: usize) -> Option<Formula> {
        let Some(sign) = SIGNS.get(level) else { return self.single(depth) };
        let mut left = self.pair(level + 1, depth)?;
        while self.next_is(*sign) {
            // `→` reaches to the right.
            let right = self.pair(if *sign == '→' { level } else { level + 1 }, deeper(depth)?)?;
            let (left_side, right) = (Box::new(left), Box::new(right));
            left = match sign {
                '↔' => Iff(left_side, right),
                '→' => If(left_side, right),
                '∨' => Or(left_side, right),
                _ => And(left_side, right),
            };
        }
        Some(left)
    }

    fn single(&mut self, depth: usize) -> Option<Formula> {
        let depth = deeper(depth)?;
        if self.next_is('¬') {
            return self.single(depth).map(|inner| Not(Box::new(inner)));
        }
        if self.next_is('(') {
            let inner = self.pair(0, depth)?;
            return self.next_is(')').then_some(inner);
        }
        let length = self.chars[self.at..].iter().take_while(|c| c.is_ascii_alphanumeric()).count();
        let name: String = self.chars[self.at..self.at + length].iter().collect();
        self.at += length;
        let at = self.atoms.iter().position(|atom| *atom == name);
        if at.is_none() {
            self.atoms.push(name);
        }
        let at = at.unwrap_or(self.atoms.len() - 1);
        (length > 0 && at < MAX_ATOMS).then_some(Atom(at))
    }

    fn next_is(&mut self, sign: char) -> bool {
        let is_next = self.chars.get(self.at) == Some(&sign);
        self.at += usize::from(is_next);
        is_next
    }
}

fn deeper(depth: usize) -> Option<usize> {
    (depth < MAX_DEPTH).then_some(depth + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_and_parsing_agree_with_truth() {
        for (text, table) in [
            ("P", 0b1010),
            ("¬P", 0b0101),
            ("(P ∧ Q)", 0b1000),
            ("P ∨ Q", 0b1110),
            ("P → Q", 0b1101),
            ("P ↔ Q", 0b1001),
            ("P ∧ ¬Q ∨ Q", 0b1110),
            ("P → Q → P", 0b1111),
            ("¬(P ∨ ¬¬Q)", 0b0001),
        ] {
            let mut atoms = vec!["P".to_owned(), "Q".to_owned()];
            assert_eq!(parse(text, &mut atoms).map(|formula| formula.table(2)), Some(table), "{text}");
        }
        assert_eq!(Exactly(1).table(2), 0b0110);
        assert_eq!(everything(7), Table::MAX);
    }

    #[test]
    fn what_is_no_formula_is_refused() {
        let deep = "¬".repeat(300) + "P";
        let wide = ["A", "B", "C", "D", "E", "F", "G", "H"].join("∧");
        let nested = "(".repeat(200) + "P";
        for text in ["", "P Q ∧", "(P", "P)", "∧P", "P → ", "é", &deep, &wide, &nested, &"P∧".repeat(500)] {
            assert_eq!(parse(text, &mut Vec::new()), None, "{text:?}");
        }
    }
}
