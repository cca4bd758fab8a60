use super::super::ImportError;
use super::super::args::Input;
use super::super::array::Array;
use super::Lower;
use super::window::{self, AutoPad, Window};
use crate::graph::{Constant, Conv2d, ConvKind, Op, ValueId};

impl Lower<'_> {
    pub(super) fn conv(&mut self) -> Result<ValueId, ImportError> {
        let x = self.args.data(0)?;
        let [channels, h, w] = self.image(x)?;
        let [out, per_group, kh, kw] = self.kernel_dims()?;
        let groups = self.groups()?;
        if per_group.checked_mul(groups) != Some(channels) || out % groups != 0 {
            let reason = format!("weights [{out}, {per_group}] in {groups} groups, the input has {channels} channels");
            return Err(self.args.node.shape_error(reason));
        }
        let auto = window::auto_pad(&self.args)?;
        let window = window::window(&self.args, Some([kh, kw]))?.with_auto_pad(auto, [h, w]);
        let [oh, ow] = window.count([h, w]).ok_or_else(|| {
            let reach = window.reach();
            self.args.node.shape_error(format!("a kernel of {reach:?} cells does not fit into {h}x{w}"))
        })?;
        let conv = self.conv2d(ConvKind::Conv, window, out, groups)?;
        self.op(Op::Conv2d(conv), x, vec![out, oh, ow])
    }

    /// Output size: `(in - 1) stride + reach + output_padding - pads`.
    pub(super) fn conv_transpose(&mut self) -> Result<ValueId, ImportError> {
        let x = self.args.data(0)?;
        let [channels, h, w] = self.image(x)?;
        let [input, per_group, kh, kw] = self.kernel_dims()?;
        let groups = self.groups()?;
        let out = per_group.saturating_mul(groups);
        if input != channels || input % groups != 0 {
            let reason =
                format!("weights [{input}, {per_group}] in {groups} groups, the input has {channels} channels");
            return Err(self.args.node.shape_error(reason));
        }
        let mut window = window::window(&self.args, Some([kh, kw]))?;
        let [ph, pw] = self.output_padding(&window)?;
        let ([sh, sw], [rh, rw]) = (window.stride, window.reach());
        let full = [(h - 1) * sh + rh + ph, (w - 1) * sw + rw + pw];
        let auto = window::auto_pad(&self.args)?;
        if let Some(target) = self.output_target(auto, [h, w], &window)? {
            let fail = || self.args.node.shape_error(format!("an output of {target:?} is larger than {full:?}"));
            let [fh, fw] = full;
            let [th, tw] = target;
            let totals = [fh.checked_sub(th).ok_or_else(fail)?, fw.checked_sub(tw).ok_or_else(fail)?];
            window.pads = window::split(totals, if auto == AutoPad::SameUpper { auto } else { AutoPad::SameLower });
        }
        let [top, left, bottom, right] = window.pads;
        let [fh, fw] = full;
        let fail = || self.args.node.shape_error("the pads leave nothing of the output");
        let dims =
            vec![out, fh.checked_sub(top + bottom).ok_or_else(fail)?, fw.checked_sub(left + right).ok_or_else(fail)?];
        let conv = self.conv2d(ConvKind::Transposed, window, out, groups)?;
        self.op(Op::Conv2d(conv), x, dims)
    }

    fn output_padding(&self, window: &Window) -> Result<[usize; 2], ImportError> {
        let [sh, sw] = window.stride;
        let [dh, dw] = window.dilation;
        let small = |v: i64, limit: usize| usize::try_from(v).ok().filter(|v| *v < limit);
        match self.args.node.ints("output_padding")? {
            None => Ok([0, 0]),
            Some(&[a, b]) => match (small(a, sh.max(dh)), small(b, sw.max(dw))) {
                (Some(a), Some(b)) => Ok([a, b]),
                _ => Err(self.args.node.error("output_padding must be smaller than the stride or the dilation")),
            },
            Some(_) => Err(self.args.node.error("output_padding must have 2 entries")),
        }
    }

    /// The output size that `output_shape` or `auto_pad` asks for.
    fn output_target(
        &self,
        auto: AutoPad,
        [h, w]: [usize; 2],
        window: &Window,
    ) -> Result<Option<[usize; 2]>, ImportError> {
        let [sh, sw] = window.stride;
        if let Some(shape) = self.args.node.ints("output_shape")? {
            let sizes = match shape {
                [.., h, w] => usize::try_from(*h).ok().zip(usize::try_from(*w).ok()),
                _ => None,
            };
            let (h, w) = sizes.ok_or_else(|| self.args.node.error(format!("output_shape {shape:?}")))?;
            return Ok(Some([h, w]));
        }
        Ok(matches!(auto, AutoPad::SameUpper | AutoPad::SameLower).then_some([h * sh, w * sw]))
    }

    fn kernel_dims(&self) -> Result<[usize; 4], ImportError> {
        match self.args.input(1) {
            Input::Constant(Array { dims, .. }) => match dims.as_slice() {
                &[a, b, c, d] => Ok([a, b, c, d]),
                _ => {
                    Err(self.args.node.error(format!("weights of dimensions {dims:?}; only 2-d layers are supported")))
                }
            },
            _ => Err(super::super::unsupported_as(
                self.args.node,
                format!("{} with computed weights", self.args.node.op),
            )),
        }
    }

    fn groups(&self) -> Result<usize, ImportError> {
        let groups = self.args.node.int_or("group", 1)?;
        match usize::try_from(groups) {
            Ok(groups) if groups > 0 => Ok(groups),
            _ => Err(self.args.node.error(format!("group is {groups}"))),
        }
    }

    fn conv2d(
        &self,
        kind: ConvKind,
        window: Window,
        out_channels: usize,
        groups: usize,
    ) -> Result<Conv2d, ImportError> {
        let weight = self.args.weights(1)?;
        let bias = self.bias(out_channels)?;
        let Window { kernel, stride, dilation, pads } = window;
        Ok(Conv2d { kind, weight, bias, out_channels, kernel, stride, dilation, pads, groups, space_to_depth: None })
    }

    fn bias(&self, out: usize) -> Result<Option<Constant>, ImportError> {
        if matches!(self.args.input(2), Input::Nothing) {
            return Ok(None);
        }
        let bias = self.args.weights(2)?;
        if bias.len() != out {
            let reason = format!("a bias of {} numbers for {out} output channels", bias.len());
            return Err(self.args.node.shape_error(reason));
        }
        Ok(Some(bias))
    }
}
