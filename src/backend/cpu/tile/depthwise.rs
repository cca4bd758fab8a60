//! Depthwise convolution and its data gradient.

use core::ops::Range;

use rayon::prelude::*;

use super::pack::{Axis, Pass};
use super::schedule::cut;
use super::vector::{Level, Operation, Vector};
use super::{Geometry, Sink, TILE_CHANNELS, Tile, View};

/// Most pixels of a tile: their accumulators, one register each for a chunk of
/// channels, fit every register file along with a weight and an input.
const ROWS: usize = 8;

/// Multiply-adds worth a task of their own.
const TASK_WORK: usize = 1 << 19;

/// Computes `y[n, oy, ox, c]`, the sum over `ky, kx` of
/// `x[n, oy * stride - pad + ky * dilation, …, c] * w[ky, kx, c]`, each element
/// handed to `sink` once.
///
/// # Panics
///
/// Panics if `x` or `weights` is too short.
pub fn depthwise_forward(geometry: &Geometry, x: View<'_>, weights: &[f32], sink: &dyn Sink) {
    run(Level::detect(), Pass::Forward, geometry, x, weights, sink);
}

/// Computes the data gradient of [`depthwise_forward`] from the gradient `m_y`
/// of its output, each element handed to `sink` once.
///
/// # Panics
///
/// Panics if `m_y` or `weights` is too short.
pub fn depthwise_backward(geometry: &Geometry, m_y: View<'_>, weights: &[f32], sink: &dyn Sink) {
    run(Level::detect(), Pass::Backward, geometry, m_y, weights, sink);
}

/// Runs a pass with the registers of `level`; panics if the processor lacks it.
pub(super) fn run(level: Level, pass: Pass, geometry: &Geometry, x: View<'_>, weights: &[f32], sink: &dyn Sink) {
    let axes = Axis::phases(geometry, pass);
    let channels = geometry.in_channels;
    assert!(level <= Level::detect());
    assert_eq!([geometry.groups, geometry.out_channels], [channels; 2]);
    assert!(weights.len() >= geometry.kernel[0] * geometry.kernel[1] * channels);
    let rows = geometry.images * axes[0].output;
    let row_work = axes[1].output * channels * geometry.kernel[0] * geometry.kernel[1];
    let size = (TASK_WORK / row_work.max(1)).max(1);
    let ranges: Vec<Range<usize>> = cut(rows, size).collect();
    ranges.into_par_iter().for_each(|rows| {
        let kernel_w = geometry.kernel[1];
        let rows = Rows { axes: &axes, kernel_w, channels, x, weights, rows, sink };
        // SAFETY: the level is checked above.
        unsafe { level.dispatch(rows) }
    });
}

/// A tap of an output row.
#[derive(Clone, Copy)]
struct Tap {
    /// Horizontal offset.
    dx: isize,
    /// Position of the input of lattice column 0, which may lie before the row.
    input: isize,
    /// Position of the weights.
    weights: usize,
}

/// The horizontal lattice at one origin.
struct Columns {
    origin: usize,
    offsets: Vec<isize>,
    /// Number of lattice points.
    points: usize,
    /// The points at which all offsets meet the input.
    inner: Range<usize>,
}

impl Columns {
    fn new(axis: &Axis, origin: usize) -> Self {
        let (offsets, points) = (axis.offsets(origin), axis.points(origin));
        let meets = |point: &usize| offsets.iter().all(|d| axis.meets(*point, *d));
        let start = (0..points).find(meets).unwrap_or(points);
        let end = start + (start..points).take_while(meets).count();
        Self { origin, offsets, points, inner: start..end }
    }
}

/// A task: rows of the output, counted over the images.
struct Rows<'a> {
    axes: &'a [Axis; 2],
    kernel_w: usize,
    channels: usize,
    x: View<'a>,
    weights: &'a [f32],
    rows: Range<usize>,
    sink: &'a dyn Sink,
}

impl Operation for Rows<'_> {
    #[inline(always)]
    unsafe fn run<V: Vector>(self) {
        let axis = &self.axes[1];
        let lattices: Vec<_> = axis.origins().map(|origin| Columns::new(axis, origin)).collect();
        let (mut taps, mut edge) = (Vec::new(), Vec::new());
        for row in self.rows.clone() {
            for columns in &lattices {
                self.list_taps(row, columns, &mut taps);
                let inner = columns.inner.clone();
                for range in cut(inner.len(), ROWS) {
                    let points = inner.start + range.start..inner.start + range.end;
                    // SAFETY: the caller's.
                    unsafe { self.tile::<V>(row, columns, points, &taps) };
                }
                for point in (0..inner.start).chain(inner.end..columns.points) {
                    edge.clear();
                    edge.extend(taps.iter().filter(|tap| axis.meets(point, tap.dx)));
                    // SAFETY: the caller's.
                    unsafe { self.tile::<V>(row, columns, point..point + 1, &edge) };
                }
            }
        }
    }
}

impl Rows<'_> {
    /// Lists the taps of a row that meet the input vertically.
    fn list_taps(&self, row: usize, columns: &Columns, taps: &mut Vec<Tap>) {
        let [ay, ax] = self.axes;
        let (image, y) = (row / ay.output, row % ay.output);
        let (origin, point) = (y % ay.spacing, y / ay.spacing);
        taps.clear();
        for dy in ay.offsets(origin).into_iter().filter(|dy| ay.meets(point, *dy)) {
            let iy = ((point * ay.step) as isize + dy) as usize;
            let start = ((image * ay.input + iy) * ax.input) as isize;
            for dx in &columns.offsets {
                let indices = (ay.kernel_index(origin, dy), ax.kernel_index(columns.origin, *dx));
                if let (Some(ky), Some(kx)) = indices {
                    taps.push(Tap {
                        dx: *dx,
                        input: (start + dx) * self.x.pixel_stride as isize,
                        weights: (ky * self.kernel_w + kx) * self.channels,
                    });
                }
            }
        }
    }

    /// Computes the lattice points `points` of a row, at most [`ROWS`], whose
    /// taps are `taps`, and hands them to the sink.
    ///
    /// # Safety
    ///
    /// The instruction set of `V` must be enabled.
    #[inline(always)]
    unsafe fn tile<V: Vector>(&self, row: usize, columns: &Columns, points: Range<usize>, taps: &[Tap]) {
        let axis = &self.axes[1];
        let pitch = axis.step * self.x.pixel_stride;
        let reach = (points.len() - 1) * pitch + self.channels;
        let start = (points.start * pitch) as isize;
        for tap in taps {
            assert!(tap.input + start >= 0);
            assert!((tap.input + start) as usize + reach <= self.x.data.len());
            assert!(tap.weights + self.channels <= self.weights.len());
        }
        let mut values = [0.0; ROWS * TILE_CHANNELS];
        for channel in (0..self.channels).step_by(TILE_CHANNELS) {
            let channels = TILE_CHANNELS.min(self.channels - channel);
            for lane in (0..channels).step_by(V::LANES) {
                let product = Product {
                    x: self.x.data.as_ptr().wrapping_offset(start).wrapping_add(channel + lane),
                    weights: self.weights.as_ptr().wrapping_add(channel + lane),
                    pitch,
                    lanes: channels - lane,
                    taps,
                };
                // SAFETY: checked above for all channels.
                unsafe { product.select::<V>(points.len(), &mut values[lane..]) };
            }
            self.sink.finish(Tile {
                pixel: row * axis.output + columns.origin + points.start * axis.spacing,
                step: axis.spacing,
                rows: points.len(),
                channel,
                channels,
                values: &mut values,
            });
        }
    }
}

/// One register of channels of a tile.
struct Product<'a> {
    /// The inputs of the first pixel and channel at tap input 0.
    x: *const f32,
    /// The weights of the first channel at tap weights 0.
    weights: *const f32,
    /// Distance between the inputs of two pixels.
    pitch: usize,
    /// Number of channels from the first on.
    lanes: usize,
    taps: &'a [Tap],
}

impl Product<'_> {
    /// Computes `rows` pixels.
    ///
    /// # Safety
    ///
    /// That of [`Self::accumulate`].
    #[inline(always)]
    unsafe fn select<V: Vector>(&self, rows: usize, to: &mut [f32]) {
        macro_rules! select {
            ($($rows:literal)*) => {
                match rows {
                    // SAFETY: the caller's.
                    $($rows => unsafe { self.accumulate::<V, $rows>(to) },)*
                    _ => unreachable!("a tile of {rows} rows"),
                }
            };
        }
        select!(1 2 3 4 5 6 7 8);
    }

    /// Computes `P` pixels, each in one register.
    ///
    /// # Safety
    ///
    /// The instruction set of `V` must be enabled, and the inputs of all pixels
    /// and the weights must be valid at all taps.
    #[inline(always)]
    unsafe fn accumulate<V: Vector, const P: usize>(&self, to: &mut [f32]) {
        assert!((P - 1) * TILE_CHANNELS + V::LANES <= to.len());
        // SAFETY: the caller's; the mask excludes the lanes past the channels.
        unsafe {
            let mask = V::mask(self.lanes);
            let mut sums = [V::zero(); P];
            for tap in self.taps {
                let x = self.x.wrapping_offset(tap.input);
                let factor = V::load_masked(self.weights.wrapping_add(tap.weights), mask);
                for (p, sum) in sums.iter_mut().enumerate() {
                    let x = V::load_masked(x.wrapping_add(p * self.pitch), mask);
                    *sum = x.mul_add(factor, *sum);
                }
            }
            for (p, sum) in sums.iter().enumerate() {
                sum.store(to.as_mut_ptr().add(p * TILE_CHANNELS));
            }
        }
    }
}
