//! The methods, one row each: which rules, where the message is read, and how.

use std::fmt;

use crate::rule::{self, Composite};
use crate::{alias, suggest};

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
/// assert_eq!("GradCAM".parse::<MethodChoice>()?.method.name, "grad-cam");
/// let slip = "grad-cma".parse::<MethodChoice>().unwrap_err().to_string();
/// assert!(slip.contains("did you mean grad-cam?"));
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
pub enum UnknownMethod {
    #[error("unknown method {name:?}{}; methods: {}", suggestion.as_ref().map_or(String::new(), |s| format!("; did you mean {s}?")), names().join(", "))]
    Name { name: String, suggestion: Option<String> },
    /// Other tools have it.
    #[error("method {name:?} is not offered; the nearest that is: {instead}")]
    NotOffered { name: String, instead: &'static str },
}

/// The names that [`MethodChoice`] parses; `smoothgrad-METHOD` works for every method. Case and separators do not matter, and what
/// papers and other tools call these methods is understood, too.
pub fn names() -> Vec<&'static str> {
    METHODS.iter().map(|m| m.name).chain(["smoothgrad"]).collect()
}

/// The row of a method, whatever the spelling.
fn row(name: &str) -> Option<&'static Method> {
    let bare = alias::bare(name);
    let ours = alias::ours(&bare);
    METHODS.iter().find(|method| ours == Some(method.name) || alias::bare(method.name) == bare)
}

/// The name that one without separators may be a slip of.
fn nearest(bare: &str) -> Option<&'static str> {
    let bares: Vec<String> = names().into_iter().map(alias::bare).collect();
    let near = suggest::nearest(bare, bares.iter().map(String::as_str))?;
    names().into_iter().find(|name| alias::bare(name) == near)
}

impl std::str::FromStr for MethodChoice {
    type Err = UnknownMethod;

    fn from_str(text: &str) -> Result<Self, UnknownMethod> {
        const SMOOTH: &str = "smoothgrad";
        let bare = alias::bare(text);
        if bare == SMOOTH || alias::ours(&bare) == Some(SMOOTH) {
            return Ok(Self { method: row("gradient").expect("a row of the table"), smooth: true });
        }
        let lower = text.to_lowercase().replace('_', "-");
        let smoothed = lower.strip_prefix(SMOOTH).and_then(|rest| rest.strip_prefix('-'));
        if let Some(method) = smoothed.map_or_else(|| row(text), row) {
            return Ok(Self { method, smooth: smoothed.is_some() });
        }
        let name = text.to_owned();
        Err(match alias::instead(&bare) {
            Some(instead) => UnknownMethod::NotOffered { name, instead },
            None => UnknownMethod::Name { name, suggestion: nearest(&bare).map(str::to_owned) },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_papers_and_other_tools_are_understood() {
        for (text, want) in [
            ("gradcam", "grad-cam"),
            ("GradCAM", "grad-cam"),
            ("grad_cam", "grad-cam"),
            ("LayerGradCam", "grad-cam"),
            ("GuidedGradCam", "guided-grad-cam"),
            ("ig", "integrated-gradients"),
            ("IntegratedGradients", "integrated-gradients"),
            ("gradient-x-input", "input-x-gradient"),
            ("grad-x-input", "input-x-gradient"),
            ("InputXGradient", "input-x-gradient"),
            ("guided-backpropagation", "guided-backprop"),
            ("Deconvolution", "deconvnet"),
            ("deep-lift", "deeplift"),
            ("EpsilonPlusFlat", "epsilon-plus-flat"),
            ("LRP", "lrp-epsilon"),
            ("zplus", "lrp-zplus"),
            ("SmoothGrad", "smoothgrad"),
            ("smooth-grad", "smoothgrad"),
            ("smoothgrad-gradient", "smoothgrad"),
            ("smoothgrad-cam", "smoothgrad-cam"),
            ("smoothgrad-ig", "smoothgrad-integrated-gradients"),
            ("smoothgrad_gradcam", "smoothgrad-grad-cam"),
        ] {
            assert_eq!(text.parse::<MethodChoice>().map(|choice| choice.to_string()).as_deref(), Ok(want), "{text}");
        }
        for method in &METHODS {
            assert_eq!(method.name.parse::<MethodChoice>().map(|choice| choice.method.name), Ok(method.name));
        }
    }

    #[test]
    fn what_is_not_offered_has_a_nearest() {
        for (text, want) in [
            ("gradcam++", "grad-cam"),
            ("Grad-CAM++", "grad-cam"),
            ("ScoreCAM", "grad-cam"),
            ("layer-cam", "grad-cam"),
            ("lime", "integrated-gradients"),
            ("SHAP", "deeplift"),
            ("smoothgrad-cam++", "smoothgrad-grad-cam"),
        ] {
            let message = text.parse::<MethodChoice>().expect_err(text).to_string();
            assert_eq!(message, format!("method {text:?} is not offered; the nearest that is: {want}"));
        }
        // Neither smoothed CAM nor smoothed Grad-CAM for certain.
        assert!(matches!("smooth-gradcam".parse::<MethodChoice>(), Err(UnknownMethod::Name { .. })));
        assert!("smoothgrad-smoothgrad".parse::<MethodChoice>().is_err());
    }
}
