//! The runner of the folder that `benches/gpu/build` makes, on the stand-in driver: the real binary, with scripts in place of
//! the test binaries.

#[path = "common/mod.rs"]
#[allow(dead_code, reason = "the binary loads the driver")]
mod common;

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;
use std::process::Command;

use ptx_sim_driver::{Variant, install};
use serde_json::Value;
use tempfile::TempDir;

/// A test binary that passes; the kernels' writes a record.
const PASSES: &str = "#!/bin/sh
echo \"running 1 test of $FLUOROSCOPE_TEST_DRIVER $1\"
[ -z \"$FLUOROSCOPE_TEST_RECORDS\" ] && exit 0
mkdir -p \"$FLUOROSCOPE_TEST_RECORDS\" && echo '{}' >\"$FLUOROSCOPE_TEST_RECORDS/sm_80.jsonl\"
";
const FAILS: &str = "#!/bin/sh\necho running 1 test\necho it is wrong >&2\nexit 101\n";
const RUNS_NOTHING: &str = "#!/bin/sh\necho running 0 tests\n";

/// The folder, as it is on a machine with a device.
struct Folder(TempDir);

struct Ran {
    code: i32,
    said: String,
    summary: Value,
}

impl Folder {
    fn new() -> Self {
        let folder = Self(tempfile::tempdir().expect("a temporary folder"));
        install(&folder.path("driver"), Variant::Whole).unwrap_or_else(|error| panic!("{error}"));
        symlink(common::binary(), folder.path("bin/fluoroscope")).expect("a link");
        fs::copy(common::root().join("benches/gpu/run"), folder.path("run")).expect("the runner");
        fs::copy(common::root().join("data/golden/plain.onnx"), folder.path("models/plain.onnx")).expect("a model");
        for name in ["kernels", "golden", "cuda"] {
            folder.script(&format!("tests/{name}"), PASSES);
        }
        folder.script("tools/compute-sanitizer", "#!/bin/sh\necho sanitized \"$@\"\n");
        folder
    }

    fn path(&self, name: &str) -> PathBuf {
        let path = self.0.path().join(name);
        fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
        path
    }

    fn script(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).expect("a script");
        fs::set_permissions(self.path(name), fs::Permissions::from_mode(0o755)).expect("a script that runs");
    }

    fn run(&self, settings: &[(&str, &str)], options: &[&str]) -> Ran {
        let path = std::env::var("PATH").unwrap_or_default();
        let mut command = Command::new("python3");
        command.arg("run").args(["--quick", "--batches", "1,3", "--repeats", "1"]).args(options);
        command.current_dir(self.0.path()).env("LD_LIBRARY_PATH", self.path("driver"));
        command.env("PATH", format!("{}:{path}", self.path("tools").display())).env_remove("CUDA_VISIBLE_DEVICES");
        let output = command.envs(settings.iter().copied()).output().expect("python3 runs");
        let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        let summary = fs::read_to_string(self.path("results/summary.json")).unwrap_or_else(|e| panic!("{e}: {said}"));
        let summary = serde_json::from_str(&summary).expect("JSON");
        Ran { code: output.status.code().expect("a code"), said, summary }
    }
}

#[test]
fn the_folder_checks_times_and_writes_what_belongs_into_the_checkout() {
    let folder = Folder::new();
    let ran = folder.run(&[], &[]);
    assert_eq!(ran.code, 0, "{}", ran.said);
    let steps = ran.summary["steps"].as_array().expect("steps");
    let outcome = |name: &str| {
        let step = steps.iter().find(|step| step["step"].as_str().is_some_and(|step| step.starts_with(name)));
        step.unwrap_or_else(|| panic!("no step {name:?} in {}", ran.said))["outcome"].clone()
    };
    for step in [
        "facts",
        "test kernels cuda::",
        "test golden",
        "test cuda maps",
        "compute-sanitizer racecheck",
        "times of plain",
    ] {
        assert_eq!(outcome(step), "passed", "{step}: {}", ran.said);
    }
    assert_eq!(outcome("other tools"), "skipped");
    assert!(ran.said.contains("sm_80.jsonl to tests/kernels/records/"), "{}", ran.said);

    let lines = fs::read_to_string(folder.path("results/bench/plain.jsonl")).expect("figures");
    let batches: Vec<Value> =
        lines.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON")["batch"].clone()).collect();
    assert_eq!(batches, [1, 3]);
    for batch in [1, 3] {
        let plot =
            fs::read_to_string(folder.path(&format!("results/bench/plain-gradient-{batch}.svg"))).expect("a plot");
        assert!(plot.contains("f16 matrix units"), "{plot}");
    }
    let rows = fs::read_to_string(folder.path("results/rows.md")).expect("rows");
    for words in
        ["driver for CUDA", "| plain | gradient | 1 |", "| plain | gradient | 3 |", "| conv2d_forward |", "copy GB/s"]
    {
        assert!(rows.contains(words), "no {words:?} in {rows}");
    }
    let log = fs::read_to_string(folder.path("results/logs/test-kernels-cuda-.log")).expect("a log");
    assert!(log.contains("running 1 test of system cuda::"), "{log}");
}

#[test]
fn what_fails_is_told_and_stops_the_run() {
    for broken in [FAILS, RUNS_NOTHING] {
        let folder = Folder::new();
        folder.script("tests/golden", broken);
        let ran = folder.run(&[], &[]);
        assert_eq!(ran.code, 1, "{}", ran.said);
        assert!(ran.said.contains("FAILED   test golden") && ran.said.contains("--keep-going"), "{}", ran.said);
        assert!(!folder.path("results/bench/plain.jsonl").exists(), "nothing is timed");
    }
    let folder = Folder::new();
    folder.script("tests/golden", FAILS);
    let ran = folder.run(&[], &["--keep-going"]);
    assert_eq!((ran.code, &ran.summary["failed"]), (1, &Value::from(1)), "{}", ran.said);
    assert!(ran.said.contains("it is wrong") && ran.said.contains("passed   times of plain"), "{}", ran.said);

    let ran = Folder::new().run(&[("PTX_SIM_DEVICES", "0")], &[]);
    assert_eq!(ran.code, 1);
    assert!(ran.said.contains("stopped: no device: the NVIDIA driver finds no device"), "{}", ran.said);
}
