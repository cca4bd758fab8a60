//! Kernels, compiled by the driver and kept.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use rayon::prelude::*;

use super::device::{Device, Outcome, failed};
use super::disk::Disk;
use crate::backend::BackendError;
use crate::backend::gpu::{Launch, PARAM_BYTES};
use crate::kernel::{self, Fused};

/// A kernel on the device.
pub struct Pipeline {
    pub raw: wgpu::ComputePipeline,
    /// Of its pointers, then its parameters.
    pub bindings: wgpu::BindGroupLayout,
}

/// Stem of a kernel, what is fused into it, and whether it is by pairs.
type Key = (&'static str, Fused, bool);

/// Kernels that are compiled.
pub struct Pipelines {
    compiled: Mutex<HashMap<Key, Arc<Pipeline>>>,
    disk: Option<Disk>,
}

impl Pipelines {
    /// None yet; what the driver made of them before is in `folder`.
    pub fn new(device: &Device, folder: Option<&Path>) -> Self {
        Self { compiled: Mutex::default(), disk: folder.and_then(|folder| Disk::open(device, folder)) }
    }

    /// The kernel of each launch, compiled where it is new, several at a time.
    ///
    /// # Errors
    /// [`BackendError::Failed`] where the driver refuses one.
    pub async fn of(&self, device: &Arc<Device>, launches: &[&Launch]) -> Result<Vec<Arc<Pipeline>>, BackendError> {
        let key = |launch: &Launch| (launch.stem, launch.fused.clone(), launch.pairs);
        let mut missing: HashMap<Key, &Launch> = launches.iter().map(|launch| (key(launch), *launch)).collect();
        missing.retain(|key, _| self.find(key).is_none());
        let missing: Vec<(Key, &Launch)> = missing.into_iter().collect();
        let begin = |(key, launch): &(Key, &Launch)| compile(device, self.disk.as_ref(), key, &launch.written);
        let begun: Vec<_> = missing.par_iter().map(begin).collect::<Result<_, _>>()?;
        let is_new = !begun.is_empty();
        for ((key, _), pipeline) in missing.into_iter().zip(begun) {
            let pipeline = Arc::new(pipeline.await?);
            self.compiled.lock().unwrap_or_else(PoisonError::into_inner).insert(key, pipeline);
        }
        if let Some(disk) = self.disk.as_ref().filter(|_| is_new) {
            disk.save();
        }
        let found = launches.iter().map(|launch| {
            self.find(&key(launch)).ok_or_else(|| failed(&format!("compile kernel {}", launch.stem), "it is gone"))
        });
        found.collect()
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
        compile(device, None, &(stem, Fused::default(), false), written)?.await
    }

    fn find(&self, key: &Key) -> Option<Arc<Pipeline>> {
        self.compiled.lock().unwrap_or_else(PoisonError::into_inner).get(key).cloned()
    }
}

/// Compiles a kernel; the future says what the driver made of it.
fn compile(
    device: &Arc<Device>,
    disk: Option<&Disk>,
    &(stem, ref fused, by_pairs): &Key,
    written: &[bool],
) -> Result<Outcome<Pipeline>, BackendError> {
    let what = format!("compile kernel {stem}");
    let text = kernel::wgsl(stem, fused).map_err(|error| failed(&what, &error.to_string()))?;
    let text = if by_pairs { kernel::by_pairs(&text) } else { text };
    Ok(device.attempt(&what, 0, |raw| {
        let source = wgpu::ShaderSource::Wgsl(text.into());
        let module = raw.create_shader_module(wgpu::ShaderModuleDescriptor { label: Some(stem), source });
        let entries = entries(written);
        let layout = wgpu::BindGroupLayoutDescriptor { label: Some(stem), entries: &entries };
        let bindings = raw.create_bind_group_layout(&layout);
        let layout = raw.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
            label: Some(stem),
            bind_group_layouts: &[Some(&bindings)],
            immediate_size: 0,
        });
        let pipeline = raw.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label: Some(stem),
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

/// What a kernel binds: its pointers, of which it writes some, and its parameters.
fn entries(written: &[bool]) -> Vec<wgpu::BindGroupLayoutEntry> {
    let entry = |(binding, ty): (usize, wgpu::BufferBindingType)| wgpu::BindGroupLayoutEntry {
        binding: binding as u32,
        visibility: wgpu::ShaderStages::COMPUTE,
        ty: wgpu::BindingType::Buffer {
            ty,
            has_dynamic_offset: false,
            min_binding_size: match ty {
                wgpu::BufferBindingType::Uniform => wgpu::BufferSize::new(PARAM_BYTES as u64),
                wgpu::BufferBindingType::Storage { .. } => None,
            },
        },
        count: None,
    };
    let pointers = written.iter().map(|written| wgpu::BufferBindingType::Storage { read_only: !written });
    pointers.chain([wgpu::BufferBindingType::Uniform]).enumerate().map(entry).collect()
}
