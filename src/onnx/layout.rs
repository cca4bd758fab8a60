//! Index arithmetic: where each element of a result comes from. It serves constants and activations alike.

use crate::graph::Rearrange;

/// A result's dimensions, and for each of its elements the source element or [`Rearrange::FILL`].
pub(super) struct Layout {
    pub dims: Vec<usize>,
    pub table: Vec<u32>,
}

/// C-order strides.
pub(super) fn strides(dims: &[usize]) -> Vec<usize> {
    let mut strides = Vec::with_capacity(dims.len());
    let mut step = 1usize;
    for &dim in dims.iter().rev() {
        strides.push(step);
        step = step.saturating_mul(dim);
    }
    strides.reverse();
    strides
}

/// `offset + sum_a i_a stride_a` for every index of a block of these dimensions, in C order.
fn strided(dims: &[usize], strides: &[usize]) -> Vec<u32> {
    let mut table = vec![0u32];
    for (&dim, &stride) in dims.iter().zip(strides) {
        let step = |base: u32| (0..dim).map(move |i| base.wrapping_add((i * stride) as u32));
        table = table.into_iter().flat_map(step).collect();
    }
    table
}

/// The dimensions that two operands broadcast to.
pub(super) fn broadcast_dims(a: &[usize], b: &[usize]) -> Option<Vec<usize>> {
    let rank = a.len().max(b.len());
    let padded = |dims: &[usize]| {
        let mut out = vec![1; rank - dims.len()];
        out.extend(dims);
        out
    };
    let joined = padded(a).into_iter().zip(padded(b)).map(|pair| match pair {
        (a, b) if a == b => Some(a),
        (1, b) => Some(b),
        (a, 1) => Some(a),
        _ => None,
    });
    joined.collect()
}

/// Repeats elements so that `from` fills `to`, which it broadcasts to.
pub(super) fn expand(from: &[usize], to: &[usize]) -> Option<Layout> {
    if broadcast_dims(from, to)? != to {
        return None;
    }
    let lead = to.len() - from.len();
    let mut steps = vec![0; lead];
    steps.extend(strides(from).into_iter().zip(from).map(|(stride, &dim)| if dim == 1 { 0 } else { stride }));
    Some(Layout { dims: to.to_vec(), table: strided(to, &steps) })
}

/// `None` where `perm` is not a permutation of the axes.
pub(super) fn transpose(dims: &[usize], perm: &[usize]) -> Option<Layout> {
    let mut sorted = perm.to_vec();
    sorted.sort_unstable();
    if !sorted.into_iter().eq(0..dims.len()) {
        return None;
    }
    let source = strides(dims);
    let out: Vec<usize> = perm.iter().filter_map(|&a| dims.get(a).copied()).collect();
    let steps: Vec<usize> = perm.iter().filter_map(|&a| source.get(a).copied()).collect();
    let table = strided(&out, &steps);
    Some(Layout { dims: out, table })
}

/// Takes the given positions along one axis; a position of `FILL` comes from nowhere.
pub(super) fn select(dims: &[usize], axis: usize, picks: &[u32]) -> Layout {
    let before: usize = dims.iter().take(axis).product();
    let size = dims.get(axis).copied().unwrap_or(1);
    let inner: usize = dims.iter().skip(axis + 1).product();
    let mut table = Vec::with_capacity(before.saturating_mul(picks.len()).saturating_mul(inner));
    for outer in 0..before {
        for &pick in picks {
            if pick == Rearrange::FILL {
                table.extend(std::iter::repeat_n(Rearrange::FILL, inner));
            } else {
                let base = (outer * size + pick as usize) * inner;
                table.extend((base..base + inner).map(|i| i as u32));
            }
        }
    }
    let mut dims = dims.to_vec();
    if let Some(dim) = dims.get_mut(axis) {
        *dim = picks.len();
    }
    Layout { dims, table }
}

/// The table that does `first` and then `second`.
pub(super) fn compose(first: &[u32], second: &[u32]) -> Vec<u32> {
    second.iter().map(|&i| first.get(i as usize).copied().unwrap_or(Rearrange::FILL)).collect()
}

impl Layout {
    pub fn identity(dims: Vec<usize>) -> Self {
        let len: usize = dims.iter().product();
        Self { dims, table: (0..len as u32).collect() }
    }

    /// Takes positions along one more axis.
    pub fn then_select(self, axis: usize, picks: &[u32]) -> Self {
        let next = select(&self.dims, axis, picks);
        Self { table: compose(&self.table, &next.table), dims: next.dims }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn transposing_twice_is_nothing() {
        let dims = [2, 3, 4];
        let there = transpose(&dims, &[2, 0, 1]).unwrap();
        assert_eq!(there.dims, [4, 2, 3]);
        assert_eq!(there.table.iter().take(3).copied().collect::<Vec<_>>(), [0, 4, 8]);
        let back = transpose(&there.dims, &[1, 2, 0]).unwrap();
        assert!(compose(&there.table, &back.table).into_iter().eq(0..24));
        assert!(transpose(&dims, &[0, 0, 1]).is_none());
    }

    #[test]
    fn selecting_and_expanding() {
        let picked = select(&[2, 3], 1, &[2, Rearrange::FILL]);
        assert_eq!((picked.dims, picked.table), (vec![2, 2], vec![2, u32::MAX, 5, u32::MAX]));
        let wide = expand(&[2, 1], &[2, 2, 3]).unwrap();
        assert_eq!(wide.table, [0, 0, 0, 1, 1, 1, 0, 0, 0, 1, 1, 1]);
        assert!(expand(&[2], &[3]).is_none());
        assert_eq!(broadcast_dims(&[3, 1], &[4]), Some(vec![3, 4]));
    }
}
