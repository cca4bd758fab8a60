//! An adapter that is open, and what becomes of it.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use super::NAME;
use super::account::Account;
use super::adapters::{Absence, Adapter, AdapterInfo};
use super::edge::promise;
use super::texels;
use crate::backend::BackendError;
use crate::backend::gpu::{LANES, Launch, MOST_OF_LLVMPIPE};
use crate::program::Program;

/// What is used where an adapter has it.
const FEATURES: wgpu::Features = wgpu::Features::TIMESTAMP_QUERY
    .union(wgpu::Features::PIPELINE_CACHE)
    .union(wgpu::Features::SUBGROUP)
    .union(wgpu::Features::SHADER_F16)
    .union(wgpu::Features::SHADER_INT64);

/// What a device will say of an operation that was begun.
pub type Outcome<T> = Pin<Box<dyn Future<Output = Result<T, BackendError>> + Send>>;

/// Bounds below those of the device itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of slots, weights and all else together. Without it, what the driver gives, or what the machine has free where the
    /// driver is software.
    pub memory: Option<u64>,
    /// Bytes of a tensor that a kernel takes.
    pub tensor: Option<u64>,
    /// Buffers that a kernel takes, eight at least.
    pub buffers: Option<u32>,
}

impl Limits {
    /// What is asked of an adapter: all that it has, for a device has WebGPU's defaults otherwise; ours, where they are lower.
    fn of(&self, adapter: wgpu::Limits) -> wgpu::Limits {
        let (tensor, buffers) = (adapter.max_storage_buffer_binding_size, adapter.max_storage_buffers_per_shader_stage);
        wgpu::Limits {
            max_storage_buffer_binding_size: self.tensor.map_or(tensor, |most| most.min(tensor)),
            max_storage_buffers_per_shader_stage: self.buffers.map_or(buffers, |most| most.min(buffers)),
            ..adapter
        }
    }
}

/// A device. Once it is lost, every operation says so.
pub struct Device {
    pub raw: wgpu::Device,
    pub queue: wgpu::Queue,
    pub info: AdapterInfo,
    /// Those of the adapter, or ours.
    pub limits: wgpu::Limits,
    /// The processor computes, by subgroups of eight threads: kernels for it are taken.
    on_cpu: bool,
    /// The processor computes, and numbers may have 64 bits.
    by_pairs: bool,
    /// The processor computes, and loads from textures much faster than from buffers: llvmpipe, as measured with Mesa 22.3.
    by_texels: bool,
    /// Of all loops of a thread together; a driver that ends them then does not say so.
    most_iterations: usize,
    pub account: Arc<Account>,
    submissions: AtomicUsize,
    faults: Arc<Faults>,
}

/// What went wrong outside of any operation that could have reported it; the first of each.
#[derive(Default)]
struct Faults {
    lost: OnceLock<String>,
    stray: OnceLock<String>,
    /// The device is being dropped, which is no loss.
    done: AtomicBool,
}

impl Device {
    /// Opens an adapter with all its limits; with ours, where they are lower.
    ///
    /// # Errors
    /// [`BackendError::Unavailable`] where its driver refuses.
    pub async fn open(adapter: Adapter, ours: &Limits) -> Result<Arc<Self>, BackendError> {
        let Adapter { raw: adapter, info } = adapter;
        let limits = ours.of(adapter.limits());
        let features = adapter.features() & FEATURES;
        let details = adapter.get_info();
        let lanes = [details.subgroup_min_size, details.subgroup_max_size];
        let has_lanes = features.contains(wgpu::Features::SUBGROUP) && lanes == [LANES as u32; 2];
        let asked = wgpu::DeviceDescriptor {
            label: Some("fluoroscope"),
            required_features: features,
            required_limits: limits.clone(),
            memory_hints: wgpu::MemoryHints::MemoryUsage,
            ..wgpu::DeviceDescriptor::default()
        };
        let opened = adapter.request_device(&asked).await;
        let refused = |error: wgpu::RequestDeviceError| Absence::Refused {
            name: info.name.clone(),
            reason: one_line(&error.to_string()),
        };
        let (raw, queue) = opened.map_err(refused)?;
        let faults = Arc::new(Faults::default());
        let seen = Arc::clone(&faults);
        raw.on_uncaptured_error(Arc::new(move |error| _ = seen.stray.set(one_line(&error.to_string()))));
        let seen = Arc::clone(&faults);
        raw.set_device_lost_callback(move |reason, message| {
            if !seen.done.load(Ordering::Relaxed) {
                _ = seen.lost.set(reason_of(reason, &message));
            }
        });
        let account = Arc::new(Account::new(ours.memory, info.is_software));
        let on_cpu = info.is_software && has_lanes;
        let by_pairs = info.is_software && features.contains(wgpu::Features::SHADER_INT64);
        let is_llvmpipe = info.driver.contains("llvmpipe");
        let most_iterations = if is_llvmpipe { MOST_OF_LLVMPIPE } else { usize::MAX };
        let by_texels = is_llvmpipe;
        Ok(Arc::new(Self {
            raw,
            queue,
            info,
            limits,
            on_cpu,
            by_pairs,
            by_texels,
            most_iterations,
            account,
            submissions: AtomicUsize::new(0),
            faults,
        }))
    }

    /// The launch by the kernel that suits what computes.
    pub fn suited(&self, launch: Launch) -> Launch {
        let is_short = launch.on_cpu.is_some_and(|kernel| kernel.iterations <= self.most_iterations);
        let launch = if self.on_cpu && is_short { launch.on_cpu() } else { launch };
        let launch = if self.info.is_software { launch.by_locals() } else { launch };
        if self.by_pairs { launch.by_pairs() } else { launch }
    }

    /// The launch that loads from textures, where that is faster.
    pub fn textured(&self, program: &Program, launch: Launch) -> Launch {
        let textures = if self.by_texels { self.limits.max_storage_textures_per_shader_stage as usize } else { 0 };
        launch.by_texels(program, textures, texels::most(self))
    }

    /// The launch of a step, whose loops the driver lets come to their end.
    ///
    /// # Errors
    /// [`BackendError::Failed`] where it would not.
    pub fn ends(&self, step: &str, launch: Launch) -> Result<Launch, BackendError> {
        let (iterations, most) = (launch.iterations, self.most_iterations);
        if iterations <= most {
            return Ok(launch);
        }
        let reason = format!("its loops take up to {iterations} iterations, and the driver ends them after {most}");
        Err(failed(&format!("run {step}"), &reason))
    }

    /// Has the device do what is encoded; with its place in the queue.
    pub fn submit(&self, commands: impl IntoIterator<Item = wgpu::CommandBuffer>) -> wgpu::SubmissionIndex {
        self.submissions.fetch_add(1, Ordering::Relaxed);
        self.queue.submit(commands)
    }

    /// How often it was, since it is open.
    pub fn submissions(&self) -> usize {
        self.submissions.load(Ordering::Relaxed)
    }

    /// No operation succeeds from now on.
    pub fn lose(&self, reason: String) {
        _ = self.faults.lost.set(reason);
    }

    pub fn is_lost(&self) -> bool {
        self.faults.lost.get().is_some()
    }

    /// # Errors
    /// [`BackendError::DeviceLost`], or [`BackendError::Failed`] with what no operation reported.
    pub fn check(&self) -> Result<(), BackendError> {
        if let Some(reason) = self.faults.lost.get() {
            return Err(BackendError::DeviceLost { backend: NAME, reason: reason.clone() });
        }
        match self.faults.stray.get() {
            None => Ok(()),
            Some(reason) => Err(self.explained(failed("compute", reason))),
        }
    }

    /// What an operation failed of, as far as is known: whatever is done on a lost device fails.
    pub fn explained(&self, error: BackendError) -> BackendError {
        match self.faults.lost.get() {
            Some(reason) => BackendError::DeviceLost { backend: NAME, reason: reason.clone() },
            None => error,
        }
    }

    /// Calls `act` at once; the future says what the device made of it. `what` it was to do, with so many bytes.
    pub fn attempt<T: Send + 'static>(
        self: &Arc<Self>,
        what: &str,
        bytes: usize,
        act: impl FnOnce(&wgpu::Device) -> T,
    ) -> Outcome<T> {
        let scopes = [wgpu::ErrorFilter::OutOfMemory, wgpu::ErrorFilter::Internal, wgpu::ErrorFilter::Validation]
            .map(|filter| self.raw.push_error_scope(filter));
        let made = act(&self.raw);
        let [memory, internal, validation] = scopes;
        let errors = (validation.pop(), internal.pop(), memory.pop());
        let (device, what) = (Arc::clone(self), what.to_owned());
        Box::pin(async move {
            let (validation, internal, memory) = errors;
            let errors = [validation.await, internal.await, memory.await];
            device.check()?;
            match errors.into_iter().flatten().last() {
                None => Ok(made),
                Some(wgpu::Error::OutOfMemory { .. }) => {
                    Err(device.explained(BackendError::OutOfMemory { backend: NAME, bytes }))
                }
                Some(error) => Err(device.explained(failed(&what, &one_line(&error.to_string())))),
            }
        })
    }

    /// Waits for all work so far.
    ///
    /// # Errors
    /// Whatever the device reports of it.
    pub async fn idle(&self) -> Result<(), BackendError> {
        let (done, keeper) = promise();
        self.queue.on_submitted_work_done(move || keeper.keep(()));
        done.await;
        self.check()
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        self.faults.done.store(true, Ordering::Relaxed);
    }
}

pub fn failed(what: &str, reason: &str) -> BackendError {
    BackendError::Failed { backend: NAME, what: what.to_owned(), reason: reason.to_owned() }
}

fn reason_of(reason: wgpu::DeviceLostReason, message: &str) -> String {
    let message = one_line(message);
    match reason {
        _ if !message.is_empty() => message,
        wgpu::DeviceLostReason::Destroyed => "it was destroyed".to_owned(),
        wgpu::DeviceLostReason::Unknown => "its driver gives no reason".to_owned(),
    }
}

/// Text on one line, without what would be taken for a hint.
pub fn one_line(text: &str) -> String {
    text.replace(';', ",").split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::wgpu::adapters::{self, Wanted};
    use crate::backend::wgpu::edge;

    fn opened() -> (wgpu::Limits, Arc<Device>) {
        let adapter = edge::ready(adapters::find(&Wanted::Any)).expect("an adapter");
        let limits = adapter.raw.limits();
        (limits, edge::ready(Device::open(adapter, &Limits::default())).expect("a device"))
    }

    /// A buffer that is for nothing, which no device makes.
    fn invalid(raw: &wgpu::Device) -> wgpu::Buffer {
        let usage = wgpu::BufferUsages::empty();
        raw.create_buffer(&wgpu::BufferDescriptor { label: None, size: 16, usage, mapped_at_creation: false })
    }

    #[test]
    fn all_of_an_adapter_is_asked_for_and_ours_only_lower_it() {
        let adapter = wgpu::Limits {
            max_storage_buffer_binding_size: 2 << 30,
            max_storage_buffers_per_shader_stage: 16,
            max_buffer_size: 4 << 30,
            ..wgpu::Limits::default()
        };
        assert_eq!(Limits::default().of(adapter.clone()), adapter);
        let with = |tensor, buffers| {
            let limits = Limits { tensor: Some(tensor), buffers: Some(buffers), ..Limits::default() };
            limits.of(adapter.clone())
        };
        let lower = wgpu::Limits {
            max_storage_buffer_binding_size: 1 << 20,
            max_storage_buffers_per_shader_stage: 8,
            ..adapter.clone()
        };
        assert_eq!(with(1 << 20, 8), lower);
        assert_eq!(with(3 << 30, 32), adapter);
    }

    #[test]
    fn a_device_has_the_limits_of_its_adapter() {
        let (limits, device) = opened();
        assert_eq!((&device.raw.limits(), &device.limits), (&limits, &limits));
    }

    fn module(raw: &wgpu::Device, text: &'static str) -> wgpu::ShaderModule {
        let source = wgpu::ShaderSource::Wgsl(text.into());
        raw.create_shader_module(wgpu::ShaderModuleDescriptor { label: Some("broken"), source })
    }

    fn pipeline(raw: &wgpu::Device, text: &'static str, entry: &'static str) -> wgpu::ComputePipeline {
        raw.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label: Some("broken"),
            layout: None,
            module: &module(raw, text),
            entry_point: Some(entry),
            compilation_options: wgpu::PipelineCompilationOptions::default(),
            cache: None,
        })
    }

    #[test]
    fn what_is_attempted_in_vain_is_named_and_the_device_goes_on() {
        const KERNEL: &str = "@compute @workgroup_size(1) fn main() {}";
        type Act = fn(&wgpu::Device);
        let cases: [(&str, Act, &str); 5] = [
            ("a buffer that is for nothing", |raw| drop(invalid(raw)), "usage"),
            ("a text that is no WGSL", |raw| drop(module(raw, "fn main() { let a = ")), "expected"),
            ("a text that means nothing", |raw| drop(module(raw, "fn main() -> u32 { return 1.5; }")), "main"),
            ("a kernel of no WGSL", |raw| drop(pipeline(raw, "fn main() { let a = ", "main")), "expected"),
            ("an entry that is not there", |raw| drop(pipeline(raw, KERNEL, "elsewhere")), "elsewhere"),
        ];
        let (_, device) = opened();
        for (case, act, word) in cases {
            let error = edge::block_on(&device, device.attempt(case, 16, act)).expect_err(case);
            let BackendError::Failed { what, reason, .. } = &error else { panic!("{case}: {error}") };
            assert!(what == case && reason.contains(word) && !reason.contains(['\n', ';']), "{error}");
            device.check().unwrap_or_else(|error| panic!("{case}: {error}"));
        }
        let made = device.attempt("make a kernel", 0, |raw| pipeline(raw, KERNEL, "main"));
        edge::block_on(&device, made).expect("the device makes what is right");
    }

    #[test]
    fn what_fails_outside_of_an_attempt_is_found_by_the_next_check() {
        let (_, device) = opened();
        device.check().expect("nothing has failed");
        drop(invalid(&device.raw));
        let error = device.check().expect_err("the buffer is for nothing");
        let BackendError::Failed { reason, .. } = &error else { panic!("{error}") };
        assert!(reason.contains("usage"), "{error}");
    }
}
