//! Images in, heatmaps out: the library's front door.

mod baseline;
#[cfg(not(target_family = "wasm"))]
mod blocking;
mod evaluate;
mod flight;
mod heatmap;
#[cfg(not(target_family = "wasm"))]
mod painter;
mod progress;
mod report;
mod sampled;
mod sampling;
mod target;
mod work;

use std::collections::VecDeque;
use std::sync::Arc;

use rayon::prelude::*;

use crate::backend::{Backend, BackendError, Values};
use crate::graph::{Shape, UnknownLayer, ValueId};
use crate::method::{Completeness, Method, MethodChoice, Readout, Sampling};
use crate::model::{Model, UnknownCamLayer};
use crate::plan::{Pass, PlanError};
use crate::rule::RuleOptions;
use crate::tensor::{Tensor, first_not_finite};

pub use baseline::Baseline;
pub use heatmap::Heatmap;
#[cfg(not(target_family = "wasm"))]
pub use painter::{Drawn, Painter};
pub use progress::ProgressHook;
pub use report::Report;
pub use target::Target;

use evaluate::{Evaluator, Ticket};
use work::{Evaluation, Images, RawMap, Targets, Work};

/// What can go wrong while images are explained.
#[derive(Debug, thiserror::Error)]
pub enum ExplainError {
    #[error(transparent)]
    Plan(#[from] PlanError),
    #[error(transparent)]
    Backend(#[from] BackendError),
    #[error(transparent)]
    Layer(#[from] UnknownLayer),
    #[error(transparent)]
    CamLayer(#[from] UnknownCamLayer),
    #[error("there is no target {target}; {hint}")]
    Target { target: String, hint: String },
    #[error("{name:?} names several classes: {found}; use an index")]
    AmbiguousTarget { name: String, found: String },
    #[error("the model takes images {want}, got an array {got:?}; resize it, or give pictures, which are fitted")]
    Shape { want: Shape, got: Vec<usize> },
    #[error(
        "the model takes baselines {want:?}, got an array {got:?}; give that shape, a number, or `zero`, `mean` or `blur`"
    )]
    BaselineShape { want: Vec<usize>, got: Vec<usize> },
    #[error("{what} is 0; give at least 1")]
    Zero { what: &'static str },
    #[error("image {image} has a value that is not finite at element {element}; clean the input first")]
    NonFiniteInput { image: usize, element: usize },
    #[error("image {image} gives logit {logit} for class {class}; the network overflows on it, try --precision f64")]
    NonFiniteLogit { image: usize, class: usize, logit: f64 },
}

/// Everything that changes a map besides model, input, method and target.
#[derive(Clone, Debug)]
pub struct ExplainOptions {
    pub rules: RuleOptions,
    pub baseline: Baseline,
    /// Points of the path of integrated gradients (Gauss-Legendre).
    pub steps: usize,
    /// Noisy copies of SmoothGrad.
    pub samples: usize,
    /// Standard deviation of SmoothGrad's noise, relative to the range of the image's values.
    pub sigma: f64,
    pub seed: u64,
    /// Layer path, node name or value name of CAM methods; by default the last spatial activation.
    pub layer: Option<String>,
    /// CAMs come at input resolution, not on the layer's grid.
    pub upsample: bool,
    /// The reports of LRP and DeepLIFT say where relevance went, for a few percent more time.
    pub audit: bool,
    /// Images that run together; by default as many as fit into a gigabyte, 16 at most.
    pub batch: Option<usize>,
}

impl Default for ExplainOptions {
    fn default() -> Self {
        Self {
            rules: RuleOptions::default(),
            baseline: Baseline::default(),
            steps: 50,
            samples: 25,
            sigma: 0.15,
            seed: 0,
            layer: None,
            upsample: true,
            audit: true,
            batch: None,
        }
    }
}

/// A model on a backend.
///
/// ```
/// use fluoroscope::backend::cpu::CpuBackend;
/// use fluoroscope::explain::{ExplainOptions, Explainer, Target};
/// use fluoroscope::graph::Precision;
/// use fluoroscope::model::Model;
/// use fluoroscope::tensor::Tensor;
///
/// let model = Model::open("data/models/rnet.onnx")?;
/// let backend = CpuBackend::new(Precision::F32, None)?;
/// let mut explainer = Explainer::new(&model, Box::new(backend), ExplainOptions::default())?;
/// let image = Tensor::new(&[3, 24, 24], (0..3 * 24 * 24).map(|i| (i as f32).sin()).collect());
/// let methods = ["grad-cam".parse()?, "deeplift".parse()?];
/// for heatmap in explainer.explain(&image, &methods, &Target::Top(1))?.remove(0) {
///     println!("{} {}: sum {}", heatmap.method, heatmap.class, heatmap.report.sum);
///     assert!(heatmap.report.completeness_error.is_none_or(|error| error < 1e-3));
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Explainer<'m> {
    model: &'m Model,
    options: ExplainOptions,
    layer: Option<ValueId>,
    evaluator: Evaluator<'m>,
    submitted: VecDeque<Result<Submitted<'m>, ExplainError>>,
}

/// What is to be known of images for all methods.
struct Question<'m> {
    /// The number of the first image.
    first: usize,
    methods: Vec<MethodChoice>,
    /// Through the methods that take one sample.
    work: Arc<Work<'m>>,
}

/// A question whose work is sent.
struct Submitted<'m> {
    question: Question<'m>,
    ticket: Ticket,
}

impl<'m> Explainer<'m> {
    /// # Errors
    /// [`ExplainError::Layer`] where `options.layer` names nothing, [`ExplainError::CamLayer`] where the card's does,
    /// [`ExplainError::Zero`] where `options` ask for no image, point or copy.
    pub fn new(model: &'m Model, backend: Box<dyn Backend>, options: ExplainOptions) -> Result<Self, ExplainError> {
        let counts = [("batch", options.batch.unwrap_or(1)), ("steps", options.steps), ("samples", options.samples)];
        if let Some((what, _)) = counts.into_iter().find(|(_, count)| *count == 0) {
            return Err(ExplainError::Zero { what });
        }
        let layer = match &options.layer {
            Some(name) => Some(model.graph.find(name)?),
            None => model.cam_layer()?,
        };
        let evaluator = Evaluator::new(&model.graph, backend, options.rules, options.batch);
        Ok(Self { model, options, layer, evaluator, submitted: VecDeque::new() })
    }

    /// The value that CAM methods read, where the model has one.
    pub fn layer_name(&self) -> Option<&str> {
        self.layer.map(|layer| self.model.graph.value(layer).name.as_str())
    }

    /// Calls `hook` after every batch of [`Explainer::explain`], with the images that went forth and back through the
    /// network and those that will in all; points of a path and noisy copies are images too.
    ///
    /// ```
    /// use fluoroscope::backend::cpu::CpuBackend;
    /// use fluoroscope::explain::{ExplainOptions, Explainer, Target};
    /// use fluoroscope::graph::Precision;
    /// use fluoroscope::model::Model;
    /// use fluoroscope::tensor::Tensor;
    ///
    /// let model = Model::open("data/models/rnet.onnx")?;
    /// let backend = Box::new(CpuBackend::new(Precision::F32, None)?);
    /// let options = ExplainOptions { steps: 20, batch: Some(8), ..ExplainOptions::default() };
    /// let mut explainer = Explainer::new(&model, backend, options)?;
    /// let (sender, receiver) = std::sync::mpsc::channel();
    /// explainer.on_progress(Box::new(move |done, total| _ = sender.send((done, total))));
    /// explainer.explain(&Tensor::zeros(&[3, 24, 24]), &["integrated-gradients".parse()?], &Target::Index(1))?;
    /// // The points of the path, eight at a time.
    /// let told: Vec<(usize, usize)> = receiver.try_iter().collect();
    /// assert_eq!(told, [(8, 20), (16, 20), (20, 20)]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn on_progress(&mut self, hook: ProgressHook<'m>) {
        self.evaluator.progress.hook = Some(hook);
    }

    /// Bytes that the last batch held for activations and messages; weights are not counted.
    pub fn slot_bytes(&self) -> usize {
        self.evaluator.slot_bytes()
    }

    /// The smallest number of images that ran together because more did not fit into the device's memory.
    pub fn halved(&self) -> Option<usize> {
        self.evaluator.halved()
    }

    /// Images that run together for these methods.
    ///
    /// # Errors
    /// As [`Explainer::check`].
    pub fn batch(&mut self, methods: &[MethodChoice]) -> Result<usize, ExplainError> {
        let passes: Vec<Pass> = methods.iter().map(|choice| self.pass(choice.method)).collect();
        self.evaluator.batch(&passes)
    }

    /// Plans every method, so that a node without a rule is reported before anything runs.
    ///
    /// # Errors
    /// [`PlanError`] for the first such node.
    pub fn check(&mut self, methods: &[MethodChoice]) -> Result<(), ExplainError> {
        self.batch(methods).map(|_| ())
    }

    /// The heatmaps of `images`, `[C, H, W]` or `[N, C, H, W]` in the network's input space: one list an image, targets
    /// outer, methods inner. One forward pass serves all methods that take one sample, and all targets.
    ///
    /// In a browser, whose page must not wait, the device computes while this is awaited. Elsewhere the first poll takes as long as
    /// `explain` does, and the answer is there.
    ///
    /// # Errors
    /// [`ExplainError`]; nothing is returned for any image then.
    pub async fn explain_async(
        &mut self,
        images: &Tensor,
        methods: &[MethodChoice],
        target: &Target,
    ) -> Result<Vec<Vec<Heatmap>>, ExplainError> {
        self.explain_from_async(0, images, methods, target).await
    }

    /// The same for images `first..` of a run: noise depends on the seed and the image's number alone.
    ///
    /// # Errors
    /// As [`Explainer::explain_async`].
    pub async fn explain_from_async(
        &mut self,
        first: usize,
        images: &Tensor,
        methods: &[MethodChoice],
        target: &Target,
    ) -> Result<Vec<Vec<Heatmap>>, ExplainError> {
        let question = self.question(first, self.stack(copy(images))?, methods, target)?;
        self.evaluator.progress.start(self.evaluations(&question));
        let evaluation = self.evaluator.run(&question.work).await?;
        self.answer(&question, evaluation).await
    }

    /// The logits of `images` alone, one row an image.
    ///
    /// # Errors
    /// As [`Explainer::explain_async`].
    pub async fn logits_async(&mut self, images: &Tensor) -> Result<Vec<Vec<f64>>, ExplainError> {
        let images = self.stack(copy(images))?;
        check_finite(&images)?;
        self.logits_of(images).await
    }

    /// Begins with images `first..` of a run; [`Explainer::collect_async`] ends with them, and says what was wrong. A device
    /// computes meanwhile, and copies the maps of [`Explainer::in_flight`] batches while the caller deals with others. The maps
    /// are those of [`Explainer::explain_from_async`]. A batch whose future is dropped before its end is not submitted.
    pub async fn submit_async(&mut self, first: usize, images: Tensor, methods: &[MethodChoice], target: &Target) {
        let images = self.stack(images);
        self.send(first, images, methods, target).await;
    }

    async fn send(
        &mut self,
        first: usize,
        images: Result<Images, ExplainError>,
        methods: &[MethodChoice],
        target: &Target,
    ) {
        let question = images.and_then(|images| self.question(first, images, methods, target));
        let submitted = match question {
            Ok(question) => {
                let ticket = self.evaluator.depart(&question.work, 0..question.work.images.len()).await;
                Ok(Submitted { question, ticket })
            }
            Err(error) => Err(error),
        };
        self.submitted.push_back(submitted);
    }

    /// The maps of the first of the batches submitted; `None` where there is none. They are lost where the future is dropped before
    /// its end.
    pub async fn collect_async(&mut self) -> Option<Result<Vec<Vec<Heatmap>>, ExplainError>> {
        let submitted = self.submitted.pop_front()?;
        Some(match submitted {
            Ok(submitted) => self.landed(submitted).await,
            Err(error) => Err(error),
        })
    }

    async fn landed(&mut self, submitted: Submitted<'m>) -> Result<Vec<Vec<Heatmap>>, ExplainError> {
        let Submitted { question, ticket } = submitted;
        self.evaluator.progress.start(self.evaluations(&question));
        let evaluation = self.evaluator.land(ticket).await?;
        self.answer(&question, evaluation).await
    }

    /// Batches that are submitted and not collected.
    pub fn submitted(&self) -> usize {
        self.submitted.len()
    }

    /// Batches that keep the device busy between them.
    pub fn in_flight(&self) -> usize {
        self.evaluator.backend().sessions_in_flight()
    }

    fn question(
        &self,
        first: usize,
        images: Images,
        methods: &[MethodChoice],
        target: &Target,
    ) -> Result<Question<'m>, ExplainError> {
        check_finite(&images)?;
        let work = Work {
            baselines: self.baselines(&images)?,
            images,
            passes: methods.iter().filter(|c| is_direct(c)).map(|choice| self.pass(choice.method)).collect(),
            targets: Targets::Chosen(target.clone(), &self.model.classes),
        };
        Ok(Question { first, methods: methods.to_vec(), work: Arc::new(work) })
    }

    /// Images that go forth and back through the network.
    fn evaluations(&self, Question { methods, work, .. }: &Question) -> usize {
        let sampled = methods.iter().filter(|c| !is_direct(c)).map(|choice| self.samples(choice)).sum::<usize>();
        work.images.len() * (usize::from(methods.iter().any(is_direct)) + sampled)
    }

    /// The heatmaps of images whose work is evaluated.
    async fn answer(
        &mut self,
        question: &Question<'m>,
        mut evaluation: Evaluation,
    ) -> Result<Vec<Vec<Heatmap>>, ExplainError> {
        let Question { methods, work, .. } = question;
        let baseline_logits = self.baseline_logits(methods, work, &evaluation).await?;
        let direct = std::mem::take(&mut evaluation.maps).into_iter().zip(&evaluation.targets).enumerate();
        let mut maps = Vec::new();
        for (i, (direct, targets)) in direct {
            maps.push(self.maps(question, i, targets, direct).await?);
        }
        // The images' sums by all threads: what looks at every value takes longer than all else here.
        let sums: Vec<Vec<(f64, usize)>> =
            maps.par_iter().map(|maps| maps.iter().flatten().map(|map| map.values.sum()).collect()).collect();
        let mut lists = Vec::new();
        for (i, (maps, sums)) in maps.into_iter().zip(sums).enumerate() {
            let (targets, mut sums) = (&evaluation.targets[i], sums.into_iter());
            let logits = &evaluation.logits[i];
            let base = baseline_logits.get(if baseline_logits.len() == 1 { 0 } else { i });
            let mut list = Vec::new();
            for (&class, maps) in targets.iter().zip(maps) {
                for ((choice, map), sum) in methods.iter().zip(maps).zip(&mut sums) {
                    list.push(self.heatmap(*choice, class, (logits, base), map, sum));
                }
            }
            lists.push(list);
        }
        Ok(lists)
    }

    /// The maps of image `i`, targets outer, methods inner: `direct` has those of the methods that take one sample.
    async fn maps(
        &mut self,
        Question { first, methods, work }: &Question<'m>,
        i: usize,
        targets: &[usize],
        mut direct: Vec<Vec<RawMap>>,
    ) -> Result<Vec<Vec<RawMap>>, ExplainError> {
        let mut maps: Vec<Vec<RawMap>> = vec![Vec::new(); targets.len()];
        let mut next = 0;
        for choice in methods {
            if is_direct(choice) {
                for (of_target, direct) in maps.iter_mut().zip(&mut direct) {
                    of_target.push(finish(choice.method, std::mem::take(&mut direct[next])));
                }
                next += 1;
            } else {
                let image = work.images.of(i).into_f64();
                let baseline = work.baselines.get(if work.has_own_baselines() { i } else { 0 });
                let found = self.sampled(choice, &image, baseline, (first + i) as u64, targets).await?;
                let found = found.into_iter().map(|values| RawMap { values: values.into(), audit: None });
                maps.iter_mut().zip(found).for_each(|(of_target, map)| of_target.push(map));
            }
        }
        Ok(maps)
    }

    fn pass(&self, method: &'static Method) -> Pass {
        let pass = Pass::of(method, self.layer);
        Pass { upsample: self.options.upsample, audit: pass.audit && self.options.audit, ..pass }
    }

    fn stack(&self, images: Tensor) -> Result<Images, ExplainError> {
        let want = self.model.input();
        let tail = [want.channels, want.height, want.width];
        if !matches!(images.shape.len(), 3 | 4) || images.shape[images.shape.len() - 3..] != tail {
            return Err(ExplainError::Shape { want, got: images.shape });
        }
        Ok(Images::Stack(images, want.len()))
    }

    /// One baseline for all images, or one each.
    fn baselines(&self, images: &Images) -> Result<Arc<[Vec<f64>]>, ExplainError> {
        let (baseline, shape) = (&self.options.baseline, self.model.input());
        if baseline.is_shared() {
            return Ok([baseline.of(&[], shape)?].into());
        }
        (0..images.len()).map(|image| baseline.of(&images.of(image).into_f64(), shape)).collect()
    }

    /// The baselines' logits, where a method needs them: those of a rescale pass, else a forward pass of their own.
    async fn baseline_logits(
        &mut self,
        methods: &[MethodChoice],
        work: &Work<'_>,
        evaluation: &Evaluation,
    ) -> Result<Vec<Vec<f64>>, ExplainError> {
        if !methods.iter().any(|choice| choice.method.needs_baseline()) {
            return Ok(Vec::new());
        }
        if !evaluation.reference_logits.is_empty() {
            return Ok(evaluation.reference_logits.clone());
        }
        self.logits_of(Images::Points(work.baselines.to_vec())).await
    }

    async fn logits_of(&mut self, images: Images) -> Result<Vec<Vec<f64>>, ExplainError> {
        let (baselines, passes, targets) = ([].into(), Vec::new(), Targets::Fixed(Vec::new()));
        Ok(self.evaluator.run(&Arc::new(Work { images, baselines, passes, targets })).await?.logits)
    }

    fn heatmap(
        &self,
        choice: MethodChoice,
        class: usize,
        (logits, baseline_logits): (&[f64], Option<&Vec<f64>>),
        map: RawMap,
        sum: (f64, usize),
    ) -> Heatmap {
        let method = choice.method;
        let mut report = Report {
            logit: logits[class],
            probability: self.model.probability_of(logits, class),
            baseline_logit: baseline_logits.filter(|_| method.needs_baseline()).map(|base| base[class]),
            sum: 0.0,
            expected_sum: None,
            completeness_error: None,
            to_biases: None,
            to_epsilon: None,
            conservation_error: None,
            fallbacks: None,
            non_finite: 0,
            precision: self.model.graph.precision.to_string(),
            backend: self.evaluator.backend().name().to_owned(),
            layer: self.layer_name().filter(|_| method.readout.needs_layer()).map(str::to_owned),
        };
        let promised = if choice.smooth { Completeness::None } else { method.completeness };
        report.complete(sum, map.audit, promised);
        let shape = match (method.readout.is_cam(), self.options.upsample, self.layer) {
            (true, false, Some(layer)) => Shape { channels: 1, ..self.model.graph.shape(layer) },
            (true, ..) => Shape { channels: 1, ..self.model.input() },
            _ => self.model.input(),
        };
        let map = Tensor::new(&[shape.channels, shape.height, shape.width], map.values.into_f32());
        Heatmap { method: choice, target: class, class: self.model.class_name(class), map, report }
    }
}

/// Looks at the values of callers; others were looked at where they were made.
fn check_finite(images: &Images) -> Result<(), ExplainError> {
    if let Images::Each(_) = images {
        return Ok(());
    }
    let bad = |image: usize| match images.of(image) {
        Values::F32(values) => first_not_finite(&values).map(|element| (image, element)),
        _ => None,
    };
    match (0..images.len()).into_par_iter().find_map_first(bad) {
        Some((image, element)) => Err(ExplainError::NonFiniteInput { image, element }),
        None => Ok(()),
    }
}

/// By all threads: most of the time goes to touching new memory.
fn copy(images: &Tensor) -> Tensor {
    const VALUES: usize = 1 << 16;
    Tensor { shape: images.shape.clone(), data: images.data.par_iter().with_min_len(VALUES).copied().collect() }
}

/// The map comes out of the same run as the logits.
fn is_direct(choice: &MethodChoice) -> bool {
    !choice.smooth && choice.method.sampling == Sampling::Once
}

/// What remains to be done to one sample's map on the host.
fn finish(method: &Method, mut map: RawMap) -> RawMap {
    if method.readout == Readout::Absolute {
        map.values.make_absolute();
    }
    map
}
