//! How well a map finds what a mask marks.

use crate::picture::{Picture, Placement};
use crate::tensor::Tensor;

/// Agreement of a map with a mask.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Localisation {
    /// The share of positive heat inside the mask over the mask's share of the area: 1 is chance.
    /// `None` when the map has no positive value.
    pub heat_ratio: Option<f64>,
    /// Intersection over union of the mask and as many of the map's highest pixels as the mask has.
    /// Equal values at the border count in part, so a constant map scores chance.
    pub iou: f64,
}

/// What keeps a map from being measured.
#[derive(Debug, thiserror::Error)]
pub enum MeasureError {
    #[error("map of shape {0:?}; localisation needs [H, W]")]
    Shape(Vec<usize>),
    #[error("the mask marks {marked} of {cells} cells of the map; it must mark some and leave some")]
    Mask { marked: usize, cells: usize },
}

/// Measures `map`, `[H, W]`, against `mask`, where the brighter half of `0..=1` marks the finding.
///
/// The mask has the size of the original picture, of which the map covers `placement`; it is read at the centre of each
/// cell of the map (nearest neighbour).
///
/// # Errors
/// A map of another rank than 2, and a mask that marks nothing or everything that the map covers.
pub fn localisation(map: &Tensor, mask: &Picture, placement: &Placement) -> Result<Localisation, MeasureError> {
    let &[height, width] = map.shape.as_slice() else { return Err(MeasureError::Shape(map.shape.clone())) };
    let marks = on_grid(mask, placement, height, width);
    let (marked, cells) = (marks.iter().filter(|m| **m).count(), marks.len());
    if marked == 0 || marked == cells {
        return Err(MeasureError::Mask { marked, cells });
    }

    let (mut inside, mut all) = (0.0, 0.0);
    for (value, marked) in map.data.iter().zip(&marks) {
        let heat = f64::from(value.max(0.0));
        all += heat;
        inside += if *marked { heat } else { 0.0 };
    }
    let area = marked as f64 / cells as f64;
    let heat_ratio = (all > 0.0).then(|| inside / all / area);

    let mut sorted = map.data.clone();
    let (_, &mut threshold, _) = sorted.select_nth_unstable_by(cells - marked, f32::total_cmp);
    // [all cells, marked cells] above the threshold, and on it.
    let (mut above, mut level) = ([0.0; 2], [0.0; 2]);
    for (value, marked) in map.data.iter().zip(&marks) {
        let count = if *value > threshold {
            &mut above
        } else if *value == threshold {
            &mut level
        } else {
            continue;
        };
        count[0] += 1.0;
        count[1] += f64::from(u8::from(*marked));
    }
    let wanted = marked as f64;
    let common = above[1] + if level[0] > 0.0 { (wanted - above[0]) * level[1] / level[0] } else { 0.0 };
    Ok(Localisation { heat_ratio, iou: common / (2.0 * wanted - common) })
}

/// The mask at the centre of each of `height` x `width` cells over `placement`.
fn on_grid(mask: &Picture, placement: &Placement, height: usize, width: usize) -> Vec<bool> {
    if mask.width == 0 || mask.height == 0 {
        return vec![false; height * width];
    }
    let nearest = |start: f32, length: f32, i: usize, cells: usize, n: usize| {
        let centre = start + (i as f32 + 0.5) * length / cells as f32;
        (centre.max(0.0) as usize).min(n - 1)
    };
    let mut marks = Vec::with_capacity(height * width);
    for y in 0..height {
        let row = nearest(placement.y, placement.height, y, height, mask.height);
        for x in 0..width {
            let column = nearest(placement.x, placement.width, x, width, mask.width);
            let pixel = mask.pixel(column, row);
            marks.push(pixel.iter().sum::<f32>() / pixel.len() as f32 > 0.5);
        }
    }
    marks
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::picture::Levels;

    fn mask(width: usize, height: usize, marked: impl Fn(usize, usize) -> bool) -> Picture {
        let levels = (0..width * height).map(|i| 255 * u8::from(marked(i % width, i / width))).collect();
        Picture { width, height, channels: 1, levels: Levels::Eight(levels) }
    }

    #[test]
    fn perfect_chance_and_wrong() {
        let corner = mask(2, 2, |x, y| (x, y) == (0, 0));
        let cases = [
            ("perfect", vec![5.0, 0.0, 0.0, 0.0], Some(4.0), 1.0),
            ("negative heat does not count", vec![1.0, -9.0, -9.0, -9.0], Some(4.0), 1.0),
            ("uniform", vec![1.0; 4], Some(1.0), 0.25 / 1.75),
            ("zero", vec![0.0; 4], None, 0.25 / 1.75),
            ("wrong", vec![0.0, 3.0, 0.0, 0.0], Some(0.0), 0.0),
        ];
        for (name, map, heat_ratio, iou) in cases {
            let got = localisation(&Tensor::new(&[2, 2], map), &corner, &Placement::whole(&corner)).unwrap();
            assert_eq!(got, Localisation { heat_ratio, iou }, "{name}");
        }
    }

    #[test]
    fn the_mask_is_read_where_the_map_lies() {
        // The map covers the right half of a 6 x 3 picture; the mask marks its last two columns.
        let mask = mask(6, 3, |x, _| x >= 4);
        let placement = Placement { x: 3.0, y: 0.0, width: 3.0, height: 3.0 };
        let map = Tensor::new(&[1, 3], vec![0.0, 1.0, 1.0]);
        let got = localisation(&map, &mask, &placement).unwrap();
        assert_eq!(got, Localisation { heat_ratio: Some(1.5), iou: 1.0 });
    }

    #[test]
    fn masks_must_mark_a_part() {
        let map = Tensor::zeros(&[3, 5]);
        for all in [false, true] {
            let mask = mask(7, 9, |_, _| all);
            let error = localisation(&map, &mask, &Placement::whole(&mask)).unwrap_err();
            assert!(matches!(error, MeasureError::Mask { cells: 15, .. }), "{error}");
        }
        let whole = Placement::whole(&mask(1, 1, |_, _| true));
        assert!(localisation(&Tensor::zeros(&[1, 2, 2]), &mask(1, 1, |_, _| true), &whole).is_err());
        assert!(localisation(&Tensor::zeros(&[0, 2]), &mask(1, 1, |_, _| true), &whole).is_err());
    }
}
