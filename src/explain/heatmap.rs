use super::Report;
use crate::method::MethodChoice;
use crate::tensor::Tensor;

/// One map of one image, one target and one method.
#[derive(Clone, Debug)]
pub struct Heatmap {
    pub method: MethodChoice,
    /// Index of the explained logit.
    pub target: usize,
    /// Its name.
    pub class: String,
    /// `[C, H, W]` for methods in input space, `[1, H, W]` for CAMs; never rescaled.
    pub map: Tensor,
    pub report: Report,
}
