use super::super::{ImportError, reduce, unsupported_as};
use super::Lower;
use super::window::{self, Window};
use crate::graph::{Op, Pool, PoolKind, Shape, ValueId};

impl Lower<'_> {
    pub(super) fn pool(&mut self) -> Result<ValueId, ImportError> {
        let node = self.args.node;
        let x = self.args.data(0)?;
        let [c, h, w] = self.image(x)?;
        let window = window::window(&self.args, None)?.with_auto_pad(window::auto_pad(&self.args)?, [h, w]);
        let ([top, left, bottom, right], [rh, rw]) = (window.pads, window.reach());
        if top.max(bottom) >= rh || left.max(right) >= rw {
            return Err(node.shape_error(format!("pads {:?} hold whole windows of {rh}x{rw} cells", window.pads)));
        }
        let kind = if node.op == "MaxPool" {
            PoolKind::Max
        } else {
            PoolKind::Average { include_pad: node.flag("count_include_pad", false)? && window.pads != [0; 4] }
        };
        let Window { kernel, stride, dilation, pads } = window;
        let mut pool = Pool { kind, kernel, stride, dilation, pads, ceil: node.flag("ceil_mode", false)? };
        let shape = Shape::new(c, h, w);
        let down = Pool { ceil: false, ..pool.clone() };
        if pool.ceil && pool.windows(shape) == down.windows(shape) {
            pool = down;
        }
        let [oh, ow] = pool
            .windows(shape)
            .ok_or_else(|| node.shape_error(format!("a window of {rh}x{rw} cells does not fit into {h}x{w}")))?;
        if [oh, ow] == [1, 1] && pool.kernel == [h, w] && pool.pads == [0; 4] {
            pool.stride = [1, 1];
        }
        self.op(Op::Pool(pool), x, vec![c, oh, ow])
    }

    /// A pool whose window is the whole input; `ReduceMean` may drop the two axes.
    pub(super) fn global_pool(&mut self) -> Result<ValueId, ImportError> {
        let node = self.args.node;
        let x = self.args.data(0)?;
        if node.op == "ReduceMean" && self.draft.dims(x).len() != 3 {
            return Err(unsupported_as(node, format!("ReduceMean of {:?}", self.draft.dims(x))));
        }
        let [c, h, w] = self.image(x)?;
        let mut dims = vec![c, 1, 1];
        if node.op == "ReduceMean" {
            let axes = reduce::axes(&self.args, 4)?;
            if axes != [2, 3] {
                return Err(unsupported_as(node, format!("ReduceMean over axes {axes:?}")));
            }
            if !node.flag("keepdims", true)? {
                dims.truncate(1);
            }
        }
        let kind = if node.op == "GlobalMaxPool" { PoolKind::Max } else { PoolKind::Average { include_pad: false } };
        self.op(Op::Pool(Pool::unpadded(kind, [h, w])), x, dims)
    }
}
