//! Special registers.

use super::*;
use ptx_sim::Launch;

struct Thread<'l> {
    launch: &'l Launch,
    block: [u32; 3],
    /// Its number in the block.
    number: u32,
}

impl Thread<'_> {
    fn tid(&self, axis: usize) -> u32 {
        let [x, y, _] = self.launch.block;
        [self.number % x, self.number / x % y, self.number / x / y][axis]
    }

    fn lane(&self) -> u32 {
        self.number % 32
    }
}

type Value = fn(&Thread<'_>) -> u32;

const SPECIALS: &[(&str, Value)] = &[
    ("%tid.x", |thread| thread.tid(0)),
    ("%tid.y", |thread| thread.tid(1)),
    ("%tid.z", |thread| thread.tid(2)),
    ("%ntid.x", |thread| thread.launch.block[0]),
    ("%ntid.y", |thread| thread.launch.block[1]),
    ("%ntid.z", |thread| thread.launch.block[2]),
    ("%ctaid.x", |thread| thread.block[0]),
    ("%ctaid.y", |thread| thread.block[1]),
    ("%ctaid.z", |thread| thread.block[2]),
    ("%nctaid.x", |thread| thread.launch.grid[0]),
    ("%nctaid.y", |thread| thread.launch.grid[1]),
    ("%nctaid.z", |thread| thread.launch.grid[2]),
    ("%laneid", |thread| thread.lane()),
    ("%warpid", |thread| thread.number / 32),
    ("%nwarpid", |thread| thread.launch.block.iter().product::<u32>().div_ceil(32)),
    ("%lanemask_eq", |thread| lanes_where(|lane| lane as u32 == thread.lane())),
    ("%lanemask_lt", |thread| lanes_where(|lane| (lane as u32) < thread.lane())),
    ("%lanemask_le", |thread| lanes_where(|lane| lane as u32 <= thread.lane())),
    ("%lanemask_gt", |thread| lanes_where(|lane| lane as u32 > thread.lane())),
    ("%lanemask_ge", |thread| lanes_where(|lane| lane as u32 >= thread.lane())),
    ("%dynamic_smem_size", |thread| thread.launch.shared_bytes),
    // Nothing takes time here, and there is one multiprocessor.
    ("%smid", |_| 0),
    ("%clock", |_| 0),
    ("%clock_hi", |_| 0),
    ("%clock64", |_| 0),
    ("%globaltimer", |_| 0),
];

#[test]
fn special_registers() {
    let shape = |most: u32| (1..=most, 1..=most, 1..=most).prop_map(|(x, y, z)| [x, y, z]);
    let values = (shape(3), shape(8), 0u32..100);
    check(SPECIALS, 12, values, |(name, model), (grid, block, shared_bytes)| {
        let threads: u32 = block.iter().product();
        let blocks: u32 = grid.iter().product();
        let (ty, file) = if name.contains("64") || name.contains("global") { ("u64", "%q") } else { ("u32", "%w") };
        // The thread's number in the launch, from its places.
        let body = format!(
            ".reg .b64 %x, %q; .reg .b32 %w, %k, %n; ld.param.u64 %x, [x];\n\
             mov.u32 %n, %ctaid.z; mov.u32 %k, %nctaid.y; mul.lo.u32 %n, %n, %k; mov.u32 %k, %ctaid.y; add.u32 %n, %n, %k;\n\
             mov.u32 %k, %nctaid.x; mul.lo.u32 %n, %n, %k; mov.u32 %k, %ctaid.x; add.u32 %n, %n, %k;\n\
             mov.u32 %k, %ntid.z; mul.lo.u32 %n, %n, %k; mov.u32 %k, %tid.z; add.u32 %n, %n, %k;\n\
             mov.u32 %k, %ntid.y; mul.lo.u32 %n, %n, %k; mov.u32 %k, %tid.y; add.u32 %n, %n, %k;\n\
             mov.u32 %k, %ntid.x; mul.lo.u32 %n, %n, %k; mov.u32 %k, %tid.x; add.u32 %n, %n, %k;\n\
             mad.wide.u32 %x, %n, 8, %x; cvt.u64.u32 %q, %n; mov.{ty} {file}, {name};\n{}\nst.global.u64 [%x], %q; ret;",
            if ty == "u32" { "cvt.u64.u32 %q, %w;" } else { "" }
        );
        let mut memory = Memory::new();
        let x = memory.alloc(8 * (blocks * threads) as usize);
        let launch = Launch { grid, block, shared_bytes, params: x.to_le_bytes().to_vec() };
        run_text(&kernel_text(&["x"], &body), &launch, &mut memory, &Options::default())
            .map_err(|fault| TestCaseError::fail(format!("{fault}\n{body}")))?;
        let got = memory.read(x, 8 * (blocks * threads) as usize).unwrap();
        for (at, got) in (0..).zip(got.chunks(8)) {
            let place = at / threads;
            let of_grid = [place % grid[0], place / grid[0] % grid[1], place / grid[0] / grid[1]];
            let thread = Thread { launch: &launch, block: of_grid, number: at % threads };
            prop_assert_eq!(got, u64::from(model(&thread)).to_le_bytes(), "{} of {}", name, at);
        }
        Ok(())
    });
}
