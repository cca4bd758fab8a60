//! What the tests share.
#![allow(dead_code, reason = "each test uses a part")]

use ptx_sim::{Fault, Launch, Memory, Module, Options, Report, run};

/// A module of one kernel with 64-bit parameters.
pub fn kernel_text(params: &[&str], body: &str) -> String {
    let params: Vec<String> = params.iter().map(|name| format!(".param .u64 .ptr .global .align 16 {name}")).collect();
    format!(
        ".version 8.0\n.target sm_90\n.address_size 64\n.visible .entry k({}) .maxntid 1024, 1, 1 {{\n{body}\n}}\n",
        params.join(", ")
    )
}

/// The first line of the body given to [`kernel_text`].
pub const BODY: u32 = 5;

pub fn launch(blocks: u32, threads: u32, params: &[u64]) -> Launch {
    let params = params.iter().flat_map(|param| param.to_le_bytes()).collect();
    Launch { grid: [blocks, 1, 1], block: [threads, 1, 1], shared_bytes: 0, params }
}

/// Runs the only kernel of a text.
pub fn run_text(text: &str, launch: &Launch, memory: &mut Memory, options: &Options) -> Result<Report, Fault> {
    let module = Module::parse(text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    let kernel = module.kernels().next().expect("a kernel");
    run(kernel, launch, memory, options)
}

pub fn alloc_u32(memory: &mut Memory, values: &[u32]) -> u64 {
    let address = memory.alloc(values.len() * 4);
    memory.write(address, &values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<_>>()).unwrap();
    address
}

pub fn alloc_f32(memory: &mut Memory, values: &[f32]) -> u64 {
    alloc_u32(memory, &values.iter().map(|value| value.to_bits()).collect::<Vec<_>>())
}

pub fn read_u32(memory: &Memory, address: u64, count: usize) -> Vec<u32> {
    let bytes = memory.read(address, count * 4).unwrap();
    bytes.chunks_exact(4).map(|word| u32::from_le_bytes(word.try_into().unwrap())).collect()
}

pub fn read_f32(memory: &Memory, address: u64, count: usize) -> Vec<f32> {
    read_u32(memory, address, count).into_iter().map(f32::from_bits).collect()
}

/// Numbers in [-1, 1) that are the same each time.
pub fn noise(count: usize, seed: u64) -> Vec<f32> {
    let mut state = seed.wrapping_mul(2_862_933_555_777_941_757).wrapping_add(3_037_000_493);
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1 << 23) as f32 - 1.0
    };
    (0..count).map(|_| next()).collect()
}
