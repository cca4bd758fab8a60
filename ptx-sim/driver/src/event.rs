//! Events: marks in streams, with the time when they were passed.

use std::time::Instant;

use crate::capture::Clock;
use crate::driver::Driver;
use crate::error::{Code, Result};
use crate::handle::Handle;
use crate::op::Op;
use crate::stream::Point;

/// `CU_EVENT_DISABLE_TIMING`
const DISABLE_TIMING: u32 = 2;

#[derive(Debug)]
pub(crate) struct Event {
    pub device: usize,
    flags: u32,
    state: State,
}

/// Where an event was last recorded.
#[derive(Clone, Debug)]
enum State {
    Never,
    Stream { point: Point, passed: Option<Instant> },
    Capture { capture: Handle, clock: Clock },
}

impl Driver {
    pub fn create_event(&mut self, device: usize, flags: u32) -> Handle {
        self.events.insert(Event { device, flags, state: State::Never })
    }

    pub fn record(&mut self, event: Handle, stream: Handle) -> Result<()> {
        self.events.get(event)?;
        let state = match self.streams.get(stream)?.capture {
            Some(capture) => State::Capture { capture, clock: self.capture_clock(capture, stream)? },
            None => {
                // The stamp comes after the state, which eager work would find missing otherwise.
                let mut point = self.end_of(stream)?;
                point.count += 1;
                State::Stream { point, passed: None }
            }
        };
        let in_stream = matches!(state, State::Stream { .. });
        let before = std::mem::replace(&mut self.events.get_mut(event)?.state, state);
        if !in_stream {
            return Ok(());
        }
        let recorded = self.enqueue(stream, Op::Stamp { event }, Vec::new());
        // A mark that the stream did not take would never be passed.
        if recorded.is_err() {
            self.events.get_mut(event)?.state = before;
        }
        recorded
    }

    /// Notes that a stream has come to the mark of an event, which may be gone by then.
    pub fn stamp(&mut self, event: Handle) {
        let now = self.clocks.now();
        if let Ok(Event { state: State::Stream { passed, .. }, .. }) = self.events.get_mut(event) {
            *passed = Some(now);
        }
    }

    /// Makes the later work of a stream wait for an event.
    pub fn wait(&mut self, stream: Handle, event: Handle) -> Result<()> {
        let capture = self.streams.get(stream)?.capture;
        match (capture, self.events.get(event)?.state.clone()) {
            (_, State::Never) => Ok(()),
            (None, State::Stream { point, .. }) => self.enqueue(stream, Op::Join, vec![point]),
            (Some(capture), State::Stream { .. }) => {
                self.break_capture(capture);
                Err(Code::CaptureIsolation.into())
            }
            (_, State::Capture { capture, clock }) => self.join_capture(stream, capture, &clock),
        }
    }

    pub fn query_event(&mut self, event: Handle) -> Result<()> {
        let Some(point) = self.point_of(event)? else { return Ok(()) };
        if self.is_done(point) {
            return self.clocks.has_passed(point);
        }
        // A loop that asks until the work is done must come to its end.
        self.step(point.stream)?;
        Err(Code::NotReady.into())
    }

    pub fn synchronize_event(&mut self, event: Handle) -> Result<()> {
        self.point_of(event)?.map_or(Ok(()), |point| self.wait_for(point))
    }

    /// Milliseconds of the host between two events.
    pub fn elapsed(&mut self, start: Handle, end: Handle) -> Result<f32> {
        let (start, end) = (self.time_of(start)?, self.time_of(end)?);
        let millis =
            end.saturating_duration_since(start).as_secs_f64() - start.saturating_duration_since(end).as_secs_f64();
        Ok((millis * 1e3) as f32)
    }

    fn time_of(&self, event: Handle) -> Result<Instant> {
        let Event { flags, state, .. } = self.events.get(event)?;
        match state {
            State::Capture { .. } => Err(Code::CapturedEvent.into()),
            State::Stream { point, passed } if flags & DISABLE_TIMING == 0 => {
                self.clocks.has_passed(*point)?;
                // An earlier mark of the same event may be passed already.
                Ok(passed.filter(|_| self.is_done(*point)).ok_or(Code::NotReady)?)
            }
            _ => Err(Code::InvalidHandle.into()),
        }
    }

    fn point_of(&self, event: Handle) -> Result<Option<Point>> {
        match &self.events.get(event)?.state {
            State::Never => Ok(None),
            State::Stream { point, .. } => Ok(Some(*point)),
            State::Capture { .. } => Err(Code::CapturedEvent.into()),
        }
    }
}
