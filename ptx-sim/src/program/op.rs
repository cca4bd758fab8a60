//! Instructions as operations on rows of a warp's register file.

use super::{ALWAYS, Row};
use crate::lanes::{Binary, Binary64, Narrow, Shift64, Ternary, Ternary64, Unary, Unary64, Widen, Widen2, Widen3};
use crate::numeric::{Convert, FloatOp};

#[derive(Clone, Debug)]
pub(crate) struct Instruction {
    pub line: u32,
    pub guard: Predicate,
    pub op: Op,
}

/// A predicate row, or its opposite.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Predicate {
    pub row: Row,
    pub negate: bool,
}

impl Predicate {
    pub const ALWAYS: Self = Predicate { row: ALWAYS, negate: false };
}

/// What an instruction does to a row of 32-bit lanes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Touch {
    pub row: Row,
    pub write: bool,
}

/// What an instruction does. Rows are in the order of the PTX operands, the destination first.
#[derive(Clone, Debug)]
pub(crate) enum Op {
    /// `fma.rn.f32`
    Fma([Row; 4]),
    Unary(Unary, [Row; 2]),
    Binary(Binary, [Row; 3]),
    Ternary(Ternary, [Row; 4]),
    Unary64(Unary64, [Row; 2]),
    Binary64(Binary64, [Row; 3]),
    Shift64(Shift64, [Row; 3]),
    Ternary64(Ternary64, [Row; 4]),
    /// 32-bit operands, 64-bit result.
    Widen(Widen, [Row; 2]),
    Widen2(Widen2, [Row; 3]),
    Widen3(Widen3, [Row; 4]),
    /// 64-bit operand, 32-bit result.
    Narrow(Narrow, [Row; 2]),
    /// `mov.b64 {lo, hi}, a`
    Split64([Row; 3]),
    /// `mov.b32 {lo, hi}, a`
    Split32([Row; 3]),
    LutLogic(u8, [Row; 4]),
    /// `bfi.b32`
    Insert([Row; 5]),
    Float(FloatOp, [Row; 4]),
    /// The conversion knows which of its rows are wide.
    Convert(Convert, [Row; 2]),
    /// `cvt.rn.f16x2.f32 d, hi, lo`
    ConvertPair(Convert, [Row; 3]),
    Compare(Compare),
    Select {
        rows: [Row; 3],
        by: Predicate,
    },
    Select64 {
        rows: [Row; 3],
        by: Predicate,
    },
    Logic {
        op: Logic,
        dst: Row,
        a: Predicate,
        b: Predicate,
    },

    LoadParam {
        dst: Rows,
        element: Element,
        offset: u32,
    },
    Load {
        space: LoadSpace,
        dst: Rows,
        element: Element,
        from: Address,
    },
    Store {
        space: StoreSpace,
        src: Rows,
        element: Element,
        to: Address,
    },
    Atomic(Box<Atomic>),
    CopyAsync(Box<CopyAsync>),
    CommitGroup,
    /// Waits until at most so many groups are in flight; with none, for all copies, committed or not.
    Wait(Option<u32>),

    Branch(u32),
    BranchIndexed {
        index: Row,
        targets: Box<[u32]>,
    },
    Exit,
    Trap,
    Nop,

    Barrier(Box<Barrier>),
    WarpBarrier {
        members: Row,
    },
    Shuffle(Box<Shuffle>),
    Vote {
        mode: Vote,
        dst: Row,
        src: Predicate,
        members: Row,
    },
    Match {
        all: bool,
        wide: bool,
        dst: Row,
        same: Option<Row>,
        src: Row,
        members: Row,
    },
    ActiveMask {
        dst: Row,
    },

    Mma(Box<Mma>),
    /// `fence.proxy.async`
    ProxyFence,
    Wgmma(Box<Wgmma>),
    LoadMatrix {
        dst: Rows,
        transpose: bool,
        generic: bool,
        /// Whether lanes whose address is not that of a row must have a valid one, too.
        all_lanes: bool,
        from: Address,
    },
    StoreMatrix {
        src: Rows,
        transpose: bool,
        generic: bool,
        to: Address,
    },
}

/// Up to four rows: the parts of a vector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rows {
    pub rows: [Row; 4],
    pub count: u8,
}

impl Rows {
    pub fn iter(&self) -> impl Iterator<Item = Row> + '_ {
        self.rows[..usize::from(self.count)].iter().copied()
    }
}

/// What of memory a register holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Element {
    /// In memory.
    pub bytes: u8,
    pub signed: bool,
    /// Whether registers have 16 bits; the higher ones of their lanes are zeros.
    pub half: bool,
    /// Whether the rows have 64-bit lanes.
    pub wide: bool,
}

/// A row of addresses and what is added to each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Address {
    pub row: Row,
    pub wide: bool,
    pub offset: i32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LoadSpace {
    Global,
    /// `.nc`: the kernel must not write what it reads.
    NonCoherent,
    Shared,
    Local,
    Generic,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StoreSpace {
    Global,
    Shared,
    Local,
    Generic,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Relation {
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
    /// Both are numbers.
    Num,
    /// One is not a number.
    Nan,
}

/// What a comparison compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Compared {
    U16,
    S16,
    U32,
    S32,
    U64,
    S64,
    F16,
    F16Ftz,
    Bf16,
    F32,
    F32Ftz,
}

/// `setp.relation.logic.type dst|other, a, b, with`
#[derive(Clone, Copy, Debug)]
pub(crate) struct Compare {
    pub relation: Relation,
    /// True where the operands are not ordered (`.ltu` and so on).
    pub unordered: bool,
    pub of: Compared,
    pub dst: Row,
    pub other: Option<Row>,
    pub a: Row,
    pub b: Row,
    pub with: Option<(Logic, Predicate)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Logic {
    And,
    Or,
    Xor,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AtomicOp {
    Add,
    AddF32,
    Min,
    Max,
    And,
    Or,
    Xor,
    Exchange,
    CompareSwap,
    Increment,
    Decrement,
}

#[derive(Clone, Debug)]
pub(crate) struct Atomic {
    pub op: AtomicOp,
    pub space: StoreSpace,
    /// Atomic to threads of the same block only: `.cta`, or `.cluster`, which is of one block here.
    pub of_block: bool,
    pub element: Element,
    /// None of `red`.
    pub dst: Option<Row>,
    pub at: Address,
    pub a: Row,
    /// The new value of `cas`.
    pub b: Option<Row>,
}

#[derive(Clone, Debug)]
pub(crate) struct CopyAsync {
    pub to: Address,
    pub from: Address,
    pub bytes: u32,
    /// Bytes to copy; zeros fill the rest.
    pub src_size: Option<Row>,
    /// Where it holds, nothing is copied but zeros.
    pub ignore: Option<Predicate>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BarrierKind {
    Sync,
    Arrive,
    /// Threads whose predicate is true, to a 32-bit row.
    Popc {
        dst: Row,
        src: Predicate,
    },
    All {
        dst: Row,
        src: Predicate,
    },
    Any {
        dst: Row,
        src: Predicate,
    },
}

#[derive(Clone, Debug)]
pub(crate) struct Barrier {
    pub kind: BarrierKind,
    pub id: Row,
    pub threads: Option<Row>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ShuffleMode {
    Up,
    Down,
    Bfly,
    Idx,
}

#[derive(Clone, Debug)]
pub(crate) struct Shuffle {
    pub mode: ShuffleMode,
    pub dst: Row,
    pub in_range: Option<Row>,
    pub src: Row,
    pub lane: Row,
    pub clamp: Row,
    pub members: Row,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Vote {
    All,
    Any,
    Uni,
    /// To a 32-bit row.
    Ballot,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MmaType {
    /// m16n8k8
    Tf32,
    /// m16n8k16, or m16n8k8
    F16 {
        k: u8,
    },
    Bf16 {
        k: u8,
    },
}

/// `d = a b + c`; shorter operands leave their last rows unused.
#[derive(Clone, Debug)]
pub(crate) struct Mma {
    pub of: MmaType,
    pub d: [Row; 4],
    pub a: [Row; 4],
    pub b: [Row; 2],
    pub c: [Row; 4],
}

/// What the four warps of a warpgroup do together.
#[derive(Clone, Debug)]
pub(crate) enum Wgmma {
    Fence,
    Multiply(Product),
    Commit,
    /// Until so many groups are in flight.
    Wait(u32),
}

/// `d = a b`, or `d += a b` where `adds` holds; b is in shared memory, where the descriptor says.
#[derive(Clone, Debug)]
pub(crate) struct Product {
    /// Four for each eight columns.
    pub d: Box<[[Row; 4]]>,
    pub a: [Row; 4],
    /// Of 64-bit lanes.
    pub descriptor: Row,
    pub adds: Predicate,
}
