//! Names of result files: `<stem>.<target>.<method>.<extension>`, no two alike in one run.

use std::collections::{HashMap, HashSet};
use std::ffi::OsStr;
use std::path::{Component, Path, PathBuf};

use super::args::Format;
use crate::explain::Target;

/// One stem for every file, relative to the output folder: the file's own, with as much of its folder in front as tells
/// equal stems apart, and with its extension where one folder has two of a stem.
pub fn stems(files: &[PathBuf]) -> Vec<PathBuf> {
    let bare: Vec<PathBuf> = files.iter().map(|file| PathBuf::from(stem(file))).collect();
    let with_folder: Vec<PathBuf> = files.iter().map(|file| folders(file).join(stem(file))).collect();
    let with_extension: Vec<PathBuf> =
        files.iter().map(|file| folders(file).join(file.file_name().unwrap_or(OsStr::new("input")))).collect();
    let shared = shared_folders(&with_folder, &bare);
    let [bare_count, folder_count] = [&bare, &with_folder].map(|names| counts(names));
    let of_file = |i: usize| {
        if bare_count[&bare[i]] == 1 {
            return bare[i].clone();
        }
        let names = if folder_count[&with_folder[i]] == 1 { &with_folder } else { &with_extension };
        names[i].strip_prefix(&shared).map_or_else(|_| names[i].clone(), Path::to_owned)
    };
    (0..files.len()).map(of_file).collect()
}

/// The folders that all files of a stem that is not unique have in common.
fn shared_folders(with_folder: &[PathBuf], bare: &[PathBuf]) -> PathBuf {
    let count = counts(bare);
    let mut doubles = with_folder.iter().zip(bare).filter(|(_, bare)| count[*bare] > 1).map(|(path, _)| path);
    let Some(first) = doubles.next().and_then(|path| path.parent()) else { return PathBuf::new() };
    let common = |a: PathBuf, b: &PathBuf| {
        let pairs = a.components().zip(b.parent().unwrap_or(Path::new("")).components());
        pairs.take_while(|(a, b)| a == b).map(|(a, _)| a).collect()
    };
    doubles.fold(first.to_owned(), common)
}

fn stem(file: &Path) -> &OsStr {
    file.file_stem().unwrap_or(OsStr::new("input"))
}

/// The named folders of a path: results stay below the output folder, whatever the path climbs.
fn folders(file: &Path) -> PathBuf {
    let parent = file.parent().unwrap_or(Path::new(""));
    parent.components().filter(|c| matches!(c, Component::Normal(_))).collect()
}

fn counts(names: &[PathBuf]) -> HashMap<PathBuf, usize> {
    let mut counts = HashMap::new();
    names.iter().for_each(|name| *counts.entry(name.clone()).or_default() += 1);
    counts
}

/// `<stem>.<label>.<extension>`
pub fn file_name(stem: &Path, label: &str, extension: &str) -> PathBuf {
    let mut name = stem.as_os_str().to_owned();
    name.push(format!(".{label}.{extension}"));
    name.into()
}

/// `<target>.<method>`, or `<target>.sheet`.
pub fn label(target: &str, method: &str, format: Format) -> String {
    format!("{target}.{}", if format == Format::Sheet { "sheet" } else { method })
}

/// The stems of a format's files: pictures have one for each image, others one for all.
pub fn stems_of(format: Format, stem: &Path, images: usize) -> Vec<PathBuf> {
    match format.is_drawn() {
        true => (0..images).map(|image| image_stem(stem, Some(image), images)).collect(),
        false => vec![stem.to_owned()],
    }
}

/// The stem of one image's own files, where `stem` is that of the source and of all its images.
pub fn image_stem(stem: &Path, image: Option<usize>, images: usize) -> PathBuf {
    let Some(image) = image.filter(|_| images > 1) else { return stem.to_owned() };
    let mut name = stem.as_os_str().to_owned();
    name.push(format!("-{image}"));
    name.into()
}

/// What stands for a target in the names of files of several images, whose best classes may differ.
pub fn ranked(target: &Target, images: usize, rank: usize) -> Option<String> {
    match target {
        Target::Top(1) if images > 1 => Some("top".to_owned()),
        Target::Top(_) if images > 1 => Some(format!("top{}", rank + 1)),
        _ => None,
    }
}

/// The paths written in this run, or found and kept.
#[derive(Default)]
pub struct Taken {
    paths: HashSet<PathBuf>,
}

impl FromIterator<PathBuf> for Taken {
    fn from_iter<T: IntoIterator<Item = PathBuf>>(paths: T) -> Self {
        Self { paths: paths.into_iter().collect() }
    }
}

impl Taken {
    /// `<stem>.<label>.<extension>` in `folder`; a name that is taken gets a number behind its stem.
    pub fn claim(&mut self, folder: &Path, stem: &Path, label: &str, extension: &str) -> PathBuf {
        let mut number = 1;
        loop {
            let mut stem = stem.as_os_str().to_owned();
            if number > 1 {
                stem.push(format!("-{number}"));
            }
            let path = folder.join(file_name(Path::new(&stem), label, extension));
            if self.paths.insert(path.clone()) {
                return path;
            }
            number += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_stems_keep_their_folders() {
        let cases: [(&[&str], &[&str]); 6] = [
            (&["a/x.png", "b/y.png"], &["x", "y"]),
            (&["in/a/x.png", "in/b/x.png", "in/b/y.png"], &["a/x", "b/x", "y"]),
            (&["a/x.png", "a/x.jpg"], &["x.png", "x.jpg"]),
            (&["x.png", "a/x.png"], &["x", "a/x"]),
            (&["../x.png", "/top/x.png"], &["x", "top/x"]),
            (&["a/x.png", "a/x.jpg", "b/x.png"], &["a/x.png", "a/x.jpg", "b/x"]),
        ];
        for (files, want) in cases {
            let files: Vec<PathBuf> = files.iter().map(PathBuf::from).collect();
            let want: Vec<PathBuf> = want.iter().map(PathBuf::from).collect();
            assert_eq!(stems(&files), want, "{files:?}");
        }
    }

    #[test]
    fn nothing_is_claimed_twice() {
        let mut taken = Taken::default();
        let mut claim = || taken.claim(Path::new("d"), Path::new("x"), "3.cam", "png");
        assert_eq!([claim(), claim()], [PathBuf::from("d/x.3.cam.png"), PathBuf::from("d/x-2.3.cam.png")]);
    }
}
