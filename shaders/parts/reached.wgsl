
// Along an axis, for pixels of a phase: the first tap that reaches them, the step to the next one, the window that the first
// pixel meets there (below zero it wraps around), and how many taps there are.
fn reached(phase: u32, pad: u32, stride: u32, dilation: u32, kernel: u32) -> vec4<u32> {
    var step = 1u;
    while step * dilation % stride != 0u {
        step++;
    }
    var first = 0u;
    var distance = i32(phase + pad);
    while first < kernel && distance % i32(stride) != 0 {
        distance -= i32(dilation);
        first++;
    }
    return vec4(first, step, bitcast<u32>(distance / i32(stride)), (kernel - first + step - 1u) / step);
}
