//! A plain array on the host, in the order that files and Python use.

/// Values of shape `shape`, row-major; images are `[C, H, W]` or `[N, C, H, W]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    pub shape: Vec<usize>,
    pub data: Vec<f32>,
}

impl Tensor {
    /// An array of zeros.
    pub fn zeros(shape: &[usize]) -> Self {
        Self { shape: shape.to_vec(), data: vec![0.0; shape.iter().product()] }
    }

    /// `data` in the given shape.
    ///
    /// # Panics
    /// If the number of values is not the product of the shape.
    pub fn new(shape: &[usize], data: Vec<f32>) -> Self {
        assert_eq!(shape.iter().product::<usize>(), data.len(), "{} values for shape {shape:?}", data.len());
        Self { shape: shape.to_vec(), data }
    }

    /// The largest absolute value; 0 for an empty array.
    pub fn peak(&self) -> f32 {
        self.data.iter().fold(0.0, |peak, v| peak.max(v.abs()))
    }

    /// The sum, accumulated in f64.
    pub fn sum(&self) -> f64 {
        self.data.iter().map(|&v| f64::from(v)).sum()
    }
}

/// The place of the first value that is no number, or infinite.
pub(crate) fn first_not_finite(values: &[f32]) -> Option<usize> {
    // Run by run, since a search that may end anywhere keeps a compiler from vectors.
    let is_finite = |run: &[f32]| run.iter().fold(true, |finite, v| finite & v.is_finite());
    if values.chunks(4096).all(is_finite) { None } else { values.iter().position(|v| !v.is_finite()) }
}
