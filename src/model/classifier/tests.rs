//! Which inputs are fed and where the class scores are, on graphs that are drawn as text.

use super::*;
use crate::model::proto::{
    AttributeProto, DimensionProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TensorShapeProto,
    TensorTypeProto, TypeProto, ValueInfoProto,
};
use crate::model::{Model, fragment::int};
use crate::tensor::ElementType::{self, Bool, Float16, Float32, Int64};
use prost::Message;

type Shape<'a> = &'a [Option<usize>];

/// `op input → output`, with an attribute.
fn node(op: &str, input: &str, output: &str, attribute: Option<AttributeProto>) -> NodeProto {
    NodeProto {
        input: vec![input.into()],
        output: vec![output.into()],
        op_type: op.into(),
        attribute: attribute.into_iter().collect(),
        ..NodeProto::default()
    }
}

fn port(name: &str, element: ElementType, shape: Shape<'_>) -> ValueInfoProto {
    let dim =
        |extent: &Option<usize>| DimensionProto { dim_value: extent.map(|extent| extent as i64), dim_param: None };
    let shape = TensorShapeProto { dim: shape.iter().map(dim).collect() };
    let tensor_type = TensorTypeProto { elem_type: element.onnx(), shape: Some(shape) };
    ValueInfoProto {
        name: name.into(),
        r#type: Some(TypeProto { tensor_type: Some(tensor_type), ..TypeProto::default() }),
    }
}

fn model(inputs: Vec<ValueInfoProto>, nodes: Vec<NodeProto>, outputs: Vec<ValueInfoProto>) -> Model {
    let graph = GraphProto { node: nodes, input: inputs, output: outputs, ..GraphProto::default() };
    let opset_import = vec![OperatorSetIdProto { domain: String::new(), version: 17 }];
    let model = ModelProto { ir_version: 8, graph: Some(graph), opset_import, ..ModelProto::default() };
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), model.encode_to_vec()).unwrap();
    Model::open(file.path()).unwrap()
}

fn of(
    inputs: Vec<ValueInfoProto>,
    nodes: Vec<NodeProto>,
    outputs: Vec<ValueInfoProto>,
    interface: &Interface,
) -> Result<Classifier, String> {
    let model = model(inputs, nodes, outputs);
    let graph = GraphIndex::new(&model).unwrap();
    Classifier::of(&graph, interface).map_err(|error| error.to_string())
}

fn x() -> ValueInfoProto {
    port("x", Float32, &[None, Some(4)])
}

fn logits(name: &str) -> Interface {
    Interface { logits: Some(name.into()), constants: vec![] }
}

/// The head of `x → Gemm → z → … → y`.
fn head(nodes: Vec<NodeProto>, interface: &Interface) -> Result<Head, String> {
    let nodes = [vec![node("Gemm", "x", "z", None)], nodes].concat();
    of(vec![x()], nodes, vec![port("y", Float32, &[None, Some(3)])], interface).map(|classifier| classifier.head)
}

fn found(value: &str, link: Option<Link>) -> Head {
    Head { value: value.into(), inner: value != "y", link }
}

#[test]
fn a_trailing_link_is_seen_through_other_names() {
    let to = |element: ElementType| Some(int("to", element.onnx().into()));
    for (nodes, expected) in [
        (vec![node("Relu", "z", "y", None)], found("y", None)),
        (vec![node("Softmax", "z", "y", None)], found("z", Some(Link::Softmax))),
        (vec![node("Softmax", "z", "y", Some(int("axis", 1)))], found("z", Some(Link::Softmax))),
        (vec![node("Softmax", "z", "y", Some(int("axis", 0)))], found("y", None)),
        (vec![node("LogSoftmax", "z", "y", None)], found("y", Some(Link::Softmax))),
        (vec![node("Sigmoid", "z", "y", None)], found("z", Some(Link::Sigmoid))),
        (
            vec![
                node("Sigmoid", "z", "a", None),
                node("Identity", "a", "b", None),
                node("Cast", "b", "y", to(Float16)),
            ],
            found("z", Some(Link::Sigmoid)),
        ),
        (vec![node("Softmax", "z", "a", None), node("Cast", "a", "y", to(Int64))], found("y", None)),
        (vec![node("Softmax", "z", "a", None), node("Exp", "a", "y", None)], found("y", None)),
        // A circle, as a damaged file may hold it, and a link of the model's own input.
        (vec![node("Identity", "b", "y", None), node("Identity", "y", "b", None)], found("y", None)),
        (vec![node("Softmax", "x", "y", None)], found("y", None)),
    ] {
        let drawn: Vec<_> = nodes.iter().map(|node| format!("{}→{}", node.op_type, node.output[0])).collect();
        assert_eq!(head(nodes, &Interface::default()), Ok(expected), "{drawn:?}");
    }
    let foreign = NodeProto { domain: "elsewhere".into(), ..node("Softmax", "z", "y", None) };
    assert_eq!(head(vec![foreign], &Interface::default()), Ok(found("y", None)));
}

#[test]
fn what_gives_the_same_probabilities_is_followed_to_where_it_is_computed() {
    let cast = || node("Cast", "z", "a", Some(int("to", i64::from(Float16.onnx()))));
    for (nodes, expected) in [
        (vec![node("Relu", "z", "y", None)], &["y"][..]),
        (vec![cast(), node("Identity", "a", "y", None)], &["y", "a", "z"]),
        (vec![node("LogSoftmax", "z", "y", None)], &["y", "z"]),
        (vec![cast(), node("LogSoftmax", "a", "b", None), node("Identity", "b", "y", None)], &["y", "b", "a", "z"]),
        (vec![node("LogSoftmax", "z", "y", Some(int("axis", 0)))], &["y"]),
        (vec![node("Squeeze", "z", "a", None), node("Sigmoid", "a", "y", None)], &["a", "z"]),
        (vec![node("Squeeze", "z", "a", None), node("Softmax", "a", "y", None)], &["a"]),
        // A sigmoid sees what a softmax does not.
        (vec![node("LogSoftmax", "z", "a", None), node("Sigmoid", "a", "y", None)], &["a"]),
    ] {
        let nodes = [vec![node("Gemm", "x", "z", None)], nodes].concat();
        let drawn: Vec<_> = nodes.iter().map(|node| format!("{}→{}", node.op_type, node.output[0])).collect();
        let model = model(vec![x()], nodes, vec![port("y", Float32, &[None, Some(3)])]);
        let graph = GraphIndex::new(&model).unwrap();
        let head = Classifier::of(&graph, &Interface::default()).unwrap().head;
        assert_eq!(head.same_scores(&graph), expected, "{drawn:?}");
    }
    let circle = vec![node("Identity", "b", "y", None), node("Identity", "y", "b", None)];
    let model = model(vec![x()], circle, vec![port("y", Float32, &[None, Some(3)])]);
    let graph = GraphIndex::new(&model).unwrap();
    let head = Classifier::of(&graph, &Interface::default()).unwrap().head;
    assert!(head.same_scores(&graph).len() < 100);
}

#[test]
fn a_value_before_the_link_that_is_an_output_too_stays_one() {
    let nodes = vec![node("Gemm", "x", "z", None), node("Softmax", "z", "y", None)];
    let outputs = vec![port("z", Float32, &[None, Some(3)]), port("y", Float32, &[None, Some(3)])];
    let head = of(vec![x()], nodes, outputs, &logits("y")).unwrap().head;
    assert_eq!(head, Head { value: "z".into(), inner: false, link: Some(Link::Softmax) });
}

#[test]
fn a_named_value_may_lie_anywhere_in_the_graph() {
    let nodes = || vec![node("Sigmoid", "z", "p", None), node("Concat", "p", "y", None)];
    assert_eq!(head(nodes(), &logits("y")), Ok(found("y", None)));
    assert_eq!(head(nodes(), &logits("p")), Ok(found("z", Some(Link::Sigmoid))));
    assert_eq!(head(nodes(), &logits("z")), Ok(found("z", None)));
    for name in ["x", "q", ""] {
        let message = head(nodes(), &logits(name)).unwrap_err();
        assert!(message.contains(&format!("--logits {name}:")), "{message}");
        assert!(message.contains("y: float32 [?, 3]") && message.contains("p, z"), "{message}");
    }
}

#[test]
fn of_several_outputs_the_only_rows_of_floats_are_the_scores() {
    let nodes = || vec![node("Gemm", "x", "a", None), node("Gemm", "x", "b", None), node("Gemm", "x", "c", None)];
    let head = |outputs: Vec<ValueInfoProto>, interface: &Interface| {
        of(vec![x()], nodes(), outputs, interface).map(|classifier| classifier.head.value)
    };
    let label = || port("a", Int64, &[None]);
    let scores = |name| port(name, Float32, &[None, Some(3)]);
    let unknown = ValueInfoProto { r#type: None, name: "c".into() };
    assert_eq!(head(vec![label(), scores("b")], &Interface::default()), Ok("b".into()));
    assert_eq!(head(vec![scores("b"), port("c", Float32, &[None])], &Interface::default()), Ok("b".into()));
    assert_eq!(head(vec![label(), scores("b"), unknown], &Interface::default()), Ok("b".into()));
    for outputs in [vec![scores("b"), scores("c")], vec![label(), port("b", Float32, &[None])]] {
        let message = head(outputs.clone(), &Interface::default()).unwrap_err();
        assert!(message.contains("--logits NAME") && message.contains("b: float32 [?"), "{message}");
        assert_eq!(head(outputs, &logits("b")), Ok("b".into()));
    }
    for interface in [Interface::default(), logits("a")] {
        let message = head(vec![label()], &interface).unwrap_err();
        assert!(message.contains("output a is int64 [?]") && message.contains("--logits"), "{message}");
    }
}

#[test]
fn inputs_without_a_constant_are_fed_from_data_with_one_batch_size() {
    let inputs = |batches: [Option<usize>; 2]| {
        vec![port("ids", Int64, &[batches[0], None]), port("flag", Bool, &[]), port("mask", Int64, &[batches[1], None])]
    };
    let of = |batches, constants: &[&str]| {
        let constants = constants.iter().map(|text| text.parse().unwrap()).collect();
        let interface = Interface { logits: None, constants };
        of(inputs(batches), vec![node("Gemm", "ids", "y", None)], vec![port("y", Float32, &[None, None])], &interface)
    };
    let names = |classifier: &Classifier| classifier.data.iter().map(|input| input.name.clone()).collect::<Vec<_>>();
    let classifier = of([Some(2), None], &["flag=true"]).unwrap();
    assert_eq!((names(&classifier), classifier.batch), (vec!["ids".into(), "mask".into()], Some(2)));
    let classifier = of([Some(2), Some(3)], &["flag=true", "ids=0"]).unwrap();
    assert_eq!((names(&classifier), classifier.batch), (vec!["mask".into()], Some(3)));
    for (batches, constants, says) in [
        ([None, None], &[][..], "--input flag=false"),
        ([Some(2), Some(3)], &["flag=1"], "batches of 3"),
        ([None, None], &["flag=1", "ids=0", "mask=0"], "no input is left"),
        ([None, None], &["flags=1"], "no such input"),
        ([Some(0), None], &["flag=1"], "empty"),
    ] {
        let message = of(batches, constants).unwrap_err();
        assert!(message.contains(says), "{message}");
    }
}
