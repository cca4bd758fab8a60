//! Runs a kernel over a grid.

use crate::block::run_block;
use crate::fault::{Fault, FaultKind, LaunchError};
use crate::memory::Memory;
use crate::program::Kernel;
use crate::report::Report;
use crate::warp::{Machine, random};

/// Shared memory that a block can have, in bytes: that of sm_90.
const MAX_SHARED: u64 = 227 * 1024;

/// A launch of a kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Launch {
    /// Blocks along x, y and z.
    pub grid: [u32; 3],
    /// Threads of a block along x, y and z.
    pub block: [u32; 3],
    /// Bytes of shared memory beyond what the kernel declares.
    pub shared_bytes: u32,
    /// The parameter buffer, laid out as [`Kernel::params`] says.
    pub params: Vec<u8>,
}

/// How to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Races, uninitialised reads and traffic are checked and counted. Out-of-bounds and misaligned accesses, writes to
    /// read-only memory and divergent barriers are faults in any case.
    pub checks: bool,
    /// Order of blocks and warps; 0 is their natural order, each warp as far as it comes.
    pub seed: u64,
    /// Warp instructions of the whole launch.
    pub max_instructions: u64,
}

impl Default for Options {
    fn default() -> Self {
        Options { checks: true, seed: 0, max_instructions: 1 << 31 }
    }
}

/// Runs a launch to its end.
///
/// # Errors
/// Where the launch does not fit the kernel, or a check fails. Memory then holds what was written until then.
pub fn run(kernel: &Kernel, launch: &Launch, memory: &mut Memory, options: &Options) -> Result<Report, Fault> {
    let at_entry = |kind: LaunchError| Fault {
        kind: kind.into(),
        kernel: kernel.name.clone(),
        line: kernel.line,
        block: [0; 3],
        warp: 0,
        lane: None,
    };
    let shared = check(kernel, launch).map_err(at_entry)?;
    let mut machine = Machine::new(kernel, launch, memory, options, shared);
    run_grid(&mut machine, options)?;
    Ok(machine.report())
}

/// Runs the blocks of a grid, in the order of the seed.
fn run_grid(machine: &mut Machine<'_>, options: &Options) -> Result<(), Fault> {
    let [width, height, depth] = machine.launch.grid.map(u64::from);
    let blocks = width * height * depth;
    let run_at = |index: u64| {
        let block = [index % width, index / width % height, index / width / height].map(|at| at as u32);
        run_block(machine, block, if options.seed == 0 { 0 } else { options.seed ^ (index << 1 | 1) })
    };
    if options.seed == 0 {
        return (0..blocks).try_for_each(run_at);
    }
    let mut order: Vec<u64> = (0..blocks).collect();
    shuffle(&mut order, options.seed);
    order.into_iter().try_for_each(run_at)
}

/// Runs a launch with three schedules and demands the same memory from each; gives the merged report.
///
/// # Errors
/// Where a run fails, or two leave different bytes. Memory is that of the last run.
pub fn run_seeds(
    kernel: &Kernel,
    launch: &Launch,
    memory: &mut Memory,
    options: &Options,
    seeds: [u64; 3],
) -> Result<Report, Fault> {
    let before = memory.clone();
    let mut report = run(kernel, launch, memory, &Options { seed: seeds[0], ..options.clone() })?;
    let first = std::mem::replace(memory, before.clone());
    for (i, seed) in seeds.into_iter().enumerate().skip(1) {
        if i > 1 {
            *memory = before.clone();
        }
        report.merge(&run(kernel, launch, memory, &Options { seed, ..options.clone() })?);
        if let Some(kind) = difference(&first, memory, seeds[0], seed) {
            let (kernel, line) = (kernel.name.clone(), kernel.line);
            return Err(Fault { kind, kernel, line, block: [0; 3], warp: 0, lane: None });
        }
    }
    Ok(report)
}

fn difference(first: &Memory, other: &Memory, first_seed: u64, other_seed: u64) -> Option<FaultKind> {
    for ((address, first), (_, other)) in first.allocations().zip(other.allocations()) {
        if first != other {
            let offset = first.iter().zip(other).position(|(first, other)| first != other)?;
            let (first, other, offset) = (first[offset], other[offset], offset as u64);
            return Some(FaultKind::ScheduleDependent { address, offset, first, other, first_seed, other_seed });
        }
    }
    None
}

/// Whether the launch fits; gives the bytes of shared memory of a block.
fn check(kernel: &Kernel, launch: &Launch) -> Result<usize, LaunchError> {
    let Launch { grid, block, .. } = *launch;
    let threads = block.iter().map(|n| u64::from(*n)).product::<u64>();
    let too_many_blocks = grid[0] > i32::MAX as u32 || grid[1] > 65_535 || grid[2] > 65_535;
    if grid.contains(&0) || threads == 0 || threads > 1024 || block[2] > 64 || too_many_blocks {
        return Err(LaunchError::Shape { grid, block });
    }
    let threads = threads as u32;
    if let Some(limit) = kernel.max_threads.filter(|limit| threads > *limit) {
        return Err(LaunchError::MaxThreads { threads, limit });
    }
    let (want, got) = (kernel.param_bytes(), launch.params.len());
    if want != got {
        return Err(LaunchError::Params { want, got });
    }
    let bytes = match launch.shared_bytes {
        0 => u64::from(kernel.static_shared),
        dynamic => u64::from(kernel.dynamic_shared) + u64::from(dynamic),
    };
    if bytes > MAX_SHARED {
        return Err(LaunchError::Shared { bytes, limit: MAX_SHARED });
    }
    Ok(bytes as usize)
}

/// Fisher-Yates.
fn shuffle(order: &mut [u64], seed: u64) {
    let mut state = seed;
    for end in (1..order.len()).rev() {
        order.swap(end, (random(&mut state) % (end as u64 + 1)) as usize);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::program::Module;

    #[test]
    fn processors_without_fused_vectors_give_the_same_bits() {
        let module = Module::parse(include_str!("../tests/compiled/sgemm.ptx")).unwrap();
        let kernel = module.kernel("sgemm").unwrap();
        let values: Vec<u8> = (0..128 * 16u32).flat_map(|i| ((i % 97) as f32 / 97.0).to_le_bytes()).collect();
        let results = [true, false].map(|as_detected| {
            let mut memory = Memory::new();
            let buffers = [memory.alloc(values.len()), memory.alloc(values.len()), memory.alloc(128 * 128 * 4)];
            buffers[..2].iter().for_each(|buffer| memory.write(*buffer, &values).unwrap());
            let mut params: Vec<u8> = buffers.iter().flat_map(|buffer| buffer.to_le_bytes()).collect();
            params.extend([128u32, 128, 16].iter().flat_map(|size| size.to_le_bytes()));
            let launch = Launch { grid: [1; 3], block: [256, 1, 1], shared_bytes: 0, params };
            let options = Options::default();
            let mut machine = Machine::new(kernel, &launch, &mut memory, &options, check(kernel, &launch).unwrap());
            machine.fused = machine.fused.filter(|_| as_detected);
            run_grid(&mut machine, &options).unwrap();
            let report = machine.report();
            (report, memory.read(buffers[2], 128 * 128 * 4).unwrap().to_vec())
        });
        assert_eq!(results[0], results[1]);
    }
}
