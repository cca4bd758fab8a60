// Functions of every kernel. The text is appended to each, so that lines of the kernel keep their numbers.

// A pair of parameters: height (or top) in the low half of the word, width (or left) in the high half.
fn pair(word: u32) -> vec2<u32> {
    return vec2(word & 0xffffu, word >> 16u);
}

// Row and column of a pixel.
fn position(pixel: u32, width: u32) -> vec2<u32> {
    let row = pixel / width;
    return vec2(row, pixel - row * width);
}

// Where four channels of a pixel lie, counted in runs of four; a place is { item stride, pixel stride, offset, per image }.
fn address(place: vec4<u32>, item: u32, image: u32, pixel: u32, channel: u32) -> u32 {
    return (select(item, image, place.w != 0u) * place.x + pixel * place.y + place.z + channel) / 4u;
}

// Where the bits of four channels begin, counted in bits: words of 32, from the lowest on. Places count bytes of eight channels.
fn bits_address(place: vec4<u32>, item: u32, image: u32, pixel: u32, channel: u32) -> u32 {
    let eight = select(item, image, place.w != 0u) * place.x + pixel * place.y + place.z + channel / 8u;
    return eight * 8u + channel / 4u % 2u * 4u;
}

// Four truths as the lowest bits of a word.
fn bits_of(truths: vec4<bool>) -> u32 {
    return dot(select(vec4(0u), vec4(1u, 2u, 4u, 8u), truths), vec4(1u));
}

fn is_nan(x: vec4<f32>) -> vec4<bool> {
    return (bitcast<vec4<u32>>(x) & vec4(0x7fffffffu)) > vec4(0x7f800000u);
}

fn is_finite(x: vec4<f32>) -> vec4<bool> {
    return (bitcast<vec4<u32>>(x) & vec4(0x7fffffffu)) < vec4(0x7f800000u);
}

// By way of a variable: no constant expression may be infinite, or not a number.
fn infinity() -> f32 {
    var bits = 0x7f800000u;
    return bitcast<f32>(bits);
}

fn not_a_number() -> f32 {
    var bits = 0x7fc00000u;
    return bitcast<f32>(bits);
}

// x between two bounds; not a number stays so.
fn bounded(x: vec4<f32>, low: f32, high: f32) -> vec4<f32> {
    let above = select(x, vec4(low), x < vec4(low));
    return select(above, vec4(high), above > vec4(high));
}

// exp(x) = 2^n exp(r) with r = x - n ln 2 between the halves of ln 2: its series, exact to some 1e-7 on every device.
fn exponential(x: vec4<f32>) -> vec4<f32> {
    let z = bounded(x, -104.0, 89.0);
    let n = round(z * 1.4426950408889634);
    let r = fma(n, vec4(-1.42860677e-6), fma(n, vec4(-0.693145752), z));
    var power = vec4(1.98412698e-4);
    power = fma(power, r, vec4(1.38888889e-3));
    power = fma(power, r, vec4(8.33333333e-3));
    power = fma(power, r, vec4(4.16666667e-2));
    power = fma(power, r, vec4(0.166666667));
    power = fma(power, r, vec4(0.5));
    power = fma(power, r, vec4(1.0));
    power = fma(power, r, vec4(1.0));
    let half = vec4<i32>(n) / 2;
    return power * two_to(half) * two_to(vec4<i32>(n) - half);
}

// 2^n for n from -126 to 127.
fn two_to(n: vec4<i32>) -> vec4<f32> {
    return bitcast<vec4<f32>>((n + 127) << vec4(23u));
}

// exp(x) - 1 for x <= 0: its series near 0, where the difference would cancel.
fn exponential_less_one(x: vec4<f32>) -> vec4<f32> {
    var near = vec4(1.98412698e-4);
    near = fma(near, x, vec4(1.38888889e-3));
    near = fma(near, x, vec4(8.33333333e-3));
    near = fma(near, x, vec4(4.16666667e-2));
    near = fma(near, x, vec4(0.166666667));
    near = fma(near, x, vec4(0.5));
    near = fma(near * x, x, x);
    return select(exponential(x) - 1.0, near, x > vec4(-0.5));
}

// ln(1 + x) for 0 <= x <= 1: twice the inverse hyperbolic tangent of x / (2 + x).
fn log_of_one_more(x: vec4<f32>) -> vec4<f32> {
    let part = x / (x + 2.0);
    let square = part * part;
    var sum = vec4(6.66666667e-2);
    sum = fma(sum, square, vec4(7.69230769e-2));
    sum = fma(sum, square, vec4(9.09090909e-2));
    sum = fma(sum, square, vec4(0.111111111));
    sum = fma(sum, square, vec4(0.142857143));
    sum = fma(sum, square, vec4(0.2));
    sum = fma(sum, square, vec4(0.333333333));
    sum = fma(sum, square, vec4(1.0));
    return sum * (part + part);
}

// 1 / (1 + exp(-x))
fn sigmoid(x: vec4<f32>) -> vec4<f32> {
    return 1.0 / (exponential(-x) + 1.0);
}

// With e = exp(-2 |x|) - 1: the sign of x times -e / (e + 2).
fn hyperbolic_tangent(x: vec4<f32>) -> vec4<f32> {
    let e = exponential_less_one(abs(x) * -2.0);
    return select(-e, e, x < vec4(0.0)) / (e + 2.0);
}

// The normal distribution up to x: half of erfc(|x| / sqrt 2) = t exp(-x x / 2 + p(t)) with t = 1 / (1 + |x| / sqrt 8), which
// is exact to 1.2e-7 everywhere (Press et al., Numerical Recipes), or 1 minus it.
fn normal(x: vec4<f32>) -> vec4<f32> {
    let t = 1.0 / fma(abs(x), vec4(0.353553391), vec4(1.0));
    var power = vec4(0.17087277);
    power = fma(power, t, vec4(-0.82215223));
    power = fma(power, t, vec4(1.48851587));
    power = fma(power, t, vec4(-1.13520398));
    power = fma(power, t, vec4(0.27886807));
    power = fma(power, t, vec4(-0.18628806));
    power = fma(power, t, vec4(0.09678418));
    power = fma(power, t, vec4(0.37409196));
    power = fma(power, t, vec4(1.00002368));
    power = fma(power, t, vec4(-1.26551223));
    let tail = t * 0.5 * exponential(fma(x * -0.5, x, power));
    return select(tail, 1.0 - tail, x > vec4(0.0));
}
