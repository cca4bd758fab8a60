//! Stream capture: work that is noted instead of done, until it becomes a graph.

use std::collections::BTreeMap;
use std::thread::ThreadId;

use crate::driver::Driver;
use crate::error::{Code, Error, Result};
use crate::graph::Graph;
use crate::handle::Handle;
use crate::op::Op;

/// How many items of each stream of a capture come before something.
pub(crate) type Clock = BTreeMap<Handle, u64>;

/// Which calls of which threads are refused meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    Global,
    ThreadLocal,
    Relaxed,
}

impl Mode {
    pub fn of(number: u32) -> Result<Self> {
        [Mode::Global, Mode::ThreadLocal, Mode::Relaxed].get(number as usize).copied().ok_or(Code::InvalidValue.into())
    }
}

#[derive(Debug)]
pub(crate) struct Capture {
    pub device: usize,
    origin: Handle,
    mode: Mode,
    thread: ThreadId,
    /// In the order of their calls, which is one that their dependencies allow.
    ops: Vec<Op>,
    clocks: BTreeMap<Handle, Clock>,
    /// A call that cannot be captured was made.
    broken: bool,
}

fn merge(clock: &mut Clock, other: &Clock) {
    for (stream, count) in other {
        let own = clock.entry(*stream).or_default();
        *own = (*own).max(*count);
    }
}

impl Driver {
    pub fn begin_capture(&mut self, stream: Handle, mode: Mode) -> Result<()> {
        let device = self.streams.get(stream)?.device;
        if !self.knobs.graphs {
            return Err(Error::new(Code::CaptureUnsupported, "streams cannot be captured"));
        }
        if stream == self.context(device)?.legacy {
            return Err(Error::new(Code::CaptureUnsupported, "the default stream cannot be captured"));
        }
        if self.streams.get(stream)?.capture.is_some() {
            return Err(Code::CaptureUnmatched.into());
        }
        let capture = self.captures.insert(Capture {
            device,
            origin: stream,
            mode,
            thread: std::thread::current().id(),
            ops: Vec::new(),
            clocks: BTreeMap::from([(stream, Clock::new())]),
            broken: false,
        });
        self.streams.get_mut(stream)?.capture = Some(capture);
        Ok(())
    }

    pub fn end_capture(&mut self, stream: Handle) -> Result<Handle> {
        let handle = self.streams.get(stream)?.capture.ok_or(Code::CaptureUnmatched)?;
        let capture = self.captures.get(handle)?;
        if capture.origin != stream {
            return Err(Code::CaptureUnmatched.into());
        }
        if capture.mode != Mode::Relaxed && capture.thread != std::thread::current().id() {
            return Err(Code::CaptureWrongThread.into());
        }
        let Capture { device, ops, clocks, broken, .. } = self.captures.remove(handle)?;
        for own in clocks.keys() {
            if let Ok(own) = self.streams.get_mut(*own) {
                own.capture = None;
            }
        }
        let seen = clocks.get(&stream).cloned().unwrap_or_default();
        let joined = |(own, clock): (&Handle, &Clock)| clock.get(own) <= seen.get(own);
        match (broken, clocks.iter().all(joined)) {
            (true, _) => Err(Code::CaptureInvalidated.into()),
            (_, false) => {
                Err(Error::new(Code::CaptureUnjoined, "a forked stream was not joined before the capture ended"))
            }
            _ => {
                self.counts.captures += 1;
                Ok(self.graphs.insert(Graph { device, ops: ops.into() }))
            }
        }
    }

    pub fn capture_op(&mut self, stream: Handle, op: Op) -> Result<()> {
        let capture = self.healthy_capture(stream)?;
        let capture = self.captures.get_mut(capture)?;
        *capture.clocks.entry(stream).or_default().entry(stream).or_default() += 1;
        capture.ops.push(op);
        Ok(())
    }

    /// What comes before the next item of a stream.
    pub fn capture_clock(&self, capture: Handle, stream: Handle) -> Result<Clock> {
        Ok(self.captures.get(capture)?.clocks.get(&stream).cloned().unwrap_or_default())
    }

    /// Makes a stream wait for an event of a capture, which draws the stream into it.
    pub fn join_capture(&mut self, stream: Handle, capture: Handle, clock: &Clock) -> Result<()> {
        let own = self.streams.get(stream)?.capture;
        if self.captures.find(capture).is_none() {
            own.into_iter().for_each(|own| self.break_capture(own));
            return Err(Code::CapturedEvent.into());
        }
        if own.is_some_and(|own| own != capture) {
            self.break_capture(capture);
            return Err(Code::CaptureMerge.into());
        }
        let device = self.streams.get(stream)?.device;
        if stream == self.context(device)?.legacy {
            self.break_capture(capture);
            return Err(Code::CaptureImplicit.into());
        }
        self.streams.get_mut(stream)?.capture = Some(capture);
        self.healthy_capture(stream)?;
        merge(self.captures.get_mut(capture)?.clocks.entry(stream).or_default(), clock);
        Ok(())
    }

    /// The capture of a stream, unless a call has spoilt it.
    fn healthy_capture(&self, stream: Handle) -> Result<Handle> {
        let capture = self.streams.get(stream)?.capture.ok_or(Code::CaptureUnmatched)?;
        if self.captures.get(capture)?.broken { Err(Code::CaptureInvalidated.into()) } else { Ok(capture) }
    }

    /// 0: not capturing, 1: capturing, 2: capturing in vain.
    pub fn capture_status(&self, stream: Handle) -> Result<u32> {
        let Some(capture) = self.streams.get(stream)?.capture else { return Ok(0) };
        Ok(if self.captures.get(capture)?.broken { 2 } else { 1 })
    }

    pub fn break_capture(&mut self, capture: Handle) {
        if let Ok(capture) = self.captures.get_mut(capture) {
            capture.broken = true;
        }
    }

    /// Takes a stream that ends out of a capture, which cannot be completed then.
    pub fn abandon_capture(&mut self, capture: Handle, stream: Handle) {
        self.break_capture(capture);
        if self.captures.find(capture).is_some_and(|capture| capture.origin == stream) {
            let members = self.captures.remove(capture).map(|capture| capture.clocks).unwrap_or_default();
            for member in members.keys() {
                if let Ok(member) = self.streams.get_mut(*member) {
                    member.capture = None;
                }
            }
        }
    }

    /// Refuses to wait for a stream whose work is only noted.
    pub fn refuse_capturing(&mut self, stream: Handle) -> Result<()> {
        let Some(capture) = self.streams.get(stream)?.capture else { return Ok(()) };
        self.break_capture(capture);
        Err(Code::CaptureUnsupported.into())
    }

    /// Refuses a call that may wait for the device, such as an allocation, where a capture is under way.
    pub fn refuse_unsafe_call(&mut self, name: &str) -> Result<()> {
        let here = std::thread::current().id();
        let refuses = |capture: &Capture| match capture.mode {
            Mode::Global => true,
            Mode::ThreadLocal => capture.thread == here,
            Mode::Relaxed => false,
        };
        let refusing: Vec<Handle> =
            self.captures.iter().filter(|(_, capture)| refuses(capture)).map(|(handle, _)| handle).collect();
        if refusing.is_empty() {
            return Ok(());
        }
        refusing.into_iter().for_each(|capture| self.break_capture(capture));
        Err(Error::new(Code::CaptureUnsupported, format!("{name} while a stream is being captured")))
    }
}
