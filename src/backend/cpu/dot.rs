//! Products summed over channels, in partial sums that vectorise.

use super::real::Real;

/// Partial sums of a product; their number fixes the order of the additions.
pub const PARTIAL: usize = 16;

/// `partial[r][o mod PARTIAL] += pixels[r][o] row[o]`
#[inline(always)]
pub fn multiply<T: Real, const ROWS: usize>(partial: &mut [[T; PARTIAL]; ROWS], pixels: [&[T]; ROWS], row: &[T]) {
    let (blocks, rest) = row.as_chunks::<PARTIAL>();
    let pixels = pixels.map(|pixel| pixel[..row.len()].as_chunks::<PARTIAL>());
    let mut held = *partial;
    for (at, w) in blocks.iter().enumerate() {
        for r in 0..ROWS {
            let pixel = &pixels[r].0[at];
            for l in 0..PARTIAL {
                held[r][l] += pixel[l] * w[l];
            }
        }
    }
    *partial = held;
    for (l, w) in rest.iter().enumerate() {
        for (partial, pixel) in partial.iter_mut().zip(pixels) {
            partial[l] += pixel.1[l] * *w;
        }
    }
}

/// `partial[i mod PARTIAL] += f(rows[..][i])`
#[inline(always)]
pub fn accumulate<T: Real, const N: usize>(partial: &mut [T; PARTIAL], rows: [&[T]; N], f: impl Fn([T; N]) -> T) {
    let rows = rows.map(|row| row[..rows[0].len()].as_chunks::<PARTIAL>());
    let mut held = *partial;
    for at in 0..rows[0].0.len() {
        for (l, held) in held.iter_mut().enumerate() {
            *held += f(rows.map(|row| row.0[at][l]));
        }
    }
    for (l, held) in held.iter_mut().enumerate().take(rows[0].1.len()) {
        *held += f(rows.map(|row| row.1[l]));
    }
    *partial = held;
}

/// The sum, always in the same order.
#[inline(always)]
pub fn total<T: Real>(mut partial: [T; PARTIAL]) -> T {
    let mut half = PARTIAL / 2;
    while half > 0 {
        for l in 0..half {
            partial[l] += partial[l + half];
        }
        half /= 2;
    }
    partial[0]
}
