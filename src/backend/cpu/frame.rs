//! Binds a step's views to storage.

use std::sync::Arc;

use super::arena::{Storage, Writer};
use super::lanes::{BitLanes, Lanes, Pixels};
use super::prologue::{BoundPrologue, Source};
use super::real::Real;
use super::stages::{BoundStage, Output, Placed, Stabiliser};
use super::tile::PackedWeights;
use super::view::{Canvas, Input, Sink};
use crate::program::{Channels, Operand, Program, Prologue, Stage, Step, View};

/// Materialised weights of a step: its own, those of its prologue, then those of every stage in the order of
/// [`Stage::constants`].
pub struct StepWeights<T> {
    /// Empty slices stand for filters that are packed.
    pub kernel: Vec<Arc<[T]>>,
    pub packed: Option<Arc<PackedWeights>>,
    pub prologue: Vec<Arc<[T]>>,
    pub stages: Vec<Vec<Arc<[T]>>>,
}

impl<T> StepWeights<T> {
    /// Where each is, and its bytes.
    pub fn constants(&self) -> impl Iterator<Item = (usize, usize)> {
        let plain = self.kernel.iter().chain(&self.prologue).chain(self.stages.iter().flatten());
        let plain = plain.map(|weight| (weight.as_ptr().addr(), size_of_val(&**weight)));
        plain.chain(self.packed.iter().map(|packed| (Arc::as_ptr(packed).addr(), packed.bytes())))
    }
}

/// A step while it runs: what it writes is taken out of the slots, the rest is read.
pub struct Frame<'a, T> {
    pub program: &'a Program,
    pub step: &'a Step,
    pub weights: &'a StepWeights<T>,
    pub slots: &'a [Storage<T>],
    /// Slots that the step writes.
    pub writers: &'a [(usize, Writer<T>)],
}

/// Slot of a view's buffer.
pub fn slot_of(program: &Program, view: View) -> usize {
    program.slots.of[view.buffer.0].unwrap_or_else(|| panic!("{} has no slot", program.buffer(view).name))
}

impl<'a, T: Real> Frame<'a, T> {
    pub fn input(&self, i: usize) -> Input<'a, T> {
        self.view(self.step.inputs[i], Storage::floats)
    }

    /// An input with its prologue.
    pub fn source(&self, i: usize) -> Source<'a, T> {
        let bound = |prologue: &'a Prologue| BoundPrologue {
            scale_shift: match &self.weights.prologue[..] {
                [scale, shift] => Some([scale, shift]),
                _ => None,
            },
            activation: prologue.activation.as_ref(),
        };
        Source { input: self.input(i), prologue: self.step.prologue_of(i).map(bound) }
    }

    /// An input of winners' places.
    pub fn index_input(&self, i: usize) -> Input<'a, u32> {
        self.view(self.step.inputs[i], Storage::indices)
    }

    /// An input of levels.
    pub fn byte_input(&self, i: usize) -> Input<'a, u8> {
        self.view(self.step.inputs[i], Storage::bytes)
    }

    pub fn weight(&self, i: usize) -> Option<&'a [T]> {
        self.weights.kernel.get(i).map(|weight| &weight[..])
    }

    pub fn output(&self) -> Output<'a, T> {
        let buffer = self.program.buffer(self.step.output);
        Output {
            items: self.program.count(buffer.per),
            height: buffer.height,
            width: buffer.width,
            channels: self.step.output.channels,
            sink: self.float_sink(self.step.output),
            stages: self.step.stages.iter().zip(&self.weights.stages).map(|(s, w)| self.placed(s, w)).collect(),
        }
    }

    /// A picture that the step writes.
    pub fn canvas(&self) -> Canvas {
        let (view, buffer) = (self.step.output, self.program.buffer(self.step.output));
        let Writer::Byte(shared) = self.writer(view) else {
            panic!("{}: levels go to something else", self.step.label)
        };
        let sink = Sink { shared, pitch: buffer.channels, offset: view.offset };
        Canvas { items: self.program.count(buffer.per), height: buffer.height, width: buffer.width, sink }
    }

    /// Where winners' places go.
    pub fn index_sink(&self, view: View) -> Sink<u32> {
        let Writer::Index(shared) = self.writer(view) else {
            panic!("{}: indices go to something else", self.step.label)
        };
        Sink { shared, pitch: self.program.buffer(view).channels, offset: view.offset }
    }

    fn float_sink(&self, view: View) -> Sink<T> {
        let Writer::Float(shared) = self.writer(view) else {
            panic!("{}: floats go to something else", self.step.label)
        };
        Sink { shared, pitch: self.program.buffer(view).channels, offset: view.offset }
    }

    fn bit_sink(&self, view: View) -> Sink<u8> {
        let Writer::Bits(shared) = self.writer(view) else { panic!("{}: bits go to something else", self.step.label) };
        Sink { shared, pitch: self.program.buffer(view).channels.div_ceil(8), offset: view.offset / 8 }
    }

    fn writer(&self, view: View) -> Writer<T> {
        let slot = slot_of(self.program, view);
        let writer = self.writers.iter().find(|(written, _)| *written == slot);
        writer.expect("every view that a step writes is among its writes").1
    }

    fn view<E>(&self, view: View, data: impl Fn(&'a Storage<T>) -> &'a [E]) -> Input<'a, E> {
        let buffer = self.program.buffer(view);
        let of = self.program.buffer(self.step.output).per;
        Input {
            data: data(&self.slots[slot_of(self.program, view)]),
            height: buffer.height,
            width: buffer.width,
            pitch: buffer.channels,
            offset: view.offset,
            channels: view.channels,
            items: (0..self.program.count(of)).map(|n| self.program.item(buffer.per, of, n)).collect(),
        }
    }

    fn pixels<E>(&self, operand: &Operand, data: impl Fn(&'a Storage<T>) -> &'a [E]) -> Pixels<'a, E> {
        let input = self.view(operand.view, data);
        let output = self.program.buffer(self.step.output);
        let aligned = !operand.one_pixel && input.items.iter().enumerate().all(|(n, item)| n == *item);
        debug_assert!(operand.one_pixel || (input.height, input.width) == (output.height, output.width));
        debug_assert!(operand.one_channel || input.channels <= self.step.output.channels, "{}", self.step.label);
        Pixels { input, one_pixel: operand.one_pixel, one_channel: operand.one_channel, area: output.area(), aligned }
    }

    /// An operand, with the next two of `weights` where it has a scale and a shift.
    fn lanes(&self, operand: &Operand, weights: &mut std::slice::Iter<'a, Arc<[T]>>) -> Lanes<'a, T> {
        let pixels = self.pixels(operand, Storage::floats);
        match operand.scale_shift.as_ref().and_then(|_| weights.next().zip(weights.next())) {
            Some((scale, shift)) => Lanes::Affine { pixels, scale, shift },
            None => Lanes::Pixels(pixels),
        }
    }

    fn bit_lanes(&self, operand: &Operand) -> BitLanes<'a> {
        let mut pixels = self.pixels(operand, Storage::bits);
        pixels.input.pitch = pixels.input.pitch.div_ceil(8);
        pixels.input.offset /= 8;
        BitLanes(pixels)
    }

    fn placed(&self, stage: &'a Stage, weights: &'a [Arc<[T]>]) -> Placed<'a, T> {
        let whole = Channels { first: 0, count: self.step.output.channels };
        match stage {
            Stage::Within { channels, stage } => Placed { channels: *channels, stage: self.stage(stage, weights) },
            stage => Placed { channels: whole, stage: self.stage(stage, weights) },
        }
    }

    fn stage(&self, stage: &'a Stage, weights: &'a [Arc<[T]>]) -> BoundStage<'a, T> {
        let weight = |i: usize| Lanes::Channels(&weights[i]);
        let (own, scales) = weights.split_at(stage.weights().len());
        let slope = || own.first().map_or(Lanes::Unread, |slope| Lanes::Channels(slope));
        let mut scales = scales.iter();
        let mut lanes = |operand| self.lanes(operand, &mut scales);
        match stage {
            Stage::Add { operand, negative } => BoundStage::Add { operand: lanes(operand), negative: *negative },
            Stage::Affine { .. } => BoundStage::Affine { scale: weight(0), shift: weight(1) },
            Stage::Scale { .. } => BoundStage::Scale { factor: weight(0) },
            Stage::Multiply { factor } => BoundStage::Multiply { factor: T::from_f64(*factor) },
            Stage::Activate { activation, .. } => BoundStage::Activate { activation, slope: slope() },
            Stage::Take { part } => BoundStage::Take { part: *part },
            Stage::Keep { into } => BoundStage::Keep { into: self.float_sink(*into) },
            Stage::KeepBits { into, activation } => BoundStage::KeepBits { into: self.bit_sink(*into), activation },
            Stage::Gate { bits, high, low, slope } => BoundStage::Gate {
                bits: self.bit_lanes(bits),
                high: T::from_f64(*high),
                low: T::from_f64(*low),
                slope: slope.as_ref().map(|_| weight(0)),
            },
            Stage::Positive => BoundStage::Positive,
            Stage::Derivative { z, activation } => BoundStage::Derivative { z: lanes(z), activation },
            Stage::Times { operand, part } => BoundStage::Times { operand: lanes(operand), part: *part },
            Stage::TimesDifference { a, b } => BoundStage::TimesDifference { a: lanes(a), b: lanes(b) },
            Stage::TimesMean { a, b } => BoundStage::TimesMean { a: lanes(a), b: lanes(b) },
            Stage::Root => BoundStage::Root,
            Stage::Epsilon { z, numerator, eps, rms, .. } => {
                let (z, eps) = (lanes(z), T::from_f64(*eps));
                let stabiliser = match rms {
                    Some(rms) => Stabiliser { absolute: T::ZERO, relative: eps, rms: lanes(rms) },
                    None => Stabiliser { absolute: eps, relative: T::ZERO, rms: Lanes::Unread },
                };
                BoundStage::Epsilon { z, numerator, slope: slope(), stabiliser }
            }
            Stage::Rescale { z, reference, activation, .. } => {
                BoundStage::Rescale { z: lanes(z), reference: lanes(reference), activation, slope: slope() }
            }
            Stage::Within { .. } => unreachable!("{}: a part of a part", self.step.label),
        }
    }
}
