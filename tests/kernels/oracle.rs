//! The formulas in f64, as slow plain loops over NCHW arrays.

use fluoroscope::graph::{Activation, Pool, PoolKind, Resize, ResizeMode};
use fluoroscope::program::ConvParams;

#[derive(Clone, Debug, PartialEq)]
pub struct Array {
    pub n: usize,
    pub c: usize,
    pub h: usize,
    pub w: usize,
    pub data: Vec<f64>,
}

impl Array {
    pub fn zeros(n: usize, [c, h, w]: [usize; 3]) -> Self {
        Self { n, c, h, w, data: vec![0.0; n * c * h * w] }
    }

    pub fn from_fn(n: usize, [c, h, w]: [usize; 3], mut f: impl FnMut([usize; 4]) -> f64) -> Self {
        let mut array = Self::zeros(n, [c, h, w]);
        for i in 0..array.data.len() {
            array.data[i] = f([i / w / h / c, i / w / h % c, i / w % h, i % w]);
        }
        array
    }

    pub fn shape(&self) -> [usize; 3] {
        [self.c, self.h, self.w]
    }

    #[inline(always)]
    pub fn at(&self, [n, c, y, x]: [usize; 4]) -> f64 {
        self.data[((n * self.c + c) * self.h + y) * self.w + x]
    }

    #[inline(always)]
    pub fn add(&mut self, [n, c, y, x]: [usize; 4], v: f64) {
        self.data[((n * self.c + c) * self.h + y) * self.w + x] += v;
    }

    /// The value at signed coordinates, `None` outside.
    #[inline(always)]
    fn inside(&self, y: i64, x: i64) -> Option<(usize, usize)> {
        let within = |v: i64, size: usize| usize::try_from(v).ok().filter(|v| *v < size);
        Some((within(y, self.h)?, within(x, self.w)?))
    }

    pub fn dot(&self, other: &Self) -> f64 {
        assert_eq!(self.shape(), other.shape());
        self.data.iter().zip(&other.data).map(|(a, b)| a * b).sum()
    }
}

/// The cell under a tap of a window.
#[inline(always)]
fn cell(o: usize, k: usize, stride: usize, dilation: usize, pad: usize) -> i64 {
    (o * stride + k * dilation) as i64 - pad as i64
}

/// Calls `f(output, input, weight)`, places in their data, for every product of a convolution of `x`-shaped items.
#[inline(always)]
fn products(x: &Array, y: &Array, p: &ConvParams, mut f: impl FnMut(usize, usize, usize)) {
    let (in_group, out_group) = (x.c / p.groups, y.c / p.groups);
    let [kh, kw] = p.kernel;
    let rows: Vec<_> = (0..kh).map(|ky| under_tap(ky, y.h, x.h, p, 0)).collect();
    let columns: Vec<_> = (0..kw).map(|kx| under_tap(kx, y.w, x.w, p, 1)).collect();
    for (n, o, i) in (0..y.n).flat_map(|n| (0..y.c).flat_map(move |o| (0..in_group).map(move |i| (n, o, i)))) {
        let (to, from) = (n * y.c + o, n * x.c + o / out_group * in_group + i);
        for (ky, kx) in (0..kh).flat_map(|ky| (0..kw).map(move |kx| (ky, kx))) {
            let weight = ((o * in_group + i) * kh + ky) * kw + kx;
            for &(oy, iy) in &rows[ky] {
                let (to, from) = ((to * y.h + oy) * y.w, (from * x.h + iy) * x.w);
                for &(ox, ix) in &columns[kx] {
                    f(to + ox, from + ix, weight);
                }
            }
        }
    }
}

/// The outputs along an axis for which a tap lies inside of the input, and where.
fn under_tap(k: usize, outputs: usize, inputs: usize, p: &ConvParams, axis: usize) -> Vec<(usize, usize)> {
    let at = |o: usize| cell(o, k, p.stride[axis], p.dilation[axis], p.pads[axis]);
    (0..outputs).filter_map(|o| Some((o, usize::try_from(at(o)).ok().filter(|i| *i < inputs)?))).collect()
}

/// `w` is `[out, in / groups, kh, kw]`.
pub fn conv(x: &Array, w: &[f64], shape: [usize; 3], p: &ConvParams) -> Array {
    let mut y = Array::zeros(x.n, shape);
    let like = y.clone();
    products(x, &like, p, |to, from, weight| y.data[to] += x.data[from] * w[weight]);
    y
}

pub fn conv_transposed(m_y: &Array, w: &[f64], shape: [usize; 3], p: &ConvParams) -> Array {
    let mut m_x = Array::zeros(m_y.n, shape);
    let like = m_x.clone();
    products(&like, m_y, p, |to, from, weight| m_x.data[from] += m_y.data[to] * w[weight]);
    m_x
}

/// In-bounds cells of window (oy, ox) with their place in the window.
fn window(x: &Array, oy: usize, ox: usize, pool: &Pool) -> Vec<(usize, usize, usize)> {
    let mut cells = Vec::new();
    for ky in 0..pool.kernel[0] {
        for kx in 0..pool.kernel[1] {
            let iy = cell(oy, ky, pool.stride[0], pool.dilation[0], pool.pads[0]);
            let ix = cell(ox, kx, pool.stride[1], pool.dilation[1], pool.pads[1]);
            if let Some((iy, ix)) = x.inside(iy, ix) {
                cells.push((iy, ix, ky * pool.kernel[1] + kx));
            }
        }
    }
    cells
}

/// Largest values and the winners' places.
pub fn max_pool(x: &Array, [h, w]: [usize; 2], pool: &Pool) -> (Array, Array) {
    let mut places = Array::zeros(x.n, [x.c, h, w]);
    let y = Array::from_fn(x.n, [x.c, h, w], |[n, c, oy, ox]| {
        let cells = window(x, oy, ox, pool);
        let largest = cells.iter().map(|&(iy, ix, _)| x.at([n, c, iy, ix])).fold(f64::NEG_INFINITY, f64::max);
        let first = cells.iter().find(|&&(iy, ix, _)| x.at([n, c, iy, ix]) == largest);
        places.add([n, c, oy, ox], first.expect("a window has a cell").2 as f64);
        largest
    });
    (y, places)
}

/// Sends `share(n, c, oy, ox)` to the winners.
pub fn to_winners(
    like: &Array,
    n: usize,
    places: impl Fn([usize; 4]) -> f64,
    [h, w]: [usize; 2],
    pool: &Pool,
    share: impl Fn([usize; 4]) -> f64,
) -> Array {
    let mut m_x = Array::zeros(n, like.shape());
    for at in (0..n * like.c * h * w).map(|i| [i / w / h / like.c, i / w / h % like.c, i / w % h, i % w]) {
        for (iy, ix, place) in window(like, at[2], at[3], pool) {
            if place as f64 == places(at) {
                m_x.add([at[0], at[1], iy, ix], share(at));
            }
        }
    }
    m_x
}

fn divisor(x: &Array, oy: usize, ox: usize, pool: &Pool) -> f64 {
    if pool.kind != (PoolKind::Average { include_pad: true }) {
        return window(x, oy, ox, pool).len() as f64;
    }
    let mut count = 0;
    for ky in 0..pool.kernel[0] {
        for kx in 0..pool.kernel[1] {
            let y = oy * pool.stride[0] + ky * pool.dilation[0];
            let x_ = ox * pool.stride[1] + kx * pool.dilation[1];
            let inside = y < x.h + pool.pads[0] + pool.pads[2] && x_ < x.w + pool.pads[1] + pool.pads[3];
            count += usize::from(inside);
        }
    }
    count as f64
}

pub fn average_pool(x: &Array, [h, w]: [usize; 2], pool: &Pool, sum: bool) -> Array {
    Array::from_fn(x.n, [x.c, h, w], |[n, c, oy, ox]| {
        let total: f64 = window(x, oy, ox, pool).iter().map(|&(iy, ix, _)| x.at([n, c, iy, ix])).sum();
        if sum { total } else { total / divisor(x, oy, ox, pool) }
    })
}

pub fn average_pool_transposed(m_y: &Array, shape: [usize; 3], pool: &Pool) -> Array {
    let mut m_x = Array::zeros(m_y.n, shape);
    let like = m_x.clone();
    for i in 0..m_y.data.len() {
        let at = [i / m_y.w / m_y.h / m_y.c, i / m_y.w / m_y.h % m_y.c, i / m_y.w % m_y.h, i % m_y.w];
        for (iy, ix, _) in window(&like, at[2], at[3], pool) {
            m_x.add([at[0], at[1], iy, ix], m_y.at(at) / divisor(&like, at[2], at[3], pool));
        }
    }
    m_x
}

/// Dense matrix of a resampling along one axis, by the hat function around the clamped source.
fn resize_matrix(resize: &Resize, axis: usize, cells: usize, outputs: usize) -> Vec<Vec<f64>> {
    let source = |o: usize| (resize.scale[axis] * o as f64 + resize.offset[axis]).max(0.0).min(cells as f64 - 1.0);
    let weight = |o: usize, i: usize| match resize.mode {
        ResizeMode::Nearest => f64::from(source(o).floor() == i as f64),
        ResizeMode::Bilinear => (1.0 - (source(o) - i as f64).abs()).max(0.0),
    };
    (0..outputs).map(|o| (0..cells).map(|i| weight(o, i)).collect()).collect()
}

pub fn resize(x: &Array, [h, w]: [usize; 2], resize: &Resize, transposed: bool) -> Array {
    let (cells, outputs) = if transposed { ([h, w], [x.h, x.w]) } else { ([x.h, x.w], [h, w]) };
    let vertical = resize_matrix(resize, 0, cells[0], outputs[0]);
    let horizontal = resize_matrix(resize, 1, cells[1], outputs[1]);
    let entry =
        |matrix: &[Vec<f64>], to: usize, from: usize| if transposed { matrix[from][to] } else { matrix[to][from] };
    Array::from_fn(x.n, [x.c, h, w], |[n, c, oy, ox]| {
        let mut sum = 0.0;
        for iy in 0..x.h {
            for ix in 0..x.w {
                sum += entry(&vertical, oy, iy) * entry(&horizontal, ox, ix) * x.at([n, c, iy, ix]);
            }
        }
        sum
    })
}

/// `2 / sqrt(pi) exp(-x^2) sum_n 2^n x^(2 n + 1) / (2 n + 1)!!`, whose terms have one sign (Abramowitz and Stegun, 7.1.6).
fn erf(x: f64) -> f64 {
    // There it is 1 to the last bit, and the series is long.
    if x.abs() > 6.0 {
        return x.signum();
    }
    let (mut term, mut sum, mut odd) = (x, x, 1.0);
    while term.abs() > 1e-17 * sum.abs() {
        odd += 2.0;
        term *= 2.0 * x * x / odd;
        sum += term;
    }
    2.0 / std::f64::consts::PI.sqrt() * (-x * x).exp() * sum
}

fn normal_cdf(z: f64) -> f64 {
    0.5 * (1.0 + erf(z / 2f64.sqrt()))
}

pub fn value(f: &Activation, z: f64, slope: f64) -> f64 {
    match f {
        Activation::Relu => z.max(0.0),
        Activation::Clip { low, high } => z.max(*low).min(*high),
        Activation::LeakyRelu { slope } => {
            if z > 0.0 {
                z
            } else {
                slope * z
            }
        }
        Activation::PRelu { .. } => {
            if z > 0.0 {
                z
            } else {
                slope * z
            }
        }
        Activation::Elu { alpha } => {
            if z > 0.0 {
                z
            } else {
                alpha * (z.exp() - 1.0)
            }
        }
        Activation::Sigmoid => z.exp() / (1.0 + z.exp()),
        Activation::HardSigmoid { alpha, beta } => (alpha * z + beta).clamp(0.0, 1.0),
        Activation::HardSwish => z * (z / 6.0 + 0.5).clamp(0.0, 1.0),
        Activation::Tanh => z.sinh() / z.cosh(),
        Activation::Softplus => (1.0 + z.exp()).ln(),
        Activation::Silu => z * z.exp() / (1.0 + z.exp()),
        Activation::Gelu => z * normal_cdf(z),
        Activation::Reciprocal => 1.0 / z,
    }
}

pub fn derivative(f: &Activation, z: f64, slope: f64) -> f64 {
    let s = 1.0 / (1.0 + (-z).exp());
    match f {
        Activation::Relu => f64::from(z > 0.0),
        Activation::Clip { low, high } => f64::from(z > *low && z < *high),
        Activation::LeakyRelu { slope } => {
            if z > 0.0 {
                1.0
            } else {
                *slope
            }
        }
        Activation::PRelu { .. } => {
            if z > 0.0 {
                1.0
            } else {
                slope
            }
        }
        Activation::Elu { alpha } => {
            if z > 0.0 {
                1.0
            } else {
                alpha * z.exp()
            }
        }
        Activation::Sigmoid => s * (1.0 - s),
        Activation::HardSigmoid { alpha, beta } => {
            if alpha * z + beta > 0.0 && alpha * z + beta < 1.0 {
                *alpha
            } else {
                0.0
            }
        }
        Activation::HardSwish => {
            if z <= -3.0 {
                0.0
            } else if z >= 3.0 {
                1.0
            } else {
                z / 3.0 + 0.5
            }
        }
        Activation::Tanh => 1.0 / z.cosh().powi(2),
        Activation::Softplus => s,
        Activation::Silu => s + z * s * (1.0 - s),
        Activation::Gelu => normal_cdf(z) + z * (-z * z / 2.0).exp() / (2.0 * std::f64::consts::PI).sqrt(),
        Activation::Reciprocal => -1.0 / (z * z),
    }
}

/// `mean` and `sqrt(variance + epsilon)` over the channels of a pixel.
fn moments(x: &Array, [n, _, h, w]: [usize; 4], epsilon: f64) -> [f64; 2] {
    let mean_of = |f: &dyn Fn(f64) -> f64| (0..x.c).map(|c| f(x.at([n, c, h, w]))).sum::<f64>() / x.c as f64;
    let mean = mean_of(&|x| x);
    [mean, (mean_of(&|x| (x - mean).powi(2)) + epsilon).sqrt()]
}

pub fn layer_norm(x: &Array, epsilon: f64) -> Array {
    Array::from_fn(x.n, x.shape(), |at| {
        let [mean, deviation] = moments(x, at, epsilon);
        (x.at(at) - mean) / deviation
    })
}

/// `sum_k m_k dy_k/dx_c` with `dy_k/dx_c = ([k = c] - 1/C) / s - (x_k - mean) (x_c - mean) / (C s^3)`; the second part
/// is that of the deviation s.
pub fn layer_norm_transposed(m: &Array, x: &Array, epsilon: f64, fixed: bool) -> Array {
    let count = x.c as f64;
    Array::from_fn(x.n, x.shape(), |at| {
        let [mean, deviation] = moments(x, at, epsilon);
        let [n, c, h, w] = at;
        let derivative = |k: usize| {
            let linear = (f64::from(u8::from(k == c)) - 1.0 / count) / deviation;
            let of_deviation = (x.at([n, k, h, w]) - mean) * (x.at(at) - mean) / (count * deviation.powi(3));
            if fixed { linear } else { linear - of_deviation }
        };
        (0..x.c).map(|k| m.at([n, k, h, w]) * derivative(k)).sum()
    })
}
