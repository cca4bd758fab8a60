//! What a step has to do: its arithmetic, its memory traffic, its shape.

use std::collections::HashSet;

use super::{ConvParams, Kernel, Program, Step, View, Weight, slots};

impl Program {
    /// A program of one of the steps, with everything that it touches in a slot of its own.
    #[must_use]
    pub fn only(&self, step: &Step) -> Self {
        let mut only = Self { steps: vec![step.clone()], forward_from: 0, backward_from: 1, ..self.clone() };
        let pinned: Vec<usize> = step.reads().iter().chain(&step.writes()).map(|view| view.buffer.0).collect();
        let lives = slots::lifetimes(self.buffers.len(), &only.steps, &pinned);
        only.slots = slots::assign(&self.buffers, &lives, |per| self.count(per));
        only
    }

    /// Operations of a step: two for each multiply-add of a convolution's real channels; zero for other kernels.
    pub fn flops(&self, step: &Step) -> usize {
        let cells = match &step.kernel {
            Kernel::Conv2dForward(_) | Kernel::DepthwiseForward(_) => step.output,
            Kernel::Conv2dBackward(_) | Kernel::DepthwiseBackward(_) => step.inputs[0],
            _ => return 0,
        };
        let weights = step.weights.first().map_or(0, |weight| weight.source.len());
        let per = self.buffer(step.output).per;
        2 * weights * self.buffer(cells).area() * self.count(per)
    }

    /// Bytes of everything that a step reads and writes, each once, where a float has so many; without zeros between groups that a
    /// kernel takes as one.
    pub fn traffic(&self, step: &Step, float: usize) -> usize {
        let of_view = |view: &View| {
            let buffer = self.buffer(*view);
            let items = self.count(buffer.per);
            items * buffer.item_len() * view.channels / buffer.channels * slots::unit_bytes(buffer.element, float)
        };
        let views: HashSet<View> = step.reads().into_iter().chain(step.writes()).collect();
        let views: usize = views.iter().map(of_view).sum();
        let of_weight =
            |weight: &Weight| weight.physical() * slots::unit_bytes(self.weight_element(step, weight), float);
        views + step.constants().map(of_weight).sum::<usize>()
    }

    /// `56x56x64 to 28x28x128, 3x3/2`: height, width and physical channels, then the window.
    pub fn shape(&self, step: &Step) -> String {
        let of_view = |view: View| {
            let buffer = self.buffer(view);
            format!("{}x{}x{}", buffer.height, buffer.width, view.channels)
        };
        let input = step.inputs.first().map(|view| of_view(*view) + " to ").unwrap_or_default();
        format!("{input}{}{}", of_view(step.output), window(&step.kernel))
    }
}

fn window(kernel: &Kernel) -> String {
    let text = |[h, w]: [usize; 2], [down, across]: [usize; 2]| {
        let stride = match (down, across) {
            (1, 1) => String::new(),
            _ if down == across => format!("/{down}"),
            _ => format!("/{down}x{across}"),
        };
        format!(", {h}x{w}{stride}")
    };
    let conv = |p: &ConvParams| {
        let dilation =
            if p.dilation == [1, 1] { String::new() } else { format!(" dilation {}x{}", p.dilation[0], p.dilation[1]) };
        let groups = if p.groups == 1 { String::new() } else { format!(" groups {}", p.groups) };
        text(p.kernel, p.stride) + &dilation + &groups
    };
    match kernel {
        Kernel::Conv2dForward(p) | Kernel::Conv2dBackward(p) => conv(p),
        Kernel::DepthwiseForward(p) | Kernel::DepthwiseBackward(p) => text(p.kernel, p.stride),
        Kernel::PoolMaxForward { pool, .. }
        | Kernel::PoolMaxBackward { pool }
        | Kernel::PoolMaxRescale { pool }
        | Kernel::PoolAverageForward { pool, .. }
        | Kernel::PoolAverageBackward { pool } => text(pool.kernel, pool.stride),
        _ => String::new(),
    }
}
