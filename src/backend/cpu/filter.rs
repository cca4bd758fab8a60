use std::ops::Range;

use crate::program::Arrangement;

/// Weights `[tap, i, o]` of a convolution, `o` fastest.
pub struct Filter<'a, T> {
    pub values: &'a [T],
    pub groups: usize,
    /// Input channels of a group (all physical ones where there is one group).
    pub inputs: usize,
    /// Output channels of a group, likewise.
    pub outputs: usize,
    /// Physical output channels of all groups.
    pub pitch: usize,
}

impl<'a, T> Filter<'a, T> {
    pub fn new(values: &'a [T], arrangement: &Arrangement) -> Self {
        let Arrangement::Conv { groups, input, output, .. } = arrangement else {
            panic!("a convolution with weights arranged as {arrangement:?}");
        };
        let pitch = output.physical();
        let (inputs, outputs) = match groups {
            1 => (input.physical(), pitch),
            _ => (input.real() / groups, output.real() / groups),
        };
        Self { values, groups: *groups, inputs, outputs, pitch }
    }

    /// Input channels of a group.
    #[inline(always)]
    pub fn inputs_of(&self, group: usize) -> Range<usize> {
        group * self.inputs..(group + 1) * self.inputs
    }

    /// Output channels of a group.
    #[inline(always)]
    pub fn outputs_of(&self, group: usize) -> Range<usize> {
        group * self.outputs..(group + 1) * self.outputs
    }

    /// `w[tap, i, run]`, `i` counted within its group.
    #[inline(always)]
    pub fn row(&self, tap: usize, i: usize, run: Range<usize>) -> &'a [T] {
        &self.values[(tap * self.inputs + i) * self.pitch..][run]
    }

    /// The parts of `channels` of the output that lie in one group each; what lies in none is padding.
    #[inline(always)]
    pub fn runs(&self, channels: &Range<usize>) -> impl Iterator<Item = (usize, Range<usize>)> + use<T> {
        let (groups, outputs, channels) = (self.groups, self.outputs, channels.clone());
        let last = channels.end.div_ceil(outputs).min(groups);
        (channels.start / outputs..last)
            .map(move |group| (group, channels.start.max(group * outputs)..channels.end.min((group + 1) * outputs)))
    }
}
