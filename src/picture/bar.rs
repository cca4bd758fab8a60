//! The colour bar: what the colours of a map mean, in the units of the map.

use image::{Rgb, RgbImage};

use super::text::{self, FAINT, INK, line_height, measure};
use super::{Colormap, Scale};

/// A vertical colour bar with its labels, laid out for a height.
pub(super) struct Bar {
    colormap: Colormap,
    height: u32,
    size: f32,
    /// Height above the lower end as a share of the bar, and label.
    ticks: Vec<(f32, String)>,
}

impl Bar {
    /// A bar `height` pixels high, with text of `size` pixels.
    pub(super) fn new(colormap: Colormap, scale: Scale, height: u32, size: f32) -> Bar {
        let room = height as f32 / line_height(size);
        let shares: &[f32] = if scale.position(scale.low).is_none() {
            if colormap.is_diverging() { &[0.5] } else { &[0.0] }
        } else if room < 2.0 {
            &[1.0]
        } else if room < 4.0 {
            &[0.0, 1.0]
        } else if room < 10.0 {
            &[0.0, 0.5, 1.0]
        } else {
            &[0.0, 0.25, 0.5, 0.75, 1.0]
        };
        // Each end on its own: their difference may be more than f32 holds.
        let values: Vec<f32> = shares.iter().map(|t| scale.low * (1.0 - t) + scale.high * t).collect();
        let ticks = shares.iter().copied().zip(labels(&values)).collect();
        Bar { colormap, height, size, ticks }
    }

    fn stripe(&self) -> u32 {
        self.size.round() as u32
    }

    fn tick(&self) -> u32 {
        (self.size / 3.0).round() as u32
    }

    /// Pixels from the left edge of the bar to the right end of the widest label.
    pub(super) fn width(&self) -> u32 {
        let widest = self.ticks.iter().map(|(_, label)| measure(label, self.size)).fold(0.0, f32::max);
        self.stripe() + 2 * self.tick() + widest.ceil() as u32
    }

    /// Draws the bar with its top left corner at (`x`, `y`).
    pub(super) fn draw(&self, image: &mut RgbImage, x: u32, y: u32) {
        let last = self.height.saturating_sub(1).max(1);
        for row in 0..self.height {
            let share = 1.0 - row as f32 / last as f32;
            for column in 0..self.stripe() {
                let edge = row == 0 || row + 1 == self.height || column == 0 || column + 1 == self.stripe();
                let colour = if edge { FAINT } else { Rgb(self.colormap.at(share)) };
                image.put_pixel(x + column, y + row, colour);
            }
        }
        let line = line_height(self.size);
        for (share, label) in &self.ticks {
            let at = ((1.0 - share) * last as f32).round();
            let thickness = (self.size / 13.0).round().max(1.0) as u32;
            let top = (at as u32).saturating_sub(thickness / 2).min(self.height.saturating_sub(thickness));
            for row in top..(top + thickness).min(self.height) {
                for column in 0..self.tick() {
                    image.put_pixel(x + self.stripe() + column, y + row, FAINT);
                }
            }
            // Labels of the ends move inwards, so that they end with the bar.
            let top = (at - line / 2.0).clamp(0.0, (self.height as f32 - line).max(0.0));
            let left = (x + self.stripe() + 2 * self.tick()) as f32;
            text::draw(image, left, y as f32 + top, label, self.size, INK);
        }
    }
}

/// Labels with three digits, or as many more as it takes to tell them apart.
fn labels(values: &[f32]) -> Vec<String> {
    for digits in 3..8 {
        let labels: Vec<String> = values.iter().map(|v| compact(*v, digits)).collect();
        if labels.windows(2).all(|pair| pair[0] != pair[1]) {
            return labels;
        }
    }
    values.iter().map(|v| compact(*v, 9)).collect()
}

/// `v` with `digits` significant digits at most: `0`, `0.25`, `120`, `1.2e-3`, `-4e6`.
fn compact(v: f32, digits: usize) -> String {
    let scientific = format!("{:.*e}", digits - 1, v);
    let Some((mantissa, exponent)) = scientific.split_once('e') else { return scientific };
    let trimmed =
        |s: &str| if s.contains('.') { s.trim_end_matches('0').trim_end_matches('.').to_owned() } else { s.to_owned() };
    match exponent.parse::<i32>() {
        Ok(_) if v == 0.0 => "0".into(),
        Ok(e @ -2..=3) => trimmed(&format!("{:.*}", (digits as i32 - 1 - e).max(0) as usize, v)),
        _ => format!("{}e{exponent}", trimmed(mantissa)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::picture::text::PAPER;

    #[test]
    fn numbers_are_compact() {
        let cases = [
            (0.0, "0"),
            (-0.0, "0"),
            (0.25, "0.25"),
            (1.0, "1"),
            (-1.5, "-1.5"),
            (120.0, "120"),
            (1234.0, "1234"),
            (0.0123, "0.0123"),
            (0.0012, "1.2e-3"),
            (0.009_999_9, "0.01"),
            (-4e6, "-4e6"),
            (1.234_567e-9, "1.23e-9"),
            (f32::MAX, "3.4e38"),
        ];
        for (v, want) in cases {
            assert_eq!(compact(v, 3), want, "{v}");
        }
    }

    #[test]
    fn neighbouring_labels_differ() {
        assert_eq!(labels(&[1000.1, 1000.15, 1000.2]), ["1000.1", "1000.15", "1000.2"]);
        assert_eq!(labels(&[-2.0, 0.0, 2.0]), ["-2", "0", "2"]);
    }

    #[test]
    fn ends_of_the_bar_have_the_colours_of_the_ends() {
        let map = Colormap::default_for(true);
        for height in [1, 2, 7, 40, 255, 600] {
            let bar = Bar::new(map, Scale { low: -1.0, high: 1.0 }, height, 13.0);
            let mut image = RgbImage::from_pixel(bar.width() + 20, height + 60, PAPER);
            bar.draw(&mut image, 10, 30);
            if height >= 40 {
                let close = |a: [u8; 3], b: [u8; 3]| a.iter().zip(b).all(|(a, b)| a.abs_diff(b) < 80);
                assert!(close(image.get_pixel(16, 31).0, map.at(1.0)), "top at height {height}");
                assert!(close(image.get_pixel(16, 28 + height).0, map.at(0.0)), "bottom at height {height}");
            }
            for (x, y, p) in image.enumerate_pixels().filter(|(_, _, p)| **p != PAPER) {
                let slack = if height < 20 { 16 } else { 1 };
                assert!(
                    x >= 10 && x < 11 + bar.width() && y >= 29 && y <= 30 + height + slack,
                    "{p:?} at {x}, {y}, height {height}"
                );
            }
        }
    }

    #[test]
    fn a_scale_without_extent_has_one_label() {
        let zero = Scale { low: 0.0, high: 0.0 };
        for signed in [false, true] {
            let bar = Bar::new(Colormap::default_for(signed), zero, 200, 13.0);
            assert_eq!(bar.ticks.iter().map(|t| t.1.as_str()).collect::<Vec<_>>(), ["0"]);
        }
    }
}
