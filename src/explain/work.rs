//! What is asked of the network for some images.

use std::ops::Range;
use std::sync::Arc;

use super::{ExplainError, Target};
use crate::backend::Values;
use crate::graph::Shape;
use crate::plan::{Batch, Pass};
use crate::tensor::Tensor;

/// Images in the network's input space.
pub enum Images {
    /// As they came in: `[N, C, H, W]`, or one `[C, H, W]` of so many values.
    Stack(Tensor, usize),
    /// As somebody holds them, one by one.
    #[cfg_attr(target_family = "wasm", expect(dead_code, reason = "the command line holds them"))]
    Each(Vec<Arc<Vec<f32>>>),
    /// As a method made them.
    Points(Vec<Vec<f64>>),
}

impl Images {
    pub fn len(&self) -> usize {
        match self {
            Self::Stack(tensor, len) => tensor.data.len() / len,
            Self::Each(images) => images.len(),
            Self::Points(points) => points.len(),
        }
    }

    pub fn of(&self, image: usize) -> Values<'_> {
        match self {
            Self::Stack(tensor, len) => Values::from(&tensor.data[image * len..(image + 1) * len]),
            Self::Each(images) => Values::from(images[image].as_slice()),
            Self::Points(points) => Values::from(points[image].as_slice()),
        }
    }
}

/// Which classes each image is explained for.
#[derive(Clone)]
pub enum Targets<'m> {
    /// The same for every image.
    Fixed(Vec<usize>),
    /// By each image's logits and the class names.
    Chosen(Target, &'m [String]),
}

impl Targets<'_> {
    /// The most targets an image can have.
    pub fn most(&self, classes: usize) -> usize {
        match self {
            Self::Fixed(targets) => targets.len(),
            Self::Chosen(Target::All, _) => classes,
            Self::Chosen(Target::Top(count), _) => (*count).min(classes),
            Self::Chosen(Target::Index(_), _) => 1,
            Self::Chosen(Target::Name(_), _) => self.of(&vec![0.0; classes]).map_or(1, |targets| targets.len()),
        }
    }

    /// Those of every image, where they do not depend on its logits.
    pub fn known(&self, classes: usize) -> Option<Result<Vec<usize>, ExplainError>> {
        match self {
            Self::Chosen(Target::Top(_), _) => None,
            _ => Some(self.of(&vec![0.0; classes])),
        }
    }

    /// They are those of the greatest logits.
    fn are_ranked(&self) -> bool {
        matches!(self, Self::Chosen(Target::Top(_), _))
    }

    /// Those of an image.
    pub fn of(&self, logits: &[f64]) -> Result<Vec<usize>, ExplainError> {
        match self {
            Self::Fixed(targets) => Ok(targets.clone()),
            Self::Chosen(target, classes) => target.resolve(logits, classes),
        }
    }
}

/// Images, with one baseline for all or one each, through passes.
pub struct Work<'m> {
    pub images: Images,
    pub baselines: Arc<[Vec<f64>]>,
    pub passes: Vec<Pass>,
    pub targets: Targets<'m>,
}

/// Messages that travel back together through one image at most.
pub const MOST_MESSAGES: usize = 8;

/// Classes of which a program finds the greatest at most: each is compared with each.
const MOST_RANKED: usize = 4096;

impl Work<'_> {
    /// Each image has a baseline of its own.
    pub fn has_own_baselines(&self) -> bool {
        self.baselines.len() > 1
    }

    pub fn images(&self, part: &Range<usize>) -> Vec<Values<'_>> {
        part.clone().map(|image| self.images.of(image)).collect()
    }

    pub fn baselines(&self, part: &Range<usize>) -> Vec<Values<'_>> {
        let baselines = if self.has_own_baselines() { &self.baselines[part.clone()] } else { &self.baselines };
        baselines.iter().map(|baseline| Values::from(baseline.as_slice())).collect()
    }

    /// The items of a program for some of the images, in a network with such logits, with so many messages an image at most.
    pub fn items(&self, part: &Range<usize>, logits: Shape, messages: usize) -> Batch {
        let most = self.targets.most(logits.len());
        let messages = most.clamp(1, messages);
        Batch {
            images: part.len(),
            references: if self.has_own_baselines() { part.len() } else { 1 },
            messages_per_image: messages,
            repeat: most > messages,
            ranked: self.targets.are_ranked()
                && !self.passes.is_empty()
                && (1..=messages).contains(&most)
                && !logits.is_spatial()
                && logits.len() <= MOST_RANKED,
        }
    }
}

/// A map as the program leaves it.
#[derive(Clone, Debug, Default)]
pub struct RawMap {
    pub values: Values<'static>,
    /// The sums of [`crate::program::Program::audits`].
    pub audit: Option<[f64; 2]>,
}

/// Logits, targets and raw maps of some images.
#[derive(Default)]
pub struct Evaluation {
    pub logits: Vec<Vec<f64>>,
    /// The baselines' logits, where a pass forwarded them: one row for all, or one an image.
    pub reference_logits: Vec<Vec<f64>>,
    pub targets: Vec<Vec<usize>>,
    /// Of every image, every target, every pass.
    pub maps: Vec<Vec<Vec<RawMap>>>,
}

impl Evaluation {
    /// Adds the images of another part; with `own`, each has a baseline of its own.
    pub fn append(&mut self, part: Self, own: bool) {
        if own || self.reference_logits.is_empty() {
            self.reference_logits.extend(part.reference_logits);
        }
        self.logits.extend(part.logits);
        self.targets.extend(part.targets);
        self.maps.extend(part.maps);
    }
}
