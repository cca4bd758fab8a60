//! Maps to maps: channels into one plane, and smoothing.

use super::PictureError;
use crate::tensor::Tensor;

/// How the channels of one pixel become one value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reduce {
    /// Keep the channels.
    None,
    Sum,
    AbsSum,
    MaxAbs,
    /// The square root of the sum of squares.
    L2,
    Mean,
}

/// A `[C, H, W]` map as `[H, W]`; [`Reduce::None`] leaves it as it is.
///
/// # Errors
/// Another rank than 3.
pub fn reduce(map: &Tensor, how: Reduce) -> Result<Tensor, PictureError> {
    let &[channels, height, width] = map.shape.as_slice() else {
        return Err(PictureError::Shape { what: "map", want: "[C, H, W]", got: map.shape.clone() });
    };
    let sum = |v: Column| v.copied().map(f64::from).sum::<f64>();
    let fold: &dyn Fn(Column) -> f64 = match how {
        Reduce::None => return Ok(map.clone()),
        Reduce::Sum => &sum,
        Reduce::Mean => &|v| sum(v) / channels as f64,
        Reduce::AbsSum => &|v| v.map(|x| f64::from(x.abs())).sum(),
        Reduce::MaxAbs => &|v| v.fold(0.0, |peak, x| peak.max(f64::from(x.abs()))),
        Reduce::L2 => &|v| v.map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt(),
    };
    let plane = height * width;
    // Without channels there is nothing to step over.
    let pixel = |at| fold(map.data.get(at..).unwrap_or_default().iter().step_by(plane)) as f32;
    Ok(Tensor::new(&[height, width], (0..plane).map(pixel).collect()))
}

/// The channels of a pixel.
type Column<'a> = std::iter::StepBy<std::slice::Iter<'a, f32>>;

/// A `[H, W]` map smoothed with a Gaussian of `sigma` pixels, cut at 4 sigma; 0 leaves it as it is.
///
/// The border reflects, so the sum of the map stays (`scipy.ndimage.gaussian_filter` in its default mode).
///
/// # Errors
/// Another rank than 2, or a sigma that is negative or not finite.
pub fn gaussian_smooth(map: &Tensor, sigma: f32) -> Result<Tensor, PictureError> {
    let &[height, width] = map.shape.as_slice() else {
        return Err(PictureError::Shape { what: "map", want: "[H, W]", got: map.shape.clone() });
    };
    if !sigma.is_finite() || sigma < 0.0 {
        return Err(PictureError::Sigma { sigma });
    }
    if sigma == 0.0 || map.data.is_empty() {
        return Ok(map.clone());
    }
    // A wider kernel than the map says nothing new, and a huge sigma must not make a huge kernel.
    let radius = ((4.0 * sigma + 0.5) as usize).min(2 * height.max(width));
    let kernel = gaussian(f64::from(sigma), radius);
    let mut rows = Vec::with_capacity(map.data.len());
    for row in map.data.chunks_exact(width) {
        rows.extend((0..width).map(|x| smoothed(&kernel, radius, x, width, |at| row[at])));
    }
    let mut data = Vec::with_capacity(map.data.len());
    for y in 0..height {
        data.extend((0..width).map(|x| smoothed(&kernel, radius, y, height, |at| rows[at * width + x])));
    }
    Ok(Tensor::new(&[height, width], data))
}

fn gaussian(sigma: f64, radius: usize) -> Vec<f64> {
    let weights: Vec<f64> =
        (0..=2 * radius).map(|i| (-0.5 * ((i as f64 - radius as f64) / sigma).powi(2)).exp()).collect();
    let sum: f64 = weights.iter().sum();
    weights.into_iter().map(|w| w / sum).collect()
}

fn smoothed(kernel: &[f64], radius: usize, at: usize, n: usize, value: impl Fn(usize) -> f32) -> f32 {
    let tap = |(k, w): (usize, &f64)| w * f64::from(value(reflected(at as isize + k as isize - radius as isize, n)));
    kernel.iter().enumerate().map(tap).sum::<f64>() as f32
}

/// `... 1 0 | 0 1 .. n-1 | n-1 n-2 ...`
fn reflected(at: isize, n: usize) -> usize {
    let at = at.rem_euclid(2 * n as isize) as usize;
    at.min(2 * n - 1 - at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channels_become_one_value() {
        let map = Tensor::new(&[2, 1, 2], vec![3.0, -1.0, -4.0, 0.5]);
        let cases = [
            (Reduce::Sum, [-1.0, -0.5]),
            (Reduce::Mean, [-0.5, -0.25]),
            (Reduce::AbsSum, [7.0, 1.5]),
            (Reduce::MaxAbs, [4.0, 1.0]),
            (Reduce::L2, [5.0, 1.25f32.sqrt()]),
        ];
        for (how, want) in cases {
            assert_eq!(reduce(&map, how).unwrap(), Tensor::new(&[1, 2], want.to_vec()), "{how:?}");
        }
        assert_eq!(reduce(&map, Reduce::None).unwrap(), map);
        assert!(reduce(&Tensor::zeros(&[2, 2]), Reduce::Sum).unwrap_err().to_string().contains("[2, 2]"));
    }

    #[test]
    fn smoothing_agrees_with_numpy() {
        // numpy: symmetric padding by 3, a normalised kernel exp(-x^2 / 2 sigma^2) along each axis.
        let map = Tensor::new(&[2, 3], vec![0.0, 1.0, 0.0, 0.0, 0.0, 4.0]);
        let got = gaussian_smooth(&map, 0.7).unwrap();
        let want = [0.1754553, 0.6351497, 0.8634831, 0.0785072, 0.7948874, 2.4525173];
        for (got, want) in got.data.iter().zip(want) {
            assert!((got - want).abs() < 1e-6, "{got} {want}");
        }
    }

    #[test]
    fn smoothing_keeps_the_sum() {
        for (shape, sigma) in [([1, 1], 3.0), ([1, 7], 1.5), ([5, 3], 40.0), ([9, 4], 1e9)] {
            let mut map = Tensor::zeros(&shape);
            map.data[0] = 6.0;
            let sum = gaussian_smooth(&map, sigma).unwrap().sum();
            assert!((sum - 6.0).abs() < 1e-5, "{shape:?} {sigma}: {sum}");
        }
        let map = Tensor::new(&[1, 2], vec![1.0, 2.0]);
        assert_eq!(gaussian_smooth(&map, 0.0).unwrap(), map);
        assert!(gaussian_smooth(&map, -1.0).is_err());
        assert!(gaussian_smooth(&map, f32::NAN).is_err());
    }
}
