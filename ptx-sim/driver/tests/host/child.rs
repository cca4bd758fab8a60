//! Tests that run in a process of their own, which finds the library as it would find a driver.

use std::path::PathBuf;
use std::process::{Command, Output};

use ptx_sim_driver::{Variant, install};

/// Set in the process of a test.
const INSIDE: &str = "PTX_SIM_TEST_INSIDE";

/// A folder that goes away with its value.
pub struct Folder(pub PathBuf);

impl Folder {
    pub fn new(name: &str) -> Self {
        let name = format!("ptx-sim-driver-{}-{}", std::process::id(), name.replace("::", "-"));
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).unwrap();
        Folder(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A test's process.
pub struct Child<'a> {
    /// The test's path in this program.
    pub name: &'a str,
    pub variant: Variant<'a>,
    pub knobs: &'a [(&'a str, &'a str)],
}

impl Child<'_> {
    /// Runs the body in the child; in the parent, gives what the child printed. A body that panics fails the parent too.
    #[track_caller]
    pub fn run(&self, body: impl FnOnce()) -> Option<String> {
        if std::env::var_os(INSIDE).is_some() {
            body();
            return None;
        }
        let folder = Folder::new(self.name);
        install(&folder.0, self.variant).unwrap();
        let Output { status, stdout, stderr } = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", self.name, "--nocapture", "--test-threads=1"])
            .env("LD_LIBRARY_PATH", &folder.0)
            .env_remove("CUDA_VISIBLE_DEVICES")
            .env(INSIDE, "1")
            .envs(self.knobs.iter().copied())
            .output()
            .unwrap();
        let (stdout, stderr) = (String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
        assert!(status.success(), "{}: {status}\n{stdout}\n{stderr}", self.name);
        assert!(stdout.contains("1 passed"), "{} is no test of this program\n{stdout}", self.name);
        Some(stderr.into_owned())
    }
}

/// Runs a body with the whole library and some knobs.
#[track_caller]
pub fn in_child(name: &str, knobs: &[(&str, &str)], body: impl FnOnce()) -> Option<String> {
    Child { name, variant: Variant::Whole, knobs }.run(body)
}
