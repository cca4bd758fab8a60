//! WGSL: twins of all PTX, valid within WebGPU's limits, and translated to what drivers take.

use std::collections::BTreeSet;

use fluoroscope::backend::gpu::Launch;
use fluoroscope::graph::Precision;
use fluoroscope::kernel::{self, Fused, SHADERS, TEMPLATES};
use naga::back::{hlsl, msl, spv};
use naga::valid::{Capabilities, ModuleInfo, ValidationFlags, Validator};
use naga::{AddressSpace, Module, ShaderStage};
use rayon::prelude::*;

use crate::fused::{every_word, launches, used};

/// Bytes that a workgroup's threads may share on every device.
const MOST_SHARED: u32 = 16 << 10;

/// How variants end that only WGSL has.
const SUBGROUP: &str = ".subgroup";

/// How variants end that only PTX has.
const MATRIX_UNITS: &str = ".mma";

/// Kernels that only PTX has: for WGSL the host draws the pictures.
const DRAWING: [&str; 2] = ["overlay", "range"];

/// Storage buffers that every device binds to a kernel.
const MOST_BUFFERS: usize = 8;

/// Every kernel and variant bare, with every word, and with what the golden programs fuse.
fn texts() -> Vec<(String, String)> {
    let launches: Vec<Launch> = launches(&[Precision::F32]).into_iter().map(Launch::packed).collect();
    let by_subgroups = launches.iter().filter(|launch| launch.subgroups.is_some()).cloned().map(Launch::by_subgroups);
    let used = used(launches.iter().cloned().chain(by_subgroups));
    let mut texts = Vec::new();
    let stems = SHADERS.iter().filter_map(|(path, _)| path.strip_suffix(".wgsl")).filter(|stem| !stem.contains('/'));
    for stem in stems {
        let source = kernel::source(kernel::entry(stem)).unwrap_or_else(|| panic!("{stem} is a variant of nothing"));
        let mut add = |words: &str, fused: &Fused| {
            let text = kernel::wgsl(stem, fused).unwrap_or_else(|e| panic!("{e}"));
            texts.push((format!("{stem} [{words}] by pairs"), kernel::by_pairs(&text)));
            texts.push((format!("{stem} [{words}]"), text));
        };
        add("", &Fused::default());
        add("every word", &every_word(source));
        used.iter().filter(|((of, _), _)| *of == stem).for_each(|((_, words), fused)| add(words, fused));
    }
    texts
}

/// A PTX kernel with a twin.
fn has_twin(stem: &str) -> bool {
    !stem.ends_with(MATRIX_UNITS) && !DRAWING.contains(&stem)
}

fn validated(text: &str) -> Result<(Module, ModuleInfo), String> {
    let module = naga::front::wgsl::parse_str(text).map_err(|e| e.emit_to_string(text))?;
    let of = |word: &str, needed| if text.contains(word) { needed } else { Capabilities::empty() };
    let capabilities = of("subgroup", Capabilities::SUBGROUP) | of("u64", Capabilities::SHADER_INT64);
    let mut validator = Validator::new(ValidationFlags::all(), capabilities);
    let info = validator.validate(&module).map_err(|e| e.emit_to_string(text))?;
    Ok((module, info))
}

#[test]
fn shaders_are_twins_of_all_ptx() {
    let names = |files: &[(&'static str, &str)], ending: &str| -> BTreeSet<&'static str> {
        let names = files.iter().filter_map(|(path, _)| path.strip_suffix(ending));
        names.filter(|name| !name.starts_with("parts/") && !name.starts_with("probes/")).collect()
    };
    let (shaders, mut ptx) = (names(SHADERS, ".wgsl"), names(TEMPLATES, ".ptx"));
    ptx.retain(|stem| has_twin(stem));
    let of_wgsl: Vec<&str> = shaders.difference(&ptx).filter_map(|name| name.strip_suffix(SUBGROUP)).collect();
    let is_shared = |stem: &&str| stem.contains(".tile") || stem.contains(".slim") || stem.starts_with("depthwise");
    let mut by_subgroups: Vec<&str> = ptx.iter().copied().filter(is_shared).chain(["conv2d_backward.thin"]).collect();
    by_subgroups.sort_unstable();
    assert_eq!(of_wgsl, by_subgroups);
    assert_eq!(shaders.len(), ptx.len() + of_wgsl.len());
}

/// A max-pool's rescale rule has eight tensors of its own; the curve before it adds two, and most devices offer more.
#[test]
fn packed_launches_bind_few_buffers() {
    let launches: Vec<Launch> = launches(&[Precision::F32]).into_iter().map(Launch::packed).collect();
    let too_many = launches.iter().filter(|launch| launch.pointers.len() > MOST_BUFFERS);
    let stems: BTreeSet<&str> = too_many.map(|launch| launch.stem).collect();
    assert_eq!(stems.into_iter().collect::<Vec<_>>(), ["pool_max_rescale"]);
    let most = launches.iter().map(|launch| launch.pointers.len()).max();
    assert_eq!(most, Some(MOST_BUFFERS + 2));
    for Launch { stem, fused, pointers, .. } in launches {
        let text = kernel::wgsl(stem, &fused).unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(text.matches(" var<storage").count(), pointers.len(), "{stem} {fused:?}");
    }
}

#[test]
fn shaders_validate_and_translate() {
    let texts = texts();
    println!("{} texts", texts.len());
    let check = |(name, text): &(String, String)| translated(text).err().map(|said| format!("{name}: {said}"));
    let found: Vec<String> = texts.par_iter().filter_map(check).collect();
    assert!(found.is_empty(), "{} of {} texts\n{}", found.len(), texts.len(), found.join("\n"));
}

/// Translates a text to SPIR-V, MSL and HLSL; what is wrong with it.
fn translated(text: &str) -> Result<(), String> {
    let (module, info) = validated(text)?;
    let mut sizes = naga::proc::Layouter::default();
    sizes.update(module.to_ctx()).map_err(|e| e.to_string())?;
    let shared = module.global_variables.iter().filter(|(_, v)| v.space == AddressSpace::WorkGroup);
    let shared: u32 = shared.map(|(_, v)| sizes[v.ty].size).sum();
    if shared > MOST_SHARED {
        return Err(format!("{shared} bytes of shared memory, {MOST_SHARED} are there"));
    }

    let entry = || "main".to_owned();
    let options = spv::PipelineOptions { shader_stage: ShaderStage::Compute, entry_point: entry() };
    let version = spv::Options { lang_version: (1, 3), ..spv::Options::default() };
    let words = spv::write_vec(&module, &info, &version, Some(&options)).map_err(|e| e.to_string())?;

    let options = msl::Options { lang_version: (2, 4), ..msl::Options::default() };
    let pipeline = msl::PipelineOptions { entry_point: Some((ShaderStage::Compute, entry())), ..Default::default() };
    let (metal, _) = msl::write_string(&module, &info, &options, &pipeline).map_err(|e| e.to_string())?;

    let target = hlsl::BindTarget { register: 0, space: 255, ..hlsl::BindTarget::default() };
    let shader_model = hlsl::ShaderModel::V6_0;
    let options = hlsl::Options { shader_model, special_constants_binding: Some(target), ..hlsl::Options::default() };
    let pipeline = hlsl::PipelineOptions { entry_point: Some((ShaderStage::Compute, entry())) };
    let mut direct = String::new();
    hlsl::Writer::new(&mut direct, &options, &pipeline).write(&module, &info, None).map_err(|e| e.to_string())?;
    if words.is_empty() || !metal.contains("kernel void") || !direct.contains("numthreads(256, 1, 1)") {
        return Err("a translation is empty".to_owned());
    }
    Ok(())
}
