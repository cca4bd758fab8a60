//! The real binary: which adapter computes, and what is said where there is none.

use std::path::Path;
use std::process::Command;

use fluoroscope::backend::wgpu::{AdapterInfo, probe};
use fluoroscope::picture::write_npy;
use serde_json::Value;
use tempfile::TempDir;

use crate::ran::{NO_VULKAN, Ran};
use crate::{common, golden, images};

fn run(folder: &Path, settings: &[(&str, &str)], arguments: &[&str]) -> Ran {
    let mut command = Command::new(common::binary());
    command.args(arguments).current_dir(folder).env("XDG_CACHE_HOME", folder.join("cache"));
    let output = command.envs(settings.iter().copied()).output().expect("the binary runs");
    Ran::new(&output, &format!("{settings:?} {arguments:?}"), &["error: ", "hint: ", "note: "])
}

/// A folder with `in.npy` for the golden network `plain`.
pub fn scene() -> TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    write_npy(&folder.path().join("in.npy"), &images(&golden("plain"), 1)).expect("an array");
    folder
}

pub fn explain(folder: &Path, settings: &[(&str, &str)], options: &[&str]) -> Ran {
    let model = common::root().join("data/golden/plain.onnx").display().to_string();
    run(folder, settings, &[&["explain", &model, "in.npy", "--json", "-m", "saliency"], options].concat())
}

fn backend_of(ran: Ran) -> String {
    let ran = ran.exits(0);
    let record: Value = serde_json::from_str(ran.stdout.lines().next().expect("a line")).expect("JSON");
    record["report"]["backend"].as_str().expect("a name").to_owned()
}

fn adapters() -> Vec<AdapterInfo> {
    probe().expect("an adapter")
}

#[test]
fn adapters_are_listed_and_chosen_by_number_and_name() {
    let folder = scene();
    let folder = folder.path();
    let infos = adapters();
    let listed = run(folder, &[], &["devices"]).exits(0).stdout;
    let list: Value = serde_json::from_str(&run(folder, &[], &["devices", "--json"]).exits(0).stdout).expect("JSON");
    assert_eq!((&list[1]["backend"], &list[1]["available"]), (&Value::from("wgpu"), &Value::from(true)));
    for (number, info) in infos.iter().enumerate() {
        assert!(listed.contains(&format!("wgpu  device {number}: {}", info.name)), "{listed}");
        assert_eq!(list[1]["devices"][number]["software"], info.is_software);
        assert_eq!(list[1]["devices"][number]["f16"], info.stores_f16);
    }

    let name = infos[0].name.to_uppercase();
    assert_eq!(backend_of(explain(folder, &[], &["--backend", "wgpu"])), "wgpu");
    assert_eq!(backend_of(explain(folder, &[], &["--backend", "wgpu", "--device", "0"])), "wgpu");
    // CUDA comes first, and may have a device of that name.
    let cuda = list[2]["devices"].as_array().into_iter().flatten().any(|device| device["name"] == infos[0].name);
    let first = if cuda { "cuda" } else { "wgpu" };
    assert_eq!(backend_of(explain(folder, &[], &["--device", &name])), first);
    let kept = std::fs::read_dir(folder.join("cache/fluoroscope")).into_iter().flatten().count();
    assert_eq!(kept > 0, infos[0].api == "Vulkan", "the API has a cache of kernels");
    for (options, code, words) in [
        (
            &["--backend", "wgpu", "--device", "99"][..],
            4,
            &["no adapter 99", &infos[0].name, "fluoroscope devices"][..],
        ),
        (&["--backend", "wgpu", "--device", "abacus"], 4, &["no adapter called \"abacus\"", "hint: "]),
        (&["--device", "abacus"], 4, &["abacus", "hint: "]),
        (
            &["--backend", "wgpu", "--precision", "f64"],
            2,
            &["the wgpu backend does not compute in f64", "--backend cpu"],
        ),
        (&["--device", &name, "--precision", "f64"], 2, &["f64", "hint: "]),
    ] {
        explain(folder, &[], &[options, &["-o", "none"]].concat()).exits(code).says(words);
    }
    assert!(!folder.join("none").exists());
}

#[test]
fn auto_takes_no_adapter_of_software() {
    let folder = scene();
    let has_cuda = fluoroscope::backend::cuda::probe().is_ok();
    let has_hardware = adapters().iter().any(|info| !info.is_software && info.check().is_ok());
    let expected = if has_cuda {
        "cuda"
    } else if has_hardware {
        "wgpu"
    } else {
        "cpu"
    };
    assert_eq!(backend_of(explain(folder.path(), &[], &[])), expected);
    assert_eq!(backend_of(explain(folder.path(), &[], &["--precision", "f64"])), "cpu");
}

#[test]
#[cfg(target_os = "linux")]
fn without_a_driver_it_is_said_why() {
    let folder = scene();
    let folder = folder.path();
    let reason = "no Vulkan, Metal or DX12 driver finds an adapter";
    let listed = run(folder, &NO_VULKAN, &["devices"]).exits(0).stdout;
    assert!(listed.contains(&format!("wgpu  not available: {reason}")), "{listed}");
    let list = run(folder, &NO_VULKAN, &["devices", "--json"]).exits(0).stdout;
    let list: Value = serde_json::from_str(&list).expect("JSON");
    assert_eq!((&list[1]["available"], &list[1]["reason"]), (&Value::from(false), &Value::from(reason)));
    explain(folder, &NO_VULKAN, &["--backend", "wgpu", "-o", "none"]).exits(4).says(&[reason, "hint: ", "README.md"]);
    assert!(!folder.join("none").exists());
    explain(folder, &NO_VULKAN, &[]).exits(0).says(&[]);
}
