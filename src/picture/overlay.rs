//! A map laid over the picture it explains, with its colour bar and caption.

use image::{RgbImage, imageops};

use super::bar::Bar;
use super::text::{Block, FAINT, INK, PAPER, mix};
use super::{Colormap, Picture, PictureError, Placement, Scale};
use crate::tensor::Tensor;

/// The short side that small pictures are magnified to, in whole steps.
const READABLE: usize = 224;
/// Magnifying stops before the long side passes this.
const LONGEST_MAGNIFIED: usize = 4096;
/// How much darker the picture is where the model did not look.
pub(crate) const DIMMED: f32 = 0.4;

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
    Ok(framed(&picture, paint, caption))
}

/// A picture with a map over it: the colour bar to the right and the caption above, in added margins.
pub(crate) fn framed(picture: &RgbImage, paint: &Paint, caption: &Caption) -> RgbImage {
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
    imageops::replace(&mut canvas, picture, i64::from(margin), i64::from(head));
    bar.draw(&mut canvas, margin + width + margin, head);
    canvas
}

/// The whole factor that makes a small picture readable.
pub(crate) fn magnification(original: &Picture) -> usize {
    let (short, long) = (original.width.min(original.height).max(1), original.width.max(original.height).max(1));
    READABLE.div_ceil(short).min(LONGEST_MAGNIFIED / long).max(1)
}

/// `original` magnified by `factor`, with the map over it; what the kernel `overlay` does on a device, bit for bit.
pub(crate) fn blend(
    original: &Picture,
    map: &Tensor,
    placement: &Placement,
    paint: &Paint,
    factor: usize,
) -> Result<RgbImage, PictureError> {
    let [map_height, map_width] = plane_size(map)?;
    let mut picture = magnified(&original.to_image(), factor);
    let columns = taps(picture.width(), factor, placement.x, placement.width, map_width);
    let rows = taps(picture.height(), factor, placement.y, placement.height, map_height);
    let palette = paint.colormap.palette();
    for (y, row) in rows.iter().enumerate() {
        for (x, column) in columns.iter().enumerate() {
            let pixel = picture.get_pixel_mut(x as u32, y as u32);
            let (Some(row), Some(column)) = (row, column) else {
                mix(pixel, [0.0; 3], DIMMED);
                continue;
            };
            let value = between(map, map_width, row, column);
            let colour = palette.at(paint.scale.position(value).unwrap_or(0.0));
            mix(pixel, colour, paint.alpha * paint.scale.strength(value));
        }
    }
    Ok(picture)
}

/// `map`, `[H, W]`, laid out on the `height` x `width` pixels of the original, zero outside of `placement`.
///
/// Values are interpolated bilinearly as in [`overlay`], never rescaled.
///
/// # Errors
/// A map of another rank than 2, or an empty one.
pub fn spread(map: &Tensor, placement: &Placement, height: usize, width: usize) -> Result<Tensor, PictureError> {
    let [map_height, map_width] = plane_size(map)?;
    let columns = taps(width as u32, 1, placement.x, placement.width, map_width);
    let rows = taps(height as u32, 1, placement.y, placement.height, map_height);
    let value = |row: &Option<Tap>, column: &Option<Tap>| match (row, column) {
        (Some(row), Some(column)) => between(map, map_width, row, column),
        _ => 0.0,
    };
    let data = rows.iter().flat_map(|row| columns.iter().map(|column| value(row, column))).collect();
    Ok(Tensor::new(&[height, width], data))
}

/// Height and width of a map that can be drawn.
fn plane_size(map: &Tensor) -> Result<[usize; 2], PictureError> {
    match map.shape.as_slice() {
        &[h, w] if h > 0 && w > 0 => Ok([h, w]),
        _ => Err(PictureError::Shape { what: "map", want: "[H, W]", got: map.shape.clone() }),
    }
}

/// The map between four cells.
fn between(map: &Tensor, map_width: usize, row: &Tap, column: &Tap) -> f32 {
    let along = |line: usize| {
        let line = &map.data[line * map_width..(line + 1) * map_width];
        line[column.low] * (1.0 - column.part) + line[column.high] * column.part
    };
    along(row.low) * (1.0 - row.part) + along(row.high) * row.part
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

/// Every pixel as `factor` x `factor` pixels.
pub(super) fn magnified(image: &RgbImage, factor: usize) -> RgbImage {
    let factor = factor as u32;
    RgbImage::from_fn(image.width() * factor, image.height() * factor, |x, y| *image.get_pixel(x / factor, y / factor))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::picture::Levels;

    fn grey(width: usize, height: usize) -> Picture {
        Picture { width, height, channels: 1, levels: Levels::Eight(vec![51; width * height]) }
    }

    fn paint(map: &Tensor, alpha: f32) -> Paint {
        Paint { colormap: Colormap::default_for(true), scale: Scale::signed(map), alpha }
    }

    fn caption() -> Caption {
        Caption { title: "LRP epsilon, a class with a name that is long".into(), subtitle: "logit 6.93".into() }
    }

    #[test]
    fn the_map_is_interpolated_about_its_cell_centres() {
        // Two cells over eight pixels: centres at 2 and 6, the edges clamp.
        let weight = |tap: &Option<Tap>| tap.as_ref().map(|t| t.low as f32 + t.part);
        let got: Vec<_> = taps(8, 1, 0.0, 8.0, 2).iter().map(weight).collect();
        assert_eq!(got, [0.0, 0.0, 0.125, 0.375, 0.625, 0.875, 1.0, 1.0].map(Some));
        // The same map over the middle half only.
        let got: Vec<_> = taps(8, 1, 2.0, 4.0, 2).iter().map(weight).collect();
        let inside = [0.0, 0.25, 0.75, 1.0].map(Some);
        assert_eq!((&got[..2], &got[2..6], &got[6..]), (&[None; 2][..], &inside[..], &[None; 2][..]));
        // Magnified: the same places, seen more closely.
        assert_eq!(weight(&taps(16, 2, 0.0, 8.0, 2)[7]), Some(0.4375));
        assert!(taps(5, 1, 0.0, 0.0, 3).iter().all(Option::is_none), "an empty placement covers nothing");
    }

    #[test]
    fn strong_heat_covers_and_weak_heat_does_not() {
        let map = Tensor::new(&[1, 3], vec![-4.0, 0.0, 4.0]);
        let picture = grey(900, 300);
        let blended = blend(&picture, &map, &Placement::whole(&picture), &paint(&map, 1.0), 1).unwrap();
        let colours = [0, 450, 899].map(|x| blended.get_pixel(x, 150).0);
        assert_eq!(colours[0], Colormap::default_for(true).at(0.0));
        assert!(colours[1].iter().all(|v| v.abs_diff(51) <= 1), "{:?}", colours[1]);
        assert_eq!(colours[2], Colormap::default_for(true).at(1.0));
        assert!(colours[0][2] > colours[0][0] && colours[2][0] > colours[2][2], "blue is negative, red positive");
    }

    #[test]
    fn outside_the_placement_the_picture_is_dimmed() {
        let (map, picture) = (Tensor::zeros(&[2, 2]), grey(300, 240));
        let placement = Placement { x: 100.0, y: 0.0, width: 100.0, height: 240.0 };
        let blended = blend(&picture, &map, &placement, &paint(&map, 1.0), 1).unwrap();
        assert_eq!(blended.get_pixel(150, 9).0, [51; 3]);
        assert_eq!(blended.get_pixel(99, 9).0, [31; 3]);
        assert_eq!(blended.get_pixel(200, 9).0, [31; 3]);
    }

    #[test]
    fn small_pictures_are_magnified_in_whole_steps() {
        for (width, height, want) in
            [(24, 24, 10), (1, 1, 224), (224, 224, 1), (223, 900, 2), (3, 3000, 1), (192, 48, 5)]
        {
            assert_eq!(magnification(&grey(width, height)), want, "{width} x {height}");
        }
    }

    #[test]
    fn nothing_reaches_the_edge() {
        for (width, height) in [(1, 1), (1, 700), (700, 1), (24, 24), (57, 131), (451, 300), (999, 640)] {
            for map in [Tensor::zeros(&[7, 7]), Tensor::new(&[1, 2], vec![-1.234e-30, 9.87e-31])] {
                let picture = grey(width, height);
                let placement = Placement::whole(&picture);
                let image = overlay(&picture, &map, &placement, &paint(&map, 0.8), &caption()).unwrap();
                let (right, bottom) = (image.width() - 1, image.height() - 1);
                for (x, y, p) in image.enumerate_pixels() {
                    let edge = x == 0 || y == 0 || x == right || y == bottom;
                    assert!(!edge || *p == PAPER, "{width} x {height}: ink at {x}, {y} of {right}, {bottom}");
                }
            }
        }
    }

    #[test]
    fn maps_must_be_planes() {
        for shape in [&[1, 2, 2][..], &[4], &[0, 3]] {
            let (picture, map) = (grey(3, 3), Tensor::zeros(shape));
            let result = overlay(&picture, &map, &Placement::whole(&picture), &paint(&map, 1.0), &caption());
            assert!(result.unwrap_err().to_string().contains("[H, W]"));
        }
    }
}
