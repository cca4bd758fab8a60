use std::borrow::Cow;
use std::ops::Range;

/// Values of items without padding, in the type that their owner has them in.
///
/// ```
/// use fluoroscope::backend::Values;
///
/// let values = Values::from(vec![1.5f32, -2.0]);
/// assert_eq!((values.len(), values.into_f64()), (2, vec![1.5, -2.0]));
/// ```
#[derive(Clone, Debug, PartialEq)]
pub enum Values<'a> {
    F32(Cow<'a, [f32]>),
    F64(Cow<'a, [f64]>),
    U8(Cow<'a, [u8]>),
}

/// In as many sums as vectors have room for, so that no addition waits for the one before.
fn sum<T: Copy>(values: &[T], number: impl Fn(T) -> f64) -> (f64, usize) {
    const SUMS: usize = 16;
    let (mut sums, mut odd) = ([0.0; SUMS], [0u32; SUMS]);
    let mut add = |at: usize, v: f64| {
        sums[at] += v;
        odd[at] += u32::from(!v.is_finite());
    };
    let whole = values.chunks_exact(SUMS);
    let rest = whole.remainder();
    whole.for_each(|run| run.iter().enumerate().for_each(|(at, v)| add(at, number(*v))));
    rest.iter().enumerate().for_each(|(at, v)| add(at, number(*v)));
    (sums.iter().sum(), odd.iter().map(|odd| *odd as usize).sum())
}

impl Values<'_> {
    pub fn len(&self) -> usize {
        match self {
            Self::F32(values) => values.len(),
            Self::F64(values) => values.len(),
            Self::U8(values) => values.len(),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Some of them.
    pub fn part(&self, range: Range<usize>) -> Values<'_> {
        match self {
            Self::F32(values) => Values::from(&values[range]),
            Self::F64(values) => Values::from(&values[range]),
            Self::U8(values) => Values::from(&values[range]),
        }
    }

    /// As many runs of `len` values as there are.
    pub fn chunks(&self, len: usize) -> impl Iterator<Item = Values<'_>> {
        (0..self.len() / len).map(move |i| self.part(i * len..(i + 1) * len))
    }

    /// Calls `see` with every value.
    pub fn each(&self, see: impl FnMut(f64)) {
        match self {
            Self::F32(values) => values.iter().copied().map(f64::from).for_each(see),
            Self::F64(values) => values.iter().copied().for_each(see),
            Self::U8(values) => values.iter().copied().map(f64::from).for_each(see),
        }
    }

    /// The sum of all, and how many are not finite: sums of every sixteenth, one after another.
    pub fn sum(&self) -> (f64, usize) {
        match self {
            Self::F32(values) => sum(values, f64::from),
            Self::F64(values) => sum(values, |v| v),
            Self::U8(values) => sum(values, f64::from),
        }
    }

    /// Every value becomes its absolute value.
    pub fn make_absolute(&mut self) {
        match self {
            Self::F32(values) => values.to_mut().iter_mut().for_each(|v| *v = v.abs()),
            Self::F64(values) => values.to_mut().iter_mut().for_each(|v| *v = v.abs()),
            Self::U8(_) => {}
        }
    }

    pub fn into_f32(self) -> Vec<f32> {
        match self {
            Self::F32(values) => values.into_owned(),
            Self::F64(values) => values.iter().map(|&v| v as f32).collect(),
            Self::U8(values) => values.iter().copied().map(f32::from).collect(),
        }
    }

    pub fn into_f64(self) -> Vec<f64> {
        match self {
            Self::F32(values) => values.iter().copied().map(f64::from).collect(),
            Self::F64(values) => values.into_owned(),
            Self::U8(values) => values.iter().copied().map(f64::from).collect(),
        }
    }

    /// Numbers that are no levels, `0..=255`, become the nearest below.
    pub fn into_u8(self) -> Vec<u8> {
        match self {
            Self::F32(values) => values.iter().map(|&v| v as u8).collect(),
            Self::F64(values) => values.iter().map(|&v| v as u8).collect(),
            Self::U8(values) => values.into_owned(),
        }
    }
}

impl Default for Values<'_> {
    fn default() -> Self {
        Self::F32(Cow::Borrowed(&[]))
    }
}

impl<'a> From<&'a [f32]> for Values<'a> {
    fn from(values: &'a [f32]) -> Self {
        Self::F32(Cow::Borrowed(values))
    }
}

impl<'a> From<&'a [f64]> for Values<'a> {
    fn from(values: &'a [f64]) -> Self {
        Self::F64(Cow::Borrowed(values))
    }
}

impl<'a> From<&'a [u8]> for Values<'a> {
    fn from(values: &'a [u8]) -> Self {
        Self::U8(Cow::Borrowed(values))
    }
}

impl From<Vec<f32>> for Values<'_> {
    fn from(values: Vec<f32>) -> Self {
        Self::F32(Cow::Owned(values))
    }
}

impl From<Vec<f64>> for Values<'_> {
    fn from(values: Vec<f64>) -> Self {
        Self::F64(Cow::Owned(values))
    }
}

impl From<Vec<u8>> for Values<'_> {
    fn from(values: Vec<u8>) -> Self {
        Self::U8(Cow::Owned(values))
    }
}
