use super::real::Real;
use super::stages::Output;
use super::view::Input;

/// `y[0] = min(0, x)`, `y[1] = max(0, x)` and `y[2] = sum 0 x` over the pixels and channels of row p for output pixel p; the other
/// lanes are zero. What is not a number is neither least nor greatest; `y[2]` shows it, and what is infinite.
pub fn range<T: Real>(x: &Input<T>, y: &Output<T>) {
    y.each_pixel(
        #[inline(always)]
        |at, values| {
            if at.channel > 0 {
                return;
            }
            let (mut least, mut greatest, mut mark) = (T::ZERO, T::ZERO, T::ZERO);
            for v in (0..x.width).flat_map(|column| x.pixel(at.n, at.y * y.width + at.x, column)) {
                least = if *v < least { *v } else { least };
                greatest = if *v > greatest { *v } else { greatest };
                mark += T::ZERO * *v;
            }
            values[..3].copy_from_slice(&[least, greatest, mark]);
        },
    );
}
