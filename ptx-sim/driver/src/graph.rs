//! Graphs: captured work, and its replay.

use std::sync::Arc;

use crate::driver::Driver;
use crate::error::{Code, Error, Result};
use crate::handle::Handle;
use crate::op::Op;

#[derive(Clone, Debug)]
pub(crate) struct Graph {
    pub device: usize,
    pub ops: Arc<[Op]>,
}

/// `CUDA_GRAPH_INSTANTIATE_FLAG_DEVICE_LAUNCH`
const DEVICE_LAUNCH: u64 = 4;

/// Auto free on launch, upload, device launch, node priorities.
const KNOWN_FLAGS: u64 = 0b1111;

impl Driver {
    pub fn instantiate(&mut self, graph: Handle, flags: u64) -> Result<Handle> {
        let graph = self.graphs.get(graph)?.clone();
        // A launch from the device goes with no other flag; it is not simulated on its own either.
        if flags & !KNOWN_FLAGS != 0 || flags & DEVICE_LAUNCH != 0 && flags != DEVICE_LAUNCH {
            return Err(Code::InvalidValue.into());
        }
        if flags == DEVICE_LAUNCH {
            return Err(Error::new(Code::NotSupported, "graphs that the device launches"));
        }
        if let Some(code) = self.knobs.fail_graph {
            return Err(Error::new(code, "a graph is not instantiated, as PTX_SIM_FAIL_GRAPH asks"));
        }
        self.counts.instantiations += 1;
        Ok(self.executables.insert(graph))
    }

    pub fn launch_graph(&mut self, executable: Handle, stream: Handle) -> Result<()> {
        let ops = Arc::clone(&self.executables.get(executable)?.ops);
        self.submit(stream, Op::Graph(ops))?;
        self.counts.graph_launches += 1;
        Ok(())
    }
}
