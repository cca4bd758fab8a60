use super::activation_backward::activation_backward;
use super::activation_forward::activation_forward;
use super::audit_epsilon::audit_epsilon;
use super::audit_rescale::audit_rescale;
use super::cam_mix::cam_mix;
use super::conv2d_backward::conv2d_backward;
use super::conv2d_forward::conv2d_forward;
use super::depthwise_backward::depthwise_backward;
use super::depthwise_forward::depthwise_forward;
use super::fast::convolve;
use super::filter::Filter;
use super::frame::Frame;
use super::layer_norm_backward::layer_norm_backward;
use super::layer_norm_forward::layer_norm_forward;
use super::overlay::overlay;
use super::pool_average_backward::pool_average_backward;
use super::pool_average_forward::pool_average_forward;
use super::pool_max_backward::pool_max_backward;
use super::pool_max_forward::pool_max_forward;
use super::pool_max_rescale::{PoolPair, pool_max_rescale};
use super::range::range;
use super::rank_seeds::rank_seeds;
use super::real::Real;
use super::rearrange::rearrange;
use super::square_rows::square_rows;
use super::upsample_bilinear::upsample_bilinear;
use super::upsample_bilinear_backward::upsample_bilinear_backward;
use crate::program::Kernel;

/// Runs the kernel of a step.
pub fn launch<T: Real>(frame: &Frame<T>) {
    if convolve(frame) {
        return;
    }
    let (input, source, out) = (|i| frame.input(i), |i| frame.source(i), || frame.output());
    let filter = || Filter::new(weight(frame), &frame.step.weights[0].arrangement);
    match &frame.step.kernel {
        Kernel::Conv2dForward(params) => conv2d_forward(&source(0), &filter(), frame.weight(1), &out(), params),
        Kernel::Conv2dBackward(params) => conv2d_backward(&input(0), &filter(), frame.weight(1), &out(), params),
        Kernel::DepthwiseForward(params) => {
            depthwise_forward(&input(0), weight(frame), frame.weight(1), &out(), params);
        }
        Kernel::DepthwiseBackward(params) => depthwise_backward(&input(0), weight(frame), &out(), params),
        Kernel::PoolMaxForward { pool, index } => {
            let index = index.map(|view| frame.index_sink(view));
            pool_max_forward(&input(0), &out(), index.as_ref(), pool);
        }
        Kernel::PoolMaxBackward { pool } => pool_max_backward(&input(0), &frame.index_input(1), &out(), pool),
        Kernel::PoolMaxRescale { pool } => pool_max_rescale(&input(0), &pool_pair(frame), &out(), pool),
        Kernel::PoolAverageForward { pool, sum } => pool_average_forward(&source(0), &out(), pool, *sum),
        Kernel::PoolAverageBackward { pool } => pool_average_backward(&input(0), &out(), pool),
        Kernel::LayerNormForward { epsilon } => {
            layer_norm_forward(&input(0), weight(frame), &out(), T::from_f64(*epsilon));
        }
        Kernel::LayerNormBackward { epsilon, fixed } => {
            layer_norm_backward(&input(0), &input(1), weight(frame), &out(), T::from_f64(*epsilon), *fixed);
        }
        Kernel::ActivationForward => activation_forward(&input(0), &out()),
        Kernel::ActivationBackward => activation_backward(&input(0), &out()),
        Kernel::Rearrange { table, fill } => rearrange(&input(0), &out(), table, T::from_f64(*fill)),
        Kernel::UpsampleBilinear(resize) => upsample_bilinear(&input(0), &out(), resize),
        Kernel::UpsampleBilinearBackward(resize) => upsample_bilinear_backward(&input(0), &out(), resize),
        Kernel::CamMix => cam_mix(&input(0), &input(1), &out()),
        Kernel::SquareRows => square_rows(&source(0), &out()),
        Kernel::AuditEpsilon { eps, signs } => {
            let (z, rms) = (signs.then(|| source(1)), (frame.step.inputs.len() > 2).then(|| input(2)));
            audit_epsilon(&input(0), z.as_ref(), rms.as_ref(), frame.weight(0), &out(), T::from_f64(*eps));
        }
        Kernel::AuditRescale => audit_rescale(&source(0), &source(1), weight(frame), &out()),
        Kernel::RankSeeds => rank_seeds(&input(0), weight(frame), &out(), frame.program.messages_per_image),
        Kernel::Range => range(&input(0), &out()),
        Kernel::Overlay(params) => {
            overlay(&input(0), &input(1), &frame.byte_input(2), weight(frame), &frame.canvas(), params);
        }
    }
}

fn weight<'a, T: Real>(frame: &Frame<'a, T>) -> &'a [T] {
    frame.weight(0).unwrap_or_else(|| panic!("{} has no weight", frame.step.label))
}

fn pool_pair<'a, T: Real>(frame: &Frame<'a, T>) -> PoolPair<'a, T> {
    PoolPair {
        x: frame.input(1),
        x_reference: frame.input(2),
        y: frame.input(3),
        y_reference: frame.input(4),
        index: frame.index_input(5),
        index_reference: frame.index_input(6),
    }
}
