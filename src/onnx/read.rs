//! Files: the model and the weights beside it, mapped into memory and never copied as a whole.

use std::collections::HashMap;
use std::fs::File;
use std::path::{Component, Path, PathBuf};

use bytes::Bytes;
use prost::Message;

use super::ImportError;
use super::proto::{ModelProto, TensorProto};

/// A decoded model and the folder that its external data must lie in, if it came from one.
pub(super) struct Files {
    path: PathBuf,
    folder: Option<PathBuf>,
    open: HashMap<String, Bytes>,
}

impl Files {
    pub fn open(path: &Path) -> Result<(Self, ModelProto), ImportError> {
        let io = |source| ImportError::Io { path: path.to_owned(), source };
        let bytes = map(path).map_err(io)?;
        let folder = match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        let folder = folder.canonicalize().map_err(io)?;
        Self::decode(path, Some(folder), bytes)
    }

    /// A model that is called `path` and lies nowhere.
    pub fn of_bytes(path: &Path, bytes: Bytes) -> Result<(Self, ModelProto), ImportError> {
        Self::decode(path, None, bytes)
    }

    fn decode(path: &Path, folder: Option<PathBuf>, bytes: Bytes) -> Result<(Self, ModelProto), ImportError> {
        let fail = |reason: String| ImportError::Decode { path: path.to_owned(), reason };
        if bytes.is_empty() {
            return Err(fail("it is empty".to_owned())); // no bytes are a message without fields
        }
        let model = ModelProto::decode(bytes).map_err(|error| fail(error.to_string()))?;
        Ok((Self { path: path.to_owned(), folder, open: HashMap::new() }, model))
    }

    /// The bytes of a tensor kept in another file.
    pub fn external(&mut self, tensor: &TensorProto, name: &str) -> Result<Bytes, ImportError> {
        let entry = |key: &str| tensor.external_data.iter().find(|e| e.key() == key).map(|e| e.value().to_owned());
        let file = entry("location").unwrap_or_default();
        let fail = |reason: String| ImportError::External {
            tensor: name.to_owned(),
            model: self.path.clone(),
            file: file.clone(),
            reason,
        };
        let number = |key: &str| match entry(key) {
            None => Ok(None),
            Some(text) => match text.parse::<usize>() {
                Ok(number) => Ok(Some(number)),
                Err(_) => Err(fail(format!("its {key} {text:?} is not a number"))),
            },
        };
        let (offset, length) = (number("offset")?.unwrap_or(0), number("length")?);
        let bytes = match self.open.get(&file) {
            Some(bytes) => bytes.clone(),
            None => match &self.folder {
                Some(folder) => locate(folder, &file).map_err(&fail)?,
                None => {
                    return Err(fail("a model without a folder has its weights inside".to_owned()));
                }
            },
        };
        let length = length.unwrap_or_else(|| bytes.len().saturating_sub(offset));
        let part = match offset.checked_add(length) {
            Some(end) if end <= bytes.len() => bytes.slice(offset..end),
            _ => {
                let size = bytes.len();
                return Err(fail(format!("bytes {offset} + {length} lie beyond its end at {size}")));
            }
        };
        self.open.insert(file, bytes);
        Ok(part)
    }
}

/// Maps a file that must lie in `folder`, symbolic links followed.
fn locate(folder: &Path, file: &str) -> Result<Bytes, String> {
    if file.is_empty() {
        return Err("no location is given".to_owned());
    }
    if file.contains('\0') {
        return Err("the name holds a NUL".to_owned());
    }
    let relative = Path::new(file);
    let plain = |c: Component<'_>| matches!(c, Component::Normal(_) | Component::CurDir);
    if !relative.components().all(plain) || file.contains('\\') || file.contains(':') {
        return Err("only plain names below the model's folder are followed".to_owned());
    }
    let path = folder.join(relative).canonicalize().map_err(|error| error.to_string())?;
    if !path.starts_with(folder) {
        return Err("a link leads out of the model's folder".to_owned());
    }
    map(&path).map_err(|error| error.to_string())
}

fn map(path: &Path) -> std::io::Result<Bytes> {
    let file = File::open(path)?;
    if !file.metadata()?.is_file() {
        return Err(std::io::Error::new(std::io::ErrorKind::InvalidInput, "not a file"));
    }
    if file.metadata()?.len() == 0 {
        return Ok(Bytes::new());
    }
    // SAFETY: the map is read-only and private; a file that another process truncates while it is read is out of scope.
    let map = unsafe { memmap2::Mmap::map(&file)? };
    Ok(Bytes::from_owner(map))
}
