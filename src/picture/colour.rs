//! Numbers to colours: named colour maps and the range of values they span.

use colorous::Gradient;

use super::PictureError;
use crate::suggest::nearest;
use crate::tensor::Tensor;

/// A colour map: positions `0..=1` to RGB. Diverging maps have their neutral colour at 0.5.
#[derive(Clone, Copy, Debug)]
pub struct Colormap {
    name: &'static str,
    diverging: bool,
    ramp: Ramp,
}

#[derive(Clone, Copy, Debug)]
enum Ramp {
    Known(Gradient),
    Reversed(Gradient),
    /// Linear between stops of (position, RGB).
    Stops(&'static [(f32, [u8; 3])]),
}

/// Zennit's map: cyan, blue, black, red, yellow, white; black is zero.
const COLD_N_HOT: &[(f32, [u8; 3])] = &[
    (0.0, [0, 255, 255]),
    (0.25, [0, 0, 255]),
    (0.5, [0, 0, 0]),
    (2.0 / 3.0, [255, 0, 0]),
    (5.0 / 6.0, [255, 255, 0]),
    (1.0, [255, 255, 255]),
];
const GRAY: &[(f32, [u8; 3])] = &[(0.0, [0, 0, 0]), (1.0, [255, 255, 255])];

const MAPS: [Colormap; 9] = [
    Colormap { name: "viridis", diverging: false, ramp: Ramp::Known(colorous::VIRIDIS) },
    Colormap { name: "inferno", diverging: false, ramp: Ramp::Known(colorous::INFERNO) },
    Colormap { name: "magma", diverging: false, ramp: Ramp::Known(colorous::MAGMA) },
    Colormap { name: "cividis", diverging: false, ramp: Ramp::Known(colorous::CIVIDIS) },
    Colormap { name: "turbo", diverging: false, ramp: Ramp::Known(colorous::TURBO) },
    Colormap { name: "gray", diverging: false, ramp: Ramp::Stops(GRAY) },
    Colormap { name: "rdbu", diverging: true, ramp: Ramp::Reversed(colorous::RED_BLUE) },
    Colormap { name: "puor", diverging: true, ramp: Ramp::Known(colorous::PURPLE_ORANGE) },
    Colormap { name: "coldnhot", diverging: true, ramp: Ramp::Stops(COLD_N_HOT) },
];

impl Colormap {
    /// The names that [`Colormap::named`] knows.
    pub fn names() -> Vec<&'static str> {
        MAPS.iter().map(|m| m.name).collect()
    }

    /// The map called `name`.
    ///
    /// # Errors
    /// An unknown name, with the list and the nearest one.
    pub fn named(name: &str) -> Result<Colormap, PictureError> {
        MAPS.into_iter().find(|m| m.name == name).ok_or_else(|| PictureError::Colormap {
            name: name.to_owned(),
            known: Self::names(),
            nearest: nearest(name, Self::names()).map(str::to_owned),
        })
    }

    /// `rdbu` for signed maps (blue is negative, red is positive), `viridis` for the others.
    pub fn default_for(signed: bool) -> Colormap {
        if signed { MAPS[6] } else { MAPS[0] }
    }

    pub fn name(self) -> &'static str {
        self.name
    }

    /// Whether the neutral colour is in the middle, for signed maps.
    pub fn is_diverging(self) -> bool {
        self.diverging
    }

    /// The colour at `t`, clamped to `0..=1`.
    pub fn at(self, t: f32) -> [u8; 3] {
        let t = t.clamp(0.0, 1.0);
        let rgb = |c: colorous::Color| [c.r, c.g, c.b];
        match self.ramp {
            Ramp::Known(gradient) => rgb(gradient.eval_continuous(f64::from(t))),
            Ramp::Reversed(gradient) => rgb(gradient.eval_continuous(1.0 - f64::from(t))),
            Ramp::Stops(stops) => between(stops, t),
        }
    }

    /// The colours of pictures: linear between entries, at most a level from [`Colormap::at`].
    pub fn palette(self) -> Palette {
        let entry = |i: usize| {
            let [r, g, b] = self.at(i as f32 / (Palette::ENTRIES - 1) as f32).map(f32::from);
            [r, g, b, 0.0]
        };
        Palette { entries: (0..Palette::ENTRIES).map(entry).collect() }
    }
}

/// A colour map as a table, which is the same on the host and on a device.
#[derive(Clone, Debug, PartialEq)]
pub struct Palette {
    entries: Vec<[f32; 4]>,
}

impl Palette {
    /// So many that every stop of a colour map is one, and that few levels lie between neighbours.
    const ENTRIES: usize = 12 * 128 + 1;

    /// From position 0 to 1: red, green and blue in levels of 0 to 255, then zero.
    pub fn entries(&self) -> &[[f32; 4]] {
        &self.entries
    }

    /// The colour at `t` in levels; at 0 where `t` is not a number.
    pub fn at(&self, t: f32) -> [f32; 3] {
        let last = self.entries.len() - 1;
        let at = if t.is_nan() { 0.0 } else { t.clamp(0.0, 1.0) * last as f32 };
        let low = at as usize;
        let part = at - low as f32;
        let (low, high) = (&self.entries[low], &self.entries[(low + 1).min(last)]);
        std::array::from_fn(|i| low[i] + part * (high[i] - low[i]))
    }
}

fn between(stops: &[(f32, [u8; 3])], t: f32) -> [u8; 3] {
    let after = stops.iter().position(|(at, _)| *at >= t).unwrap_or(stops.len() - 1).max(1);
    let ((from, a), (to, b)) = (stops[after - 1], stops[after]);
    let part = (t - from) / (to - from);
    std::array::from_fn(|i| (f32::from(a[i]) + part * (f32::from(b[i]) - f32::from(a[i]))).round() as u8)
}

/// The values at the two ends of a colour map; values beyond them take the end colours.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scale {
    pub low: f32,
    pub high: f32,
}

impl Scale {
    /// Symmetric about zero, to the largest absolute value.
    pub fn signed(map: &Tensor) -> Scale {
        let peak = map.peak();
        Scale { low: -peak, high: peak }
    }

    /// From zero to the largest value (zero, if none is positive).
    pub fn unsigned(map: &Tensor) -> Scale {
        Scale { low: 0.0, high: map.data.iter().fold(0.0, |high: f32, v| high.max(*v)) }
    }

    /// From the smallest to the largest value.
    pub fn full(map: &Tensor) -> Scale {
        let ends = |(low, high): (f32, f32), v: &f32| (low.min(*v), high.max(*v));
        let Some(&first) = map.data.first() else { return Scale { low: 0.0, high: 0.0 } };
        let (low, high) = map.data.iter().fold((first, first), ends);
        Scale { low, high }
    }

    /// Where `value` lies between the ends, clamped to `0..=1`; `None` when the ends are equal.
    pub fn position(self, value: f32) -> Option<f32> {
        // Halved, so that the width of the widest scale is finite.
        let width = self.high / 2.0 - self.low / 2.0;
        (width > 0.0).then(|| ((value / 2.0 - self.low / 2.0) / width).clamp(0.0, 1.0))
    }

    /// How strong `value` is, `0..=1`: its size against the larger end where the scale spans zero, else its position; 0 when
    /// the ends are equal.
    pub fn strength(self, value: f32) -> f32 {
        let Some(position) = self.position(value) else { return 0.0 };
        let spans_zero = self.low < 0.0 && self.high > 0.0;
        let strength = if spans_zero { value.abs() / self.high.max(-self.low) } else { position };
        if strength.is_nan() { 0.0 } else { strength.min(1.0) }
    }
}

/// Which value of a map takes the end colours.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Extent {
    /// Its strongest.
    #[default]
    Peak,
    /// The least such that pixels up to it hold so many percent of all heat, the sum of sizes; above 0 and up to 100. Where few
    /// pixels hold most of it, that is near the strongest.
    Percent(f32),
    /// This one, whatever the map, so that pictures can be compared.
    Value(f32),
}

impl Extent {
    /// `peak`, a percentage such as `90%`, or a value above 0.
    ///
    /// ```
    /// use fluoroscope::picture::Extent;
    ///
    /// assert_eq!(Extent::parse("97.5%"), Some(Extent::Percent(97.5)));
    /// assert_eq!(Extent::parse("0.25"), Some(Extent::Value(0.25)));
    /// assert_eq!(Extent::parse("101%"), None);
    /// ```
    pub fn parse(text: &str) -> Option<Self> {
        if text == "peak" {
            return Some(Self::Peak);
        }
        let (number, most, extent): (_, _, fn(f32) -> Self) = match text.strip_suffix('%') {
            Some(percent) => (percent, 100.0, Self::Percent),
            None => (text, f32::MAX, Self::Value),
        };
        number.parse().ok().filter(|value| *value > 0.0 && *value <= most).map(extent)
    }

    /// The scale of a map, from zero or, with `symmetric`, about it.
    pub fn scale(self, map: &Tensor, symmetric: bool) -> Scale {
        let own = if symmetric { Scale::signed(map) } else { Scale::unsigned(map) };
        let high = match self {
            Self::Peak => own.high,
            Self::Value(value) => value,
            Self::Percent(percent) => {
                let sizes = map.data.iter().map(|v| if symmetric { v.abs() } else { v.max(0.0) });
                let mut sizes: Vec<f32> = sizes.collect();
                sizes.sort_unstable_by(f32::total_cmp);
                let heat = |sizes: &[f32]| sizes.iter().copied().map(f64::from).sum::<f64>();
                let (mut held, wanted) = (0.0, f64::from(percent) / 100.0 * heat(&sizes));
                let enough = |size: &f32| {
                    held += f64::from(*size);
                    *size > 0.0 && held >= wanted
                };
                sizes.iter().copied().find(enough).unwrap_or(own.high)
            }
        };
        Scale { low: if symmetric { -high } else { 0.0 }, high }
    }
}

impl std::fmt::Display for Extent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Peak => f.write_str("peak"),
            Self::Percent(percent) => write!(f, "{percent} % of the heat"),
            Self::Value(value) => write!(f, "{value}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extents_are_read_and_found() {
        for bad in ["", "%", "0", "0%", "-1", "-1%", "100.5%", "nan", "inf", "nan%", "Peak", "99 %"] {
            assert_eq!(Extent::parse(bad), None, "{bad}");
        }
        let map = Tensor::new(&[2, 5], vec![-4.0, 1.0, 0.0, 2.0, -3.0, 0.0, 0.0, 0.0, 0.0, 8.0]);
        let scale = |text: &str, symmetric| Extent::parse(text).unwrap().scale(&map, symmetric);
        let about = |high: f32| Scale { low: -high, high };
        assert_eq!((scale("peak", true), scale("peak", false)), (Scale::signed(&map), Scale::unsigned(&map)));
        // Sizes: five zeros, 1, 2, 3, 4, 8, of 18 together; of what is positive: seven zeros, 1, 2, 8, of 11.
        let sizes = [5.0, 50.0 / 9.0 + 0.01, 33.0, 34.0, 55.0, 56.0, 100.0];
        assert_eq!(sizes.map(|p| Extent::Percent(p).scale(&map, true).high), [1.0, 2.0, 3.0, 4.0, 4.0, 8.0, 8.0]);
        assert_eq!(
            (scale("27%", false), scale("28%", false)),
            (Scale { low: 0.0, high: 2.0 }, Scale { low: 0.0, high: 8.0 })
        );
        assert_eq!(scale("50%", true), about(4.0));
        assert_eq!((scale("0.5", true), scale("20", false)), (about(0.5), Scale { low: 0.0, high: 20.0 }));
        let zeros = Tensor::zeros(&[2, 2]);
        assert_eq!(Extent::Percent(99.0).scale(&zeros, true).position(0.0), None);
    }

    #[test]
    fn ends_and_middles_are_the_right_colours() {
        let cases = [
            ("viridis", 0.0, [68, 1, 84]),
            ("viridis", 1.0, [253, 231, 37]),
            ("rdbu", 0.0, [5, 48, 97]),
            ("rdbu", 1.0, [103, 0, 31]),
            ("puor", 0.0, [45, 0, 75]),
            ("coldnhot", 0.0, [0, 255, 255]),
            ("coldnhot", 0.25, [0, 0, 255]),
            ("coldnhot", 0.5, [0, 0, 0]),
            ("coldnhot", 1.0, [255, 255, 255]),
            ("gray", 0.5, [128, 128, 128]),
            ("gray", -3.0, [0, 0, 0]),
            ("gray", f32::NAN, [0, 0, 0]),
        ];
        for (name, t, want) in cases {
            let got = Colormap::named(name).unwrap().at(t);
            let off = got.iter().zip(want).map(|(a, b)| a.abs_diff(b)).max().unwrap();
            assert!(off <= 3, "{name} at {t}: {got:?}, want {want:?}");
        }
    }

    #[test]
    fn a_palette_is_its_colour_map_within_a_level() {
        for name in Colormap::names() {
            let map = Colormap::named(name).unwrap();
            let palette = map.palette();
            for i in 0..=100_000 {
                let t = i as f32 / 100_000.0;
                let apart = palette.at(t).into_iter().zip(map.at(t)).map(|(a, b)| (a - f32::from(b)).abs());
                let apart = apart.fold(0.0, f32::max);
                assert!(apart < 1.01, "{name} at {t}: {:?}, want {:?}", palette.at(t), map.at(t));
            }
            for (t, want) in [(-1.0, 0.0), (2.0, 1.0), (f32::NAN, 0.0)] {
                assert_eq!(palette.at(t), map.at(want).map(f32::from), "{name} at {t}");
            }
        }
    }

    #[test]
    fn defaults_fit_the_sign() {
        for signed in [false, true] {
            assert_eq!(Colormap::default_for(signed).is_diverging(), signed);
        }
        assert_eq!(Colormap::default_for(true).name(), "rdbu");
        assert_eq!(Colormap::default_for(false).name(), "viridis");
    }

    #[test]
    fn unknown_names_get_the_list_and_a_guess() {
        let message = Colormap::named("virdis").unwrap_err().to_string();
        assert!(message.contains("did you mean viridis?") && message.contains("coldnhot"), "{message}");
    }

    #[test]
    fn scales_follow_the_map() {
        let map = Tensor::new(&[3], vec![-2.0, 0.0, 1.0]);
        assert_eq!(Scale::signed(&map), Scale { low: -2.0, high: 2.0 });
        assert_eq!(Scale::unsigned(&map), Scale { low: 0.0, high: 1.0 });
        assert_eq!(Scale::full(&map), Scale { low: -2.0, high: 1.0 });
        assert_eq!(Scale::signed(&map).position(1.0), Some(0.75));
        assert_eq!(Scale::signed(&map).strength(-1.0), 0.5);
        assert_eq!(Scale::unsigned(&map).strength(-1.0), 0.0);
        assert_eq!(Scale { low: f32::MIN, high: f32::MAX }.position(0.0), Some(0.5));
    }

    #[test]
    fn a_map_of_zeros_divides_by_nothing() {
        let zeros = Tensor::zeros(&[2, 2]);
        for scale in [Scale::signed(&zeros), Scale::unsigned(&zeros), Scale::full(&zeros)] {
            assert_eq!((scale.position(0.0), scale.strength(0.0)), (None, 0.0));
        }
    }
}
