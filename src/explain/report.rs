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
    /// LRP: relevance that biases took.
    pub to_biases: Option<f64>,
    /// LRP: relevance that the stabiliser took.
    pub to_epsilon: Option<f64>,
    /// LRP: `|sum + to_biases + to_epsilon - logit| / max(1, |logit|)`, which is rounding where the rules conserve.
    pub conservation_error: Option<f64>,
    /// DeepLIFT: elements that equal their reference, so that the derivative stood in for the quotient.
    pub fallbacks: Option<u64>,
    /// Elements that are not finite.
    pub non_finite: usize,
    pub precision: String,
    pub backend: String,
    /// The layer of a CAM.
    pub layer: Option<String>,
}

impl Report {
    /// Fills in the figures that follow from the map's [`Values::sum`](crate::backend::Values::sum) and from the audit of its rules.
    pub(super) fn complete(&mut self, sum: (f64, usize), audit: Option<[f64; 2]>, kind: Completeness) {
        (self.sum, self.non_finite) = sum;
        self.expected_sum = match kind {
            Completeness::None => None,
            Completeness::Logit => Some(self.logit),
            Completeness::Difference => self.baseline_logit.map(|baseline| self.logit - baseline),
        };
        self.completeness_error =
            self.expected_sum.map(|expected| (self.sum - expected).abs() / expected.abs().max(1.0));
        match (audit, kind) {
            (Some([to_biases, to_epsilon]), Completeness::Logit) => {
                let error = (self.sum + to_biases + to_epsilon - self.logit).abs() / self.logit.abs().max(1.0);
                (self.to_biases, self.to_epsilon) = (Some(to_biases), Some(to_epsilon));
                self.conservation_error = Some(error);
            }
            (Some([fallbacks, _]), Completeness::Difference) => self.fallbacks = Some(fallbacks as u64),
            _ => {}
        }
    }
}
