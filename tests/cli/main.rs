//! The real binary in temporary folders: what it prints, writes and returns.

mod cards;
mod commands;
mod explain;
mod formats;
mod ran;
mod refusals;
mod resume;

use std::path::{Path, PathBuf};
use std::process::Command;

use fluoroscope::picture::{read_array, write_npy};
use fluoroscope::tensor::Tensor;
use serde_json::Value;
use tempfile::TempDir;

use ran::{NO_VULKAN, Ran};

/// A temporary folder in which the binary runs.
struct Scene {
    folder: TempDir,
}

impl Scene {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().expect("a temporary folder") }
    }

    fn path(&self, name: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
        path
    }

    /// A picture of `width` x `height` with a bright square.
    fn picture(&self, name: &str, width: u32, height: u32) -> PathBuf {
        let path = self.path(name);
        let inside = |x, y| x > width / 3 && y > height / 3 && x < width / 2 && y < height / 2;
        let at = |x, y| image::Rgb(if inside(x, y) { [250, 200, 90] } else { [(x * 3 % 200) as u8, 60, 40] });
        image::RgbImage::from_fn(width, height, at).save(&path).expect("a picture");
        path
    }

    /// An array of the given shape, different in every element.
    fn array(&self, name: &str, shape: &[usize]) -> PathBuf {
        let path = self.path(name);
        let count: usize = shape.iter().product();
        let value = |i: usize| (i as f32 * 0.37).sin();
        write_npy(&path, &Tensor::new(shape, (0..count).map(value).collect())).expect("an array");
        path
    }

    fn file(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, bytes).expect("a file");
        path
    }

    /// The binary, which finds no GPU, also on a machine with one: these tests are the CPU's.
    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_fluoroscope"));
        command.args(args).current_dir(self.folder.path()).env("CUDA_VISIBLE_DEVICES", "-1").envs(NO_VULKAN);
        command
    }

    fn run(&self, args: &[&str]) -> Ran {
        let output = self.command(args).output().expect("the binary runs");
        Ran::new(&output, &format!("{args:?}"), &["error: ", "hint: ", "note: "])
    }

    /// Files below `name`, relative and sorted.
    fn listing(&self, name: &str) -> Vec<String> {
        let top = self.folder.path().join(name);
        let (mut open, mut found) = (vec![top.clone()], Vec::new());
        while let Some(folder) = open.pop() {
            for entry in std::fs::read_dir(folder).into_iter().flatten() {
                let path = entry.expect("an entry").path();
                if path.is_dir() {
                    open.push(path);
                } else {
                    found.push(path.strip_prefix(&top).expect("below").to_string_lossy().replace('\\', "/"));
                }
            }
        }
        found.sort();
        found
    }

    fn array_at(&self, name: &str) -> Tensor {
        read_array(&self.folder.path().join(name)).expect("a written array")
    }
}

impl Ran {
    fn objects(&self) -> Vec<Value> {
        self.stdout.lines().map(|line| serde_json::from_str(line).expect("a JSON line")).collect()
    }
}

/// A file of `data/`.
fn data(name: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("data").join(name).display().to_string()
}

fn plain() -> String {
    data("golden/plain.onnx")
}

fn rnet() -> String {
    data("models/rnet.onnx")
}

/// Input shape of the plain golden network.
fn plain_shape() -> [usize; 3] {
    let model = fluoroscope::model::Model::open(plain()).expect("a model");
    let shape = model.input();
    [shape.channels, shape.height, shape.width]
}

#[test]
fn every_command_has_help() {
    let scene = Scene::new();
    assert!(scene.run(&["--help"]).exits(0).stdout.contains("Exit codes"));
    assert!(scene.run(&["--version"]).exits(0).stdout.starts_with("fluoroscope "));
    for command in ["explain", "inspect", "devices", "compare", "bench", "demo", "completions", "man"] {
        let help = scene.run(&[command, "--help"]).exits(0).stdout;
        assert!(help.contains("Usage: fluoroscope"), "{command}: {help}");
        assert!(help.contains("Examples:") || command == "devices", "{command} has no examples");
    }
    assert!(scene.run(&[]).exits(2).stderr.contains("Usage"));
}
