//! How near a backend's maps are to those in f64.

use serde::Serialize;

/// Maps against those of the same program and images in f64 on the CPU.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Agreement {
    /// `a.b / (|a| |b|)`, of the image where it is smallest; `None` where a map is all zero or not finite.
    pub cosine: Option<f64>,
    /// `|a - b| / |b|`, of the image where it is largest; `None` where `a` is not finite, or only `b` is all zero.
    pub relative_l2: Option<f64>,
}

impl Agreement {
    /// Every image's map with its reference; there may be more images, which are copies of the first.
    pub fn worst(maps: &[Vec<f64>], exact: &[Vec<f64>]) -> Self {
        let of_all: Vec<Self> = maps.iter().zip(exact.iter().cycle()).map(|(a, b)| Self::of(a, b)).collect();
        let fold = |figure: fn(&Self) -> Option<f64>, worse: fn(f64, f64) -> f64| {
            let figures: Option<Vec<f64>> = of_all.iter().map(figure).collect();
            figures.and_then(|figures| figures.into_iter().reduce(worse))
        };
        Self { cosine: fold(|one| one.cosine, f64::min), relative_l2: fold(|one| one.relative_l2, f64::max) }
    }

    fn of(a: &[f64], b: &[f64]) -> Self {
        let dot = |x: &[f64], y: &[f64]| x.iter().zip(y).map(|(x, y)| x * y).sum::<f64>();
        let apart: Vec<f64> = a.iter().zip(b).map(|(a, b)| a - b).collect();
        let [of_a, of_b, of_both] = [a, b, &apart[..]].map(|v| dot(v, v).sqrt());
        let cosine = (dot(a, b) / (of_a * of_b)).clamp(-1.0, 1.0);
        let relative_l2 = if of_both == 0.0 { 0.0 } else { of_both / of_b };
        let finite = |v: f64| v.is_finite().then_some(v);
        Self { cosine: finite(cosine), relative_l2: finite(relative_l2) }
    }

    /// `cosine` and `relative_l2` for people.
    pub fn texts(self) -> [String; 2] {
        let text = |figure: Option<f64>, write: fn(f64) -> String| figure.map_or_else(|| "-".to_owned(), write);
        [text(self.cosine, |v| format!("{v:.6}")), text(self.relative_l2, |v| format!("{v:.1e}"))]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cosine_and_distance() {
        type Case = (&'static str, [f64; 2], [f64; 2], Option<f64>, Option<f64>);
        let cases: [Case; 8] = [
            ("equal", [3.0, 4.0], [3.0, 4.0], Some(1.0), Some(0.0)),
            ("turned", [3.0, 4.0], [4.0, 3.0], Some(24.0 / 25.0), Some(2.0f64.sqrt() / 5.0)),
            ("twice", [6.0, 8.0], [3.0, 4.0], Some(1.0), Some(1.0)),
            ("opposite", [-3.0, -4.0], [3.0, 4.0], Some(-1.0), Some(2.0)),
            ("zero", [0.0, 0.0], [3.0, 4.0], None, Some(1.0)),
            ("reference zero", [3.0, 4.0], [0.0, 0.0], None, None),
            ("both zero", [0.0, 0.0], [0.0, 0.0], None, Some(0.0)),
            ("not a number", [f64::NAN, 4.0], [3.0, 4.0], None, None),
        ];
        let near = |got: Option<f64>, want: Option<f64>| match (got, want) {
            (Some(got), Some(want)) => (got - want).abs() < 1e-12,
            (got, want) => got == want,
        };
        for (name, a, b, cosine, relative_l2) in cases {
            let got = Agreement::of(&a, &b);
            assert!(near(got.cosine, cosine) && near(got.relative_l2, relative_l2), "{name}: {got:?}");
        }
    }

    #[test]
    fn the_worst_image_counts() {
        let exact = [vec![3.0, 4.0], vec![1.0, 0.0]];
        let maps = [vec![3.0, 4.0], vec![1.0, 0.0], vec![4.0, 3.0], vec![3.0, 0.0]];
        let worst = Agreement::worst(&maps, &exact);
        assert_eq!(worst.texts(), ["0.960000", "2.0e0"]);
        let broken = [vec![f64::INFINITY, 4.0], vec![1.0, 0.0]];
        assert_eq!(Agreement::worst(&broken, &exact).texts(), ["-", "-"]);
    }
}
