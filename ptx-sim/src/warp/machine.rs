//! What the warps of a launch share.

use super::copy::Copy;
use super::traffic::Patterns;
use super::{Registers, initial_registers};
use crate::fault::FaultKind;
use crate::launch::{Launch, Options};
use crate::memory::Memory;
use crate::program::Kernel;
use crate::report::{LineReport, Report};
use crate::shadow::{Clock, GlobalShadow, Shared};

pub(crate) struct Machine<'a> {
    pub kernel: &'a Kernel,
    pub launch: &'a Launch,
    pub memory: &'a mut Memory,
    pub shadow: GlobalShadow,
    pub shared: Shared,
    pub clock: Clock,
    /// Copies of the block that are in flight.
    pub copies: Vec<Copy>,
    pub checks: bool,
    /// Whether instructions are checked against the warpgroups' products in flight.
    pub watches: bool,
    pub fused: Option<Fused>,
    pub registers: Registers,
    /// For each instruction.
    pub counters: Vec<LineReport>,
    pub patterns: Patterns,
    pub thread_instructions: u64,
    /// Warp instructions that may still run.
    pub budget: u64,
    limit: u64,
}

impl<'a> Machine<'a> {
    pub fn new(
        kernel: &'a Kernel,
        launch: &'a Launch,
        memory: &'a mut Memory,
        options: &Options,
        shared_bytes: usize,
    ) -> Self {
        let watches = options.checks && kernel.multiplies_by_warpgroup();
        Machine {
            kernel,
            launch,
            shadow: GlobalShadow::new(memory.slots()),
            memory,
            shared: Shared::new(shared_bytes, kernel.shared_granule, watches),
            clock: Clock::new(kernel.synchronises()),
            copies: Vec::new(),
            checks: options.checks,
            watches,
            fused: Fused::detect(),
            registers: initial_registers(kernel),
            counters: vec![LineReport::default(); kernel.code.len()],
            patterns: Patterns::new(kernel.code.len()),
            thread_instructions: 0,
            budget: options.max_instructions,
            limit: options.max_instructions,
        }
    }

    pub fn spent(&self) -> FaultKind {
        FaultKind::Budget { limit: self.limit }
    }

    pub fn report(&self) -> Report {
        let mut report = Report { thread_instructions: self.thread_instructions, ..Report::default() };
        let written = self.kernel.written_instructions();
        written.iter().zip(&self.counters).for_each(|(instruction, counter)| report.record(instruction.line, counter));
        report
    }
}

/// Says that the processor has AVX2 and FMA, and the instructions on bits that came with them.
#[derive(Clone, Copy)]
pub(crate) struct Fused(());

impl Fused {
    #[cfg(target_arch = "x86_64")]
    fn detect() -> Option<Self> {
        use std::arch::is_x86_feature_detected;
        let vectors = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
        let bits = is_x86_feature_detected!("popcnt") && is_x86_feature_detected!("lzcnt");
        (vectors && bits && is_x86_feature_detected!("bmi1") && is_x86_feature_detected!("bmi2")).then_some(Fused(()))
    }

    #[cfg(not(target_arch = "x86_64"))]
    fn detect() -> Option<Self> {
        None
    }
}

/// SplitMix64.
pub(crate) fn random(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
