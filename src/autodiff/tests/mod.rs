//! Every rule against finite differences, on every engine.

mod case;
mod differences;
mod second;

pub use case::{Case, Given, Kind, axes, shapes, with_ones};

use super::{RULES, Rule};
use differences::{Outcome, check};
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use std::collections::{BTreeMap, BTreeSet};

/// Cases of each operator.
const CASES: usize = 8;

/// Operators of which tract cannot run some case, or the gradients of it.
const NOT_ON_TRACT: &[&str] = &["BatchNormalization", "Celu", "Gather", "MatMul", "Pad", "Resize"];

fn runner() -> TestRunner {
    let random = TestRng::from_seed(RngAlgorithm::ChaCha, &[7; 32]);
    TestRunner::new_with_rng(Config::default(), random)
}

/// What became of the cases of one rule: the operators that tract refused, and why.
fn check_rule(rule: &dyn Rule) -> BTreeMap<String, String> {
    let (mut runner, mut refused, mut seen) = (runner(), BTreeMap::new(), BTreeSet::new());
    for _ in 0..CASES * rule.operators().len() {
        let case = rule.cases().new_tree(&mut runner).expect("a case").current();
        assert!(rule.operators().contains(&case.operator), "{} is no operator of that rule", case.operator);
        seen.insert(case.operator);
        if let Outcome::NotOnTract(reason) = check(&case) {
            refused.insert(case.operator.to_owned(), reason);
        }
    }
    assert_eq!(seen, rule.operators().iter().copied().collect(), "every operator of the rule has been tried");
    refused
}

#[test]
fn every_rule_gives_the_slopes_that_finite_differences_give() {
    let only = std::env::var("RULE").ok();
    let (mut refused, mut wrong) = (BTreeMap::new(), Vec::<&str>::new());
    for rule in RULES {
        if only.as_ref().is_none_or(|only| rule.operators().contains(&only.as_str())) {
            // All that fail are told, not only the first.
            match std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| check_rule(*rule))) {
                Ok(found) => refused.extend(found),
                Err(_) => wrong.extend(rule.operators()),
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:?}");
    if only.is_none() {
        let known: BTreeSet<&str> = NOT_ON_TRACT.iter().copied().collect();
        assert_eq!(refused.keys().map(String::as_str).collect::<BTreeSet<_>>(), known, "{refused:#?}");
    }
}

#[test]
fn no_operator_has_two_rules() {
    let mut seen = BTreeSet::new();
    for operator in RULES.iter().flat_map(|rule| rule.operators()) {
        assert!(seen.insert(operator), "{operator}");
    }
}
