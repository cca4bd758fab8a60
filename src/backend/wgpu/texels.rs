//! Tensors as textures of the device, counted: a vector of four lanes is a texel.

use std::sync::Arc;

use super::NAME;
use super::account::Account;
use super::device::Device;
use super::memory::GRAIN;
use crate::backend::BackendError;
use crate::kernel::TEXELS_OF_A_ROW;

/// Bytes of a row, and of what travels to the device at a time: whole rows.
const ROW: usize = TEXELS_OF_A_ROW * GRAIN;
const PARCEL: usize = 512 * ROW;
/// Of a texel: four numbers.
pub const FORMAT: wgpu::TextureFormat = wgpu::TextureFormat::Rgba32Float;

/// A texture.
pub struct Texels {
    texture: wgpu::Texture,
    pub view: wgpu::TextureView,
    bytes: u64,
    account: Arc<Account>,
}

/// Numbers of the largest tensor that a texture holds.
pub fn most(device: &Device) -> usize {
    let side = device.limits.max_texture_dimension_2d as usize;
    if side < TEXELS_OF_A_ROW { 0 } else { 4 * (side - 1) * TEXELS_OF_A_ROW }
}

impl Texels {
    /// Room for so many bytes, rounded up, at most [`most`] numbers.
    ///
    /// # Errors
    /// [`BackendError::OutOfMemory`]
    pub async fn new(device: &Arc<Device>, what: &str, bytes: usize) -> Result<Self, BackendError> {
        let [width, height] = sides(bytes.max(1).div_ceil(GRAIN));
        let size = (width * height * GRAIN) as u64;
        if !device.account.take(size) {
            return Err(BackendError::OutOfMemory { backend: NAME, bytes });
        }
        let descriptor = wgpu::TextureDescriptor {
            label: Some(what),
            size: extent(width, height),
            mip_level_count: 1,
            sample_count: 1,
            dimension: wgpu::TextureDimension::D2,
            format: FORMAT,
            usage: wgpu::TextureUsages::STORAGE_BINDING | wgpu::TextureUsages::COPY_DST,
            view_formats: &[],
        };
        let made = device.attempt(&format!("make {what}"), bytes, |raw| {
            let texture = raw.create_texture(&descriptor);
            let view = texture.create_view(&wgpu::TextureViewDescriptor::default());
            // Dropped, it gives back what it took: where it is refused, and where nobody waits for the answer.
            Self { texture, view, bytes: size, account: Arc::clone(&device.account) }
        });
        made.await
    }

    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Copies to the beginning of it, after what was submitted. Bytes are those of whole texels.
    ///
    /// # Errors
    /// Whatever the device reports.
    pub async fn fill(&self, device: &Arc<Device>, bytes: &[u8]) -> Result<(), BackendError> {
        for (number, parcel) in bytes.chunks(PARCEL).enumerate() {
            let sent = device.attempt("copy to the device", parcel.len(), |_| {
                for Part { at, row, size } in parts(parcel.len()) {
                    let row = row + (number * PARCEL / ROW) as u32;
                    device.queue.write_texture(self.at_row(row), &parcel[at..], layout(0), size);
                }
                if bytes.len() > PARCEL {
                    // What waits to be copied is held in memory until then.
                    device.submit([]);
                }
            });
            sent.await?;
        }
        Ok(())
    }

    /// Has the first bytes of a buffer copied here; they are those of whole texels.
    pub fn copy(&self, encoder: &mut wgpu::CommandEncoder, from: &wgpu::Buffer, bytes: usize) {
        for Part { at, row, size } in parts(bytes) {
            let from = wgpu::TexelCopyBufferInfo { buffer: from, layout: layout(at as u64) };
            encoder.copy_buffer_to_texture(from, self.at_row(row), size);
        }
    }

    fn at_row(&self, row: u32) -> wgpu::TexelCopyTextureInfo<'_> {
        wgpu::TexelCopyTextureInfo {
            origin: wgpu::Origin3d { y: row, ..Default::default() },
            ..self.texture.as_image_copy()
        }
    }
}

impl Drop for Texels {
    fn drop(&mut self) {
        self.account.give(self.bytes);
    }
}

/// Part of a tensor: the byte and the row where it begins.
struct Part {
    at: usize,
    row: u32,
    size: wgpu::Extent3d,
}

/// Width and height of a texture with room for so many texels. llvmpipe compiles a kernel anew for textures of which a side is a power
/// of two where it was none before: every width is one, no height is.
fn sides(texels: usize) -> [usize; 2] {
    let rows = texels.div_ceil(TEXELS_OF_A_ROW).max(3); // the least that is none
    [texels.next_power_of_two().min(TEXELS_OF_A_ROW), rows + usize::from(rows.is_power_of_two())]
}

/// A tensor of so many bytes as whole rows, and what is left of the last one.
fn parts(bytes: usize) -> impl Iterator<Item = Part> {
    let (rows, rest) = (bytes / ROW, bytes % ROW / GRAIN);
    let whole = Part { at: 0, row: 0, size: extent(TEXELS_OF_A_ROW, rows) };
    let last = Part { at: rows * ROW, row: rows as u32, size: extent(rest, 1) };
    [whole, last].into_iter().filter(|part| part.size.width > 0 && part.size.height > 0)
}

fn extent(width: usize, height: usize) -> wgpu::Extent3d {
    wgpu::Extent3d { width: width as u32, height: height as u32, depth_or_array_layers: 1 }
}

fn layout(offset: u64) -> wgpu::TexelCopyBufferLayout {
    wgpu::TexelCopyBufferLayout { offset, bytes_per_row: Some(ROW as u32), rows_per_image: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn widths_are_powers_of_two_and_heights_are_not() {
        let row = TEXELS_OF_A_ROW;
        assert_eq!([1, 17, row, row + 1].map(sides), [[1, 3], [32, 3], [row, 3], [row, 3]]);
        assert_eq!([4 * row, 4 * row + 1].map(sides), [[row, 5]; 2]);
    }

    #[test]
    fn a_tensor_is_whole_rows_and_a_rest() {
        let of =
            |bytes| parts(bytes).map(|part| (part.at, part.row, part.size.width, part.size.height)).collect::<Vec<_>>();
        let row = TEXELS_OF_A_ROW as u32;
        assert_eq!(of(48), [(0, 0, 3, 1)]);
        assert_eq!(of(2 * ROW), [(0, 0, row, 2)]);
        assert_eq!(of(2 * ROW + 16), [(0, 0, row, 2), (2 * ROW, 2, 1, 1)]);
    }
}
