//! Where tests find their data, the binary and the CUDA driver: in the checkout, with the stand-in driver; on a machine with
//! a GPU and no checkout, where the variables say that `benches/gpu/run` sets.

use std::path::PathBuf;

use fluoroscope::backend::wgpu::{Wanted, WgpuBackend, WgpuOptions};

/// The checkout, or `FLUOROSCOPE_TEST_ROOT`.
pub fn root() -> PathBuf {
    let set = std::env::var_os("FLUOROSCOPE_TEST_ROOT");
    set.map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from)
}

/// The `fluoroscope` binary, or `FLUOROSCOPE_TEST_BINARY`.
pub fn binary() -> PathBuf {
    let set = std::env::var_os("FLUOROSCOPE_TEST_BINARY");
    set.map_or_else(|| PathBuf::from(env!("CARGO_BIN_EXE_fluoroscope")), PathBuf::from)
}

/// The driver of this machine is wanted: `FLUOROSCOPE_TEST_DRIVER=system`.
pub fn on_a_device() -> bool {
    std::env::var_os("FLUOROSCOPE_TEST_DRIVER").is_some_and(|driver| driver == "system")
}

/// Every how many cases of a table are run: `FLUOROSCOPE_TEST_EVERY`, for tools under which a case takes long; else all are.
pub fn every() -> usize {
    std::env::var("FLUOROSCOPE_TEST_EVERY").ok().and_then(|every| every.parse().ok()).unwrap_or(1)
}

/// Loads the stand-in driver, unless that of this machine is wanted.
pub fn load_driver() {
    if !on_a_device() {
        ptx_sim_driver::preload().unwrap_or_else(|error| panic!("{error}"));
    }
}

/// The adapter that `FLUOROSCOPE_TEST_ADAPTER` names, else any.
pub fn adapter() -> Wanted {
    let set = std::env::var("FLUOROSCOPE_TEST_ADAPTER").ok();
    set.map_or(Wanted::Any, Wanted::Name)
}

/// A backend on that adapter.
pub fn wgpu() -> WgpuBackend {
    let options = WgpuOptions { adapter: adapter(), ..WgpuOptions::default() };
    WgpuBackend::new(options).unwrap_or_else(|error| panic!("{error} (./test installs a Vulkan driver on Debian)"))
}
