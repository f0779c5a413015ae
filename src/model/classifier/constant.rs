//! Inputs that are the same in every run: `--input NAME=VALUE`.

use crate::model::{ModelError, Port};
use crate::tensor::{ElementType, Tensor};
use ndarray::{ArrayD, IxDyn};
use std::fmt;
use std::str::FromStr;

/// The values of the largest constant: a gigabyte of them, as float32.
const MOST_VALUES: usize = 1 << 28;

/// `NAME=VALUE`, as the user wrote it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assignment {
    /// The input.
    pub input: String,
    /// A number, `true`, `false`, or several of them between commas.
    pub value: String,
}

impl FromStr for Assignment {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('=') {
            Some((input, value)) if !input.is_empty() && !value.is_empty() => {
                Ok(Self { input: input.to_owned(), value: value.to_owned() })
            }
            _ => Err("give an input and its value, as in `flag=true`, `scale=0.5` or `weights=1,2,3`".to_owned()),
        }
    }
}

impl fmt::Display for Assignment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.input, self.value)
    }
}

/// An input with the values that it is always fed.
#[derive(Clone, Debug, PartialEq)]
pub struct ConstantInput {
    assignment: Assignment,
    /// What the model declares.
    declared: String,
    /// The declared extents, `None` where they are dynamic.
    shape: Vec<Option<usize>>,
    /// The given values, along one axis.
    values: Tensor,
}

/// The constants for some inputs of a model.
pub(super) fn resolve(ports: &[Port], given: &[Assignment]) -> Result<Vec<ConstantInput>, ModelError> {
    let mut constants: Vec<ConstantInput> = Vec::new();
    for assignment in given {
        let port = ports.iter().find(|port| port.name == assignment.input).ok_or_else(|| {
            let known: Vec<_> = ports.iter().map(|port| format!("{}: {}", port.name, port.describe())).collect();
            refuse(assignment, &format!("the model has no such input; it takes {}", known.join(", ")))
        })?;
        if constants.iter().any(|earlier| earlier.name() == assignment.input) {
            return Err(refuse(assignment, "the input is given twice; leave out one of them"));
        }
        constants.push(ConstantInput::of(port, assignment)?);
    }
    Ok(constants)
}

fn refuse(assignment: &Assignment, reason: &str) -> ModelError {
    ModelError::Graph(format!("--input {assignment}: {reason}"))
}

impl ConstantInput {
    fn of(port: &Port, assignment: &Assignment) -> Result<Self, ModelError> {
        let declared = port.describe();
        let (Some(element), Some(shape)) = (port.element, port.shape.clone()) else {
            let reason = format!("the model declares {declared}, which cannot be fed; export it with type and shape");
            return Err(refuse(assignment, &reason));
        };
        let values = parse(&assignment.value, element)
            .map_err(|part| refuse(assignment, &format!("`{part}` is no {element}, and the input takes {declared}")))?;
        let constant = Self { assignment: assignment.clone(), declared, shape, values };
        if constant.shape.iter().skip(1).all(Option::is_some) {
            // Whatever the batch size will be, one row tells whether the values fit.
            constant.tensor(1, &[])?;
        }
        Ok(constant)
    }

    /// The input's name.
    pub fn name(&self) -> &str {
        &self.assignment.input
    }

    /// As the user wrote it.
    pub fn assignment(&self) -> &Assignment {
        &self.assignment
    }

    /// What the input is fed beside a batch of `batch` samples in tensors of the shapes `fed`.
    ///
    /// An open first axis is the batch. Another open axis is as long as the values, where they are a list along it, or
    /// as the same axis of the first tensor of as many axes: masks are as long as what they mask.
    ///
    /// # Errors
    /// [`ModelError::Graph`] where the values do not fill the input's shape.
    pub fn tensor(&self, batch: usize, fed: &[&[usize]]) -> Result<Tensor, ModelError> {
        let shape = self.fed_shape(batch, fed)?;
        let count = shape.iter().try_fold(1_usize, |product, extent| product.checked_mul(*extent));
        let count = count.filter(|count| *count <= MOST_VALUES).ok_or_else(|| {
            refuse(&self.assignment, &format!("the input takes {}, which no memory holds", self.declared))
        })?;
        let given = self.values.shape()[0];
        let rest = shape.get(1..).unwrap_or_default();
        let sample: usize = rest.iter().product();
        let filled = if given == 1 || shape.last() == Some(&given) {
            self.values.reshaped(&[given][..shape.len().min(1)])
        } else if given == count {
            self.values.reshaped(&shape)
        } else if given == sample {
            self.values.reshaped(rest)
        } else {
            None
        };
        filled.and_then(|values| values.broadcast(&shape)).ok_or_else(|| {
            let values = if given == 1 { "1 value".to_owned() } else { format!("{given} values") };
            let reason = format!("{values} do not fill {}; give one, or one for each place", self.declared);
            refuse(&self.assignment, &reason)
        })
    }

    fn fed_shape(&self, batch: usize, fed: &[&[usize]]) -> Result<Vec<usize>, ModelError> {
        let rank = self.shape.len();
        let given = self.values.shape()[0];
        let alike = fed.iter().find(|shape| shape.len() == rank);
        let extent = |(axis, extent): (usize, &Option<usize>)| match extent {
            Some(extent) => Ok(*extent),
            None if axis == 0 => Ok(batch),
            None if axis + 1 == rank && given > 1 => Ok(given),
            None => alike.map(|shape| shape[axis]).ok_or_else(|| {
                let reason = format!("the input takes {}, and nothing says how long axis {axis} is", self.declared);
                refuse(&self.assignment, &format!("{reason}; give its values one by one, as VALUE,VALUE,…"))
            }),
        };
        self.shape.iter().enumerate().map(extent).collect()
    }
}

/// The values between commas, or the one that is none of that type.
fn parse(text: &str, element: ElementType) -> Result<Tensor, &str> {
    let parts: Vec<&str> = text.split(',').map(str::trim).collect();
    let shape = IxDyn(&[parts.len()]);
    let array = |values| ArrayD::from_shape_vec(shape.clone(), values).map_err(|_| text);
    if let Some((least, most)) = element.range() {
        let whole = |part: &&'_ str| match *part {
            "true" if element == ElementType::Bool => Some(1),
            "false" if element == ElementType::Bool => Some(0),
            number => number.parse::<i64>().ok().filter(|value| (least..=most).contains(value)),
        };
        let values: Result<Vec<i64>, &str> = parts.iter().map(|part| whole(part).ok_or(*part)).collect();
        let values = ArrayD::from_shape_vec(shape, values?).map_err(|_| text)?;
        return Ok(Tensor::from_i64(&values, element));
    }
    let values: Result<Vec<f64>, &str> = parts.iter().map(|part| part.parse().map_err(|_| *part)).collect();
    let tensor = Tensor::from_f64(&array(values?)?, element);
    match tensor.to_f64().iter().position(|value| !value.is_finite()) {
        Some(at) => Err(parts[at]),
        None => Ok(tensor),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn constant(value: &str, element: ElementType, shape: &[Option<usize>]) -> Result<ConstantInput, ModelError> {
        let port = Port { name: "c".into(), element: Some(element), shape: Some(shape.to_vec()) };
        let given = [format!("c={value}").parse().unwrap()];
        resolve(&[port], &given).map(|mut constants| constants.remove(0))
    }

    fn filled(value: &str, shape: &[Option<usize>], batch: usize, fed: &[&[usize]]) -> (Vec<usize>, Vec<f64>) {
        let tensor = constant(value, ElementType::Float32, shape).unwrap().tensor(batch, fed).unwrap();
        (tensor.shape().to_vec(), tensor.to_f64().into_iter().collect())
    }

    #[test]
    fn values_fill_the_declared_shape() {
        assert_eq!(filled("2", &[], 3, &[]), (vec![], vec![2.0]));
        assert_eq!(filled("2", &[None], 3, &[]), (vec![3], vec![2.0; 3]));
        assert_eq!(filled("2", &[Some(1)], 3, &[]), (vec![1], vec![2.0]));
        assert_eq!(filled("1,2", &[Some(2)], 3, &[]), (vec![2], vec![1.0, 2.0]));
        assert_eq!(filled("1,2", &[None, Some(2)], 2, &[]), (vec![2, 2], vec![1.0, 2.0, 1.0, 2.0]));
        assert_eq!(filled("1,2,3,4", &[None, Some(2), Some(2)], 2, &[]).1, [1.0, 2.0, 3.0, 4.0].repeat(2));
        assert_eq!(filled("1,2,3,4", &[Some(2), Some(2)], 7, &[]).1, [1.0, 2.0, 3.0, 4.0]);
        assert_eq!(filled("1,2,3", &[None, None], 2, &[]).0, [2, 3]);
        assert_eq!(filled("1", &[None, None], 2, &[&[2, 3, 3], &[2, 5]]).0, [2, 5]);
    }

    #[test]
    fn every_type_is_read_exactly() {
        let one = |value: &str, element| constant(value, element, &[]).map(|constant| constant.tensor(1, &[]).unwrap());
        let scalar = |value| ArrayD::from_elem(IxDyn(&[]), value);
        let beyond_doubles = (1_i64 << 53) + 1;
        let text = beyond_doubles.to_string();
        assert_eq!(one(&text, ElementType::Int64).unwrap(), Tensor::Int64(scalar(beyond_doubles)));
        for (text, value) in [("true", true), ("false", false), ("1", true), ("0", false)] {
            assert_eq!(one(text, ElementType::Bool).unwrap(), Tensor::Bool(ArrayD::from_elem(IxDyn(&[]), value)));
        }
        for (text, element) in [
            ("2", ElementType::Bool),
            ("0.5", ElementType::Int64),
            ("true", ElementType::Int64),
            ("256", ElementType::Uint8),
            ("-1", ElementType::Uint8),
            ("1e300", ElementType::Float32),
            ("nan", ElementType::Float64),
            ("x", ElementType::Float32),
            ("", ElementType::Float32),
        ] {
            let Ok(assignment) = format!("c={text}").parse::<Assignment>() else { continue };
            let port = Port { name: "c".into(), element: Some(element), shape: Some(vec![]) };
            let message = resolve(&[port], &[assignment]).unwrap_err().to_string();
            assert!(message.contains(&format!("`{text}` is no {element}")), "{message}");
        }
    }

    #[test]
    fn values_that_do_not_fit_are_refused_before_anything_runs() {
        for (value, shape) in [("1,2", vec![]), ("1,2", vec![None]), ("1,2,3", vec![None, Some(2)])] {
            let message = constant(value, ElementType::Float32, &shape).unwrap_err().to_string();
            assert!(message.contains(&format!("--input c={value}: ")) && message.contains("do not fill"), "{message}");
        }
        let open = constant("1", ElementType::Float32, &[None, None, Some(2)]).unwrap();
        assert!(open.tensor(2, &[&[2, 5]]).unwrap_err().to_string().contains("axis 1"));
        let huge = vec![Some(usize::MAX), Some(usize::MAX)];
        assert!(constant("1", ElementType::Float32, &huge).unwrap_err().to_string().contains("no memory"));
    }

    #[test]
    fn what_names_no_input_or_no_value_is_refused() {
        for text in ["", "c", "c=", "=1", "="] {
            assert!(text.parse::<Assignment>().is_err(), "{text}");
        }
        let port = Port { name: "c".into(), element: Some(ElementType::Bool), shape: Some(vec![]) };
        let given = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect::<Vec<_>>();
        let told = |texts: &[&str]| resolve(std::slice::from_ref(&port), &given(texts)).unwrap_err().to_string();
        assert!(told(&["d=1"]).contains("it takes c: bool []"));
        assert!(told(&["c=1", "c=0"]).contains("given twice"));
    }
}
