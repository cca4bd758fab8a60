//! WGSL: twins of all PTX, valid within WebGPU's limits, and translated to what drivers take.

use std::collections::{BTreeSet, HashSet};

use fluoroscope::backend::gpu::{Launch, launch, within_bindings};
use fluoroscope::graph::Precision;
use fluoroscope::kernel::{self, Fused, MOST_TENSORS, SHADERS, TEMPLATES, Type, Window};
use fluoroscope::program::{Program, Split, Weight, split};
use naga::back::hlsl::{self, ShaderModel};
use naga::back::{msl, spv};
use naga::valid::{Capabilities, ModuleInfo, ValidationFlags, Validator};
use naga::{AddressSpace, Module, ShaderStage};
use rayon::prelude::*;

use crate::fused::{every_word, programs, used};

/// Bytes that a workgroup's threads may share on every device.
const MOST_SHARED: u32 = 16 << 10;

/// How variants end that only WGSL has: those for a driver that computes on a CPU.
const ON_CPU: &str = ".subgroup";
/// Stems of those that are no twins.
const ONLY_ON_CPU: [&str; 3] = ["conv2d_backward.thin", "conv2d_backward.dense", "conv2d_forward.dense"];

/// How variants end that only PTX has.
const MATRIX_UNITS: [&str; 2] = [".mma", ".wgmma"];

/// Storage buffers that every device binds to a kernel.
const MOST_BUFFERS: usize = 8;

/// What the programs launch, on devices that bind so many buffers.
fn packed(programs: &[Program], most: usize) -> Vec<Launch> {
    let within =
        |program: &Program| Split::none(program.clone()).then(|program| within_bindings(program, most)).program;
    let of = |program: Program| {
        let all = program.steps.iter().map(|step| launch(&program, step).expect("a launch").packed());
        all.collect::<Vec<_>>()
    };
    programs.iter().map(within).flat_map(of).collect()
}

/// The programs, and what they become where a kernel takes but an eighth of their largest filters.
fn with_split(programs: Vec<Program>) -> Vec<Program> {
    let in_parts = |program: &Program| {
        let filters = program.steps.iter().filter_map(|step| step.weights.first());
        Some(split(program, filters.map(Weight::physical).max()? / 8)?.program)
    };
    let parts: Vec<Program> = programs.iter().filter_map(in_parts).collect();
    programs.into_iter().chain(parts).collect()
}

/// Every probe; every kernel and variant bare, with every word in f32 and in f16, and with what the programs fuse in both.
fn texts() -> Vec<(String, String)> {
    let programs = with_split(programs(&[Precision::F32, Precision::F16]));
    let launches: Vec<Launch> = [MOST_BUFFERS, usize::MAX].iter().flat_map(|most| packed(&programs, *most)).collect();
    let on_cpu = launches.iter().filter(|launch| launch.on_cpu.is_some()).cloned().map(Launch::on_cpu);
    let used = used(launches.iter().cloned().chain(on_cpu));
    let stems: Vec<&str> = SHADERS.iter().filter_map(|(path, _)| path.strip_suffix(".wgsl")).collect();
    let probe = |stem: &str| (stem.to_owned(), kernel::wgsl(stem, &Fused::default()).unwrap_or_else(|e| panic!("{e}")));
    let mut texts: Vec<(String, String)> =
        stems.iter().filter(|stem| stem.starts_with("probes/")).map(|stem| probe(stem)).collect();
    let mut sets: Vec<(&str, &str, Fused)> = Vec::new();
    for stem in stems.into_iter().filter(|stem| !stem.contains('/')) {
        let source = kernel::source(kernel::entry(stem)).unwrap_or_else(|| panic!("{stem} is a variant of nothing"));
        let full = every_word(source);
        sets.push((stem, "", Fused::default()));
        sets.push((stem, "every word in f16", Fused { types: [Type::F16; MOST_TENSORS], ..full.clone() }));
        // Audits keep no bits.
        if stem.ends_with(ON_CPU) && !stem.starts_with("audit") {
            let window = Window { kernel: [3, 2], stride: [2, 1], dilation: [1, 3], pad: [1, 0] };
            sets.push((stem, "every word, whole ones", Fused { window, whole_words: true, ..full.clone() }));
        }
        sets.push((stem, "every word", full));
        let in_use = used.iter().filter(|((of, _), _)| *of == stem);
        sets.extend(in_use.map(|((_, words), fused)| (stem, words.as_str(), fused.clone())));
    }
    texts.par_extend(sets.par_iter().flat_map_iter(|(stem, words, fused)| variants(stem, words, fused)));
    texts
}

/// A kernel's text with what is fused, and as drivers that compute on a CPU get it.
fn variants(stem: &str, words: &str, fused: &Fused) -> Vec<(String, String)> {
    let text = kernel::wgsl(stem, fused).unwrap_or_else(|e| panic!("{e}"));
    let by_locals = kernel::by_locals(&text);
    let reads = by_locals.matches("params.").count() - by_locals.matches("own_params.").count();
    let is_read_once = by_locals.contains("own_params = params;") && reads == 0;
    assert_eq!(is_read_once, !text.contains("workgroupBarrier"), "{stem}: {by_locals}");
    let by_texels = kernel::by_texels(&by_locals, &[true; MOST_TENSORS]);
    let mut texts = vec![
        (format!("{stem} [{words}] by pairs"), kernel::by_pairs(&by_locals)),
        (format!("{stem} [{words}] by texels and pairs"), kernel::by_pairs(&by_texels)),
        (format!("{stem} [{words}]"), text),
    ];
    if words.is_empty() {
        texts.push((format!("{stem} by texels"), by_texels));
        texts.push((format!("{stem} by locals"), by_locals));
    }
    texts
}

fn validated(text: &str) -> Result<(Module, ModuleInfo), String> {
    let module = naga::front::wgsl::parse_str(text).map_err(|e| e.emit_to_string(text))?;
    let needed = [
        ("subgroup", Capabilities::SUBGROUP),
        ("enable f16;", Capabilities::SHADER_FLOAT16),
        ("u64", Capabilities::SHADER_INT64),
    ];
    let needed = needed.into_iter().filter(|(word, _)| text.contains(word)).map(|(_, capability)| capability);
    let mut validator = Validator::new(ValidationFlags::all(), needed.collect());
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
    ptx.retain(|stem| !MATRIX_UNITS.iter().any(|ending| stem.ends_with(ending)));
    let of = |name: &&'static str| name.strip_suffix(ON_CPU);
    let of_wgsl: BTreeSet<&str> = shaders.difference(&ptx).filter_map(of).collect();
    let has_twin_on_cpu = |stem: &&str| {
        let begins = ["depthwise", "audit"].iter().any(|kind| stem.starts_with(kind));
        begins || [".tile", ".slim", ".groups"].iter().any(|kind| stem.contains(kind))
    };
    let on_cpu: BTreeSet<&str> = ptx.iter().copied().filter(has_twin_on_cpu).chain(ONLY_ON_CPU).collect();
    assert_eq!(of_wgsl, on_cpu);
    assert_eq!(shaders.len(), ptx.len() + of_wgsl.len());
}

/// A max-pool's rescale rule has eight tensors of its own; the curve before it adds two and its slopes, for which most devices have
/// room.
#[test]
fn packed_launches_bind_no_more_buffers_than_a_device_does() {
    let programs = programs(&[Precision::F32]);
    let most = |launches: &[Launch]| launches.iter().map(|launch| launch.pointers.len()).max();
    let whole = packed(&programs, usize::MAX);
    assert_eq!(most(&whole), Some(MOST_BUFFERS + 3), "a device with more has fewer steps");
    let within = packed(&programs, MOST_BUFFERS);
    assert_eq!(most(&within), Some(MOST_BUFFERS));
    assert!(within.len() > whole.len());
    for Launch { stem, fused, pointers, .. } in whole.into_iter().chain(within) {
        let text = kernel::wgsl(stem, &fused).unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(text.matches(" var<storage").count(), pointers.len(), "{stem} {fused:?}");
        assert!(!text.contains("f16"), "{stem} {fused:?}");
        let keeps_bits = fused.stages.iter().any(|stage| stage.word == "keep_bits");
        assert_eq!(text.contains("atomicXor"), keeps_bits, "{stem}: threads share a word of bits");
    }
}

/// What a launch has as textures its text has, too: what is only read, of f32.
#[test]
fn launches_and_texts_agree_on_textures() {
    let mut seen = HashSet::new();
    for program in programs(&[Precision::F32, Precision::F16]) {
        for step in &program.steps {
            let launch = launch(&program, step).expect("a launch").packed();
            for launch in [launch.clone(), launch.on_cpu()] {
                let by_texels = |textures, most| launch.clone().by_texels(&program, textures, most).texels;
                let all = by_texels(usize::MAX, usize::MAX);
                if !seen.insert((launch.stem, launch.fused.clone(), all)) {
                    continue;
                }
                let text = kernel::wgsl(launch.stem, &launch.fused).unwrap_or_else(|e| panic!("{e}"));
                let text = kernel::by_texels(&text, &all);
                let is_texture = |number: usize| {
                    let binding = format!("@binding({number}) var ");
                    text.lines().any(|line| line.contains(&binding) && line.contains("texture_storage_2d"))
                };
                assert_eq!(all, std::array::from_fn(is_texture), "{}: {text}", step.label);
                assert!(launch.written.iter().zip(all).all(|(written, is_texture)| !(*written && is_texture)));

                let first = all.iter().position(|is_texture| *is_texture);
                let one = std::array::from_fn(|number| Some(number) == first);
                assert_eq!([by_texels(1, usize::MAX), by_texels(usize::MAX, 0)], [one, [false; MOST_TENSORS]]);
            }
        }
    }
    assert!(seen.len() > 100, "{} kernels", seen.len());
}

/// A half is loaded as a float and stored bounded; nothing else is done with it.
#[test]
fn halves_are_stored_and_floats_computed_with() {
    let launches = packed(&programs(&[Precision::F16]), MOST_BUFFERS);
    let mut stored = 0;
    for Launch { stem, fused, .. } in launches {
        let text = kernel::wgsl(stem, &fused).unwrap_or_else(|e| panic!("{e}"));
        let is_half = fused.types.contains(&Type::F16);
        assert_eq!(text.contains("enable f16;"), is_half, "{stem} {fused:?}");
        for line in text.lines().filter(|line| line.contains("<f16>")) {
            let (declares, bounds) =
                (line.contains("var<storage"), line.contains("= vec4<f16>(bounded(v, -65504.0, 65504.0));"));
            assert!(declares || bounds, "{stem}: {line}");
            stored += usize::from(bounds);
        }
    }
    assert!(stored > 0);
}

#[test]
fn shaders_validate_and_translate() {
    let texts = texts();
    println!("{} texts", texts.len());
    let check = |(name, text): &(String, String)| translated(text).err().map(|said| format!("{name}: {said}"));
    let found: Vec<String> = texts.par_iter().filter_map(check).collect();
    assert!(found.is_empty(), "{} of {} texts\n{}", found.len(), texts.len(), found.join("\n"));
}

/// Chromium's compiler finds nothing wrong, where it is installed: `./test` asks for it then.
#[test]
#[ignore = "needs tint on the path"]
fn tint_accepts_every_shader() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    // Integers of 64 bits are naga's, and so is that subgroups need no word. A subgroup is eight threads in a row, of which all or
    // none go on, which no compiler can see.
    let portable: Vec<_> = texts().into_iter().filter(|(_, text)| !text.contains("u64")).collect();
    assert!(portable.len() > 500, "{} texts", portable.len());
    let refused = |(number, (name, text)): (usize, &(String, String))| {
        let file = folder.path().join(format!("{number}.wgsl"));
        let enabled =
            if text.contains("subgroup") { "enable subgroups;\ndiagnostic(off, subgroup_uniformity);\n" } else { "" };
        std::fs::write(&file, format!("{enabled}{text}")).expect("a file");
        let output = std::process::Command::new("tint")
            .args(["--format", "wgsl", "-o", "/dev/null"])
            .arg(&file)
            .output()
            .expect("tint runs");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        (!output.status.success()).then(|| format!("{name}: {said}"))
    };
    let found: Vec<String> = portable.par_iter().enumerate().filter_map(refused).collect();
    let shown = found.iter().take(10).cloned().collect::<Vec<_>>().join("\n");
    assert!(found.is_empty(), "{} of {} texts\n{shown}", found.len(), portable.len());
}

/// Translates a text to what its drivers read: SPIR-V, HLSL and MSL. Of the kernels for processors, those with textures are for a
/// driver of Vulkan alone, and Metal has no processors. What is wrong with it.
fn translated(text: &str) -> Result<(), String> {
    let (module, info) = validated(text)?;
    let mut sizes = naga::proc::Layouter::default();
    sizes.update(module.to_ctx()).map_err(|e| e.to_string())?;
    let shared = module.global_variables.iter().filter(|(_, v)| v.space == AddressSpace::WorkGroup);
    let shared: u32 = shared.map(|(_, v)| sizes[v.ty].size).sum();
    if shared > MOST_SHARED {
        return Err(format!("{shared} bytes of shared memory, {MOST_SHARED} are there"));
    }
    let threads = module.entry_points[0].workgroup_size[0];
    let is_for_vulkan = text.contains("texture_storage_2d");
    let is_for_processors = is_for_vulkan || text.contains("own_params");
    if !is_for_vulkan {
        direct(text, threads, &module, &info)?;
    }
    let is_translated =
        !spirv(&module, &info)?.is_empty() && (is_for_processors || metal(&module, &info)?.contains("kernel void"));
    if is_translated { Ok(()) } else { Err("a translation is empty".to_owned()) }
}

fn spirv(module: &Module, info: &ModuleInfo) -> Result<Vec<u32>, String> {
    let options = spv::PipelineOptions { shader_stage: ShaderStage::Compute, entry_point: "main".to_owned() };
    let version = spv::Options { lang_version: (1, 3), ..spv::Options::default() };
    spv::write_vec(module, info, &version, Some(&options)).map_err(|e| e.to_string())
}

fn metal(module: &Module, info: &ModuleInfo) -> Result<String, String> {
    let options = msl::Options { lang_version: (2, 4), ..msl::Options::default() };
    let entry_point = Some((ShaderStage::Compute, "main".to_owned()));
    let pipeline = msl::PipelineOptions { entry_point, ..Default::default() };
    Ok(msl::write_string(module, info, &options, &pipeline).map_err(|e| e.to_string())?.0)
}

/// What shader model 5.1 lacks: operations of subgroups, integers of 64 bits, templates. naga writes them for it all the same.
const BEYOND_5_1: [&str; 4] = ["Wave", "int64_t", ".Load<", ".Store<"];

/// HLSL by every shader model that a text is for: 6 is what the newer compiler takes, 5.1 what the one does that comes with Windows. With
/// that one, adapters have neither halves nor subgroups nor integers of 64 bits.
fn direct(text: &str, threads: u32, module: &Module, info: &ModuleInfo) -> Result<(), String> {
    let models = match text {
        _ if text.contains("enable f16;") => &[ShaderModel::V6_2][..],
        _ if text.contains("subgroup") || text.contains("u64") => &[ShaderModel::V6_0],
        _ => &[ShaderModel::V5_1, ShaderModel::V6_0],
    };
    for model in models {
        let written = direct_by(*model, module, info).map_err(|said| format!("{model:?}: {said}"))?;
        let beyond = BEYOND_5_1.iter().find(|word| *model == ShaderModel::V5_1 && written.contains(**word));
        if let Some(word) = beyond {
            return Err(format!("{model:?} has no {word}"));
        }
        if !written.contains(&format!("numthreads({threads}, 1, 1)")) {
            return Err(format!("{model:?}: the entry is missing"));
        }
    }
    Ok(())
}

fn direct_by(shader_model: ShaderModel, module: &Module, info: &ModuleInfo) -> Result<String, String> {
    let target = hlsl::BindTarget { register: 0, space: 255, ..hlsl::BindTarget::default() };
    let options = hlsl::Options { shader_model, special_constants_binding: Some(target), ..hlsl::Options::default() };
    let pipeline = hlsl::PipelineOptions { entry_point: Some((ShaderStage::Compute, "main".to_owned())) };
    let mut written = String::new();
    hlsl::Writer::new(&mut written, &options, &pipeline).write(module, info, None).map_err(|e| e.to_string())?;
    Ok(written)
}
