//! Modules and kernels, decoded once.

mod op;

pub(crate) use op::*;

use crate::lint::Lint;

/// The kernels of a PTX text.
#[derive(Clone, Debug, Default)]
pub struct Module {
    pub(crate) version: (u32, u32),
    pub(crate) target: String,
    pub(crate) kernels: Vec<Kernel>,
}

impl Module {
    /// The PTX version that the text declares.
    pub fn version(&self) -> (u32, u32) {
        self.version
    }

    /// The architecture that the text declares, such as `sm_75`.
    pub fn target(&self) -> &str {
        &self.target
    }

    /// In the order of the text.
    pub fn kernels(&self) -> impl Iterator<Item = &Kernel> {
        self.kernels.iter()
    }

    pub fn kernel(&self, name: &str) -> Option<&Kernel> {
        self.kernels.iter().find(|kernel| kernel.name == name)
    }
}

/// A parameter of a kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Param {
    pub name: String,
    /// Line of the PTX text, from 1.
    pub line: u32,
    /// In the kernel's parameter buffer.
    pub offset: usize,
    pub size: usize,
    pub align: usize,
    /// Declared with `.ptr`.
    pub pointer: bool,
    /// Of type `.u64` or `.b64`, as addresses are.
    pub address_sized: bool,
}

/// A kernel that can be launched.
#[derive(Clone, Debug)]
pub struct Kernel {
    pub(crate) name: String,
    pub(crate) line: u32,
    pub(crate) params: Vec<Param>,
    pub(crate) max_threads: Option<u32>,
    pub(crate) static_shared: u32,
    /// Where the launch's shared memory starts.
    pub(crate) dynamic_shared: u32,
    pub(crate) local_bytes: u32,
    pub(crate) code: Vec<Instruction>,
    /// The registers of 32 bits or fewer that each written instruction reads or writes, but for `wgmma`; none where the kernel
    /// has no `wgmma`.
    pub(crate) touches: Vec<Box<[Touch]>>,
    /// What each row of 32-bit lanes holds before the first instruction.
    pub(crate) narrow_rows: Vec<Initial>,
    /// What each row of 64-bit lanes holds before the first instruction.
    pub(crate) wide_rows: Vec<Initial>,
    pub(crate) predicates: usize,
    /// Log2 of the bytes of the smallest access to shared memory, at most 2: what races there are tracked by.
    pub(crate) shared_granule: u32,
    pub(crate) lints: Vec<Lint>,
}

impl Kernel {
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Line of its `.entry`, from 1.
    pub fn line(&self) -> u32 {
        self.line
    }

    pub fn params(&self) -> &[Param] {
        &self.params
    }

    /// Bytes of the parameter buffer of a [`Launch`](crate::Launch).
    pub fn param_bytes(&self) -> usize {
        self.params.last().map_or(0, |last| last.offset + last.size)
    }

    /// Bytes of its `.shared` variables.
    pub fn static_shared_bytes(&self) -> u32 {
        self.static_shared
    }

    /// Threads of a block by `.maxntid` or `.reqntid`, where it has one.
    pub fn max_threads(&self) -> Option<u32> {
        self.max_threads
    }

    /// The lines that hold instructions, in order, each once.
    pub fn instruction_lines(&self) -> Vec<u32> {
        let mut lines: Vec<u32> = self.written_instructions().iter().map(|instruction| instruction.line).collect();
        lines.sort_unstable();
        lines.dedup();
        lines
    }

    /// Whether its threads wait for each other.
    pub(crate) fn synchronises(&self) -> bool {
        self.code.iter().any(|instruction| matches!(instruction.op, Op::Barrier(_) | Op::WarpBarrier { .. }))
    }

    /// Whether it has products of warpgroups.
    pub(crate) fn multiplies_by_warpgroup(&self) -> bool {
        !self.touches.is_empty()
    }

    /// The code without the return of the closing brace.
    pub(crate) fn written_instructions(&self) -> &[Instruction] {
        self.code.split_last().map_or(&[], |(_, written)| written)
    }
}

/// A row of 32 lanes in a register file.
pub(crate) type Row = u16;

/// The predicate row that is true in each lane.
pub(crate) const ALWAYS: Row = 0;

/// A row before the first instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Initial {
    /// A register: nothing is promised.
    Poison,
    Constant(u64),
    Special(Special),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Special {
    /// Thread index along an axis.
    Tid(u8),
    Ntid(u8),
    Ctaid(u8),
    Nctaid(u8),
    LaneId,
    WarpId,
    WarpCount,
    /// Lanes below, up to, equal to, from or above the own one.
    MaskLt,
    MaskLe,
    MaskEq,
    MaskGe,
    MaskGt,
    Zero,
    /// Where the launch's shared memory starts, and so many bytes on.
    DynamicShared(i32),
    DynamicSharedBytes,
}
