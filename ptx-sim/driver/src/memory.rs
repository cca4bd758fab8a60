//! Device memory: allocations with their devices, budgets, and copies that keep track of what was written.

use std::collections::BTreeMap;

use ptx_sim::{Memory, MemoryError};

use crate::error::{Code, Error, Result};
use crate::knobs::{FailAt, Knobs};

pub(crate) struct DeviceMemory {
    pub memory: Memory,
    /// Device and bytes of each allocation, by its start.
    live: BTreeMap<u64, (usize, u64)>,
    pub usage: Vec<Usage>,
    budget: u64,
    fail: Option<FailAt>,
    allocations: u64,
}

/// Bytes and allocations of a device.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Usage {
    pub used: u64,
    pub peak: u64,
    pub allocations: u64,
}

impl DeviceMemory {
    pub fn new(devices: usize, knobs: &Knobs) -> Self {
        DeviceMemory {
            memory: Memory::new(),
            live: BTreeMap::new(),
            usage: vec![Usage::default(); devices],
            budget: knobs.memory,
            fail: knobs.fail_alloc,
            allocations: 0,
        }
    }

    pub fn fits(&self, device: usize, bytes: u64) -> bool {
        self.usage[device].used.checked_add(bytes).is_some_and(|used| used <= self.budget)
    }

    pub fn alloc(&mut self, device: usize, bytes: u64) -> Result<u64> {
        self.allocations += 1;
        let fails = self.fail.is_some_and(|fail| fail.hits(self.allocations));
        if fails || !self.fits(device, bytes) {
            return Err(Code::OutOfMemory.into());
        }
        let address = self.memory.alloc(usize::try_from(bytes).map_err(|_| Code::OutOfMemory)?);
        self.live.insert(address, (device, bytes));
        let usage = &mut self.usage[device];
        usage.used += bytes;
        usage.peak = usage.peak.max(usage.used);
        usage.allocations += 1;
        Ok(address)
    }

    pub fn free(&mut self, address: u64) -> Result<()> {
        self.memory.free(address).map_err(|error| refused("free", error))?;
        if let Some((device, bytes)) = self.live.remove(&address) {
            self.usage[device].used -= bytes;
        }
        Ok(())
    }

    /// Frees all that a device holds, and starts its counters anew.
    pub fn free_device(&mut self, device: usize) {
        let own = |(address, (of, _)): (&u64, &(usize, u64))| (*of == device).then_some(*address);
        let addresses: Vec<u64> = self.live.iter().filter_map(own).collect();
        for address in addresses {
            self.live.remove(&address);
            // Each was live, as the table says.
            let _ = self.memory.free(address);
        }
        self.usage[device] = Usage::default();
    }

    /// Free and total bytes.
    pub fn info(&self, device: usize) -> (u64, u64) {
        (self.budget - self.usage[device].used, self.budget)
    }

    /// Start and bytes of the allocation around an address.
    pub fn range_of(&self, address: u64) -> Result<(u64, u64)> {
        let (start, (_, bytes)) = self.live.range(..=address).next_back().ok_or(Code::NotFound)?;
        if address - start < (*bytes).max(1) { Ok((*start, *bytes)) } else { Err(Code::NotFound.into()) }
    }

    /// Whether bytes lie in an allocation.
    pub fn check(&self, what: &str, address: u64, bytes: usize) -> Result<()> {
        self.memory.read(address, bytes).map(drop).map_err(|error| refused(what, error))
    }

    /// Copies bytes within device memory. Those that nothing has written stay so in the copy, where they can: fresh memory
    /// holds the same bytes there.
    pub fn copy(&mut self, to: u64, from: u64, len: usize) -> std::result::Result<(), MemoryError> {
        if !self.memory.is_initialised(from, len)? && len > 1 {
            let half = len / 2;
            self.copy(to, from, half)?;
            return self.copy(to + half as u64, from + half as u64, len - half);
        }
        let unwritten = len == 1 && !self.memory.is_initialised(from, 1)? && !self.memory.is_initialised(to, 1)?;
        if unwritten {
            return Ok(());
        }
        let bytes = self.memory.read(from, len)?.to_vec();
        self.memory.write(to, &bytes)
    }
}

fn refused(what: &str, error: MemoryError) -> Error {
    Error::new(Code::InvalidValue, format!("{what}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn memory(pairs: Knobs) -> DeviceMemory {
        DeviceMemory::new(2, &pairs)
    }

    fn knobs() -> Knobs {
        Knobs { memory: 100, ..Knobs::from_env().unwrap() }
    }

    #[test]
    fn budgets_are_those_of_devices() {
        let mut memory = memory(knobs());
        let a = memory.alloc(0, 60).unwrap();
        assert_eq!(memory.alloc(0, 41), Err(Code::OutOfMemory.into()));
        memory.alloc(1, 100).unwrap();
        assert_eq!((memory.info(0), memory.info(1)), ((40, 100), (0, 100)));
        assert_eq!((memory.range_of(a + 59), memory.range_of(a + 60)), (Ok((a, 60)), Err(Code::NotFound.into())));
        memory.free(a).unwrap();
        assert_eq!(memory.info(0), (100, 100));
        memory.free_device(1);
        assert_eq!(memory.info(1), (100, 100));
        assert_eq!(memory.free(a).unwrap_err().code, Code::InvalidValue);
    }

    #[test]
    fn a_chosen_allocation_fails() {
        let fail_alloc = Some(FailAt { nth: 2, onwards: false });
        let mut memory = memory(Knobs { fail_alloc, ..knobs() });
        assert_eq!([1, 2, 3].map(|_| memory.alloc(0, 1).is_ok()), [true, false, true]);
    }

    #[test]
    fn copies_keep_holes() {
        let mut memory = memory(knobs());
        let (a, b) = (memory.alloc(0, 16).unwrap(), memory.alloc(0, 16).unwrap());
        memory.memory.write(a + 5, &[1, 2, 3]).unwrap();
        memory.memory.write(b, &[9]).unwrap();
        memory.copy(b, a, 16).unwrap();
        let mut want = [0xff; 16];
        want[5..8].copy_from_slice(&[1, 2, 3]);
        assert_eq!(memory.memory.read(b, 16).unwrap(), want);
        assert!(memory.memory.is_initialised(b + 5, 3).unwrap() && !memory.memory.is_initialised(b + 8, 1).unwrap());
    }
}
