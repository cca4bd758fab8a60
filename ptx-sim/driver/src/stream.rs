//! Streams: queues of work, each item after the one before it and after those of other streams that it waits for.

use std::collections::VecDeque;

use crate::driver::Driver;
use crate::error::{Code, Result};
use crate::handle::Handle;
use crate::knobs::Order;
use crate::op::Op;

/// A place in a stream: its first `count` items.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Point {
    pub stream: Handle,
    pub count: u64,
}

#[derive(Debug)]
pub(crate) struct Stream {
    pub device: usize,
    /// Ordered with the default stream.
    pub blocking: bool,
    pub priority: i32,
    /// The capture that its work goes to.
    pub capture: Option<Handle>,
    queue: VecDeque<(Op, Vec<Point>)>,
    submitted: u64,
    done: u64,
}

impl Stream {
    pub fn new(device: usize, blocking: bool, priority: i32) -> Self {
        Stream { device, blocking, priority, capture: None, queue: VecDeque::new(), submitted: 0, done: 0 }
    }
}

impl Driver {
    /// The stream that a caller names in a context. 1 and 2 are names of the default stream; the one per thread is taken
    /// for it too.
    pub fn stream(&self, device: usize, named: Handle) -> Result<Handle> {
        if named.0 <= 2 {
            return Ok(self.context(device)?.legacy);
        }
        let stream = self.streams.get(named)?;
        if stream.device == device { Ok(named) } else { Err(Code::InvalidHandle.into()) }
    }

    /// Appends work to a stream, or to the capture that the stream is in.
    pub fn submit(&mut self, stream: Handle, op: Op) -> Result<()> {
        if self.streams.get(stream)?.capture.is_some() {
            return self.capture_op(stream, op);
        }
        self.enqueue(stream, op, Vec::new())
    }

    /// Appends work that also waits for other points.
    pub fn enqueue(&mut self, stream: Handle, op: Op, mut after: Vec<Point>) -> Result<()> {
        after.extend(self.implied(stream)?);
        let queue = self.streams.get_mut(stream)?;
        queue.queue.push_back((op, after));
        queue.submitted += 1;
        let device = queue.device;
        let busy = self.streams.iter().filter(|(_, other)| other.device == device && !other.queue.is_empty()).count();
        self.busy_streams = self.busy_streams.max(busy);
        match self.knobs.order {
            Order::Eager => self.reach(self.end_of(stream)?),
            Order::Late => Ok(()),
        }
    }

    /// What the default stream waits for, and what waits for it.
    fn implied(&mut self, stream: Handle) -> Result<Vec<Point>> {
        let (device, blocking) = (self.streams.get(stream)?.device, self.streams.get(stream)?.blocking);
        let legacy = self.context(device)?.legacy;
        if stream != legacy {
            return Ok(if blocking { vec![self.end_of(legacy)?] } else { Vec::new() });
        }
        let others: Vec<Handle> = self.streams_of(device).into_iter().filter(|other| *other != legacy).collect();
        let mut points = Vec::new();
        for other in others {
            let (blocking, capture) = (self.streams.get(other)?.blocking, self.streams.get(other)?.capture);
            if let Some(capture) = capture.filter(|_| blocking) {
                self.break_capture(capture);
                return Err(Code::CaptureImplicit.into());
            }
            if blocking {
                points.push(self.end_of(other)?);
            }
        }
        Ok(points)
    }

    /// All that was submitted to a stream until now.
    pub fn end_of(&self, stream: Handle) -> Result<Point> {
        Ok(Point { stream, count: self.streams.get(stream)?.submitted })
    }

    /// Whether the work up to a point is done; that of a stream that is gone is.
    pub fn is_done(&self, point: Point) -> bool {
        self.streams.find(point.stream).is_none_or(|stream| stream.done >= point.count)
    }

    /// Does the work up to a point, and what it waits for. A wait leads to earlier submissions only, so this ends.
    pub fn reach(&mut self, point: Point) -> Result<()> {
        while !self.is_done(point) {
            self.step(point.stream)?;
        }
        Ok(())
    }

    /// Does the next item of a stream, if there is one.
    pub fn step(&mut self, stream: Handle) -> Result<()> {
        let Some((_, after)) = self.streams.get_mut(stream)?.queue.front_mut() else { return Ok(()) };
        let points = std::mem::take(after);
        for point in &points {
            self.reach(*point)?;
        }
        let queue = self.streams.get_mut(stream)?;
        let Some((op, _)) = queue.queue.pop_front() else { return Ok(()) };
        queue.done += 1;
        let (device, end) = (queue.device, Point { stream, count: queue.done });
        if let Some(pace) = self.knobs.pace {
            self.clocks.pass(device, end, &points, pace.cost(&op));
        }
        self.execute(&op)
    }

    /// The same, and the caller goes on when the device has come there.
    pub fn wait_for(&mut self, point: Point) -> Result<()> {
        self.reach(point)?;
        self.clocks.wait_for(point);
        Ok(())
    }

    pub fn finish(&mut self, stream: Handle) -> Result<()> {
        self.wait_for(self.end_of(stream)?)
    }

    pub fn finish_device(&mut self, device: usize) -> Result<()> {
        self.streams_of(device).into_iter().try_for_each(|stream| self.finish(stream))
    }

    pub fn streams_of(&self, device: usize) -> Vec<Handle> {
        self.streams.iter().filter(|(_, stream)| stream.device == device).map(|(handle, _)| handle).collect()
    }

    /// Ends a stream, after its work.
    pub fn destroy_stream(&mut self, stream: Handle) -> Result<()> {
        if let Some(capture) = self.streams.get(stream)?.capture {
            self.abandon_capture(capture, stream);
        }
        self.finish(stream)?;
        self.clocks.forget(stream);
        self.streams.remove(stream).map(drop)
    }
}
