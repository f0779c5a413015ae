//! Resizing against values that Pillow 13 computed: `Image.fromarray(pattern).resize((WIDTH, HEIGHT), FILTER)`.

use super::super::Resize;
use super::*;

fn size(height: u32, width: u32) -> ImageSize {
    ImageSize { height, width }
}

fn pattern(height: u32, width: u32, channels: usize) -> Raster {
    let bytes = (0..height as usize * width as usize * channels).map(|i| ((i * 37 + i * i * 11) % 251) as u8).collect();
    Raster { bytes, height, width, channels }
}

fn resized(image: Raster, to: ImageSize, interpolation: Interpolation) -> Vec<u8> {
    let plan = Plan::new(size(image.height, image.width), to, Resize::Exact(to)).unwrap();
    resample(image, plan, interpolation).unwrap().bytes
}

#[test]
fn bilinear_is_pillows_to_one_step() {
    let expected = [48, 136, 183, 187, 86, 135, 116, 125, 157, 111, 152, 95];
    let ours = resized(pattern(5, 6, 1), size(3, 4), Interpolation::Bilinear);
    assert!(ours.iter().zip(expected).all(|(ours, expected)| ours.abs_diff(expected) <= 1), "{ours:?}");
}

#[test]
fn bicubic_is_pillows_to_the_last_bit() {
    let smaller = resized(pattern(5, 6, 1), size(3, 4), Interpolation::Bicubic);
    assert_eq!(smaller, [38, 137, 190, 188, 85, 142, 112, 129, 160, 102, 157, 87]);
    let larger = resized(pattern(5, 6, 1), size(8, 9), Interpolation::Bicubic);
    assert_eq!(larger[..18], [0, 14, 57, 97, 172, 195, 74, 131, 217, 53, 40, 60, 155, 212, 215, 139, 178, 234]);
    assert_eq!(larger[63..], [207, 101, 10, 93, 193, 236, 144, 64, 18]);
}

#[test]
fn a_height_that_shrinks_while_the_width_grows_is_done_first() {
    let (from, to) = (size(4, 5), size(3, 7));
    assert!(vertical_first(from, to) && !vertical_first(to, from) && !vertical_first(size(375, 500), size(256, 341)));
    let ours = resized(pattern(4, 5, 3), to, Interpolation::Bicubic);
    assert_eq!(
        ours[..21],
        [0, 69, 88, 127, 85, 140, 204, 84, 197, 118, 62, 217, 202, 146, 209, 164, 141, 167, 71, 89, 125]
    );
    assert_eq!(
        ours[42..],
        [143, 142, 179, 80, 138, 211, 46, 108, 239, 97, 59, 232, 147, 104, 199, 172, 167, 127, 175, 211, 65]
    );
}

#[test]
fn a_window_is_cut_out_of_the_whole() {
    for (from, to) in [(size(40, 31), size(17, 13)), (size(9, 12), size(25, 33)), (size(30, 20), size(20, 30))] {
        for interpolation in [Interpolation::Bilinear, Interpolation::Bicubic] {
            for channels in [1, 3] {
                let whole = resized(pattern(from.height, from.width, channels), to, interpolation);
                let window = size(to.height - 5, to.width - 6);
                let plan = Plan { from, resized: to, top: 2, left: 3, size: window };
                let part = resample(pattern(from.height, from.width, channels), plan, interpolation).unwrap().bytes;
                let row = window.width as usize * channels;
                for (y, line) in part.chunks_exact(row).enumerate() {
                    let start = ((y + 2) * to.width as usize + 3) * channels;
                    let largest = line.iter().zip(&whole[start..]).map(|(part, whole)| part.abs_diff(*whole)).max();
                    // fast_image_resize rounds the weights of a window by the largest of them.
                    let allowed = u8::from(interpolation == Interpolation::Bilinear);
                    assert!(largest <= Some(allowed), "{from} to {to}, {interpolation}, row {y}: {largest:?}");
                }
            }
        }
    }
}

#[test]
fn an_axis_that_keeps_its_length_keeps_its_values() {
    for interpolation in [Interpolation::Bilinear, Interpolation::Bicubic] {
        let gray = Raster { bytes: vec![7, 7, 200, 200, 90, 90], height: 3, width: 2, channels: 1 };
        assert_eq!(resized(gray, size(3, 1), interpolation), [7, 200, 90]);
        let whole = pattern(6, 8, 3);
        let bytes = whole.bytes.clone();
        assert_eq!(resized(whole, size(6, 8), interpolation), bytes);
    }
}

#[test]
fn extreme_sizes_are_resized_too() {
    for interpolation in [Interpolation::Bilinear, Interpolation::Bicubic] {
        for (from, to) in [(size(1, 1), size(9, 7)), (size(900, 1), size(1, 5)), (size(3, 2000), size(200, 1))] {
            let image = Raster {
                bytes: vec![77; (from.height * from.width) as usize],
                height: from.height,
                width: from.width,
                channels: 1,
            };
            assert!(resized(image, to, interpolation).iter().all(|byte| *byte == 77), "{from} to {to}");
        }
    }
}
