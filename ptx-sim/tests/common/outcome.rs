//! Bodies of kernels that fault, or do not.
#![allow(dead_code, reason = "each test uses a part")]

use ptx_sim::{Access, Fault, FaultKind, Memory, Module, Options, Space, run_seeds};

use crate::common::{BODY, alloc_u32, kernel_text, launch};

/// Declarations of one line, `%x` the buffer and `%at` the thread's word in it.
pub const HEAD: &str = ".reg .b64 %x, %at, %y; .reg .b32 %t, %a, %b, %s, %i; .reg .pred %p, %q; \
    .shared .align 16 .b8 tile[4096]; \
    ld.param.u64 %x, [x]; mov.u32 %t, %tid.x; mul.wide.u32 %at, %t, 4; add.u64 %at, %x, %at; \
    mov.u32 %s, tile; mad.lo.u32 %s, %t, 4, %s;\n";

/// Runs a body after [`HEAD`] on one initialised buffer of 256 words; lines count from 1 in the body.
pub fn outcome_of(threads: u32, blocks: u32, body: &str) -> Result<(), Fault> {
    let text = kernel_text(&["x"], &format!("{HEAD}{body}"));
    let module = Module::parse(&text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    let mut memory = Memory::new();
    let x = alloc_u32(&mut memory, &[7; 256]);
    let kernel = module.kernel("k").unwrap();
    let options = Options { max_instructions: 100_000, ..Options::default() };
    let result = run_seeds(kernel, &launch(blocks, threads, &[x]), &mut memory, &options, [0, 1, 2]);
    result.map(|_| ()).map_err(|fault| Fault { line: fault.line.saturating_sub(BODY), ..fault })
}

pub fn fault_of(threads: u32, body: &str) -> Fault {
    outcome_of(threads, 1, body).expect_err(body)
}

#[track_caller]
pub fn good(threads: u32, body: &str) {
    if let Err(fault) = outcome_of(threads, 1, body) {
        panic!("{fault}\n{body}");
    }
}

#[track_caller]
pub fn race(fault: &Fault, line: u32, space: Space, earlier: Access, later: Access) {
    let FaultKind::Race { space: s, earlier: e, later: l, .. } = &fault.kind else { panic!("{fault}") };
    assert_eq!((fault.line, *s, *e, *l), (line, space, earlier, later), "{fault}");
}

/// Each thread reads its neighbour's word; the last reads the first.
pub const NEIGHBOUR: &str = "add.u32 %i, %t, 1; rem.u32 %i, %i, %ntid.x; mov.u32 %b, tile; mad.lo.u32 %b, %i, 4, %b;";
