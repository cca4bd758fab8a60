//! The elementwise tail of a step: every stage's formula, once, for all kernels.

use super::curve::{Curve, with_curve};
use super::lanes::{BitLanes, Lanes, RUN, Tile};
use super::real::Real;
use super::view::Sink;
use crate::graph::Activation;
use crate::program::{Channels, Numerator, Part, Stage};

/// A [`Stage`] with its operands found.
pub enum BoundStage<'a, T> {
    Add { operand: Lanes<'a, T>, negative: bool },
    Affine { scale: Lanes<'a, T>, shift: Lanes<'a, T> },
    Scale { factor: Lanes<'a, T> },
    Multiply { factor: T },
    Activate { activation: &'a Activation, slope: Lanes<'a, T> },
    Take { part: Part },
    Keep { into: Sink<T> },
    KeepBits { into: Sink<u8>, activation: &'a Activation },
    Gate { bits: BitLanes<'a>, high: T, low: T, slope: Option<Lanes<'a, T>> },
    Positive,
    Root,
    Derivative { z: Lanes<'a, T>, activation: &'a Activation },
    Times { operand: Lanes<'a, T>, part: Part },
    TimesDifference { a: Lanes<'a, T>, b: Lanes<'a, T> },
    TimesMean { a: Lanes<'a, T>, b: Lanes<'a, T> },
    Epsilon { z: Lanes<'a, T>, numerator: &'a Numerator, slope: Lanes<'a, T>, stabiliser: Stabiliser<'a, T> },
    Rescale { z: Lanes<'a, T>, reference: Lanes<'a, T>, activation: &'a Activation, slope: Lanes<'a, T> },
}

/// `absolute + relative rms`, of which one part is zero.
pub struct Stabiliser<'a, T> {
    pub absolute: T,
    pub relative: T,
    pub rms: Lanes<'a, T>,
}

/// A stage at the channels of a step's output that it is for.
pub struct Placed<'a, T> {
    pub channels: Channels,
    pub stage: BoundStage<'a, T>,
}

impl<T> Placed<'_, T> {
    /// The part of `count` channels from `first` on that the stage is for: what lies before it, its first channel as the
    /// stage's operands count, and its channels.
    #[inline(always)]
    fn part(&self, first: usize, count: usize) -> (usize, usize, usize) {
        let skipped = self.channels.first.saturating_sub(first);
        let end = (self.channels.first + self.channels.count).min(first + count);
        (skipped, (first + skipped).saturating_sub(self.channels.first), end.saturating_sub(first + skipped))
    }
}

/// What a step writes: its result, by way of its stages.
pub struct Output<'a, T> {
    pub items: usize,
    pub height: usize,
    pub width: usize,
    pub channels: usize,
    pub sink: Sink<T>,
    pub stages: Vec<Placed<'a, T>>,
}

impl<T: Real> Output<'_, T> {
    /// No stage follows, and the pixels lie side by side.
    pub fn is_plain(&self) -> bool {
        self.stages.is_empty() && self.sink.pitch == self.channels
    }

    /// Applies the stages to `values` and stores them: rows are the pixels `pixel + r step` (flat over items), `pitch`
    /// values apart, and hold the channels `channel .. channel + channels`, where `channel` is a multiple of 8.
    ///
    /// Every element of the output has one caller, so that threads may finish different tiles at once.
    #[expect(clippy::too_many_arguments, reason = "the tile's geometry, which inner loops know as plain numbers")]
    pub fn finish(
        &self,
        pixel: usize,
        step: usize,
        rows: usize,
        channel: usize,
        channels: usize,
        values: &mut [T],
        pitch: usize,
    ) {
        debug_assert!(channel.is_multiple_of(8) && channel + channels <= self.channels);
        debug_assert!(rows == 0 || pixel + (rows - 1) * step < self.items * self.height * self.width);
        for first in (0..channels).step_by(RUN) {
            let run = RUN.min(channels - first);
            let values = &mut values[first..];
            for placed in &self.stages {
                let (skipped, channel, channels) = placed.part(channel + first, run);
                if channels > 0 {
                    let values = &mut values[skipped..];
                    apply(&placed.stage, &mut Tile { pixel, step, rows, channel, channels, values, pitch });
                }
            }
            Tile { pixel, step, rows, channel: channel + first, channels: run, values, pitch }.keep(&self.sink);
        }
    }
}

impl<T: Real> Output<'_, T> {
    /// Fetches what [`Output::finish`] will read and write for this tile, while the tile is still being computed.
    #[inline(always)]
    pub fn prefetch(&self, pixel: usize, step: usize, rows: usize, channel: usize, channels: usize) {
        let pixels = || (0..rows).map(|r| pixel + r * step);
        for placed in &self.stages {
            let (_, channel, channels) = placed.part(channel, channels);
            if channels == 0 {
                continue;
            }
            let lanes = |operand: &Lanes<T>| {
                if let Some(operand) = operand.pixels() {
                    pixels().for_each(|pixel| fetch(&operand.input.data[operand.start(pixel) + channel..], channels));
                }
            };
            match &placed.stage {
                BoundStage::Add { operand: z, .. }
                | BoundStage::Epsilon { z, .. }
                | BoundStage::Times { operand: z, .. }
                | BoundStage::Derivative { z, .. } => lanes(z),
                BoundStage::Rescale { z, reference, .. } => {
                    lanes(z);
                    lanes(reference);
                }
                BoundStage::Gate { bits, .. } => {
                    pixels().for_each(|pixel| fetch(&bits.0.input.data[bits.0.start(pixel) + channel / 8..], 1));
                }
                BoundStage::Keep { into } => pixels().for_each(|pixel| into.fetch(pixel, channel, channels)),
                _ => {}
            }
        }
        pixels().for_each(|pixel| self.sink.fetch(pixel, channel, channels));
    }
}

/// Hints that the first `count` elements will be needed.
#[inline(always)]
fn fetch<E>(data: &[E], count: usize) {
    super::view::fetch(data.as_ptr(), count);
}

fn apply<T: Real>(stage: &BoundStage<T>, tile: &mut Tile<T>) {
    let half = T::from_f64(0.5);
    match stage {
        BoundStage::Add { operand, negative: false } => tile.zip([operand], |v, [a]| v + a),
        BoundStage::Add { operand, negative: true } => tile.zip([operand], |v, [a]| v - a),
        BoundStage::Affine { scale, shift } => tile.zip([scale, shift], |v, [s, t]| s * v + t),
        BoundStage::Scale { factor } => tile.zip([factor], |v, [f]| if f == T::ZERO { T::ZERO } else { f * v }),
        BoundStage::Multiply { factor } => {
            let factor = *factor;
            tile.map(move |v| factor * v);
        }
        BoundStage::Activate { activation, slope } => {
            with_curve!(activation, T, f => tile.zip([slope], move |v, [p]| f.value(v, p)));
        }
        BoundStage::Take { part } => take(*part, tile),
        BoundStage::Keep { into } => tile.keep(into),
        BoundStage::KeepBits { into, activation } => keep_bits(into, activation, tile),
        BoundStage::Gate { bits, high, low, slope: None } => {
            let (high, low) = (*high, *low);
            tile.gate(bits, &Lanes::Unread, move |v, bit, _| v * if bit { high } else { low });
        }
        BoundStage::Gate { bits, high, slope: Some(slope), .. } => {
            let high = *high;
            tile.gate(bits, slope, move |v, bit, low| v * if bit { high } else { low });
        }
        BoundStage::Positive => tile.map(|v| v.at_least(T::ZERO)),
        BoundStage::Derivative { z, activation } => {
            with_curve!(activation, T, f => tile.zip([z], move |v, [z]| v * f.derivative(z, z)));
        }
        BoundStage::Times { operand, part } => times(*part, operand, tile),
        BoundStage::TimesDifference { a, b } => tile.zip([a, b], |v, [a, b]| v * (a - b)),
        BoundStage::TimesMean { a, b } => tile.zip([a, b], move |v, [a, b]| v * (a + b) * half),
        BoundStage::Root => tile.map(T::sqrt),
        BoundStage::Epsilon { z, numerator, slope, stabiliser } => epsilon(z, numerator, slope, stabiliser, tile),
        BoundStage::Rescale { z, reference, activation, slope } => {
            with_curve!(activation, T, f => tile.zip([z, reference, slope], move |v, [z, r, p]| v * rescale(f, z, r, p)));
        }
    }
}

/// `part` of `v` as a loop of its own for every part.
#[inline(always)]
fn take<T: Real>(part: Part, tile: &mut Tile<T>) {
    match part {
        Part::All => {}
        Part::Pos => tile.map(|v| v.at_least(T::ZERO)),
        Part::Neg => tile.map(|v| v.at_most(T::ZERO)),
        Part::Square => tile.map(|v| v * v),
        Part::One => tile.map(|_| T::ONE),
        Part::Zero => tile.map(|_| T::ZERO),
    }
}

#[inline(always)]
fn times<T: Real>(part: Part, operand: &Lanes<T>, tile: &mut Tile<T>) {
    match part {
        Part::All => tile.zip([operand], |v, [a]| v * a),
        Part::Pos => tile.zip([operand], |v, [a]| v * a.at_least(T::ZERO)),
        Part::Neg => tile.zip([operand], |v, [a]| v * a.at_most(T::ZERO)),
        Part::Square => tile.zip([operand], |v, [a]| v * (a * a)),
        Part::One => {}
        Part::Zero => tile.map(|_| T::ZERO),
    }
}

/// The bit is set where the derivative takes its larger value.
#[inline(always)]
fn keep_bits<T: Real>(into: &Sink<u8>, activation: &Activation, tile: &mut Tile<T>) {
    match activation {
        Activation::Clip { low, high } => {
            let (low, high) = (T::from_f64(*low), T::from_f64(*high));
            tile.keep_bits(into, move |z| z > low && z < high);
        }
        Activation::HardSigmoid { alpha, beta } => {
            let (alpha, beta) = (T::from_f64(*alpha), T::from_f64(*beta));
            tile.keep_bits(into, move |z| alpha * z + beta > T::ZERO && alpha * z + beta < T::ONE);
        }
        _ => tile.keep_bits(into, |z| z > T::ZERO),
    }
}

/// `v / (z + eps sgn0(z))`, sgn0(0) = +1; 0 where nothing stabilises a zero
#[inline(always)]
fn stabilised<T: Real>(v: T, z: T, eps: T) -> T {
    let below = z + if z >= T::ZERO { eps } else { -eps };
    v / if below == T::ZERO { T::INFINITY } else { below }
}

#[inline(always)]
fn epsilon<T: Real>(z: &Lanes<T>, over: &Numerator, slope: &Lanes<T>, by: &Stabiliser<T>, tile: &mut Tile<T>) {
    let (absolute, relative) = (by.absolute, by.relative);
    let eps = move |rms: T| absolute + relative * rms;
    match over {
        Numerator::One => tile.zip([z, &by.rms], move |v, [z, rms]| stabilised(v, z, eps(rms))),
        Numerator::Z => tile.zip([z, &by.rms], move |v, [z, rms]| stabilised(v * z, z, eps(rms))),
        Numerator::Activated(activation) => with_curve!(activation, T, f => {
            tile.zip([z, &by.rms, slope], move |v, [z, rms, p]| stabilised(v * f.value(z, p), z, eps(rms)));
        }),
    }
}

/// `(f(z) - f(r)) / (z - r)`, the derivative at z where the difference vanishes
#[inline(always)]
fn rescale<T: Real>(f: impl Curve<T>, z: T, r: T, slope: T) -> T {
    let difference = z - r;
    let close = difference.abs() < T::from_f64(Stage::TINY);
    // One division whatever the case, so that there is no branch.
    let above = if close { f.derivative(z, slope) } else { f.value(z, slope) - f.value(r, slope) };
    above / if close { T::ONE } else { difference }
}
