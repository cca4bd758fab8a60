//! Instructions of a warp and of memory against small independent models: tables of texts, random operands, lanes and
//! addresses.

mod atomic;
mod barrier;
#[path = "../common/mod.rs"]
mod common;
mod copy;
mod exchange;
mod form;
mod local;
mod matrix;
mod memory;
mod race;
mod special;

use std::fmt::Display;

use common::{alloc_u32, kernel_text, launch, read_u32, run_text};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{RngSeed, TestRunner};
use ptx_sim::{Access, Fault, FaultKind, Memory, Module, Options};

/// What a destination holds that nothing has written.
const KEPT: u32 = 0xdead_beef;

/// Tries each row of a table with values that are random, but the same in each run; all rows that fail are reported.
fn check<R, S: Strategy>(rows: &[R], cases: u32, values: S, test: impl Fn(&R, S::Value) -> Result<(), TestCaseError>) {
    let rng_seed = RngSeed::Fixed(0);
    let config = ProptestConfig { cases, rng_seed, failure_persistence: None, ..ProptestConfig::default() };
    // A runner counts its cases over all its runs.
    let run = |row: &R| TestRunner::new(config.clone()).run(&values, |value| test(row, value)).err();
    let failures: Vec<String> = rows.iter().filter_map(run).map(|error| error.to_string()).collect();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// Runs a body; gives the words of y after it. `%x` and `%y` are where a thread's share of the words of x and of y starts,
/// `%x0` and `%y0` where the first does, and `%s` is shared memory.
fn outcome(threads: usize, body: &str, x: &[u32], y: &[u32]) -> Result<Vec<u32>, Fault> {
    let [x_share, y_share] = [x, y].map(|words| words.len() / threads * 4);
    let body = format!(
        ".reg .b64 %x, %y, %x0, %y0, %at, %qa, %qb, %qd; .reg .b32 %t, %lane, %s, %wa, %wb, %wc, %wd, %m, %k, %r<16>;\n\
         .reg .b16 %ha, %hb, %hd; .reg .pred %p, %q, %part, %late; .shared .align 16 .b8 tile[8192];\n\
         ld.param.u64 %x0, [x]; ld.param.u64 %y0, [y]; mov.u32 %s, tile; mov.u32 %t, %tid.x; mov.u32 %lane, %laneid;\n\
         mad.wide.u32 %x, %t, {x_share}, %x0; mad.wide.u32 %y, %t, {y_share}, %y0;\n{body}\nret;"
    );
    let mut memory = Memory::new();
    let buffers = [alloc_u32(&mut memory, x), alloc_u32(&mut memory, y)];
    let launch = launch(1, threads as u32, &buffers);
    run_text(&kernel_text(&["x", "y"], &body), &launch, &mut memory, &Options::default())?;
    Ok(read_u32(&memory, buffers[1], y.len()))
}

fn results(threads: usize, body: &str, x: &[u32], y: &[u32]) -> Result<Vec<u32>, TestCaseError> {
    outcome(threads, body, x, y).map_err(|fault| TestCaseError::fail(format!("{fault}\n{body}")))
}

/// Sets a predicate in the lanes of a mask: a register or a constant.
fn predicate(name: &str, lanes: impl Display) -> String {
    format!("shr.u32 %k, {lanes}, %lane; and.b32 %k, %k, 1; setp.ne.u32 {name}, %k, 0;\n")
}

fn is_in(lanes: u32, lane: usize) -> bool {
    lanes >> lane & 1 == 1
}

/// The lanes for which something holds.
fn lanes_where(holds: impl Fn(usize) -> bool) -> u32 {
    (0..32).filter(|lane| holds(*lane)).fold(0, |lanes, lane| lanes | 1 << lane)
}

/// A word for each lane: any, or of only one to three different ones.
fn words() -> impl Strategy<Value = Vec<u32>> {
    let few = (vec(any::<u32>(), 3), vec(0usize..3, 32), 1usize..4);
    prop_oneof![
        vec(any::<u32>(), 32),
        few.prop_map(|(values, picks, count)| picks.iter().map(|pick| values[pick % count]).collect()),
    ]
}

/// All lanes, some, most, or whole eights of them.
fn some_lanes() -> impl Strategy<Value = u32> {
    let most = (any::<u32>(), any::<u32>()).prop_map(|(some, others)| some | others);
    let eights = (1u32..16).prop_map(|eights| lanes_where(|lane| is_in(eights, lane / 8)));
    prop_oneof![Just(!0), any::<u32>(), most, eights]
}
