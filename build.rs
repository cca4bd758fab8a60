//! Checks the kernel sources and generates the table of kernels, `KERNELS`, and of templates, `TEMPLATES`.

#[path = "build/sources.rs"]
mod sources;

use std::path::PathBuf;

fn main() {
    let root = PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it"));
    let out = PathBuf::from(std::env::var_os("OUT_DIR").expect("cargo sets it"));
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=build");
    println!("cargo:rerun-if-changed=src/kernel/template.rs");
    for (language, _) in sources::COMPLETE {
        println!("cargo:rerun-if-changed={}", language.folder());
    }
    let table = |kernels: Vec<_>| sources::table(&root, &kernels).map_err(|problem| vec![problem]);
    match sources::check(&root, sources::COMPLETE).and_then(table) {
        Ok(table) => std::fs::write(out.join("kernels.rs"), table).expect("OUT_DIR is writable"),
        Err(problems) => {
            for line in problems.iter().flat_map(|p| p.to_string().lines().map(str::to_owned).collect::<Vec<_>>()) {
                println!("cargo::error={line}");
            }
        }
    }
}
