//! `fluoroscope devices`: what can compute here.

use serde_json::json;

use super::args::DevicesArgs;
use super::console::Console;
use super::engine::absence;
use super::failure::{DONE, Failure};

/// Lists the backends.
pub fn run(args: &DevicesArgs, console: &Console) -> Result<u8, Failure> {
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let simd = simd();
    let why = absence();
    if args.json {
        let list = json!([
            { "backend": "cpu", "available": true, "threads": threads, "simd": simd },
            { "backend": "wgpu", "available": false, "reason": why },
            { "backend": "cuda", "available": false, "reason": why },
        ]);
        console.line(&list.to_string());
        return Ok(DONE);
    }
    console.line(&format!("cpu   {threads} threads, {simd}"));
    console.line(&format!("wgpu  not available: {why}"));
    console.line(&format!("cuda  not available: {why}"));
    Ok(DONE)
}

/// The widest vectors that the CPU backend can use here.
pub fn simd() -> &'static str {
    #[cfg(target_arch = "x86_64")]
    {
        if is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512vl") {
            return "AVX-512";
        }
        if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
            return "AVX2 and FMA";
        }
        "SSE2"
    }
    #[cfg(target_arch = "aarch64")]
    {
        "NEON"
    }
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    {
        "no vectors"
    }
}
