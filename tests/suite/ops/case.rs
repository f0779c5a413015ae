//! One use of an operator: its model, and the rows that its weight meets, gathered index by index from the definition.

use half::f16;
use ndarray::{Array2, ArrayD, Axis, IxDyn};
use onnx_sap::model::fragment::ints;
use onnx_sap::model::proto::{
    AttributeProto, DimensionProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TensorProto,
    TensorShapeProto, TensorTypeProto, TypeProto, ValueInfoProto,
};
use onnx_sap::tensor::ElementType;
use prost::Message;
use std::ops::Range;

pub(super) const SAMPLES: usize = 5;

/// One use of an operator: the model `x → (prepare) → op(w) → y`.
pub(super) struct Case {
    pub(super) name: &'static str,
    pub(super) op: &'static str,
    /// One sample of x.
    sample: Vec<usize>,
    weight: Vec<usize>,
    /// Whether the weight is the first operand.
    weight_first: bool,
    /// Constants behind x and the weight, by shape.
    others: Vec<Vec<usize>>,
    /// The order of axes in which the operator gets x.
    transposed: Option<Vec<i64>>,
    attributes: Vec<AttributeProto>,
    pub(super) element: ElementType,
    rows: Rows,
    pub(super) outputs: Outputs,
}

/// Where the rows come from, by definition.
pub(super) enum Rows {
    /// Along the last axis of x.
    Last,
    /// Along the axis before the last of x.
    SecondLast,
    /// Along the last axis of x, for each position of its second axis apart; of one position alone, for each group.
    Stack { groups: usize },
    /// Along the channels of x, in groups.
    Channels { groups: usize },
    /// Under the window of a convolution.
    Window { groups: usize, strides: Vec<usize>, dilations: Vec<usize>, begin: Vec<usize>, end: Vec<usize> },
}

/// Where in y the outputs of a row stand.
pub(super) enum Outputs {
    /// y is [rows, outputs].
    Last,
    /// y is [N, outputs, rows of a sample].
    Second,
    /// y is [outputs, rows].
    First,
    /// y is [N, groups, rows of a sample, outputs].
    Stack,
    /// y is [N, outputs, rows of a sample · kernel]: each row's products lie beside each other.
    Spread { kernel: usize },
    /// y is no linear function of the rows.
    Unseen,
}

/// A pseudo-random tensor of multiples of 1/64 in [−1, 1], which every float type holds exactly.
fn values(shape: &[usize], seed: usize) -> ArrayD<f64> {
    let count: usize = shape.iter().product();
    let value = |index: usize| (((index + 1) * (7919 + 613 * seed) % 129) as f64 - 64.0) / 64.0;
    ArrayD::from_shape_vec(IxDyn(shape), (0..count).map(value).collect()).unwrap()
}

impl Case {
    pub(super) fn new(
        name: &'static str,
        op: &'static str,
        sample: &[usize],
        weight: &[usize],
        rows: Rows,
        outputs: Outputs,
    ) -> Self {
        Self {
            name,
            op,
            sample: sample.to_vec(),
            weight: weight.to_vec(),
            weight_first: false,
            others: vec![],
            transposed: None,
            attributes: vec![],
            element: ElementType::Float32,
            rows,
            outputs,
        }
    }

    pub(super) fn with(mut self, attributes: Vec<AttributeProto>) -> Self {
        self.attributes = attributes;
        self
    }

    /// The same case of another operator.
    pub(super) fn by(mut self, op: &'static str) -> Self {
        self.op = op;
        self
    }

    pub(super) fn of(mut self, element: ElementType) -> Self {
        self.element = element;
        self
    }

    pub(super) fn weight_first(mut self) -> Self {
        self.weight_first = true;
        self
    }

    /// More constants that the operator reads.
    pub(super) fn beside(mut self, others: &[&[usize]]) -> Self {
        self.others = others.iter().map(|shape| shape.to_vec()).collect();
        self
    }

    pub(super) fn transposed(mut self, order: &[i64]) -> Self {
        self.transposed = Some(order.to_vec());
        self
    }

    pub(super) fn x(&self) -> ArrayD<f64> {
        let shape: Vec<usize> = [SAMPLES].into_iter().chain(self.sample.iter().copied()).collect();
        values(&shape, 1)
    }

    pub(super) fn model(&self) -> Vec<u8> {
        let mut nodes = Vec::new();
        let mut input = "x".to_owned();
        if let Some(order) = &self.transposed {
            nodes.push(node("Transpose", &["x"], "xt", vec![ints("perm", order.iter().copied())]));
            input = String::from("xt");
        }
        let others: Vec<String> = (0..self.others.len()).map(|at| format!("other{at}")).collect();
        let operands = if self.weight_first { ["w", input.as_str()] } else { [input.as_str(), "w"] };
        let operands: Vec<&str> = operands.into_iter().chain(others.iter().map(String::as_str)).collect();
        nodes
            .push(NodeProto { domain: self.domain().into(), ..node(self.op, &operands, "y", self.attributes.clone()) });
        let constants = [("w", &self.weight)].into_iter().chain(others.iter().map(String::as_str).zip(&self.others));
        let graph = GraphProto {
            node: nodes,
            name: "case".into(),
            initializer: constants.zip(2..).map(|((name, dims), seed)| self.constant(name, dims, seed)).collect(),
            input: vec![port("x", self.element, &self.sample)],
            output: vec![ValueInfoProto { name: "y".into(), ..port("y", self.element, &[]) }],
            ..GraphProto::default()
        };
        let opset = |domain: &str, version| OperatorSetIdProto { domain: domain.into(), version };
        let mut opset_import = vec![opset("", 17)];
        if !self.domain().is_empty() {
            opset_import.push(opset(self.domain(), 1));
        }
        ModelProto { ir_version: 8, graph: Some(graph), opset_import, ..ModelProto::default() }.encode_to_vec()
    }

    /// The operator set of the operator.
    pub(super) fn domain(&self) -> &'static str {
        let microsoft = self.op.starts_with("Fused") || self.op == "Attention";
        if microsoft { "com.microsoft" } else { "" }
    }

    fn constant(&self, name: &str, dims: &[usize], seed: usize) -> TensorProto {
        TensorProto {
            dims: dims.iter().map(|&dim| dim as i64).collect(),
            data_type: self.element.onnx(),
            name: name.into(),
            raw_data: raw(&values(dims, seed), self.element).into(),
            ..TensorProto::default()
        }
    }

    /// The rows of each group, gathered index by index.
    pub(super) fn rows(&self) -> Vec<Array2<f64>> {
        let x = self.x();
        match &self.rows {
            Rows::Last => vec![vectors(&x, x.ndim() - 1)],
            Rows::SecondLast => vec![vectors(&x, x.ndim() - 2)],
            Rows::Stack { groups } => {
                let slice = |group: usize| x.index_axis(Axis(1), group.min(x.shape()[1] - 1)).to_owned();
                (0..*groups).map(|group| vectors(&slice(group), x.ndim() - 2)).collect()
            }
            Rows::Channels { groups } => {
                let (ones, zeros) = (vec![1; x.ndim() - 2], vec![0; x.ndim() - 2]);
                channels(&x, *groups).map(|of| patches(&x, &ones, of, &ones, &ones, &zeros, &zeros)).collect()
            }
            Rows::Window { groups, strides, dilations, begin, end } => channels(&x, *groups)
                .map(|of| patches(&x, &self.weight[2..], of, strides, dilations, begin, end))
                .collect(),
        }
    }
}

/// The channels of each group.
fn channels(x: &ArrayD<f64>, groups: usize) -> impl Iterator<Item = Range<usize>> {
    let count = x.shape()[1] / groups;
    (0..groups).map(move |group| group * count..(group + 1) * count)
}

fn vectors(x: &ArrayD<f64>, axis: usize) -> Array2<f64> {
    let lanes: Vec<Vec<f64>> = x.lanes(Axis(axis)).into_iter().map(|lane| lane.to_vec()).collect();
    Array2::from_shape_fn((lanes.len(), x.shape()[axis]), |(row, feature)| lanes[row][feature])
}

fn patches(
    x: &ArrayD<f64>,
    kernel: &[usize],
    channels: Range<usize>,
    strides: &[usize],
    dilations: &[usize],
    begin: &[usize],
    end: &[usize],
) -> Array2<f64> {
    let spatial = &x.shape()[2..];
    let out: Vec<usize> = (0..kernel.len())
        .map(|axis| {
            (spatial[axis] + begin[axis] + end[axis] - dilations[axis] * (kernel[axis] - 1) - 1) / strides[axis] + 1
        })
        .collect();
    let mut rows = Vec::new();
    for sample in 0..x.shape()[0] {
        for position in ndarray::indices(IxDyn(&out)) {
            let mut row = Vec::new();
            for channel in channels.clone() {
                for tap in ndarray::indices(IxDyn(kernel)) {
                    let at: Option<Vec<usize>> = (0..kernel.len())
                        .map(|axis| {
                            (position[axis] * strides[axis] + tap[axis] * dilations[axis])
                                .checked_sub(begin[axis])
                                .filter(|&at| at < spatial[axis])
                        })
                        .collect();
                    row.push(at.map_or(0.0, |at| x[IxDyn(&[&[sample, channel], at.as_slice()].concat())]));
                }
            }
            rows.push(row);
        }
    }
    let dim = rows[0].len();
    Array2::from_shape_vec((rows.len(), dim), rows.concat()).unwrap()
}

fn node(op: &str, inputs: &[&str], output: &str, attribute: Vec<AttributeProto>) -> NodeProto {
    let input = inputs.iter().map(|&name| name.to_owned()).collect();
    NodeProto {
        input,
        output: vec![output.into()],
        name: output.into(),
        op_type: op.into(),
        attribute,
        ..NodeProto::default()
    }
}

fn port(name: &str, element: ElementType, sample: &[usize]) -> ValueInfoProto {
    let batch = DimensionProto { dim_value: None, dim_param: Some("N".into()) };
    let fixed = sample.iter().map(|&extent| DimensionProto { dim_value: Some(extent as i64), dim_param: None });
    let shape = (!sample.is_empty()).then(|| TensorShapeProto { dim: [batch].into_iter().chain(fixed).collect() });
    let tensor_type = Some(TensorTypeProto { elem_type: element.onnx(), shape });
    ValueInfoProto { name: name.into(), r#type: Some(TypeProto { tensor_type, ..TypeProto::default() }) }
}

fn raw(values: &ArrayD<f64>, element: ElementType) -> Vec<u8> {
    match element {
        ElementType::Float64 => values.iter().flat_map(|value| value.to_le_bytes()).collect(),
        ElementType::Float16 => values.iter().flat_map(|&value| f16::from_f64(value).to_le_bytes()).collect(),
        _ => values.iter().flat_map(|&value| (value as f32).to_le_bytes()).collect(),
    }
}
