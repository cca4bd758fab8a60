//! Kernels, compiled by the driver and kept.

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use rayon::prelude::*;

use super::device::{Device, Outcome, failed};
use super::disk::Disk;
use super::texels::FORMAT;
use crate::backend::BackendError;
use crate::backend::gpu::{Launch, PARAM_BYTES};
use crate::kernel::{self, Fused, MOST_TENSORS};

/// A kernel on the device.
pub struct Pipeline {
    pub raw: wgpu::ComputePipeline,
    /// Of its pointers, then its parameters.
    pub bindings: wgpu::BindGroupLayout,
}

/// A kernel, what is fused into it, and how it loads and stores.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
struct Key {
    stem: &'static str,
    fused: Fused,
    written: Vec<bool>,
    locals: bool,
    pairs: bool,
    texels: [bool; MOST_TENSORS],
}

impl Key {
    fn of(launch: &Launch) -> Self {
        let Launch { stem, fused, written, locals, pairs, texels, .. } = launch;
        Self { stem, fused: fused.clone(), written: written.clone(), locals: *locals, pairs: *pairs, texels: *texels }
    }
}

/// Kernels that are compiled.
pub struct Pipelines {
    compiled: Mutex<HashMap<Key, Arc<Pipeline>>>,
    disk: Option<Disk>,
}

impl Pipelines {
    /// None yet; what the driver made of them before is in `folder`.
    pub async fn new(device: &Arc<Device>, folder: Option<&Path>) -> Self {
        let disk = match folder {
            Some(folder) => Disk::open(device, folder).await,
            None => None,
        };
        Self { compiled: Mutex::default(), disk }
    }

    /// The driver has taken what it made of kernels before.
    pub fn are_taken_up(&self) -> bool {
        self.disk.as_ref().is_some_and(|disk| disk.is_taken_up)
    }

    /// The kernel of each launch, compiled where it is new, several at a time.
    ///
    /// # Errors
    /// [`BackendError::Failed`] where the driver refuses one.
    pub async fn of(&self, device: &Arc<Device>, launches: &[&Launch]) -> Result<Vec<Arc<Pipeline>>, BackendError> {
        let keys: Vec<Key> = launches.iter().map(|launch| Key::of(launch)).collect();
        let mut missing: HashSet<Key> = keys.iter().cloned().collect();
        missing.retain(|key| self.find(key).is_none());
        let missing: Vec<Key> = missing.into_iter().collect();
        let begin = |key: &Key| compile(device, self.disk.as_ref(), key);
        let begun: Vec<_> = missing.par_iter().map(begin).collect::<Result<_, _>>()?;
        let is_new = !begun.is_empty();
        for (key, pipeline) in missing.into_iter().zip(begun) {
            let pipeline = Arc::new(pipeline.await?);
            self.compiled.lock().unwrap_or_else(PoisonError::into_inner).insert(key, pipeline);
        }
        if let Some(disk) = self.disk.as_ref().filter(|_| is_new) {
            disk.save();
        }
        let find = |key| self.find(key).ok_or_else(|| failed(&format!("compile kernel {}", key.stem), "it is gone"));
        keys.iter().map(find).collect()
    }

    /// A kernel with nothing fused into it, which writes some of its pointers; it is not kept.
    ///
    /// # Errors
    /// [`BackendError::Failed`] where the driver refuses it.
    pub async fn bare(
        &self,
        device: &Arc<Device>,
        stem: &'static str,
        written: &[bool],
    ) -> Result<Pipeline, BackendError> {
        compile(device, None, &Key { stem, written: written.to_vec(), ..Key::default() })?.await
    }

    fn find(&self, key: &Key) -> Option<Arc<Pipeline>> {
        self.compiled.lock().unwrap_or_else(PoisonError::into_inner).get(key).cloned()
    }
}

/// Compiles a kernel; the future says what the driver made of it.
fn compile(
    device: &Arc<Device>,
    disk: Option<&Disk>,
    Key { stem, fused, written, locals, pairs, texels }: &Key,
) -> Result<Outcome<Pipeline>, BackendError> {
    let what = format!("compile kernel {stem}");
    let text = kernel::wgsl(stem, fused).map_err(|error| failed(&what, &error.to_string()))?;
    let text = if *locals { kernel::by_locals(&text) } else { text };
    let text = kernel::by_texels(&text, texels);
    let text = if *pairs { kernel::by_pairs(&text) } else { text };
    let (label, entries) = (Some(*stem), entries(written, texels));
    Ok(device.attempt(&what, 0, |raw| {
        let source = wgpu::ShaderSource::Wgsl(text.into());
        let module = raw.create_shader_module(wgpu::ShaderModuleDescriptor { label, source });
        let layout = wgpu::BindGroupLayoutDescriptor { label, entries: &entries };
        let bindings = raw.create_bind_group_layout(&layout);
        let layout = raw.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
            label,
            bind_group_layouts: &[Some(&bindings)],
            immediate_size: 0,
        });
        let pipeline = raw.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label,
            layout: Some(&layout),
            module: &module,
            entry_point: Some("main"),
            // Every kernel writes what it reads of its workgroup's memory.
            compilation_options: wgpu::PipelineCompilationOptions {
                zero_initialize_workgroup_memory: false,
                ..wgpu::PipelineCompilationOptions::default()
            },
            cache: disk.map(Disk::cache),
        });
        Pipeline { raw: pipeline, bindings }
    }))
}

/// What a kernel binds: its pointers, of which it writes some and has others as textures, and its parameters.
fn entries(written: &[bool], texels: &[bool]) -> Vec<wgpu::BindGroupLayoutEntry> {
    let buffer = |ty, bytes| wgpu::BindingType::Buffer {
        ty,
        has_dynamic_offset: false,
        min_binding_size: wgpu::BufferSize::new(bytes),
    };
    let texture = wgpu::BindingType::StorageTexture {
        access: wgpu::StorageTextureAccess::ReadOnly,
        format: FORMAT,
        view_dimension: wgpu::TextureViewDimension::D2,
    };
    let pointer = |(written, is_texture): (&bool, &bool)| {
        if *is_texture { texture } else { buffer(wgpu::BufferBindingType::Storage { read_only: !written }, 0) }
    };
    let parameters = buffer(wgpu::BufferBindingType::Uniform, PARAM_BYTES as u64);
    let entry = |(binding, ty)| wgpu::BindGroupLayoutEntry {
        binding: binding as u32,
        visibility: wgpu::ShaderStages::COMPUTE,
        ty,
        count: None,
    };
    written.iter().zip(texels).map(pointer).chain([parameters]).enumerate().map(entry).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::wgpu::adapters::{self, Wanted};
    use crate::backend::wgpu::{Limits, edge};

    #[test]
    fn a_kernel_that_is_refused_is_named_and_others_are_compiled() {
        let adapter = edge::ready(adapters::find(&Wanted::Any)).expect("an adapter");
        let device = edge::ready(Device::open(adapter, &Limits::default())).expect("a device");
        let pipelines = edge::ready(Pipelines::new(&device, None));
        let bare = |written: &[bool]| edge::block_on(&device, pipelines.bare(&device, "probes/copy", written));
        for (case, written) in [("writes nothing", &[false, false][..]), ("has but one pointer", &[false])] {
            let Err(error) = bare(written) else { panic!("a kernel that {case}") };
            let BackendError::Failed { what, reason, .. } = &error else { panic!("{error}") };
            assert!(what == "compile kernel probes/copy" && !reason.is_empty(), "{case}: {error}");
            device.check().unwrap_or_else(|error| panic!("{case}: {error}"));
        }
        bare(&[false, true]).expect("the kernel as it is");
    }
}
