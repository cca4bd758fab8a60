use super::real::Real;
use super::stages::Output;
use super::view::Input;

/// `y[m,c] = 1` where `x[c]` is the m-th greatest of the logits that the mask has, in total order, equal ones in order of their
/// channels; message m is the m-th of `messages` of its image.
pub fn rank_seeds<T: Real>(x: &Input<T>, mask: &[T], y: &Output<T>, messages: usize) {
    y.each_whole_pixel(|at, values| {
        let x: Vec<f64> = x.pixel(at.n, at.y, at.x).iter().map(|v| v.to_f64()).collect();
        let mut order: Vec<usize> = (0..x.len()).filter(|&c| mask[c] != T::ZERO).collect();
        let rank = at.n % messages;
        if rank < order.len() {
            let (_, &mut found, _) = order.select_nth_unstable_by(rank, |&a, &b| x[b].total_cmp(&x[a]).then(a.cmp(&b)));
            values[found] = T::ONE;
        }
    });
}
