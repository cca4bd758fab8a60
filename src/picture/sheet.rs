//! The contact sheet: one picture, several maps, side by side.

use image::{RgbImage, imageops};

use super::bar::Bar;
use super::overlay::{Caption, Paint, blend, magnification, magnified};
use super::preprocess::Filter;
use super::resize::resize;
use super::text::{Block, FAINT, INK, PAPER};
use super::{Levels, Picture, PictureError, Placement};
use crate::tensor::Tensor;

const CELL: u32 = 320;
const GAP: u32 = 20;
const TEXT: f32 = 13.0;
/// Between caption and picture.
const SPACE: u32 = 6;
/// The highest a picture is shown.
const HIGHEST: f32 = 480.0;

/// One map of a sheet; see [`super::overlay()`].
#[derive(Clone, Debug)]
pub struct Panel<'a> {
    /// `[H, W]` at the resolution of the model input.
    pub map: &'a Tensor,
    pub placement: Placement,
    pub paint: Paint,
    pub caption: Caption,
}

/// The original and then each panel, in cells of one size, under a title line.
///
/// Panels show the picture in grey, so that every colour is heat. Every panel has its own colour bar: scales differ
/// between methods.
///
/// # Errors
/// A panel whose map has another rank than 2, or is empty.
pub fn sheet(title: &str, original: &Picture, panels: &[Panel]) -> Result<RgbImage, PictureError> {
    // Labels do not depend on the height of the bar once it has all its ticks.
    let bar_width = |p: &Panel| Bar::new(p.paint.colormap, p.paint.scale, HIGHEST as u32, TEXT).width();
    let bar_room = panels.iter().map(bar_width).max().map_or(0, |w| w + TEXT as u32);
    let [width, height] = shown_size(original, (CELL - bar_room.min(CELL / 2)) as f32);

    let captions: Vec<[Block; 2]> = std::iter::once(&Caption { title: "original".into(), subtitle: String::new() })
        .chain(panels.iter().map(|p| &p.caption))
        .map(|c| {
            let fit = |text: &str, size, ink| Block::fit(text, size, CELL as f32, ink);
            [fit(&c.title, 1.1 * TEXT, INK), fit(&c.subtitle, TEXT, FAINT)]
        })
        .collect();
    let caption_height = captions.iter().map(|[a, b]| a.height() + b.height()).max().unwrap_or(0) + SPACE;
    let cell_height = caption_height + height;

    let cells = captions.len() as u32;
    let columns = columns(cells);
    let sheet_width = columns * (CELL + GAP) + GAP;
    let heading = Block::fit(title, 20.0, (sheet_width - 2 * GAP) as f32, INK);
    let top = GAP + heading.height() + if heading.height() > 0 { GAP / 2 } else { 0 };
    let mut canvas = RgbImage::from_pixel(sheet_width, top + cells.div_ceil(columns) * (cell_height + GAP), PAPER);
    heading.draw(&mut canvas, GAP, GAP);

    let factor = magnification(original);
    let grey = original.to_grey();
    let plain = shrunk(&magnified(&original.to_image(), factor), [width, height]);
    for (i, [first, second]) in captions.iter().enumerate() {
        let (x, y) = (GAP + i as u32 % columns * (CELL + GAP), top + i as u32 / columns * (cell_height + GAP));
        let y = y + caption_height;
        let second_at = y - SPACE - second.height();
        second.draw(&mut canvas, x, second_at);
        first.draw(&mut canvas, x, second_at - first.height());
        let Some(panel) = i.checked_sub(1).map(|i| &panels[i]) else {
            imageops::replace(&mut canvas, &plain, i64::from(x), i64::from(y));
            continue;
        };
        let full = blend(&grey, panel.map, &panel.placement, &panel.paint, factor)?;
        imageops::replace(&mut canvas, &shrunk(&full, [width, height]), i64::from(x), i64::from(y));
        Bar::new(panel.paint.colormap, panel.paint.scale, height, TEXT).draw(&mut canvas, x + width + TEXT as u32, y);
    }
    Ok(canvas)
}

/// Sheets one under another, as wide as the widest.
pub fn stacked(sheets: &[RgbImage]) -> RgbImage {
    let width = sheets.iter().map(RgbImage::width).max().unwrap_or(1);
    let height = sheets.iter().map(RgbImage::height).sum::<u32>().max(1);
    let mut canvas = RgbImage::from_pixel(width, height, PAPER);
    let mut top = 0;
    for sheet in sheets {
        imageops::replace(&mut canvas, sheet, 0, top);
        top += i64::from(sheet.height());
    }
    canvas
}

/// Three or four columns, whichever leaves fewer cells empty.
fn columns(cells: u32) -> u32 {
    if cells <= 4 {
        return cells;
    }
    let empty = |columns: u32| cells.next_multiple_of(columns) - cells;
    if empty(3) < empty(4) { 3 } else { 4 }
}

/// Width and height in a cell: as wide as there is room, unless that is too high.
fn shown_size(original: &Picture, room: f32) -> [u32; 2] {
    let (width, height) = (original.width.max(1) as f32, original.height.max(1) as f32);
    let scale = (room / width).min(HIGHEST / height);
    [width * scale, height * scale].map(|n| (n.round() as u32).max(1))
}

fn shrunk(image: &RgbImage, [width, height]: [u32; 2]) -> RgbImage {
    resize(&from_image(image), width as usize, height as usize, Filter::Bilinear, true).to_image()
}

fn from_image(image: &RgbImage) -> Picture {
    let levels = Levels::Eight(image.as_raw().clone());
    Picture { width: image.width() as usize, height: image.height() as usize, channels: 3, levels }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::picture::{Colormap, Scale};

    #[test]
    fn cells_have_one_size_and_nothing_reaches_the_edge() {
        let map = Tensor::new(&[1, 2], vec![-1.5e-5, 3.0e-5]);
        let caption =
            Caption { title: "Guided Grad-CAM, a class with a long name ".repeat(3), subtitle: "sum 3".into() };
        for (width, height) in [(1, 1), (24, 24), (192, 48), (40, 900), (640, 480)] {
            for panels in [0, 1, 4, 7] {
                let picture =
                    Picture { width, height, channels: 3, levels: Levels::Eight(vec![128; width * height * 3]) };
                let placement = Placement::whole(&picture);
                let paint = Paint { colormap: Colormap::default_for(true), scale: Scale::signed(&map), alpha: 0.8 };
                let panel = Panel { map: &map, placement, paint, caption: caption.clone() };
                let image = sheet("film.png: nodule", &picture, &vec![panel; panels]).unwrap();
                assert_eq!(image.width(), columns(panels as u32 + 1) * (CELL + GAP) + GAP);
                let (right, bottom) = (image.width() - 1, image.height() - 1);
                for (x, y, p) in image.enumerate_pixels() {
                    let between = x % (CELL + GAP) < GAP - 1;
                    assert!(
                        !(between && y > 2 * GAP + 24 || y == 0 || x == right || y == bottom) || *p == PAPER,
                        "{width} x {height}, {panels} panels: ink at {x}, {y}"
                    );
                }
            }
        }
    }

    #[test]
    fn few_cells_stay_empty() {
        for (cells, want) in [(1, 1), (3, 3), (4, 4), (5, 3), (6, 3), (7, 4), (8, 4), (9, 3), (10, 4), (12, 4)] {
            assert_eq!(columns(cells), want, "{cells} cells");
        }
    }
}
