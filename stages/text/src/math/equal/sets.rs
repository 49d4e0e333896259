//! Lists, sets, tuples, intervals, and the solutions of inequalities.

use super::super::node::{Constant, Function, Group, Node, Rel};
use super::{MAX_MEMBERS, chain, compare, scalar};

/// Whether two lists have the same members in any order. Members with names must have them in common.
pub(super) fn unordered(gold: &[Node], answer: &[Node]) -> bool {
    if gold.len() != answer.len() {
        // `{1, 1}` is no other set than `{1}`.
        let (gold, answer) = (distinct(gold), distinct(answer));
        return gold.len() == answer.len() && gold.len() < MAX_MEMBERS && matches_all(&gold, &answer);
    }
    gold.len() <= MAX_MEMBERS && matches_all(&gold.iter().collect::<Vec<_>>(), &answer.iter().collect::<Vec<_>>())
}

fn distinct(members: &[Node]) -> Vec<&Node> {
    let mut kept: Vec<&Node> = Vec::new();
    for member in members.iter().take(MAX_MEMBERS) {
        if !kept.contains(&member) {
            kept.push(member);
        }
    }
    kept
}

fn matches_all(gold: &[&Node], answer: &[&Node]) -> bool {
    let mut used = vec![false; answer.len()];
    let named = gold.iter().all(|member| named(member)) && answer.iter().all(|member| named(member));
    gold.iter().all(|member| {
        let is_match = |at: &usize| !used[*at] && same_member(member, answer[*at], named);
        let found = (0..answer.len()).find(is_match);
        if let Some(at) = found {
            used[at] = true;
        }
        found.is_some()
    })
}

fn named(member: &Node) -> bool {
    matches!(member, Node::Relation(members, rels) if chain::name(members, rels).is_some())
}

fn same_member(gold: &Node, answer: &Node, named: bool) -> bool {
    if named
        && let (Node::Relation(members, rels), Node::Relation(others, other_rels)) = (gold, answer)
        && let (Some(one), Some(two)) = (chain::name(members, rels), chain::name(others, other_rels))
        && one != two
        && !matches!((one, two), (Node::Call(one, _), Node::Call(two, _)) if one == two)
    {
        return false;
    }
    compare(gold, answer)
}

/// Whether two lists have the same members in order.
pub(super) fn ordered(one: &[Node], two: &[Node]) -> bool {
    one.len() == two.len() && one.iter().zip(two).all(|(one, two)| compare(one, two))
}

/// Whether a tuple is the column or the row of a matrix, or a list of rows is the matrix.
pub(super) fn is_matrix_of(rows: &[Vec<Node>], group: &Group) -> bool {
    if group.is_set() {
        return false;
    }
    let as_rows: Option<Vec<&[Node]>> = group
        .members
        .iter()
        .map(|member| if let Node::Group(row) = member { Some(&row.members[..]) } else { None })
        .collect();
    if let Some(as_rows) = as_rows {
        return as_rows.len() == rows.len() && rows.iter().zip(as_rows).all(|(one, two)| ordered(one, two));
    }
    let flat: Vec<Node> = rows.iter().flatten().cloned().collect();
    (rows.len() == 1 || rows.iter().all(|row| row.len() == 1)) && ordered(&flat, &group.members)
}

/// Whether two ratios are the same. One that can be reduced may be a time of day, which has one form.
pub(super) fn same_ratio(gold: &[Node], answer: &[Node]) -> bool {
    ordered(gold, answer)
        || gold.len() == 2
            && answer.len() == 2
            && is_reduced(gold)
            && scalar::same_values(&quotient(gold), &quotient(answer))
}

/// Whether a value is that of a ratio.
pub(super) fn is_ratio(members: &[Node], value: &Node) -> bool {
    members.len() == 2 && is_reduced(members) && scalar::same(&quotient(members), value)
}

fn quotient(members: &[Node]) -> Node {
    Node::quotient(members[0].clone(), members[1].clone())
}

fn is_reduced(members: &[Node]) -> bool {
    let [Some(one), Some(two)] = [members[0].as_number(), members[1].as_number()] else { return true };
    let quotient = super::super::number::quotient(one, two);
    quotient.is_some_and(|quotient| quotient.numer() == one.numer() && quotient.denom() == two.numer())
}

/// Returns the solutions of an inequality of one variable as an interval or a union.
pub(super) fn solutions(members: &[Node], rels: &[Rel]) -> Option<Node> {
    let is_less = |rel: Rel| matches!(rel, Rel::Less | Rel::LessEqual);
    if rels.iter().all(|rel| is_less(*rel)) {
        return ascending(members, rels);
    }
    if rels.iter().all(|rel| is_less(rel.reversed())) {
        let members: Vec<Node> = members.iter().rev().cloned().collect();
        let rels: Vec<Rel> = rels.iter().rev().map(|rel| rel.reversed()).collect();
        return ascending(&members, &rels);
    }
    None
}

fn ascending(members: &[Node], rels: &[Rel]) -> Option<Node> {
    let open = |rel: Rel| if rel == Rel::LessEqual { '[' } else { '(' };
    let close = |rel: Rel| if rel == Rel::LessEqual { ']' } else { ')' };
    let infinity = || Node::Constant(Constant::Infinity);
    let interval =
        |open: char, low: Node, high: Node, close: char| Node::Group(Group { open, close, members: vec![low, high] });
    let within = |node: &Node| match node {
        Node::Apply(Function::Abs, arguments) => Some(arguments[0].clone()).filter(chain::is_name),
        _ => None,
    };
    match (members, rels) {
        ([low, middle, high], [first, second]) if within(middle).is_some() => Some(Node::Union(vec![
            interval(open(*second), high.clone().negated(), low.clone().negated(), close(*first)),
            interval(open(*first), low.clone(), high.clone(), close(*second)),
        ])),
        ([low, middle, high], [first, second]) if chain::is_name(middle) => {
            Some(interval(open(*first), low.clone(), high.clone(), close(*second)))
        }
        ([middle, high], [rel]) if within(middle).is_some() && !scalar::has_names(high) => {
            Some(interval(open(*rel), high.clone().negated(), high.clone(), close(*rel)))
        }
        ([low, middle], [rel]) if within(middle).is_some() && !scalar::has_names(low) => Some(Node::Union(vec![
            interval('(', infinity().negated(), low.clone().negated(), close(*rel)),
            interval(open(*rel), low.clone(), infinity(), ')'),
        ])),
        ([name, bound], [rel]) if chain::is_name(name) && !chain::is_name(bound) && !scalar::has_names(bound) => {
            Some(interval('(', infinity().negated(), bound.clone(), close(*rel)))
        }
        ([bound, name], [rel]) if chain::is_name(name) && !scalar::has_names(bound) && *bound != Node::Nothing => {
            Some(interval(open(*rel), bound.clone(), infinity(), ')'))
        }
        _ => None,
    }
}
