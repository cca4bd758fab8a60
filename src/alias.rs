//! What papers and other tools call the methods: those that are here, and those that are not.

/// Ours, then other names of it as [`bare`] has them.
const ALIASES: [(&str, &[&str]); 11] = [
    ("gradient", &["grad", "gradients", "vanillagradient", "vanillagradients", "vanillagrad"]),
    (
        "input-x-gradient",
        &[
            "inputxgrad",
            "gradientxinput",
            "gradxinput",
            "inputtimesgradient",
            "gradienttimesinput",
            "input*gradient",
            "gradient*input",
        ],
    ),
    ("deconvnet", &["deconv", "deconvolution"]),
    ("guided-backprop", &["guidedbackpropagation", "guidedbp", "gbp"]),
    ("cam", &["classactivationmap", "classactivationmapping"]),
    ("grad-cam", &["layergradcam"]),
    ("lrp-epsilon", &["lrp", "epsilon", "epsilonlrp", "lrpe"]),
    ("lrp-zplus", &["zplus", "z+", "lrpz+", "zpluslrp"]),
    ("deeplift", &["deepliftrescale"]),
    ("integrated-gradients", &["ig", "integratedgradient", "intgrad"]),
    ("smoothgrad", &["smoothgradient", "smoothgradients", "noisetunnel"]),
];

/// The nearest of ours, then methods of other tools that are not offered.
const FOREIGN: [(&str, &[&str]); 9] = [
    (
        "grad-cam",
        &[
            "gradcam++",
            "gradcamplusplus",
            "gradcampp",
            "xgradcam",
            "hirescam",
            "scorecam",
            "sscam",
            "iscam",
            "ablationcam",
            "layercam",
            "eigencam",
            "eigengradcam",
            "gradcamelementwise",
            "kpcacam",
            "finercam",
            "shapleycam",
            "randomcam",
            "rise",
        ],
    ),
    ("guided-grad-cam", &["guidedgradcam++", "guidedgradcamplusplus"]),
    ("smoothgrad-grad-cam", &["smoothgradcam++", "smoothgradcamplusplus", "smoothgradcampp"]),
    ("smoothgrad", &["vargrad", "smoothgradsquared", "smoothgradsq"]),
    ("input-x-gradient", &["fullgrad", "fullgradient"]),
    (
        "integrated-gradients",
        &[
            "lime",
            "occlusion",
            "featureablation",
            "featurepermutation",
            "xrai",
            "blurig",
            "guidedig",
            "expectedgradients",
            "gradientshap",
            "gradientexplainer",
            "meaningfulperturbation",
            "extremalperturbation",
        ],
    ),
    (
        "deeplift",
        &["shap", "deepshap", "deepliftshap", "deepexplainer", "kernelshap", "shapleyvaluesampling", "shapleyvalues"],
    ),
    (
        "lrp-zplus",
        &[
            "excitationbackprop",
            "ebp",
            "deeptaylor",
            "deeptaylordecomposition",
            "alphabeta",
            "lrpalphabeta",
            "alpha1beta0",
            "lrpalpha1beta0",
            "alpha2beta1",
            "lrpalpha2beta1",
        ],
    ),
    (
        "epsilon-plus-flat",
        &[
            "epsilonplus",
            "lrpepsilonplus",
            "gamma",
            "lrpgamma",
            "epsilongammabox",
            "lrpepsilongammabox",
            "epsilonalpha2beta1",
            "epsilonalpha2beta1flat",
            "zbox",
            "lrpzbox",
        ],
    ),
];

/// A name without case and separators: that of `Guided_GradCAM` is `guidedgradcam`.
pub fn bare(name: &str) -> String {
    name.chars().filter(|c| !matches!(c, '-' | '_' | ' ' | '.')).flat_map(char::to_lowercase).collect()
}

/// The method that is called otherwise elsewhere.
pub fn ours(bare: &str) -> Option<&'static str> {
    find(&ALIASES, bare)
}

/// The method nearest to one that is not offered.
pub fn instead(bare: &str) -> Option<&'static str> {
    find(&FOREIGN, bare)
}

fn find(rows: &[(&'static str, &[&str])], bare: &str) -> Option<&'static str> {
    rows.iter().find(|(_, names)| names.contains(&bare)).map(|(ours, _)| *ours)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::method::{MethodChoice, names};

    #[test]
    fn every_name_means_one_thing() {
        let mut seen: Vec<String> = names().into_iter().map(bare).collect();
        for (ours, others) in ALIASES.iter().chain(&FOREIGN) {
            assert_eq!(ours.parse::<MethodChoice>().map(|choice| choice.to_string()).as_deref(), Ok(*ours));
            for name in *others {
                assert_eq!(bare(name), *name);
                assert!(!seen.contains(&(*name).to_owned()), "{name} is there twice");
                seen.push((*name).to_owned());
            }
        }
    }
}
