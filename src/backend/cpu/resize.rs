//! Resampling along one axis as a list of weighted cells.

use super::real::Real;
use crate::graph::{Resize, ResizeMode};

/// For every output cell of an axis the input cells that it reads, with their weights.
pub fn reads<T: Real>(resize: &Resize, axis: usize, cells: usize, outputs: usize) -> Vec<Vec<(usize, T)>> {
    let last = cells - 1;
    let read = |o: usize| {
        let source = (resize.scale[axis] * o as f64 + resize.offset[axis]).clamp(0.0, last as f64);
        let low = source.floor();
        let share = source - low;
        match resize.mode {
            ResizeMode::Nearest => vec![(low as usize, T::ONE)],
            ResizeMode::Bilinear if share == 0.0 => vec![(low as usize, T::ONE)],
            ResizeMode::Bilinear => {
                vec![(low as usize, T::from_f64(1.0 - share)), (low as usize + 1, T::from_f64(share))]
            }
        }
    };
    (0..outputs).map(read).collect()
}

/// For every input cell the output cells that read it, in their order.
pub fn readers<T: Real>(resize: &Resize, axis: usize, cells: usize, outputs: usize) -> Vec<Vec<(usize, T)>> {
    let mut readers = vec![Vec::new(); cells];
    for (o, reads) in reads(resize, axis, cells, outputs).into_iter().enumerate() {
        for (i, weight) in reads {
            readers[i].push((o, weight));
        }
    }
    readers
}
