use std::ops::Range;

use super::{Layout, Part};
use crate::graph::{Constant, SpaceToDepth};

/// A constant as a kernel wants it: a part of the stored one, arranged for the physical channels of its step.
///
/// Backends materialise weights at load and may share them by [`Weight::key`].
#[derive(Clone, Debug)]
pub struct Weight {
    pub source: Constant,
    pub part: Part,
    pub arrangement: Arrangement,
    /// Channel of the stored one, of its outputs for a convolution, that comes first.
    pub first: usize,
}

/// What tells weights apart.
pub type WeightKey = (usize, Part, Arrangement, usize);

/// Order of a materialised weight, channels fastest.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Arrangement {
    /// From `[out, in / groups, kh, kw]` to `[kh, kw, merged in / groups, out]`, both channel axes physical. A grouped
    /// convolution has dense layouts, and only the end of `out` is padded. Where blocks of pixels are channels, `kernel` is over
    /// blocks. `merged` neighbouring groups are one. What no stored value is for is zero as in a padding lane.
    Conv {
        kernel: [usize; 2],
        groups: usize,
        merged: usize,
        input: Layout,
        output: Layout,
        space_to_depth: Option<SpaceToDepth>,
    },
    /// From `[c, 1, kh, kw]` to `[kh, kw, c]`, c physical.
    Depthwise { kernel: [usize; 2], layout: Layout },
    /// From `[c]` (or one value for all) to physical `[c]`.
    Channel { layout: Layout },
}

impl Weight {
    /// A per-channel constant.
    pub fn channel(source: &Constant, part: Part, layout: &Layout) -> Self {
        Self { source: source.clone(), part, arrangement: Arrangement::Channel { layout: layout.clone() }, first: 0 }
    }

    /// Equal for weights that materialise alike (while both constants live).
    pub fn key(&self) -> WeightKey {
        (self.source.identity(), self.part, self.arrangement.clone(), self.first)
    }

    /// The weight at some of its physical channels, those that are fastest.
    #[must_use]
    pub fn cut(&self, range: Range<usize>) -> Self {
        let mut cut = self.clone();
        let layout = match &mut cut.arrangement {
            Arrangement::Conv { output, .. } => output,
            Arrangement::Depthwise { layout, .. } | Arrangement::Channel { layout } => layout,
        };
        let (part, before) = layout.cut(range);
        *layout = part;
        cut.first += before;
        cut
    }

    /// The filters of a convolution with `count` neighbouring groups as one: zeros for each other's channels. There, what is infinite
    /// in one group is not a number in the others.
    #[must_use]
    pub fn merging(&self, count: usize) -> Self {
        let mut wider = self.clone();
        if let Arrangement::Conv { merged, .. } = &mut wider.arrangement {
            *merged *= count;
        }
        wider
    }

    /// How many values a kernel reads, padding included.
    pub fn physical(&self) -> usize {
        match &self.arrangement {
            Arrangement::Conv { kernel: [h, w], groups, merged, input, output, .. } => {
                h * w * output.physical() * if *groups == 1 { input.physical() } else { input.real() / groups * merged }
            }
            Arrangement::Depthwise { kernel: [h, w], layout } => h * w * layout.physical(),
            Arrangement::Channel { layout } => layout.physical(),
        }
    }

    /// Values in the physical order of the arrangement, zero in padding lanes.
    pub fn materialise(&self) -> Vec<f64> {
        self.arranged(0.0, |v| v)
    }

    /// The same rounded to f32.
    pub fn materialise_f32(&self) -> Vec<f32> {
        self.arranged(0.0, |v| v as f32)
    }

    fn arranged<T: Copy>(&self, zero: T, round: impl Fn(f64) -> T) -> Vec<T> {
        let value = |i: usize| round(self.part.of(self.source.get(i)));
        match &self.arrangement {
            Arrangement::Channel { layout } => {
                let mut values = vec![zero; layout.physical()];
                let one = self.source.len() == 1;
                for (channel, place) in layout.places().into_iter().enumerate() {
                    values[place] = value(if one { 0 } else { self.first + channel });
                }
                values
            }
            Arrangement::Depthwise { kernel, layout } => {
                let taps = kernel[0] * kernel[1];
                let pitch = layout.physical();
                let mut values = vec![zero; taps * pitch];
                for (channel, place) in layout.places().into_iter().enumerate() {
                    for tap in 0..taps {
                        values[tap * pitch + place] = value((self.first + channel) * taps + tap);
                    }
                }
                values
            }
            Arrangement::Conv { kernel, groups, merged, input, output, space_to_depth } => {
                let taps = kernel[0] * kernel[1];
                let [in_group, out_group] = [input, output].map(|layout| layout.real() / groups);
                let filter = match space_to_depth {
                    Some(SpaceToDepth { block, kernel, .. }) => {
                        in_group / (block[0] * block[1]) * kernel[0] * kernel[1]
                    }
                    None => in_group * taps,
                };
                let in_places = if *groups == 1 { input.places() } else { (0..in_group).collect() };
                let in_physical = if *groups == 1 { input.physical() } else { in_group * merged };
                let out_physical = output.physical();
                let mut values = vec![zero; taps * in_physical * out_physical];
                for (o, out_place) in output.places().into_iter().enumerate() {
                    let before = o / out_group % merged * in_group;
                    for (i, &in_place) in in_places.iter().enumerate() {
                        for tap in 0..taps {
                            let stored = match space_to_depth {
                                Some(blocks) => blocks.stored(i, [tap / kernel[1], tap % kernel[1]]),
                                None => Some(i * taps + tap),
                            };
                            if let Some(at) = stored {
                                let place = (tap * in_physical + before + in_place) * out_physical + out_place;
                                values[place] = value((self.first + o) * filter + at);
                            }
                        }
                    }
                }
                values
            }
        }
    }
}
