//! Einsum of a constant and a value (ONNX, Einsum-12).
//!
//! What a letter does follows from where it stands: in both operands and the result it counts groups, in both operands
//! alone it is contracted, in the constant and the result it counts outputs, in the value and the result rows.

use super::{Finding, LayerRule, NodeView, Operator, Skip, Unfold, Vectors};
use crate::model::{Axis, MatrixView};

pub(super) struct Einsum;

const OPERATORS: &[Operator] = &[Operator::onnx("Einsum")];

impl LayerRule for Einsum {
    fn operators(&self) -> &'static [Operator] {
        OPERATORS
    }

    fn summary(&self) -> &'static str {
        "a constant and a value, with any axes contracted and any as groups"
    }

    fn examine(&self, node: NodeView<'_>) -> Result<Finding, Skip> {
        let (position, input) = node.factors()?;
        let equation: String = node.proto().string("equation", "").chars().filter(|c| !c.is_whitespace()).collect();
        let unread = || Skip::Attribute { name: "equation", value: equation.clone() };
        let terms = Terms::of(&equation, position).ok_or_else(unread)?;
        let weight = node.weight(position)?;
        let axes = weight.view.axes();
        if axes.len() != terms.weight.len() || node.proto().input.len() != 2 {
            return Err(unread());
        }
        let of_role = |role: Role| -> Vec<(char, &Axis)> {
            let letters = terms.weight.iter().zip(axes).filter(|(letter, _)| terms.role(**letter) == Some(role));
            letters.map(|(letter, axis)| (*letter, axis)).collect()
        };
        let [groups, contracted, outputs] = [Role::Group, Role::Contracted, Role::Output].map(of_role);
        if contracted.is_empty() || groups.len() + contracted.len() + outputs.len() != axes.len() || terms.sums_input()
        {
            return Err(unread());
        }
        let joined = |role: &[(char, &Axis)]| Axis::joined(role.iter().map(|(_, axis)| *axis));
        let matrix = MatrixView { groups: joined(&groups), outputs: joined(&outputs), inputs: joined(&contracted) };
        let place = |letter: char| terms.axis_of_input(letter).ok_or_else(unread);
        let vectors = Vectors {
            groups: groups
                .iter()
                .map(|(letter, axis)| Ok((place(*letter)?, axis.extent())))
                .collect::<Result<_, _>>()?,
            features: contracted.iter().map(|(letter, _)| place(*letter)).collect::<Result<_, _>>()?,
            dim: matrix.dim(),
            rank: (!terms.input.contains(&ELLIPSIS)).then_some(terms.input.len()),
            samples: 0,
        };
        node.finding((position, input), matrix, Unfold::Vectors(vectors))
    }
}

/// An ellipsis, as one letter.
const ELLIPSIS: char = '…';

#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    Group,
    Contracted,
    Output,
}

/// The letters of an equation.
struct Terms {
    weight: Vec<char>,
    input: Vec<char>,
    result: Vec<char>,
}

impl Terms {
    /// Reads an equation of two operands; nothing where a letter stands twice in a term, which takes a diagonal.
    fn of(equation: &str, position: usize) -> Option<Self> {
        let equation = equation.replace("...", "…");
        let (operands, result) = match equation.split_once("->") {
            Some((operands, result)) => (operands, Some(result)),
            None => (equation.as_str(), None),
        };
        let (left, right) = operands.split_once(',')?;
        let letters = |term: &str| -> Option<Vec<char>> {
            let letters: Vec<char> = term.chars().collect();
            let known = letters.iter().all(|c| c.is_ascii_alphabetic() || *c == ELLIPSIS);
            let once = (1..letters.len()).all(|at| !letters[..at].contains(&letters[at]));
            (known && once).then_some(letters)
        };
        let (left, right) = (letters(left)?, letters(right)?);
        let result = match result {
            Some(result) => letters(result)?,
            None => implied(&left, &right),
        };
        let (weight, input) = if position == 0 { (left, right) } else { (right, left) };
        (!weight.contains(&ELLIPSIS)).then_some(Self { weight, input, result })
    }

    fn role(&self, letter: char) -> Option<Role> {
        match (self.input.contains(&letter), self.result.contains(&letter)) {
            (true, true) => Some(Role::Group),
            (true, false) => Some(Role::Contracted),
            (false, true) => Some(Role::Output),
            (false, false) => None,
        }
    }

    /// Whether an axis of the input is summed before it meets the weight: then its positions are no rows.
    fn sums_input(&self) -> bool {
        self.input.iter().any(|letter| !self.weight.contains(letter) && !self.result.contains(letter))
    }

    /// The axis of the input that a letter names, from the end where an ellipsis comes before it.
    fn axis_of_input(&self, letter: char) -> Option<isize> {
        let at = self.input.iter().position(|&known| known == letter)?;
        let behind_ellipsis = self.input[..at].contains(&ELLIPSIS);
        Some(if behind_ellipsis { at as isize - self.input.len() as isize } else { at as isize })
    }
}

/// The result where an equation names none: the ellipsis, then every letter that stands once, in alphabetical order.
fn implied(left: &[char], right: &[char]) -> Vec<char> {
    let all = || left.iter().chain(right).copied();
    let mut once: Vec<char> =
        all().filter(|c| *c != ELLIPSIS && all().filter(|other| other == c).count() == 1).collect();
    once.sort_unstable();
    let ellipsis = all().find(|c| *c == ELLIPSIS);
    ellipsis.into_iter().chain(once).collect()
}
