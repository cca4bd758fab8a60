//! Puts the library where a program looks for the driver.

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::path::{Path, PathBuf};

/// A library that differs from the whole one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Variant<'a> {
    /// All functions.
    Whole,
    /// A driver that lacks a function, as older ones do.
    Without(&'a str),
    /// A file of no bytes.
    Empty,
    /// A file that is no library.
    Garbage,
}

/// Why the library could not be put in place.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InstallError {
    #[error("no {LIBRARY} in {searched:?}; build it with `cargo build -p ptx-sim-driver`")]
    NotBuilt { searched: Vec<PathBuf> },
    #[error("the library has no function {0}")]
    NoSuchFunction(String),
    #[error("{}: {error}", .path.display())]
    Io {
        path: PathBuf,
        #[source]
        error: std::io::Error,
    },
    #[error("the library cannot be loaded: {0}")]
    NotLoaded(String),
}

const LIBRARY: &str = "libptx_sim_driver.so";

/// Names under which programs ask for the driver.
const NAMES: [&str; 2] = ["libcuda.so", "libcuda.so.1"];

/// The built library: next to the running program, in its `deps`, or in a folder above, as cargo lays them out.
///
/// # Errors
/// Where it is in none of them.
pub fn library() -> Result<PathBuf, InstallError> {
    let program = std::env::current_exe().map_err(|error| InstallError::Io { path: PathBuf::new(), error })?;
    let folders = program.ancestors().skip(1).take(3);
    let searched: Vec<PathBuf> = folders.flat_map(|folder| [folder.join("deps"), folder.to_owned()]).collect();
    let found = searched.iter().map(|folder| folder.join(LIBRARY)).find(|path| path.is_file());
    found.ok_or(InstallError::NotBuilt { searched })
}

/// Puts the library into a folder under the names by which programs look for the driver. A program finds it with the folder
/// in `LD_LIBRARY_PATH`.
///
/// # Errors
/// Where it is not built, lacks the function of [`Variant::Without`], or cannot be written.
pub fn install(folder: &Path, variant: Variant<'_>) -> Result<(), InstallError> {
    let io = |path: &Path| {
        let path = path.to_owned();
        move |error| InstallError::Io { path, error }
    };
    let content = match variant {
        Variant::Empty => Vec::new(),
        Variant::Garbage => b"this is no library".repeat(64),
        Variant::Whole | Variant::Without(_) => {
            let path = library()?;
            std::fs::read(&path).map_err(io(&path))?
        }
    };
    let content = match variant {
        Variant::Without(name) => without(content, name)?,
        _ => content,
    };
    std::fs::create_dir_all(folder).map_err(io(folder))?;
    for name in NAMES {
        let path = folder.join(name);
        std::fs::write(&path, &content).map_err(io(&path))?;
    }
    Ok(())
}

unsafe extern "C" {
    fn dlopen(path: *const c_char, flags: c_int) -> *mut c_void;
    fn dlerror() -> *const c_char;
}

/// `RTLD_NOW`
const NOW: c_int = 2;

/// Loads the library into this process, after which whoever asks for `libcuda.so` gets it. Settings are those of the
/// environment when the first function is called.
///
/// # Errors
/// Where it is not built, or cannot be loaded.
pub fn preload() -> Result<(), InstallError> {
    let path = library()?;
    let name =
        CString::new(path.as_os_str().as_encoded_bytes()).map_err(|_| InstallError::NotLoaded("its path".into()))?;
    // SAFETY: the path ends with a zero, and the library does nothing when it is loaded.
    if unsafe { dlopen(name.as_ptr(), NOW) }.is_null() {
        // SAFETY: after a failure there is a text, which stays until the next call.
        let text = unsafe { CStr::from_ptr(dlerror()) };
        return Err(InstallError::NotLoaded(text.to_string_lossy().into_owned()));
    }
    Ok(())
}

/// Renames a function in the library's tables of names. Its length stays, hence all offsets do, and nobody finds it.
fn without(mut library: Vec<u8>, name: &str) -> Result<Vec<u8>, InstallError> {
    let pattern = [b"\0", name.as_bytes(), b"\0"].concat();
    let mut found = false;
    let mut at = 0;
    while let Some(next) = library[at..].windows(pattern.len()).position(|window| window == pattern) {
        at += next + 1;
        library[at] = b'#';
        found = true;
    }
    if found { Ok(library) } else { Err(InstallError::NoSuchFunction(name.to_owned())) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_changed_as_a_whole() {
        let library = b"\0cuInit\0cuInit_v2\0cuInit\0".to_vec();
        assert_eq!(without(library.clone(), "cuInit").unwrap(), b"\0#uInit\0cuInit_v2\0#uInit\0");
        assert!(matches!(without(library, "cuIn"), Err(InstallError::NoSuchFunction(_))));
    }
}
