//! Names the library `libcuda.so`, so that a copy of it opened by path is the driver for everything in the process that asks
//! for that name afterwards.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rustc-cdylib-link-arg=-Wl,-soname,libcuda.so");
}
