//! Chains of relations: `x = 5`, `5 + 2 = 7`, `y = 2x + 1`, `x < 3`.

use super::super::node::{Function, Node, Rel};
use super::super::value::{POINTS, agree, value as value_at};
use super::scalar;
use super::{compare, sets};

/// Returns what a chain of equations says: the value behind names, and of a computation its result. `None` for an
/// inequality, for an equation between expressions with variables, and for a chain that is not true.
pub(in crate::math) fn value(members: &[Node], rels: &[Rel]) -> Option<Node> {
    if let [.., set] = members
        && let Some(Rel::In) = rels.last()
    {
        return Some(set.clone());
    }
    if rels.iter().any(|rel| !matches!(rel, Rel::Equal | Rel::Approx | Rel::Congruent)) {
        return None;
    }
    let named = members.iter().take_while(|member| is_name(member)).count();
    if named == 0 && scalar::has_names(&members[0]) {
        let is_identity = members.windows(2).all(|pair| compare(&pair[0], &pair[1]));
        return is_identity.then(|| members.last().cloned()).flatten();
    }
    if named == members.len() {
        // `a = b`: the last name is the value.
        return members.last().cloned();
    }
    // What is behind `≈` is a rounding of what is before it.
    let end = (named..rels.len()).find(|at| rels[*at] == Rel::Approx).map_or(members.len(), |at| at + 1);
    let values = &members[named..end];
    let is_true = values.windows(2).all(|pair| {
        scalar::has_names(&pair[0])
            || compare(&pair[0], &pair[1])
            || compare(&with_common_logarithms(&pair[0]), &with_common_logarithms(&pair[1]))
    });
    is_true.then(|| values.last().cloned()).flatten()
}

/// Reads `log` as that to the base of ten, as in `\log 100 = 2`.
fn with_common_logarithms(node: &Node) -> Node {
    let all = |parts: &[Node]| parts.iter().map(with_common_logarithms).collect::<Vec<_>>();
    match node {
        Node::Apply(Function::Log, arguments) if arguments.len() == 1 => Node::apply(Function::Lg, all(arguments)),
        Node::Apply(function, arguments) => Node::apply(*function, all(arguments)),
        Node::Sum(terms) => Node::sum(all(terms)),
        Node::Product(factors) => Node::product(all(factors)),
        Node::Power(base, exponent) => Node::power(with_common_logarithms(base), with_common_logarithms(exponent)),
        other => other.clone(),
    }
}

/// Returns what a chain ends in if that is a rounding, to `digits` digits or more, of what is before it: `1.41` of
/// `\sqrt2 ≈ 1.41`.
pub(super) fn rounding<'a>(members: &'a [Node], rels: &[Rel], digits: u32) -> Option<&'a Node> {
    let ([.., exact, rounded], [.., Rel::Approx]) = (members, rels) else { return None };
    scalar::is_rounded(exact, rounded, digits).then_some(rounded)
}

/// Returns the name before a value: `x` of `x = 5`.
pub(super) fn name<'a>(members: &'a [Node], rels: &[Rel]) -> Option<&'a Node> {
    members.first().filter(|first| is_name(first) && rels.first() == Some(&Rel::Equal))
}

/// Returns whether an expression only names something: `x`, `f(2)`, `AB`, `|AB|`, `(x, y)`, `\frac{NO}{BO}`.
pub(in crate::math) fn is_name(node: &Node) -> bool {
    match node {
        Node::Symbol(_) | Node::Call(..) => true,
        Node::Product(factors) => factors.iter().all(is_name),
        Node::Power(base, exponent) => {
            is_name(base) && exponent.as_number().is_some_and(|number| *number == super::super::number::small(-1))
        }
        Node::Apply(Function::Abs, arguments) => arguments.iter().all(is_name),
        Node::Group(group) => group.members.iter().all(is_name),
        Node::Ratio(members) => members.iter().all(is_name),
        _ => false,
    }
}

/// Compares two chains.
pub(super) fn same(gold: (&[Node], &[Rel]), answer: (&[Node], &[Rel])) -> bool {
    let values = (value(gold.0, gold.1), value(answer.0, answer.1));
    if let (Some(gold_value), Some(answer_value)) = &values {
        let names = (name(gold.0, gold.1), name(answer.0, answer.1));
        let is_scalar = !scalar::has_names(gold_value);
        if compare(gold_value, answer_value)
            && (is_scalar || names.0.is_none() || names.1.is_none() || names.0 == names.1 || both_calls(names))
        {
            return true;
        }
    }
    if let (Some(one), Some(two)) = (sets::solutions(gold.0, gold.1), sets::solutions(answer.0, answer.1))
        && compare(&one, &two)
    {
        return true;
    }
    if let (Some(gold), Some(Node::Relation(..) | Node::Group(_) | Node::Union(_))) =
        (sets::solutions(gold.0, gold.1), values.1.as_ref())
    {
        return values.1.as_ref().is_some_and(|answer| compare(&gold, answer));
    }
    if let (Some(Node::Group(_) | Node::Union(_)), Some(answer)) =
        (values.0.as_ref(), sets::solutions(answer.0, answer.1))
    {
        return values.0.as_ref().is_some_and(|gold| compare(gold, &answer));
    }
    if gold.1.len() > 1 || answer.1.len() > 1 {
        return same_order(gold, answer);
    }
    same_relation(gold, answer)
}

/// Names of functions of different variables: `W(n)` and `W(x)`.
fn both_calls(names: (Option<&Node>, Option<&Node>)) -> bool {
    matches!(names, (Some(Node::Call(one, _)), Some(Node::Call(two, _))) if one == two)
}

/// Compares chains member by member, the second also from its end.
fn same_order(one: (&[Node], &[Rel]), two: (&[Node], &[Rel])) -> bool {
    let is_same = |members: &[Node], rels: &[Rel]| {
        one.1 == rels && one.0.len() == members.len() && one.0.iter().zip(members).all(|(one, two)| compare(one, two))
    };
    if is_same(two.0, two.1) {
        return true;
    }
    let members: Vec<Node> = two.0.iter().rev().cloned().collect();
    let rels: Vec<Rel> = two.1.iter().rev().map(|rel| rel.reversed()).collect();
    is_same(&members, &rels)
}

/// Compares two relations of two members: the differences of their sides are proportional.
fn same_relation(one: (&[Node], &[Rel]), two: (&[Node], &[Rel])) -> bool {
    let ([left, right], [rel]) = one else { return false };
    let ([other_left, other_right], [other_rel]) = two else { return false };
    let difference = |left: &Node, right: &Node, rel: Rel| {
        let (left, right) = if matches!(rel, Rel::Greater | Rel::GreaterEqual) { (right, left) } else { (left, right) };
        Node::sum(vec![left.clone(), right.clone().negated()])
    };
    let direction = |rel: Rel| match rel {
        Rel::Greater => Rel::Less,
        Rel::GreaterEqual => Rel::LessEqual,
        Rel::Approx => Rel::Equal,
        other => other,
    };
    if direction(*rel) != direction(*other_rel) || matches!(rel, Rel::In | Rel::Congruent) {
        return false;
    }
    let must_be_positive = matches!(direction(*rel), Rel::Less | Rel::LessEqual);
    proportional(&difference(left, right, *rel), &difference(other_left, other_right, *other_rel), must_be_positive)
}

/// Whether one expression is a constant times another.
fn proportional(one: &Node, two: &Node, must_be_positive: bool) -> bool {
    if !scalar::has_names(one) || !scalar::has_names(two) {
        return false;
    }
    let mut first: Option<super::super::value::Complex> = None;
    let mut seen = 0;
    for point in POINTS {
        let (Some(one), Some(two)) = (value_at(one, point), value_at(two, point)) else { continue };
        let Some(ratio) = one.over(&two) else { return false };
        seen += 1;
        match &first {
            None if ratio.re.is_zero() && ratio.im.is_zero() => return false,
            None if must_be_positive && ratio.re.is_negative() => return false,
            None => first = Some(ratio),
            Some(first) if !agree(first, &ratio) => return false,
            Some(_) => {}
        }
    }
    seen >= 2
}
