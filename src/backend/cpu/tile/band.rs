//! The input of a task: the tensor itself, or a zero-padded copy of a band.

use core::ops::Range;

use super::pack::{Axis, Lattice, PackedWeights};
use super::schedule::Task;
use super::{Load, View};

/// Pixels at a multiple of this distance, in elements, fall in one set of the
/// first-level cache: 4096 bytes.
const ALIAS: usize = 1024;

/// Elements that set aliasing pixels apart in a band.
const SKEW: usize = 16;

/// Where a task's input lies. The input of lattice point `(image, row, column)`
/// at offset `(dy, dx)` starts at the dot product of `strides` and `(image,
/// row, column)`, less `origin`, plus that of `offsets` and `(dy, dx) - base`.
pub(super) struct Layout {
    pub strides: [usize; 3],
    pub origin: usize,
    pub offsets: [usize; 2],
    pub base: [isize; 2],
}

/// The input of the tasks on one lattice.
pub(super) struct Input<'a> {
    pub x: View<'a>,
    pub load: Option<Load<'a>>,
    pub weights: &'a PackedWeights,
    pub lattice: &'a Lattice,
}

impl Input<'_> {
    /// The layout of the input itself, if it is multiplied as it is, no tap
    /// meets padding and the pixels of a tile do not compete for one cache set.
    pub(super) fn direct(&self) -> Option<Layout> {
        let axes = &self.weights.axes;
        let meets = |i: usize, point: usize| {
            let mut offsets = self.lattice.offsets[i].iter();
            offsets.all(|offset| axes[i].meets(point, *offset))
        };
        let inside = (0..2).all(|i| meets(i, 0) && meets(i, self.lattice.points[i] - 1));
        let stride = self.x.pixel_stride;
        let [height, width] = [axes[0].input, axes[1].input];
        let strides = [height * width, axes[0].step * width, axes[1].step].map(|s| s * stride);
        let aliases = strides[self.lattice.tile_axis()].is_multiple_of(ALIAS);
        ((inside && !aliases && self.load.is_none()) || self.lattice.taps() == 0).then_some(Layout {
            strides,
            origin: 0,
            offsets: [width * stride, stride],
            base: [0, 0],
        })
    }

    /// Copies the task's input to `scratch`: the rows and columns that its taps
    /// touch, with zeros for the padding.
    pub(super) fn pack(&self, task: &Task, scratch: &mut Vec<f32>) -> Layout {
        let (axes, lattice) = (&self.weights.axes, self.lattice);
        let ranges = [task.rows.clone(), 0..lattice.points[1]];
        let [rows, columns] = [0, 1].map(|i| Band::new(&axes[i], &lattice.offsets[i], ranges[i].clone()));
        let channels = self.weights.inputs;
        let aliases = (columns.step * channels).is_multiple_of(ALIAS);
        let pitch = if aliases { channels + SKEW } else { channels };
        let row = columns.len * pitch;
        let count = task.images.len() * rows.len;
        scratch.resize(scratch.len().max(count * row), 0.0);
        for (i, to) in scratch.chunks_exact_mut(row).take(count).enumerate() {
            let image = task.images.start + i / rows.len;
            match rows.source(i % rows.len).filter(|y| *y < axes[0].input) {
                Some(y) => {
                    let pixel = (image * axes[0].input + y) * axes[1].input;
                    self.pack_row(pixel, &columns, pitch, to);
                }
                None => to.fill(0.0),
            }
        }
        let strides = [rows.len * row, rows.step * row, columns.step * pitch];
        Layout {
            strides,
            origin: task.images.start * strides[0] + task.rows.start * strides[1],
            offsets: [row, pitch],
            base: [0, 1].map(|i| lattice.offsets[i][0]),
        }
    }

    /// Copies one row of the input, which starts at flat pixel `pixel`.
    fn pack_row(&self, pixel: usize, columns: &Band, pitch: usize, to: &mut [f32]) {
        let (channels, stride) = (self.weights.inputs, self.x.pixel_stride);
        let (valid, first) = columns.valid(self.weights.axes[1].input);
        to[..valid.start * pitch].fill(0.0);
        to[valid.end * pitch..].fill(0.0);
        let to = &mut to[valid.start * pitch..valid.end * pitch];
        let from = &self.x.data[(pixel + first) * stride..];
        let step = columns.spacing * stride;
        if step == channels && pitch == channels {
            to.copy_from_slice(&from[..to.len()]);
        } else {
            for (to, from) in to.chunks_exact_mut(pitch).zip(from.chunks(step)) {
                to[..channels].copy_from_slice(&from[..channels]);
            }
        }
        if let Some(load) = self.load {
            load(to, pitch);
        }
    }
}

/// The input positions along one axis that a range of lattice points needs.
pub(super) struct Band {
    /// First position, which may lie in the padding.
    first: isize,
    /// Distance between neighbouring positions of the band.
    spacing: usize,
    /// Number of positions.
    pub len: usize,
    /// Distance, in the band, between the positions of neighbouring points.
    step: usize,
}

impl Band {
    /// The band of the points `range`, not empty; a single offset needs no
    /// positions between those of neighbouring points.
    pub(super) fn new(axis: &Axis, offsets: &[isize], range: Range<usize>) -> Self {
        let [first, last] = [offsets.first(), offsets.last()].map(|d| d.copied().unwrap_or(0));
        let (spacing, step) = if first == last { (axis.step, 1) } else { (1, axis.step) };
        Self {
            first: (range.start * axis.step) as isize + first,
            spacing,
            len: (range.len() - 1) * step + (last - first) as usize + 1,
            step,
        }
    }

    /// The input position of band position `i`, unless it is negative.
    fn source(&self, i: usize) -> Option<usize> {
        usize::try_from(self.first + (i * self.spacing) as isize).ok()
    }

    /// The band positions that lie in an input of `len` positions, and the
    /// input position of the first of them.
    fn valid(&self, len: usize) -> (Range<usize>, usize) {
        let inside = |i: &usize| self.source(*i).is_some_and(|x| x < len);
        let start = (0..self.len).find(inside).unwrap_or(self.len);
        let count = (start..self.len).take_while(inside).count();
        (start..start + count, self.source(start).filter(|_| count > 0).unwrap_or(0))
    }
}
