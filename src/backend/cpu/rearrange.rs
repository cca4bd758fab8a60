use rayon::prelude::*;

use super::real::Real;
use super::stages::Output;
use super::view::Input;
use crate::program::Kernel;

/// Elements that a thread moves at least.
const TOGETHER: usize = 1 << 12;

/// `y[i] = x[table[i]]`, elements counted in the views' channels; or the fill value, or zero.
pub fn rearrange<T: Real>(x: &Input<T>, y: &Output<T>, table: &[u32], fill: T) {
    assert_eq!(table.len(), y.height * y.width * y.channels, "a table entry for every element");
    let is_whole = x.pitch == x.channels;
    // Where an element lies in its item; only the pixels of a part lie apart.
    let place = |from: usize| match is_whole {
        true => from,
        false => from / x.channels * x.pitch + x.offset + from % x.channels,
    };
    let moved = |item: &[T], from: u32| match from {
        Kernel::FILL => fill,
        Kernel::ZERO => T::ZERO,
        from => item[place(from as usize)],
    };
    if y.is_plain() {
        let parts = table.len().div_ceil(TOGETHER);
        (0..y.items * parts).into_par_iter().for_each(|task| {
            let (n, first) = (task / parts, task % parts * TOGETHER);
            let table = &table[first..table.len().min(first + TOGETHER)];
            let (item, at) = (x.item(n), n * y.height * y.width * y.channels + first);
            // SAFETY: the buffer outlives the step, and every element is one task's.
            let values = unsafe { y.sink.shared.slice(at..at + table.len()) };
            values.iter_mut().zip(table).for_each(|(value, &from)| *value = moved(item, from));
        });
        return;
    }
    y.each_pixel(
        #[inline(always)]
        |at, values| {
            let (item, first) = (x.item(at.n), (at.y * y.width + at.x) * y.channels + at.channel);
            values.iter_mut().zip(&table[first..]).for_each(|(value, &from)| *value = moved(item, from));
        },
    );
}
