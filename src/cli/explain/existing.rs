//! Which inputs are still to be explained. Files are written whole, so an input of which all are there is done.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::path::{Path, PathBuf};

use crate::cli::args::Format;
use crate::cli::inputs::is_array;
use crate::cli::names::{file_name, label, ranked, stems, stems_of};
use crate::cli::options::ExplainSettings;
use crate::explain::Target;
use crate::model::Model;
use crate::picture::NpyImages;

/// Sources to be explained.
#[derive(Default)]
pub struct Todo {
    pub files: Vec<PathBuf>,
    /// Of the files' results, one each.
    pub stems: Vec<PathBuf>,
    /// Images of done sources that come before each: noise depends on an image's place in the run.
    pub skipped: Vec<usize>,
    /// Files of done sources.
    pub written: Vec<PathBuf>,
}

impl Todo {
    /// All sources, or those of which not all files are there.
    pub fn of(files: Vec<PathBuf>, settings: &ExplainSettings, model: &Model) -> Self {
        let stems = stems(&files);
        if !settings.skip_existing {
            return Self { skipped: vec![0; files.len()], files, stems, written: Vec::new() };
        }
        let existing = Existing::new(settings, model, &stems);
        let (mut todo, mut skipped) = (Self::default(), 0);
        for (file, stem) in files.into_iter().zip(stems) {
            let images = images(&file);
            if let Some(found) = existing.files_of(&stem, images) {
                skipped += images;
                todo.written.extend(found);
                continue;
            }
            todo.files.push(file);
            todo.stems.push(stem);
            todo.skipped.push(skipped);
        }
        todo
    }
}

/// Images in a file; one that cannot be read fails later.
fn images(file: &Path) -> usize {
    let array = is_array(file).then(|| NpyImages::open(file).ok()).flatten();
    array.map_or(1, |array| if array.shape().len() == 4 { array.shape()[0] } else { 1 })
}

/// The results in the output folder.
struct Existing<'a> {
    settings: &'a ExplainSettings,
    /// The classes that are explained, where they do not depend on the image; else how many they are.
    targets: Result<Vec<String>, usize>,
    files: HashSet<PathBuf>,
    /// Classes of which there are files, by the path up to them.
    classes: HashMap<PathBuf, BTreeSet<usize>>,
}

impl<'a> Existing<'a> {
    fn new(settings: &'a ExplainSettings, model: &Model, stems: &[PathBuf]) -> Self {
        let logits = vec![0.0; model.graph.shape(model.graph.output).len()];
        let targets = match &settings.target {
            Target::Top(count) => Err(*count.min(&logits.len())),
            // Whether the model has them was checked before.
            target => {
                Ok(target.resolve(&logits, &model.classes).unwrap_or_default().iter().map(usize::to_string).collect())
            }
        };
        let folders: BTreeSet<PathBuf> =
            stems.iter().filter_map(|stem| settings.output.join(stem).parent().map(Path::to_owned)).collect();
        let entries = folders.iter().filter_map(|folder| std::fs::read_dir(folder).ok()).flatten();
        let files: HashSet<PathBuf> = entries.filter_map(Result::ok).map(|entry| entry.path()).collect();
        let mut classes: HashMap<PathBuf, BTreeSet<usize>> = HashMap::new();
        for (stem, class) in files.iter().filter_map(|file| class_of(file)) {
            classes.entry(stem).or_default().insert(class);
        }
        Self { settings, targets, files, classes }
    }

    /// Files of a source, if all are there. Of an image whose best classes are explained, files of as many classes will do: which
    /// they are, the network alone could tell.
    fn files_of(&self, stem: &Path, images: usize) -> Option<Vec<PathBuf>> {
        let found = |target: &String| self.files_of_target(stem, images, target);
        let lists: Vec<Vec<PathBuf>> = match &self.targets {
            Ok(targets) => targets.iter().map(found).collect::<Option<_>>()?,
            Err(count) if images > 1 => {
                let names = (0..*count).filter_map(|rank| ranked(&self.settings.target, images, rank));
                names.map(|name| found(&name)).collect::<Option<_>>()?
            }
            Err(count) => {
                let classes = self.classes.get(&self.settings.output.join(stem)).into_iter().flatten();
                let lists: Vec<Vec<PathBuf>> = classes.filter_map(|class| found(&class.to_string())).collect();
                if lists.len() < *count {
                    return None;
                }
                lists
            }
        };
        Some(lists.concat())
    }

    fn files_of_target(&self, stem: &Path, images: usize, target: &str) -> Option<Vec<PathBuf>> {
        let of_format = |method: &str, format: Format| -> Vec<PathBuf> {
            let label = label(target, method, format);
            let stems = stems_of(format, stem, images);
            stems.iter().map(|stem| file_name(stem, &label, format.extension())).collect()
        };
        let methods = self.settings.methods.iter().map(ToString::to_string);
        let names = methods.flat_map(|method| {
            self.settings.formats.iter().flat_map(move |format| of_format(&method, *format)).collect::<Vec<_>>()
        });
        let path = |name: PathBuf| Some(self.settings.output.join(name)).filter(|path| self.files.contains(path));
        names.map(path).collect()
    }
}

/// The path up to the class in `<stem>.<class>.<method>.<extension>`, and the class.
fn class_of(file: &Path) -> Option<(PathBuf, usize)> {
    let mut parts = file.file_name()?.to_str()?.rsplitn(4, '.').skip(2);
    let (class, stem) = (parts.next()?.parse().ok()?, parts.next()?);
    Some((file.with_file_name(stem), class))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_are_read_from_names() {
        let of = |name: &str| class_of(Path::new(name));
        assert_eq!(of("out/a.b.12.grad-cam.npy"), Some(("out/a.b".into(), 12)));
        for name in ["out/a.top.grad-cam.npy", "out/12.grad-cam.npy", "a.png", "a"] {
            assert_eq!(of(name), None, "{name}");
        }
    }
}
