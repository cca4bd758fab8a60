//! Attribution heatmaps for trained CNNs: an ONNX file and images go in, maps of what the network looked at come out.
//!
//! Saliency, gradient x input, DeconvNet, guided backprop, CAM, Grad-CAM, Guided Grad-CAM, LRP, DeepLIFT, integrated
//! gradients and SmoothGrad are rows of one table, [`method::METHODS`]. Every map comes with a [report](explain::Report)
//! of what it sums to and what it should sum to.
//!
//! ```
//! use fluoroscope::backend::cpu::CpuBackend;
//! use fluoroscope::explain::{ExplainOptions, Explainer, Target};
//! use fluoroscope::graph::Precision;
//! use fluoroscope::model::Model;
//! use fluoroscope::tensor::Tensor;
//!
//! let model = Model::open("data/models/rnet.onnx")?;
//! let backend = CpuBackend::new(Precision::F32, None)?;
//! let mut explainer = Explainer::new(&model, Box::new(backend), ExplainOptions::default())?;
//! let image = Tensor::zeros(&[3, 24, 24]);
//! for heatmap in explainer.explain(&image, &["lrp-epsilon".parse()?], &Target::Top(1))?.remove(0) {
//!     println!("{}: logit {}, sum {}", heatmap.class, heatmap.report.logit, heatmap.report.sum);
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # From an image to a map
//!
//! Write `z = W x + b` for a linear step and `a = f(z)` for an activation. Going back from a logit, every method carries a
//! message `m`. Linear steps send on `Wᵀ m`; methods differ only in the factor at each step, and in how the last message
//! is read. So there is one way back for all of them.
//!
//! 1. [`picture`] decodes a file, resizes and normalises it as the model's card says, to a [`tensor::Tensor`].
//! 2. [`onnx`] reads the model into a [`graph`]: typed operations over named values, batch norm folded, logits last.
//!    [`model::Model`] is the graph with its card.
//! 3. A [`method`] names a composite of [`rule`]s, which gives every node its rule, and says how the message that arrives
//!    is read.
//! 4. [`plan`] turns the graph and the methods asked for into a [`program`]: flat steps over numbered buffers. One forward
//!    part serves all methods and targets, and leaves what they need and no more.
//! 5. A [`backend`] replays the program. It knows no method and no rule. [`backend::cpu`] computes in f32 or f64,
//!    [`backend::cuda`] and [`backend::wgpu`] in f32, with values stored in f32 or f16, the former also in bf16.
//! 6. [`explain`] drives all this, batch by batch, and adds what needs several samples: paths and noise. Out come
//!    [heatmaps](explain::Heatmap).
//! 7. [`drawing`] says how they are drawn, [`picture`] draws them over the original; [`compare`] and [`measure`] put numbers to them.
//!
//! [`kernel`] holds the sources of the GPU kernels.

mod alias;
pub mod backend;
#[cfg(not(target_family = "wasm"))]
mod caught;
#[cfg(not(target_family = "wasm"))]
#[doc(hidden)]
pub mod cli;
pub mod compare;
pub mod drawing;
pub mod explain;
pub mod graph;
pub mod kernel;
pub mod measure;
pub mod method;
pub mod model;
pub mod onnx;
pub mod picture;
pub mod plan;
pub mod program;
pub mod rule;
pub mod suggest;
pub mod tensor;

/// The README's examples compile.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
pub struct Readme;
