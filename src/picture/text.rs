//! Antialiased text, measured before it is drawn, so that nothing is cut off.

use std::sync::LazyLock;

use ab_glyph::{Font, FontRef, PxScale, ScaleFont, point};
use image::{Rgb, RgbImage};

static FACE: LazyLock<FontRef<'static>> = LazyLock::new(|| {
    FontRef::try_from_slice(include_bytes!("../../assets/DejaVuSans-subset.ttf")).expect("the embedded font is whole")
});

pub(super) const INK: Rgb<u8> = Rgb([24, 24, 24]);
pub(super) const FAINT: Rgb<u8> = Rgb([96, 96, 96]);
pub(super) const PAPER: Rgb<u8> = Rgb([255, 255, 255]);

/// Lines of one size and colour.
pub(super) struct Block {
    lines: Vec<String>,
    size: f32,
    ink: Rgb<u8>,
}

impl Block {
    /// `text` within `width` pixels: as it is, a little smaller, or else wrapped; words that are too long are split.
    pub(super) fn fit(text: &str, size: f32, width: f32, ink: Rgb<u8>) -> Block {
        const SMALLEST: f32 = 0.85;
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        let shrink = width / measure(&text, size).max(1.0);
        if text.is_empty() {
            Block { lines: Vec::new(), size, ink }
        } else if shrink >= SMALLEST {
            Block { lines: vec![text], size: size * shrink.min(1.0), ink }
        } else {
            let size = size * SMALLEST;
            Block { lines: wrap(&text, size, width), size, ink }
        }
    }

    pub(super) fn height(&self) -> u32 {
        (self.lines.len() as f32 * line_height(self.size)).ceil() as u32
    }

    /// Draws with the top left corner at (`x`, `y`).
    pub(super) fn draw(&self, image: &mut RgbImage, x: u32, y: u32) {
        for (i, line) in self.lines.iter().enumerate() {
            draw(image, x as f32, y as f32 + i as f32 * line_height(self.size), line, self.size, self.ink);
        }
    }
}

/// The height of a line of `size` pixels.
pub(super) fn line_height(size: f32) -> f32 {
    size * 1.2
}

/// The width of `text` in pixels.
pub(super) fn measure(text: &str, size: f32) -> f32 {
    let face = FACE.as_scaled(scale(size));
    text.chars().map(|c| face.h_advance(face.glyph_id(c))).sum()
}

/// `size` is the em, as in CSS; ab_glyph's scale is ascent plus descent.
fn scale(size: f32) -> PxScale {
    let em = FACE.units_per_em().expect("a TrueType font has an em");
    PxScale::from(size * FACE.height_unscaled() / em)
}

fn wrap(text: &str, size: f32, width: f32) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    let fits = |s: &str| measure(s, size) <= width;
    for word in text.split(' ') {
        if let Some(last) = lines.last_mut() {
            let longer = format!("{last} {word}");
            if fits(&longer) {
                *last = longer;
                continue;
            }
        }
        lines.push(String::new());
        for c in word.chars() {
            let last = lines.last_mut().expect("pushed above");
            last.push(c);
            if last.chars().count() > 1 && !fits(last) {
                last.pop();
                lines.push(c.to_string());
            }
        }
    }
    lines
}

/// One line of text with its top left corner at (`x`, `y`).
pub(super) fn draw(image: &mut RgbImage, x: f32, y: f32, text: &str, size: f32, ink: Rgb<u8>) {
    let face = FACE.as_scaled(scale(size));
    // The line is a little higher than the font; the rest goes above and below.
    let baseline = (y + (line_height(size) - face.height()) / 2.0 + face.ascent()).round();
    let mut pen = x;
    for c in text.chars() {
        let id = face.glyph_id(c);
        let glyph = id.with_scale_and_position(face.scale(), point(pen, baseline));
        pen += face.h_advance(id);
        let Some(outline) = face.outline_glyph(glyph) else { continue };
        let corner = outline.px_bounds().min;
        outline.draw(|dx, dy, coverage| {
            let (px, py) = (corner.x as i64 + i64::from(dx), corner.y as i64 + i64::from(dy));
            let inside = px >= 0 && py >= 0 && px < i64::from(image.width()) && py < i64::from(image.height());
            if inside {
                mix(image.get_pixel_mut(px as u32, py as u32), ink.0.map(f32::from), coverage);
            }
        });
    }
}

/// Moves `pixel` towards `colour`, in levels of 0 to 255, by `part`, clamped to `0..=1`; levels are rounded.
pub(super) fn mix(pixel: &mut Rgb<u8>, colour: [f32; 3], part: f32) {
    let part = part.clamp(0.0, 1.0);
    for (level, to) in pixel.0.iter_mut().zip(colour) {
        let from = f32::from(*level);
        *level = (from + part * (to - from) + 0.5) as u8;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_fits() {
        let long =
            "integrated gradients for a class with quite a long name, Krankenhausaufenthaltsbescheinigungsformular";
        for text in ["", "a", "grad-cam", long, "  two\n lines\t"] {
            for width in [20.0, 60.0, 224.0, 2000.0] {
                let block = Block::fit(text, 13.0, width, INK);
                for line in &block.lines {
                    assert!(measure(line, block.size) <= width, "{line:?} in {width}");
                }
                let letters = |s: &str| s.chars().filter(|c| !c.is_whitespace()).collect::<String>();
                assert_eq!(letters(&block.lines.concat()), letters(text));
            }
        }
    }

    #[test]
    fn ink_stays_in_the_measured_box() {
        let text = "Ägypj|Σ≤1.2e-3";
        for size in [11.0, 26.0] {
            let (width, height) = (measure(text, size).ceil() as u32, line_height(size).ceil() as u32);
            let mut image = RgbImage::from_pixel(width + 20, height + 20, PAPER);
            draw(&mut image, 10.0, 10.0, text, size, INK);
            let inked = image.enumerate_pixels().filter(|(_, _, p)| **p != PAPER);
            let mut dark = 0;
            for (x, y, p) in inked {
                dark += u32::from(p.0[0] < 100);
                assert!(
                    (9..=width + 11).contains(&x) && (9..=height + 11).contains(&y),
                    "ink at {x}, {y} of size {size}"
                );
            }
            assert!(dark > 30, "size {size}: {dark} dark pixels");
        }
    }
}
