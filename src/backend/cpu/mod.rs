//! The CPU backend: plain loops, generic over f32 and f64, the reference of every other backend.
//!
//! A file per kernel, named by [`Kernel::stem`](crate::program::Kernel::stem). Every result is accumulated in one fixed
//! order, whatever the batch and the number of threads.

mod activation_backward;
mod activation_forward;
mod arena;
mod cam_mix;
mod conv2d_backward;
mod conv2d_forward;
mod curve;
mod depthwise_backward;
mod depthwise_forward;
mod dot;
mod erf;
mod filter;
mod frame;
mod lanes;
mod launch;
mod pool_average_backward;
mod pool_average_forward;
mod pool_max_backward;
mod pool_max_forward;
mod pool_max_rescale;
mod real;
mod rearrange;
mod resize;
mod session;
mod shared;
pub(crate) mod simd;
mod stages;
mod tiles;
mod upsample_bilinear;
mod upsample_bilinear_backward;
mod view;
mod window;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use rayon::{ThreadPool, ThreadPoolBuilder};

use self::arena::Storage;
use self::frame::{StepWeights, stage_weights};
use self::real::Real;
pub use self::session::CpuSession;
use super::{Backend, BackendError, Session};
use crate::graph::{Constant, Precision};
use crate::program::{Arrangement, Part, Program, Step, Weight};

/// Threads of this machine, computing in f32 or f64.
pub struct CpuBackend {
    pool: Arc<ThreadPool>,
    cache: TypedCache,
    poison: bool,
}

/// The cache for the type of the backend's precision.
enum TypedCache {
    F32(Mutex<Cache<f32>>),
    F64(Mutex<Cache<f64>>),
}

/// Materialised weights by [`Weight::key`], each with its source: a constant's identity is good while it lives.
type Cache<T> = HashMap<(usize, Part, Arrangement), (Constant, Arc<[T]>)>;

impl CpuBackend {
    /// A backend with its own threads, as many as the machine has unless `threads` says how many.
    ///
    /// # Errors
    /// [`BackendError::Unavailable`] where threads cannot be started.
    pub fn new(precision: Precision, threads: Option<usize>) -> Result<Self, BackendError> {
        let pool = ThreadPoolBuilder::new().num_threads(threads.unwrap_or(0)).build();
        let pool = pool.map_err(|e| BackendError::Unavailable { backend: "cpu", reason: e.to_string() })?;
        let cache = match precision {
            Precision::F32 => TypedCache::F32(Mutex::default()),
            Precision::F64 => TypedCache::F64(Mutex::default()),
        };
        Ok(Self { pool: Arc::new(pool), cache, poison: false })
    }

    /// Fresh slots hold not-a-number instead of zero, so that tests see what a step fails to write.
    #[must_use]
    pub fn poisoned(mut self) -> Self {
        self.poison = true;
        self
    }

    fn session<T: Real>(
        &self,
        program: Arc<Program>,
        cache: &Mutex<Cache<T>>,
    ) -> Result<Box<dyn Session>, BackendError> {
        let slots: Result<_, _> = program.slots.slots.iter().map(|slot| Storage::new(slot, self.poison)).collect();
        let mut cache = cache.lock().unwrap_or_else(PoisonError::into_inner);
        let weights = program.steps.iter().map(|step| step_weights(step, &mut cache)).collect();
        Ok(Box::new(CpuSession { pool: Arc::clone(&self.pool), weights, slots: slots?, program }))
    }
}

impl Backend for CpuBackend {
    fn name(&self) -> &'static str {
        "cpu"
    }

    fn load(&self, program: Arc<Program>) -> Result<Box<dyn Session>, BackendError> {
        match &self.cache {
            TypedCache::F32(cache) => self.session(program, cache),
            TypedCache::F64(cache) => self.session(program, cache),
        }
    }
}

fn step_weights<T: Real>(step: &Step, cache: &mut Cache<T>) -> StepWeights<T> {
    let kernel = step.weights.iter().map(|weight| materialise(weight, cache)).collect();
    let of_stage = |stage| stage_weights(stage).into_iter().map(|weight| materialise(weight, cache)).collect();
    StepWeights { kernel, stages: step.stages.iter().map(of_stage).collect() }
}

fn materialise<T: Real>(weight: &Weight, cache: &mut Cache<T>) -> Arc<[T]> {
    let make = || {
        let values = weight.materialise().into_iter().map(T::from_f64).collect();
        (weight.source.clone(), values)
    };
    Arc::clone(&cache.entry(weight.key()).or_insert_with(make).1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::program::Layout;

    #[test]
    fn equal_weights_are_materialised_once() {
        let mut cache = Cache::<f32>::new();
        let source = Constant::new([1.0, -2.0, 3.0], Precision::F32);
        let weight = |part| Weight::channel(&source, part, &Layout::dense(3));
        let all = materialise(&weight(Part::All), &mut cache);
        let positive = materialise(&weight(Part::Pos), &mut cache);
        assert_eq!((&*all, &*positive), (&[1.0, -2.0, 3.0, 0.0][..], &[1.0, 0.0, 3.0, 0.0][..]));
        assert!(Arc::ptr_eq(&all, &materialise(&weight(Part::All), &mut cache)));
        assert_eq!(cache.len(), 2);
    }
}
