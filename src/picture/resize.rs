//! One way to change a picture's size, with Pillow's filters.

use std::borrow::Cow;

use bytemuck::{cast_slice, cast_slice_mut};
use fast_image_resize::images::{TypedImage, TypedImageRef};
use fast_image_resize::pixels::{F32, F32x3};
use fast_image_resize::{FilterType, PixelTrait, ResizeAlg, ResizeOptions, Resizer};

use super::Picture;
use super::preprocess::Filter;

/// `picture` at `width` x `height` (at least 1 x 1 each), clamped to `0..=1`: bicubic and Lanczos overshoot.
///
/// `antialias` widens the filter when shrinking; without it the filter looks at its nearest source pixels only.
/// An 8-bit picture is rounded to 8 bits after its width and again after its height is changed, as Pillow does; where
/// Pillow 13 changes the height first (some high pictures), up to a fifth of the values differ by 1/255.
pub(super) fn resize(
    picture: &Picture,
    width: usize,
    height: usize,
    filter: Filter,
    antialias: bool,
) -> Cow<'_, Picture> {
    let kernel = match filter {
        Filter::Nearest | Filter::Bilinear => FilterType::Bilinear,
        Filter::Bicubic => FilterType::CatmullRom,
        Filter::Lanczos => FilterType::Lanczos3,
    };
    let algorithm = match (filter, antialias) {
        (Filter::Nearest, _) => ResizeAlg::Nearest,
        (_, true) => ResizeAlg::Convolution(kernel),
        (_, false) => ResizeAlg::Interpolation(kernel),
    };
    let mut resized = Cow::Borrowed(picture);
    let steps: &[[usize; 2]] =
        if picture.eight_bit { &[[width, picture.height], [width, height]] } else { &[[width, height]] };
    for &[width, height] in steps {
        if [width, height] != [resized.width, resized.height] {
            resized = Cow::Owned(step(&resized, width, height, algorithm));
        }
    }
    resized
}

fn step(picture: &Picture, width: usize, height: usize, algorithm: ResizeAlg) -> Picture {
    let mut data = match picture.channels {
        1 => pixels::<F32>(picture, width, height, algorithm),
        _ => pixels::<F32x3>(picture, width, height, algorithm),
    };
    for value in &mut data {
        let clamped = value.clamp(0.0, 1.0);
        *value = if picture.eight_bit { (clamped * 255.0).round() / 255.0 } else { clamped };
    }
    Picture { width, height, data, ..*picture }
}

/// The values of the picture at another size, for pixels of type `P`: the library compiles a copy for every type it is asked for.
fn pixels<P: PixelTrait>(picture: &Picture, width: usize, height: usize, algorithm: ResizeAlg) -> Vec<f32> {
    const WHOLE: &str = "whole, aligned pixels";
    let mut data = vec![0.0f32; width * height * picture.channels];
    let [[w, h], [to_w, to_h]] = [[picture.width, picture.height], [width, height]].map(|size| size.map(|n| n as u32));
    let from = TypedImageRef::<P>::from_buffer(w, h, cast_slice(&picture.data)).expect(WHOLE);
    let mut to = TypedImage::<P>::from_buffer(to_w, to_h, cast_slice_mut(&mut data)).expect(WHOLE);
    let options = ResizeOptions::new().resize_alg(algorithm).use_alpha(false);
    Resizer::new().resize_typed(&from, &mut to, &options).expect("the whole picture is no crop");
    data
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::{Path, PathBuf};

    fn fixture(name: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/picture").join(name)
    }

    /// The largest difference in steps of 1/255, and the share of values that differ at all.
    fn difference(a: &Picture, b: &Picture) -> (f32, f32) {
        assert_eq!((a.width, a.height, a.channels), (b.width, b.height, b.channels));
        let steps: Vec<f32> = a.data.iter().zip(&b.data).map(|(a, b)| ((a - b) * 255.0).abs()).collect();
        let differing = steps.iter().filter(|d| **d > 0.01).count() as f32 / steps.len() as f32;
        (steps.into_iter().fold(0.0, f32::max), differing)
    }

    #[test]
    fn eight_bit_pictures_are_resized_as_by_pillow() {
        let filters = [
            ("nearest", Filter::Nearest),
            ("bilinear", Filter::Bilinear),
            ("bicubic", Filter::Bicubic),
            ("lanczos", Filter::Lanczos),
        ];
        for kind in ["colour", "grey"] {
            let source = Picture::open(&fixture(&format!("{kind}.png"))).unwrap();
            for (name, filter) in filters {
                for (width, height) in [(17, 11), (71, 64)] {
                    let case = format!("{kind}-{name}-{width}x{height}.png");
                    let want = Picture::open(&fixture(&case)).unwrap();
                    let (largest, differing) = difference(&resize(&source, width, height, filter, true), &want);
                    assert!(largest < 1.01 && differing < 0.02, "{case}: {largest} steps, {differing} differ");
                }
            }
        }
    }

    #[test]
    fn grey_is_pillows_grey() {
        let colour = Picture::open(&fixture("colour.png")).unwrap();
        let grey = colour.to_grey();
        let want = Picture::open(&fixture("colour-as-grey.png")).unwrap();
        let (largest, differing) = difference(&grey, &want);
        assert!(largest < 1.01 && differing < 0.01, "{largest} steps, {differing} differ");
    }

    #[test]
    fn finer_pictures_are_not_rounded() {
        let eight = Picture::open(&fixture("grey.png")).unwrap();
        let fine = Picture { eight_bit: false, ..eight.clone() };
        let [rounded, exact] = [&eight, &fine].map(|p| resize(p, 17, 11, Filter::Bilinear, true));
        let (largest, differing) = difference(&rounded, &exact);
        assert!(largest <= 1.0 && differing > 0.5, "{largest} steps, {differing} differ");
    }

    #[test]
    fn without_antialiasing_the_filter_stays_narrow() {
        let stripes = Picture {
            width: 8,
            height: 1,
            channels: 1,
            eight_bit: false,
            data: vec![0.0, 1.0, 1.0, 0.0, 0.0, 1.0, 1.0, 0.0],
        };
        assert_eq!(resize(&stripes, 2, 1, Filter::Bilinear, false).data, [1.0, 1.0]);
        assert!(resize(&stripes, 2, 1, Filter::Bilinear, true).data.iter().all(|v| (v - 0.5).abs() < 0.2));
    }
}
