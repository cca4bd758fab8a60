//! What `benches/gpu/build` puts into a folder, and the folder's runner on the stand-in driver: the real binary, with scripts in
//! place of the test binaries.

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
echo \"running 1 test of $FLUOROSCOPE_TEST_DRIVER $1 $FLUOROSCOPE_TEST_ADAPTER\"
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
        for name in ["run", "archive.py", "tables.py", "vulkan.py"] {
            fs::copy(common::root().join("benches/gpu").join(name), folder.path(name)).expect("the runner");
        }
        fs::copy(common::root().join("data/golden/plain.onnx"), folder.path("models/plain.onnx")).expect("a model");
        for name in ["kernels", "golden", "cuda", "wgpu"] {
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
        self.run_whole(settings, &[&["--quick"], options].concat())
    }

    fn run_whole(&self, settings: &[(&str, &str)], options: &[&str]) -> Ran {
        let path = std::env::var("PATH").unwrap_or_default();
        let mut command = Command::new("python3");
        command.arg("run").args(["--methods", "gradient", "--batches", "1,3", "--repeats", "1"]).args(options);
        command.current_dir(self.0.path()).env("LD_LIBRARY_PATH", self.path("driver"));
        command.env("PATH", format!("{}:{path}", self.path("tools").display()));
        for name in ["CUDA_VISIBLE_DEVICES", "VK_DRIVER_FILES", "VK_ICD_FILENAMES"] {
            command.env_remove(name);
        }
        let output = command.envs(settings.iter().copied()).output().expect("python3 runs");
        let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        let summary = fs::read_to_string(self.path("results/summary.json")).unwrap_or_else(|e| panic!("{e}: {said}"));
        let summary = serde_json::from_str(&summary).expect("JSON");
        Ran { code: output.status.code().expect("a code"), said, summary }
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }
}

impl Ran {
    /// The first step whose name begins so.
    fn step(&self, name: &str) -> &Value {
        let is_it = |step: &&Value| step["step"].as_str().is_some_and(|step| step.starts_with(name));
        let mut steps = self.summary["steps"].as_array().expect("steps").iter();
        steps.find(is_it).unwrap_or_else(|| panic!("no step {name:?} in {}", self.said))
    }

    fn all_passed(&self, steps: &[&str]) {
        for step in steps {
            assert_eq!(self.step(step)["outcome"], "passed", "{step}: {}", self.said);
        }
    }
}

/// A library of this machine.
fn library(name: &str) -> PathBuf {
    let known = Command::new("/sbin/ldconfig").arg("-p").output().expect("ldconfig runs").stdout;
    let known = String::from_utf8_lossy(&known).into_owned();
    let mut lines = known.lines().filter(|line| line.trim_start().starts_with(name) && line.contains("x86-64"));
    let path = lines.next().and_then(|line| Some(line.split_once(" => ")?.1));
    path.unwrap_or_else(|| panic!("no {name}: apt-get install libvulkan1 mesa-vulkan-drivers")).into()
}

#[test]
fn the_folder_checks_times_and_writes_what_belongs_into_the_checkout() {
    let folder = Folder::new();
    let ran = folder.run(&[("VK_LOADER_DRIVERS_SELECT", "*lvp*")], &[]);
    assert_eq!(ran.code, 0, "{}", ran.said);
    ran.all_passed(&[
        "facts",
        "test kernels cuda::",
        "test golden",
        "test cuda maps",
        "compute-sanitizer racecheck",
        "times of plain by cuda",
    ]);
    assert_eq!(ran.step("other tools")["outcome"], "skipped");
    assert!(ran.said.contains("sm_80.jsonl to tests/kernels/records/"), "{}", ran.said);

    let software = ran.step("checks and times by wgpu");
    assert_eq!(software["outcome"], "skipped");
    let reason = software["reason"].as_str().expect("a reason");
    for words in ["llvmpipe", "computes on the CPU", "libGLX_nvidia.so.0 does not load", "libEGL_nvidia.so.0 does not"]
    {
        assert!(reason.contains(words), "no {words:?} in {reason}");
    }
    assert!(!folder.path("results/bench/plain-wgpu.jsonl").exists(), "software is not timed");

    let lines = folder.read("results/bench/plain.jsonl");
    let batches: Vec<Value> =
        lines.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON")["batch"].clone()).collect();
    assert_eq!(batches, [1, 3]);
    for batch in [1, 3] {
        let plot = folder.read(&format!("results/bench/plain-gradient-{batch}.svg"));
        assert!(plot.contains("f16 matrix units"), "{plot}");
    }
    let rows = folder.read("results/rows.md");
    for words in
        ["driver for CUDA", "| plain | gradient | 1 |", "| plain | gradient | 3 |", "| conv2d_forward |", "copy GB/s"]
    {
        assert!(rows.contains(words), "no {words:?} in {rows}");
    }
    assert!(!rows.contains("wgpu"), "{rows}");
    for precision in ["f16", "bf16"] {
        ran.all_passed(&[&format!("times of plain in {precision}")]);
        let said = folder.read(&format!("results/bench/plain-{precision}.jsonl"));
        let first: Value = serde_json::from_str(said.lines().next().expect("a line")).expect("JSON");
        assert_eq!(first["precision"], precision);
        let (_, agreement) = rows.split_once("cosine with f64").expect("how near the maps come");
        for method in ["gradient", "lrp-epsilon"] {
            let row = format!("| plain in {precision} | {method} | 3 | ");
            let cosine = agreement.split_once(&row).and_then(|(_, rest)| rest.split(' ').next()).expect("a row");
            assert!(cosine.parse::<f64>().is_ok_and(|cosine| cosine <= 1.0), "{cosine}");
        }
    }
    let log = folder.read("results/logs/test-kernels-cuda-.log");
    assert!(log.contains("running 1 test of system cuda::"), "{log}");
}

#[test]
fn archives_are_explained_beside_what_the_device_does_alone() {
    let folder = Folder::new();
    fs::copy(common::root().join("data/photos/chelsea.jpg"), folder.path("data/photos/chelsea.jpg")).expect("a photo");
    let shortly = ["--backends", "cuda", "--archive-seconds", "0.3"];
    let ran = folder.run_whole(&[], &shortly);
    assert_eq!(ran.code, 0, "{}", ran.said);
    ran.all_passed(&["archives through plain", "times of plain by cuda"]);
    assert_eq!(ran.step("archives through chest-densenet")["reason"], "this folder lacks it");
    let rows = folder.read("results/archives.md");
    for scene in ["arrays | npy", "photos | npy", "photos | png"] {
        let row = rows.lines().find_map(|line| line.strip_prefix(&format!("| plain | {scene} | ")));
        let cells: Vec<&str> = row.unwrap_or_else(|| panic!("no {scene} in {rows}")).split(" | ").collect();
        let [rate, alone] = [0, 1].map(|at| cells[at].parse::<f64>().expect("images a second"));
        let share: f64 = cells[2].trim_end_matches(" %").parse().expect("a share");
        assert!(rate > 0.0 && alone > 0.0 && (share - 100.0 * rate / alone).abs() < 2.0 + 100.0 / alone, "{rows}");
    }

    fs::remove_file(folder.path("data/photos/chelsea.jpg")).expect("the photo goes");
    fs::write(folder.path("data/photos/none.jpg"), "no picture").expect("a file");
    let ran = folder.run_whole(&[], &shortly);
    assert_eq!(ran.code, 1, "{}", ran.said);
    assert!(ran.said.contains("FAILED   archives through plain: explain photos npy, exit code 1"), "{}", ran.said);
}

#[test]
fn what_does_not_fit_into_the_time_is_left_out() {
    let folder = Folder::new();
    let ran = folder.run(&[], &["--backends", "cuda", "--minutes", "0.000001"]);
    assert_eq!(ran.code, 0, "{}", ran.said);
    for step in ["test kernels cuda::", "compute-sanitizer memcheck", "times of plain by cuda"] {
        assert_eq!(ran.step(step)["outcome"], "skipped", "{}", ran.said);
        assert_eq!(ran.step(step)["reason"], "the time of --minutes is over");
    }
    folder.script("tests/golden", "#!/bin/sh\necho running 1 test\nexec sleep 600\n");
    let ran = folder.run(&[], &["--backends", "cuda", "--minutes", "0.2", "--jobs", "4"]);
    assert_eq!((ran.code, &ran.step("test golden")["outcome"]), (0, &Value::from("cut")), "{}", ran.said);
    ran.all_passed(&["test kernels cuda::", "compute-sanitizer racecheck", "times of plain by cuda"]);
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

#[test]
fn vulkan_without_loader_or_driver_is_told() {
    let folder = Folder::new();
    let ran = folder.run(&[("VK_DRIVER_FILES", "/nowhere"), ("VK_ICD_FILENAMES", "/nowhere")], &["--backends", "wgpu"]);
    assert_eq!(ran.code, 1, "nothing is left to do");
    assert!(ran.said.contains("stopped: no device: no Vulkan, Metal or DX12 driver finds an adapter"), "{}", ran.said);

    fs::write(folder.path("driver/libvulkan.so.1"), "no library").expect("a file");
    let ran = folder.run(&[], &["--backends", "wgpu"]);
    assert_eq!(ran.code, 1);
    for words in ["libvulkan.so.1 does not load", "apt-get install libvulkan1"] {
        assert!(ran.said.contains(words), "no {words:?} in {}", ran.said);
    }
    let ran = folder.run(&[], &["--backends", "cuda,metal"]);
    assert!(ran.code == 2 && ran.said.contains("--backends: metal"), "{}", ran.said);
}

/// The binary, with one name for all devices; what a manifest of ours leads to is hardware.
const TWINS: &str = r#"#!/bin/sh
[ "$1" = devices ] || exec "$REAL" "$@"
[ -n "$VK_DRIVER_FILES" ] && hardware='s/"software":true/"software":false/'
"$REAL" "$@" | sed -e 's/"name":"[^"]*"/"name":"Twin"/g' -e "$hardware"
"#;

#[test]
fn the_folder_brings_what_vulkan_lacks_and_compares_with_cuda() {
    let folder = Folder::new();
    fs::remove_file(folder.path("bin/fluoroscope")).expect("the link goes");
    folder.script("bin/fluoroscope", TWINS);
    fs::write(folder.path("driver/libvulkan.so.1"), "no library").expect("a file");
    fs::copy(library("libvulkan.so.1"), folder.path("lib/vulkan/libvulkan.so.1")).expect("a loader");
    fs::copy(library("libvulkan_lvp.so"), folder.path("driver/libGLX_nvidia.so.0")).expect("a driver");
    let real = common::binary();
    let settings = [("REAL", real.to_str().expect("a path")), ("VK_LOADER_DRIVERS_SELECT", "*libGLX_nvidia*")];
    let ran = folder.run(&settings, &[]);
    assert_eq!(ran.code, 0, "{}", ran.said);
    ran.all_passed(&[
        "test kernels wgpu::",
        "test golden goldens_by_the_wgsl",
        "test wgpu memory::",
        "times of plain by cuda",
        "times of plain by wgpu",
    ]);
    let log = folder.read("results/logs/test-kernels-wgpu-.log");
    assert!(log.contains("running 1 test of system wgpu:: Twin"), "{log}");

    let vulkan = &ran.summary["facts"]["vulkan"];
    let is_in = |value: &Value, end: &str| value.as_str().is_some_and(|path| path.ends_with(end));
    assert!(is_in(&vulkan["loader"], "lib/vulkan/libvulkan.so.1"), "{vulkan}");
    assert!(is_in(&vulkan["manifests"][0], "results/libGLX_nvidia.json"), "{vulkan}");
    let lines = folder.read("results/bench/plain-wgpu.jsonl");
    let backend = |line| serde_json::from_str::<Value>(line).expect("JSON")["backend"].clone();
    assert_eq!(lines.lines().map(backend).collect::<Vec<_>>(), ["wgpu", "wgpu"]);
    assert!(folder.read("results/bench/plain-wgpu-gradient-1.svg").contains("roof"));

    let rows = folder.read("results/rows.md");
    let (cuda, wgpu) = rows.split_once("### Twin, wgpu").expect("a section for Vulkan");
    assert!(cuda.contains("### Twin, CUDA") && !cuda.contains("CUDA's ms"), "{cuda}");
    let time = |rows: &str, column: usize| -> f64 {
        let row = rows.lines().find(|line| line.starts_with("| plain | gradient | 1 |")).expect("a row");
        row.split('|').nth(column).and_then(|cell| cell.trim().parse().ok()).unwrap_or_else(|| panic!("{row}"))
    };
    let ratio = time(wgpu, 4) / time(cuda, 4);
    assert!((time(wgpu, 7) - ratio).abs() <= 0.006 + 0.01 * ratio, "{rows}");
    let shape = "| plain | gradient | conv2d_forward | 28x24x4 to 28x24x8, 3x3 | ";
    let row = wgpu.lines().find_map(|line| line.strip_prefix(shape)).expect("a row for the shape");
    let percents: Vec<f64> = row.split(" % |").filter_map(|cell| cell.trim().parse().ok()).collect();
    assert!(percents.len() == 2 && percents.iter().all(|percent| (0.0..=150.0).contains(percent)), "{row}");
}

/// What the folder's maker needs of a checkout, as links, and what is built, in `built/`: some executable in place of each.
fn checkout() -> TempDir {
    let checkout = tempfile::tempdir().expect("a temporary folder");
    let path = |name: &str| {
        let path = checkout.path().join(name);
        fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
        path
    };
    // It looks beside itself, wherever a link to it lies.
    fs::copy(common::root().join("benches/gpu/build"), path("benches/gpu/build")).expect("the maker");
    let scripts = ["run", "models.py", "tables.py", "archive.py", "vulkan.py", "README.md"];
    let scripts = scripts.map(|name| format!("benches/gpu/{name}"));
    let others = ["benches/peers.py", "benches/harness.py", "LICENSE-APACHE", "LICENSE-MIT", "NOTICE"];
    let data = ["data/golden", "data/chest", "data/models", "data/photos", "tests/fixtures/onnx"];
    for name in scripts.iter().map(String::as_str).chain(others).chain(data) {
        symlink(common::root().join(name), path(name)).expect("a link");
    }
    for name in BUILT {
        fs::copy("/bin/true", path(&format!("built/{name}"))).expect("an executable");
    }
    checkout
}

const BUILT: [&str; 7] = [
    "bin/fluoroscope",
    "tests/kernels",
    "tests/golden",
    "tests/cuda",
    "tests/wgpu",
    "benches/kernels",
    "benches/methods",
];

/// Makes the folder from what is built, beside the checkout's other files; whether that worked, and what was said.
fn make(checkout: &TempDir, options: &[&str]) -> (bool, String) {
    let mut command = Command::new("python3");
    command.args(["benches/gpu/build", "--binaries", "built", "--output", "made"]).args(options);
    let output = command.current_dir(checkout.path()).output().expect("python3 runs");
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    (output.status.success(), said)
}

#[test]
fn the_folder_has_all_that_a_machine_lacks() {
    let checkout = checkout();
    let loader = library("libvulkan.so.1");
    let (made, said) = make(&checkout, &["--vulkan-loader", loader.to_str().expect("a path")]);
    assert!(made && said.contains("in all, for machines with glibc 2."), "{said}");
    let folder = checkout.path().join("made");
    let files = |folder: PathBuf| -> Vec<_> {
        let entries = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
        entries.map(|entry| entry.expect("an entry").file_name()).collect()
    };
    let scripts = ["run", "models.py", "tables.py", "archive.py", "vulkan.py", "README.md", "LICENSE-MIT", "NOTICE"];
    let others = ["peers/peers.py", "peers/harness.py", "lib/vulkan/libvulkan.so.1", "lib/vulkan/NOTICE"];
    let data = ["data/models/efficientnet-lite0.onnx", "data/chest/chest-densenet.onnx", "data/photos/chelsea.jpg"];
    let data = data.into_iter().chain(["tests/fixtures/onnx/resnext.onnx"]);
    for name in BUILT.into_iter().chain(scripts).chain(others).chain(data) {
        assert!(folder.join(name).is_file(), "no {name}: {said}");
    }
    let is_read = |name: &std::ffi::OsString| {
        [".onnx", ".json", ".safetensors"].iter().any(|end| name.to_string_lossy().ends_with(end))
    };
    let mut golden = [common::root().join("data/golden"), folder.join("data/golden")].map(files);
    golden.iter_mut().for_each(|names| names.sort());
    let [wanted, found] = golden;
    assert_eq!(found, wanted.into_iter().filter(is_read).collect::<Vec<_>>());

    let manifest = fs::read_to_string(folder.join("manifest.json")).expect("a manifest");
    let manifest: Value = serde_json::from_str(&manifest).expect("JSON");
    assert_eq!(
        (&manifest["profile"], &manifest["commit"]),
        (&Value::Null, &Value::Null),
        "nobody says of what they are made"
    );
    assert!(manifest["vulkan_loader"].as_str().is_some_and(|name| name.starts_with("libvulkan.so.1")), "{manifest}");
    let help = Command::new(folder.join("run")).arg("--help").output().expect("the runner runs");
    assert!(help.status.success(), "{}", String::from_utf8_lossy(&help.stderr));

    // Made anew, without what is optional.
    let (made, said) = make(&checkout, &["--no-vulkan-loader", "--debug", "--models", "--python", "/bin/false"]);
    assert!(!made && said.contains("/bin/false ") && said.contains("the folder is whole without models"), "{said}");
    assert!(folder.join("tests/wgpu").is_file() && !folder.join("lib").exists() && !folder.join("benches").exists());
}

#[test]
fn a_piece_that_the_folder_would_lack_is_named() {
    let lost = [
        ("built/tests/wgpu", "built/tests/wgpu: no such file"),
        ("benches/harness.py", "benches/harness.py: no such file"),
        ("data/photos", "data/photos/*.jpg: no such file"),
    ];
    for (piece, named) in lost {
        let checkout = checkout();
        fs::remove_file(checkout.path().join(piece)).expect("the piece goes");
        let (made, said) = make(&checkout, &["--no-vulkan-loader"]);
        assert!(!made && said.contains(named) && !said.contains("Traceback"), "{piece}: {said}");
        assert!(!checkout.path().join("made").exists(), "{piece}: a folder is made");
    }
    let checkout = checkout();
    fs::create_dir_all(checkout.path().join("made/mine")).expect("a folder");
    let (made, said) = make(&checkout, &["--no-vulkan-loader"]);
    assert!(!made && said.contains("made is there and was not made by this script"), "{said}");
    let (made, said) = make(&checkout, &["--no-vulkan-loader", "--binaries", "made", "--output", "made"]);
    assert!(!made && said.contains("no such file"), "{said}");
    fs::write(checkout.path().join("built/manifest.json"), r#"{"commit": "abc", "profile": "debug"}"#)
        .expect("a manifest");
    let (made, said) = make(&checkout, &["--no-vulkan-loader", "--output", "built"]);
    assert!(!made && said.contains("has the binaries that are to be taken"), "{said}");
    assert!(BUILT.iter().all(|name| checkout.path().join("built").join(name).is_file()), "binaries are gone");
    let (made, said) = make(&checkout, &["--no-vulkan-loader", "--output", "another"]);
    assert!(made, "{said}");
    let manifest = fs::read_to_string(checkout.path().join("another/manifest.json")).expect("a manifest");
    let manifest: Value = serde_json::from_str(&manifest).expect("JSON");
    assert_eq!((&manifest["commit"], &manifest["profile"]), (&"abc".into(), &"debug".into()));
    let (made, said) = make(&checkout, &["--vulkan-loader", "nowhere.so"]);
    assert!(!made && said.contains("nowhere.so: no such file"), "{said}");
}

/// The tests of a target, named as a filter sees them.
fn tests_of(target: &str) -> Vec<String> {
    let folder = common::root().join("tests").join(target);
    let read = |path: PathBuf| fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    if !folder.is_dir() {
        return functions(&read(folder.with_extension("rs")), "");
    }
    let main = read(folder.join("main.rs"));
    let modules = main.lines().filter_map(|line| line.strip_prefix("mod ")?.strip_suffix(';'));
    let own = modules.map(|name| (name, folder.join(format!("{name}.rs")))).filter(|(_, path)| path.exists());
    let of_modules = own.flat_map(|(name, path)| functions(&read(path), &format!("{name}::")));
    functions(&main, "").into_iter().chain(of_modules).collect()
}

/// What stands behind `fn` after every `#[test]`.
fn functions(text: &str, module: &str) -> Vec<String> {
    let name = |after: &str| Some(format!("{module}{}", after.split_once("fn ")?.1.split_once('(')?.0));
    text.split("#[test]").skip(1).filter_map(name).collect()
}

/// A filter that matches nothing would be found on the machine with the device only.
#[test]
fn every_check_names_tests_that_exist() {
    let run = fs::read_to_string(common::root().join("benches/gpu/run")).expect("the runner");
    let (_, checks) = run.split_once("\nCHECKS = {").expect("the checks");
    let (checks, _) = checks.split_once("\n}").expect("their end");
    let targets: Vec<&str> = checks.split(']').filter(|target| target.contains('[')).collect();
    assert_eq!(targets.len(), 6, "{checks}");
    for target in targets {
        let (name, filters) = target.split_once('[').expect("a list");
        let tests = tests_of(name.rsplit('"').nth(1).expect("a name"));
        let filters: Vec<&str> = filters.split('"').skip(1).step_by(2).collect();
        assert!(!filters.is_empty(), "{target}");
        for filter in filters {
            assert!(tests.iter().any(|test| test.contains(filter)), "{filter} is in none of {tests:?}");
        }
    }
}
