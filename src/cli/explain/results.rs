//! What is said of each source: in the order of the sources, whichever is written first.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use serde_json::json;

use crate::cli::console::Console;
use crate::cli::failure::{Failure, INPUT};
use crate::cli::inputs::{Image, is_array};
use crate::cli::options::ExplainSettings;
use crate::cli::outputs::{Explained, Written};
use crate::cli::table::{Align, Table, error, shortened};
use crate::drawing::number;
use crate::explain::Heatmap;
use crate::model::Model;

/// Characters of a file name in the table, and of the place in an array behind it: `[9999]`.
const NAME: usize = 30;
const INDEX: usize = 6;

/// One thing that is said.
enum Said {
    Object(String),
    Row(String),
    Detail(String),
    Note(String),
    Failure(Failure),
}

/// All that is said of a source.
#[derive(Default)]
struct Outcome {
    said: Vec<Said>,
    images: usize,
    maps: usize,
}

/// What there was in all.
#[derive(Clone, Copy, Default)]
pub struct Totals {
    pub images: usize,
    pub maps: usize,
    /// Something was wrong with an input, or with a map.
    pub failed: bool,
}

#[derive(Default)]
struct State {
    /// The source that is next to be spoken of.
    next: usize,
    early: BTreeMap<usize, Outcome>,
    totals: Totals,
}

/// The results of all sources, from any thread.
pub struct Results<'a> {
    settings: &'a ExplainSettings,
    files: &'a [PathBuf],
    console: &'a Console,
    table: Table,
    state: Mutex<State>,
}

impl<'a> Results<'a> {
    pub fn new(settings: &'a ExplainSettings, model: &Model, files: &'a [PathBuf], console: &'a Console) -> Self {
        let index = |file: &PathBuf| if is_array(file) { INDEX } else { 0 };
        let name = |file: &PathBuf| file.file_name().map_or(0, |name| name.to_string_lossy().chars().count());
        let input = files.iter().map(|file| name(file).min(NAME) + index(file)).max().unwrap_or(NAME);
        let class = model.classes.iter().map(|class| class.chars().count()).max().unwrap_or(10);
        let table = Table::new(&[
            ("input", Align::Left, input),
            ("target", Align::Right, 6),
            ("class", Align::Left, class.min(24)),
            ("method", Align::Left, settings.methods.iter().map(|m| m.to_string().len()).max().unwrap_or(6)),
            ("logit", Align::Right, 9),
            ("prob", Align::Right, 6),
            ("sum", Align::Right, 9),
            ("error", Align::Right, 7),
        ]);
        Self { settings, files, console, table, state: Mutex::default() }
    }

    pub fn console(&self) -> &Console {
        self.console
    }

    pub fn file(&self, source: usize) -> &PathBuf {
        &self.files[source]
    }

    /// The file of an image, and its place in it.
    pub fn name(&self, image: &Image) -> String {
        image.called(self.files[image.source].display())
    }

    /// Says at once what is wrong with a name that stands for no source.
    pub fn fail(&self, named: &Path, failure: Failure) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        self.say(&mut state, Outcome { said: self.complaints(named, failure), ..Outcome::default() });
    }

    /// Nothing was written of a source.
    pub fn failed(&self, source: usize, failures: Vec<Failure>) {
        let said = failures.into_iter().flat_map(|failure| self.complaints(&self.files[source], failure)).collect();
        self.deliver(source, Outcome { said, ..Outcome::default() });
    }

    fn complaints(&self, input: &Path, failure: Failure) -> Vec<Said> {
        let Failure { message, hint, .. } = &failure;
        let error = hint.as_ref().map_or_else(|| message.clone(), |hint| format!("{message}; {hint}"));
        let object = self.settings.json.then(|| Said::Object(json!({ "input": input, "error": error }).to_string()));
        object.into_iter().chain([Said::Failure(failure)]).collect()
    }

    /// All maps of a source were written.
    pub fn written(&self, source: usize, images: &[Explained], written: &[Vec<Written>]) {
        let mut outcome = Outcome { images: images.len(), ..Outcome::default() };
        // An array's images, and a sheet's maps, share a file.
        let mut files = BTreeSet::new();
        for (image, written) in images.iter().zip(written) {
            for (heatmap, written) in image.maps.iter().zip(written) {
                self.describe(image, heatmap, written, &mut outcome.said);
                if !self.settings.json {
                    let new = written.files.iter().filter(|file| files.insert(*file));
                    outcome.said.extend(new.map(|file| Said::Detail(format!("wrote {}", file.display()))));
                }
                outcome.maps += 1;
            }
        }
        self.deliver(source, outcome);
    }

    /// Says what is left, and ends.
    pub fn finish(&self) -> Totals {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        for outcome in std::mem::take(&mut state.early).into_values() {
            self.say(&mut state, outcome);
        }
        state.totals
    }

    /// Says all of which it is the turn.
    fn deliver(&self, source: usize, outcome: Outcome) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.early.insert(source, outcome);
        while let Some(outcome) = {
            let next = state.next;
            state.early.remove(&next)
        } {
            self.say(&mut state, outcome);
            state.next += 1;
        }
    }

    fn say(&self, state: &mut State, outcome: Outcome) {
        if state.totals.maps == 0 && outcome.maps > 0 && !self.settings.json {
            self.console.row(&self.table.header());
        }
        for said in outcome.said {
            match said {
                Said::Object(object) => self.console.line(&object),
                Said::Row(row) => self.console.row(&row),
                Said::Detail(text) => self.console.detail(&text),
                Said::Note(text) => self.console.note(&text),
                Said::Failure(failure) => {
                    state.totals.failed = true;
                    self.console.failure(&failure);
                }
            }
        }
        state.totals.images += outcome.images;
        state.totals.maps += outcome.maps;
    }

    fn describe(&self, image: &Explained, heatmap: &Heatmap, written: &Written, said: &mut Vec<Said>) {
        if self.settings.json {
            said.push(Said::Object(written.record.to_string()));
        } else {
            said.push(Said::Row(self.table.row(&self.cells(image, heatmap))));
        }
        self.check(&self.name(&image.image), heatmap, said);
    }

    fn cells(&self, image: &Explained, heatmap: &Heatmap) -> Vec<String> {
        let file = &self.files[image.image.source];
        let name = file.file_name().unwrap_or(file.as_os_str()).to_string_lossy();
        let report = &heatmap.report;
        vec![
            shortened(&name, NAME) + &image.image.index.map_or_else(String::new, |index| format!("[{index}]")),
            heatmap.target.to_string(),
            heatmap.class.clone(),
            heatmap.method.to_string(),
            number(report.logit),
            format!("{:.3}", report.probability),
            number(report.sum),
            error(report.completeness_error),
        ]
    }

    /// Holds a map to `--max-error`, and says where it is not finite.
    fn check(&self, name: &str, heatmap: &Heatmap, said: &mut Vec<Said>) {
        let report = &heatmap.report;
        let map = format!("{} of {name}, class {}", heatmap.method, heatmap.class);
        if report.non_finite > 0 {
            let text = format!("{map}: {} values are not finite; try --precision f64", report.non_finite);
            said.push(Said::Note(text));
        }
        let Some((limit, error)) = self.settings.max_error.zip(report.completeness_error) else { return };
        if error.is_nan() || error > limit {
            let message = format!("{map}: completeness error {error:.2e} exceeds --max-error {limit:e}");
            said.push(Said::Failure(Failure { code: INPUT, message, hint: None }));
        }
    }
}
