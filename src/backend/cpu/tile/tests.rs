//! The passes against plain loops in `f64`.

use core::sync::atomic::{AtomicU32, Ordering::Relaxed};

use super::pack::Pass;
use super::*;

/// A convolution to test: its geometry and the excess of the pixel stride over
/// the channel count.
#[derive(Clone, Copy, Debug)]
struct Case {
    geometry: Geometry,
    excess: usize,
}

/// A case from its input `[height, width, channels]`.
fn case(input: [usize; 3], out_channels: usize, kernel: [usize; 2]) -> Case {
    let [in_h, in_w, in_channels] = input;
    let geometry = Geometry {
        images: 1,
        in_h,
        in_w,
        in_channels,
        out_h: 0,
        out_w: 0,
        out_channels,
        kernel,
        stride: [1, 1],
        dilation: [1, 1],
        pads: [0; 4],
        groups: 1,
    };
    Case { geometry, excess: 0 }.sized()
}

impl Case {
    /// Completes the output size.
    fn sized(mut self) -> Self {
        let g = &mut self.geometry;
        let size = |len: usize, i: usize| {
            let padded = len + g.pads[i] + g.pads[i + 2];
            let window = (g.kernel[i] - 1) * g.dilation[i] + 1;
            (padded + g.stride[i]).saturating_sub(window) / g.stride[i]
        };
        (g.out_h, g.out_w) = (size(g.in_h, 0), size(g.in_w, 1));
        self
    }

    fn images(mut self, images: usize) -> Self {
        self.geometry.images = images;
        self
    }

    fn pads(mut self, pads: [usize; 4]) -> Self {
        self.geometry.pads = pads;
        self.sized()
    }

    fn stride(mut self, stride: [usize; 2]) -> Self {
        self.geometry.stride = stride;
        self.sized()
    }

    fn dilation(mut self, dilation: [usize; 2]) -> Self {
        self.geometry.dilation = dilation;
        self.sized()
    }

    fn groups(mut self, groups: usize) -> Self {
        self.geometry.groups = groups;
        self
    }

    fn excess(mut self, excess: usize) -> Self {
        self.excess = excess;
        self
    }

    /// Pixels of an image and channels, of the input and of the output of the
    /// pass.
    fn sizes(&self, pass: Pass) -> [[usize; 2]; 2] {
        let g = &self.geometry;
        let input = [g.in_h * g.in_w, g.in_channels];
        let output = [g.out_h * g.out_w, g.out_channels];
        match pass {
            Pass::Forward => [input, output],
            Pass::Backward => [output, input],
        }
    }

    fn input(&self, pass: Pass) -> Vec<f32> {
        let [[pixels, channels], _] = self.sizes(pass);
        noise(self.geometry.images * pixels * (channels + self.excess), 1)
    }

    fn weights(&self) -> Vec<f32> {
        let g = &self.geometry;
        noise(g.kernel[0] * g.kernel[1] * g.in_channels / g.groups * g.out_channels, 2)
    }

    /// The pass in `f64`, and the sums of the absolute products.
    fn expected(&self, pass: Pass, x: &[f32], w: &[f32]) -> Vec<(f64, f64)> {
        let g = &self.geometry;
        let [[_, inputs], [pixels, outputs]] = self.sizes(pass);
        let mut y = vec![(0.0, 0.0); g.images * pixels * outputs];
        let [ic_group, oc_group] = [g.in_channels / g.groups, g.out_channels / g.groups];
        self.for_each_tap(|image, [oy, ox], [iy, ix], tap| {
            let input = (image * g.in_h + iy) * g.in_w + ix;
            let output = (image * g.out_h + oy) * g.out_w + ox;
            for oc in 0..g.out_channels {
                for i in 0..ic_group {
                    let ic = oc / oc_group * ic_group + i;
                    let weight = f64::from(w[(tap * ic_group + i) * g.out_channels + oc]);
                    let (from, to) = match pass {
                        Pass::Forward => ((input, ic), (output, oc)),
                        Pass::Backward => ((output, oc), (input, ic)),
                    };
                    let value = f64::from(x[from.0 * (inputs + self.excess) + from.1]);
                    let sum = &mut y[to.0 * outputs + to.1];
                    sum.0 += value * weight;
                    sum.1 += (value * weight).abs();
                }
            }
        });
        y
    }

    /// Calls `visit(image, output, input, tap)` for each tap that meets the
    /// input.
    fn for_each_tap(&self, mut visit: impl FnMut(usize, [usize; 2], [usize; 2], usize)) {
        let g = &self.geometry;
        let input = |o: usize, k: usize, i: usize| {
            let at = (o * g.stride[i] + k * g.dilation[i]).checked_sub(g.pads[i])?;
            (at < [g.in_h, g.in_w][i]).then_some(at)
        };
        for image in 0..g.images {
            for (oy, ox) in (0..g.out_h).flat_map(|y| (0..g.out_w).map(move |x| (y, x))) {
                for tap in 0..g.kernel[0] * g.kernel[1] {
                    let [ky, kx] = [tap / g.kernel[1], tap % g.kernel[1]];
                    if let (Some(iy), Some(ix)) = (input(oy, ky, 0), input(ox, kx, 1)) {
                        visit(image, [oy, ox], [iy, ix], tap);
                    }
                }
            }
        }
    }

    /// The pass under test; panics unless each element is emitted once.
    fn actual(&self, pass: Pass, level: Level, depthwise: bool, x: &[f32], w: &[f32]) -> Vec<f32> {
        let g = &self.geometry;
        let [[_, inputs], [pixels, outputs]] = self.sizes(pass);
        let unset = f32::NAN.to_bits();
        let y: Vec<_> = (0..g.images * pixels * outputs).map(|_| AtomicU32::new(unset)).collect();
        let sink = |tile: Tile<'_>| {
            assert!(tile.rows > 0 && tile.channels > 0 && tile.channels <= TILE_CHANNELS);
            for row in 0..tile.rows {
                let to = (tile.pixel + row * tile.step) * outputs + tile.channel;
                let from = &tile.values[row * TILE_CHANNELS..][..tile.channels];
                for (to, from) in y[to..to + tile.channels].iter().zip(from) {
                    assert_eq!(to.swap(from.to_bits(), Relaxed), unset, "emitted twice");
                }
            }
        };
        let x = View { data: x, pixel_stride: inputs + self.excess };
        match pass {
            _ if depthwise => depthwise::run(level, pass, g, x, w, &sink),
            Pass::Forward => forward(g, x, None, &PackedWeights::forward(g, w).with_level(level), &sink),
            Pass::Backward => {
                backward(g, x, &PackedWeights::backward(g, w).with_level(level), &sink);
            }
        }
        let y: Vec<_> = y.into_iter().map(|y| f32::from_bits(y.into_inner())).collect();
        assert!(y.iter().all(|y| !y.is_nan()), "an element is missing");
        y
    }

    /// Compares one pass at one level to what the plain loops gave, to the images
    /// taken one by one, and to other numbers of threads, the latter two by bits.
    fn check(&self, pass: Pass, level: Level, depthwise: bool, [x, w]: [&[f32]; 2], expected: &[(f64, f64)]) {
        let y = self.actual(pass, level, depthwise, x, w);
        for (i, (y, (sum, scale))) in y.iter().zip(expected).enumerate() {
            let error = (f64::from(*y) - sum).abs();
            assert!(error <= 1e-5 * scale, "{self:?} {pass:?} {level:?}: {y} for {sum} at {i}");
        }
        for threads in [1, 2] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let again = pool.install(|| self.actual(pass, level, depthwise, x, w));
            assert_eq!(again, y, "{self:?} {pass:?} {level:?} on {threads} threads");
        }
        let images = self.geometry.images;
        let single = self.images(1);
        for (x, y) in x.chunks(x.len() / images).zip(y.chunks(y.len() / images)) {
            let alone = single.actual(pass, level, depthwise, x, w);
            assert_eq!(alone, y, "{self:?} {pass:?} {level:?} image by image");
        }
    }

    /// Checks both passes at all levels.
    fn check_all(&self, depthwise: bool) {
        for pass in [Pass::Forward, Pass::Backward] {
            let (x, w) = (self.input(pass), self.weights());
            let expected = self.expected(pass, &x, &w);
            for level in Level::available() {
                self.check(pass, level, depthwise, [&x, &w], &expected);
            }
        }
    }
}

/// Reproducible values in -1..1.
fn noise(len: usize, seed: u32) -> Vec<f32> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / (1 << 23) as f32 - 1.0
    };
    (0..len).map(|_| next()).collect()
}

#[test]
fn pointwise() {
    for (ic, oc) in [(1, 1), (3, 64), (15, 33), (64, 24), (72, 12)] {
        for size in [1, 7, 13, 29] {
            case([size, size, ic], oc, [1, 1]).images(3).check_all(false);
            case([size, size, ic], oc, [1, 1]).excess(5).images(3).check_all(false);
        }
        case([13, 13, ic], oc, [1, 1]).stride([2, 2]).images(3).check_all(false);
        case([7, 13, ic], oc, [1, 1]).stride([3, 1]).excess(3).check_all(false);
        case([7, 7, ic], oc, [1, 1]).pads([1, 0, 2, 1]).images(3).check_all(false);
    }
    case([3, 3, 1024], 33, [1, 1]).images(3).check_all(false);
    case([5, 5, 8], 1024, [1, 1]).images(3).check_all(false);
}

#[test]
fn windows() {
    for (ic, oc) in [(3, 8), (4, 72), (5, 12), (33, 15), (64, 64)] {
        for (kernel, pads) in [
            ([3, 3], [1, 1, 1, 1]),
            ([1, 5], [0, 2, 0, 2]),
            ([5, 3], [0, 2, 3, 1]),
            ([7, 7], [3, 3, 3, 3]),
            ([3, 3], [4, 0, 0, 5]),
        ] {
            for stride in [[1, 1], [2, 2], [3, 3], [1, 2]] {
                let case = case([13, 7, ic], oc, [1, 1]);
                let case = Case { geometry: Geometry { kernel, ..case.geometry }, ..case };
                let case = case.pads(pads).stride(stride);
                case.images(3).check_all(false);
                case.excess(1).check_all(false);
            }
        }
        case([29, 29, ic], oc, [3, 3]).pads([1; 4]).images(3).check_all(false);
        case([29, 13, ic], oc, [3, 3]).dilation([2, 2]).images(3).check_all(false);
        case([13, 13, ic], oc, [3, 5]).pads([4; 4]).dilation([2, 1]).stride([2, 3]).check_all(false);
        case([1, 1, ic], oc, [3, 3]).pads([1; 4]).images(3).check_all(false);
        case([1, 13, ic], oc, [1, 3]).images(3).check_all(false);
        case([13, 1, ic], oc, [3, 1]).stride([2, 1]).images(3).check_all(false);
    }
}

#[test]
fn dense() {
    for (size, ic, oc) in [(1, 64, 33), (3, 5, 8), (7, 24, 72)] {
        for excess in [0, 3] {
            for images in [1, 3, 17] {
                case([size, size, ic], oc, [size, size]).excess(excess).images(images).check_all(false);
            }
        }
        case([size, size, ic], oc, [size, size]).stride([2, 2]).images(3).check_all(false);
    }
    case([5, 5, 8], 12, [7, 9]).pads([1, 2, 1, 2]).images(3).check_all(false);
}

#[test]
fn groups() {
    for (ic, oc, groups) in [(24, 72, 2), (15, 12, 3), (15, 5, 5), (64, 128, 2), (8, 8, 8)] {
        let base = case([13, 7, ic], oc, [3, 3]).pads([1; 4]).groups(groups);
        base.images(3).check_all(false);
        base.excess(4).stride([2, 2]).check_all(false);
        case([7, 7, ic], oc, [1, 1]).groups(groups).images(3).check_all(false);
        case([3, 3, ic], oc, [3, 3]).groups(groups).images(3).check_all(false);
    }
}

#[test]
fn depthwise() {
    for channels in [1, 5, 8, 24, 33, 72] {
        for (kernel, pads) in [([3, 3], [1; 4]), ([5, 5], [2, 2, 2, 2]), ([1, 5], [0, 0, 1, 3])] {
            for stride in [[1, 1], [2, 2], [3, 1]] {
                for size in [7, 13, 29] {
                    let base = case([size, size, channels], channels, kernel);
                    let base = base.groups(channels).pads(pads).stride(stride);
                    base.images(3).check_all(true);
                    base.excess(2).dilation([1, 2]).check_all(true);
                }
            }
        }
        let tall = case([13, 7, channels], channels, [7, 3]).groups(channels);
        tall.pads([0, 2, 3, 0]).images(3).check_all(true);
    }
}
