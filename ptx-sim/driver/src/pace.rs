//! Work that takes time in place of being done: what a program's host does meanwhile can be measured without a device.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use crate::error::{Code, Result};
use crate::handle::Handle;
use crate::op::{HostSpan, Op, Source};
use crate::stream::Point;

/// How long kernels and copies take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pace {
    kernel: Duration,
    bytes_per_second: u64,
}

/// What does one thing at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Engine {
    Compute,
    Upload,
    Download,
}

impl Pace {
    /// Microseconds of a kernel and GB/s of a copy, with a comma between.
    pub fn read(text: &str) -> Option<Self> {
        let (micros, rate) = text.split_once(',')?;
        let (micros, rate): (f64, f64) = (micros.parse().ok()?, rate.parse().ok()?);
        let (kernel, bytes_per_second) = (Duration::try_from_secs_f64(micros * 1e-6).ok()?, rate * 1e9);
        (bytes_per_second >= 1.0).then_some(Pace { kernel, bytes_per_second: bytes_per_second as u64 })
    }

    /// Who does the work, and for how long; copies within the device and marks take no time.
    pub fn cost(self, op: &Op) -> Vec<(Engine, Duration)> {
        let copy = |bytes: usize| Duration::from_secs_f64(bytes as f64 / self.bytes_per_second as f64);
        match op {
            Op::Launch(_) => vec![(Engine::Compute, self.kernel)],
            Op::CopyIn { from: Source::Host(HostSpan { len, .. }), .. } => vec![(Engine::Upload, copy(*len))],
            Op::CopyIn { from: Source::Staged(bytes), .. } => vec![(Engine::Upload, copy(bytes.len()))],
            Op::CopyOut { to, .. } => vec![(Engine::Download, copy(to.len))],
            Op::Graph(ops) => ops.iter().flat_map(|op| self.cost(op)).collect(),
            Op::CopyAcross { .. } | Op::Fill { .. } | Op::Free { .. } | Op::Stamp { .. } | Op::Join => Vec::new(),
        }
    }
}

/// When the devices come, or came, to what streams have asked for. Without a pace all is done when it is asked for.
#[derive(Debug)]
pub(crate) struct Clocks {
    /// When each engine of each device is free.
    free: Vec<[Option<Instant>; 3]>,
    /// When a stream's items end, in their order.
    ends: HashMap<Handle, Vec<Instant>>,
    /// That of the item at hand.
    now: Option<Instant>,
    /// When the caller goes on.
    pub awaited: Option<Instant>,
}

impl Clocks {
    pub fn new(devices: usize) -> Self {
        Clocks { free: vec![[None; 3]; devices], ends: HashMap::new(), now: None, awaited: None }
    }

    /// The item that ends at a point, after those before it and after others.
    pub fn pass(&mut self, device: usize, end: Point, after: &[Point], cost: Vec<(Engine, Duration)>) {
        let before = self.ends.get(&end.stream).and_then(|ends| ends.last().copied());
        let others = after.iter().filter_map(|point| self.end(*point));
        let mut time = others.chain(before).fold(Instant::now(), Instant::max);
        for (engine, takes) in cost {
            let free = &mut self.free[device][engine as usize];
            time = free.map_or(time, |free| time.max(free)) + takes;
            *free = Some(time);
        }
        self.ends.entry(end.stream).or_default().push(time);
        self.now = Some(time);
    }

    /// The time on the device.
    pub fn now(&self) -> Instant {
        self.now.unwrap_or_else(Instant::now)
    }

    /// `NotReady` where a device has not come to a point by now.
    pub fn has_passed(&self, point: Point) -> Result<()> {
        if self.end(point).is_some_and(|end| end > Instant::now()) { Err(Code::NotReady.into()) } else { Ok(()) }
    }

    pub fn wait_for(&mut self, point: Point) {
        self.awaited = self.awaited.max(self.end(point));
    }

    /// A stream that is gone.
    pub fn forget(&mut self, stream: Handle) {
        self.ends.remove(&stream);
    }

    fn end(&self, point: Point) -> Option<Instant> {
        let item = usize::try_from(point.count).ok()?.checked_sub(1)?;
        self.ends.get(&point.stream)?.get(item).copied()
    }
}

/// Lets a thread rest until a time.
pub(crate) fn sleep_until(time: Instant) {
    std::thread::sleep(time.saturating_duration_since(Instant::now()));
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_pace_is_two_numbers() {
        let pace = Pace { kernel: Duration::from_nanos(2500), bytes_per_second: 25_000_000_000 };
        assert_eq!(Pace::read("2.5,25"), Some(pace));
        for bad in ["", "1", "1,", "1,0", "-1,1", "1,-1", "1,nan", "nan,1", "1,1,1"] {
            assert_eq!(Pace::read(bad), None, "{bad}");
        }
        let from = Source::Host(HostSpan { start: 0, len: 50_000, pinned: true });
        let copy = Op::CopyIn { to: 0, from };
        let twice = Op::Graph([copy.clone(), Op::Join, copy].into());
        assert_eq!(pace.cost(&twice), [(Engine::Upload, Duration::from_micros(2)); 2]);
    }

    #[test]
    fn engines_work_beside_each_other_and_streams_wait() {
        let mut clocks = Clocks::new(1);
        let [a, b] = [Handle::fresh(), Handle::fresh()];
        let at = |stream, count| Point { stream, count };
        clocks.pass(0, at(a, 1), &[], vec![(Engine::Compute, 10 * SECOND)]);
        let first = clocks.now();
        assert_eq!(clocks.has_passed(at(a, 1)), Err(Code::NotReady.into()));
        // A copy of another stream ends while the kernel runs; the kernel after it waits for its engine.
        clocks.pass(0, at(b, 1), &[], vec![(Engine::Upload, SECOND)]);
        assert!(clocks.now() < first);
        clocks.pass(0, at(b, 2), &[], vec![(Engine::Compute, SECOND), (Engine::Compute, SECOND)]);
        assert_eq!(clocks.now(), first + 2 * SECOND);
        // What waits for another stream begins after that, and after its own.
        clocks.pass(0, at(a, 2), &[at(b, 2)], vec![(Engine::Download, SECOND)]);
        assert_eq!(clocks.now(), first + 3 * SECOND);
        clocks.pass(0, at(b, 3), &[at(a, 1)], Vec::new());
        assert_eq!(clocks.now(), first + 2 * SECOND);
        clocks.wait_for(at(b, 1));
        assert!(clocks.awaited.is_some_and(|awaited| awaited < first));
        clocks.wait_for(at(a, 2));
        assert_eq!(clocks.awaited, Some(first + 3 * SECOND));
    }
}
