//! What can go wrong in a launch, and where.

use std::fmt;

/// A memory that instructions name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Space {
    Global,
    Shared,
    Local,
}

impl fmt::Display for Space {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Space::Global => "global",
            Space::Shared => "shared",
            Space::Local => "local",
        })
    }
}

/// What an instruction does to memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Access {
    Read,
    Write,
    Atomic,
    /// A write by `cp.async`.
    AsyncCopy,
}

impl fmt::Display for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Access::Read => "read",
            Access::Write => "write",
            Access::Atomic => "atomic",
            Access::AsyncCopy => "cp.async",
        })
    }
}

/// The thread on the other side of a race.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OtherThread {
    /// A lane of a warp of the same block.
    Lane { warp: u32, lane: u32 },
    /// Some lane of a warp of the same block.
    Warp { warp: u32 },
    /// A thread of another block.
    Block,
}

impl fmt::Display for OtherThread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            OtherThread::Lane { warp, lane } => write!(f, "warp {warp} lane {lane}"),
            OtherThread::Warp { warp } => write!(f, "warp {warp}"),
            OtherThread::Block => write!(f, "another block"),
        }
    }
}

/// A launch that cannot start.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LaunchError {
    #[error("a grid of {grid:?} blocks of {block:?} threads is outside the limits of a device")]
    Shape { grid: [u32; 3], block: [u32; 3] },
    #[error("{threads} threads a block, but the kernel declares .maxntid of {limit}")]
    MaxThreads { threads: u32, limit: u32 },
    #[error("{got} bytes of parameters, but the kernel declares {want}")]
    Params { want: usize, got: usize },
    #[error("{bytes} bytes of shared memory are more than the {limit} of a block")]
    Shared { bytes: u64, limit: u64 },
}

/// What went wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FaultKind {
    #[error("{0}")]
    Launch(#[from] LaunchError),
    #[error("{access} of {bytes} bytes at {address:#x}, where no allocation is")]
    NoAllocation { access: Access, address: u64, bytes: u32 },
    #[error("{space} {access} of {bytes} bytes at offset {offset} of {len}: out of bounds")]
    OutOfBounds { space: Space, access: Access, offset: u64, bytes: u32, len: u64 },
    #[error("{space} {access} of {bytes} bytes at {address:#x}: misaligned")]
    Misaligned { space: Space, access: Access, address: u64, bytes: u32 },
    #[error("{space} read of {bytes} bytes at {address:#x}, which nothing has written")]
    Uninitialised { space: Space, address: u64, bytes: u32 },
    #[error("{access} at {address:#x}, in a read-only allocation")]
    ReadOnly { access: Access, address: u64 },
    #[error("race: {space} {later} at {address:#x} is not ordered after the {earlier} by {other}")]
    Race { space: Space, address: u64, earlier: Access, later: Access, other: OtherThread },
    #[error("race: two lanes store different values at {space} {address:#x}")]
    ConflictingStores { space: Space, address: u64 },
    #[error("shared {access} at {address:#x}, which a cp.async in flight is filling")]
    AsyncPending { address: u64, access: Access },
    #[error("global {access} at {address:#x}, which a cp.async in flight is reading")]
    AsyncSource { address: u64, access: Access },
    #[error(".nc read at {address:#x}, which this launch writes")]
    NonCoherent { address: u64 },
    #[error("barrier divergence: lanes {active:#010x} of {needed:#010x} reach the barrier")]
    BarrierDivergence { active: u32, needed: u32 },
    #[error("barrier {id} cannot be named: a block has 16")]
    BarrierId { id: u32 },
    #[error("barrier with {count} threads: not a multiple of 32 within the block")]
    BarrierCount { count: u32 },
    #[error("deadlock: {waiting} warps wait for barriers that no other warp will reach")]
    Deadlock { waiting: u32 },
    #[error("{instruction} with inactive lanes: {active:#010x} of {needed:#010x}")]
    InactiveLanes { instruction: &'static str, active: u32, needed: u32 },
    #[error("{instruction} reads lane {source_lane}, which is inactive")]
    InactiveSource { instruction: &'static str, source_lane: u32 },
    #[error("{instruction} by a lane outside its membermask {members:#010x}")]
    NotAMember { instruction: &'static str, members: u32 },
    #[error("{instruction} with membermask {members:#010x}, of which lane {member} comes with {others:#010x}")]
    OtherMembers { instruction: &'static str, members: u32, member: u32, others: u32 },
    #[error("{instruction} at {address:#x}, which is not in shared memory")]
    NotShared { instruction: &'static str, address: u64 },
    #[error("{instruction} needs the same {operand} in each lane")]
    NotUniform { instruction: &'static str, operand: &'static str },
    #[error("{instruction} in a block of {warps} warps, which are no warpgroups of four")]
    Warpgroup { instruction: &'static str, warps: u32 },
    #[error("not the same wgmma in the warps of a warpgroup: {done} in this, {of_first} in warp {first}")]
    WarpgroupDivergence { done: u32, first: u32, of_first: u32 },
    #[error(
        "shared memory at {address:#x} is read by wgmma.mma_async, but no fence.proxy.async of the thread that wrote it comes between, before a barrier"
    )]
    ProxyUnfenced { address: u64 },
    #[error("shared {access} at {address:#x}, which a wgmma.mma_async in flight is reading")]
    ProductSource { address: u64, access: Access },
    #[error("{access} of a register that the wgmma.mma_async of line {line}, which is in flight, uses")]
    RegisterInFlight { access: Access, line: u32 },
    #[error("wgmma.mma_async with a register of {operand} that no wgmma.fence separates from what accessed it before")]
    RegisterUnfenced { operand: &'static str },
    #[error("the descriptor {descriptor:#018x} of wgmma.mma_async: {what}")]
    Descriptor { descriptor: u64, what: &'static str },
    #[error("cp.async copies {src_size} bytes of {bytes}")]
    CopySize { src_size: u32, bytes: u32 },
    #[error("brx.idx with index {index} of {targets} targets")]
    BranchIndex { index: u32, targets: u32 },
    #[error("trap")]
    Trap,
    #[error("the budget of {limit} warp instructions is spent: does the kernel hang?")]
    Budget { limit: u64 },
    #[error(
        "two schedules differ: byte {offset} of the allocation at {address:#x} is {first:#04x} with seed {first_seed} and {other:#04x} with seed {other_seed}"
    )]
    ScheduleDependent { address: u64, offset: u64, first: u8, other: u8, first_seed: u64, other_seed: u64 },
}

/// What went wrong, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{kind} (kernel {kernel}, line {line}, block {block:?}, warp {warp}{})", .lane.map(|lane| format!(", lane {lane}")).unwrap_or_default())]
pub struct Fault {
    pub kind: FaultKind,
    pub kernel: String,
    /// Line of the PTX text, from 1.
    pub line: u32,
    pub block: [u32; 3],
    pub warp: u32,
    /// Where the fault is that of a single lane.
    pub lane: Option<u32>,
}

/// A fault before its place is known. Boxed, so that results stay small in the inner loop.
#[derive(Debug)]
pub(crate) struct Stop(pub Box<(FaultKind, Option<u32>)>);

impl Stop {
    pub fn lane(kind: FaultKind, lane: usize) -> Self {
        Stop(Box::new((kind, Some(lane as u32))))
    }
}

impl From<FaultKind> for Stop {
    fn from(kind: FaultKind) -> Self {
        Stop(Box::new((kind, None)))
    }
}
