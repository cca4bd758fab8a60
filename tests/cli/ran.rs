//! What a run of the binary did.

use std::process::Output;

/// No Vulkan driver is found with these.
pub const NO_VULKAN: [(&str, &str); 2] = [("VK_ICD_FILENAMES", "/nonexistent"), ("VK_DRIVER_FILES", "/nonexistent")];

pub struct Ran {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
    /// How its messages may begin.
    kinds: &'static [&'static str],
}

impl Ran {
    /// The end of a run, described by `what`, that neither panicked nor died of a signal.
    pub fn new(output: &Output, what: &str, kinds: &'static [&'static str]) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let code = output.status.code().unwrap_or_else(|| panic!("{what}: {}", output.status));
        let ran = Self { code, stdout: text(&output.stdout), stderr: text(&output.stderr), kinds };
        assert!(!ran.stderr.contains("panicked"), "{what}: {}", ran.stderr);
        ran
    }

    #[track_caller]
    pub fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, code, "stdout: {}\nstderr: {}", self.stdout, self.stderr);
        self
    }

    /// All of `words`, in lines that begin as they should.
    #[track_caller]
    pub fn says(self, words: &[&str]) -> Self {
        for word in words {
            assert!(self.stderr.contains(word), "no {word:?} in {}", self.stderr);
        }
        for line in self.stderr.lines().filter(|line| !line.is_empty()) {
            let known = self.kinds.iter().any(|start| line.starts_with(start));
            assert!(known, "a line of its own kind: {line:?}");
        }
        self
    }
}
