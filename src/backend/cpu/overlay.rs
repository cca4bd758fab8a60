use rayon::prelude::*;

use super::real::Real;
use super::view::{Canvas, Input};
use crate::program::OverlayParams;

/// `y = x + part (colour - x)`, rounded, where x is the picture magnified. Inside the window, colour and part are those of the
/// map's value between four cells; outside, black and `dimmed`.
pub fn overlay<T: Real>(
    map: &Input<T>,
    range: &Input<T>,
    picture: &Input<u8>,
    colours: &[T],
    y: &Canvas,
    params: &OverlayParams,
) {
    let [left, top, width, height] = params.window;
    let columns = taps::<T>(y.width, params.factor, [left, width], map.width);
    let rows = taps::<T>(y.height, params.factor, [top, height], map.height);
    let (alpha, dimmed) = (T::from_f64(params.alpha.into()), T::from_f64(params.dimmed.into()));
    (0..y.items * y.height).into_par_iter().for_each(|line| {
        let (n, oy) = (line / y.height, line % y.height);
        let scale = Scale::new(range.pixel(n, 0, 0), params.symmetric);
        for (ox, column) in columns.iter().enumerate() {
            let (colour, part) = match (&rows[oy], column) {
                (Some(row), Some(column)) => {
                    let cell = |y, x| map.lanes(n, y, x, 0, 1)[0];
                    let along = |y| column.between(cell(y, column.low), cell(y, column.high));
                    let (place, strength) = scale.place(row.between(along(row.low), along(row.high)));
                    (colour(colours, place), alpha * strength)
                }
                _ => ([T::ZERO; 3], dimmed),
            };
            let part = part.at_least(T::ZERO).at_most(T::ONE);
            let x = picture.pixel(n, oy / params.factor, ox / params.factor);
            let mut levels = [0; 4];
            for ((level, x), colour) in levels.iter_mut().zip(x).zip(colour) {
                let x = T::from_f64(f64::from(*x));
                *level = (x + part * (colour - x) + T::from_f64(0.5)).to_f64() as u8;
            }
            // SAFETY: the line is this thread's.
            unsafe { y.sink.store(line * y.width + ox, 0, &levels) };
        }
    });
}

/// Two neighbours in the map and how far a point lies towards the second.
struct Tap<T> {
    low: usize,
    high: usize,
    part: T,
}

impl<T: Real> Tap<T> {
    fn between(&self, low: T, high: T) -> T {
        low * (T::ONE - self.part) + high * self.part
    }
}

/// For each of `pixels` magnified pixels: where its centre lies in a map of `cells` over the window.
fn taps<T: Real>(pixels: usize, factor: usize, window: [f32; 2], cells: usize) -> Vec<Option<Tap<T>>> {
    let number = |n: usize| T::from_f64(n as f64);
    let half = T::from_f64(0.5);
    let [start, length] = window.map(|v| T::from_f64(v.into()));
    let tap = |i: usize| {
        let share = ((number(i) + half) / number(factor) - start) / length;
        (share >= T::ZERO && share <= T::ONE).then(|| {
            let at = (share * number(cells) - half).at_least(T::ZERO).at_most(number(cells - 1));
            let low = at.to_f64() as usize;
            Tap { low, high: (low + 1).min(cells - 1), part: at - number(low) }
        })
    };
    (0..pixels).map(tap).collect()
}

/// The values at the two ends of the colours.
struct Scale<T> {
    low: T,
    high: T,
}

impl<T: Real> Scale<T> {
    /// From the lanes of a range.
    fn new(range: &[T], symmetric: bool) -> Self {
        let high = if symmetric { range[1].at_least(-range[0]) } else { range[1] };
        Self { low: if symmetric { -high } else { T::ZERO }, high }
    }

    /// Where a value lies on the scale and how strong it is, both `0..=1`; zero on a scale without extent, and where the value
    /// is not a number.
    fn place(&self, value: T) -> (T, T) {
        // Halved, so that the width of the widest scale is finite.
        let half = |v: T| v * T::from_f64(0.5);
        let width = half(self.high) - half(self.low);
        if width <= T::ZERO {
            return (T::ZERO, T::ZERO);
        }
        let number = |v: T| if v.is_nan() { T::ZERO } else { v.at_least(T::ZERO).at_most(T::ONE) };
        let place = number((half(value) - half(self.low)) / width);
        let strength = if self.low < T::ZERO { number(value.abs() / self.high) } else { place };
        (place, strength)
    }
}

/// Between two of the colours.
fn colour<T: Real>(colours: &[T], place: T) -> [T; 3] {
    let last = colours.len() / 4 - 1;
    let at = place * T::from_f64(last as f64);
    let low = at.to_f64() as usize;
    let part = at - T::from_f64(low as f64);
    let (low, high) = (&colours[4 * low..], &colours[4 * (low + 1).min(last)..]);
    std::array::from_fn(|i| low[i] + part * (high[i] - low[i]))
}
