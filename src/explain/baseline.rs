use std::sync::Arc;

use super::ExplainError;
use crate::graph::Shape;
use crate::tensor::Tensor;

/// The reference input of DeepLIFT and integrated gradients, in the network's (normalised) input space.
#[derive(Clone, Debug, Default)]
pub enum Baseline {
    #[default]
    Zero,
    Value(f64),
    /// Every channel's mean over the image.
    Mean,
    /// The image under a Gaussian of this many pixels.
    Blur(f64),
    /// `[C, H, W]`, or `[1, C, H, W]`.
    Tensor(Arc<Tensor>),
}

impl Baseline {
    /// Sigma of `blur` where none is given, in pixels.
    const BLUR: f64 = 10.0;

    /// `zero`, `mean`, `blur`, `blur:SIGMA` or a number; anything else is for the caller (a file).
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "zero" => Some(Self::Zero),
            "mean" => Some(Self::Mean),
            "blur" => Some(Self::Blur(Self::BLUR)),
            _ => match text.strip_prefix("blur:") {
                Some(sigma) => sigma.parse().ok().filter(|s: &f64| s.is_finite() && *s > 0.0).map(Self::Blur),
                None => text.parse().ok().filter(|v: &f64| v.is_finite()).map(Self::Value),
            },
        }
    }

    /// One baseline serves every image.
    pub fn is_shared(&self) -> bool {
        !matches!(self, Self::Mean | Self::Blur(_))
    }

    /// The baseline of one image `[C, H, W]`.
    ///
    /// # Errors
    /// [`ExplainError::BaselineShape`] where a given tensor does not have the input's shape.
    pub fn of(&self, image: &[f64], shape: Shape) -> Result<Vec<f64>, ExplainError> {
        match self {
            Self::Zero => Ok(vec![0.0; shape.len()]),
            Self::Value(value) => Ok(vec![*value; shape.len()]),
            Self::Mean => {
                let mean = |channel: &[f64]| channel.iter().sum::<f64>() / shape.area() as f64;
                Ok(image.chunks_exact(shape.area()).flat_map(|c| vec![mean(c); shape.area()]).collect())
            }
            Self::Blur(sigma) => {
                let blur = |channel: &[f64]| gaussian(channel, shape.height, shape.width, *sigma);
                Ok(image.chunks_exact(shape.area()).flat_map(blur).collect())
            }
            Self::Tensor(tensor) => {
                let want = [shape.channels, shape.height, shape.width];
                let got = match tensor.shape.as_slice() {
                    [1, image @ ..] if image.len() == want.len() => image,
                    shape => shape,
                };
                if got != want {
                    return Err(ExplainError::BaselineShape { want: want.to_vec(), got: tensor.shape.clone() });
                }
                Ok(tensor.data.iter().map(|&v| f64::from(v)).collect())
            }
        }
    }
}

/// A separable Gaussian over one channel, edges clamped, cut at three sigmas.
fn gaussian(channel: &[f64], height: usize, width: usize, sigma: f64) -> Vec<f64> {
    let reach = (3.0 * sigma).ceil() as isize;
    let taps: Vec<f64> = (-reach..=reach).map(|i| (-((i * i) as f64) / (2.0 * sigma * sigma)).exp()).collect();
    let total: f64 = taps.iter().sum();
    let along = |data: &[f64], step: usize, other: usize, len: usize, count: usize| {
        let mut out = vec![0.0; data.len()];
        for line in 0..count {
            for i in 0..len {
                let at = |k: usize| {
                    let j = (i as isize + k as isize - reach).clamp(0, len as isize - 1) as usize;
                    data[line * other + j * step]
                };
                out[line * other + i * step] = taps.iter().enumerate().map(|(k, t)| t * at(k)).sum::<f64>() / total;
            }
        }
        out
    };
    let rows = along(channel, 1, width, width, height);
    along(&rows, width, 1, height, width)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn baselines_of_an_image() {
        let shape = Shape::new(2, 2, 3);
        let image: Vec<f64> = (0..12).map(f64::from).collect();
        assert_eq!(Baseline::Mean.of(&image, shape).unwrap(), [vec![2.5; 6], vec![8.5; 6]].concat());
        assert_eq!(Baseline::parse("-1.5").unwrap().of(&image, shape).unwrap(), vec![-1.5; 12]);
        let blurred = Baseline::parse("blur:2").unwrap().of(&[3.0; 12], shape).unwrap();
        assert!(blurred.iter().all(|v| (v - 3.0).abs() < 1e-12));
        for shape in [&[1, 2, 3][..], &[1, 1, 2, 3]] {
            let file = Baseline::Tensor(Arc::new(Tensor::new(shape, vec![0.5; 6])));
            assert_eq!(file.of(&[0.0; 6], Shape::new(1, 2, 3)).unwrap(), [0.5; 6], "{shape:?}");
        }
        let two = Baseline::Tensor(Arc::new(Tensor::zeros(&[2, 1, 2, 3])));
        assert!(two.of(&[0.0; 6], Shape::new(1, 2, 3)).is_err());
        assert!(Baseline::parse("file.npy").is_none());
        assert!(Baseline::parse("blur:-1").is_none());
    }
}
