use super::super::draft::Step;
use super::super::{ImportError, layout};
use super::Lower;
use crate::graph::{Op, Rearrange, ValueId};

impl Lower<'_> {
    /// What `steps` make of an image whose last axis is the channels': they see it with channels first, between two transposes.
    /// `steps` gets a value with its dimensions, and gives one that differs from it in the channels at most.
    pub(super) fn over_last_axis(
        &mut self,
        x: ValueId,
        steps: impl FnOnce(&mut Self, ValueId, Vec<usize>) -> Result<ValueId, ImportError>,
    ) -> Result<ValueId, ImportError> {
        let dims = self.batched_dims(x);
        let last = dims.len() - 1;
        let ahead: Vec<usize> = [0, last].into_iter().chain(1..last).collect();
        let back: Vec<usize> = [0].into_iter().chain(2..=last).chain([1]).collect();
        let (turn, inside) = self.turned(&dims, &ahead)?;
        let x = self.emit_extra(turn, vec![x], inside.clone())?;
        let x = steps(self, x, inside)?;
        let (turn, dims) = self.turned(&self.batched_dims(x), &back)?;
        let turned = self.emit(turn, vec![x], dims, 0)?;
        // The last step is the node to whoever reads the graph, and not a transpose that goes away.
        let last = self.draft.nodes.len() - 1;
        self.draft.swap_names(last - 1, last);
        Ok(turned)
    }

    /// A transpose of batched dimensions, and the dimensions of one image after it.
    fn turned(&self, dims: &[usize], perm: &[usize]) -> Result<(Step, Vec<usize>), ImportError> {
        let turned = layout::transpose(dims, perm).ok_or_else(|| self.args.node.shape_error("it does not turn"))?;
        let table = Rearrange { name: "Transpose", table: turned.table.into(), fill: 0.0 };
        Ok((Step::Op(Op::Rearrange(table)), turned.dims.get(1..).unwrap_or(&[]).to_vec()))
    }
}
