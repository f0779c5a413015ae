//! Products of matrices.

#[cfg(test)]
use super::super::tests::{Case, Given, axes, shapes, with_ones};
use super::super::{Applied, Emit, Extent, Gradients, Known, OutputGradients, Rule, Shape, Value};
#[cfg(test)]
use crate::model::fragment::{float, int};
#[cfg(test)]
use proptest::prelude::*;

/// Gemm: `y = α A' B' + β C`, where `A'` and `B'` may be transposed.
pub(super) struct Gemm;

impl Rule for Gemm {
    #[cfg(test)]
    fn cases(&self) -> BoxedStrategy<Case> {
        let sizes = (1..4_usize, 1..4_usize, 1..4_usize, any::<(bool, bool)>(), 0..5_usize);
        let case = |(m, k, n, (a, b), c): (usize, usize, usize, (bool, bool), usize)| {
            let of =
                |rows, columns, transposed| Given::floats(&if transposed { [columns, rows] } else { [rows, columns] });
            let mut given = vec![of(m, k, a), of(k, n, b)];
            given.extend([vec![m, n], vec![n], vec![m, 1], vec![]].get(c).map(|shape| Given::floats(shape)));
            let mut attributes = vec![int("transA", i64::from(a)), int("transB", i64::from(b))];
            if m > 1 {
                attributes.extend([float("alpha", 0.5), float("beta", -2.0)]);
            }
            Case::new("Gemm", given, attributes).open(if a || [0, 2].contains(&c) { &[] } else { &[0] })
        };
        sizes.prop_map(case).boxed()
    }

    fn operators(&self) -> &'static [&'static str] {
        &["Gemm"]
    }

    fn equation(&self) -> &'static str {
        "dA' = α g B'ᵀ, dB' = α A'ᵀ g, dC = β Σ g over what was broadcast"
    }

    fn gradients(&self, node: &Applied<'_>, outputs: &OutputGradients, emit: &mut Emit<'_>) -> Gradients {
        let (g, proto) = (outputs.only()?, node.proto());
        let [a, b] = [&node.input(0)?.value, &node.input(1)?.value];
        let transposed = [proto.int("transA", 0) != 0, proto.int("transB", 0) != 0];
        let alpha = proto.float("alpha", 1.0);
        // The gradient of a transposed operand is the transpose of the product, so its factors change places.
        let of_a = node.needs(0).then(|| match transposed {
            [false, transposed] => emit.gemm((g, false), (b, !transposed), alpha),
            [true, transposed] => emit.gemm((b, transposed), (g, true), alpha),
        });
        let of_b = node.needs(1).then(|| match transposed {
            [transposed, false] => emit.gemm((a, !transposed), (g, false), alpha),
            [transposed, true] => emit.gemm((g, true), (a, transposed), alpha),
        });
        let mut found = vec![of_a, of_b];
        if node.needs(2) {
            let summed = emit.unbroadcast(g, &node.output(0)?.shape, node.input(2)?);
            found.push(Some(emit.scaled(&summed, f64::from(proto.float("beta", 1.0)))));
        }
        Ok(found)
    }
}

/// MatMul, batched and broadcast as numpy's.
pub(super) struct MatMul;

impl Rule for MatMul {
    #[cfg(test)]
    fn cases(&self) -> BoxedStrategy<Case> {
        let batches = (shapes(0..3), axes(2), 0..3_usize).prop_map(|(batch, ones, lacks)| {
            let ones: Vec<usize> = ones.into_iter().filter(|axis| *axis < batch.len()).collect();
            let mut other = with_ones(&batch, &ones);
            let other = other.split_off(lacks.min(other.len()));
            [batch, other]
        });
        let sizes = (batches, shapes(3), any::<(bool, bool)>());
        let case = |([batch, other], inner, (row, column)): ([Vec<usize>; 2], Vec<usize>, (bool, bool))| {
            let left = if row { inner[1..2].to_vec() } else { [&batch[..], &inner[..2]].concat() };
            let right = if column { inner[1..2].to_vec() } else { [&other[..], &inner[1..]].concat() };
            let open: &[usize] = if left.len() > right.len().max(2) { &[0] } else { &[] };
            Case::new("MatMul", vec![Given::floats(&left), Given::floats(&right)], vec![]).open(open)
        };
        sizes.prop_map(case).boxed()
    }

    fn operators(&self) -> &'static [&'static str] {
        &["MatMul"]
    }

    fn equation(&self) -> &'static str {
        "dA = g Bᵀ, dB = Aᵀ g, summed over what was broadcast"
    }

    fn gradients(&self, node: &Applied<'_>, outputs: &OutputGradients, emit: &mut Emit<'_>) -> Gradients {
        let (a, b) = (node.input(0)?, node.input(1)?);
        let product = Product::of(a, b, outputs.only()?, node.output(0)?, emit);
        let of_a = node.needs(0).then(|| product.of_left(emit));
        let of_b = node.needs(1).then(|| product.of_right(emit));
        Ok(vec![of_a, of_b])
    }
}

/// A product whose factors are matrices at least: a vector on the left is one row, one on the right one column.
struct Product<'a> {
    a: &'a Known,
    b: &'a Known,
    left: Value,
    right: Value,
    /// The gradient, with the row or column that a vector makes.
    gradient: Value,
    /// The axes of the product before those of the matrices.
    batch: Vec<Extent>,
}

impl<'a> Product<'a> {
    fn of(a: &'a Known, b: &'a Known, gradient: &Value, output: &Known, emit: &mut Emit<'_>) -> Self {
        let (row, column) = (a.shape.rank() == 1, b.shape.rank() == 1);
        let left = if row { emit.unsqueeze(&a.value, &[0]) } else { a.value.clone() };
        let right = if column { emit.unsqueeze(&b.value, &[1]) } else { b.value.clone() };
        // A row is the last axis but one, a column the last.
        let gradient = match (row, column) {
            (false, false) => gradient.clone(),
            (true, false) => emit.unsqueeze(gradient, &[-2]),
            (false, true) => emit.unsqueeze(gradient, &[-1]),
            (true, true) => emit.reshape(gradient, &[1, 1]),
        };
        let inner = 2 - usize::from(row) - usize::from(column);
        let batch = output.shape.extents()[..output.shape.rank().saturating_sub(inner)].to_vec();
        Self { a, b, left, right, gradient, batch }
    }

    fn of_left(&self, emit: &mut Emit<'_>) -> Value {
        let transposed = emit.transpose_last(&self.right, self.b.shape.rank().max(2));
        let full = emit.matmul(&self.gradient, &transposed);
        self.of_factor(&full, self.a, emit)
    }

    fn of_right(&self, emit: &mut Emit<'_>) -> Value {
        if let Some(product) = self.of_shared_matrix(emit) {
            return product;
        }
        let transposed = emit.transpose_last(&self.left, self.a.shape.rank().max(2));
        let full = emit.matmul(&transposed, &self.gradient);
        self.of_factor(&full, self.b, emit)
    }

    /// Where one matrix is multiplied by all matrices of a batch, one product over the rows of all of them takes the place of a batch
    /// of products that would have to be summed.
    fn of_shared_matrix(&self, emit: &mut Emit<'_>) -> Option<Value> {
        let rows = self.a.shape.rank() > 2 && self.b.shape.rank() == 2;
        let extents = self.b.shape.fixed().filter(|_| rows)?;
        let left = emit.reshape(&self.left, &[-1, extents[0] as i64]);
        let gradient = emit.reshape(&self.gradient, &[-1, extents[1] as i64]);
        Some(emit.gemm((&left, true), (&gradient, false), 1.0))
    }

    /// In the shape of a factor, which may have been a vector.
    fn of_factor(&self, full: &Value, factor: &Known, emit: &mut Emit<'_>) -> Value {
        let extents = factor.shape.extents();
        let [.., _, _] = extents else {
            let all: Vec<usize> = (0..self.batch.len()).collect();
            let summed = emit.sum(full, &all, false);
            return emit.reshape_as(&summed, factor);
        };
        let last = || extents[extents.len() - 2..].iter().copied();
        let of = Shape::new(self.batch.iter().copied().chain(last()));
        emit.unbroadcast(full, &of, factor)
    }
}
