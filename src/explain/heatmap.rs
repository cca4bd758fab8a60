use super::Report;
use crate::method::MethodChoice;
use crate::tensor::Tensor;

/// One map of one image, one target and one method.
///
/// ```
/// use fluoroscope::backend::cpu::CpuBackend;
/// use fluoroscope::explain::{ExplainOptions, Explainer, Target};
/// use fluoroscope::graph::Precision;
/// use fluoroscope::model::Model;
/// use fluoroscope::picture::{Reduce, reduce};
/// use fluoroscope::tensor::Tensor;
///
/// let model = Model::open("data/models/rnet.onnx")?;
/// let backend = Box::new(CpuBackend::new(Precision::F32, None)?);
/// let mut explainer = Explainer::new(&model, backend, ExplainOptions::default())?;
/// let batch = Tensor::zeros(&[2, 3, 24, 24]);
/// let lists = explainer.explain(&batch, &["saliency".parse()?], &Target::Name("face".to_owned()))?;
/// assert_eq!((lists.len(), lists[0][0].class.as_str()), (2, "face"));
/// assert_eq!(lists[0][0].map.shape, [3, 24, 24]);
/// assert_eq!(reduce(&lists[0][0].map, Reduce::MaxAbs)?.shape, [24, 24]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
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
