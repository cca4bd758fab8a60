//! Methods that take several samples: along a path, or under noise.

use std::sync::Arc;

use super::sampling::{Noise, gauss_legendre};
use super::work::{Evaluation, Images, Targets, Work};
use super::{ExplainError, Explainer, finish};
use crate::backend::Values;
use crate::method::{Method, MethodChoice, Sampling};
use crate::plan::Pass;

impl Explainer<'_> {
    /// Images that a sampled method makes of one.
    pub(super) fn samples(&self, choice: &MethodChoice) -> usize {
        let noisy = if choice.smooth { self.options.samples } else { 1 };
        match choice.method.sampling {
            Sampling::Once => noisy,
            Sampling::Path => noisy * self.options.steps,
        }
    }

    /// The maps of a method that takes several samples, one a target.
    pub(super) async fn sampled(
        &mut self,
        choice: &MethodChoice,
        image: &[f64],
        baseline: Option<&Vec<f64>>,
        id: u64,
        targets: &[usize],
    ) -> Result<Vec<Vec<f64>>, ExplainError> {
        if !choice.smooth {
            return self.along_path(choice.method, image, baseline, targets).await;
        }
        let (low, high) = image.iter().fold((f64::MAX, f64::MIN), |(low, high), v| (low.min(*v), high.max(*v)));
        let sigma = self.options.sigma * (high - low);
        let samples = self.options.samples;
        let seed = self.options.seed;
        let copies = (0..samples).map(|sample| {
            let noise = Noise::new(seed, id, sample as u64);
            let noisy = image.iter().enumerate().map(|(i, v)| v + sigma * noise.normal(i as u64)).collect();
            (noisy, 1.0 / samples as f64)
        });
        match choice.method.sampling {
            Sampling::Once => self.weighted_sum(choice.method, copies, baseline, targets).await,
            Sampling::Path => {
                let mut sum: Vec<Vec<f64>> = targets.iter().map(|_| Vec::new()).collect();
                for (copy, weight) in copies {
                    let maps = self.along_path(choice.method, &copy, baseline, targets).await?;
                    let maps = maps.into_iter().map(Values::from);
                    sum.iter_mut().zip(maps).for_each(|(sum, map)| add_weighted(sum, &map, weight));
                }
                Ok(sum)
            }
        }
    }

    /// `(x - x') * sum_k w_k grad(x' + a_k (x - x'))` (Sundararajan et al. 2017).
    async fn along_path(
        &mut self,
        method: &'static Method,
        image: &[f64],
        baseline: Option<&Vec<f64>>,
        targets: &[usize],
    ) -> Result<Vec<Vec<f64>>, ExplainError> {
        let zeros = vec![0.0; image.len()];
        let from: &[f64] = baseline.unwrap_or(&zeros);
        let points = gauss_legendre(self.options.steps).into_iter().map(|(a, weight)| {
            let point = image.iter().zip(from).map(|(x, x0)| x0 + a * (x - x0)).collect();
            (point, weight)
        });
        let mut maps = self.weighted_sum(method, points, baseline, targets).await?;
        for map in &mut maps {
            for ((value, x), x0) in map.iter_mut().zip(image).zip(from) {
                *value *= x - x0;
            }
        }
        Ok(maps)
    }

    /// The weighted sum of a method's maps over inputs, one map a target; inputs are made a batch at a time.
    async fn weighted_sum(
        &mut self,
        method: &'static Method,
        mut inputs: impl Iterator<Item = (Vec<f64>, f64)>,
        baseline: Option<&Vec<f64>>,
        targets: &[usize],
    ) -> Result<Vec<Vec<f64>>, ExplainError> {
        let passes = [Pass { audit: false, ..self.pass(method) }];
        let baselines: Arc<[Vec<f64>]> = baseline.into_iter().cloned().collect();
        let next = |batch: usize| {
            let (points, weights): (Vec<_>, Vec<f64>) = inputs.by_ref().take(batch).unzip();
            let part = 0..points.len();
            let (images, targets) = (Images::Points(points), Targets::Fixed(targets.to_vec()));
            let work = Work { images, baselines: Arc::clone(&baselines), passes: passes.to_vec(), targets };
            (!part.is_empty()).then(|| (Arc::new(work), part, weights))
        };
        let mut sum: Vec<Vec<f64>> = targets.iter().map(|_| Vec::new()).collect();
        let land = |evaluation: Evaluation, weights: Vec<f64>| {
            for (maps, weight) in evaluation.maps.into_iter().zip(weights) {
                let maps = maps.into_iter().map(|mut of_target| finish(method, of_target.swap_remove(0)).values);
                sum.iter_mut().zip(maps).for_each(|(sum, map)| add_weighted(sum, &map, weight));
            }
        };
        self.evaluator.stream(&passes, next, land).await?;
        Ok(sum)
    }
}

/// `sum += weight * map`; a sum of nothing is empty.
fn add_weighted(sum: &mut Vec<f64>, map: &Values, weight: f64) {
    sum.resize(map.len(), 0.0);
    let mut sums = sum.iter_mut();
    map.each(|v| {
        if let Some(sum) = sums.next() {
            *sum += weight * v;
        }
    });
}
