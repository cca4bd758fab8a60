//! Checked reading of `TensorProto`.

use std::sync::Arc;

use bytes::Bytes;
use half::{bf16, f16};

use super::ImportError;
use super::array::{Array, Data, MAX_ELEMENTS, elements};
use super::proto::TensorProto;
use super::proto::tensor_proto::{DataLocation, DataType};
use super::read::Files;
use crate::graph::Constant;

/// Reads a tensor; `name` is what errors call it.
pub(super) fn read(tensor: &TensorProto, name: &str, files: &mut Files) -> Result<Array, ImportError> {
    let fail = |reason: String| ImportError::Tensor { name: name.to_owned(), reason };
    let dims = dims(&tensor.dims).map_err(fail)?;
    let count =
        elements(&dims).ok_or_else(|| fail(format!("dimensions {dims:?} hold more than {MAX_ELEMENTS} elements")))?;
    if tensor.segment.is_some() {
        return Err(fail("it is stored in segments, which ONNX never defined".to_owned()));
    }
    let raw = if tensor.data_location() == DataLocation::External {
        Some(files.external(tensor, name)?)
    } else {
        tensor.raw_data.clone()
    };
    let dtype = DataType::try_from(tensor.data_type()).unwrap_or(DataType::Undefined);
    let payload = Payload { tensor, raw, count };
    let data = payload.data(dtype).map_err(fail)?;
    Ok(Array { dims, data })
}

fn dims(raw: &[i64]) -> Result<Vec<usize>, String> {
    raw.iter()
        .map(|&dim| usize::try_from(dim).map_err(|_| format!("dimensions {raw:?} must not be negative")))
        .collect()
}

struct Payload<'a> {
    tensor: &'a TensorProto,
    raw: Option<Bytes>,
    count: usize,
}

impl Payload<'_> {
    fn data(&self, dtype: DataType) -> Result<Data, String> {
        let t = self.tensor;
        let float32 = |values: Arc<[f32]>| Data::Float(Constant::F32(values));
        Ok(match dtype {
            DataType::Float => float32(self.typed(&t.float_data, f32::from_le_bytes, |&v| v)?),
            DataType::Double => Data::Float(Constant::F64(self.typed(&t.double_data, f64::from_le_bytes, |&v| v)?)),
            DataType::Float16 => float32(self.typed(
                &t.int32_data,
                |b| f16::from_le_bytes(b).to_f32(),
                |&v| f16::from_bits(v as u16).to_f32(),
            )?),
            DataType::Bfloat16 => float32(self.typed(
                &t.int32_data,
                |b| bf16::from_le_bytes(b).to_f32(),
                |&v| bf16::from_bits(v as u16).to_f32(),
            )?),
            DataType::Int64 => Data::Int(self.typed(&t.int64_data, i64::from_le_bytes, |&v| v)?),
            DataType::Int32 => {
                Data::Int(self.typed(&t.int32_data, |b| i32::from_le_bytes(b).into(), |&v| i64::from(v))?)
            }
            DataType::Int8 => {
                Data::Int(self.typed(&t.int32_data, |b| i8::from_le_bytes(b).into(), |&v| i64::from(v))?)
            }
            DataType::Uint8 | DataType::Bool => {
                Data::Int(self.typed(&t.int32_data, |b| u8::from_le_bytes(b).into(), |&v| i64::from(v))?)
            }
            other => return Err(format!("its type {} is not read ({})", t.data_type(), other.as_str_name())),
        })
    }

    /// The elements from `raw_data`, or from the typed field where there is none.
    fn typed<S, T, const N: usize>(
        &self,
        field: &[S],
        decode: impl Fn([u8; N]) -> T,
        convert: impl Fn(&S) -> T,
    ) -> Result<Arc<[T]>, String> {
        let Some(raw) = &self.raw else {
            if field.len() != self.count {
                let (dims, got, want) = (&self.tensor.dims, field.len(), self.count);
                return Err(format!("{got} elements are stored, but dimensions {dims:?} need {want}"));
            }
            return Ok(field.iter().map(convert).collect());
        };
        let (chunks, rest) = raw.as_chunks::<N>();
        if !field.is_empty() || !rest.is_empty() || chunks.len() != self.count {
            let (dims, got, want) = (&self.tensor.dims, raw.len(), self.count.saturating_mul(N));
            return Err(format!("{got} bytes are stored, but dimensions {dims:?} need {want}"));
        }
        Ok(chunks.iter().map(|&chunk| decode(chunk)).collect())
    }
}
