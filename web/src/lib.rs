//! Fluoroscope for a web page: a model and pictures in, heatmaps out, on the browser's GPU by WebGPU. Nothing leaves the computer.
//!
//! What JavaScript sees are [`Network`] and [`Map`]; `page/` shows how to use them.

use std::io::Cursor;
use std::str::FromStr;

use fluoroscope::backend::Backend;
use fluoroscope::backend::wgpu::{WgpuBackend, WgpuOptions};
use fluoroscope::drawing::{Drawing, caption, plane};
use fluoroscope::explain::{ExplainOptions, Explainer, Heatmap, Target};
use fluoroscope::method::{self, MethodChoice};
use fluoroscope::model::Model;
use fluoroscope::onnx::ImportOptions;
use fluoroscope::picture::{Picture, Placement, Preprocess, overlay};
use fluoroscope::tensor::Tensor;
use wasm_bindgen::prelude::*;

type Shown<T> = Result<T, JsError>;

/// What a page shows of an error: what is wrong, and the way out unless that is the command line's.
fn shown(error: impl std::fmt::Display) -> JsError {
    let text = error.to_string();
    let of_page = text.split("; ").filter(|part| !part.contains("--") && !part.contains("fluoroscope "));
    JsError::new(&of_page.collect::<Vec<_>>().join("; "))
}

/// The names of all methods.
#[wasm_bindgen]
pub fn methods() -> Vec<String> {
    method::names().into_iter().map(str::to_owned).collect()
}

/// The presets of preprocessing, for models whose card says nothing of it.
#[wasm_bindgen]
pub fn presets() -> Vec<String> {
    fluoroscope::picture::preprocess::PRESETS.iter().map(|name| (*name).to_owned()).collect()
}

/// A model on the browser's GPU.
#[wasm_bindgen]
pub struct Network {
    model: &'static Model,
    preprocess: Preprocess,
    explainer: Explainer<'static>,
    device: String,
}

#[wasm_bindgen]
impl Network {
    /// Opens the bytes of an ONNX file, with the text of its card, and with a preset of preprocessing where that does not say how to
    /// feed pictures. The memory of a model goes with the page,
    /// what the GPU holds of it with `free`.
    pub async fn open(name: String, onnx: Vec<u8>, card: Option<String>, preset: Option<String>) -> Shown<Self> {
        console_error_panic_hook::set_once();
        let model = Model::from_bytes(&name, onnx, card.as_deref(), ImportOptions::default()).map_err(shown)?;
        let preprocess = match model.preprocess().map_err(shown)? {
            Some(preprocess) => preprocess,
            None => {
                let shape = model.input();
                Preprocess::preset(preset.as_deref().unwrap_or("imagenet"))
                    .and_then(|preprocess| preprocess.for_input(shape.channels, shape.height, shape.width))
                    .map_err(shown)?
            }
        };
        let backend = WgpuBackend::open(WgpuOptions::default()).await.map_err(shown)?;
        let device = backend.device();
        let model: &'static Model = Box::leak(Box::new(model));
        let explainer = Explainer::new(model, Box::new(backend), ExplainOptions::default()).map_err(shown)?;
        Ok(Self { model, preprocess, explainer, device })
    }

    /// What computes.
    #[wasm_bindgen(getter)]
    pub fn device(&self) -> String {
        self.device.clone()
    }

    /// The input's shape, `3x224x224`.
    #[wasm_bindgen(getter)]
    pub fn input(&self) -> String {
        self.model.input().to_string()
    }

    /// The names of the classes; empty where nothing says.
    #[wasm_bindgen(getter)]
    pub fn classes(&self) -> Vec<String> {
        self.model.classes.clone()
    }

    /// What its card warns of.
    #[wasm_bindgen(getter)]
    pub fn warning(&self) -> Option<String> {
        self.model.card.as_ref().and_then(|card| card.warning.clone())
    }

    /// The maps of a picture, the bytes of a PNG, JPEG, TIFF or WebP file: targets outer, methods inner. A target is `top:N`, `all`,
    /// or the name or the number of a class.
    pub async fn explain(
        &mut self,
        name: String,
        picture: Vec<u8>,
        methods: Vec<String>,
        target: String,
    ) -> Shown<Vec<Map>> {
        let picture = Picture::from_bytes(&name, &picture).map_err(shown)?;
        let (values, placement) = self.preprocess.apply(&picture).map_err(shown)?;
        let shape = self.model.input();
        let input = Tensor::new(&[shape.channels, shape.height, shape.width], values);
        let methods =
            methods.iter().map(|name| MethodChoice::from_str(name)).collect::<Result<Vec<_>, _>>().map_err(shown)?;
        let target = Target::parse(&target).map_err(shown)?;
        let lists = self.explainer.explain_async(&input, &methods, &target).await.map_err(shown)?;
        lists.into_iter().flatten().map(|heatmap| self.drawn(&name, &picture, &placement, heatmap)).collect()
    }

    fn drawn(&self, name: &str, picture: &Picture, placement: &Placement, heatmap: Heatmap) -> Shown<Map> {
        let drawing = Drawing::default();
        let (map, paint) = plane(&heatmap, &drawing, self.model).map_err(shown)?;
        let caption = caption(&heatmap, name, &drawing, self.model);
        let drawn = overlay(picture, &map, placement, &paint, &caption).map_err(shown)?;
        let mut png = Cursor::new(Vec::new());
        drawn.write_to(&mut png, image::ImageFormat::Png)?;
        Ok(Map { heatmap, png: png.into_inner() })
    }
}

/// A heatmap and its picture.
#[wasm_bindgen]
pub struct Map {
    heatmap: Heatmap,
    png: Vec<u8>,
}

#[wasm_bindgen]
impl Map {
    #[wasm_bindgen(getter)]
    pub fn method(&self) -> String {
        self.heatmap.method.to_string()
    }

    #[wasm_bindgen(getter)]
    pub fn class(&self) -> String {
        self.heatmap.class.clone()
    }

    #[wasm_bindgen(getter)]
    pub fn logit(&self) -> f64 {
        self.heatmap.report.logit
    }

    #[wasm_bindgen(getter)]
    pub fn probability(&self) -> f64 {
        self.heatmap.report.probability
    }

    /// Number of the class.
    #[wasm_bindgen(getter)]
    pub fn target(&self) -> usize {
        self.heatmap.target
    }

    /// What the map sums to.
    #[wasm_bindgen(getter)]
    pub fn sum(&self) -> f64 {
        self.heatmap.report.sum
    }

    /// By how much the sum misses what the method promises, relative to it; nothing where it promises nothing.
    #[wasm_bindgen(getter, js_name = completenessError)]
    pub fn completeness_error(&self) -> Option<f64> {
        self.heatmap.report.completeness_error
    }

    /// What relevance rules give to biases, where the report has it.
    #[wasm_bindgen(getter, js_name = toBiases)]
    pub fn to_biases(&self) -> Option<f64> {
        self.heatmap.report.to_biases
    }

    /// The map itself, `[C, H, W]`.
    #[wasm_bindgen(getter)]
    pub fn values(&self) -> Vec<f32> {
        self.heatmap.map.data.clone()
    }

    /// `[C, H, W]`
    #[wasm_bindgen(getter)]
    pub fn shape(&self) -> Vec<usize> {
        self.heatmap.map.shape.clone()
    }

    /// The map over the picture, with a legend, as a PNG file.
    #[wasm_bindgen(getter)]
    pub fn png(&self) -> Vec<u8> {
        self.png.clone()
    }
}
