//! The CPU backend: plain loops, generic over f32 and f64, the reference of every other backend.
//!
//! A file per kernel, named by [`Kernel::stem`](crate::program::Kernel::stem). Every result is accumulated in one fixed
//! order, whatever the batch and the number of threads.

mod activation_backward;
mod activation_forward;
mod arena;
mod audit_epsilon;
mod audit_rescale;
mod cam_mix;
mod conv2d_backward;
mod conv2d_forward;
mod curve;
mod depthwise_backward;
mod depthwise_forward;
mod dispatch;
mod dot;
mod error_function;
mod fast;
mod filter;
mod frame;
mod lanes;
mod layer_norm_backward;
mod layer_norm_forward;
mod moments;
mod overlay;
mod pages;
mod pool_average_backward;
mod pool_average_forward;
mod pool_max_backward;
mod pool_max_forward;
mod pool_max_rescale;
mod prologue;
mod range;
mod rank_seeds;
mod real;
mod rearrange;
mod resize;
mod roof;
mod session;
mod shared;
mod simd;
mod square_rows;
mod stages;
mod tile;
mod tiles;
mod upsample_bilinear;
mod upsample_bilinear_backward;
mod view;
mod window;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use rayon::{ThreadPool, ThreadPoolBuilder};

use self::arena::Storage;
use self::frame::StepWeights;
use self::real::Real;
pub use self::session::CpuSession;
pub use self::tile::Level;
use self::tile::PackedWeights;
use super::{Backend, BackendError, Roof, Session};
use crate::graph::{Constant, Precision};
use crate::program::{Program, Prologue, Stage, Step, Weight, WeightKey};

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

/// Prepared weights, each with its source: a constant's identity is good while it lives.
struct Cache<T> {
    materialised: HashMap<WeightKey, (Constant, Arc<[T]>)>,
    packed: HashMap<(WeightKey, fast::Plan), (Constant, Arc<PackedWeights>)>,
}

impl<T> Default for Cache<T> {
    fn default() -> Self {
        Self { materialised: HashMap::new(), packed: HashMap::new() }
    }
}

impl CpuBackend {
    /// A backend with its own threads, as many as the machine has unless `threads` says how many.
    ///
    /// # Errors
    /// [`BackendError::Unavailable`] for a half precision, or where threads cannot be started.
    pub fn new(precision: Precision, threads: Option<usize>) -> Result<Self, BackendError> {
        let pool = ThreadPoolBuilder::new().num_threads(threads.unwrap_or(0)).build();
        let pool = pool.map_err(|e| BackendError::Unavailable { backend: "cpu", reason: e.to_string() })?;
        let cache = match precision {
            Precision::F32 => TypedCache::F32(Mutex::default()),
            Precision::F64 => TypedCache::F64(Mutex::default()),
            Precision::F16 | Precision::Bf16 => {
                let reason = format!("it computes in f32 or f64, not in {precision}; use --backend cuda");
                return Err(BackendError::Unavailable { backend: "cpu", reason });
            }
        };
        Ok(Self { pool: Arc::new(pool), cache, poison: false })
    }

    /// Fresh slots hold not-a-number instead of zero, so that tests see what a step fails to write.
    #[must_use]
    pub fn poisoned(mut self) -> Self {
        self.poison = true;
        self
    }

    /// How many threads it has.
    pub(crate) fn threads(&self) -> usize {
        self.pool.current_num_threads()
    }

    /// Does something by its threads.
    pub(crate) fn install<R: Send>(&self, work: impl FnOnce() -> R + Send) -> R {
        self.pool.install(work)
    }

    fn session<T: Real>(
        &self,
        program: Arc<Program>,
        cache: &Mutex<Cache<T>>,
    ) -> Result<Box<dyn Session>, BackendError> {
        let slots = program.slots.slots.iter().enumerate();
        let slots: Result<_, _> = slots.map(|(number, slot)| Storage::new(slot, number, self.poison)).collect();
        let mut cache = cache.lock().unwrap_or_else(PoisonError::into_inner);
        let weights = program.steps.iter().map(|step| step_weights(&program, step, &mut cache)).collect();
        Ok(Box::new(CpuSession { pool: Arc::clone(&self.pool), weights, slots: slots?, program }))
    }
}

impl Backend for CpuBackend {
    fn name(&self) -> &'static str {
        "cpu"
    }

    fn device(&self) -> String {
        let threads = self.threads();
        if threads == 1 { "1 thread".to_owned() } else { format!("{threads} threads") }
    }

    fn load(&self, program: Arc<Program>) -> Result<Box<dyn Session>, BackendError> {
        match &self.cache {
            TypedCache::F32(cache) => self.session(program, cache),
            TypedCache::F64(cache) => self.session(program, cache),
        }
    }

    fn roof(&self) -> Result<Option<Roof>, BackendError> {
        Ok(Some(roof::measure(self.threads())))
    }
}

fn step_weights<T: Real>(program: &Program, step: &Step, cache: &mut Cache<T>) -> StepWeights<T> {
    let packed =
        fast::Plan::of(program, step).filter(|plan| !plan.depthwise).and_then(|plan| packed(plan, step, cache));
    let mut kernel: Vec<Arc<[T]>> = Vec::new();
    for (i, weight) in step.weights.iter().enumerate() {
        let is_packed = i == 0 && packed.is_some();
        kernel.push(if is_packed { Arc::new([]) } else { cache.materialised(weight) });
    }
    let prologue = step.prologue.iter().flat_map(Prologue::weights).map(|weight| cache.materialised(weight)).collect();
    let of_stage = |stage: &Stage| stage.constants().into_iter().map(|weight| cache.materialised(weight)).collect();
    StepWeights { kernel, packed, prologue, stages: step.stages.iter().map(of_stage).collect() }
}

/// The filters of a step in the engine's order; `None` where the backend does not compute in f32.
fn packed<T: Real>(plan: fast::Plan, step: &Step, cache: &mut Cache<T>) -> Option<Arc<PackedWeights>> {
    let weight = &step.weights[0];
    let key = (weight.key(), plan.key());
    if let Some((_, packed)) = cache.packed.get(&key) {
        return Some(Arc::clone(packed));
    }
    T::as_f32s(&[])?;
    let packed = plan.pack(&weight.materialise_f32());
    cache.packed.insert(key, (weight.source.clone(), Arc::clone(&packed)));
    Some(packed)
}

impl<T: Real> Cache<T> {
    fn materialised(&mut self, weight: &Weight) -> Arc<[T]> {
        let make = || {
            let values = weight.materialise().into_iter().map(T::from_f64).collect();
            (weight.source.clone(), values)
        };
        Arc::clone(&self.materialised.entry(weight.key()).or_insert_with(make).1)
    }
}
