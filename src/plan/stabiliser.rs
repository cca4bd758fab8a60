//! What keeps the denominators of the LRP rules from zero.

use super::Planner;
use super::backward::global_pool;
use crate::graph::ValueId;
use crate::program::{BufferId, Element, Kernel, Operand, Per, Prologue, Stage, Step, View};

/// `eps sgn0(z)`, or `eps rms sgn0(z)`, is added to a denominator z.
#[derive(Clone, Debug)]
pub struct Stabiliser {
    pub eps: f64,
    /// The root of the mean square of the image's z, of one pixel and one channel.
    pub rms: Option<Operand>,
}

/// Halves have 11 bits at most: a denominator this much smaller than the others is rounding.
const LEAST_RELATIVE: f64 = 1.0 / 4096.0;

/// Physical channels of a sum.
const LANES: usize = 4;

/// A tensor of which the root mean square is known: its buffer, its first channel, its channels, and whether it is scaled.
pub type Known = (BufferId, usize, usize, bool);

impl Planner<'_> {
    /// The stabiliser of `z`, which has the shape of `value`: epsilon as it is, and in half precision, where an absolute one
    /// may be nothing beside z or let `1 / z` overflow, relative to z.
    pub fn stabiliser(&mut self, value: ValueId, z: &Operand, label: &str) -> Stabiliser {
        let eps = self.options.epsilon;
        if !self.graph.precision.is_half() {
            return Stabiliser { eps, rms: None };
        }
        let key = (z.view.buffer, z.view.offset, z.view.channels, z.scale_shift.is_some());
        let rms = match self.rms.get(&key) {
            Some(rms) => *rms,
            None => self.root_mean_square(value, z, label),
        };
        self.rms.insert(key, rms);
        let rms = Operand { one_pixel: true, one_channel: true, ..rms.into() };
        Stabiliser { eps: eps.max(LEAST_RELATIVE), rms: Some(rms) }
    }

    /// Row by row, then all rows: `sqrt(sum z z / n)` of each image's real elements. Of a value of the forward part it is
    /// computed there, so that a kernel of the backward part which comes before can have stages that read it.
    fn root_mean_square(&mut self, value: ValueId, z: &Operand, label: &str) -> View {
        let shape = self.graph.shape(value);
        let [rows, rms] = [shape.height, 1].map(|height| self.sums("rms", height, LANES));
        for view in [rows, rms] {
            self.buffers[view.buffer.0].per = Per::Image;
        }
        let prologue = z.scale_shift.clone().map(|image| Prologue { scale_shift: Some(image), activation: None });
        let step = |kernel, input, output, prologue, stages| {
            let (label, inputs, weights) = (label.to_owned(), vec![input], Vec::new());
            Step { label, kernel, inputs, weights, output, prologue, stages }
        };
        let kernel = Kernel::PoolAverageForward { pool: global_pool(shape.height, 1), sum: true };
        let stages = vec![Stage::Multiply { factor: 1.0 / shape.len() as f64 }, Stage::Root];
        let steps =
            [step(Kernel::SquareRows, z.view, rows, prologue, Vec::new()), step(kernel, rows, rms, None, stages)];
        if self.producers.makes(z.view) {
            steps.into_iter().for_each(|step| self.append(step));
        } else {
            self.prepared.extend(steps);
        }
        rms
    }

    /// A column of sums a message, which are never halves.
    pub fn sums(&mut self, name: &str, height: usize, channels: usize) -> View {
        let view = self.new_buffer(name, height, 1, channels);
        self.buffers[view.buffer.0].element = Element::Float;
        view
    }
}
