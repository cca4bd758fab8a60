//! The front door for whoever may wait: everything but a browser's page.

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use super::work::Images;
use super::{ExplainError, Explainer, Heatmap, Target};
use crate::method::MethodChoice;
use crate::tensor::{Tensor, first_not_finite};

impl Explainer<'_> {
    /// The heatmaps of `images`, `[C, H, W]` or `[N, C, H, W]` in the network's input space: one list an image, targets
    /// outer, methods inner. One forward pass serves all methods that take one sample, and all targets.
    ///
    /// # Errors
    /// [`ExplainError`]; nothing is returned for any image then.
    pub fn explain(
        &mut self,
        images: &Tensor,
        methods: &[MethodChoice],
        target: &Target,
    ) -> Result<Vec<Vec<Heatmap>>, ExplainError> {
        now(self.explain_async(images, methods, target))
    }

    /// The same for images `first..` of a run: noise depends on the seed and the image's number alone.
    ///
    /// # Errors
    /// As [`Explainer::explain`].
    pub fn explain_from(
        &mut self,
        first: usize,
        images: &Tensor,
        methods: &[MethodChoice],
        target: &Target,
    ) -> Result<Vec<Vec<Heatmap>>, ExplainError> {
        now(self.explain_from_async(first, images, methods, target))
    }

    /// The logits of `images` alone, one row an image.
    ///
    /// # Errors
    /// As [`Explainer::explain`].
    pub fn logits(&mut self, images: &Tensor) -> Result<Vec<Vec<f64>>, ExplainError> {
        now(self.logits_async(images))
    }

    /// Begins with images `first..` of a run; [`Explainer::collect`] ends with them, and says what was wrong. A device
    /// computes meanwhile: with [`Explainer::in_flight`] batches submitted before the first is collected, its copies and
    /// what the caller does with the maps cost no time. The maps are those of [`Explainer::explain_from`].
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
    /// let mut explainer = Explainer::new(&model, backend, ExplainOptions::default())?;
    /// let methods = ["lrp-epsilon".parse()?];
    /// let mut batches = (0..5).map(|i| Tensor::new(&[2, 3, 24, 24], vec![i as f32; 2 * 3 * 24 * 24])).enumerate();
    /// let mut maps = 0;
    /// loop {
    ///     while explainer.submitted() < explainer.in_flight() {
    ///         let Some((i, batch)) = batches.next() else { break };
    ///         explainer.submit(2 * i, batch, &methods, &Target::Top(1));
    ///     }
    ///     let Some(lists) = explainer.collect() else { break };
    ///     maps += lists?.len();
    /// }
    /// assert_eq!(maps, 10);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn submit(&mut self, first: usize, images: Tensor, methods: &[MethodChoice], target: &Target) {
        let images = self.stack(images);
        now(self.send(first, images, methods, target));
    }

    /// The same for images one by one, each as large as the network's input, which are not copied. Whoever read them found all
    /// values finite.
    pub(crate) fn submit_each(
        &mut self,
        first: usize,
        images: Vec<Arc<Vec<f32>>>,
        methods: &[MethodChoice],
        target: &Target,
    ) {
        debug_assert!(images.iter().all(|image| image.len() == self.model.input().len()));
        debug_assert!(images.iter().all(|image| first_not_finite(image).is_none()));
        now(self.send(first, Ok(Images::Each(images)), methods, target));
    }

    /// Waits for the first of the batches submitted; `None` where there is none.
    pub fn collect(&mut self) -> Option<Result<Vec<Vec<Heatmap>>, ExplainError>> {
        now(self.collect_async())
    }
}

/// The result of a future that awaits nothing but what is [there](crate::backend::Pending).
fn now<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => unreachable!("outside of browsers, a backend's answers are there at the first poll"),
    }
}
