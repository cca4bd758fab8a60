//! From names to files, with what is passed over on the way.

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};

use super::failure::Failure;
use super::inputs::{has_extension, is_array};
use crate::picture::decode::{DICOM_HINT, is_dicom};

const PICTURES: [&str; 6] = ["png", "jpg", "jpeg", "tif", "tiff", "webp"];

/// Kinds of files that hold pictures and are not read, by how their names end. DICOM's often have no such end.
const NOT_READ: [(&str, &[&str]); 12] = [
    ("DICOM", &[]),
    ("BMP", &["bmp"]),
    ("GIF", &["gif"]),
    ("HEIC", &["heic", "heif"]),
    ("AVIF", &["avif"]),
    ("JPEG 2000", &["jp2", "j2k", "jpx"]),
    ("JPEG XL", &["jxl"]),
    ("PNM", &["pgm", "ppm", "pnm"]),
    ("NIfTI", &["nii", "nii.gz"]),
    ("NRRD", &["nrrd"]),
    ("MetaImage", &["mha", "mhd"]),
    ("NPZ", &["npz"]),
];

/// What the names on the command line stand for.
#[derive(Default)]
pub struct Listing {
    /// Each once.
    pub files: Vec<PathBuf>,
    /// Names that could not be listed.
    pub failures: Vec<(PathBuf, Failure)>,
    /// What was passed over.
    pub notes: Vec<String>,
}

impl Listing {
    pub fn of(named: &[PathBuf]) -> Self {
        let (mut listing, mut seen) = (Self::default(), HashSet::new());
        for path in named {
            match listing.expand(path) {
                Ok(found) => {
                    let new = |file: &PathBuf| seen.insert(file.canonicalize().unwrap_or_else(|_| file.clone()));
                    listing.files.extend(found.into_iter().filter(new));
                }
                Err(failure) => listing.failures.push((path.clone(), failure)),
            }
        }
        listing
    }

    fn expand(&mut self, path: &Path) -> Result<Vec<PathBuf>, Failure> {
        let text = path.to_string_lossy();
        if path.is_dir() {
            return self.folder(path, text.trim_end_matches(['/', '\\']));
        }
        if path.exists() || !text.contains(['*', '?', '[']) {
            return Ok(vec![path.to_owned()]);
        }
        let matches = glob::glob(&text).map_err(|e| Failure::input(e).about(&text))?;
        let matches = matches.filter_map(Result::ok).filter(|found| !found.is_dir());
        let (found, passed) = sorted(matches);
        self.note(&text, &found, &passed, "")?;
        Ok(found)
    }

    /// The pictures and arrays directly in a folder, by name.
    fn folder(&mut self, path: &Path, name: &str) -> Result<Vec<PathBuf>, Failure> {
        let entries = std::fs::read_dir(path).map_err(|e| Failure::input(e).about(path.display()))?;
        let (found, passed) = sorted(entries.filter_map(Result::ok).map(|entry| entry.path()));
        let deeper = match passed.folders {
            0 => String::new(),
            _ => format!(" (name '{}/**/*' for what is in folders)", glob::Pattern::escape(name)),
        };
        self.note(&format!("{name}/"), &found, &passed, &deeper)?;
        Ok(found)
    }

    /// Says what of `name` was passed over; an error where that is all.
    fn note(&mut self, name: &str, found: &[PathBuf], passed: &Passed, more: &str) -> Result<(), Failure> {
        let dicom = passed.kinds.contains_key("DICOM").then_some(DICOM_HINT);
        let kinds = passed.text();
        if found.is_empty() {
            let but = kinds.map_or_else(String::new, |kinds| format!(", but {kinds}{more}"));
            let way_out = dicom.unwrap_or("PNG, JPEG, TIFF and WebP are read");
            return Err(Failure::input(format!("{name}: no picture and no .npy file here{but}; {way_out}")));
        }
        let hint = dicom.map_or_else(String::new, |hint| format!("; {hint}"));
        self.notes.extend(kinds.map(|kinds| format!("{name}: passed over {kinds}{more}{hint}")));
        Ok(())
    }
}

/// Files that are not read, and folders.
#[derive(Default)]
struct Passed {
    kinds: BTreeMap<&'static str, usize>,
    others: usize,
    folders: usize,
}

/// Inputs by name, and the rest.
fn sorted(paths: impl Iterator<Item = PathBuf>) -> (Vec<PathBuf>, Passed) {
    // Names that begin with a dot are nobody's pictures.
    let is_hidden = |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
    let paths = paths.filter(|path| !is_hidden(path));
    let (mut found, rest): (Vec<PathBuf>, Vec<PathBuf>) = paths.partition(|path| is_input(path));
    found.sort();
    let mut passed = Passed::default();
    rest.iter().for_each(|path| passed.count(path));
    (found, passed)
}

impl Passed {
    fn count(&mut self, path: &Path) {
        let name = path.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
        let ends = |(_, ends): &&(&str, &[&str])| ends.iter().any(|end| name.ends_with(&format!(".{end}")));
        if path.is_dir() {
            self.folders += 1;
        } else if path.is_file() && is_dicom(path) {
            *self.kinds.entry("DICOM").or_default() += 1;
        } else if let Some((kind, _)) = NOT_READ.iter().find(ends) {
            *self.kinds.entry(kind).or_default() += 1;
        } else {
            self.others += 1;
        }
    }

    /// `2 DICOM, 1 BMP, 3 others and 1 folder`
    fn text(&self) -> Option<String> {
        let known = NOT_READ.iter().filter_map(|(kind, _)| Some(format!("{} {kind}", self.kinds.get(kind)?)));
        let counted = |count: usize, one: &str| match count {
            0 => None,
            1 => Some(format!("1 {one}")),
            _ => Some(format!("{count} {one}s")),
        };
        let rest = [counted(self.others, "other"), counted(self.folders, "folder")];
        let mut parts: Vec<String> = known.chain(rest.into_iter().flatten()).collect();
        let last = parts.pop()?;
        Some(if parts.is_empty() { last } else { format!("{} and {last}", parts.join(", ")) })
    }
}

fn is_input(path: &Path) -> bool {
    path.is_file() && (is_array(path) || has_extension(path, &PICTURES))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A name and what is there.
    type Entry<'a> = (&'a str, &'a [u8]);

    fn folder(files: &[Entry]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("a folder");
        for (name, bytes) in files {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
            std::fs::write(path, bytes).expect("a file");
        }
        folder
    }

    fn dicom() -> Vec<u8> {
        [&[0; 128][..], b"DICM", &[2, 0, 0, 0]].concat()
    }

    #[test]
    fn what_is_passed_over_is_counted_by_kind() {
        let dicom = dicom();
        let files =
            ["IM001", "film.png.dcm", "a.png", "b.BMP", "c.nii.gz", "notes.txt", "x.csv", "deep/d.png", ".hidden"];
        let folder = folder(&files.map(|name| (name, if name == "IM001" { &dicom[..] } else { b"x" })));
        let listing = Listing::of(&[folder.path().to_owned()]);
        assert_eq!(listing.files, [folder.path().join("a.png")]);
        let name = folder.path().display();
        let want = format!(
            "{name}/: passed over 2 DICOM, 1 BMP, 1 NIfTI, 2 others and 1 folder \
             (name '{name}/**/*' for what is in folders); convert DICOM to 16-bit PNG first"
        );
        assert_eq!(listing.notes, [want]);

        let listing = Listing::of(&[folder.path().join("**/*")]);
        assert_eq!(listing.files, ["a.png", "deep/d.png"].map(|name| folder.path().join(name)));
        assert_eq!(listing.notes.len(), 1);
        assert!(listing.notes[0].contains("**/*: passed over 2 DICOM, 1 BMP, 1 NIfTI and 2 others; convert"));
        assert!(Listing::of(&[folder.path().join("*.png")]).notes.is_empty());
    }

    #[test]
    fn folders_of_other_things_only_are_errors() {
        let dicom = dicom();
        let cases: [(&[Entry], &str, &str); 3] = [
            (&[], "no picture and no .npy file here", "PNG, JPEG, TIFF and WebP are read"),
            (&[("IM001", &dicom)], "file here, but 1 DICOM", DICOM_HINT),
            (&[("x/y.png", b"x")], "/**/*' for what is in folders)", "PNG, JPEG, TIFF and WebP are read"),
        ];
        for (files, message, hint) in cases {
            let folder = folder(files);
            let (_, failure) = Listing::of(&[folder.path().to_owned()]).failures.remove(0);
            assert!(failure.message.contains(message), "{}", failure.message);
            assert_eq!(failure.hint.as_deref(), Some(hint));
        }
    }

    #[test]
    fn the_glob_that_is_named_works_whatever_the_folder_is_called() {
        let folder = folder(&[("a[1]/x/y.png", b"x"), ("a[1]/z.png", b"x")]);
        let listing = Listing::of(&[folder.path().join("a[1]")]);
        let glob = listing.notes[0].split('\'').nth(1).expect("a glob");
        assert_eq!(Listing::of(&[glob.into()]).files.len(), 2, "{glob}");
    }
}
