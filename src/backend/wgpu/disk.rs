//! What the driver made of kernels, kept in a folder between runs.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use sha2::{Digest, Sha256};

use super::device::{Device, Outcome};

/// Bytes of the digest at the beginning of a file.
const DIGEST: usize = 32;
/// A larger file is not read.
const MOST: u64 = 256 << 20;

/// A cache and its file. Whatever goes wrong with the file, kernels are compiled anew.
pub struct Disk {
    cache: wgpu::PipelineCache,
    file: PathBuf,
    /// The driver has taken what the file held.
    pub is_taken_up: bool,
}

impl Disk {
    /// The file of an adapter in `folder`; `None` where its driver has no cache, or an own one.
    pub async fn open(device: &Arc<Device>, folder: &Path) -> Option<Self> {
        if !device.raw.features().contains(wgpu::Features::PIPELINE_CACHE) {
            return None;
        }
        let file = folder.join(wgpu::util::pipeline_cache_key(&device.raw.adapter_info())?);
        let kept = match read(&file) {
            Some(data) => create(device, Some(&data)).await.ok(),
            None => None,
        };
        let is_taken_up = kept.is_some();
        let cache = match kept {
            Some(cache) => cache,
            // What another device or driver wrote is refused, and replaced.
            None => create(device, None).await.ok()?,
        };
        Some(Self { cache, file, is_taken_up })
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

/// A cache that has what the driver made before.
fn create(device: &Arc<Device>, data: Option<&[u8]>) -> Outcome<wgpu::PipelineCache> {
    let descriptor = wgpu::PipelineCacheDescriptor { label: Some("fluoroscope"), data, fallback: false };
    device.attempt("make a cache of kernels", data.map_or(0, <[u8]>::len), |raw| {
        // SAFETY: data comes from the file of the same adapter, to which `save` wrote what a cache gave; its digest shows that it
        // has not changed since.
        unsafe { raw.create_pipeline_cache(&descriptor) }
    })
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
    use crate::backend::wgpu::adapters::{self, Wanted};
    use crate::backend::wgpu::{Limits, edge};

    /// Where the bytes of a cache name the API that made it.
    const API: usize = 16;

    #[test]
    fn a_cache_that_is_refused_is_made_anew_and_the_device_goes_on() {
        let adapter = edge::ready(adapters::find(&Wanted::Any)).expect("an adapter");
        let device = edge::ready(Device::open(adapter, &Limits::default())).expect("a device");
        let folder = tempfile::tempdir().expect("a temporary folder");
        let open = || edge::ready(Disk::open(&device, folder.path()));
        let Some(disk) = open() else { return };
        disk.save();
        let kept = || read(&disk.file).expect("what was saved");
        edge::ready(create(&device, Some(&kept()))).expect("a cache of this device");

        let mut foreign = kept();
        foreign[API] ^= 0xFF;
        let refused = edge::ready(create(&device, Some(&foreign))).map(drop).expect_err("a cache of another device");
        assert!(refused.to_string().contains("different device"), "{refused}");
        write(&disk.file, &foreign).expect("written");
        open().expect("a cache without what was kept").save();
        edge::ready(create(&device, Some(&kept()))).expect("the file is written anew");
        device.check().expect("nothing has failed");
    }

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
