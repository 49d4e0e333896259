//! Spells trees: for people, and canonically for votes.

use super::node::{Constant, Node, Rel};
use super::unit::Unit;
use super::value::{POINTS, value};

/// Returns a tree in plain text.
pub(super) fn plain(node: &Node) -> String {
    let all = |parts: &[Node], separator: &str| parts.iter().map(plain).collect::<Vec<_>>().join(separator);
    match node {
        Node::Number(literal) => literal.value.to_string(),
        Node::Based { digits, base, .. } => format!("{digits} in base {base}"),
        Node::Constant(Constant::Pi) => "pi".to_owned(),
        Node::Constant(Constant::E) => "e".to_owned(),
        Node::Constant(Constant::I) => "i".to_owned(),
        Node::Constant(Constant::Infinity) => "infinity".to_owned(),
        Node::Symbol(name) => name.clone(),
        Node::Sum(terms) => format!("({})", all(terms, " + ")),
        Node::Product(factors) => all(factors, "*"),
        Node::Power(base, exponent) => format!("({})^({})", plain(base), plain(exponent)),
        Node::Apply(function, arguments) => {
            format!("{}({})", format!("{function:?}").to_lowercase(), all(arguments, ", "))
        }
        Node::Call(name, arguments) => format!("{name}({})", all(arguments, ", ")),
        Node::Matrix(rows) => {
            format!("[{}]", rows.iter().map(|row| format!("[{}]", all(row, ", "))).collect::<Vec<_>>().join(", "))
        }
        Node::Group(group) => format!("{}{}{}", group.open, all(&group.members, ", "), group.close),
        Node::List(members, _) => all(members, ", "),
        Node::Relation(members, rels) => {
            let mut text = plain(&members[0]);
            for (member, rel) in members[1..].iter().zip(rels) {
                text = format!("{text} {} {}", sign(*rel), plain(member));
            }
            text
        }
        Node::Union(parts) => all(parts, " ∪ "),
        Node::PlusMinus(one, two, _) => format!("({} ± {})", plain(one), plain(two)),
        Node::Quantity(value, Unit::Percent) => format!("{} %", plain(value)),
        Node::Quantity(value, Unit::Noun(noun)) => format!("{} {noun}", plain(value)),
        Node::Quantity(value, Unit::Known { factor, .. }) => format!("{} times a unit of {factor} SI", plain(value)),
        Node::Ratio(members) => all(members, ":"),
        Node::Empty => "nothing".to_owned(),
        Node::Nothing => String::new(),
    }
}

fn sign(rel: Rel) -> &'static str {
    match rel {
        Rel::Equal => "=",
        Rel::NotEqual => "!=",
        Rel::Less => "<",
        Rel::LessEqual => "<=",
        Rel::Greater => ">",
        Rel::GreaterEqual => ">=",
        Rel::Approx => "≈",
        Rel::Congruent => "≡",
        Rel::In => "in",
    }
}

/// Returns a spelling that equal values have in common, as far as it is cheap: numbers are exact, values of other
/// expressions are told by their first digits at a fixed point, members of sets are sorted.
pub(super) fn canonical(node: &Node) -> String {
    let sorted = |members: &[Node]| {
        let mut spelled: Vec<String> = members.iter().map(canonical).collect();
        spelled.sort();
        spelled.join(", ")
    };
    match node {
        Node::Number(literal) => literal.value.to_string(),
        Node::Quantity(value, _) => canonical(value),
        Node::List(members, _) | Node::Union(members) => sorted(members),
        Node::Group(group) if group.is_set() => sorted(&group.members),
        Node::Relation(members, rels) if rels.iter().all(|rel| matches!(rel, Rel::Equal | Rel::Approx)) => {
            canonical(members.last().expect("a relation has members"))
        }
        other => value(other, POINTS[0]).map_or_else(|| plain(other), |value| value.digits()),
    }
}
