use std::ops::Range;

use crate::tensor::Tensor;

/// A run of real channels, padded with zero lanes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Segment {
    pub real: usize,
    pub padded: usize,
}

/// Where the real channels of a value lie among its physical ones.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Layout {
    pub segments: Vec<Segment>,
}

impl Layout {
    /// One run, padded to a multiple of 8; up to 4 channels are padded to 4.
    pub fn dense(channels: usize) -> Self {
        let padded = if channels <= 4 { 4 } else { channels.next_multiple_of(8) };
        Self { segments: vec![Segment { real: channels, padded }] }
    }

    /// The channels of several values one after another.
    pub fn concat<'a>(parts: impl IntoIterator<Item = &'a Self>) -> Self {
        Self { segments: parts.into_iter().flat_map(|part| part.segments.iter().copied()).collect() }
    }

    pub fn real(&self) -> usize {
        self.segments.iter().map(|s| s.real).sum()
    }

    pub fn physical(&self) -> usize {
        self.segments.iter().map(|s| s.padded).sum()
    }

    /// All padding is at the end.
    pub fn is_dense(&self) -> bool {
        self.segments.iter().rev().skip(1).all(|s| s.real == s.padded)
    }

    pub fn has_padding(&self) -> bool {
        self.real() != self.physical()
    }

    /// For every real channel its physical one.
    pub fn places(&self) -> Vec<usize> {
        let mut places = Vec::with_capacity(self.real());
        let mut first = 0;
        for segment in &self.segments {
            places.extend(first..first + segment.real);
            first += segment.padded;
        }
        places
    }

    /// Some physical channels, and how many real ones are before them.
    pub fn cut(&self, range: Range<usize>) -> (Self, usize) {
        let (mut segments, mut before, mut first) = (Vec::new(), 0, 0);
        for segment in &self.segments {
            let [start, end] = [range.start, range.end].map(|at| at.clamp(first, first + segment.padded) - first);
            let real = |at: usize| at.min(segment.real);
            if start < end {
                segments.push(Segment { real: real(end) - real(start), padded: end - start });
            }
            before += real(start);
            first += segment.padded;
        }
        (Self { segments }, before)
    }

    /// NCHW items without padding to NHWC items with zero lanes.
    pub fn pack<T: Copy + Default, S: Copy + Into<T>>(&self, items: &[S], area: usize) -> Vec<T> {
        let (places, physical, real) = (self.places(), self.physical(), self.real());
        let count = items.len() / (real * area).max(1);
        let mut packed = vec![T::default(); count * area * physical];
        for (item, out) in items.chunks_exact(real * area).zip(packed.chunks_exact_mut(area * physical)) {
            for (channel, &place) in item.chunks_exact(area).zip(&places) {
                for (value, pixel) in channel.iter().zip(out.chunks_exact_mut(physical)) {
                    pixel[place] = (*value).into();
                }
            }
        }
        packed
    }

    /// NHWC items of `pitch` lanes, this layout beginning at lane `offset`, to NCHW items without padding.
    pub fn unpack<T: Copy>(&self, data: &[T], area: usize, pitch: usize, offset: usize) -> Vec<T> {
        let mut items = Vec::with_capacity(data.len() / pitch * self.real());
        if area == 1 && self.is_dense() {
            data.chunks_exact(pitch).for_each(|pixel| items.extend_from_slice(&pixel[offset..][..self.real()]));
            return items;
        }
        let places = self.places();
        for item in data.chunks_exact(area * pitch) {
            for &place in &places {
                items.extend(item.chunks_exact(pitch).map(|pixel| pixel[offset + place]));
            }
        }
        items
    }
}

impl From<&Tensor> for Layout {
    /// The dense layout of an image `[.., C, H, W]`.
    fn from(tensor: &Tensor) -> Self {
        Self::dense(tensor.shape[tensor.shape.len() - 3])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_keeps_what_is_real() {
        let layout = Layout::concat([&Layout::dense(3), &Layout::dense(13), &Layout::dense(8)]);
        let cut = |range| {
            let (part, before) = layout.cut(range);
            (part.segments.iter().map(|s| (s.real, s.padded)).collect::<Vec<_>>(), before)
        };
        assert_eq!(cut(0..28), (vec![(3, 4), (13, 16), (8, 8)], 0));
        assert_eq!(cut(0..12), (vec![(3, 4), (8, 8)], 0));
        assert_eq!(cut(12..24), (vec![(5, 8), (4, 4)], 11));
        assert_eq!(cut(18..20), (vec![(0, 2)], 16));
        assert_eq!(cut(20..28), (vec![(8, 8)], 16));
    }

    #[test]
    fn packing_is_undone_by_unpacking() {
        let layout = Layout::concat([&Layout::dense(3), &Layout::dense(9), &Layout::dense(8)]);
        assert_eq!((layout.real(), layout.physical()), (20, 4 + 16 + 8));
        let items: Vec<f32> = (0..2 * 20 * 6).map(|i| i as f32 + 1.0).collect();
        let packed: Vec<f32> = layout.pack(&items, 6);
        assert_eq!(packed.iter().filter(|v| **v == 0.0).count(), 2 * 6 * 8);
        assert_eq!(layout.unpack(&packed, 6, layout.physical(), 0), items);
    }
}
