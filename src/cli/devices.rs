//! `fluoroscope devices`: what can compute here.

use serde_json::{Value, json};

use super::args::DevicesArgs;
use super::console::Console;
use super::failure::{DONE, Failure};
use crate::backend::cuda::{self, Absence, DeviceInfo, Driver};
use crate::backend::wgpu::{self, AdapterInfo};

/// Lists the backends.
pub fn run(args: &DevicesArgs, console: &Console) -> Result<u8, Failure> {
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let simd = simd();
    let (driver, adapters) = (usable(cuda::probe()), wgpu::probe());
    if args.json {
        let list = json!([
            { "backend": "cpu", "available": true, "threads": threads, "simd": simd },
            wgpu_object(&adapters),
            cuda_object(&driver),
        ]);
        console.line(&list.to_string());
        return Ok(DONE);
    }
    console.line(&format!("cpu   {threads} threads, {simd}"));
    match &adapters {
        Ok(adapters) => wgpu_lines(adapters).iter().for_each(|line| console.line(line)),
        Err(why) => console.line(&format!("wgpu  not available: {why}")),
    }
    match &driver {
        Ok(driver) => cuda_lines(driver).iter().for_each(|line| console.line(line)),
        Err(why) => console.line(&format!("cuda  not available: {why}")),
    }
    Ok(DONE)
}

/// A driver with a device on which the kernels run; else the first device's reason.
fn usable(driver: Result<Driver, Absence>) -> Result<Driver, Absence> {
    let driver = driver?;
    let checks: Vec<_> = driver.devices.iter().map(DeviceInfo::check).collect();
    match checks.iter().any(Result::is_ok) {
        true => Ok(driver),
        false => Err(checks.into_iter().find_map(Result::err).unwrap_or(Absence::NoDevice)),
    }
}

fn cuda_object(driver: &Result<Driver, Absence>) -> Value {
    let device = |(number, device): (usize, &DeviceInfo)| {
        json!({
            "device": number,
            "name": device.name,
            "compute_capability": capability(device),
            "memory_bytes": device.memory,
            "available": device.check().is_ok(),
        })
    };
    match driver {
        Ok(driver) => {
            let devices: Vec<Value> = driver.devices.iter().enumerate().map(device).collect();
            json!({ "backend": "cuda", "available": true, "driver": driver.cuda, "devices": devices })
        }
        Err(why) => json!({ "backend": "cuda", "available": false, "reason": why.to_string() }),
    }
}

fn cuda_lines(driver: &Driver) -> Vec<String> {
    let line = |(number, device): (usize, &DeviceInfo)| {
        let memory = device.memory as f64 / f64::from(1 << 30);
        let DeviceInfo { name, .. } = device;
        let what = format!("device {number}: {name}, compute capability {}, {memory:.1} GiB", capability(device));
        match device.check() {
            Ok(()) => format!("cuda  {what}, driver for CUDA {}", driver.cuda),
            Err(_) => format!("cuda  {what}: too old"),
        }
    };
    driver.devices.iter().enumerate().map(line).collect()
}

fn wgpu_object(adapters: &Result<Vec<AdapterInfo>, wgpu::Absence>) -> Value {
    let device = |(number, adapter): (usize, &AdapterInfo)| {
        json!({
            "device": number,
            "name": adapter.name,
            "api": adapter.api,
            "driver": adapter.driver,
            "software": adapter.is_software,
            "f16": adapter.stores_f16,
            "available": adapter.check().is_ok(),
        })
    };
    match adapters {
        Ok(adapters) => {
            let devices: Vec<Value> = adapters.iter().enumerate().map(device).collect();
            let available = adapters.iter().any(|adapter| adapter.check().is_ok());
            json!({ "backend": "wgpu", "available": available, "devices": devices })
        }
        Err(why) => json!({ "backend": "wgpu", "available": false, "reason": why.to_string() }),
    }
}

fn wgpu_lines(adapters: &[AdapterInfo]) -> Vec<String> {
    let line = |(number, adapter): (usize, &AdapterInfo)| {
        let AdapterInfo { name, api, driver, .. } = adapter;
        let halves = if adapter.stores_f16 { ", f16" } else { "" };
        let by = if adapter.is_software { ", on the CPU" } else { "" };
        match adapter.check() {
            Ok(()) => format!("wgpu  device {number}: {name}, {api}, driver {driver}{halves}{by}"),
            Err(why) => format!("wgpu  device {number}: {why}"),
        }
    };
    adapters.iter().enumerate().map(line).collect()
}

fn capability(device: &DeviceInfo) -> String {
    device.capability.map(|part| part.to_string()).join(".")
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
