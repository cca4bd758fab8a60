//! The rules as the papers state them, in f64 on dense matrices: a plain loop computes each linear layer, unit vectors
//! probe its matrix, and messages go back by matrix products. LRP travels as relevance, never as a multiplier.

use fluoroscope::graph::{
    Activation, AffineKind, Conv2d, ConvKind, Graph, Op, Pool, PoolKind, Rearrange, Shape, ValueId,
};
use fluoroscope::graph::{Resize, ResizeMode};

/// `z = sum_k W_k x_k + b` over the inputs of a node; `columns[k][i]` is column i of `W_k`.
struct Linear {
    columns: Vec<Vec<Vec<f64>>>,
    bias: Vec<f64>,
}

impl Linear {
    fn transposed(&self, k: usize, s: &[f64]) -> Vec<f64> {
        self.columns[k].iter().map(|column| dot(column, s)).collect()
    }

    /// `sum_k part(W_k) part(x_k)`
    fn product(&self, xs: &[&[f64]], part: fn(f64) -> f64) -> Vec<f64> {
        let mut z = vec![0.0; self.bias.len()];
        for (columns, x) in self.columns.iter().zip(xs) {
            for (column, x) in columns.iter().zip(*x) {
                z.iter_mut().zip(column).for_each(|(z, w)| *z += part(*w) * part(*x));
            }
        }
        z
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn whole(v: f64) -> f64 {
    v
}

fn positive(v: f64) -> f64 {
    v.max(0.0)
}

fn negative(v: f64) -> f64 {
    v.min(0.0)
}

fn stabilised(z: f64, eps: f64) -> f64 {
    z + if z >= 0.0 { eps } else { -eps }
}

/// Which rule LRP uses at convolutions and dense layers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lrp {
    Epsilon,
    ZPlus,
    /// Flat at the first convolution, z+ at the others, epsilon at dense layers.
    EpsilonPlusFlat,
}

#[derive(Clone, Copy, Debug)]
pub struct LrpOptions {
    pub rule: Lrp,
    pub epsilon: f64,
    pub batch_norm_passes: bool,
}

/// What a gradient-like message does at an activation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backprop {
    Gradient,
    Guided,
    Deconvnet,
}

/// A graph with the matrix of each of its linear nodes.
pub struct Oracle<'a> {
    graph: &'a Graph,
    linear: Vec<Option<Linear>>,
    /// The first convolution with every weight one: where its real taps are.
    flat: Option<(usize, Linear)>,
}

impl<'a> Oracle<'a> {
    pub fn new(graph: &'a Graph) -> Self {
        let linear = (0..graph.nodes.len()).map(|i| probe(graph, i, whole)).collect();
        let is_conv = |op: &Op| matches!(op, Op::Conv2d(conv) if conv.kind != ConvKind::Dense);
        let first = graph.nodes.iter().position(|node| is_conv(&node.op));
        let flat = first.and_then(|i| Some((i, probe(graph, i, |_| 1.0)?)));
        Self { graph, linear, flat }
    }

    /// Every value of the graph.
    pub fn forward(&self, image: &[f64]) -> Vec<Vec<f64>> {
        let graph = self.graph;
        let mut values: Vec<Vec<f64>> = vec![Vec::new(); graph.values.len()];
        values[graph.input.0] = image.to_vec();
        for (i, node) in graph.nodes.iter().enumerate() {
            let xs: Vec<&[f64]> = node.inputs.iter().map(|x| values[x.0].as_slice()).collect();
            let value = match (&node.op, &self.linear[i]) {
                (_, Some(linear)) => {
                    let mut z = linear.product(&xs, whole);
                    z.iter_mut().zip(&linear.bias).for_each(|(z, b)| *z += b);
                    z
                }
                (Op::Activation(f), _) => {
                    let area = graph.shape(node.output).area();
                    xs[0].iter().enumerate().map(|(e, z)| curve(f, e / area, *z).0).collect()
                }
                (Op::Pool(pool), _) => winners(pool, graph.shape(node.inputs[0]), graph.shape(node.output), xs[0])
                    .into_iter()
                    .map(|at| xs[0][at])
                    .collect(),
                (Op::Mul, _) => {
                    let read = |k: usize| spread(xs[k], graph.shape(node.inputs[k]), graph.shape(node.output));
                    read(0).iter().zip(read(1)).map(|(a, b)| a * b).collect()
                }
                (Op::LayerNorm { epsilon }, _) => {
                    let shape = graph.shape(node.output);
                    let (centred, deviation) = moments(xs[0], shape, *epsilon);
                    centred.iter().enumerate().map(|(e, d)| d / deviation[e % shape.area()]).collect()
                }
                (op, None) => panic!("{} is not linear", op.name()),
            };
            values[node.output.0] = value;
        }
        values
    }

    pub fn logits(&self, image: &[f64]) -> Vec<f64> {
        self.forward(image)[self.graph.output.0].clone()
    }

    fn one_hot(&self, class: usize, value: f64) -> Vec<f64> {
        (0..self.graph.shape(self.graph.output).len()).map(|i| if i == class { value } else { 0.0 }).collect()
    }

    /// The messages that arrive at every value.
    fn back(&self, seed: Vec<f64>, mut through: impl FnMut(usize, &[f64]) -> Vec<Vec<f64>>) -> Vec<Vec<f64>> {
        let graph = self.graph;
        let mut messages: Vec<Vec<f64>> = graph.values.iter().map(|v| vec![0.0; v.shape.len()]).collect();
        messages[graph.output.0] = seed;
        for (i, node) in graph.nodes.iter().enumerate().rev() {
            let sent = through(i, &messages[node.output.0]);
            for (input, message) in node.inputs.iter().zip(sent) {
                messages[input.0].iter_mut().zip(message).for_each(|(sum, m)| *sum += m);
            }
        }
        messages
    }

    /// The derivative of a logit by every value, with the factor of `kind` at activations.
    pub fn gradients(&self, image: &[f64], class: usize, kind: Backprop) -> Vec<Vec<f64>> {
        let graph = self.graph;
        let values = self.forward(image);
        self.back(self.one_hot(class, 1.0), |i, m| {
            let node = &graph.nodes[i];
            let (from, to) = (graph.shape(node.inputs[0]), graph.shape(node.output));
            let x = &values[node.inputs[0].0];
            match (&node.op, &self.linear[i]) {
                (_, Some(linear)) => (0..node.inputs.len()).map(|k| linear.transposed(k, m)).collect(),
                (Op::Activation(f), _) => {
                    let rectifies = matches!(f, Activation::Relu | Activation::Clip { .. });
                    let factor = |(e, z): (usize, &f64)| match kind {
                        Backprop::Gradient => m[e] * curve(f, e / to.area(), *z).1,
                        Backprop::Deconvnet if rectifies => positive(m[e]),
                        Backprop::Deconvnet => m[e] * curve(f, e / to.area(), *z).1,
                        Backprop::Guided => positive(m[e]) * curve(f, e / to.area(), *z).1,
                    };
                    vec![x.iter().enumerate().map(factor).collect()]
                }
                (Op::Pool(pool), _) => vec![routed(&winners(pool, from, to, x), m, from.len())],
                (Op::LayerNorm { epsilon }, _) => vec![normalised_back(x, m, from, *epsilon, false)],
                _ => {
                    let other = |k: usize| spread(&values[node.inputs[k].0], graph.shape(node.inputs[k]), to);
                    let part = |k: usize| {
                        let m: Vec<f64> = m.iter().zip(other(1 - k)).map(|(m, v)| m * v).collect();
                        collected(&m, graph.shape(node.inputs[k]), to)
                    };
                    vec![part(0), part(1)]
                }
            }
        })
    }

    /// Relevance at every value, from the logit back.
    pub fn relevance(&self, image: &[f64], class: usize, options: LrpOptions) -> Vec<Vec<f64>> {
        let graph = self.graph;
        let values = self.forward(image);
        let logit = values[graph.output.0][class];
        let eps = options.epsilon;
        self.back(self.one_hot(class, logit), |i, r| {
            let node = &graph.nodes[i];
            let xs: Vec<&[f64]> = node.inputs.iter().map(|x| values[x.0].as_slice()).collect();
            let (from, to) = (graph.shape(node.inputs[0]), graph.shape(node.output));
            let share = |z: &[f64]| -> Vec<f64> { z.iter().zip(r).map(|(z, r)| r / stabilised(*z, eps)).collect() };
            let times = |x: &[f64], v: Vec<f64>| -> Vec<f64> { x.iter().zip(v).map(|(x, v)| x * v).collect() };
            let z_plus = match &node.op {
                Op::Conv2d(conv) => match options.rule {
                    Lrp::Epsilon => false,
                    Lrp::ZPlus => true,
                    Lrp::EpsilonPlusFlat => conv.kind != ConvKind::Dense,
                },
                _ => false,
            };
            match (&node.op, &self.linear[i]) {
                (Op::Affine(affine), _) if affine.kind == AffineKind::Scale => vec![r.to_vec()],
                (Op::Affine(affine), _) if affine.kind == AffineKind::BatchNorm && options.batch_norm_passes => {
                    vec![r.to_vec()]
                }
                (Op::Concat | Op::Rearrange(_), Some(linear)) => {
                    (0..xs.len()).map(|k| linear.transposed(k, r)).collect()
                }
                (Op::Conv2d(_), _) if options.rule == Lrp::EpsilonPlusFlat && self.is_flat(i) => {
                    let (_, ones) = self.flat.as_ref().expect("a first convolution");
                    let taps = ones.product(&[&vec![1.0; from.len()]], whole);
                    vec![ones.transposed(0, &share(&taps))]
                }
                (_, Some(linear)) if z_plus => {
                    let (up, down) = (linear.product(&xs, positive), linear.product(&xs, negative));
                    let z: Vec<f64> = (0..up.len()).map(|e| up[e] + down[e] + positive(linear.bias[e])).collect();
                    let s = share(&z);
                    let of_input = |(column, x): (&Vec<f64>, &f64)| {
                        let side = if *x >= 0.0 { positive } else { negative };
                        x * column.iter().zip(&s).map(|(w, s)| side(*w) * s).sum::<f64>()
                    };
                    vec![linear.columns[0].iter().zip(xs[0]).map(of_input).collect()]
                }
                (_, Some(linear)) => {
                    let s = share(&values[node.output.0]);
                    (0..xs.len()).map(|k| times(xs[k], linear.transposed(k, &s))).collect()
                }
                (Op::Activation(_), _) => vec![r.to_vec()],
                (Op::LayerNorm { epsilon }, _) => {
                    vec![times(xs[0], normalised_back(xs[0], &share(&values[node.output.0]), from, *epsilon, true))]
                }
                (Op::Pool(pool), _) => {
                    let won = winners(pool, from, to, xs[0]);
                    vec![match options.rule {
                        Lrp::Epsilon => times(xs[0], routed(&won, &share(&values[node.output.0]), from.len())),
                        _ => routed(&won, r, from.len()),
                    }]
                }
                _ => {
                    let gate = |mut value: ValueId| {
                        let made = |value| graph.nodes.iter().find(|node| node.output == value);
                        while let Some(node) = made(value).filter(|n| matches!(n.op, Op::Rearrange(_) | Op::Resize(_)))
                        {
                            value = node.inputs[0];
                        }
                        matches!(
                            made(value).map(|node| &node.op),
                            Some(Op::Activation(
                                Activation::Sigmoid | Activation::HardSigmoid { .. } | Activation::Reciprocal
                            ))
                        )
                    };
                    let gates = [gate(node.inputs[0]), gate(node.inputs[1])];
                    let part = |k: usize| {
                        let share = if gates[0] == gates[1] { 0.5 } else { f64::from(u8::from(gates[1 - k])) };
                        let r: Vec<f64> = r.iter().map(|r| share * r).collect();
                        collected(&r, graph.shape(node.inputs[k]), to)
                    };
                    vec![part(0), part(1)]
                }
            }
        })
    }

    fn is_flat(&self, node: usize) -> bool {
        self.flat.as_ref().is_some_and(|(first, _)| *first == node)
    }

    /// DeepLIFT's multipliers (rescale) at every value.
    pub fn multipliers(&self, image: &[f64], reference: &[f64], class: usize) -> Vec<Vec<f64>> {
        let graph = self.graph;
        let (values, base) = (self.forward(image), self.forward(reference));
        self.back(self.one_hot(class, 1.0), |i, m| {
            let node = &graph.nodes[i];
            let (from, to) = (graph.shape(node.inputs[0]), graph.shape(node.output));
            let (x, x0) = (&values[node.inputs[0].0], &base[node.inputs[0].0]);
            let (y, y0) = (&values[node.output.0], &base[node.output.0]);
            match (&node.op, &self.linear[i]) {
                (_, Some(linear)) => (0..node.inputs.len()).map(|k| linear.transposed(k, m)).collect(),
                (Op::Activation(f), _) => {
                    let factor = |e: usize| {
                        let difference = x[e] - x0[e];
                        let slope = curve(f, e / to.area(), x[e]).1;
                        m[e] * if difference.abs() < 1e-10 { slope } else { (y[e] - y0[e]) / difference }
                    };
                    vec![(0..x.len()).map(factor).collect()]
                }
                (Op::Pool(pool), _) => {
                    let (won, won0) = (winners(pool, from, to, x), winners(pool, from, to, x0));
                    let mut contribution = vec![0.0; x.len()];
                    for window in 0..m.len() {
                        let c = y[window].max(y0[window]);
                        contribution[won[window]] += m[window] * (c - y0[window]);
                        contribution[won0[window]] += m[window] * (y[window] - c);
                    }
                    let plain = routed(&won, m, x.len());
                    let quotient = |e: usize| {
                        let difference = x[e] - x0[e];
                        if difference.abs() < 1e-10 { plain[e] } else { contribution[e] / difference }
                    };
                    vec![(0..x.len()).map(quotient).collect()]
                }
                _ => {
                    let mean = |k: usize| {
                        let shape = graph.shape(node.inputs[k]);
                        let both = [&values, &base].map(|side| spread(&side[node.inputs[k].0], shape, to));
                        both[0].iter().zip(&both[1]).map(|(a, b)| 0.5 * (a + b)).collect::<Vec<f64>>()
                    };
                    let part = |k: usize| {
                        let m: Vec<f64> = m.iter().zip(mean(1 - k)).map(|(m, v)| m * v).collect();
                        collected(&m, graph.shape(node.inputs[k]), to)
                    };
                    vec![part(0), part(1)]
                }
            }
        })
    }

    /// `(x - x') sum_k w_k grad(x' + a_k (x - x'))` on five Gauss-Legendre points (Abramowitz and Stegun, table 25.4).
    pub fn integrated(&self, image: &[f64], reference: &[f64], class: usize) -> Vec<f64> {
        let rule = [
            (0.0, 0.568_888_888_888_888_9),
            (0.538_469_310_105_683_1, 0.478_628_670_499_366_5),
            (-0.538_469_310_105_683_1, 0.478_628_670_499_366_5),
            (0.906_179_845_938_664, 0.236_926_885_056_189_1),
            (-0.906_179_845_938_664, 0.236_926_885_056_189_1),
        ];
        let mut sum = vec![0.0; image.len()];
        for (node, weight) in rule {
            let a = 0.5 * (1.0 + node);
            let point: Vec<f64> = image.iter().zip(reference).map(|(x, x0)| x0 + a * (x - x0)).collect();
            let gradient = &self.gradients(&point, class, Backprop::Gradient)[self.graph.input.0];
            sum.iter_mut().zip(gradient).for_each(|(s, g)| *s += 0.5 * weight * g);
        }
        sum.iter().zip(image).zip(reference).map(|((s, x), x0)| s * (x - x0)).collect()
    }

    /// `sum_c mean(G_c) A_c` on the grid of a layer.
    pub fn grad_cam(&self, image: &[f64], class: usize, layer: ValueId) -> Vec<f64> {
        let shape = self.graph.shape(layer);
        let gradient = &self.gradients(image, class, Backprop::Gradient)[layer.0];
        let activation = &self.forward(image)[layer.0];
        let mut map = vec![0.0; shape.area()];
        for (g, a) in gradient.chunks(shape.area()).zip(activation.chunks(shape.area())) {
            let weight = g.iter().sum::<f64>() / shape.area() as f64;
            map.iter_mut().zip(a).for_each(|(m, a)| *m += weight * a);
        }
        map
    }
}

/// The matrix of a node by unit vectors, its convolution weights under `weight`; `None` where it is not linear.
fn probe(graph: &Graph, i: usize, weight: fn(f64) -> f64) -> Option<Linear> {
    let node = &graph.nodes[i];
    let shapes: Vec<Shape> = node.inputs.iter().map(|x| graph.shape(*x)).collect();
    let to = graph.shape(node.output);
    let zeros: Vec<Vec<f64>> = shapes.iter().map(|shape| vec![0.0; shape.len()]).collect();
    let bias = layer(&node.op, &zeros, &shapes, to, weight, true)?;
    let mut columns = Vec::new();
    for (k, shape) in shapes.iter().enumerate() {
        let mut xs = zeros.clone();
        let mut column = |e: usize| {
            xs[k][e] = 1.0;
            let column = layer(&node.op, &xs, &shapes, to, weight, false);
            xs[k][e] = 0.0;
            column
        };
        columns.push((0..shape.len()).map(&mut column).collect::<Option<Vec<_>>>()?);
    }
    Some(Linear { columns, bias })
}

/// A linear layer in plain loops, with or without its constant part.
fn layer(
    op: &Op,
    xs: &[Vec<f64>],
    shapes: &[Shape],
    to: Shape,
    weight: fn(f64) -> f64,
    constant: bool,
) -> Option<Vec<f64>> {
    let x = &xs[0];
    match op {
        Op::Conv2d(conv) => Some(convolution(conv, x, shapes[0], to, weight, constant)),
        Op::Affine(affine) => {
            let at = |(e, x): (usize, &f64)| {
                let c = e / to.area();
                affine.scale.get(c) * x + if constant { affine.shift.get(c) } else { 0.0 }
            };
            Some(x.iter().enumerate().map(at).collect())
        }
        Op::Pool(pool) if pool.kind != PoolKind::Max => Some(average(pool, x, shapes[0], to)),
        Op::Add { negative } => {
            let sign = if *negative { -1.0 } else { 1.0 };
            let (a, b) = (spread(x, shapes[0], to), spread(&xs[1], shapes[1], to));
            Some(a.iter().zip(b).map(|(a, b)| a + sign * b).collect())
        }
        Op::Concat => Some(xs.concat()),
        Op::Rearrange(moved) => {
            let fill = if constant { moved.fill } else { 0.0 };
            let from = |&source: &u32| if source == Rearrange::FILL { fill } else { x[source as usize] };
            Some(moved.table.iter().map(from).collect())
        }
        Op::Resize(resize) => Some(resampled(resize, x, shapes[0], to)),
        Op::Pool(_) | Op::Activation(_) | Op::LayerNorm { .. } | Op::Mul => None,
    }
}

fn convolution(conv: &Conv2d, x: &[f64], from: Shape, to: Shape, weight: fn(f64) -> f64, constant: bool) -> Vec<f64> {
    let (kh, kw) = (conv.kernel[0], conv.kernel[1]);
    let (group_in, group_out) = (from.channels / conv.groups, to.channels / conv.groups);
    let mut y = vec![0.0; to.len()];
    for (e, &v) in x.iter().enumerate().filter(|(_, v)| **v != 0.0) {
        let (c, i, j) = (e / from.area(), e % from.area() / from.width, e % from.width);
        let group = c / group_in;
        for o in group * group_out..(group + 1) * group_out {
            for (ky, kx) in (0..kh).flat_map(|ky| (0..kw).map(move |kx| (ky, kx))) {
                let (place, row) = if conv.kind == ConvKind::Transposed {
                    // The kernel is laid down at every input cell: o = i s + k d - p.
                    let at = |i: usize, k: usize, axis: usize| {
                        (i * conv.stride[axis] + k * conv.dilation[axis]).checked_sub(conv.pads[axis])
                    };
                    (at(i, ky, 0).zip(at(j, kx, 1)), c * group_out + o % group_out)
                } else {
                    // The output cell whose tap k falls on input cell i: o s = i + p - k d.
                    let at = |i: usize, k: usize, axis: usize| {
                        let reach = (i + conv.pads[axis]).checked_sub(k * conv.dilation[axis])?;
                        (reach % conv.stride[axis] == 0).then_some(reach / conv.stride[axis])
                    };
                    (at(i, ky, 0).zip(at(j, kx, 1)), o * group_in + c % group_in)
                };
                if let Some((oy, ox)) = place.filter(|(oy, ox)| *oy < to.height && *ox < to.width) {
                    y[(o * to.height + oy) * to.width + ox] += v * weight(conv.weight.get((row * kh + ky) * kw + kx));
                }
            }
        }
    }
    if let (true, Some(bias)) = (constant, &conv.bias) {
        y.iter_mut().enumerate().for_each(|(e, y)| *y += bias.get(e / to.area()));
    }
    y
}

/// Cells of the window of output (oy, ox), real ones only, row by row, and how many count where padding does.
fn window(pool: &Pool, from: Shape, oy: usize, ox: usize) -> (Vec<(usize, usize)>, usize) {
    let mut cells = Vec::new();
    let mut padded = 0;
    for (ky, kx) in (0..pool.kernel[0]).flat_map(|ky| (0..pool.kernel[1]).map(move |kx| (ky, kx))) {
        let (y, x) = (oy * pool.stride[0] + ky * pool.dilation[0], ox * pool.stride[1] + kx * pool.dilation[1]);
        let end = |axis: usize, size: usize| pool.pads[axis] + size;
        if y < end(0, from.height) + pool.pads[2] && x < end(1, from.width) + pool.pads[3] {
            padded += 1;
        }
        if (pool.pads[0]..end(0, from.height)).contains(&y) && (pool.pads[1]..end(1, from.width)).contains(&x) {
            cells.push((y - pool.pads[0], x - pool.pads[1]));
        }
    }
    (cells, padded)
}

fn each_output(to: Shape) -> impl Iterator<Item = (usize, usize, usize)> {
    (0..to.len()).map(move |e| (e / to.area(), e % to.area() / to.width, e % to.width))
}

fn average(pool: &Pool, x: &[f64], from: Shape, to: Shape) -> Vec<f64> {
    let mean = |(c, oy, ox): (usize, usize, usize)| {
        let (cells, padded) = window(pool, from, oy, ox);
        let sum: f64 = cells.iter().map(|(y, xx)| x[c * from.area() + y * from.width + xx]).sum();
        sum / if pool.kind == (PoolKind::Average { include_pad: true }) { padded } else { cells.len() } as f64
    };
    each_output(to).map(mean).collect()
}

/// For every output of a max-pool, the element of its input that it takes: the first on ties.
fn winners(pool: &Pool, from: Shape, to: Shape, x: &[f64]) -> Vec<usize> {
    let winner = |(c, oy, ox): (usize, usize, usize)| {
        let elements = window(pool, from, oy, ox).0.into_iter().map(|(y, xx)| c * from.area() + y * from.width + xx);
        elements.reduce(|best, e| if x[e] > x[best] { e } else { best }).expect("a window has a cell")
    };
    each_output(to).map(winner).collect()
}

/// `d = x - mean` of every element, and `s = sqrt(mean(d^2) + epsilon)` of every pixel, over its channels.
fn moments(x: &[f64], shape: Shape, epsilon: f64) -> (Vec<f64>, Vec<f64>) {
    let area = shape.area();
    let mean =
        |values: &[f64], pixel: usize| values.iter().skip(pixel).step_by(area).sum::<f64>() / shape.channels as f64;
    let centred: Vec<f64> = x.iter().enumerate().map(|(e, x_e)| x_e - mean(x, e % area)).collect();
    let squares: Vec<f64> = centred.iter().map(|d| d * d).collect();
    let deviation = (0..area).map(|pixel| (mean(&squares, pixel) + epsilon).sqrt()).collect();
    (centred, deviation)
}

/// `sum_k m_k dy_k/dx_c` with `y_k = d_k / s`, so `dy_k/dx_c = ([k = c] - 1/C) / s - d_k d_c / (C s^3)`; the second part
/// is that of s, which may be `fixed`.
fn normalised_back(x: &[f64], m: &[f64], shape: Shape, epsilon: f64, fixed: bool) -> Vec<f64> {
    let (centred, deviation) = moments(x, shape, epsilon);
    let (area, count) = (shape.area(), shape.channels as f64);
    let element = |e: usize| {
        let s = deviation[e % area];
        let derivative = |k: usize| {
            let linear = (f64::from(u8::from(k == e)) - 1.0 / count) / s;
            if fixed { linear } else { linear - centred[k] * centred[e] / (count * s.powi(3)) }
        };
        (e % area..x.len()).step_by(area).map(|k| m[k] * derivative(k)).sum()
    };
    (0..x.len()).map(element).collect()
}

/// Messages sent to the winners, added up.
fn routed(winners: &[usize], m: &[f64], len: usize) -> Vec<f64> {
    let mut out = vec![0.0; len];
    winners.iter().zip(m).for_each(|(at, m)| out[*at] += m);
    out
}

fn resampled(resize: &Resize, x: &[f64], from: Shape, to: Shape) -> Vec<f64> {
    let taps = |axis: usize, i: usize, size: usize| -> Vec<(usize, f64)> {
        let source = resize.scale[axis] * i as f64 + resize.offset[axis];
        let edge = size as f64 - 1.0;
        if resize.mode == ResizeMode::Nearest {
            return vec![(source.floor().clamp(0.0, edge) as usize, 1.0)];
        }
        let source = source.clamp(0.0, edge);
        let low = source.floor();
        vec![(low as usize, 1.0 - (source - low)), ((low + 1.0).min(edge) as usize, source - low)]
    };
    let at = |(c, oy, ox): (usize, usize, usize)| {
        let (rows, columns) = (taps(0, oy, from.height), taps(1, ox, from.width));
        let cell = |(y, v): &(usize, f64), (xx, u): &(usize, f64)| v * u * x[c * from.area() + y * from.width + xx];
        rows.iter().flat_map(|row| columns.iter().map(move |column| cell(row, column))).sum()
    };
    each_output(to).map(at).collect()
}

/// A value at the shape of a result: pixels or channels repeated where it has one.
fn spread(x: &[f64], from: Shape, to: Shape) -> Vec<f64> {
    let place = |(c, oy, ox): (usize, usize, usize)| {
        let c = if from.channels == 1 { 0 } else { c };
        if from.area() == 1 { c } else { c * from.area() + oy * from.width + ox }
    };
    each_output(to).map(|at| x[place(at)]).collect()
}

/// The transpose of [`spread`].
fn collected(m: &[f64], from: Shape, to: Shape) -> Vec<f64> {
    let mut out = vec![0.0; from.len()];
    for ((c, oy, ox), m) in each_output(to).zip(m) {
        let c = if from.channels == 1 { 0 } else { c };
        out[if from.area() == 1 { c } else { c * from.area() + oy * from.width + ox }] += m;
    }
    out
}

/// `f(z)` and `f'(z)`.
pub fn curve(f: &Activation, channel: usize, z: f64) -> (f64, f64) {
    let logistic = |z: f64| 1.0 / (1.0 + (-z).exp());
    let leaky = |slope: f64| if z > 0.0 { (z, 1.0) } else { (slope * z, slope) };
    match f {
        Activation::Relu => leaky(0.0),
        Activation::Clip { low, high } => (z.max(*low).min(*high), f64::from(u8::from(z > *low && z < *high))),
        Activation::LeakyRelu { slope } => leaky(*slope),
        Activation::PRelu { slope } => leaky(slope.get(channel)),
        Activation::Elu { alpha } if z <= 0.0 => (alpha * (z.exp() - 1.0), alpha * z.exp()),
        Activation::Elu { .. } => (z, 1.0),
        Activation::Sigmoid => (logistic(z), logistic(z) * logistic(-z)),
        Activation::HardSigmoid { alpha, beta } => {
            let line = alpha * z + beta;
            (line.clamp(0.0, 1.0), if line > 0.0 && line < 1.0 { *alpha } else { 0.0 })
        }
        Activation::HardSwish if z <= -3.0 => (0.0, 0.0),
        Activation::HardSwish if z >= 3.0 => (z, 1.0),
        Activation::HardSwish => (z * (z + 3.0) / 6.0, z / 3.0 + 0.5),
        Activation::Tanh => (z.tanh(), 1.0 / z.cosh().powi(2)),
        Activation::Softplus => ((1.0 + z.exp()).ln(), logistic(z)),
        Activation::Silu => (z * logistic(z), logistic(z) + z * logistic(z) * logistic(-z)),
        Activation::Gelu => {
            let density = (-0.5 * z * z).exp() / std::f64::consts::TAU.sqrt();
            (z * normal(z), normal(z) + z * density)
        }
        Activation::Reciprocal => (1.0 / z, -1.0 / (z * z)),
    }
}

/// The normal distribution, `1/2 + phi(z) (z + z^3/3 + z^5/15 + ...)` (Marsaglia 2004), within 1e-23 of 0 or 1 beyond 10.
fn normal(z: f64) -> f64 {
    if z.abs() > 10.0 {
        return f64::from(u8::from(z > 0.0));
    }
    let (mut term, mut sum) = (z, z);
    for k in 1..200 {
        term *= z * z / f64::from(2 * k + 1);
        sum += term;
    }
    0.5 + sum * (-0.5 * z * z).exp() / std::f64::consts::TAU.sqrt()
}
