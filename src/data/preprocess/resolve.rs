//! Settles what preprocessing leaves open: the model's input decides first, then the options, then the data.
//!
//! Where two of them contradict each other the error names both, and the option that resolves it; nothing is guessed.

use super::pixels;
use super::transform::{Geometry, ImageSteps, holds};
use super::{Channels, ImageSize, InputLayout, Preprocessing, Resize, Transform};
use crate::data::DataError;
use crate::tensor::ElementType;
use image::DynamicImage;
use std::fmt::Write as _;

type Resolved<T> = Result<T, DataError>;

/// What a model's input says about the images that it takes.
#[derive(Clone, Copy)]
struct Target {
    layout: Option<InputLayout>,
    channels: Option<usize>,
    height: Option<usize>,
    width: Option<usize>,
    /// The number of values, where the input is a vector that fixes it.
    flat: Option<usize>,
}

/// A transform for images.
pub(super) fn for_image(
    options: &Preprocessing,
    element: ElementType,
    shape: &[Option<usize>],
    example: &DynamicImage,
) -> Resolved<Transform> {
    let target = target(options, shape)?;
    let channels = channels(options, target, example)?;
    let size = match target.flat {
        Some(total) => size_of_flat(options, total, channels, example)?,
        None => size(options, target, example)?,
    };
    let resize = resize(options, size)?;
    let order = target.layout.or(options.layout).unwrap_or(InputLayout::Nchw);
    let geometry = Geometry {
        layout: order,
        channels: channels.count(),
        height: size.height as usize,
        width: size.width as usize,
    };
    let shape = match (shape.len(), target.layout) {
        (1, _) => vec![geometry.channels * geometry.height * geometry.width],
        (_, None) => vec![geometry.height, geometry.width],
        (_, Some(InputLayout::Nchw)) => vec![geometry.channels, geometry.height, geometry.width],
        (_, Some(InputLayout::Nhwc)) => vec![geometry.height, geometry.width, geometry.channels],
    };
    let steps = steps(options, element, channels, size, resize, order)?;
    check_held(&steps, element)?;
    Ok(Transform { element, shape, layout: target.layout, geometry: Some(geometry), image: Some(steps) })
}

/// Reads a shape as that of an image.
fn target(options: &Preprocessing, shape: &[Option<usize>]) -> Resolved<Target> {
    let open = Target { layout: None, channels: None, height: None, width: None, flat: None };
    match *shape {
        [total] => Ok(Target { flat: total, ..open }),
        [height, width] => match options.layout {
            None => Ok(Target { channels: Some(1), height, width, ..open }),
            Some(layout) => Err(DataError::preprocessing(
                format!("the model's input {} has no channel axis, but --layout says {layout}", show(shape)),
                "leave out --layout",
            )),
        },
        [first, second, third] => match layout(options, shape)? {
            layout @ InputLayout::Nchw => {
                Ok(Target { layout: Some(layout), channels: first, height: second, width: third, flat: None })
            }
            layout @ InputLayout::Nhwc => {
                Ok(Target { layout: Some(layout), channels: third, height: first, width: second, flat: None })
            }
        },
        _ => Err(DataError::preprocessing(
            format!("the model's input {} is no image, but the data holds images", show(shape)),
            "give data that fits it, as npz:FILE with a float array `x`",
        )),
    }
}

/// The layout of an input of three axes.
fn layout(options: &Preprocessing, shape: &[Option<usize>]) -> Resolved<InputLayout> {
    let plausible = |extent: Option<&Option<usize>>| matches!(extent, Some(None | Some(1 | 3)));
    let (first, last) = (shape.first(), shape.last());
    if let Some(layout) = options.layout {
        let axis = if layout == InputLayout::Nchw { first } else { last };
        return if plausible(axis) {
            Ok(layout)
        } else {
            Err(DataError::preprocessing(
                format!("--layout {layout} does not fit the model's input {}: that axis is not 1 or 3", show(shape)),
                "leave out --layout, or name the other one",
            ))
        };
    }
    let certain = |extent: Option<&Option<usize>>| matches!(extent, Some(Some(1 | 3)));
    match (plausible(first), plausible(last)) {
        (true, false) => Ok(InputLayout::Nchw),
        (false, true) => Ok(InputLayout::Nhwc),
        (true, true) if certain(first) && !certain(last) => Ok(InputLayout::Nchw),
        (true, true) if certain(last) && !certain(first) => Ok(InputLayout::Nhwc),
        (true, true) => Err(DataError::preprocessing(
            format!("the model's input {} does not tell which axis is the channels", show(shape)),
            "say it with --layout nchw or --layout nhwc",
        )),
        (false, false) => Err(DataError::preprocessing(
            format!("the model's input {} has no axis of 1 or 3 channels, but the data holds images", show(shape)),
            "give data that fits it, as npz:FILE with a float array `x`",
        )),
    }
}

fn channels(options: &Preprocessing, target: Target, example: &DynamicImage) -> Resolved<Channels> {
    let coloured = if example.color().has_color() { Channels::Rgb } else { Channels::Gray };
    match (target.channels, options.channels) {
        (Some(count), Some(channels)) if channels.count() != count => Err(DataError::preprocessing(
            format!(
                "the model takes {count} channel(s), but --channels says {channels}, which is {}",
                channels.count()
            ),
            if count == 1 { "use --channels gray" } else { "use --channels rgb or bgr" },
        )),
        (_, Some(channels)) => Ok(channels),
        (Some(1), None) => Ok(Channels::Gray),
        (Some(_), None) => Ok(Channels::Rgb),
        (None, None) => Ok(coloured),
    }
}

fn native(example: &DynamicImage) -> ImageSize {
    ImageSize { height: example.height(), width: example.width() }
}

fn size(options: &Preprocessing, target: Target, example: &DynamicImage) -> Resolved<ImageSize> {
    let from_resize = match options.resize {
        Some(Resize::Exact(size)) => Some(size),
        Some(Resize::Shorter(side)) => Some(ImageSize { height: side, width: side }),
        _ => None,
    };
    let open = options.size.or(options.usual_size).or(from_resize).unwrap_or_else(|| native(example));
    let settle = |fixed: Option<usize>, asked: Option<u32>, open: u32, axis: &str| match (fixed, asked) {
        (Some(fixed), Some(asked)) if fixed != asked as usize => Err(DataError::preprocessing(
            format!("the model fixes the {axis} of its input to {fixed}, but --size says {asked}"),
            "leave out --size",
        )),
        (Some(fixed), _) => u32::try_from(fixed).ok().filter(|fixed| *fixed > 0).ok_or_else(|| {
            DataError::preprocessing(format!("the model fixes the {axis} of its input to {fixed}"), "use another model")
        }),
        (None, _) => Ok(open),
    };
    let asked = options.size;
    Ok(ImageSize {
        height: settle(target.height, asked.map(|size| size.height), open.height, "height")?,
        width: settle(target.width, asked.map(|size| size.width), open.width, "width")?,
    })
}

/// The size of images that are flattened into `total` values.
fn size_of_flat(
    options: &Preprocessing,
    total: usize,
    channels: Channels,
    example: &DynamicImage,
) -> Resolved<ImageSize> {
    let fits = |size: &ImageSize| {
        let pixels = u64::from(size.height).checked_mul(u64::from(size.width));
        pixels.and_then(|pixels| pixels.checked_mul(channels.count() as u64)) == Some(total as u64)
    };
    let asked = options.size.map(|size| vec![size]);
    let candidates =
        asked.unwrap_or_else(|| [Some(native(example)), options.usual_size].into_iter().flatten().collect());
    candidates.iter().copied().find(fits).ok_or_else(|| {
        let sizes = candidates.first().map_or_else(String::new, ToString::to_string);
        DataError::preprocessing(
            format!(
                "the model takes {total} values, but images of {sizes} with channels {channels} do not give as many"
            ),
            "say with --size and --channels which images it takes",
        )
    })
}

fn resize(options: &Preprocessing, size: ImageSize) -> Resolved<Resize> {
    let resize = options.resize.unwrap_or(Resize::TO_SIZE);
    let too_small = match resize {
        Resize::Shorter(length) => length < size.height.min(size.width),
        Resize::Exact(exact) => exact.height < size.height || exact.width < size.width,
        Resize::None | Resize::Cover { .. } => false,
    };
    if too_small {
        return Err(DataError::preprocessing(
            format!("--resize {resize} is smaller than the {size} that the model takes"),
            "use a larger --resize, or leave it out",
        ));
    }
    Ok(resize)
}

/// Integers and booleans take pixels as they are, so their scale is 1 where none is given.
fn steps(
    options: &Preprocessing,
    element: ElementType,
    channels: Channels,
    size: ImageSize,
    resize: Resize,
    order: InputLayout,
) -> Resolved<ImageSteps> {
    let scale = options.scale.unwrap_or(if element.is_float() { pixels::BYTE_SCALE } else { 1.0 });
    let mean = per_channel("mean", options.mean.as_deref(), 0.0, channels)?;
    let std = per_channel("std", options.std.as_deref(), 1.0, channels)?;
    let tables: Vec<_> = mean.iter().zip(&std).map(|(mean, std)| pixels::table(scale, *mean, *std)).collect();
    if tables.iter().flatten().any(|value| !value.is_finite()) {
        return Err(DataError::preprocessing(
            format!("scale {scale}, mean {mean:?} and std {std:?} make pixels infinite or undefined"),
            "give finite --scale and --mean, and a --std that is not 0",
        ));
    }
    let interpolation = options.interpolation.unwrap_or_default();
    Ok(ImageSteps { size, resize, interpolation, channels, scale, mean, std, tables, order })
}

/// Refuses pixels that the model's type would round or cut off.
fn check_held(steps: &ImageSteps, element: ElementType) -> Resolved<()> {
    match steps.tables.iter().flatten().find(|value| !holds(element, **value)) {
        None => Ok(()),
        Some(value) => Err(DataError::preprocessing(
            format!("preprocessing makes pixels such as {value}, and the model takes {element}"),
            "leave out --scale, --mean and --std: it is fed the pixels as they are, 0 to 255",
        )),
    }
}

fn per_channel(name: &str, values: Option<&[f32]>, default: f32, channels: Channels) -> Resolved<Vec<f32>> {
    let count = channels.count();
    match values {
        None => Ok(vec![default; count]),
        Some([value]) => Ok(vec![*value; count]),
        Some(values) if values.len() == count => Ok(values.to_vec()),
        Some(values) => Err(DataError::preprocessing(
            format!("the {name} has {} values, but the model takes {count} channel(s) ({channels})", values.len()),
            if count == 1 { format!("give --{name} one value") } else { format!("give --{name} 1 value, or {count}") },
        )),
    }
}

/// A transform for values that need no preprocessing.
pub(super) fn for_values(
    options: &Preprocessing,
    element: ElementType,
    model: &[Option<usize>],
    example: &[usize],
) -> Resolved<Transform> {
    refuse_image_options(options, "float")?;
    let shape = shape_of_values(model, example)?;
    let as_image = |shape: &[usize]| layout_of_values(options, shape).and_then(|layout| geometry(layout, shape));
    // Values that the model takes flattened are still an image where the data stores them as one.
    let geometry = as_image(&shape).or_else(|| as_image(example));
    let layout = layout_of_values(options, &shape);
    Ok(Transform { element, shape, layout, geometry, image: None })
}

/// A transform for whole numbers, which only an input of whole numbers takes: a float one would hardly have been
/// trained on pixels or ids that nothing scales.
pub(super) fn for_integers(
    options: &Preprocessing,
    element: ElementType,
    model: &[Option<usize>],
    example: &[usize],
) -> Resolved<Transform> {
    if element.is_float() {
        return Err(DataError::preprocessing(
            format!("the samples are integers of shape {example:?}, and the model takes {element}"),
            "store images as uint8 of shape (N,H,W), (N,H,W,C) or (N,C,H,W), or values that are already preprocessed \
             as float32",
        ));
    }
    refuse_image_options(options, "integer")?;
    let shape = shape_of_values(model, example)?;
    Ok(Transform { element, shape, layout: None, geometry: None, image: None })
}

/// The shape in which the model takes values of shape `example`.
fn shape_of_values(model: &[Option<usize>], example: &[usize]) -> Resolved<Vec<usize>> {
    let fits = model.len() == example.len()
        && model.iter().zip(example).all(|(fixed, extent)| fixed.is_none_or(|fixed| fixed == *extent));
    let fixed: Option<Vec<usize>> = model.iter().copied().collect();
    let shape = if fits {
        example.to_vec()
    } else {
        fixed.filter(|fixed| same_values(example, fixed)).ok_or_else(|| {
            DataError::preprocessing(
                format!("the samples have shape {example:?}, but the model takes {}", show(model)),
                "store them in the model's shape (numpy: x.transpose(...), x.reshape(...))",
            )
        })?
    };
    if shape.contains(&0) {
        return Err(DataError::preprocessing("the samples hold no values", "give samples with at least one value"));
    }
    Ok(shape)
}

fn refuse_image_options(options: &Preprocessing, kind: &str) -> Resolved<()> {
    let given = [
        ("--size", options.size.is_some()),
        ("--resize", options.resize.is_some()),
        ("--interpolation", options.interpolation.is_some()),
        ("--mean", options.mean.is_some()),
        ("--std", options.std.is_some()),
        ("--scale", options.scale.is_some()),
        ("--channels", options.channels.is_some()),
    ];
    match given.iter().find(|(_, given)| *given) {
        None => Ok(()),
        Some((option, _)) => Err(DataError::preprocessing(
            format!("the samples are {kind} arrays, which are taken as already preprocessed, but {option} is given"),
            format!("leave out {option}, or store the images as uint8"),
        )),
    }
}

/// Values of three axes are an image where --layout says so, or where one of the outer axes can only be the channels.
fn layout_of_values(options: &Preprocessing, shape: &[usize]) -> Option<InputLayout> {
    let channels = |extent: usize| matches!(extent, 1 | 3);
    match (shape, options.layout) {
        ([_, _, _], Some(layout)) => Some(layout),
        (&[first, _, last], None) => match (channels(first), channels(last)) {
            (true, false) => Some(InputLayout::Nchw),
            (false, true) => Some(InputLayout::Nhwc),
            _ => None,
        },
        _ => None,
    }
}

fn geometry(layout: InputLayout, shape: &[usize]) -> Option<Geometry> {
    match (layout, shape) {
        (InputLayout::Nchw, &[channels, height, width]) | (InputLayout::Nhwc, &[height, width, channels]) => {
            Some(Geometry { layout, channels, height, width })
        }
        _ => None,
    }
}

/// Whether values of shape `from` are, in the same order, values of shape `to`: the shapes differ in axes of extent 1
/// only, or one of them is a plain vector. Anything else, as channels first and last, would mix up the values.
pub(super) fn same_values(from: &[usize], to: &[usize]) -> bool {
    let squeeze = |shape: &[usize]| shape.iter().copied().filter(|extent| *extent != 1).collect::<Vec<_>>();
    let count = |shape: &[usize]| shape.iter().try_fold(1_usize, |product, extent| product.checked_mul(*extent));
    let (left, right) = (squeeze(from), squeeze(to));
    left == right || (left.len().min(right.len()) <= 1 && count(from).is_some() && count(from) == count(to))
}

/// A shape for messages, with `?` for what is open.
fn show(shape: &[Option<usize>]) -> String {
    let mut text = String::from("[N");
    for extent in shape {
        // Writing to a string cannot fail.
        let _ = match extent {
            Some(extent) => write!(text, ",{extent}"),
            None => write!(text, ",?"),
        };
    }
    text + "]"
}
