//! The values of a picture, in as few bytes as hold them.

use std::borrow::Cow;
use std::ops::Range;

/// Values in `0..=1`.
#[derive(Clone, Debug, PartialEq)]
pub enum Levels {
    /// A level `v` is the value `v / 255`. Grey and resized values are rounded to such levels too, for that is what Pillow and
    /// torchvision do, and what networks were trained and measured on.
    Eight(Vec<u8>),
    /// The values themselves.
    Fine(Vec<f32>),
}

impl Levels {
    /// How many there are.
    pub fn len(&self) -> usize {
        match self {
            Self::Eight(levels) => levels.len(),
            Self::Fine(values) => values.len(),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All values.
    ///
    /// ```
    /// use fluoroscope::picture::Levels;
    ///
    /// assert_eq!(Levels::Eight(vec![0, 51, 255]).values()[..], [0.0, 0.2, 1.0]);
    /// ```
    pub fn values(&self) -> Cow<'_, [f32]> {
        self.part(0..self.len())
    }

    /// Some values.
    pub fn part(&self, range: Range<usize>) -> Cow<'_, [f32]> {
        match self {
            Self::Eight(levels) => levels[range].iter().copied().map(value).collect(),
            Self::Fine(values) => Cow::Borrowed(&values[range]),
        }
    }
}

/// The value of a level.
pub(super) const fn value(level: u8) -> f32 {
    level as f32 / 255.0
}

/// The level nearest to a value, halves up: `f32::round`, which is a call on processors of this baseline, in instructions that they
/// have vectors for.
pub(super) fn level(value: f32) -> u8 {
    let scaled = value * 255.0;
    let whole = scaled as i32;
    (whole + i32::from(scaled - whole as f32 >= 0.5)).clamp(0, 255) as u8
}

/// The luma weights of ITU-R 601.
const LUMA: [f32; 3] = [0.299, 0.587, 0.114];

/// What each level of each channel adds to the luma.
const LUMA_OF: [[f32; 256]; 3] = {
    let mut of = [[0.0; 256]; 3];
    let mut i = 0;
    while i < 3 * 256 {
        of[i / 256][i % 256] = LUMA[i / 256] * value((i % 256) as u8);
        i += 1;
    }
    of
};

/// One value for every three.
pub(super) fn luma(levels: &Levels) -> Levels {
    let [red, green, blue] = &LUMA_OF;
    match levels {
        Levels::Eight(levels) => {
            let grey = |&[r, g, b]: &[u8; 3]| level(red[usize::from(r)] + green[usize::from(g)] + blue[usize::from(b)]);
            Levels::Eight(levels.as_chunks().0.iter().map(grey).collect())
        }
        Levels::Fine(values) => {
            let grey = |[r, g, b]: &[f32; 3]| LUMA[0] * r + LUMA[1] * g + LUMA[2] * b;
            Levels::Fine(values.as_chunks().0.iter().map(grey).collect())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_rounded_as_by_the_library() {
        let near = |v: f32| [v.next_down(), v, v.next_up()];
        let halves = (0..=255).flat_map(|i| near((i as f32 + 0.5) / 255.0));
        for v in (0..=255).map(value).chain(halves).chain([-0.1, -0.0, 0.49999997 / 255.0, 1.0001, 7.0, f32::NAN]) {
            assert_eq!(level(v), (v * 255.0).round() as u8, "{v}");
        }
        assert!((0..=255).all(|v| level(value(v)) == v));
    }

    #[test]
    fn tables_give_the_luma_of_values() {
        let levels: Vec<u8> = (0..30_000u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        let fine = Levels::Fine(levels.iter().copied().map(value).collect());
        let (Levels::Eight(grey), Levels::Fine(exact)) = (luma(&Levels::Eight(levels)), luma(&fine)) else {
            panic!("levels stay what they are")
        };
        assert_eq!(grey, exact.into_iter().map(level).collect::<Vec<_>>());
    }
}
