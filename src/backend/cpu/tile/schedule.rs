//! Division of a pass into tasks.

use core::ops::Range;

use super::TILE_CHANNELS;
use super::band::Band;
use super::pack::{Axis, Lattice};

/// Bytes of input that stay in the second-level cache beside the weights.
const BAND_BYTES: usize = 1 << 20;

/// Bytes a core takes from the outer caches in a cycle, cautiously.
const BYTES_PER_CYCLE: usize = 6;

/// Cycles to start a task.
const TASK_CYCLES: usize = 3000;

/// Part of a pass: some lattice rows of some images, some blocks of channels.
#[derive(Clone, Debug)]
pub(super) struct Task {
    pub lattice: usize,
    pub images: Range<usize>,
    pub rows: Range<usize>,
    pub blocks: Range<usize>,
}

/// Extent of a task.
#[derive(Clone, Copy)]
struct Size {
    images: usize,
    rows: usize,
    blocks: usize,
}

/// Cuts `0..len` in the fewest parts of at most `size`, as even as possible.
pub(super) fn cut(len: usize, size: usize) -> impl Iterator<Item = Range<usize>> + Clone {
    let parts = len.div_ceil(size);
    (0..parts).map(move |i| i * len / parts..(i + 1) * len / parts)
}

/// Divides the lattices' work on `images` images among `threads` threads.
pub(super) fn tasks(axes: &[Axis; 2], lattices: &[Lattice], images: usize, inputs: usize, threads: usize) -> Vec<Task> {
    let mut tasks = Vec::new();
    for (index, lattice) in lattices.iter().enumerate() {
        let size = best_size(axes, lattice, images, inputs, threads);
        for images in cut(images, size.images) {
            for rows in cut(lattice.points[0], size.rows) {
                for blocks in cut(lattice.blocks.len(), size.blocks) {
                    let (images, rows) = (images.clone(), rows.clone());
                    tasks.push(Task { lattice: index, images, rows, blocks });
                }
            }
        }
    }
    tasks
}

/// The task size of least estimated time: whole images or row bands of one,
/// times a share of the blocks.
fn best_size(axes: &[Axis; 2], lattice: &Lattice, images: usize, inputs: usize, threads: usize) -> Size {
    let height = lattice.points[0].max(1);
    let blocks = lattice.blocks.len().max(1);
    let bands = (2..=height.min(16 * threads)).map(|parts| (1, height.div_ceil(parts)));
    let shapes = (1..=images.max(1)).map(|images| (images, height)).chain(bands);
    let shares = (0..).map(|i| blocks >> i).take_while(|share| *share > 0);
    let sizes = shapes.flat_map(|(images, rows)| shares.clone().map(move |blocks| Size { images, rows, blocks }));
    let cost = |size: &Size| {
        let count = images.div_ceil(size.images) * height.div_ceil(size.rows) * blocks.div_ceil(size.blocks);
        let task = task_cycles(axes, lattice, inputs, *size);
        // Half a task more for each thread, since they do not end together.
        if threads == 1 { 2 * count * task } else { (2 * count.div_ceil(threads) + 1) * task }
    };
    sizes.min_by_key(cost).unwrap_or(Size { images: 1, rows: height, blocks })
}

/// Estimated cycles of a task: one for each pixel, tap, input and block, and
/// the traffic of the weights and of the input, which returns for each block
/// unless it stays in the cache.
fn task_cycles(axes: &[Axis; 2], lattice: &Lattice, inputs: usize, size: Size) -> usize {
    let depth = lattice.blocks.first().map_or(0, |block| block.inputs.len()) * lattice.taps();
    let sizes = [size.rows, lattice.points[1]];
    let [rows, columns] = [0, 1].map(|i| Band::new(&axes[i], &lattice.offsets[i], 0..sizes[i]).len);
    let band = size.images * rows * columns * inputs * size_of::<f32>();
    let passes = if band > BAND_BYTES { size.blocks + 1 } else { 2 };
    let weights = size.blocks * depth * TILE_CHANNELS * size_of::<f32>();
    let compute = size.images * size.rows * lattice.points[1] * size.blocks * depth;
    compute + (band * passes + weights) / BYTES_PER_CYCLE + TASK_CYCLES
}
