//! Whether an answer means the same as the gold one: compares trees, members by their kind.

mod chain;
mod scalar;
mod sets;

pub(super) use chain::{is_name, value as value_of};
pub(super) use scalar::has_names;

use super::node::{Branch, Group, Node, Rel};
use super::number::{power_of_ten, small, whole};
use super::unit::Unit;
use super::value::spend;

/// The fewest digits of a rounding for which an answer is paid as for what it rounds: `\sqrt2 ≈ 1.41`. With fewer, it
/// would give two answers: `4.5 ≈ 5`.
const ROUNDED_DIGITS: u32 = 3;

/// The most members that are matched in any order.
const MAX_MEMBERS: usize = 64;

/// Returns whether an answer means the same as the gold one.
pub(super) fn same(gold: &Node, answer: &Node) -> bool {
    let (gold, answer) = (settled(gold.clone()), settled(answer.clone()));
    compare(&gold, &answer)
}

fn compare(gold: &Node, answer: &Node) -> bool {
    use Node::{Empty, Group, List, Matrix, Quantity, Ratio, Relation, Union};
    if gold == answer {
        return !matches!(gold, Node::Nothing);
    }
    // A comparison of nested values may branch at each level.
    if spend(1).is_none() {
        return false;
    }
    match (gold, answer) {
        (Relation(members, rels), Relation(others, other_rels)) => chain::same((members, rels), (others, other_rels)),
        (Relation(members, rels), other) => {
            chain::value(members, rels).is_some_and(|value| compare(&settled(value), other))
                || chain::rounding(members, rels, 1).is_some_and(|rounding| compare(rounding, other))
                || sets::solutions(members, rels).is_some_and(|set| compare(&set, other))
        }
        (other, Relation(members, rels)) => {
            chain::value(members, rels).is_some_and(|value| compare(other, &settled(value)))
                || chain::rounding(members, rels, ROUNDED_DIGITS).is_some_and(|rounding| compare(other, rounding))
                || (!is_scalar(other) && sets::solutions(members, rels).is_some_and(|set| compare(other, &set)))
        }
        (Quantity(value, unit), Quantity(other, other_unit)) => measured(value, unit, other, other_unit),
        (Quantity(value, unit), other) => bare(value, unit, other),
        (other, Quantity(value, unit)) => bare_answer(other, value, unit),
        (List(members, decimal), other) if is_scalar(other) => {
            decimal.as_ref().is_some_and(|decimal| compare(&Node::number(decimal.clone()), other))
                || (members.len() == 1 && compare(&members[0], other))
        }
        (other, List(members, decimal)) if is_scalar(other) => {
            decimal.as_ref().is_some_and(|decimal| compare(other, &Node::number(decimal.clone())))
                || (members.len() == 1 && compare(other, &members[0]))
        }
        (List(one, decimal), List(two, other)) => sets::unordered(one, two) || (decimal.is_some() && decimal == other),
        (List(members, _), Group(group)) | (Group(group), List(members, _)) => {
            if group.is_set() {
                sets::unordered(members, &group.members)
            } else {
                sets::ordered(&group.members, members)
            }
        }
        (Group(one), Group(two)) if one.is_set() && two.is_set() => sets::unordered(&one.members, &two.members),
        (Group(one), Group(two)) => {
            (one.open, one.close) == (two.open, two.close) && sets::ordered(&one.members, &two.members)
        }
        (Matrix(one), Matrix(two)) => {
            one.len() == two.len() && one.iter().zip(two).all(|(one, two)| sets::ordered(one, two))
        }
        (Matrix(rows), Group(group)) | (Group(group), Matrix(rows)) => sets::is_matrix_of(rows, group),
        (Union(one), Union(two)) => sets::unordered(one, two),
        (Union(parts), List(members, _)) | (List(members, _), Union(parts)) => sets::unordered(parts, members),
        // A set of one member is not told from the member.
        (Group(set), other) if set.is_set() && set.members.len() == 1 && is_scalar(other) => {
            compare(&set.members[0], other)
        }
        (other, Group(set)) if set.is_set() && set.members.len() == 1 && is_scalar(other) => {
            compare(other, &set.members[0])
        }
        (Ratio(one), Ratio(two)) => sets::same_ratio(one, two),
        (Ratio(members), other) if is_scalar(other) => sets::is_ratio(members, other),
        (Empty, _) | (_, Empty) => false,
        (one, two) if is_scalar(one) && is_scalar(two) => scalar::same(one, two),
        _ => false,
    }
}

/// Whether a node is one value, as far as its kind tells.
fn is_scalar(node: &Node) -> bool {
    matches!(
        node,
        Node::Number(_)
            | Node::Based { .. }
            | Node::Constant(_)
            | Node::Symbol(_)
            | Node::Sum(_)
            | Node::Product(_)
            | Node::Power(..)
            | Node::Apply(..)
            | Node::Call(..)
            | Node::Quantity(..)
    )
}

/// Compares two measured values: units that can be converted must agree, nouns count for nothing.
fn measured(value: &Node, unit: &Unit, other: &Node, other_unit: &Unit) -> bool {
    match (unit, other_unit) {
        (Unit::Known { factor, dimensions }, Unit::Known { factor: second, dimensions: others }) => {
            let scaled = |value: &Node, factor| Node::product(vec![value.clone(), Node::number(factor)]);
            dimensions == others
                && (factor == second && compare(value, other)
                    || compare(&scaled(value, factor.clone()), &scaled(other, second.clone())))
        }
        _ => compare(value, other),
    }
}

/// Compares a gold value that has a unit with an answer that has none: an angle may also be in radians.
fn bare(value: &Node, unit: &Unit, other: &Node) -> bool {
    compare(value, other)
        || is_angle(unit) && scalar::is_in_radians(value, other)
        || letters_are(unit, value, other)
        || is_share(unit, value, other)
}

fn bare_answer(gold: &Node, value: &Node, unit: &Unit) -> bool {
    compare(gold, value)
        || is_angle(unit) && scalar::is_in_radians(value, gold)
        || letters_are(unit, value, gold)
        || is_share(unit, value, gold)
}

/// Whether a product is a value with the unit's letter as a variable: `2g` beside `2 g`.
fn letters_are(unit: &Unit, value: &Node, product: &Node) -> bool {
    let (Unit::Known { factor, dimensions }, Node::Product(factors)) = (unit, product) else { return false };
    let [first, letters @ ..] = factors.as_slice() else { return false };
    let mut product = (small(1), [0; 10]);
    for letter in letters {
        let (name, power) = match letter {
            Node::Symbol(name) => (name, 1),
            Node::Power(base, exponent) => match (base.as_ref(), exponent.as_number().and_then(whole)) {
                (Node::Symbol(name), Some(power)) => (name, power),
                _ => return false,
            },
            _ => return false,
        };
        let multiplied = super::unit::known(name)
            .zip(i8::try_from(power).ok())
            .and_then(|(known, power)| Unit::product(product.clone(), known, power));
        let Some(multiplied) = multiplied else { return false };
        product = multiplied;
    }
    product == (factor.clone(), *dimensions) && compare(value, first)
}

/// Whether a percentage is written as a share: `62.5%` and 0.625.
fn is_share(unit: &Unit, percent: &Node, share: &Node) -> bool {
    *unit == Unit::Percent && compare(&Node::product(vec![percent.clone(), Node::number(power_of_ten(-2))]), share)
}

fn is_angle(unit: &Unit) -> bool {
    matches!(unit, Unit::Known { dimensions, .. } if *dimensions == super::unit::ANGLE)
}

/// Writes `±` out: a node with it becomes the list of two.
fn settled(node: Node) -> Node {
    match node {
        Node::List(members, decimal) => {
            let members: Vec<Node> = members.into_iter().flat_map(both).collect();
            Node::List(members, decimal)
        }
        Node::Group(group) if group.is_set() => {
            let members = group.members.into_iter().flat_map(both).collect();
            Node::Group(Group { members, ..group })
        }
        Node::Relation(members, rels) => {
            let [.., last] = members.as_slice() else { return Node::Relation(members, rels) };
            if rels.iter().all(|rel| matches!(rel, Rel::Equal | Rel::Approx)) && has_both(last) {
                let (one, two) = (branch(last, true), branch(last, false));
                return Node::List(vec![one, two], None);
            }
            Node::Relation(members, rels)
        }
        other => {
            let mut values = both(other);
            if values.len() == 1 { values.remove(0) } else { Node::List(values, None) }
        }
    }
}

fn both(node: Node) -> Vec<Node> {
    if has_both(&node) { vec![branch(&node, true), branch(&node, false)] } else { vec![node] }
}

fn has_both(node: &Node) -> bool {
    match node {
        Node::PlusMinus(..) => true,
        Node::Sum(parts) | Node::Product(parts) | Node::Apply(_, parts) | Node::Relation(parts, _) => {
            parts.iter().any(has_both)
        }
        Node::Power(base, exponent) => has_both(base) || has_both(exponent),
        Node::Quantity(value, _) => has_both(value),
        Node::Group(group) if !group.is_set() => group.members.iter().any(has_both),
        _ => false,
    }
}

/// Takes one sign of every `±`.
fn branch(node: &Node, upper: bool) -> Node {
    let all = |parts: &[Node]| parts.iter().map(|part| branch(part, upper)).collect::<Vec<_>>();
    match node {
        Node::PlusMinus(one, two, order) => {
            let (one, two) = (branch(one, upper), branch(two, upper));
            let is_plus = upper == (*order == Branch::PlusFirst);
            Node::sum(vec![one, if is_plus { two } else { two.negated() }])
        }
        Node::Sum(parts) => Node::sum(all(parts)),
        Node::Product(parts) => Node::product(all(parts)),
        Node::Apply(function, parts) => Node::apply(*function, all(parts)),
        Node::Relation(parts, rels) => Node::Relation(all(parts), rels.clone()),
        Node::Power(base, exponent) => Node::power(branch(base, upper), branch(exponent, upper)),
        Node::Quantity(value, unit) => Node::Quantity(Box::new(branch(value, upper)), unit.clone()),
        Node::Group(group) => Node::Group(Group { members: all(&group.members), ..group.clone() }),
        other => other.clone(),
    }
}
