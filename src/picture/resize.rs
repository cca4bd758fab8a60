//! One way to change a picture's size, with Pillow's filters.

use bytemuck::{cast_slice, cast_slice_mut};
use fast_image_resize::images::{Image, ImageRef};
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer};

use super::Picture;
use super::preprocess::Filter;

/// `picture` at `width` x `height` (at least 1 x 1 each), clamped to `0..=1`: bicubic and Lanczos overshoot, and Pillow clips them too.
///
/// `antialias` widens the filter when shrinking; without it the filter looks at its nearest source pixels only.
pub(super) fn resize(picture: &Picture, width: usize, height: usize, filter: Filter, antialias: bool) -> Picture {
    if (width, height) == (picture.width, picture.height) {
        return picture.clone();
    }
    let pixel = if picture.channels == 1 { PixelType::F32 } else { PixelType::F32x3 };
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
    let mut data = vec![0.0f32; width * height * picture.channels];
    {
        let from = ImageRef::new(picture.width as u32, picture.height as u32, cast_slice(&picture.data), pixel)
            .expect("whole pixels");
        let mut to =
            Image::from_slice_u8(width as u32, height as u32, cast_slice_mut(&mut data), pixel).expect("whole pixels");
        let options = ResizeOptions::new().resize_alg(algorithm).use_alpha(false);
        Resizer::new().resize(&from, &mut to, &options).expect("both sides have one pixel type");
    }
    data.iter_mut().for_each(|v| *v = v.clamp(0.0, 1.0));
    Picture { width, height, channels: picture.channels, data }
}
