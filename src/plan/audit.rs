//! The books of a rule: what leaves the sum of a map on the way back, and where.

use super::Planner;
use super::backward::global_pool;
use super::forward::mask;
use super::stabiliser::Stabiliser;
use crate::graph::ValueId;
use crate::program::{Kernel, Layout, Operand, Part, Port, Prologue, Stage, Step, View, Weight};

/// The running total of one composite's audit.
pub enum Audit {
    Off,
    On(Option<View>),
}

impl Audit {
    /// Where the total lies; `None` where nothing was audited.
    pub fn port(self) -> Option<Port> {
        match self {
            Self::On(Some(view)) => Some(Port { view, layout: Layout::dense(SUMS), height: 1, width: 1 }),
            _ => None,
        }
    }
}

/// Channels of a total, real and physical.
const SUMS: usize = 2;
const LANES: usize = 4;

impl Planner<'_> {
    pub fn audits(&self) -> bool {
        matches!(self.audit, Audit::On(_))
    }

    /// Counts what a share `s = R / (z + eps sgn0(z))` of `R` leaves to the bias and to eps, `factor` times.
    pub fn audit_epsilon(
        &mut self,
        label: &str,
        share: View,
        z: Operand,
        by: Stabiliser,
        bias: Option<Weight>,
        factor: f64,
    ) {
        let kernel = Kernel::AuditEpsilon { eps: by.eps };
        let stages = if factor == 1.0 { Vec::new() } else { vec![Stage::Multiply { factor }] };
        let operands = [share.into(), z].into_iter().chain(by.rms).collect();
        self.audit_rows(label, kernel, operands, bias.into_iter().collect(), stages);
    }

    /// Counts the elements of `x` that equal their reference.
    pub fn audit_rescale(&mut self, label: &str, x: ValueId) {
        let (Audit::On(_), Some(reference)) = (&self.audit, &self.reference) else { return };
        let inputs = vec![self.recall(&self.image, x), self.recall(reference, x)];
        let weights = vec![mask(&self.layouts[x.0])];
        self.audit_rows(label, Kernel::AuditRescale, inputs, weights, Vec::new());
    }

    /// Row by row, then all rows and what was there before.
    fn audit_rows(
        &mut self,
        label: &str,
        kernel: Kernel,
        operands: Vec<Operand>,
        weights: Vec<Weight>,
        stages: Vec<Stage>,
    ) {
        let Audit::On(before) = self.audit else { return };
        let inputs: Vec<View> = operands.iter().map(|operand| operand.view).collect();
        let height = self.buffers[inputs[0].buffer.0].height;
        let rows = self.sums("audit.rows", height, LANES);
        let scale_shift = operands.into_iter().find_map(|operand| operand.scale_shift);
        let prologue = scale_shift.map(|image| Prologue { scale_shift: Some(image), activation: None });
        self.append(Step { label: label.to_owned(), kernel, inputs, weights, output: rows, prologue, stages });
        let total = self.sums("audit", 1, LANES);
        let stages = before.map(|view| Stage::Add { operand: view.into(), negative: false });
        let kernel = Kernel::PoolAverageForward { pool: global_pool(height, 1), sum: true };
        self.emit(label, kernel, vec![rows], Vec::new(), total, stages.into_iter().collect());
        self.audit = Audit::On(Some(total));
    }

    /// The bias of a node under the epsilon rule.
    pub fn bias_of(&self, i: usize) -> Option<Weight> {
        use crate::graph::Op;
        let node = &self.graph.nodes[i];
        let layout = &self.layouts[node.output.0];
        let bias = match &node.op {
            Op::Conv2d(conv) => conv.bias.as_ref(),
            Op::Affine(affine) => Some(&affine.shift),
            _ => None,
        };
        bias.map(|bias| Weight::channel(bias, Part::All, layout))
    }
}
