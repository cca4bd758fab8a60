use super::activation_backward::activation_backward;
use super::activation_forward::activation_forward;
use super::conv2d_backward::conv2d_backward;
use super::conv2d_forward::conv2d_forward;
use super::filter::Filter;
use super::frame::Frame;
use super::real::Real;
use crate::program::Kernel;

/// Runs the kernel of a step.
pub fn launch<T: Real>(frame: &Frame<T>) {
    let (x, y) = (|| frame.input(0), frame.output());
    let filter = || {
        let w = frame.weight(0).unwrap_or_else(|| panic!("{} has no weight", frame.step.label));
        Filter::new(w, &frame.step.weights[0].arrangement)
    };
    match &frame.step.kernel {
        Kernel::Conv2dForward(params) => conv2d_forward(&x(), &filter(), frame.weight(1), &y, params),
        Kernel::Conv2dBackward(params) => conv2d_backward(&x(), &filter(), frame.weight(1), &y, params),
        Kernel::ActivationForward => activation_forward(&x(), &y),
        Kernel::ActivationBackward => activation_backward(&x(), &y),
        _ => todo!(),
    }
}
