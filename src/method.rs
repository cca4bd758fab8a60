//! The methods, one row each: which rules, where the message is read, and how.

use std::fmt;

use crate::rule::{self, Composite};
use crate::suggest;

/// How the message that arrives is turned into a map.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Readout {
    /// The message.
    Signed,
    /// Its absolute value.
    Absolute,
    /// Relevance: the message times the input, or the relevance that arrived.
    TimesInput,
    /// The message times (input - baseline).
    TimesDifference,
    /// `sum_c mean(m_c) A_c` at a layer, upsampled bilinearly to the input; no ReLU.
    GradCam,
    /// `sum_c w_c A_c` with the weights of the class in a pool-and-dense head.
    Cam,
    /// The message at the input times the upsampled ReLU of Grad-CAM.
    GuidedCam,
}

impl Readout {
    /// The map has one channel and lives on a layer's grid.
    pub fn is_cam(self) -> bool {
        matches!(self, Self::GradCam | Self::Cam)
    }

    /// A layer must be chosen.
    pub fn needs_layer(self) -> bool {
        matches!(self, Self::GradCam | Self::Cam | Self::GuidedCam)
    }
}

/// How often, and where, the map is evaluated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Sampling {
    Once,
    /// Along the straight path from the baseline to the input.
    Path,
}

/// What the sum of a map should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Completeness {
    /// Nothing in particular.
    None,
    /// The logit.
    Logit,
    /// The logit less that of the baseline.
    Difference,
}

/// One row of the table of methods.
///
/// ```
/// use fluoroscope::method::{METHODS, MethodChoice};
///
/// let choice: MethodChoice = "smoothgrad-grad-cam".parse()?;
/// assert_eq!((choice.method.title, choice.smooth), ("Grad-CAM", true));
/// let slip = "gradcam".parse::<MethodChoice>().unwrap_err();
/// assert_eq!(slip.suggestion.as_deref(), Some("grad-cam"));
/// assert!(METHODS.iter().any(|method| method.name == "lrp-epsilon"));
/// # Ok::<(), fluoroscope::method::UnknownMethod>(())
/// ```
#[derive(Debug)]
pub struct Method {
    pub name: &'static str,
    pub title: &'static str,
    pub paper: &'static str,
    pub composite: &'static Composite,
    pub readout: Readout,
    pub sampling: Sampling,
    pub completeness: Completeness,
}

impl Method {
    /// Values below zero mean something: drawn with a diverging palette.
    pub fn signed(&self) -> bool {
        self.readout != Readout::Absolute
    }

    /// A baseline enters the map.
    pub fn needs_baseline(&self) -> bool {
        self.composite.needs_reference || self.sampling == Sampling::Path
    }

    const fn new(
        name: &'static str,
        title: &'static str,
        composite: &'static Composite,
        readout: Readout,
        paper: &'static str,
    ) -> Self {
        Self { name, title, paper, composite, readout, sampling: Sampling::Once, completeness: Completeness::None }
    }

    const fn complete(mut self, completeness: Completeness) -> Self {
        self.completeness = completeness;
        self
    }

    const fn along_path(mut self) -> Self {
        self.sampling = Sampling::Path;
        self
    }
}

/// Every method, in the order of `--help`.
pub static METHODS: [Method; 13] = [
    Method::new("saliency", "Saliency", &rule::GRADIENT, Readout::Absolute, "Simonyan et al. 2014, arXiv:1312.6034"),
    Method::new("gradient", "Gradient", &rule::GRADIENT, Readout::Signed, "Simonyan et al. 2014, arXiv:1312.6034"),
    Method::new(
        "input-x-gradient",
        "Input x gradient",
        &rule::GRADIENT,
        Readout::TimesInput,
        "Shrikumar et al. 2016, arXiv:1605.01713",
    ),
    Method::new("deconvnet", "DeconvNet", &rule::DECONVNET, Readout::Signed, "Zeiler and Fergus 2014, arXiv:1311.2901"),
    Method::new(
        "guided-backprop",
        "Guided backprop",
        &rule::GUIDED,
        Readout::Signed,
        "Springenberg et al. 2015, arXiv:1412.6806",
    ),
    Method::new("cam", "CAM", &rule::GRADIENT, Readout::Cam, "Zhou et al. 2016, arXiv:1512.04150"),
    Method::new("grad-cam", "Grad-CAM", &rule::GRADIENT, Readout::GradCam, "Selvaraju et al. 2017, arXiv:1610.02391"),
    Method::new(
        "guided-grad-cam",
        "Guided Grad-CAM",
        &rule::GUIDED,
        Readout::GuidedCam,
        "Selvaraju et al. 2017, arXiv:1610.02391",
    ),
    Method::new(
        "lrp-epsilon",
        "LRP-epsilon",
        &rule::LRP_EPSILON,
        Readout::TimesInput,
        "Bach et al. 2015, doi:10.1371/journal.pone.0130140",
    )
    .complete(Completeness::Logit),
    Method::new(
        "lrp-zplus",
        "LRP-z+",
        &rule::LRP_Z_PLUS,
        Readout::TimesInput,
        "Montavon et al. 2017, arXiv:1512.02479",
    )
    .complete(Completeness::Logit),
    Method::new(
        "epsilon-plus-flat",
        "LRP epsilon-plus-flat",
        &rule::EPSILON_PLUS_FLAT,
        Readout::TimesInput,
        "Kohlbrenner et al. 2020, arXiv:1910.09840",
    )
    .complete(Completeness::Logit),
    Method::new(
        "deeplift",
        "DeepLIFT (rescale)",
        &rule::RESCALE,
        Readout::TimesDifference,
        "Shrikumar et al. 2017, arXiv:1704.02685",
    )
    .complete(Completeness::Difference),
    Method::new(
        "integrated-gradients",
        "Integrated gradients",
        &rule::GRADIENT,
        Readout::TimesDifference,
        "Sundararajan et al. 2017, arXiv:1703.01365",
    )
    .along_path()
    .complete(Completeness::Difference),
];

/// A method as asked for: a row of the table, perhaps averaged over noisy copies of the input.
#[derive(Clone, Copy, Debug)]
pub struct MethodChoice {
    pub method: &'static Method,
    /// SmoothGrad (Smilkov et al. 2017, arXiv:1706.03825) over the method.
    pub smooth: bool,
}

impl PartialEq for MethodChoice {
    fn eq(&self, other: &Self) -> bool {
        self.method.name == other.method.name && self.smooth == other.smooth
    }
}

impl fmt::Display for MethodChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.smooth, self.method.name) {
            (false, name) => f.write_str(name),
            (true, "gradient") => f.write_str("smoothgrad"),
            (true, name) => write!(f, "smoothgrad-{name}"),
        }
    }
}

impl MethodChoice {
    /// What a picture's caption says.
    pub fn title(&self) -> String {
        if self.smooth { format!("SmoothGrad, {}", self.method.title) } else { self.method.title.to_owned() }
    }
}

/// A `--method` that names no method.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown method {name:?}{}; methods: {}", suggestion.as_ref().map_or(String::new(), |s| format!("; did you mean {s}?")), names().join(", "))]
pub struct UnknownMethod {
    pub name: String,
    pub suggestion: Option<String>,
}

/// The names that [`MethodChoice`] parses; `smoothgrad-METHOD` works for every method.
pub fn names() -> Vec<&'static str> {
    METHODS.iter().map(|m| m.name).chain(["smoothgrad"]).collect()
}

impl std::str::FromStr for MethodChoice {
    type Err = UnknownMethod;

    fn from_str(text: &str) -> Result<Self, UnknownMethod> {
        let (name, smooth) = match text {
            "smoothgrad" => ("gradient", true),
            _ => text.strip_prefix("smoothgrad-").map_or((text, false), |rest| (rest, true)),
        };
        let method = METHODS.iter().find(|m| m.name == name).ok_or_else(|| UnknownMethod {
            name: text.to_owned(),
            suggestion: suggest::nearest(text, names()).map(str::to_owned),
        })?;
        Ok(Self { method, smooth })
    }
}
