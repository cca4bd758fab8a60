//! The books of a rule: what leaves the sum of a map on the way back, and where.

use std::collections::BTreeMap;

use super::Planner;
use super::backward::global_pool;
use super::forward::mask;
use super::stabiliser::Stabiliser;
use crate::graph::ValueId;
use crate::program::{Kernel, Layout, Operand, Part, Port, Prologue, Stage, Step, View, Weight};

/// What one composite's audit has counted so far.
pub enum Audit {
    Off,
    /// Sums of rows, by how many rows there are: layers of one height add to the same.
    On(BTreeMap<usize, View>),
}

/// Channels of a total, real and physical.
const SUMS: usize = 2;
const LANES: usize = 4;

impl Planner<'_> {
    pub fn audits(&self) -> bool {
        matches!(self.audit, Audit::On(_))
    }

    /// Counts what a share `s = R / (z + eps sgn0(z))` of `R` leaves to the bias and to eps, `factor` times; `z` is `None`
    /// where the share is zero wherever z is negative.
    pub fn audit_epsilon(
        &mut self,
        label: &str,
        share: View,
        z: Option<Operand>,
        by: Stabiliser,
        bias: Option<Weight>,
        factor: f64,
    ) {
        let kernel = Kernel::AuditEpsilon { eps: by.eps, signs: z.is_some() };
        let stages = if factor == 1.0 { Vec::new() } else { vec![Stage::Multiply { factor }] };
        let share = Operand::from(share);
        let operands = [share.clone(), z.unwrap_or(share)].into_iter().chain(by.rms).collect();
        self.audit_rows(label, kernel, operands, bias.into_iter().collect(), stages);
    }

    /// Counts the elements of `x` that equal their reference.
    pub fn audit_rescale(&mut self, label: &str, x: ValueId) {
        let (Audit::On(_), Some(reference)) = (&self.audit, &self.reference) else { return };
        let inputs = vec![self.recall(&self.image, x), self.recall(reference, x)];
        let weights = vec![mask(&self.layouts[x.0])];
        self.audit_rows(label, Kernel::AuditRescale, inputs, weights, Vec::new());
    }

    /// Row by row, and what the rows of this height held before.
    fn audit_rows(
        &mut self,
        label: &str,
        kernel: Kernel,
        operands: Vec<Operand>,
        weights: Vec<Weight>,
        mut stages: Vec<Stage>,
    ) {
        let inputs: Vec<View> = operands.iter().map(|operand| operand.view).collect();
        let height = self.buffers[inputs[0].buffer.0].height;
        let rows = self.sums("audit.rows", height, LANES);
        let Audit::On(counted) = &mut self.audit else { return };
        let before = counted.insert(height, rows);
        stages.extend(before.map(|view| Stage::Add { operand: view.into(), negative: false }));
        let scale_shift = operands.into_iter().find_map(|operand| operand.scale_shift);
        let prologue = scale_shift.map(|image| Prologue { scale_shift: Some(image), activation: None });
        self.append(Step { label: label.to_owned(), kernel, inputs, weights, output: rows, prologue, stages });
    }

    /// Ends the audit: the total of all rows, or `None` where nothing was audited.
    pub fn close_audit(&mut self) -> Option<Port> {
        let Audit::On(counted) = std::mem::replace(&mut self.audit, Audit::Off) else { return None };
        let mut total: Option<View> = None;
        for (height, rows) in counted {
            let sums = self.sums("audit", 1, LANES);
            let stages = total.map(|view| Stage::Add { operand: view.into(), negative: false });
            let kernel = Kernel::PoolAverageForward { pool: global_pool(height, 1), sum: true };
            self.emit("audit", kernel, vec![rows], Vec::new(), sums, stages.into_iter().collect());
            total = Some(sums);
        }
        total.map(|view| Port { view, layout: Layout::dense(SUMS), height: 1, width: 1 })
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
