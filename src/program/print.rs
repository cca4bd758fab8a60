//! A program as a disassembly: one line a step.

use std::fmt::{self, Display, Formatter};

use super::{
    Arrangement, BufferId, ConvParams, Kernel, Numerator, Operand, Program, Prologue, Stage, Step, View, Weight,
};

impl Display for BufferId {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "%{}", self.0)
    }
}

impl Program {
    fn show_view(&self, view: View) -> String {
        let whole = self.buffer(view).channels;
        if view.channels == whole {
            view.buffer.to_string()
        } else {
            format!("{}[{}..{}]", view.buffer, view.offset, view.offset + view.channels)
        }
    }

    fn show_operand(&self, operand: &Operand) -> String {
        let mark = match (operand.one_pixel, operand.one_channel) {
            (false, false) => "",
            (true, _) => " every pixel",
            (false, true) => " every channel",
        };
        let view = self.show_view(operand.view);
        if operand.scale_shift.is_some() { format!("affine({view})") } else { format!("{view}{mark}") }
    }

    fn show_input(&self, step: &Step, i: usize) -> String {
        let mut text = self.show_view(step.inputs[i]);
        let Some(Prologue { scale_shift, activation }) = step.prologue_of(i) else { return text };
        if scale_shift.is_some() {
            text = format!("affine({text})");
        }
        if let Some(activation) = activation {
            text = format!("{}({text})", activation.name().to_lowercase());
        }
        text
    }

    fn show_stage(&self, stage: &Stage) -> String {
        let one = |name: &str, operand: &Operand| format!("{name} {}", self.show_operand(operand));
        let two =
            |name: &str, a: &Operand, b: &Operand| format!("{name} {}, {}", self.show_operand(a), self.show_operand(b));
        match stage {
            Stage::Add { operand, negative: false } => one("add", operand),
            Stage::Add { operand, negative: true } => one("subtract", operand),
            Stage::Affine { .. } => "affine".to_owned(),
            Stage::Scale { .. } => "scale".to_owned(),
            Stage::Multiply { factor } => format!("multiply {factor}"),
            Stage::Activate { activation, .. } => activation.name().to_lowercase(),
            Stage::Take { part } => format!("take {part:?}"),
            Stage::Keep { into } => format!("keep {}", self.show_view(*into)),
            Stage::KeepBits { into, .. } => format!("keep-bits {}", self.show_view(*into)),
            Stage::Gate { bits, .. } => one("gate", bits),
            Stage::Positive => "positive".to_owned(),
            Stage::Derivative { z, activation } => one(&format!("derivative {}", activation.name()), z),
            Stage::Times { operand, part } => one(&format!("times {part:?}"), operand),
            Stage::TimesDifference { a, b } => two("times-difference", a, b),
            Stage::TimesMean { a, b } => two("times-mean", a, b),
            Stage::Root => "root".to_owned(),
            Stage::Epsilon { z, numerator, eps, rms, .. } => {
                let over = match numerator {
                    Numerator::One => "1",
                    Numerator::Z => "z",
                    Numerator::Activated(activation) => activation.name(),
                };
                let by = rms.as_ref().map(|rms| format!(", rms {}", self.show_operand(rms))).unwrap_or_default();
                one(&format!("epsilon {over} {eps:e}"), z) + &by
            }
            Stage::Rescale { z, reference, activation, .. } => {
                two(&format!("rescale {}", activation.name()), z, reference)
            }
            Stage::Within { channels, stage } => {
                format!("[{}..{}] {}", channels.first, channels.first + channels.count, self.show_stage(stage))
            }
        }
    }
}

fn show_weight(weight: &Weight) -> String {
    let shape = match &weight.arrangement {
        Arrangement::Conv { kernel: [h, w], input, output, groups, .. } => {
            format!("{h}x{w}x{}x{}", input.physical() / groups, output.physical())
        }
        Arrangement::Depthwise { kernel: [h, w], layout } => format!("{h}x{w}x{}", layout.physical()),
        Arrangement::Channel { layout } => layout.physical().to_string(),
    };
    match weight.part {
        super::Part::All => format!("[{shape}]"),
        part => format!("{part:?}[{shape}]"),
    }
}

fn show_params(kernel: &Kernel) -> String {
    match kernel {
        Kernel::Conv2dForward(p)
        | Kernel::Conv2dBackward(p)
        | Kernel::DepthwiseForward(p)
        | Kernel::DepthwiseBackward(p) => show_conv(p),
        Kernel::PoolMaxForward { pool, .. }
        | Kernel::PoolMaxBackward { pool }
        | Kernel::PoolMaxRescale { pool }
        | Kernel::PoolAverageForward { pool, .. }
        | Kernel::PoolAverageBackward { pool } => {
            let ([kh, kw], [sh, sw]) = (pool.kernel, pool.stride);
            format!(" window {kh}x{kw} stride {sh}x{sw}")
        }
        _ => String::new(),
    }
}

fn show_conv(p: &ConvParams) -> String {
    let mut text = String::new();
    if p.stride != [1, 1] {
        text += &format!(" stride {}x{}", p.stride[0], p.stride[1]);
    }
    if p.dilation != [1, 1] {
        text += &format!(" dilation {}x{}", p.dilation[0], p.dilation[1]);
    }
    if p.pads != [0; 4] {
        text += &format!(" pads {:?}", p.pads);
    }
    if p.groups > 1 {
        text += &format!(" groups {}", p.groups);
    }
    text
}

impl Display for Program {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "; {} images, {} references, {} messages an image; {} buffers in {} slots",
            self.images,
            self.references,
            self.messages_per_image,
            self.buffers.len(),
            self.slots.slots.len()
        )?;
        for (i, step) in self.steps.iter().enumerate() {
            let phase = self.phase_of(i);
            if i == self.part(phase).start {
                writeln!(f, "; {}", phase.name())?;
            }
            let out = self.buffer(step.output);
            let inputs: Vec<String> = (0..step.inputs.len()).map(|i| self.show_input(step, i)).collect();
            let weights: String = step.weights.iter().map(|w| format!(" {}", show_weight(w))).collect();
            let stages: String = step.stages.iter().map(|s| format!(" | {}", self.show_stage(s))).collect();
            writeln!(
                f,
                "{:>4}  {}:{}x{}x{} = {} {}{weights}{}{stages}  ; {}",
                i,
                self.show_view(step.output),
                out.height,
                out.width,
                step.output.channels,
                step.kernel.stem(),
                inputs.join(", "),
                show_params(&step.kernel),
                step.label
            )?;
        }
        Ok(())
    }
}
