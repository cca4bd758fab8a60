use serde::Serialize;

use crate::method::Completeness;

/// What a reader needs to trust a map, or not.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// The explained logit.
    pub logit: f64,
    /// Softmax of it, or sigmoid where the model's classes are independent.
    pub probability: f64,
    /// The baseline's logit, for methods that have one.
    pub baseline_logit: Option<f64>,
    /// Sum over all elements of the map.
    pub sum: f64,
    /// What the sum should be, for methods that promise one.
    pub expected_sum: Option<f64>,
    /// `|sum - expected| / max(1, |expected|)`
    pub completeness_error: Option<f64>,
    /// LRP: relevance that biases and the stabiliser absorbed, logit less sum.
    pub absorbed: Option<f64>,
    /// Elements that are not finite.
    pub non_finite: usize,
    pub precision: String,
    pub backend: String,
    /// The layer of a CAM.
    pub layer: Option<String>,
}

impl Report {
    /// Fills in the figures that follow from the map.
    pub fn complete(&mut self, map: &[f64], kind: Completeness) {
        self.sum = map.iter().sum();
        self.non_finite = map.iter().filter(|v| !v.is_finite()).count();
        self.expected_sum = match kind {
            Completeness::None => None,
            Completeness::Logit => Some(self.logit),
            Completeness::Difference => self.baseline_logit.map(|baseline| self.logit - baseline),
        };
        self.completeness_error =
            self.expected_sum.map(|expected| (self.sum - expected).abs() / expected.abs().max(1.0));
        self.absorbed = (kind == Completeness::Logit).then_some(self.logit - self.sum);
    }
}
