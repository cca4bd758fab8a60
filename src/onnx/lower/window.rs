//! Windows of convolutions and pools: sizes are checked here, so that later arithmetic cannot overflow.

use super::super::ImportError;
use super::super::args::Args;

/// Larger kernels, strides, dilations and pads are refused.
const MAX: usize = u16::MAX as usize;

#[derive(Clone, Copy, Debug)]
pub(super) struct Window {
    pub kernel: [usize; 2],
    pub stride: [usize; 2],
    pub dilation: [usize; 2],
    /// Top, left, bottom, right.
    pub pads: [usize; 4],
}

/// How a padding is found that the file does not spell out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AutoPad {
    Explicit,
    SameUpper,
    SameLower,
    Valid,
}

/// Four pads, none negative and none huge.
pub(super) fn unsigned(pads: [i64; 4]) -> Option<[usize; 4]> {
    let pad = |i: i64| usize::try_from(i).ok().filter(|&pad| pad <= MAX);
    let [top, left, bottom, right] = pads;
    Some([pad(top)?, pad(left)?, pad(bottom)?, pad(right)?])
}

pub(super) fn auto_pad(args: &Args<'_>) -> Result<AutoPad, ImportError> {
    Ok(match args.node.text("auto_pad")? {
        None | Some("NOTSET" | "") => AutoPad::Explicit,
        Some("SAME_UPPER") => AutoPad::SameUpper,
        Some("SAME_LOWER") => AutoPad::SameLower,
        Some("VALID") => AutoPad::Valid,
        Some(other) => return Err(args.node.error(format!("auto_pad {other:?} is not known"))),
    })
}

/// Two positive numbers of an attribute; ones where it is missing.
fn pair(args: &Args<'_>, name: &str) -> Result<Option<[usize; 2]>, ImportError> {
    let Some(values) = args.node.ints(name)? else { return Ok(None) };
    let number = |v: &i64| usize::try_from(*v).ok().filter(|v| (1..=MAX).contains(v));
    match values {
        [a, b] => match (number(a), number(b)) {
            (Some(a), Some(b)) => Ok(Some([a, b])),
            _ => Err(args.node.error(format!("{name} {values:?} must lie between 1 and {MAX}"))),
        },
        _ => Err(args.node.error(format!("{name} has {} entries; only 2-d layers are supported", values.len()))),
    }
}

/// The window of a node; `kernel` is that of the weights, which the attribute must agree with.
pub(super) fn window(args: &Args<'_>, weights: Option<[usize; 2]>) -> Result<Window, ImportError> {
    let stated = pair(args, "kernel_shape")?;
    let kernel = match (weights, stated) {
        (Some(weights), Some(stated)) if weights != stated => {
            let reason = format!("kernel_shape {stated:?}, but the weights are {weights:?}");
            return Err(args.node.shape_error(reason));
        }
        (Some(kernel), _) | (None, Some(kernel)) => kernel,
        (None, None) => return Err(args.node.error("attribute \"kernel_shape\" is missing")),
    };
    if kernel.iter().any(|size| !(1..=MAX).contains(size)) {
        return Err(args.node.shape_error(format!("a kernel of {kernel:?} cells")));
    }
    let stride = pair(args, "strides")?.unwrap_or([1, 1]);
    let dilation = pair(args, "dilations")?.unwrap_or([1, 1]);
    let pads = match args.node.ints("pads")? {
        None => [0; 4],
        Some(&[top, left, bottom, right]) => unsigned([top, left, bottom, right]).ok_or_else(|| {
            let reason = format!("pads {:?} must lie between 0 and {MAX}", [top, left, bottom, right]);
            args.node.error(reason)
        })?,
        Some(other) => return Err(args.node.error(format!("pads has {} entries, 4 are expected", other.len()))),
    };
    Ok(Window { kernel, stride, dilation, pads })
}

impl Window {
    /// Cells from the first to the last tap.
    pub fn reach(&self) -> [usize; 2] {
        let [kh, kw] = self.kernel;
        let [dh, dw] = self.dilation;
        [(kh - 1) * dh + 1, (kw - 1) * dw + 1]
    }

    /// Replaces the pads as `auto_pad` asks: `SAME` gives `ceil(size / stride)` windows.
    pub fn with_auto_pad(mut self, auto: AutoPad, size: [usize; 2]) -> Self {
        if auto == AutoPad::Explicit {
            return self;
        }
        let total = |axis_size: usize, stride: usize, reach: usize| {
            ((axis_size.div_ceil(stride) - 1) * stride + reach).saturating_sub(axis_size)
        };
        let ([h, w], [sh, sw], [rh, rw]) = (size, self.stride, self.reach());
        let totals = if auto == AutoPad::Valid { [0, 0] } else { [total(h, sh, rh), total(w, sw, rw)] };
        self.pads = split(totals, auto);
        self
    }

    /// Windows of a convolution; `None` where not even one fits.
    pub fn count(&self, [h, w]: [usize; 2]) -> Option<[usize; 2]> {
        let ([top, left, bottom, right], [sh, sw], [rh, rw]) = (self.pads, self.stride, self.reach());
        Some([(h + top + bottom).checked_sub(rh)? / sh + 1, (w + left + right).checked_sub(rw)? / sw + 1])
    }
}

/// Halves both totals; an odd cell goes to the end, or to the start for `SAME_LOWER`.
pub(super) fn split([vertical, horizontal]: [usize; 2], auto: AutoPad) -> [usize; 4] {
    let halves = |total: usize| {
        let (small, large) = (total / 2, total.div_ceil(2));
        if auto == AutoPad::SameLower { (large, small) } else { (small, large) }
    };
    let ((top, bottom), (left, right)) = (halves(vertical), halves(horizontal));
    [top, left, bottom, right]
}
