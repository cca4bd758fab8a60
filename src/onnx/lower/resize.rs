use super::super::ImportError;
use super::super::args::Input;
use super::super::unsupported_as;
use super::Lower;
use crate::graph::{Op, Resize, ResizeMode, ValueId};

/// One axis: sizes, and output over input as the file states it.
#[derive(Clone, Copy)]
struct Axis {
    input: usize,
    output: usize,
    ratio: f64,
}

impl Lower<'_> {
    pub(super) fn resize(&mut self) -> Result<ValueId, ImportError> {
        let x = self.args.data(0)?;
        let [c, h, w] = self.image(x)?;
        let [vertical, horizontal] = self.resize_axes(c, [h, w])?;
        let node = self.args.node;
        let mode = match node.text("mode")?.unwrap_or("nearest") {
            "nearest" => ResizeMode::Nearest,
            "linear" | "bilinear" => ResizeMode::Bilinear,
            other => return Err(unsupported_as(node, format!("{} with mode {other}", node.op))),
        };
        if node.flag("antialias", false)? {
            return Err(unsupported_as(node, "Resize with antialias".to_owned()));
        }
        let (scale_h, offset_h) = self.line(mode, vertical)?;
        let (scale_w, offset_w) = self.line(mode, horizontal)?;
        let resize = Resize { mode, scale: [scale_h, scale_w], offset: [offset_h, offset_w] };
        self.op(Op::Resize(resize), x, vec![c, vertical.output, horizontal.output])
    }

    /// Ratios and sizes of height and width from the inputs `scales` or `sizes`.
    fn resize_axes(&self, channels: usize, [h, w]: [usize; 2]) -> Result<[Axis; 2], ImportError> {
        let node = self.args.node;
        let old = node.op == "Upsample" || self.args.opset < 11;
        let axes = match node.ints("axes")? {
            Some(axes) => self.args.axes(axes, 4)?,
            None => vec![0, 1, 2, 3],
        };
        let mut axis_of =
            [(1, 1), (channels, channels), (h, h), (w, w)].map(|(input, output)| Axis { input, output, ratio: 1.0 });
        let scales = match self.args.constant(if old { 1 } else { 2 })? {
            Some(array) if array.len() > 0 => Some(array.to_f64()),
            _ => node.floats("scales")?.map(|s| s.iter().map(|&s| f64::from(s)).collect()),
        };
        let sizes = match self.args.input(3) {
            Input::Nothing => None,
            _ => self.args.required(3)?.as_ints(),
        };
        let given = scales.as_ref().map(Vec::len).or(sizes.map(<[i64]>::len));
        if given != Some(axes.len()) {
            return Err(node.error(format!("scales or sizes for {} axes are expected", axes.len())));
        }
        if sizes.is_some() && node.text("keep_aspect_ratio_policy")?.unwrap_or("stretch") != "stretch" {
            return Err(unsupported_as(node, "Resize that keeps the aspect ratio".to_owned()));
        }
        for (i, &axis) in axes.iter().enumerate() {
            let is_batch = axis == 0;
            let Some(axis) = axis_of.get_mut(axis) else { continue };
            let fail = || node.shape_error("a scale or size is out of range");
            if let Some(&ratio) = scales.as_ref().and_then(|scales| scales.get(i)) {
                if !(ratio > 0.0 && ratio < 65536.0) {
                    return Err(fail());
                }
                axis.ratio = ratio;
                // In f32, as the runtimes do: 9 cells by 7/3 are 21 there, and 20.9999 in f64.
                axis.output = (axis.input as f32 * ratio as f32).floor() as usize;
            } else if let Some(&size) = sizes.and_then(|sizes| sizes.get(i)) {
                // The batch keeps its size whatever the file says it is.
                axis.output = if is_batch { 1 } else { usize::try_from(size).map_err(|_| fail())? };
                axis.ratio = axis.output as f64 / axis.input as f64;
            }
        }
        let [batch, channel, vertical, horizontal] = axis_of;
        if batch.output != 1 || channel.output != channel.input {
            return Err(node.shape_error("only height and width are resized"));
        }
        Ok([vertical, horizontal])
    }

    /// Scale and offset of the source coordinate along one axis.
    fn line(&self, mode: ResizeMode, axis: Axis) -> Result<(f64, f64), ImportError> {
        let node = self.args.node;
        let old = node.op == "Upsample" || self.args.opset < 11;
        let default = if old { "asymmetric" } else { "half_pixel" };
        let transform = node.text("coordinate_transformation_mode")?.unwrap_or(default);
        let (input, output, step) = (axis.input as f64, axis.output as f64, 1.0 / axis.ratio);
        let half = (step, 0.5 * step - 0.5);
        let (scale, offset) = match transform {
            "asymmetric" => (step, 0.0),
            "half_pixel" => half,
            "pytorch_half_pixel" if axis.output > 1 => half,
            "align_corners" if axis.output > 1 => ((input - 1.0) / (output - 1.0), 0.0),
            "pytorch_half_pixel" | "align_corners" => (0.0, 0.0),
            "half_pixel_symmetric" => {
                let adjustment = output / (axis.ratio * input);
                (step, 0.5 * input * (1.0 - adjustment) + 0.5 * step - 0.5)
            }
            "tf_half_pixel_for_nn" => (step, 0.5 * step),
            other => return Err(unsupported_as(node, format!("Resize with {other}"))),
        };
        if mode == ResizeMode::Bilinear {
            return Ok((scale, offset));
        }
        // Sources are multiples of 1/(2 out): a quarter of that breaks ties without crossing a cell.
        let nudge = 0.125 / output.max(1.0);
        let nearest = node.text("nearest_mode")?.unwrap_or(if old { "floor" } else { "round_prefer_floor" });
        let rounding = match nearest {
            "floor" => nudge,
            "ceil" => 1.0 - nudge,
            "round_prefer_floor" => 0.5 - nudge,
            "round_prefer_ceil" => 0.5 + nudge,
            other => return Err(unsupported_as(node, format!("Resize with nearest_mode {other}"))),
        };
        Ok((scale, offset + rounding))
    }
}
