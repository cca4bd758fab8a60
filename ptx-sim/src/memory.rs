//! Device memory: allocations far apart, which know their bytes, what was written, and whether kernels may write.

use crate::fault::{Access, FaultKind, Space};
use crate::lanes::hull;

/// Each allocation starts a window of 2^36 bytes, so that no offset within reach leads from one into another.
const WINDOW_BITS: u32 = 36;

/// What fresh bytes hold; four of them are a NaN.
const POISON: u8 = 0xff;

/// The memory of a device.
///
/// Addresses are never used twice: an access to a freed allocation is an error.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    allocations: Vec<Option<Allocation>>,
    allocated: u64,
}

/// Why the host cannot access memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MemoryError {
    #[error("{address:#x} is not the start of an allocation")]
    NotAnAllocation { address: u64 },
    #[error("no allocation at {address:#x}")]
    NoAllocation { address: u64 },
    #[error("{bytes} bytes at offset {offset} of an allocation of {len}: out of bounds")]
    OutOfBounds { offset: u64, bytes: u64, len: u64 },
}

#[derive(Clone, Debug)]
pub(crate) struct Allocation {
    pub data: Vec<u8>,
    pub written: Written,
    pub read_only: bool,
}

impl Memory {
    pub fn new() -> Self {
        Self::default()
    }

    /// Allocates bytes that are uninitialised; the address is a multiple of 256.
    pub fn alloc(&mut self, bytes: usize) -> u64 {
        let data = vec![POISON; bytes];
        self.allocations.push(Some(Allocation { data, written: Written::new(bytes), read_only: false }));
        self.allocated += bytes as u64;
        (self.allocations.len() as u64) << WINDOW_BITS
    }

    /// Frees the allocation that starts here.
    ///
    /// # Errors
    /// Where none starts here.
    pub fn free(&mut self, address: u64) -> Result<(), MemoryError> {
        self.start(address)?;
        let slot = self.allocations.get_mut(index(address)).and_then(Option::take);
        self.allocated -= slot.map_or(0, |allocation| allocation.data.len() as u64);
        Ok(())
    }

    /// Copies bytes from the host, which initialises them. A read-only allocation can be written by the host.
    ///
    /// # Errors
    /// Where they do not lie in one allocation.
    pub fn write(&mut self, address: u64, bytes: &[u8]) -> Result<(), MemoryError> {
        let (allocation, offset) = self.host_range(address, bytes.len())?;
        allocation.data[offset..offset + bytes.len()].copy_from_slice(bytes);
        allocation.written.set_range(offset, bytes.len());
        Ok(())
    }

    /// Sets bytes, which initialises them.
    ///
    /// # Errors
    /// Where they do not lie in one allocation.
    pub fn fill(&mut self, address: u64, byte: u8, len: usize) -> Result<(), MemoryError> {
        let (allocation, offset) = self.host_range(address, len)?;
        allocation.data[offset..offset + len].fill(byte);
        allocation.written.set_range(offset, len);
        Ok(())
    }

    /// The bytes here. Those that nothing has written are 0xff; see [`is_initialised`](Self::is_initialised).
    ///
    /// # Errors
    /// Where they do not lie in one allocation.
    pub fn read(&self, address: u64, len: usize) -> Result<&[u8], MemoryError> {
        let (allocation, offset) = self.host_range_ref(address, len)?;
        Ok(&allocation.data[offset..offset + len])
    }

    /// Whether all these bytes have been written by the host or a kernel.
    ///
    /// # Errors
    /// Where they do not lie in one allocation.
    pub fn is_initialised(&self, address: u64, len: usize) -> Result<bool, MemoryError> {
        let (allocation, offset) = self.host_range_ref(address, len)?;
        Ok(allocation.written.all(offset, len))
    }

    /// Makes each store to the allocation that starts here a fault, or allows stores again.
    ///
    /// # Errors
    /// Where none starts here.
    pub fn set_read_only(&mut self, address: u64, read_only: bool) -> Result<(), MemoryError> {
        self.start(address)?;
        if let Some(allocation) = self.allocation_mut(address) {
            allocation.read_only = read_only;
        }
        Ok(())
    }

    pub(crate) fn is_read_only(&self, address: u64) -> bool {
        self.allocations.get(index(address)).and_then(Option::as_ref).is_some_and(|allocation| allocation.read_only)
    }

    /// Bytes of all allocations together.
    pub fn allocated_bytes(&self) -> u64 {
        self.allocated
    }

    /// Bytes of the allocation that starts here.
    pub fn size_of(&self, address: u64) -> Option<usize> {
        self.start(address).ok().map(|allocation| allocation.data.len())
    }

    /// Starts and bytes of the allocations, in order of allocation.
    pub fn allocations(&self) -> impl Iterator<Item = (u64, &[u8])> {
        let slots = self.allocations.iter().enumerate();
        slots.filter_map(|(i, slot)| Some(((i as u64 + 1) << WINDOW_BITS, slot.as_ref()?.data.as_slice())))
    }

    fn start(&self, address: u64) -> Result<&Allocation, MemoryError> {
        let at_start = offset(address) == 0;
        let slot = self.allocations.get(index(address)).and_then(Option::as_ref);
        slot.filter(|_| at_start).ok_or(MemoryError::NotAnAllocation { address })
    }

    fn host_range_ref(&self, address: u64, len: usize) -> Result<(&Allocation, usize), MemoryError> {
        let slot = self.allocations.get(index(address)).and_then(Option::as_ref);
        let allocation = slot.ok_or(MemoryError::NoAllocation { address })?;
        Ok((allocation, checked_offset(address, len, allocation.data.len())?))
    }

    fn host_range(&mut self, address: u64, len: usize) -> Result<(&mut Allocation, usize), MemoryError> {
        let slot = self.allocations.get_mut(index(address)).and_then(Option::as_mut);
        let allocation = slot.ok_or(MemoryError::NoAllocation { address })?;
        let offset = checked_offset(address, len, allocation.data.len())?;
        Ok((allocation, offset))
    }

    /// Slots of allocations, live or freed.
    pub(crate) fn slots(&self) -> usize {
        self.allocations.len()
    }

    pub(crate) fn allocation_mut(&mut self, address: u64) -> Option<&mut Allocation> {
        self.allocations.get_mut(index(address)).and_then(Option::as_mut)
    }

    /// The allocation in which the accesses of all lanes of a mask lie, aligned; none where they do not, or that is larger
    /// than 4 GiB.
    #[inline(always)]
    pub(crate) fn common(&mut self, addresses: &[u64; 32], mask: u32, bytes: u32) -> Option<&mut Allocation> {
        let hull = hull(addresses, mask);
        let allocation = self.allocations.get_mut(index(hull.some))?.as_mut()?;
        let together = hull.differing >> 32 == 0 && offset(hull.some) >> 32 == 0;
        let end = u64::from(hull.last) + u64::from(bytes);
        let fits = hull.any & u64::from(bytes - 1) == 0 && end <= allocation.data.len() as u64;
        (together && fits).then_some(allocation)
    }

    /// The allocation and offset of an aligned device access.
    #[inline(always)]
    pub(crate) fn device_range(
        &mut self,
        address: u64,
        bytes: u32,
        access: Access,
    ) -> Result<(&mut Allocation, usize), FaultKind> {
        if address & u64::from(bytes - 1) != 0 {
            return Err(FaultKind::Misaligned { space: Space::Global, access, address, bytes });
        }
        let Some(Some(allocation)) = self.allocations.get_mut(index(address)) else {
            return Err(FaultKind::NoAllocation { access, address, bytes });
        };
        let offset = offset(address);
        let len = allocation.data.len() as u64;
        if offset + u64::from(bytes) > len {
            return Err(FaultKind::OutOfBounds { space: Space::Global, access, offset, bytes, len });
        }
        Ok((allocation, offset as usize))
    }
}

/// The slot of an address; that of an address below the first window is past every slot.
#[inline(always)]
pub(crate) fn index(address: u64) -> usize {
    ((address >> WINDOW_BITS) as usize).wrapping_sub(1)
}

/// The offset of an address in its window.
#[inline(always)]
pub(crate) fn offset(address: u64) -> u64 {
    address & ((1 << WINDOW_BITS) - 1)
}

fn checked_offset(address: u64, len: usize, allocation: usize) -> Result<usize, MemoryError> {
    let offset = offset(address) as usize;
    if offset.checked_add(len).is_none_or(|end| end > allocation) {
        return Err(MemoryError::OutOfBounds { offset: offset as u64, bytes: len as u64, len: allocation as u64 });
    }
    Ok(offset)
}

/// A bit for each byte that has been written.
#[derive(Clone, Debug)]
pub(crate) struct Written {
    bits: Vec<u64>,
    /// Bytes that have not.
    missing: usize,
}

impl Written {
    fn new(bytes: usize) -> Self {
        Written { bits: vec![0; bytes.div_ceil(64)], missing: bytes }
    }

    /// Whether all bytes have been written.
    #[inline(always)]
    pub fn is_whole(&self) -> bool {
        self.missing == 0
    }

    #[inline(always)]
    fn add(&mut self, word: usize, mask: u64) {
        self.missing -= (mask & !self.bits[word]).count_ones() as usize;
        self.bits[word] |= mask;
    }

    /// Whether an aligned power of two of bytes, at most 16, has been written.
    #[inline(always)]
    pub fn has(&self, offset: usize, bytes: u32) -> bool {
        let mask = ((1u64 << bytes) - 1) << (offset & 63);
        self.bits[offset >> 6] & mask == mask
    }

    /// Marks an aligned power of two of bytes, at most 16.
    #[inline(always)]
    pub fn set(&mut self, offset: usize, bytes: u32) {
        self.add(offset >> 6, ((1u64 << bytes) - 1) << (offset & 63));
    }

    /// Words and masks that cover a range.
    fn words(offset: usize, len: usize) -> impl Iterator<Item = (usize, u64)> {
        let end = offset + len;
        (offset / 64..end.div_ceil(64)).map(move |word| {
            let from = offset.max(word * 64) - word * 64;
            let bits = end.min(word * 64 + 64).saturating_sub(word * 64 + from);
            (word, if bits == 64 { !0 } else { ((1 << bits) - 1) << from })
        })
    }

    fn set_range(&mut self, offset: usize, len: usize) {
        Self::words(offset, len).for_each(|(word, mask)| self.add(word, mask));
    }

    fn all(&self, offset: usize, len: usize) -> bool {
        Self::words(offset, len).all(|(word, mask)| self.bits[word] & mask == mask)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_initialised_one_by_one() {
        let mut memory = Memory::new();
        let a = memory.alloc(200);
        assert_eq!((a % 256, memory.allocated_bytes(), memory.size_of(a)), (0, 200, Some(200)));
        memory.write(a + 3, &[1; 130]).unwrap();
        for (offset, len, want) in
            [(3, 130, true), (2, 2, false), (3, 131, false), (64, 64, true), (132, 1, true), (0, 0, true)]
        {
            assert_eq!(memory.is_initialised(a + offset, len), Ok(want), "{offset} {len}");
        }
        assert_eq!(memory.read(a + 2, 2).unwrap(), [0xff, 1]);
    }

    #[test]
    fn host_errors_name_the_range() {
        let mut memory = Memory::new();
        let a = memory.alloc(8);
        assert_eq!(memory.write(a + 4, &[0; 5]), Err(MemoryError::OutOfBounds { offset: 4, bytes: 5, len: 8 }));
        assert_eq!(memory.free(a + 4), Err(MemoryError::NotAnAllocation { address: a + 4 }));
        assert_eq!(memory.read(7, 1), Err(MemoryError::NoAllocation { address: 7 }));
        memory.free(a).unwrap();
        assert_eq!((memory.allocated_bytes(), memory.size_of(a)), (0, None));
        assert_eq!(memory.fill(a, 0, 1), Err(MemoryError::NoAllocation { address: a }));
        assert_ne!(memory.alloc(8), a);
    }
}
