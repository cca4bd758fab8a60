//! What the driver made of kernels, kept in a folder between runs.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use sha2::{Digest, Sha256};

use super::device::Device;

/// Bytes of the digest at the beginning of a file.
const DIGEST: usize = 32;
/// A larger file is not read.
const MOST: u64 = 256 << 20;

/// A cache and its file. Whatever goes wrong with the file, kernels are compiled anew.
pub struct Disk {
    cache: wgpu::PipelineCache,
    file: PathBuf,
}

impl Disk {
    /// The file of an adapter in `folder`; `None` where its driver has no cache, or an own one.
    pub fn open(device: &Device, folder: &Path) -> Option<Self> {
        if !device.raw.features().contains(wgpu::Features::PIPELINE_CACHE) {
            return None;
        }
        let file = folder.join(wgpu::util::pipeline_cache_key(&device.raw.adapter_info())?);
        let data = read(&file);
        let descriptor =
            wgpu::PipelineCacheDescriptor { label: Some("fluoroscope"), data: data.as_deref(), fallback: true };
        // SAFETY: the data came from this function's counterpart for the same adapter, and its digest shows that it
        // has not changed since.
        let cache = unsafe { device.raw.create_pipeline_cache(&descriptor) };
        Some(Self { cache, file })
    }

    pub fn cache(&self) -> &wgpu::PipelineCache {
        &self.cache
    }

    /// Writes the file, whole or not at all.
    pub fn save(&self) {
        if let Some(data) = self.cache.get_data() {
            // Without the file, the next run takes as long as this one.
            _ = write(&self.file, &data);
        }
    }
}

/// What was written to a file, if it is whole.
fn read(file: &Path) -> Option<Vec<u8>> {
    if fs::metadata(file).ok()?.len() > MOST {
        return None;
    }
    let bytes = fs::read(file).ok()?;
    let (digest, data) = bytes.split_at_checked(DIGEST)?;
    (Sha256::digest(data)[..] == *digest).then(|| data.to_vec())
}

fn write(file: &Path, data: &[u8]) -> std::io::Result<()> {
    let folder = file.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    // Several processes and threads may write; the last one stays.
    static WRITTEN: AtomicUsize = AtomicUsize::new(0);
    let number = WRITTEN.fetch_add(1, Ordering::Relaxed);
    let part = file.with_extension(format!("{}-{number}.part", std::process::id()));
    let written = fs::File::create(&part).and_then(|mut out| {
        out.write_all(&Sha256::digest(data))?;
        out.write_all(data)
    });
    written.and_then(|()| fs::rename(&part, file)).inspect_err(|_| _ = fs::remove_file(&part))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_not_whole_is_not_read() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let file = folder.path().join("below/cache");
        assert_eq!(read(&file), None);
        write(&file, b"kernels").expect("written");
        assert_eq!(read(&file).as_deref(), Some(&b"kernels"[..]));
        let whole = fs::read(&file).expect("the file");
        for cut in [0, 5, DIGEST, whole.len() - 1] {
            fs::write(&file, &whole[..cut]).expect("written");
            assert_eq!(read(&file), None, "{cut} bytes");
        }
        let mut changed = whole;
        *changed.last_mut().expect("a byte") ^= 1;
        fs::write(&file, &changed).expect("written");
        assert_eq!(read(&file), None);
        assert_eq!(fs::read_dir(folder.path().join("below")).expect("a folder").count(), 1);
    }
}
