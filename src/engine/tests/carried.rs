//! What a session carries from run to run, on every engine.

use super::*;
use crate::engine::{Carried, First};

const DOUBLE: ElementType = ElementType::Float64;

/// `after = before + x`, and `y = 2 · x`.
fn adder() -> Vec<u8> {
    Graph::new()
        .input("x", DOUBLE, &["2"])
        .input("before", DOUBLE, &["2"])
        .node("Add", &["before", "x"], "after", vec![])
        .node("Add", &["x", "x"], "y", vec![])
        .output("after", DOUBLE)
        .output("y", DOUBLE)
        .bytes()
}

fn carried() -> Vec<Carried> {
    vec![Carried { input: "before".into(), output: "after".into(), first: First::Zeros(DOUBLE, vec![2]) }]
}

fn double(values: [f64; 2]) -> Tensor {
    Tensor::Float64(arr1(&values).into_dyn())
}

#[test]
fn an_output_feeds_the_next_run_until_it_is_taken() {
    for engine in engines() {
        let name = engine.info().name;
        let mut session = load(engine.as_ref(), &adder()).unwrap();
        session.carry(carried());
        assert_eq!(session.take_carried().unwrap(), [double([0.0, 0.0])], "{name}: nothing ran yet");
        for _ in 0..3 {
            let outputs = session.run(&[("x", &double([1.0, -2.0]))], &["y"]).unwrap();
            assert_eq!(outputs, [double([2.0, -4.0])], "{name}");
        }
        assert_eq!(session.run(&[("x", &double([0.5, 0.0]))], &[]).unwrap(), [], "{name}: nothing else is wanted");
        assert_eq!(session.take_carried().unwrap(), [double([3.5, -6.0])], "{name}");
        session.run(&[("x", &double([1.0, 1.0]))], &[]).unwrap();
        assert_eq!(session.take_carried().unwrap(), [double([1.0, 1.0])], "{name}: it begins with zeros again");
    }
}

#[test]
fn the_first_run_is_fed_what_is_carried_from_the_start() {
    for engine in engines() {
        let name = engine.info().name;
        let mut session = load(engine.as_ref(), &adder()).unwrap();
        session.carry(vec![Carried { first: First::Values(double([5.0, 7.0])), ..carried().remove(0) }]);
        for _ in 0..2 {
            session.run(&[("x", &double([1.0, 1.0]))], &[]).unwrap();
        }
        assert_eq!(session.take_carried().unwrap(), [double([7.0, 9.0])], "{name}");
        assert_eq!(session.take_carried().unwrap(), [double([5.0, 7.0])], "{name}: it begins anew");
    }
}

#[test]
fn what_is_carried_cannot_be_fed_and_survives_a_run_that_fails() {
    for engine in engines() {
        let name = engine.info().name;
        let mut session = load(engine.as_ref(), &adder()).unwrap();
        session.carry(carried());
        session.run(&[("x", &double([1.0, 1.0]))], &[]).unwrap();
        let twice = session.run(&[("x", &double([1.0, 1.0])), ("before", &double([1.0, 1.0]))], &["y"]);
        assert!(matches!(twice, Err(EngineError::Run { .. })), "{name}: {twice:?}");
        assert!(matches!(session.run(&[], &["y"]), Err(EngineError::Run { .. })), "{name}");
        assert_eq!(session.take_carried().unwrap(), [double([1.0, 1.0])], "{name}");
    }
}

/// Which the sums of moments rely on: an engine that simplifies `(a + b) − a` to `b` loses nothing, and keeps nothing.
#[test]
fn what_rounding_loses_can_be_computed() {
    let model = Graph::new()
        .input("a", DOUBLE, &["2"])
        .input("b", DOUBLE, &["2"])
        .node("Add", &["a", "b"], "sum", vec![])
        .node("Sub", &["sum", "a"], "of_b", vec![])
        .node("Sub", &["b", "of_b"], "lost", vec![])
        .output("lost", DOUBLE)
        .bytes();
    let (a, b) = (double([1e16, 1.0]), double([1.0, 1e-20]));
    each(&model, &[("a", &a), ("b", &b)], &["lost"], |name, outputs| {
        assert_eq!(outputs, [double([1.0, 1e-20])], "{name}");
    });
}
