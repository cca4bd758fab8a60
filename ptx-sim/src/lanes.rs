//! The exact integer and plain f32 operations: one table, a row of 32 lanes at a time.

use crate::numeric::{Convert, FloatOp};
use crate::warp::Registers;

/// Writes the lanes of `mask`.
#[inline(always)]
pub(crate) fn set<T>(row: &mut [T; 32], mask: u32, value: impl Fn(usize) -> T) {
    if mask == !0 {
        for (lane, to) in row.iter_mut().enumerate() {
            *to = value(lane);
        }
    } else {
        for (lane, to) in row.iter_mut().enumerate() {
            if mask >> lane & 1 == 1 {
                *to = value(lane);
            }
        }
    }
}

/// For each lane of `mask`, of which most are expected: a loop of known length, with one place from which to inline.
#[inline(always)]
pub(crate) fn for_lanes(mask: u32, mut act: impl FnMut(usize)) {
    for lane in 0..32 {
        if mask >> lane & 1 == 1 {
            act(lane);
        }
    }
}

/// What the addresses of some lanes have in common.
pub(crate) struct Hull {
    /// The address of one of them.
    pub some: u64,
    /// Bits that are set in any.
    pub any: u64,
    /// Bits in which any differs from `some`.
    pub differing: u64,
    /// The largest, of their low 32 bits.
    pub last: u32,
}

/// The hull of the lanes of a mask, which has one.
#[inline(always)]
pub(crate) fn hull(addresses: &[u64; 32], mask: u32) -> Hull {
    let some = addresses[mask.trailing_zeros() as usize & 31];
    let mut hull = Hull { some, any: 0, differing: 0, last: 0 };
    for (lane, address) in addresses.iter().enumerate() {
        let address = if mask >> lane & 1 == 1 { *address } else { some };
        hull.any |= address;
        hull.differing |= address ^ some;
        hull.last = hull.last.max(address as u32);
    }
    hull
}

/// Declares operations with their meaning: an enum, and `apply` on rows of the register file.
macro_rules! lane_ops {
    (@lanes $registers:ident $rows:ident $mask:ident $dst:ident ($($x:ident: $file:ident $at:literal),*) $value:expr) => {
        $(let $x = $registers.$file[usize::from($rows[$at])];)*
        set(&mut $registers.$dst[usize::from($rows[0])], $mask, |lane| {
            $(let $x = $x[lane];)*
            $value
        });
    };
    ($(#[$doc:meta])* $name:ident, $count:literal: $dst:ident <- $from:tt { $($op:ident => $value:expr,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum $name { $($op,)* }

        impl $name {
            #[inline(always)]
            pub fn apply(self, registers: &mut Registers, rows: &[u16; $count], mask: u32) {
                match self {
                    $($name::$op => { lane_ops!(@lanes registers rows mask $dst $from $value); })*
                }
            }
        }
    };
}

lane_ops! {
    /// From one 32-bit operand.
    Unary, 2: narrow <- (x: narrow 1) {
        Mov => x,
        Low16 => x & 0xffff,
        SignExtend8 => x as i8 as u32,
        SignExtend16 => x as i16 as u32,
        Low8 => x & 0xff,
        Not => !x,
        Not16 => !x & 0xffff,
        Neg => x.wrapping_neg(),
        Neg16 => x.wrapping_neg() & 0xffff,
        Abs => (x as i32).wrapping_abs() as u32,
        Abs16 => (x as i16).wrapping_abs() as u16 as u32,
        NegF32 => x ^ 0x8000_0000,
        AbsF32 => x & 0x7fff_ffff,
        NegHalf => x ^ 0x8000,
        AbsHalf => x & 0x7fff,
        NegHalf2 => x ^ 0x8000_8000,
        AbsHalf2 => x & 0x7fff_7fff,
        Popc => x.count_ones(),
        Clz => x.leading_zeros(),
        Brev => x.reverse_bits(),
        RnaTf32 => if x & 0x7f80_0000 == 0x7f80_0000 { tf32_special(x) } else { x.wrapping_add(0x1000) & !0x1fff },
        F32FromS32 => (x as i32 as f32).to_bits(),
        F32FromU32 => (x as f32).to_bits(),
        TruncateS32 => f32::from_bits(x) as i32 as u32,
        TruncateU32 => f32::from_bits(x) as u32,
        F32FromBf16 => x << 16,
    }
}

/// Infinity stays, a NaN is the canonical one.
#[inline(always)]
fn tf32_special(x: u32) -> u32 {
    if x & 0x007f_ffff == 0 { x } else { 0x7fff_ffff }
}

#[inline(always)]
fn f(x: u32) -> f32 {
    f32::from_bits(x)
}

/// The minimum of two f32; a number wins over a NaN, -0 is below +0.
#[inline(always)]
pub(crate) fn min_f32(x: f32, y: f32) -> f32 {
    match (x.is_nan(), y.is_nan()) {
        (true, true) => f32::from_bits(0x7fff_ffff),
        (true, false) => y,
        (false, true) => x,
        (false, false) if x == y => f32::from_bits(x.to_bits() | y.to_bits()),
        (false, false) => {
            if x < y {
                x
            } else {
                y
            }
        }
    }
}

/// The maximum of two f32; a number wins over a NaN, -0 is below +0.
#[inline(always)]
pub(crate) fn max_f32(x: f32, y: f32) -> f32 {
    match (x.is_nan(), y.is_nan()) {
        (true, true) => f32::from_bits(0x7fff_ffff),
        (true, false) => y,
        (false, true) => x,
        (false, false) if x == y => f32::from_bits(x.to_bits() & y.to_bits()),
        (false, false) => {
            if x > y {
                x
            } else {
                y
            }
        }
    }
}

lane_ops! {
    /// From two 32-bit operands.
    Binary, 3: narrow <- (x: narrow 1, y: narrow 2) {
        Add => x.wrapping_add(y),
        Sub => x.wrapping_sub(y),
        AddSat => (x as i32).saturating_add(y as i32) as u32,
        SubSat => (x as i32).saturating_sub(y as i32) as u32,
        MulLo => x.wrapping_mul(y),
        MulHiU => ((u64::from(x) * u64::from(y)) >> 32) as u32,
        MulHiS => ((i64::from(x as i32) * i64::from(y as i32)) >> 32) as u32,
        MulWideU16 => (x & 0xffff).wrapping_mul(y & 0xffff),
        MulWideS16 => (x as i16 as i32).wrapping_mul(y as i16 as i32) as u32,
        DivU => x.checked_div(y).unwrap_or(!0),
        DivS => if y == 0 { !0 } else { (x as i32).wrapping_div(y as i32) as u32 },
        RemU => x.checked_rem(y).unwrap_or(x),
        RemS => if y == 0 { x } else { (x as i32).wrapping_rem(y as i32) as u32 },
        MinU => x.min(y),
        MaxU => x.max(y),
        MinS => (x as i32).min(y as i32) as u32,
        MaxS => (x as i32).max(y as i32) as u32,
        And => x & y,
        Or => x | y,
        Xor => x ^ y,
        Shl => if y > 31 { 0 } else { x << y },
        ShrU => if y > 31 { 0 } else { x >> y },
        ShrS => ((x as i32) >> y.min(31)) as u32,
        Add16 => x.wrapping_add(y) & 0xffff,
        Sub16 => x.wrapping_sub(y) & 0xffff,
        MulLo16 => x.wrapping_mul(y) & 0xffff,
        DivU16 => x.checked_div(y).unwrap_or(0xffff),
        MinS16 => (x as i16).min(y as i16) as u16 as u32,
        MaxS16 => (x as i16).max(y as i16) as u16 as u32,
        Shl16 => if y > 15 { 0 } else { (x << y) & 0xffff },
        ShrU16 => if y > 15 { 0 } else { (x & 0xffff) >> y },
        ShrS16 => ((x as i16) >> y.min(15)) as u16 as u32,
        Pack16 => (x & 0xffff) | y << 16,
        AddF32 => (f(x) + f(y)).to_bits(),
        SubF32 => (f(x) - f(y)).to_bits(),
        MulF32 => (f(x) * f(y)).to_bits(),
        MinF32 => min_f32(f(x), f(y)).to_bits(),
        MaxF32 => max_f32(f(x), f(y)).to_bits(),
        CopySign => (x & 0x8000_0000) | (y & 0x7fff_ffff),
    }
}

lane_ops! {
    /// From three 32-bit operands.
    Ternary, 4: narrow <- (x: narrow 1, y: narrow 2, z: narrow 3) {
        MadLo => x.wrapping_mul(y).wrapping_add(z),
        MadLo16 => x.wrapping_mul(y).wrapping_add(z) & 0xffff,
        MadHiU => (((u64::from(x) * u64::from(y)) >> 32) as u32).wrapping_add(z),
        MadHiS => (((i64::from(x as i32) * i64::from(y as i32)) >> 32) as u32).wrapping_add(z),
        MadWideU16 => (x & 0xffff).wrapping_mul(y & 0xffff).wrapping_add(z),
        MadWideS16 => ((x as i16 as i32).wrapping_mul(y as i16 as i32) as u32).wrapping_add(z),
        BfeU => extract(x, y, z, false),
        BfeS => extract(x, y, z, true),
        FunnelLeft => ((u64::from(y) << 32 | u64::from(x)) << (z & 31) >> 32) as u32,
        FunnelRight => ((u64::from(y) << 32 | u64::from(x)) >> (z & 31)) as u32,
        FunnelLeftClamp => ((u64::from(y) << 32 | u64::from(x)) << z.min(32) >> 32) as u32,
        FunnelRightClamp => ((u64::from(y) << 32 | u64::from(x)) >> z.min(32)) as u32,
        Permute => permute(x, y, z),
    }
}

/// Bits `at` to `at + len` of `x`; a signed field is extended with its top bit, or with that of `x` where it reaches past.
#[inline(always)]
fn extract(x: u32, at: u32, len: u32, signed: bool) -> u32 {
    let (at, len) = (at & 0xff, len & 0xff);
    if len == 0 {
        return 0;
    }
    let sign = if signed { x >> (at + len - 1).min(31) & 1 } else { 0 };
    let fill = if sign == 1 { !0 } else { 0 };
    let field = if at > 31 { fill } else { x >> at };
    let past = if at > 0 && at <= 31 { fill << (32 - at) } else { 0 };
    let low = if len > 31 { !0 } else { (1 << len) - 1 };
    if at > 31 { fill } else { ((field | past) & low) | (fill & !low) }
}

/// The bytes of `y:x` that the digits of `selector` name; a digit's top bit takes the byte's sign instead.
#[inline(always)]
fn permute(x: u32, y: u32, selector: u32) -> u32 {
    let bytes = u64::from(y) << 32 | u64::from(x);
    (0..4).fold(0, |result, i| {
        let digit = selector >> (4 * i);
        let byte = (bytes >> (8 * (digit & 7))) as u8;
        let byte = if digit & 8 == 0 { byte } else { ((byte as i8) >> 7) as u8 };
        result | u32::from(byte) << (8 * i)
    })
}

/// Inserts the low `len` bits of `a` into `b` at bit `at`: `bfi`.
#[inline(always)]
fn insert(a: u32, b: u32, at: u32, len: u32) -> u32 {
    let (at, len) = (at & 0xff, len & 0xff);
    if at > 31 || len == 0 {
        return b;
    }
    let field = (if len > 31 { !0 } else { (1u32 << len) - 1 }) << at;
    (b & !field) | ((a << at) & field)
}

lane_ops! {
    /// From one 64-bit operand.
    Unary64, 2: wide <- (x: wide 1) {
        Mov => x,
        Not => !x,
        Neg => x.wrapping_neg(),
        Abs => (x as i64).wrapping_abs() as u64,
        Brev => x.reverse_bits(),
    }
}

lane_ops! {
    /// From two 64-bit operands.
    Binary64, 3: wide <- (x: wide 1, y: wide 2) {
        Add => x.wrapping_add(y),
        Sub => x.wrapping_sub(y),
        MulLo => x.wrapping_mul(y),
        MulHiU => ((u128::from(x) * u128::from(y)) >> 64) as u64,
        MulHiS => ((i128::from(x as i64) * i128::from(y as i64)) >> 64) as u64,
        DivU => x.checked_div(y).unwrap_or(!0),
        DivS => if y == 0 { !0 } else { (x as i64).wrapping_div(y as i64) as u64 },
        RemU => x.checked_rem(y).unwrap_or(x),
        RemS => if y == 0 { x } else { (x as i64).wrapping_rem(y as i64) as u64 },
        MinU => x.min(y),
        MaxU => x.max(y),
        MinS => (x as i64).min(y as i64) as u64,
        MaxS => (x as i64).max(y as i64) as u64,
        And => x & y,
        Or => x | y,
        Xor => x ^ y,
    }
}

lane_ops! {
    /// From a 64-bit operand and a 32-bit distance.
    Shift64, 3: wide <- (x: wide 1, y: narrow 2) {
        Shl => if y > 63 { 0 } else { x << y },
        ShrU => if y > 63 { 0 } else { x >> y },
        ShrS => ((x as i64) >> y.min(63)) as u64,
    }
}

lane_ops! {
    /// From three 64-bit operands.
    Ternary64, 4: wide <- (x: wide 1, y: wide 2, z: wide 3) {
        MadLo => x.wrapping_mul(y).wrapping_add(z),
    }
}

lane_ops! {
    /// 64 bits from one 32-bit operand.
    Widen, 2: wide <- (x: narrow 1) {
        Zero => u64::from(x),
        Sign => x as i32 as u64,
    }
}

lane_ops! {
    /// 64 bits from two 32-bit operands.
    Widen2, 3: wide <- (x: narrow 1, y: narrow 2) {
        MulU => u64::from(x) * u64::from(y),
        MulS => (i64::from(x as i32) * i64::from(y as i32)) as u64,
        Pack => u64::from(x) | u64::from(y) << 32,
    }
}

lane_ops! {
    /// 64 bits from two 32-bit operands and a 64-bit one.
    Widen3, 4: wide <- (x: narrow 1, y: narrow 2, z: wide 3) {
        MadU => (u64::from(x) * u64::from(y)).wrapping_add(z),
        MadS => ((i64::from(x as i32) * i64::from(y as i32)) as u64).wrapping_add(z),
    }
}

lane_ops! {
    /// 32 bits from a 64-bit operand.
    Narrow, 2: narrow <- (x: wide 1) {
        Low => x as u32,
        Popc => x.count_ones(),
        Clz => x.leading_zeros(),
    }
}

/// `fma.rn.f32`: one rounding.
#[inline(always)]
pub(crate) fn fma(registers: &mut Registers, rows: &[u16; 4], mask: u32) {
    let x = registers.narrow[usize::from(rows[1])];
    let y = registers.narrow[usize::from(rows[2])];
    let z = registers.narrow[usize::from(rows[3])];
    set(&mut registers.narrow[usize::from(rows[0])], mask, |lane| f(x[lane]).mul_add(f(y[lane]), f(z[lane])).to_bits());
}

/// `bfi.b32`
#[inline(always)]
pub(crate) fn insert_field(registers: &mut Registers, rows: &[u16; 5], mask: u32) {
    let [a, b, at, len] = [1, 2, 3, 4].map(|at| registers.narrow[usize::from(rows[at])]);
    set(&mut registers.narrow[usize::from(rows[0])], mask, |lane| insert(a[lane], b[lane], at[lane], len[lane]));
}

/// Any logic of three operands: bit `4 a + 2 b + c` of the table is the result.
#[inline(always)]
pub(crate) fn lut_logic(registers: &mut Registers, table: u8, rows: &[u16; 4], mask: u32) {
    let [x, y, z] = [1, 2, 3].map(|at| registers.narrow[usize::from(rows[at])]);
    set(&mut registers.narrow[usize::from(rows[0])], mask, |lane| {
        (0..8).filter(|entry| table >> entry & 1 == 1).fold(0, |result, entry: u32| {
            let take = |bit: u32, v: u32| if entry & bit == 0 { !v } else { v };
            result | (take(4, x[lane]) & take(2, y[lane]) & take(1, z[lane]))
        })
    });
}

/// `mov.b64 {lo, hi}, a`
#[inline(always)]
pub(crate) fn split64(registers: &mut Registers, rows: &[u16; 3], mask: u32) {
    let value = registers.wide[usize::from(rows[2])];
    set(&mut registers.narrow[usize::from(rows[0])], mask, |lane| value[lane] as u32);
    set(&mut registers.narrow[usize::from(rows[1])], mask, |lane| (value[lane] >> 32) as u32);
}

/// `mov.b32 {lo, hi}, a`
#[inline(always)]
pub(crate) fn split32(registers: &mut Registers, rows: &[u16; 3], mask: u32) {
    let value = registers.narrow[usize::from(rows[2])];
    set(&mut registers.narrow[usize::from(rows[0])], mask, |lane| value[lane] & 0xffff);
    set(&mut registers.narrow[usize::from(rows[1])], mask, |lane| value[lane] >> 16);
}

/// `selp`
#[inline(always)]
pub(crate) fn select<T: Copy>(file: &mut [[T; 32]], rows: &[u16; 3], by: u32, mask: u32) {
    let (a, b) = (file[usize::from(rows[1])], file[usize::from(rows[2])]);
    set(&mut file[usize::from(rows[0])], mask, |lane| if by >> lane & 1 == 1 { a[lane] } else { b[lane] });
}

pub(crate) fn broadcast(row: &mut [u32; 32], mask: u32, value: u32) {
    set(row, mask, |_| value);
}

pub(crate) fn float(registers: &mut Registers, op: FloatOp, rows: &[u16; 4], mask: u32) {
    let [x, y, z] = [1, 2, 3].map(|at| registers.narrow[usize::from(rows[at])]);
    set(&mut registers.narrow[usize::from(rows[0])], mask, |lane| op.apply(x[lane], y[lane], z[lane]));
}

pub(crate) fn convert(registers: &mut Registers, convert: &Convert, rows: &[u16; 2], mask: u32) {
    let [to, from] = rows.map(usize::from);
    let source: [u64; 32] =
        if convert.from_bits == 64 { registers.wide[from] } else { registers.narrow[from].map(u64::from) };
    match convert.to_bits {
        64 => set(&mut registers.wide[to], mask, |lane| convert.apply(source[lane])),
        _ => set(&mut registers.narrow[to], mask, |lane| convert.apply(source[lane]) as u32),
    }
}

/// Two results in one register, that of the first operand above.
pub(crate) fn convert_pair(registers: &mut Registers, convert: &Convert, rows: &[u16; 3], mask: u32) {
    let [hi, lo] = [1, 2].map(|at| registers.narrow[usize::from(rows[at])]);
    set(&mut registers.narrow[usize::from(rows[0])], mask, |lane| {
        let [hi, lo] = [hi[lane], lo[lane]].map(|value| convert.apply(u64::from(value)) as u32);
        hi << 16 | lo
    });
}
