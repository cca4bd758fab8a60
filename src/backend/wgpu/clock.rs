//! The time that the device takes for each step: by its own marks where it has them, else seen from here.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::device::Device;
use super::memory::{Memory, RECEIVES};
use crate::backend::BackendError;

/// Marks of a set, two for each step.
const MOST_STEPS: usize = wgpu::QUERY_SET_MAX_QUERIES as usize / 2;
/// Bytes of a mark.
const MARK: usize = wgpu::QUERY_SIZE as usize;
const RESOLVED: wgpu::BufferUsages = wgpu::BufferUsages::QUERY_RESOLVE.union(wgpu::BufferUsages::COPY_SRC);

/// What a clock times.
pub trait Timed {
    /// It copies before it is dispatched.
    fn has_copies(&self) -> bool {
        false
    }

    fn copy(&self, _: &mut wgpu::CommandEncoder) {}

    fn dispatch(&self, pass: &mut wgpu::ComputePass);
}

/// The steps of each pass: up to the next that copies, which a pass cannot.
pub fn passes<T: Timed>(steps: &[T]) -> impl Iterator<Item = &[T]> {
    steps.chunk_by(|_, next| !next.has_copies())
}

/// Measures steps.
pub struct Clock {
    marks: Option<Marks>,
}

/// Marks on the device, and where they are read.
struct Marks {
    set: wgpu::QuerySet,
    resolved: Memory,
    received: Memory,
    /// Of a mark.
    nanoseconds: f64,
}

impl Clock {
    /// For so many steps at a time.
    ///
    /// # Errors
    /// [`BackendError::OutOfMemory`]
    pub async fn new(device: &Arc<Device>, steps: usize) -> Result<Self, BackendError> {
        if !device.raw.features().contains(wgpu::Features::TIMESTAMP_QUERY) {
            return Ok(Self { marks: None });
        }
        let count = 2 * steps.clamp(1, MOST_STEPS);
        let descriptor = wgpu::QuerySetDescriptor { label: None, ty: wgpu::QueryType::Timestamp, count: count as u32 };
        let set = device.attempt("make marks of time", 0, |raw| raw.create_query_set(&descriptor)).await?;
        let resolved = Memory::new(device, "marks of time", count * MARK, RESOLVED, false).await?;
        let received = Memory::new(device, "marks of time", count * MARK, RECEIVES, false).await?;
        let nanoseconds = f64::from(device.queue.get_timestamp_period());
        Ok(Self { marks: Some(Marks { set, resolved, received, nanoseconds }) })
    }

    /// Runs steps, each in a pass of its own: the time of each, with that of what it copies.
    ///
    /// # Errors
    /// Whatever the device reports.
    pub async fn time(&self, device: &Arc<Device>, steps: &[impl Timed]) -> Result<Vec<Duration>, BackendError> {
        let mut times = Vec::new();
        match &self.marks {
            Some(marks) => {
                for some in steps.chunks(MOST_STEPS) {
                    times.extend(marks.time(device, some).await?);
                }
            }
            None => {
                device.idle().await?;
                for step in steps {
                    let start = Instant::now();
                    let sent = device.attempt("run a step", 0, |raw| {
                        let mut encoder = raw.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
                        step.copy(&mut encoder);
                        step.dispatch(&mut encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default()));
                        device.submit([encoder.finish()]);
                    });
                    sent.await?;
                    device.idle().await?;
                    times.push(start.elapsed());
                }
            }
        }
        Ok(times)
    }
}

impl Marks {
    async fn time(&self, device: &Arc<Device>, steps: &[impl Timed]) -> Result<Vec<Duration>, BackendError> {
        let count = 2 * steps.len();
        let sent = device.attempt("run a program", 0, |raw| {
            let mut encoder = raw.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
            for (number, step) in steps.iter().enumerate() {
                let [begin, end] = [2 * number as u32, 2 * number as u32 + 1];
                let marks = |begin, end| wgpu::ComputePassDescriptor {
                    label: None,
                    timestamp_writes: Some(wgpu::ComputePassTimestampWrites {
                        query_set: &self.set,
                        beginning_of_pass_write_index: begin,
                        end_of_pass_write_index: end,
                    }),
                };
                let descriptor = if step.has_copies() {
                    drop(encoder.begin_compute_pass(&marks(Some(begin), None)));
                    step.copy(&mut encoder);
                    marks(None, Some(end))
                } else {
                    marks(Some(begin), Some(end))
                };
                step.dispatch(&mut encoder.begin_compute_pass(&descriptor));
            }
            encoder.resolve_query_set(&self.set, 0..count as u32, &self.resolved.buffer, 0);
            let bytes = (count * MARK) as u64;
            encoder.copy_buffer_to_buffer(&self.resolved.buffer, 0, &self.received.buffer, 0, bytes);
            device.submit([encoder.finish()]);
        });
        sent.await?;
        let words = self.received.read(device, count * MARK).await?;
        let marks: Vec<u64> = words.chunks_exact(2).map(|word| u64::from(word[0]) | u64::from(word[1]) << 32).collect();
        let time = |mark: &[u64]| mark[1].saturating_sub(mark[0]) as f64 * self.nanoseconds;
        Ok(marks.chunks_exact(2).map(|mark| Duration::from_secs_f64(time(mark) / 1e9)).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::wgpu::adapters::{self, Wanted};
    use crate::backend::wgpu::{Limits, edge};

    /// A step that does nothing, or copies nothing.
    struct Idle(bool);

    impl Timed for Idle {
        fn has_copies(&self) -> bool {
            self.0
        }

        fn dispatch(&self, _: &mut wgpu::ComputePass) {}
    }

    #[test]
    fn a_pass_ends_before_a_step_that_copies_only() {
        let lengths = |copies: &[bool]| {
            let steps: Vec<Idle> = copies.iter().copied().map(Idle).collect();
            passes(&steps).map(<[Idle]>::len).collect::<Vec<_>>()
        };
        assert_eq!(lengths(&[]), [0; 0]);
        assert_eq!(lengths(&[false; 5]), [5]);
        assert_eq!(lengths(&[true, false, false, true, true, false]), [3, 1, 2]);
        assert_eq!(lengths(&[false, true, false]), [1, 2]);
    }

    #[test]
    fn steps_are_timed_by_marks_and_from_here() {
        let adapter = edge::ready(adapters::find(&Wanted::Any)).expect("an adapter");
        let has_marks = adapter.raw.features().contains(wgpu::Features::TIMESTAMP_QUERY);
        let device = &edge::ready(Device::open(adapter, &Limits::default())).expect("a device");
        let by_marks = edge::block_on(device, Clock::new(device, 3)).expect("a clock");
        assert_eq!(by_marks.marks.is_some(), has_marks);
        for clock in [by_marks, Clock { marks: None }] {
            let times =
                edge::block_on(device, clock.time(device, &[Idle(false), Idle(true), Idle(false)])).expect("times");
            assert!(times.len() == 3 && times.iter().sum::<Duration>() < Duration::from_secs(60), "{times:?}");
        }
    }
}
