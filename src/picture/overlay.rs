//! A map laid over the picture it explains, with its colour bar and caption.

use image::{Rgb, RgbImage, imageops};

use super::bar::Bar;
use super::text::{Block, FAINT, INK, PAPER, mix};
use super::{Colormap, Picture, PictureError, Placement, Scale};
use crate::tensor::Tensor;

/// The short side that small pictures are magnified to, in whole steps.
const READABLE: usize = 224;
/// Magnifying stops before the long side passes this.
const LONGEST_MAGNIFIED: usize = 4096;
/// How much darker the picture is where the model did not look.
const DIMMED: f32 = 0.4;

/// How values become colours over a picture.
#[derive(Clone, Copy, Debug)]
pub struct Paint {
    pub colormap: Colormap,
    pub scale: Scale,
    /// Opacity of the strongest value, `0..=1`; weaker ones are in proportion.
    pub alpha: f32,
}

/// The text of a picture, such as method and class above, logit and file below.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Caption {
    pub title: String,
    pub subtitle: String,
}

/// `map`, `[H, W]` at the resolution of the model input, over `original` at the resolution of the original.
///
/// The map is interpolated bilinearly over `placement`; outside of it the picture is only dimmed. Weak heat lets the
/// picture through. The colour bar stands to the right and the caption above, in added margins. Pictures with a short
/// side of less than 224 pixels are magnified by a whole factor.
///
/// # Errors
/// A map of another rank than 2, or an empty one.
pub fn overlay(
    original: &Picture,
    map: &Tensor,
    placement: &Placement,
    paint: &Paint,
    caption: &Caption,
) -> Result<RgbImage, PictureError> {
    let picture = blend(original, map, placement, paint, magnification(original))?;
    let (width, height) = picture.dimensions();
    let size = (width.min(height) as f32 / 26.0).max(13.0);
    let margin = size as u32;
    let bar = Bar::new(paint.colormap, paint.scale, height, size);

    let inner = (width + margin + bar.width()).max((18.0 * size) as u32);
    let title = Block::fit(&caption.title, 1.15 * size, inner as f32, INK);
    let subtitle = Block::fit(&caption.subtitle, size, inner as f32, FAINT);
    let text_height = title.height() + subtitle.height();
    let head = margin / 2 + if text_height > 0 { text_height + margin / 2 } else { margin / 2 };

    let mut canvas = RgbImage::from_pixel(inner + 2 * margin, head + height + margin, PAPER);
    title.draw(&mut canvas, margin, margin / 2);
    subtitle.draw(&mut canvas, margin, margin / 2 + title.height());
    imageops::replace(&mut canvas, &picture, i64::from(margin), i64::from(head));
    bar.draw(&mut canvas, margin + width + margin, head);
    Ok(canvas)
}

/// The whole factor that makes a small picture readable.
pub(super) fn magnification(original: &Picture) -> usize {
    let (short, long) = (original.width.min(original.height).max(1), original.width.max(original.height).max(1));
    READABLE.div_ceil(short).min(LONGEST_MAGNIFIED / long).max(1)
}

/// `original` magnified by `factor`, with the map over it.
pub(super) fn blend(
    original: &Picture,
    map: &Tensor,
    placement: &Placement,
    paint: &Paint,
    factor: usize,
) -> Result<RgbImage, PictureError> {
    let (map_height, map_width) = match map.shape.as_slice() {
        &[h, w] if h > 0 && w > 0 => (h, w),
        _ => return Err(PictureError::Shape { what: "map", want: "[H, W]", got: map.shape.clone() }),
    };
    let mut picture = magnified(&original.to_image(), factor as u32);
    let columns = taps(picture.width(), factor, placement.x, placement.width, map_width);
    let rows = taps(picture.height(), factor, placement.y, placement.height, map_height);
    for (y, row) in rows.iter().enumerate() {
        for (x, column) in columns.iter().enumerate() {
            let pixel = picture.get_pixel_mut(x as u32, y as u32);
            let (Some(row), Some(column)) = (row, column) else {
                mix(pixel, Rgb([0; 3]), DIMMED);
                continue;
            };
            let along = |line: usize| {
                let line = &map.data[line * map_width..(line + 1) * map_width];
                line[column.low] * (1.0 - column.part) + line[column.high] * column.part
            };
            let value = along(row.low) * (1.0 - row.part) + along(row.high) * row.part;
            let colour = Rgb(paint.colormap.paint(paint.scale, value));
            mix(pixel, colour, paint.alpha * paint.scale.strength(value));
        }
    }
    Ok(picture)
}

/// Two neighbours in the map and how far the point lies towards the second.
struct Tap {
    low: usize,
    high: usize,
    part: f32,
}

/// For each of `pixels` magnified pixels: where its centre lies in a map of `n` cells over `start..start + length`.
fn taps(pixels: u32, factor: usize, start: f32, length: f32, n: usize) -> Vec<Option<Tap>> {
    let tap = |i: u32| {
        let share = ((i as f32 + 0.5) / factor as f32 - start) / length;
        (0.0..=1.0).contains(&share).then(|| {
            let at = (share * n as f32 - 0.5).clamp(0.0, (n - 1) as f32);
            let low = at as usize;
            Tap { low, high: (low + 1).min(n - 1), part: at - low as f32 }
        })
    };
    (0..pixels).map(tap).collect()
}

fn magnified(image: &RgbImage, factor: u32) -> RgbImage {
    RgbImage::from_fn(image.width() * factor, image.height() * factor, |x, y| *image.get_pixel(x / factor, y / factor))
}
