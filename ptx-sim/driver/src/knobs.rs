//! Settings, read from the environment once a process. The README lists them.

use std::path::PathBuf;

use crate::error::Code;
use crate::pace::Pace;

/// When work runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// As soon as it is submitted.
    Eager,
    /// Not before something waits for it.
    Late,
}

/// Which of a row of calls fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FailAt {
    /// From 1.
    pub nth: u64,
    /// All later ones too.
    pub onwards: bool,
}

impl FailAt {
    pub fn hits(self, nth: u64) -> bool {
        nth == self.nth || self.onwards && nth > self.nth
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Knobs {
    /// Bytes of a device.
    pub memory: u64,
    pub fail_alloc: Option<FailAt>,
    pub fail_pinned: Option<FailAt>,
    /// The launch from which on everything fails, and how.
    pub fail_launch: Option<(u64, Code)>,
    /// How the instantiation of graphs fails.
    pub fail_graph: Option<Code>,
    /// Physical ordinals of the devices that are there and visible.
    pub devices: Vec<u32>,
    /// As `cuDriverGetVersion` gives it: 12080 is 12.8.
    pub driver_version: u32,
    /// The highest PTX version that is accepted.
    pub ptx_version: (u32, u32),
    pub capability: (u32, u32),
    /// Streams can be captured.
    pub graphs: bool,
    pub checks: bool,
    /// Launches run; else they are checked, counted without a row of their kernel, and leave memory as it is.
    pub runs: bool,
    /// How long work takes that is not done.
    pub pace: Option<Pace>,
    /// One schedule, or three whose results must be equal.
    pub seeds: Vec<u64>,
    pub max_instructions: u64,
    pub order: Order,
    pub report: Option<PathBuf>,
    /// Where texts go that are otherwise printed on the standard error.
    pub log: Option<PathBuf>,
}

/// A setting that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{name}=`{value}`: expected {expected}")]
pub(crate) struct BadKnob {
    name: &'static str,
    value: String,
    expected: &'static str,
}

impl Knobs {
    pub fn from_env() -> Result<Self, BadKnob> {
        Self::read(&|name| std::env::var_os(name).map(|value| value.to_string_lossy().into_owned()))
    }

    fn read(env: &dyn Fn(&str) -> Option<String>) -> Result<Self, BadKnob> {
        let devices = get(env, "PTX_SIM_DEVICES", "a number of devices", number)?.unwrap_or(1);
        let driver_version = get(env, "PTX_SIM_DRIVER_VERSION", "a version such as 12080", number)?.unwrap_or(12080);
        let driver_version = u32::try_from(driver_version).unwrap_or(u32::MAX);
        let pace = get(env, "PTX_SIM_PACE", "microseconds of a kernel, GB/s of a copy", Pace::read)?;
        let order = get(env, "PTX_SIM_ORDER", "eager or late", order)?.unwrap_or(Order::Eager);
        if pace.is_some() && order == Order::Late {
            // Work would begin when it is waited for.
            let value = "late".to_owned();
            return Err(BadKnob { name: "PTX_SIM_ORDER", value, expected: "eager, beside PTX_SIM_PACE" });
        }
        let ptx_version = get(env, "PTX_SIM_PTX_VERSION", "a version such as 8.0", version)?;
        Ok(Knobs {
            memory: get(env, "PTX_SIM_MEMORY", "bytes", number)?.unwrap_or(4 << 30),
            fail_alloc: get(env, "PTX_SIM_FAIL_ALLOC", "n or n+, from 1", fail_at)?,
            fail_pinned: get(env, "PTX_SIM_FAIL_PINNED", "n or n+, from 1", fail_at)?,
            fail_launch: get(env, "PTX_SIM_FAIL_LAUNCH", "n or n:code, from 1, with a code of CUDA", fail_launch)?,
            fail_graph: get(env, "PTX_SIM_FAIL_GRAPH", "a code of CUDA", code)?,
            devices: visible(devices, env("CUDA_VISIBLE_DEVICES").as_deref()),
            driver_version,
            ptx_version: ptx_version.unwrap_or_else(|| ptx_version_of(driver_version)),
            capability: get(env, "PTX_SIM_CAPABILITY", "a compute capability such as 8.0", version)?.unwrap_or((8, 0)),
            graphs: get(env, "PTX_SIM_GRAPHS", "0 or 1", switch)?.unwrap_or(true),
            checks: get(env, "PTX_SIM_CHECKS", "0 or 1", switch)?.unwrap_or(true),
            runs: get(env, "PTX_SIM_RUN", "0 or 1", switch)?.unwrap_or(true),
            pace,
            seeds: get(env, "PTX_SIM_SEED", "one number, or three with commas between", seeds)?.unwrap_or(vec![0]),
            max_instructions: get(env, "PTX_SIM_MAX_INSTRUCTIONS", "a number", number)?.unwrap_or(1 << 31),
            order,
            report: env("PTX_SIM_REPORT").map(PathBuf::from),
            log: env("PTX_SIM_LOG").map(PathBuf::from),
        })
    }
}

fn get<T>(
    env: &dyn Fn(&str) -> Option<String>,
    name: &'static str,
    expected: &'static str,
    parse: fn(&str) -> Option<T>,
) -> Result<Option<T>, BadKnob> {
    let Some(value) = env(name) else { return Ok(None) };
    match parse(&value) {
        Some(parsed) => Ok(Some(parsed)),
        None => Err(BadKnob { name, value, expected }),
    }
}

fn number(text: &str) -> Option<u64> {
    text.parse().ok()
}

fn switch(text: &str) -> Option<bool> {
    match text {
        "0" => Some(false),
        "1" => Some(true),
        _ => None,
    }
}

fn version(text: &str) -> Option<(u32, u32)> {
    let (major, minor) = text.split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

fn fail_at(text: &str) -> Option<FailAt> {
    let digits = text.strip_suffix('+');
    let nth = number(digits.unwrap_or(text)).filter(|nth| *nth > 0)?;
    Some(FailAt { nth, onwards: digits.is_some() })
}

fn fail_launch(text: &str) -> Option<(u64, Code)> {
    let (nth, code) = text.split_once(':').unwrap_or((text, "719"));
    Some((number(nth).filter(|nth| *nth > 0)?, self::code(code)?))
}

fn code(text: &str) -> Option<Code> {
    Code::of(text.parse().ok()?)
}

fn seeds(text: &str) -> Option<Vec<u64>> {
    let seeds = text.split(',').map(number).collect::<Option<Vec<u64>>>()?;
    [1, 3].contains(&seeds.len()).then_some(seeds)
}

fn order(text: &str) -> Option<Order> {
    match text {
        "eager" => Some(Order::Eager),
        "late" => Some(Order::Late),
        _ => None,
    }
}

/// The devices that `CUDA_VISIBLE_DEVICES` leaves: those named before the first name that is not a device.
fn visible(count: u64, list: Option<&str>) -> Vec<u32> {
    let is_device = |ordinal: &u32| u64::from(*ordinal) < count;
    match list {
        None => (0..u32::try_from(count).unwrap_or(u32::MAX)).collect(),
        Some(list) => list.split(',').map_while(|name| name.trim().parse().ok().filter(is_device)).collect(),
    }
}

/// The PTX version that came with a release of CUDA.
fn ptx_version_of(driver_version: u32) -> (u32, u32) {
    match (driver_version / 1000, driver_version % 1000 / 10) {
        (..11, _) => (6, 5),
        (11, minor) => (7, minor),
        (12, minor @ ..=5) => (8, minor),
        (12, minor) => (8, (minor - 1).min(8)),
        (_, minor) => (9, minor),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Result<Knobs, BadKnob> {
        let find = |name: &str| pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
        Knobs::read(&find)
    }

    #[test]
    fn defaults_are_a_device_of_8_0() {
        let knobs = read(&[]).unwrap();
        assert_eq!((knobs.devices, knobs.capability, knobs.ptx_version), (vec![0], (8, 0), (8, 7)));
        assert_eq!((knobs.checks, knobs.seeds, knobs.order), (true, vec![0], Order::Eager));
    }

    #[test]
    fn values_are_read() {
        let knobs = read(&[
            ("PTX_SIM_FAIL_ALLOC", "3+"),
            ("PTX_SIM_FAIL_PINNED", "2"),
            ("PTX_SIM_FAIL_LAUNCH", "7:700"),
            ("PTX_SIM_SEED", "1,2,3"),
            ("PTX_SIM_DEVICES", "3"),
            ("CUDA_VISIBLE_DEVICES", "2, 0,9,1"),
            ("PTX_SIM_DRIVER_VERSION", "11040"),
            ("PTX_SIM_ORDER", "late"),
        ]);
        let knobs = knobs.unwrap();
        let fails = knobs.fail_alloc.unwrap();
        assert_eq!([2, 3, 4].map(|n| fails.hits(n)), [false, true, true]);
        let fails = knobs.fail_pinned.unwrap();
        assert_eq!([1, 2, 3].map(|n| fails.hits(n)), [false, true, false]);
        assert_eq!(knobs.fail_launch, Some((7, Code::IllegalAddress)));
        assert_eq!((knobs.seeds, knobs.devices, knobs.ptx_version), (vec![1, 2, 3], vec![2, 0], (7, 4)));
        assert_eq!(knobs.order, Order::Late);
    }

    #[test]
    fn bad_values_are_named() {
        for (name, value) in [
            ("PTX_SIM_MEMORY", "1G"),
            ("PTX_SIM_FAIL_ALLOC", "0"),
            ("PTX_SIM_FAIL_LAUNCH", "1:12345"),
            ("PTX_SIM_FAIL_GRAPH", "12345"),
            ("PTX_SIM_SEED", "1,2"),
            ("PTX_SIM_CHECKS", "yes"),
            ("PTX_SIM_PACE", "5"),
            ("PTX_SIM_RUN", "no"),
            ("PTX_SIM_PTX_VERSION", "8"),
        ] {
            let error = read(&[(name, value)]).expect_err(name);
            assert!(error.to_string().starts_with(&format!("{name}=`{value}`: expected ")), "{error}");
        }
    }

    #[test]
    fn a_pace_wants_work_to_begin_at_once() {
        let error = read(&[("PTX_SIM_PACE", "1,1"), ("PTX_SIM_ORDER", "late")]).unwrap_err();
        assert_eq!(error.to_string(), "PTX_SIM_ORDER=`late`: expected eager, beside PTX_SIM_PACE");
        assert!(read(&[("PTX_SIM_PACE", "1,1"), ("PTX_SIM_ORDER", "eager")]).unwrap().pace.is_some());
    }

    /// As words of both files.
    #[test]
    fn the_readme_lists_them() {
        let names = |text: &'static str| {
            let words = text.split(|c: char| !c.is_ascii_uppercase() && c != '_');
            let knobs = words.filter(|word| word.starts_with("PTX_SIM_") && word.len() > 8);
            knobs.collect::<std::collections::BTreeSet<&str>>()
        };
        assert_eq!(names(include_str!("knobs.rs")), names(include_str!("../README.md")));
    }

    #[test]
    fn hidden_devices_are_gone() {
        for (list, want) in [("", vec![]), ("-1", vec![]), ("1", vec![1]), ("0,1", vec![0, 1]), ("1,5,0", vec![1])] {
            assert_eq!(visible(2, Some(list)), want, "{list}");
        }
    }

    #[test]
    fn releases_have_their_ptx() {
        for (driver, ptx) in
            [(11040, (7, 4)), (12000, (8, 0)), (12050, (8, 5)), (12060, (8, 5)), (12080, (8, 7)), (13000, (9, 0))]
        {
            assert_eq!(ptx_version_of(driver), ptx, "{driver}");
        }
    }
}
