//! Kernels for one warpgroup.

use ptx_sim::{Fault, Memory, Module, Options, ParseError, run_seeds};

use crate::common::{BODY, alloc_u32, kernel_text, launch, read_u32};

pub const THREADS: usize = 128;

/// A product: how many columns it has, and where they are in a tile that starts at an address that nothing forbids.
#[derive(Clone, Copy, Debug)]
pub struct Form {
    pub columns: usize,
    /// Bytes of a column in shared memory, of which the product takes 32, from this byte on.
    pub pitch: usize,
    pub from: usize,
    /// Bytes between groups of eight columns beyond their own.
    pub gap: usize,
}

impl Form {
    pub fn stride(self) -> usize {
        8 * self.pitch + self.gap
    }

    /// Words of the tile, a multiple of those that all threads store at once.
    pub fn tile(self) -> usize {
        (self.columns / 8 * self.stride() / 4).next_multiple_of(THREADS)
    }

    /// The word of the tile that holds a value of a column.
    pub fn word(self, column: usize, k: usize) -> usize {
        let at = self.from / 4 + k;
        let (run, runs) = (at / 4, self.pitch / 16);
        let run = run ^ (column % 8 * runs / 8);
        (column / 8 * self.stride() + column % 8 * self.pitch) / 4 + 4 * run + at % 4
    }

    /// The descriptor, but for where the columns start.
    fn layout(self) -> u64 {
        let swizzle: u64 = match self.pitch {
            128 => 1,
            64 => 2,
            _ => 3,
        };
        swizzle << 62 | (self.stride() as u64 >> 4) << 32 | 1 << 16
    }

    /// `%d0` and so on.
    pub fn sums(self) -> String {
        (0..self.columns / 2).map(|i| format!("%d{i}")).collect::<Vec<_>>().join(", ")
    }

    /// The instruction, which adds where a predicate holds.
    pub fn multiply(self, adds: &str) -> String {
        format!(
            "wgmma.mma_async.sync.aligned.m64n{}k8.f32.tf32.tf32 {{{}}}, {{%a0, %a1, %a2, %a3}}, %b, {adds}, 1, 1;",
            self.columns,
            self.sums()
        )
    }

    /// Declarations of one line: `%x` and `%y` are where a thread's first words of the buffers are, `%s` its first word of the
    /// tile, `%b` the descriptor.
    pub fn head(self) -> String {
        format!(
            ".reg .b64 %x, %y, %b, %at; .reg .b32 %t, %s, %v, %u, %a<4>; .reg .f32 %d<{}>; .reg .pred %p, %q; \
             .shared .align 1024 .b8 tile[{}]; \
             ld.param.u64 %x, [x]; ld.param.u64 %y, [y]; mov.u32 %t, %tid.x; mul.wide.u32 %at, %t, 4; \
             add.u64 %x, %x, %at; add.u64 %y, %y, %at; setp.eq.u32 %p, %t, %t; setp.ne.u32 %q, %t, %t; \
             mov.u32 %s, tile; add.u32 %v, %s, {}; shr.u32 %v, %v, 4; cvt.u64.u32 %b, %v; or.b64 %b, %b, {:#x}; \
             mad.lo.u32 %s, %t, 4, %s;\n",
            self.columns / 2,
            4 * self.tile(),
            self.from,
            self.layout(),
        )
    }

    /// A thread loads every 128th word of x: those of the tile, four of a and those of d.
    pub fn load(self) -> String {
        let word = |i: usize| format!("[%x+{}]", 4 * THREADS * i);
        let tile = self.tile() / THREADS;
        let mut body = String::new();
        for i in 0..tile {
            body += &format!("ld.global.u32 %v, {}; st.shared.u32 [%s+{}], %v; ", word(i), 4 * THREADS * i);
        }
        (0..4).for_each(|i| body += &format!("ld.global.u32 %a{i}, {}; ", word(tile + i)));
        (0..self.columns / 2).for_each(|i| body += &format!("ld.global.f32 %d{i}, {}; ", word(tile + 4 + i)));
        body
    }

    /// A thread stores d in every 128th word of y.
    pub fn store(self) -> String {
        let sums = 0..self.columns / 2;
        sums.map(|i| format!("st.global.f32 [%y+{}], %d{i}; ", 4 * THREADS * i)).collect()
    }

    /// Words of x.
    pub fn words(self) -> usize {
        self.tile() + THREADS * (4 + self.columns / 2)
    }
}

/// What comes between what a thread did in shared memory and the product.
pub const READY: &str = "fence.proxy.async; bar.sync 0; wgmma.fence.sync.aligned;";
/// Between what a thread did with registers and the product.
pub const FENCE: &str = "wgmma.fence.sync.aligned;";
/// Until d can be read.
pub const DONE: &str = "wgmma.commit_group.sync.aligned; wgmma.wait_group.sync.aligned 0;";

/// The text of a kernel after the head of a form.
pub fn text(form: Form, body: &str) -> String {
    kernel_text(&["x", "y"], &(form.head() + body + "\nret;")).replace("sm_90", "sm_90a")
}

pub fn parse(form: Form, body: &str) -> Result<Module, ParseError> {
    Module::parse(&text(form, body))
}

/// Runs a body with any schedule; gives what y holds then. Lines of a fault count from 1 in the body.
pub fn outcome(form: Form, threads: usize, body: &str, x: &[u32]) -> Result<Vec<u32>, Fault> {
    let module = parse(form, body).unwrap_or_else(|error| panic!("{error}\n{body}"));
    let mut memory = Memory::new();
    let y = vec![0; 1024.max(threads * form.columns / 2)];
    let buffers = [alloc_u32(&mut memory, x), alloc_u32(&mut memory, &y)];
    let options = Options { max_instructions: 1_000_000, ..Options::default() };
    let kernel = module.kernel("k").expect("the kernel");
    run_seeds(kernel, &launch(1, threads as u32, &buffers), &mut memory, &options, [0, 1, 2])
        .map_err(|fault| Fault { line: fault.line.saturating_sub(BODY), ..fault })?;
    Ok(read_u32(&memory, buffers[1], y.len()))
}
