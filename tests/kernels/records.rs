//! Hardware records: what kernels gave on a device, replayed on the interpreter.
//!
//! A file of `tests/kernels/records/` is a device. Its first line says which, with its driver; every other line is a case of
//! the table: kernel, hash of its PTX, how many values came out, their hash, and some of them, as bits of f32; and, where
//! they are not the usual, how tensors are stored and for what chip the kernel was chosen. Where every instruction is
//! exactly specified, the interpreter has to give the same bits. Otherwise it has to come close.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use fluoroscope::backend::Backend;
use fluoroscope::backend::cuda::{CudaBackend, DeviceInfo, Driver, probe};
use fluoroscope::backend::gpu::{Chip, MatrixUnits, launch_on};
use fluoroscope::graph::Precision;
use fluoroscope::kernel;
use rayon::prelude::*;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::bench::{Bench, Setting};
use crate::cases::{self, Case};
use crate::common::{load_driver, root};
use crate::cuda;
use crate::sim::Simulator;

/// Two images, three messages each, views nested in bigger buffers.
const SETTING: Setting = Setting { images: 2, references: 1, messages: 3, nested: true };
/// Values of a case that are kept one by one.
const KEPT: usize = 12;
/// Where instructions are approximate or add in an order of the chip's own: units in the last place of the largest value.
const ULPS: f64 = 64.0;

/// What is on record of a device: how tensors are stored, for what chip kernels are chosen, by name (no name is the device's
/// own), and every how many cases.
const RECORDED: [(Precision, &str, usize); 6] = [
    (Precision::F32, "", 1),
    (Precision::F32, "large tiles", 1),
    (Precision::F32, "no matrix units", 1),
    (Precision::F16, "", 4),
    (Precision::F16, "large tiles", 2),
    (Precision::Bf16, "", 5),
];

/// The chip of a name, on a device that may have other kernels.
fn chip_of(name: &str, device: Chip) -> Result<Chip, String> {
    match name {
        "" => Ok(device),
        "large tiles" => Ok(Chip { processors: 0, ..device }),
        "no matrix units" => Ok(Chip { matrix_units: MatrixUnits::None, processors: 0 }),
        other => Err(format!("no chip is called {other:?}")),
    }
}

fn precision(name: &str) -> Option<Precision> {
    RECORDED.iter().map(|(stored, ..)| *stored).find(|stored| stored.to_string() == name)
}

/// A line of a file.
#[derive(Clone, Debug, PartialEq)]
struct Record {
    kernel: String,
    case: String,
    stored: Precision,
    /// See [`chip_of`].
    chip: String,
    /// Of the rendered text.
    ptx: String,
    count: usize,
    digest: String,
    /// The values kept: every `count / KEPT`-th.
    values: Vec<u32>,
}

/// What a kernel gave, or gives now.
struct Outcome {
    kernel: &'static str,
    ptx: String,
    /// Every instruction is exactly specified.
    exact: bool,
    bits: Vec<u32>,
}

impl Outcome {
    /// The bits of a case's outputs. What is not a number was not written, lanes outside of the views; the others' count is
    /// compared.
    fn of(bench: &Bench, backend: &dyn Backend, chip: Chip) -> Self {
        let program = bench.program();
        let launch = launch_on(chip, &program, &program.steps[0]).expect("a launch");
        let text = kernel::ptx(launch.stem, &launch.fused).expect("a text");
        let values = bench.run(backend, &bench.inputs).into_iter().flatten().filter(|v| !v.is_nan());
        let bits = values.map(|v| (v as f32).to_bits()).collect();
        let exact = !text.contains(".approx") && !["mma.sync", "wgmma."].iter().any(|units| text.contains(units));
        Self { kernel: launch.stem, ptx: hash(text.as_bytes()), exact, bits }
    }

    fn record(&self, case: &str, stored: Precision, chip: &str) -> Record {
        Record {
            kernel: self.kernel.to_owned(),
            case: case.to_owned(),
            stored,
            chip: chip.to_owned(),
            ptx: self.ptx.clone(),
            count: self.bits.len(),
            digest: hash(&self.bits.iter().flat_map(|bits| bits.to_le_bytes()).collect::<Vec<_>>()),
            values: kept(&self.bits),
        }
    }
}

/// Some of all values; all where there are few.
fn kept(bits: &[u32]) -> Vec<u32> {
    bits.iter().copied().step_by(bits.len().div_ceil(KEPT).max(1)).collect()
}

fn hash(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

impl Record {
    fn line(&self) -> String {
        let values: Vec<String> = self.values.iter().map(|bits| format!("{bits:08x}")).collect();
        let Self { kernel, case, ptx, count, digest, .. } = self;
        let mut line = json!({ "case": case, "kernel": kernel, "ptx": ptx, "count": count, "digest": digest,
            "values": values.join(" ") });
        if self.stored != Precision::F32 {
            line["stored"] = json!(self.stored.to_string());
        }
        if !self.chip.is_empty() {
            line["chip"] = json!(self.chip);
        }
        line.to_string()
    }

    fn parse(line: &str) -> Result<Self, String> {
        let object: Value = serde_json::from_str(line).map_err(|e| e.to_string())?;
        let text = |key: &str| object[key].as_str().map(str::to_owned).ok_or(format!("no text {key:?}"));
        let values = text("values")?;
        let values = values.split_whitespace().map(|word| u32::from_str_radix(word, 16).map_err(|e| e.to_string()));
        Ok(Self {
            kernel: text("kernel")?,
            case: text("case")?,
            stored: match object["stored"].as_str() {
                None => Precision::F32,
                Some(name) => precision(name).ok_or_else(|| format!("nothing is stored in {name:?}"))?,
            },
            chip: text("chip").unwrap_or_default(),
            ptx: text("ptx")?,
            count: object["count"].as_u64().ok_or("no count")? as usize,
            digest: text("digest")?,
            values: values.collect::<Result<_, _>>()?,
        })
    }

    /// What is wrong with a record, now that its case gives `now`.
    fn complaint(&self, now: &Outcome, tolerance: f64) -> Option<String> {
        let Self { kernel, case, .. } = self;
        let of_now = now.record(case, self.stored, &self.chip);
        if self.count != of_now.count || self.values.len() != of_now.values.len() {
            return Some(format!("{kernel}, {case}: {} values were recorded, there are {}", self.count, of_now.count));
        }
        let fresh = self.ptx == now.ptx;
        if fresh && now.exact {
            let first = self.values.iter().zip(&of_now.values).position(|(was, is)| was != is);
            let at = first.map_or("others than those kept".to_owned(), |at| format!("value {at} of those kept"));
            let differs = first.is_some() || self.digest != of_now.digest;
            return differs.then(|| format!("{kernel}, {case}: {at} differ in bits"));
        }
        let floats = |bits: &[u32]| bits.iter().map(|bits| f64::from(f32::from_bits(*bits))).collect::<Vec<_>>();
        let (was, is) = (floats(&self.values), floats(&of_now.values));
        let peak = floats(&now.bits).iter().fold(0f64, |peak, v| peak.max(v.abs()));
        let allowed = if fresh { ULPS * f64::from(f32::EPSILON) * peak } else { tolerance * (1.0 + peak) };
        let far = |(was, is): (&f64, &f64)| was.is_nan() || (was - is).abs() > allowed;
        let at = was.iter().zip(&is).position(far)?;
        Some(format!("{kernel}, {case}: value {at} of those kept was {:e}, is {:e}", was[at], is[at]))
    }
}

/// What a file is found to say.
#[derive(Debug, Default)]
struct Replay {
    complaints: Vec<String>,
    /// Cases whose kernel has another text now: they were compared at the tolerance of the case table.
    stale: Vec<String>,
    /// Kernels of which some text is as it was recorded.
    fresh: BTreeSet<String>,
    /// Kernels that are chosen for the table's cases on the device.
    chosen: BTreeSet<String>,
    count: usize,
}

/// The chip of a file's first line.
fn chip_on_record(head: &str) -> Result<Chip, String> {
    let head: Value = serde_json::from_str(head).map_err(|e| e.to_string())?;
    let capability = head["capability"].as_str().and_then(|text| text.split_once('.')).ok_or("no capability")?;
    let number = |text: &str| text.parse::<i32>().map_err(|e| format!("capability: {e}"));
    let capability = [number(capability.0)?, number(capability.1)?];
    let multiprocessors = head["multiprocessors"].as_u64().ok_or("no multiprocessors")? as u32;
    Ok(DeviceInfo { name: String::new(), capability, memory: 0, multiprocessors, driver: 12_000 }.chip())
}

/// Replays the lines of a file on the interpreter.
fn replay(text: &str, file: &str) -> Replay {
    let chip = match chip_on_record(text.lines().next().unwrap_or_default()) {
        Ok(chip) => chip,
        Err(reason) => return Replay { complaints: vec![format!("{file}:1: {reason}")], ..Replay::default() },
    };
    let simulator = Simulator::default();
    let one = |cases: &mut Vec<Case>, (number, line): (usize, &str)| {
        let place = format!("{file}:{}", number + 2);
        let record = Record::parse(line).map_err(|reason| format!("{place}: {reason}"))?;
        let case = cases.iter().find(|case| case.name == record.case);
        let case = case.ok_or_else(|| format!("{place}: no case is called {:?}; remove the line", record.case))?;
        let chip = chip_of(&record.chip, chip).map_err(|reason| format!("{place}: {reason}"))?;
        let bench = case.bench_in(SETTING, record.stored);
        let now = Outcome::of(&bench, &simulator.on(chip), chip);
        match record.complaint(&now, bench.tolerance() * bench.condition) {
            Some(complaint) => Err(format!("{place}: {complaint}")),
            None => Ok((record.ptx == now.ptx, record)),
        }
    };
    let lines: Vec<(usize, &str)> = text.lines().skip(1).enumerate().collect();
    let found: Vec<_> = lines.into_par_iter().map_init(cases::all, one).collect();
    let mut replay = Replay { count: found.len(), chosen: chosen(chip), ..Replay::default() };
    for result in found {
        match result {
            Ok((true, record)) => _ = replay.fresh.insert(record.kernel),
            Ok((false, record)) => replay.stale.push(record.case),
            Err(complaint) => replay.complaints.push(complaint),
        }
    }
    replay
}

/// What the table's cases take on a device, by all chips that are on record of one.
fn chosen(device: Chip) -> BTreeSet<String> {
    let chips = RECORDED.into_iter().filter(|(stored, ..)| *stored == Precision::F32);
    let chips: Vec<Chip> = chips.map(|(_, name, _)| chip_of(name, device).expect("a name")).collect();
    let benches = cases::all().into_iter().map(|case| case.bench_in(SETTING, Precision::F32));
    benches
        .flat_map(|bench| chips.iter().map(move |chip| stem_on(&bench, *chip).to_owned()).collect::<Vec<_>>())
        .collect()
}

/// Writes what these cases give on the first device, all that is [`RECORDED`], into a folder; gives the file.
pub fn write(folder: &Path, cases: &[Case], backend: impl Fn() -> CudaBackend, driver: &Driver) -> PathBuf {
    let device = &driver.devices[0];
    let [major, minor] = device.capability;
    let name = device.name.to_ascii_lowercase();
    let words: Vec<&str> = name.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty()).collect();
    let path = folder.join(format!("sm_{major}{minor}-{}.jsonl", words.join("-")));
    let head = json!({ "chip": device.name, "capability": format!("{major}.{minor}"),
        "multiprocessors": device.multiprocessors, "driver": driver.cuda });
    let lines = RECORDED.into_iter().flat_map(|(stored, name, every)| {
        let chip = chip_of(name, device.chip()).expect("a name");
        let backend = backend().choosing_for(chip);
        let of = |case: &Case| {
            let bench = case.bench_in(SETTING, stored);
            let is_another = name.is_empty() || stem_on(&bench, chip) != stem_on(&bench, device.chip());
            is_another.then(|| Outcome::of(&bench, &backend, chip).record(&case.name, stored, name).line())
        };
        cases.iter().step_by(every).filter_map(of).collect::<Vec<_>>()
    });
    let text: String = [head.to_string()].into_iter().chain(lines).map(|line| line + "\n").collect();
    let written = std::fs::create_dir_all(folder).and_then(|()| std::fs::write(&path, text));
    written.unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    path
}

/// The kernel that a chip takes for a case.
fn stem_on(bench: &Bench, chip: Chip) -> &'static str {
    let program = bench.program();
    launch_on(chip, &program, &program.steps[0]).expect("a launch").stem
}

#[test]
fn no_two_cases_have_one_name() {
    let mut names: Vec<String> = cases::all().into_iter().map(|case| case.name).collect();
    names.sort_unstable();
    let twins: Vec<_> = names.windows(2).filter(|pair| pair[0] == pair[1]).map(|pair| &pair[0]).collect();
    assert!(twins.is_empty(), "records would not tell them apart: {twins:?}");
}

#[test]
fn every_device_on_record_is_met() {
    let folder = root().join("tests/kernels/records");
    let mut complaints = Vec::new();
    let (mut chosen, mut fresh) = (BTreeSet::new(), BTreeSet::new());
    for entry in std::fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display())) {
        let path = entry.expect("an entry").path();
        if path.extension().is_some_and(|e| e == "jsonl") {
            let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
            let replay = replay(&text, &path.display().to_string());
            let (count, stale) = (replay.count, replay.stale.len());
            println!("{}: {count} cases, {stale} of other texts: {:?}", path.display(), replay.stale);
            complaints.extend(replay.complaints);
            chosen.extend(replay.chosen);
            fresh.extend(replay.fresh);
        }
    }
    assert!(complaints.is_empty(), "{} complaints\n{}", complaints.len(), complaints.join("\n"));
    let awaited: Vec<&String> = chosen.difference(&fresh).collect();
    let path = folder.join("awaited.txt");
    let listed = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    assert_eq!(awaited, listed.lines().collect::<Vec<_>>(), "{}", path.display());
}

#[test]
fn a_record_is_replayed_and_a_spoiled_one_is_found() {
    let cases: Vec<Case> = cases::all().into_iter().step_by(7).collect();
    let folder = tempfile::tempdir().expect("a temporary folder");
    load_driver();
    let path = write(folder.path(), &cases, cuda::backend, &probe().expect("a driver"));
    assert!(path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("sm_")), "{}", path.display());
    let text = std::fs::read_to_string(&path).expect("the record");
    let whole = replay(&text, "record");
    let (head, lines) = text.split_once('\n').expect("a head");
    let records: Vec<Record> = lines.lines().map(|line| Record::parse(line).expect("a record")).collect();
    assert_eq!((whole.count, &whole.complaints, &whole.stale), (records.len(), &vec![], &vec![]));
    assert!(text.len() < 400 * records.len(), "{} bytes", text.len());
    for (stored, chip, _) in RECORDED {
        let count = records.iter().filter(|record| (record.stored, record.chip.as_str()) == (stored, chip)).count();
        assert!(count > 0, "nothing is on record in {stored} for {chip:?}");
    }
    let is_exact = |record: &&Record| record.kernel == "conv2d_forward";
    let exact = records.iter().find(is_exact).expect("a convolution");
    let is_rounded = |record: &&Record| record.case.contains("Tanh") || record.case.contains("Gelu");
    let rounded = records.iter().find(is_rounded).expect("a case with approximate instructions");
    let spoil = |record: &Record, change: &dyn Fn(&mut Record)| {
        let mut spoiled = record.clone();
        change(&mut spoiled);
        let Replay { complaints, stale, .. } = replay(&format!("{head}\n{}\n", spoiled.line()), "record");
        (complaints.join("\n"), stale)
    };
    // The largest of the values kept, so many units in the last place away.
    let moved = |ulps: u32| {
        move |record: &mut Record| {
            let largest = record.values.iter_mut().max_by_key(|bits| **bits & 0x7fff_ffff).expect("values");
            *largest += ulps;
            record.digest = "0".repeat(16);
        }
    };
    let other_text = |record: &mut Record| record.ptx = "0".repeat(16);
    let none = (String::new(), vec![]);

    let (complaint, _) = spoil(exact, &moved(1));
    assert!(complaint.contains("record:2: ") && complaint.contains(&exact.case), "{complaint}");
    let (complaint, _) = spoil(exact, &|record| record.digest.replace_range(..1, "x"));
    assert!(complaint.contains("others than those kept differ in bits"), "{complaint}");
    assert_eq!(spoil(rounded, &moved(4)), none);
    let (complaint, _) = spoil(rounded, &moved(4000));
    assert!(complaint.contains("of those kept was"), "{complaint}");
    for record in [exact, rounded] {
        let (complaint, stale) = spoil(record, &|record| {
            other_text(record);
            moved(2)(record);
        });
        assert_eq!((complaint, stale), (String::new(), vec![record.case.clone()]));
        let (complaint, _) = spoil(record, &|record| {
            other_text(record);
            moved(1 << 20)(record);
        });
        assert!(complaint.contains("of those kept was"), "{complaint}");
        let (complaint, _) = spoil(record, &|record| record.count += 1);
        assert!(complaint.contains("values were recorded"), "{complaint}");
    }
    let (complaint, _) = spoil(exact, &|record| record.case += " of old");
    assert!(complaint.contains("no case is called") && complaint.contains("remove the line"), "{complaint}");
}
