//! Every rule on every engine: the second moments that `evidence/` collects through an instrumented model, and the
//! matrix that `layers/` makes of a weight, against rows that are gathered here index by index from the definition.

use half::f16;
use ndarray::{Array2, ArrayD, Axis, IxDyn};
use onnx_sap::data::{Content, DataError, DataSet, Preprocessing, Route, SampleId, Stream};
use onnx_sap::engine::{Device, Engine, EngineName, Runnable, choose};
use onnx_sap::evidence::{Moments, Pass, RowLimit, collect};
use onnx_sap::layers::{Layer, Ledger, RULES, Selection};
use onnx_sap::model::fragment::{int, ints, string};
use onnx_sap::model::proto::{
    AttributeProto, DimensionProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TensorProto,
    TensorShapeProto, TensorTypeProto, TypeProto, ValueInfoProto,
};
use onnx_sap::model::{Classifier, GraphIndex, Interface, Model};
use onnx_sap::progress::Silent;
use onnx_sap::tensor::{ElementType, Tensor};
use prost::Message;
use std::collections::BTreeSet;

const SAMPLES: usize = 5;

/// One use of an operator: the model `x → (prepare) → op(w) → y`.
struct Case {
    name: &'static str,
    op: &'static str,
    /// One sample of x.
    sample: Vec<usize>,
    weight: Vec<usize>,
    /// Whether the weight is the first operand.
    weight_first: bool,
    /// The order of axes in which the operator gets x.
    transposed: Option<Vec<i64>>,
    attributes: Vec<AttributeProto>,
    element: ElementType,
    rows: Rows,
    outputs: Outputs,
}

/// Where the rows come from, by definition.
enum Rows {
    /// Along the last axis of x.
    Last,
    /// Along the axis before the last of x.
    SecondLast,
    /// Under the window of a convolution.
    Window { groups: usize, strides: Vec<usize>, dilations: Vec<usize>, begin: Vec<usize>, end: Vec<usize> },
}

/// Where in y the outputs of a row stand.
enum Outputs {
    /// y is [rows, outputs].
    Last,
    /// y is [N, outputs, rows of a sample].
    Second,
    /// y is [outputs, rows].
    First,
}

/// A pseudo-random tensor of multiples of 1/64 in [−1, 1], which every float type holds exactly.
fn values(shape: &[usize], seed: usize) -> ArrayD<f64> {
    let count: usize = shape.iter().product();
    let value = |index: usize| (((index + 1) * (7919 + 613 * seed) % 129) as f64 - 64.0) / 64.0;
    ArrayD::from_shape_vec(IxDyn(shape), (0..count).map(value).collect()).unwrap()
}

impl Case {
    fn new(
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
            transposed: None,
            attributes: vec![],
            element: ElementType::Float32,
            rows,
            outputs,
        }
    }

    fn with(mut self, attributes: Vec<AttributeProto>) -> Self {
        self.attributes = attributes;
        self
    }

    fn of(mut self, element: ElementType) -> Self {
        self.element = element;
        self
    }

    fn weight_first(mut self) -> Self {
        self.weight_first = true;
        self
    }

    fn transposed(mut self, order: &[i64]) -> Self {
        self.transposed = Some(order.to_vec());
        self
    }

    fn x(&self) -> ArrayD<f64> {
        let shape: Vec<usize> = [SAMPLES].into_iter().chain(self.sample.iter().copied()).collect();
        values(&shape, 1)
    }

    fn model(&self) -> Vec<u8> {
        let mut nodes = Vec::new();
        let mut input = "x".to_owned();
        if let Some(order) = &self.transposed {
            nodes.push(node("Transpose", &["x"], "xt", vec![ints("perm", order.iter().copied())]));
            input = String::from("xt");
        }
        let operands = if self.weight_first { ["w", input.as_str()] } else { [input.as_str(), "w"] };
        nodes.push(node(self.op, &operands, "y", self.attributes.clone()));
        let weight = TensorProto {
            dims: self.weight.iter().map(|&dim| dim as i64).collect(),
            data_type: self.element.onnx(),
            name: "w".into(),
            raw_data: raw(&values(&self.weight, 2), self.element).into(),
            ..TensorProto::default()
        };
        let graph = GraphProto {
            node: nodes,
            name: "case".into(),
            initializer: vec![weight],
            input: vec![port("x", self.element, &self.sample)],
            output: vec![ValueInfoProto { name: "y".into(), ..port("y", self.element, &[]) }],
            ..GraphProto::default()
        };
        let opset = OperatorSetIdProto { domain: String::new(), version: 17 };
        ModelProto { ir_version: 8, graph: Some(graph), opset_import: vec![opset], ..ModelProto::default() }
            .encode_to_vec()
    }

    /// The rows of each group, gathered index by index.
    fn rows(&self) -> Vec<Array2<f64>> {
        let x = self.x();
        match &self.rows {
            Rows::Last => vec![vectors(&x, x.ndim() - 1)],
            Rows::SecondLast => vec![vectors(&x, x.ndim() - 2)],
            Rows::Window { groups, strides, dilations, begin, end } => {
                let channels = x.shape()[1] / groups;
                (0..*groups)
                    .map(|group| {
                        patches(
                            &x,
                            &self.weight[2..],
                            group * channels..(group + 1) * channels,
                            strides,
                            dilations,
                            begin,
                            end,
                        )
                    })
                    .collect()
            }
        }
    }
}

fn vectors(x: &ArrayD<f64>, axis: usize) -> Array2<f64> {
    let lanes: Vec<Vec<f64>> = x.lanes(Axis(axis)).into_iter().map(|lane| lane.to_vec()).collect();
    Array2::from_shape_fn((lanes.len(), x.shape()[axis]), |(row, feature)| lanes[row][feature])
}

fn patches(
    x: &ArrayD<f64>,
    kernel: &[usize],
    channels: std::ops::Range<usize>,
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

/// The samples of a case, as data.
struct Held(ArrayD<f64>);

impl DataSet for Held {
    fn len(&self) -> usize {
        self.0.shape()[0]
    }

    fn class_names(&self) -> Option<&[String]> {
        None
    }

    fn id(&self, index: usize) -> SampleId {
        SampleId(index.to_string())
    }

    fn label(&self, _: usize) -> usize {
        0
    }

    fn content(&self, index: usize) -> Result<Content, DataError> {
        Ok(Content::Values(self.0.index_axis(Axis(0), index).mapv(|value| value as f32)))
    }
}

fn window(groups: usize, strides: &[usize], dilations: &[usize], begin: &[usize], end: &[usize]) -> Rows {
    Rows::Window { groups, strides: strides.into(), dilations: dilations.into(), begin: begin.into(), end: end.into() }
}

/// A convolution with everything spelt out.
fn conv(name: &'static str, sample: &[usize], weight: &[usize], rows: Rows) -> Case {
    let Rows::Window { groups, strides, dilations, begin, end } = &rows else { panic!("{name} has no window") };
    let list = |values: &[usize]| values.iter().map(|&value| value as i64).collect::<Vec<_>>();
    let attributes = vec![
        int("group", *groups as i64),
        ints("strides", list(strides)),
        ints("dilations", list(dilations)),
        ints("pads", [list(begin), list(end)].concat()),
    ];
    Case::new(name, "Conv", sample, weight, rows, Outputs::Second).with(attributes)
}

/// A convolution of a 7 × 8 image whose padding the operator works out.
fn auto_padded(name: &'static str, mode: &str, strides: [usize; 2], begin: [usize; 2], end: [usize; 2]) -> Case {
    let rows = window(1, &strides, &[1, 1], &begin, &end);
    let attributes = vec![string("auto_pad", mode), ints("strides", strides.map(|stride| stride as i64))];
    Case::new(name, "Conv", &[3, 7, 8], &[4, 3, 4, 3], rows, Outputs::Second).with(attributes)
}

fn cases() -> Vec<Case> {
    use ElementType::{Float16, Float64};
    let vector =
        |name, op, sample: &[usize], weight: &[usize]| Case::new(name, op, sample, weight, Rows::Last, Outputs::Last);
    vec![
        conv("conv over one axis", &[3, 9], &[4, 3, 4], window(1, &[2], &[2], &[1], &[3])),
        conv("conv over two axes", &[3, 6, 5], &[4, 3, 3, 2], window(1, &[1, 1], &[1, 1], &[0, 0], &[0, 0])),
        conv(
            "conv over three axes",
            &[2, 5, 4, 3],
            &[3, 2, 2, 3, 2],
            window(1, &[2, 1, 1], &[1, 1, 1], &[1, 0, 1], &[0, 1, 0]),
        ),
        conv(
            "conv with strides, dilations and uneven pads",
            &[3, 9, 8],
            &[4, 3, 3, 2],
            window(1, &[2, 3], &[2, 1], &[1, 0], &[3, 2]),
        ),
        conv("conv in groups", &[6, 5, 5], &[4, 3, 3, 3], window(2, &[1, 1], &[1, 1], &[1, 1], &[1, 1])),
        conv("depthwise conv", &[4, 5, 5], &[8, 1, 3, 3], window(4, &[1, 1], &[1, 1], &[1, 1], &[1, 1])),
        conv("pointwise conv", &[5, 4, 3], &[6, 5, 1, 1], window(1, &[1, 1], &[1, 1], &[0, 0], &[0, 0])),
        conv("pointwise conv in groups", &[6, 4, 3], &[4, 3, 1, 1], window(2, &[1, 1], &[1, 1], &[0, 0], &[0, 0])),
        conv("pointwise conv with strides", &[5, 5, 4], &[6, 5, 1, 1], window(1, &[2, 2], &[1, 1], &[0, 0], &[0, 0])),
        conv("conv of float16", &[3, 6, 5], &[4, 3, 3, 2], window(1, &[1, 1], &[1, 1], &[1, 0], &[1, 0])).of(Float16),
        conv("conv of float64", &[3, 6, 5], &[4, 3, 3, 2], window(1, &[1, 1], &[1, 1], &[1, 0], &[1, 0])).of(Float64),
        // 7 × 8 under 4 × 3: with stride 1 in all 3 and 2 zeros are needed, with strides 2 and 3 again 3 and 1.
        auto_padded("conv with SAME_UPPER", "SAME_UPPER", [1, 1], [1, 1], [2, 1]),
        auto_padded("conv with SAME_LOWER", "SAME_LOWER", [1, 1], [2, 1], [1, 1]),
        auto_padded("conv with SAME_UPPER and strides", "SAME_UPPER", [2, 3], [1, 0], [2, 1]),
        auto_padded("conv with SAME_LOWER and strides", "SAME_LOWER", [2, 3], [2, 1], [1, 0]),
        auto_padded("conv with VALID", "VALID", [2, 1], [0, 0], [0, 0]),
        vector("gemm", "Gemm", &[6], &[6, 4]),
        vector("gemm with transB", "Gemm", &[6], &[4, 6]).with(vec![int("transB", 1)]),
        vector("gemm with transA", "Gemm", &[6], &[6, 4]).transposed(&[1, 0]).with(vec![int("transA", 1)]),
        vector("gemm with transA and transB", "Gemm", &[6], &[4, 6])
            .transposed(&[1, 0])
            .with(vec![int("transA", 1), int("transB", 1)]),
        Case::new("gemm with the weight on the left", "Gemm", &[6], &[4, 6], Rows::Last, Outputs::First)
            .weight_first()
            .with(vec![int("transB", 1)]),
        Case::new("gemm with the weight on the left, transA", "Gemm", &[6], &[6, 4], Rows::Last, Outputs::First)
            .weight_first()
            .with(vec![int("transA", 1), int("transB", 1)]),
        Case::new("gemm with the weight on the left of columns", "Gemm", &[6], &[4, 6], Rows::Last, Outputs::First)
            .weight_first()
            .transposed(&[1, 0]),
        vector("gemm of float64", "Gemm", &[6], &[6, 4]).of(Float64),
        vector("gemm of float16", "Gemm", &[6], &[6, 4]).of(Float16),
        vector("matmul of vectors", "MatMul", &[6], &[6, 4]),
        vector("matmul of sequences", "MatMul", &[3, 6], &[6, 4]),
        vector("matmul of grids", "MatMul", &[2, 3, 6], &[6, 4]),
        vector("matmul of float64", "MatMul", &[3, 6], &[6, 4]).of(Float64),
        Case::new("matmul with the weight on the left", "MatMul", &[6, 3], &[4, 6], Rows::SecondLast, Outputs::Second)
            .weight_first(),
    ]
}

fn engines() -> Vec<Box<dyn Engine>> {
    let engine = |name| choose(name, Device::Cpu, None, &Silent).unwrap().engine;
    vec![engine(EngineName::Ort), engine(EngineName::Tract)]
}

/// ONNX Runtime's CPU provider has no kernel for convolutions of float64; tract runs them.
fn is_missing(case: &Case, engine: &dyn Engine) -> bool {
    case.op == "Conv" && case.element == ElementType::Float64 && engine.info().name == "onnxruntime"
}

/// A case as the library sees it.
struct Opened<'a> {
    graph: &'a GraphIndex<'a>,
    layers: &'a [Layer],
    classifier: &'a Classifier,
    stream: Stream<'a>,
}

fn open(case: &Case, work: impl FnOnce(&Opened<'_>)) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("case.onnx");
    std::fs::write(&path, case.model()).unwrap();
    let model = Model::open(&path).unwrap();
    let graph = GraphIndex::new(&model).unwrap();
    let ledger = Ledger::survey(&graph, &Selection::default()).unwrap();
    assert_eq!(ledger.layers.len(), 1, "{}: {:?}", case.name, ledger.skipped);
    let classifier = Classifier::of(&graph, &Interface::default()).unwrap();
    let set = Held(case.x());
    let input = &classifier.data[0];
    let input = (input.name.as_str(), input.element, input.sample.as_slice());
    let routes = [Route::resolve(input, &Preprocessing::default(), 0, &set.content(0).unwrap()).unwrap()];
    let stream = Stream { set: &set, routes: &routes, perturbation: None };
    work(&Opened { graph: &graph, layers: &ledger.layers, classifier: &classifier, stream });
}

impl Opened<'_> {
    fn moments(&self, engine: &dyn Engine, rows: RowLimit, seed: u64, batch: Option<usize>) -> Moments {
        let samples: Vec<usize> = (0..SAMPLES).collect();
        let pass = Pass { stream: self.stream, samples: &samples, rows, seed, batch };
        collect(engine, self.graph, self.classifier, self.layers, &pass, &Silent).unwrap()
    }
}

/// The rows times the weight's matrix are what the engine computes.
fn check_matrix(case: &Case, opened: &Opened<'_>, engine: &dyn Engine) {
    let layer = &opened.layers[0];
    let rows = case.rows();
    let matrices = layer.matrix.matrices(&opened.graph.model().values(&layer.weight).unwrap());
    let model = opened.graph.model();
    let mut session = engine.load(Runnable { bytes: model.bytes(), folder: model.folder() }).unwrap();
    let x = Tensor::from_f32(&case.x().mapv(|value| value as f32), case.element);
    let y: Vec<f64> = session.run(&[("x", &x)], &["y"]).unwrap().remove(0).to_f64().iter().copied().collect();
    let (count, outputs, per_sample) = (rows[0].nrows(), matrices[0].nrows(), rows[0].nrows() / SAMPLES);
    for (group, (rows, matrix)) in rows.iter().zip(&matrices).enumerate() {
        for ((row, output), &wanted) in rows.dot(&matrix.t()).indexed_iter() {
            let at = match case.outputs {
                Outputs::Last => row * outputs + output,
                Outputs::First => output * count + row,
                Outputs::Second => {
                    let map = (row / per_sample) * matrices.len() * outputs + group * outputs + output;
                    map * per_sample + row % per_sample
                }
            };
            let tolerance = 16.0 * case.element.epsilon() * (1.0 + wanted.abs());
            let label = format!("{} on {}", case.name, engine.info().name);
            assert!((y[at] - wanted).abs() <= tolerance, "{label}: y[{at}] = {}, not {wanted}", y[at]);
        }
    }
}

/// The moment is the sum over the rows, whatever the batch size is.
fn check_moment(case: &Case, opened: &Opened<'_>, engine: &dyn Engine) {
    let rows = case.rows();
    for batch in [None, Some(1), Some(2)] {
        let moments = opened.moments(engine, RowLimit::All, 0, batch);
        let label = format!("{} on {}", case.name, engine.info().name);
        assert_eq!(moments.rows(0), rows[0].nrows(), "{label}");
        for (sum, rows) in moments.sums(0).iter().zip(&rows) {
            let wanted = rows.t().dot(rows);
            let difference = (sum - &wanted).iter().fold(0.0, |most: f64, difference| most.max(difference.abs()));
            assert!(difference <= 1e-12 * wanted.diag().sum(), "{label}: the moment is off by {difference}");
        }
    }
}

#[test]
fn moments_and_matrices_are_those_of_the_definition_on_every_engine() {
    for engine in engines() {
        for case in cases().iter().filter(|case| !is_missing(case, engine.as_ref())) {
            open(case, |opened| {
                check_matrix(case, opened, engine.as_ref());
                check_moment(case, opened, engine.as_ref());
            });
        }
    }
}

#[test]
fn every_rule_has_a_case() {
    let tried: BTreeSet<&str> = cases().iter().map(|case| case.op).collect();
    let rules: BTreeSet<&str> =
        RULES.iter().flat_map(|rule| rule.operators()).map(|operator| operator.op_type).collect();
    assert_eq!(tried, rules);
}

#[test]
fn drawn_rows_are_the_same_on_every_engine_and_at_every_batch_size() {
    let case = conv("conv", &[3, 6, 5], &[4, 3, 3, 2], window(1, &[1, 1], &[1, 1], &[0, 0], &[0, 0]));
    open(&case, |opened| {
        let engines = engines();
        let drawn = |engine: &dyn Engine, seed, batch| {
            let moments = opened.moments(engine, RowLimit::AtMost(17), seed, batch);
            assert_eq!(moments.rows(0), 17);
            moments.sums(0).remove(0)
        };
        let first = drawn(engines[0].as_ref(), 1, None);
        for engine in &engines {
            for batch in [None, Some(1), Some(3)] {
                let again = drawn(engine.as_ref(), 1, batch);
                assert!((&again - &first).iter().all(|difference| difference.abs() < 1e-12 * first.diag().sum()));
            }
        }
        assert!((drawn(engines[0].as_ref(), 2, None) - first).iter().any(|difference| difference.abs() > 1e-3));
    });
}
