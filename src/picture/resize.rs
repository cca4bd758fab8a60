//! One way to change a picture's size, with Pillow's filters.

use std::borrow::Cow;

use bytemuck::{cast_slice, cast_slice_mut};
use fast_image_resize::images::{TypedImage, TypedImageRef};
use fast_image_resize::pixels::{F32, F32x3};
use fast_image_resize::{FilterType, PixelTrait, ResizeAlg, ResizeOptions, Resizer};

use super::levels::{level, value};
use super::preprocess::Filter;
use super::{Levels, Picture};

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
    // The width alone first, where levels are rounded in between.
    let steps: &[[usize; 2]] = match picture.levels {
        Levels::Eight(_) => &[[width, picture.height], [width, height]],
        Levels::Fine(_) => &[[width, height]],
    };
    let mut resized = Cow::Borrowed(picture);
    for &[width, height] in steps {
        if [width, height] != [resized.width, resized.height] {
            resized = Cow::Owned(step(&resized, width, height, algorithm));
        }
    }
    resized
}

/// Rows that change their width together: few enough to stay in a cache, and a multiple of those that the library does at a time.
const BAND: usize = 64;

fn step(picture: &Picture, width: usize, height: usize, algorithm: ResizeAlg) -> Picture {
    let resize = match picture.channels {
        1 => pixels::<F32>,
        _ => pixels::<F32x3>,
    };
    let [pitch, to_pitch] = [picture.width, width].map(|width| width * picture.channels);
    let levels = match &picture.levels {
        Levels::Fine(values) => {
            let mut resized = vec![0.0; height * to_pitch];
            resize(values, &mut resized, [[picture.width, picture.height], [width, height]], algorithm);
            resized.iter_mut().for_each(|v| *v = v.clamp(0.0, 1.0));
            Levels::Fine(resized)
        }
        Levels::Eight(levels) => {
            // Rows that stay know nothing of each other.
            let [band, to_band] =
                if height == picture.height { [BAND.min(height); 2] } else { [picture.height, height] };
            let (mut values, mut resized) = (Vec::new(), vec![0.0; to_band * to_pitch]);
            let mut done = Vec::with_capacity(height * to_pitch);
            for from in levels.chunks(band * pitch) {
                let rows = from.len() / pitch;
                let to_rows = if rows == band { to_band } else { rows };
                values.clear();
                values.extend(from.iter().copied().map(value));
                let resized = &mut resized[..to_rows * to_pitch];
                resize(&values, resized, [[picture.width, rows], [width, to_rows]], algorithm);
                done.extend(resized.iter().copied().map(level));
            }
            Levels::Eight(done)
        }
    };
    Picture { width, height, channels: picture.channels, levels }
}

/// Values at another size, each width and height, for pixels of type `P`: the library compiles a copy for every type it is asked for.
fn pixels<P: PixelTrait>(from: &[f32], to: &mut [f32], sizes: [[usize; 2]; 2], algorithm: ResizeAlg) {
    const WHOLE: &str = "whole, aligned pixels";
    let [[w, h], [to_w, to_h]] = sizes.map(|size| size.map(|n| n as u32));
    let from = TypedImageRef::<P>::from_buffer(w, h, cast_slice(from)).expect(WHOLE);
    let mut to = TypedImage::<P>::from_buffer(to_w, to_h, cast_slice_mut(to)).expect(WHOLE);
    let options = ResizeOptions::new().resize_alg(algorithm).use_alpha(false);
    Resizer::new().resize_typed(&from, &mut to, &options).expect("the whole picture is no crop");
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
        let [a, b] = [a, b].map(|picture| picture.levels.values());
        let steps: Vec<f32> = a.iter().zip(&*b).map(|(a, b)| ((a - b) * 255.0).abs()).collect();
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
        let fine = Picture { levels: Levels::Fine(eight.levels.values().into_owned()), ..eight };
        let [rounded, exact] = [&eight, &fine].map(|p| resize(p, 17, 11, Filter::Bilinear, true));
        let (largest, differing) = difference(&rounded, &exact);
        assert!(largest <= 1.0 && differing > 0.5, "{largest} steps, {differing} differ");
    }

    #[test]
    fn bands_are_seamless() {
        let levels: Vec<u8> = (0..3 * 50 * 77u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        let picture = |rows: std::ops::Range<usize>| {
            let (height, levels) = (rows.len(), levels[rows.start * 150..rows.end * 150].to_vec());
            Picture { width: 50, height, channels: 3, levels: Levels::Eight(levels) }
        };
        for filter in [Filter::Nearest, Filter::Bilinear, Filter::Bicubic, Filter::Lanczos] {
            let Levels::Eight(whole) = resize(&picture(0..77), 33, 77, filter, true).into_owned().levels else {
                panic!("levels stay what they are")
            };
            for (y, row) in whole.chunks(99).enumerate() {
                assert_eq!(
                    resize(&picture(y..y + 1), 33, 1, filter, true).levels,
                    Levels::Eight(row.to_vec()),
                    "row {y}"
                );
            }
        }
    }

    #[test]
    fn without_antialiasing_the_filter_stays_narrow() {
        let levels = Levels::Fine(vec![0.0, 1.0, 1.0, 0.0, 0.0, 1.0, 1.0, 0.0]);
        let stripes = Picture { width: 8, height: 1, channels: 1, levels };
        let resized = |antialias| resize(&stripes, 2, 1, Filter::Bilinear, antialias).levels.values().into_owned();
        assert_eq!(resized(false), [1.0, 1.0]);
        assert!(resized(true).iter().all(|v| (v - 0.5).abs() < 0.2));
    }
}
