//! How a heatmap becomes a picture: which plane of it is drawn, in which colours, and what is written above it.

use crate::explain::Heatmap;
use crate::model::Model;
use crate::picture::{Caption, Colormap, Extent, Paint, PictureError, Reduce, gaussian_smooth, reduce};
use crate::tensor::Tensor;

/// What is asked of pictures; the rest follows from the method.
///
/// ```
/// use fluoroscope::backend::cpu::CpuBackend;
/// use fluoroscope::drawing::{Drawing, caption, plane};
/// use fluoroscope::explain::{ExplainOptions, Explainer, Target};
/// use fluoroscope::graph::Precision;
/// use fluoroscope::model::Model;
/// use fluoroscope::picture::{Levels, Picture, Placement, overlay};
/// use fluoroscope::tensor::Tensor;
///
/// let model = Model::open("data/models/rnet.onnx")?;
/// let backend = CpuBackend::new(Precision::F32, None)?;
/// let mut explainer = Explainer::new(&model, Box::new(backend), ExplainOptions::default())?;
/// let image = Tensor::new(&[3, 24, 24], (0..3 * 24 * 24).map(|i| (i as f32).sin()).collect());
/// let heatmap = explainer.explain(&image, &["lrp-epsilon".parse()?], &Target::Top(1))?.remove(0).remove(0);
///
/// let drawing = Drawing::default();
/// let (map, paint) = plane(&heatmap, &drawing, &model)?;
/// let picture = Picture { width: 24, height: 24, channels: 1, levels: Levels::Eight(vec![0; 24 * 24]) };
/// let caption = caption(&heatmap, "a file", &drawing, &model);
/// let drawn = overlay(&picture, &map, &Placement::whole(&picture), &paint, &caption)?;
/// assert!(drawn.width() >= 24);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Drawing {
    /// By default one that suits the signs of the map.
    pub colormap: Option<Colormap>,
    /// How much of the map covers the picture, in `0..=1`.
    pub alpha: f32,
    /// Sigma of the Gaussian, in pixels of the model input; by default what lets the eye follow a fine map.
    pub smooth: Option<f32>,
    /// How channels become one plane; by default their sum, or their greatest magnitude where the map has no sign.
    pub reduce: Option<Reduce>,
    /// By default what holds most of the heat where the map is fine.
    pub extent: Option<Extent>,
}

impl Default for Drawing {
    fn default() -> Self {
        Self { colormap: None, alpha: 0.8, smooth: None, reduce: None, extent: None }
    }
}

/// One map as a plane to draw, `[H, W]`, and how to paint it.
///
/// # Errors
/// A smoothing that is no number of pixels.
pub fn plane(heatmap: &Heatmap, drawing: &Drawing, model: &Model) -> Result<(Tensor, Paint), PictureError> {
    let of_method = heatmap.method.method.signed();
    let how = match drawing.reduce {
        None | Some(Reduce::None) if of_method => Reduce::Sum,
        None | Some(Reduce::None) => Reduce::MaxAbs,
        Some(how) => how,
    };
    let signed = of_method && matches!(how, Reduce::Sum | Reduce::Mean);
    let reduced = reduce(&heatmap.map, how)?;
    // Sigma counts pixels of the input, whatever the grid of the map.
    let sigma = sigma(heatmap, drawing, model) * reduced.shape[1] as f32 / model.input().width as f32;
    let mut plane = gaussian_smooth(&reduced, sigma)?;
    let colormap = drawing.colormap.unwrap_or_else(|| Colormap::default_for(signed));
    let symmetric = signed || colormap.is_diverging();
    let extent = extent(heatmap, drawing);
    let scale = extent.scale(&plane, symmetric);
    if extent != Extent::Peak {
        // What lies beyond has the end colours. A device draws a map by its own peak.
        plane.data.iter_mut().for_each(|value| *value = value.clamp(-scale.high, scale.high));
    }
    Ok((plane, Paint { colormap, scale, alpha: drawing.alpha }))
}

/// By how many pixels of the input the map is smoothed: a CAM is smooth as it is, and of others a pixel alone is not seen.
fn sigma(heatmap: &Heatmap, drawing: &Drawing, model: &Model) -> f32 {
    const OF_WIDTH: f32 = 3.0 / 224.0;
    let is_cam = heatmap.method.method.readout.is_cam();
    drawing.smooth.unwrap_or(if is_cam { 0.0 } else { OF_WIDTH * model.input().width as f32 })
}

/// Percent of the heat up to the end colours of a fine map; Captum's 98 is of maps that are not smoothed.
const OF_HEAT: f32 = 90.0;

/// What takes the end colours: beside the peak of a fine map, nearly all of it is pale.
fn extent(heatmap: &Heatmap, drawing: &Drawing) -> Extent {
    let is_cam = heatmap.method.method.readout.is_cam();
    drawing.extent.unwrap_or(if is_cam { Extent::Peak } else { Extent::Percent(OF_HEAT) })
}

/// Method and class, then the numbers, how it is smoothed and scaled, and the file.
pub fn caption(heatmap: &Heatmap, name: &str, drawing: &Drawing, model: &Model) -> Caption {
    let report = &heatmap.report;
    let title = format!("{}: {}", heatmap.method.title(), heatmap.class);
    let mut subtitle = format!("logit {}, probability {:.3}", number(report.logit), report.probability);
    let sigma = sigma(heatmap, drawing, model);
    if sigma > 0.0 {
        subtitle += &format!("; smoothed by {} px", (10.0 * sigma).round() / 10.0);
    }
    match extent(heatmap, drawing) {
        Extent::Peak => {}
        extent => subtitle += &format!("; scale {extent}"),
    }
    if !name.is_empty() {
        subtitle += &format!("; {name}");
    }
    Caption { title, subtitle }
}

/// Above the maps of a class, side by side.
pub fn heading(heatmap: &Heatmap, name: &str) -> String {
    let report = &heatmap.report;
    let logit = format!("{}, logit {:.2}, probability {:.3}", heatmap.class, report.logit, report.probability);
    if name.is_empty() { logit } else { format!("{name}: {logit}") }
}

/// Above one of them: the method, then its sum where that should be the logit, and what else there is.
pub fn panel(heatmap: &Heatmap, more: Option<String>) -> Caption {
    let report = &heatmap.report;
    let sum = report.completeness_error.map(|_| format!("sum {:.3}", report.sum));
    let said: Vec<String> = sum.into_iter().chain(more).collect();
    Caption { title: heatmap.method.title(), subtitle: said.join(", ") }
}

/// Two digits or more behind the point, or a power of ten: as short as the size allows.
pub(crate) fn number(v: f64) -> String {
    match v.abs() {
        _ if !v.is_finite() => v.to_string(),
        0.0 => "0".to_owned(),
        size if (0.001..10.0).contains(&size) => format!("{v:.4}"),
        size if (10.0..10_000.0).contains(&size) => format!("{v:.2}"),
        _ => format!("{v:.2e}"),
    }
}
