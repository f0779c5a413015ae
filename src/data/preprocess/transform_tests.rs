//! What a transform promises: what is left open is inferred where it is certain, and contradictions name both sides.

use super::*;
use image::{GrayImage, Luma, RgbImage};
use ndarray::Dimension;

fn gray(height: u32, width: u32) -> Content {
    Content::Image(GrayImage::from_fn(width, height, |x, y| Luma([(y * width + x) as u8])).into())
}

fn colour(height: u32, width: u32) -> Content {
    Content::Image(RgbImage::new(width, height).into())
}

fn values(shape: &[usize]) -> Content {
    Content::Values(ArrayD::from_shape_fn(IxDyn(shape), |index| index.slice().iter().sum::<usize>() as f32))
}

fn size(text: &str) -> Option<ImageSize> {
    text.parse().ok()
}

fn id() -> SampleId {
    SampleId("the sample".into())
}

fn resolve(options: &Preprocessing, model: &[Option<usize>], example: &Content) -> Result<Transform, DataError> {
    resolve_for(ElementType::Float32, options, model, example)
}

fn resolve_for(
    element: ElementType,
    options: &Preprocessing,
    model: &[Option<usize>],
    example: &Content,
) -> Result<Transform, DataError> {
    let transform = Transform::resolve(options, element, model, example)?;
    let shape = match transform.apply(example.clone(), &id())? {
        SampleValues::Floats(values) => values.shape().to_vec(),
        SampleValues::Integers(values) => values.shape().to_vec(),
    };
    assert_eq!(shape, transform.shape(), "a transform keeps its word about the shape");
    Ok(transform)
}

fn integers(values: &[i64]) -> Content {
    Content::Integers(ArrayD::from_shape_vec(IxDyn(&[values.len()]), values.to_vec()).unwrap())
}

fn floats(values: SampleValues) -> Vec<f32> {
    match values {
        SampleValues::Floats(values) => values.into_iter().collect(),
        SampleValues::Integers(_) => Vec::new(),
    }
}

fn open() -> Preprocessing {
    Preprocessing::default()
}

#[test]
fn the_layout_and_the_channels_come_from_the_models_shape() {
    use InputLayout::{Nchw, Nhwc};
    for (model, layout, shape) in [
        (vec![Some(1), Some(28), Some(28)], Some(Nchw), vec![1, 28, 28]),
        (vec![Some(28), Some(28), Some(1)], Some(Nhwc), vec![28, 28, 1]),
        (vec![Some(3), Some(28), Some(28)], Some(Nchw), vec![3, 28, 28]),
        (vec![Some(3), None, None], Some(Nchw), vec![3, 28, 28]),
        (vec![None, None, Some(3)], Some(Nhwc), vec![28, 28, 3]),
        (vec![None, Some(28), Some(28)], Some(Nchw), vec![1, 28, 28]),
        (vec![Some(3), Some(32), Some(32)], Some(Nchw), vec![3, 32, 32]),
        (vec![Some(28), Some(28)], None, vec![28, 28]),
        (vec![Some(784)], None, vec![784]),
        (vec![None], None, vec![784]),
    ] {
        let transform = resolve(&open(), &model, &gray(28, 28)).unwrap();
        assert_eq!((transform.layout(), transform.shape()), (layout, shape.as_slice()), "{model:?}");
        assert!(transform.is_image());
    }
    for model in [vec![None, None, None], vec![Some(3), Some(8), Some(3)], vec![Some(1), None, Some(3)]] {
        assert!(resolve(&open(), &model, &gray(28, 28)).unwrap_err().to_string().contains("--layout"));
        let options = Preprocessing { layout: Some(Nchw), ..open() };
        assert_eq!(resolve(&options, &model, &gray(28, 28)).unwrap().layout(), Some(Nchw));
    }
}

#[test]
fn contradictions_name_both_sides_and_the_option() {
    let model = [Some(1), Some(28), Some(28)];
    let three = [Some(3), None, None];
    for (options, model, hints) in [
        (Preprocessing { channels: Some(Channels::Rgb), ..open() }, &model[..], ["takes 1", "--channels"]),
        (Preprocessing { channels: Some(Channels::Gray), ..open() }, &three[..], ["takes 3", "--channels"]),
        (Preprocessing { size: size("32"), ..open() }, &model[..], ["28", "--size"]),
        (Preprocessing { layout: Some(InputLayout::Nhwc), ..open() }, &model[..], ["[N,1,28,28]", "--layout"]),
        (Preprocessing { layout: Some(InputLayout::Nchw), ..open() }, &model[1..], ["[N,28,28]", "--layout"]),
        (Preprocessing { mean: Some(vec![0.1; 3]), ..open() }, &model[..], ["3 values", "--mean"]),
        (Preprocessing { std: Some(vec![]), ..open() }, &model[..], ["0 values", "--std"]),
        (Preprocessing { std: Some(vec![0.0]), ..open() }, &model[..], ["infinite", "--std"]),
        (Preprocessing { scale: Some(f32::NAN), ..open() }, &model[..], ["NaN", "--scale"]),
        (Preprocessing { resize: Some(Resize::Shorter(20)), ..open() }, &model[..], ["28x28", "--resize"]),
        (Preprocessing { resize: "40x20".parse().ok(), ..open() }, &model[..], ["28x28", "--resize"]),
        (open(), &[Some(100)], ["100", "--size"]),
        (open(), &[Some(7), Some(28), Some(28)], ["[N,7,28,28]", "npz"]),
        (open(), &[], ["[N]", "npz"]),
        (open(), &[Some(1), Some(0), Some(28)], ["0", "another model"]),
    ] {
        let message = resolve(&options, model, &gray(28, 28)).unwrap_err().to_string();
        assert!(hints.iter().all(|hint| message.contains(hint)) && message.lines().count() == 1, "{message}");
    }
}

#[test]
fn the_models_size_decides_then_the_option_then_the_preset_then_the_image() {
    let imagenet = || Preprocessing { usual_size: size("224"), resize: "256/224".parse().ok(), ..open() };
    let shape = |options: &Preprocessing, model: &[Option<usize>]| {
        resolve(options, model, &colour(50, 70)).unwrap().shape().to_vec()
    };
    assert_eq!(shape(&imagenet(), &[Some(3), Some(32), Some(40)]), [3, 32, 40]);
    assert_eq!(shape(&imagenet(), &[Some(3), None, None]), [3, 224, 224]);
    assert_eq!(shape(&Preprocessing { size: size("64"), ..imagenet() }, &[Some(3), None, None]), [3, 64, 64]);
    assert_eq!(shape(&open(), &[Some(3), None, None]), [3, 50, 70]);
    assert_eq!(shape(&Preprocessing { resize: "20".parse().ok(), ..open() }, &[Some(3), None, None]), [3, 20, 20]);
    assert_eq!(shape(&Preprocessing { size: size("10x2"), ..open() }, &[Some(60)]), [60]);
}

#[test]
fn pixels_are_scaled_then_centred_then_divided() {
    let options = Preprocessing { mean: Some(vec![0.5]), std: Some(vec![0.25]), ..open() };
    let transform = resolve(&options, &[Some(4)], &gray(2, 2)).unwrap();
    let output = floats(transform.apply(gray(2, 2), &id()).unwrap());
    assert_eq!(output.len(), 4);
    for (byte, value) in output.iter().enumerate() {
        assert_eq!(value.to_bits(), ((byte as f32 / 255.0 - 0.5) / 0.25).to_bits());
    }
}

#[test]
fn inputs_of_integers_take_pixels_as_they_are_and_nothing_that_they_would_round() {
    use ElementType::{Bool, Int32, Int64, Uint8};
    let preset = Preprocessing { scale: Some(0.1), mean: Some(vec![0.5]), std: Some(vec![2.0]), ..open() };
    for element in [Uint8, Int32, Int64] {
        let options = open().or(preset.clone().for_element(element));
        let transform = resolve_for(element, &options, &[Some(2), Some(2), Some(1)], &gray(2, 2)).unwrap();
        assert_eq!(floats(transform.apply(gray(2, 2), &id()).unwrap()), [0.0, 1.0, 2.0, 3.0]);
        assert_eq!(transform.layout(), Some(InputLayout::Nhwc));
    }
    let doubled = Preprocessing { scale: Some(2.0), ..open() };
    assert!(resolve_for(Int32, &doubled, &[Some(4)], &gray(2, 2)).is_ok());
    for (element, options) in [
        (Uint8, doubled.clone()),
        (Uint8, Preprocessing { mean: Some(vec![1.0]), ..open() }),
        (Int64, Preprocessing { scale: Some(0.5), ..open() }),
        (Bool, open()),
    ] {
        let message = resolve_for(element, &options, &[Some(4)], &gray(2, 2)).unwrap_err().to_string();
        assert!(message.contains(&format!("takes {element}")) && message.contains("--scale"), "{message}");
    }
}

#[test]
fn integers_arrive_with_every_digit_and_only_where_integers_are_taken() {
    let ids = [0, (1 << 40) + 1, i64::MAX];
    let transform = resolve_for(ElementType::Int64, &open(), &[None], &integers(&ids)).unwrap();
    assert!(!transform.is_image());
    match transform.apply(integers(&ids), &id()).unwrap() {
        SampleValues::Integers(values) => assert_eq!(values.into_iter().collect::<Vec<_>>(), ids),
        SampleValues::Floats(_) => panic!("integers stay integers"),
    }
    let message = resolve(&open(), &[None], &integers(&ids)).unwrap_err().to_string();
    assert!(message.contains("float32") && message.contains("uint8") && message.contains("(N,H,W)"), "{message}");
    for (element, value) in [(ElementType::Int32, 1 << 31), (ElementType::Uint8, 256), (ElementType::Bool, 2)] {
        let message = resolve_for(element, &open(), &[None], &integers(&[1, value])).unwrap_err().to_string();
        assert!(message.contains(&format!("{value}, which is no {element}")), "{message}");
    }
    let fraction = Content::Values(ArrayD::from_elem(IxDyn(&[1]), 0.5));
    let message = resolve_for(ElementType::Int64, &open(), &[None], &fraction).unwrap_err().to_string();
    assert!(message.contains("0.5, which is no int64"), "{message}");
    let options = Preprocessing { mean: Some(vec![0.5]), ..open() };
    assert!(resolve_for(ElementType::Int64, &options, &[None], &integers(&ids)).is_err());
}

#[test]
fn values_are_taken_as_they_are_or_reshaped_where_that_is_unambiguous() {
    let fixed = [Some(1), Some(28), Some(28)];
    for example in [&[1, 28, 28][..], &[28, 28], &[784], &[28, 28, 1]] {
        let transform = resolve(&open(), &fixed, &values(example)).unwrap();
        assert_eq!((transform.shape(), transform.is_image()), (&[1, 28, 28][..], true));
    }
    assert_eq!(resolve(&open(), &[None, Some(5)], &values(&[7, 5])).unwrap().shape(), [7, 5]);
    assert!(resolve(&open(), &[Some(784)], &values(&[1, 28, 28])).unwrap().is_image());
    assert!(!resolve(&open(), &[Some(784)], &values(&[784])).unwrap().is_image());
    for (model, example) in [
        (&[Some(3), Some(8), Some(8)][..], &[8, 8, 3][..]),
        (&[Some(4), Some(6)], &[6, 4]),
        (&[Some(10)], &[11]),
        (&[None], &[2, 3]),
        (&[Some(0)], &[0]),
    ] {
        assert!(resolve(&open(), model, &values(example)).is_err(), "{model:?} {example:?}");
    }
    let options = Preprocessing { layout: Some(InputLayout::Nchw), ..open() };
    assert!(!resolve(&open(), &[Some(4), Some(8), Some(8)], &values(&[4, 8, 8])).unwrap().is_image());
    assert!(resolve(&options, &[Some(4), Some(8), Some(8)], &values(&[4, 8, 8])).unwrap().is_image());
    let options = Preprocessing { mean: Some(vec![0.5]), ..open() };
    assert!(resolve(&options, &[Some(4)], &values(&[4])).unwrap_err().to_string().contains("--mean"));
}

#[test]
fn samples_that_differ_from_the_first_one_name_themselves() {
    let for_values = resolve(&open(), &[Some(2)], &values(&[2])).unwrap();
    let for_images = resolve(&open(), &[Some(1), Some(4), Some(4)], &gray(4, 4)).unwrap();
    let infinite = Content::Values(ArrayD::from_elem(IxDyn(&[2]), f32::INFINITY));
    for (transform, content) in [
        (&for_values, values(&[3])),
        (&for_values, infinite),
        (&for_values, gray(4, 4)),
        (&for_values, integers(&[1, 2, 3])),
        (&for_images, values(&[16])),
        (&for_images, integers(&[1, 2])),
        (&for_images, gray(0, 0)),
    ] {
        let message = transform.apply(content, &id()).unwrap_err().to_string();
        assert!(message.starts_with("sample the sample: "), "{message}");
    }
}

#[test]
fn the_report_holds_every_value() {
    let transform = resolve(&open(), &[Some(3), None, None], &gray(8, 8)).unwrap();
    let report = serde_json::to_value(&transform).unwrap();
    assert_eq!(report["shape"], serde_json::json!([3, 8, 8]));
    assert_eq!((&report["layout"], &report["channels"]), (&"nchw".into(), &"rgb".into()));
    assert_eq!((&report["size"], &report["resize"]), (&"8x8".into(), &"1/1".into()));
    assert_eq!(report["interpolation"], "bilinear");
    assert_eq!(report["std"], serde_json::json!([1.0, 1.0, 1.0]));
    let of_values = resolve(&open(), &[Some(4)], &values(&[4])).unwrap();
    assert_eq!(serde_json::to_value(&of_values).unwrap(), serde_json::json!({"shape": [4]}));
}
