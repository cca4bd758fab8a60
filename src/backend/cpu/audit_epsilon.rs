use super::dot::{PARTIAL, accumulate, total};
use super::prologue::Source;
use super::real::Real;
use super::stages::Output;
use super::view::Input;

/// `y[0] = sum s b` and `y[1] = eps sum s sgn0(z)` over the pixels and channels of a row, with `eps rms` for eps where that is
/// given; the other lanes are zero. Without z, s is zero wherever z is negative.
pub fn audit_epsilon<T: Real>(
    s: &Input<T>,
    z: Option<&Source<T>>,
    rms: Option<&Input<T>>,
    bias: Option<&[T]>,
    y: &Output<T>,
    eps: T,
) {
    y.each_pixel(
        #[inline(always)]
        |at, sums| {
            if at.channel > 0 {
                return;
            }
            let mut to_bias = [T::ZERO; PARTIAL];
            let mut to_eps = [T::ZERO; PARTIAL];
            let mut scratch = z.map(|z| z.scratch(s.channels));
            for x in 0..s.width {
                let share = s.pixel(at.n, at.y, x);
                if let Some(bias) = bias {
                    accumulate(&mut to_bias, [share, bias], |[s, b]| s * b);
                }
                match z.zip(scratch.as_mut()) {
                    Some((z, scratch)) => {
                        let z = z.lanes([at.n, at.y, x], 0, s.channels, scratch);
                        accumulate(&mut to_eps, [share, z], |[s, z]| if z < T::ZERO { -s } else { s });
                    }
                    None => accumulate(&mut to_eps, [share], |[s]| s),
                }
            }
            let eps = rms.map_or(eps, |rms| eps * rms.pixel(at.n, 0, 0)[0]);
            (sums[0], sums[1]) = (total(to_bias), eps * total(to_eps));
        },
    );
}
