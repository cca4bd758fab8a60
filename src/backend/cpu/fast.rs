//! The f32 path of the convolutions: filters packed at load for the register-tile engine, its tiles finished by the
//! same stages as every kernel's.

use std::sync::Arc;

use super::frame::Frame;
use super::lanes::Lanes;
use super::prologue::Source;
use super::real::Real;
use super::stages::{BoundStage, Output, Placed};
use super::tile::{self, Geometry, PackedWeights, Tile, View};
use crate::program::{Arrangement, Channels, ConvParams, Kernel, Program, Step};

/// Which way a convolution runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Way {
    Forward,
    Backward,
}

/// A convolution that the engine can run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Plan {
    pub way: Way,
    pub depthwise: bool,
    pub geometry: Geometry,
}

impl Plan {
    /// The plan of a convolution step; `None` for other kernels and for groups with padding channels.
    pub fn of(program: &Program, step: &Step) -> Option<Self> {
        let (way, depthwise, params) = match &step.kernel {
            Kernel::Conv2dForward(params) => (Way::Forward, false, params),
            Kernel::Conv2dBackward(params) => (Way::Backward, false, params),
            Kernel::DepthwiseForward(params) => (Way::Forward, true, params),
            Kernel::DepthwiseBackward(params) => (Way::Backward, true, params),
            _ => return None,
        };
        if let Arrangement::Conv { groups, input, output, .. } = &step.weights[0].arrangement
            && *groups > 1
            && (input.has_padding() || output.has_padding())
        {
            return None;
        }
        Some(Self { way, depthwise, geometry: geometry(program, step, way, params, depthwise) })
    }

    /// What packed filters depend on: everything but the batch.
    pub fn key(self) -> Self {
        Self { geometry: Geometry { images: 0, ..self.geometry }, ..self }
    }

    pub fn pack(self, weights: &[f32]) -> Arc<PackedWeights> {
        Arc::new(match self.way {
            Way::Forward => PackedWeights::forward(&self.geometry, weights),
            Way::Backward => PackedWeights::backward(&self.geometry, weights),
        })
    }
}

fn geometry(program: &Program, step: &Step, way: Way, params: &ConvParams, depthwise: bool) -> Geometry {
    let (from, to) = (program.buffer(step.inputs[0]), program.buffer(step.output));
    let ends = [(from, step.inputs[0].channels), (to, step.output.channels)];
    let [(x, in_channels), (y, out_channels)] = if way == Way::Forward { ends } else { [ends[1], ends[0]] };
    Geometry {
        images: program.count(to.per),
        in_h: x.height,
        in_w: x.width,
        in_channels,
        out_h: y.height,
        out_w: y.width,
        out_channels,
        kernel: params.kernel,
        stride: params.stride,
        dilation: params.dilation,
        pads: params.pads,
        groups: if depthwise { in_channels } else { params.groups },
    }
}

/// Runs a convolution step through the engine; false where it has to go the plain way.
pub fn convolve<T: Real>(frame: &Frame<T>) -> bool {
    let Some(plan) = Plan::of(frame.program, frame.step) else { return false };
    let Source { input, prologue } = frame.source(0);
    let Some(data) = T::as_f32s(input.data) else { return false };
    let x = View { data: &data[input.offset..], pixel_stride: input.pitch };
    let mut output = frame.output();
    if let Some(bias) = frame.weight(1) {
        let stage = BoundStage::Add { operand: Lanes::Channels(bias), negative: false };
        let channels = Channels { first: 0, count: output.channels };
        output.stages.insert(0, Placed { channels, stage });
    }
    let sink = Finish(output);
    let channels = input.channels;
    let load = prologue.map(|prologue| {
        move |pixels: &mut [f32], pitch: usize| {
            if let Some(values) = T::from_f32s(pixels) {
                prologue.apply(values, channels, pitch);
            }
        }
    });
    let load = load.as_ref().map(|load| load as tile::Load<'_>);
    match (&frame.weights.packed, frame.weight(0).and_then(T::as_f32s), plan.way) {
        (Some(packed), _, Way::Forward) => tile::forward(&plan.geometry, x, load, packed, &sink),
        (Some(packed), _, Way::Backward) => tile::backward(&plan.geometry, x, packed, &sink),
        (None, Some(w), Way::Forward) if plan.depthwise => tile::depthwise_forward(&plan.geometry, x, w, &sink),
        (None, Some(w), Way::Backward) if plan.depthwise => tile::depthwise_backward(&plan.geometry, x, w, &sink),
        _ => return false,
    }
    true
}

/// Tiles go through the stages of a step.
struct Finish<'a, T>(Output<'a, T>);

impl<T: Real> tile::Sink for Finish<'_, T> {
    #[inline(always)]
    fn prepare(&self, pixel: usize, step: usize, rows: usize, channel: usize, channels: usize) {
        self.0.prefetch(pixel, step, rows, channel, channels);
    }

    #[inline(always)]
    fn finish(&self, tile: Tile<'_>) {
        let Tile { pixel, step, rows, channel, channels, values } = tile;
        if let Some(values) = T::from_f32s(values) {
            self.0.finish(pixel, step, rows, channel, channels, values, tile::TILE_CHANNELS);
        }
    }
}
