//! One GPU: its memory, the kernels that were compiled for it, and launches.
//!
//! Sources are compiled when a kernel of theirs is first asked for. Everything is in one stream, in order: what is launched
//! later sees what was launched before, and a download waits for both.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use bytemuck::NoUninit;
use cudarc::driver::sys::CUfunction_attribute_enum::CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES as SHARED_SIZE;
use cudarc::driver::{
    CudaContext, CudaEvent, CudaFunction, CudaModule, CudaSlice, CudaStream, DevicePtr as _,
    DeviceRepr, DriverError, LaunchConfig, PushKernelArg as _, sys,
};
use cudarc::nvrtc::Ptx;

use crate::cuda::compile::{CompileError, compile};
use crate::cuda::launch::Kernel;
use crate::cuda::sources::Source;

/// Shared memory that a block has without being asked.
const SHARED_BYTES: u32 = 48 << 10;

/// Why a GPU is not used.
#[derive(Debug, thiserror::Error)]
pub enum DeviceError {
    /// No driver.
    #[error("libcuda.so is not found: expected a driver of NVIDIA's")]
    Missing,
    /// A call failed.
    #[error("the GPU fails in {call}: {source}")]
    Failed {
        /// What was being done.
        call: &'static str,
        /// Its code.
        source: DriverError,
    },
    /// A kernel is not compiled.
    #[error(transparent)]
    Compile(#[from] CompileError),
}

fn failed(call: &'static str) -> impl FnOnce(DriverError) -> DeviceError {
    move |source| DeviceError::Failed { call, source }
}

/// A GPU.
pub struct Device {
    context: Arc<CudaContext>,
    stream: Arc<CudaStream>,
    architecture: String,
    modules: Mutex<HashMap<Source, Arc<CudaModule>>>,
}

impl fmt::Debug for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Device")
            .field("architecture", &self.architecture)
            .finish_non_exhaustive()
    }
}

/// Some of a GPU's memory, which is given back with this.
pub struct Allocation {
    bytes: CudaSlice<u8>,
    address: u64,
}

impl fmt::Debug for Allocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Allocation")
            .field("bytes", &self.bytes.len())
            .finish_non_exhaustive()
    }
}

impl Allocation {
    /// What kernels know it by.
    pub fn address(&self) -> u64 {
        self.address
    }
}

/// A kernel that is loaded.
#[derive(Debug)]
pub struct Loaded {
    function: CudaFunction,
    kernel: Kernel,
}

/// A kernel's parameters, which the driver copies.
#[repr(transparent)]
struct Params<P>(P);

// SAFETY: plain bytes without padding, as a kernel takes them; whether the addresses among them are good is the launch's matter.
unsafe impl<P: NoUninit> DeviceRepr for Params<P> {}

impl Device {
    /// The GPU of this number.
    ///
    /// # Errors
    /// Where there is no driver, or no such GPU.
    pub fn open(ordinal: usize) -> Result<Self, DeviceError> {
        // SAFETY: it opens the libraries of these names and nothing more.
        if !unsafe { sys::is_culib_present() } {
            return Err(DeviceError::Missing);
        }
        let context = CudaContext::new(ordinal).map_err(failed("opening it"))?;
        let capability = context.compute_capability();
        let (major, minor) = capability.map_err(failed("saying what it is"))?;
        let stream = context.new_stream().map_err(failed("making a stream"))?;
        Ok(Self {
            stream,
            context,
            architecture: format!("sm_{major}{minor}"),
            modules: Mutex::default(),
        })
    }

    /// As in `sm_90`.
    pub fn architecture(&self) -> &str {
        &self.architecture
    }

    /// Its name.
    ///
    /// # Errors
    /// [`DeviceError::Failed`].
    pub fn name(&self) -> Result<String, DeviceError> {
        self.context.name().map_err(failed("saying its name"))
    }

    /// Memory with these bytes.
    ///
    /// # Errors
    /// [`DeviceError::Failed`], for want of memory too.
    pub fn upload(&self, bytes: &[u8]) -> Result<Allocation, DeviceError> {
        // An allocation of nothing has no address.
        let some = if bytes.is_empty() { &[0][..] } else { bytes };
        let held = self.stream.clone_htod(some);
        let held = held.map_err(failed("copying to its memory"))?;
        let (address, _) = held.device_ptr(&self.stream);
        Ok(Allocation {
            address,
            bytes: held,
        })
    }

    /// The first `count` bytes, after everything that was launched.
    ///
    /// # Errors
    /// [`DeviceError::Failed`]; also where a launch before has failed.
    pub fn download(&self, from: &Allocation, count: usize) -> Result<Vec<u8>, DeviceError> {
        let bytes = self.stream.clone_dtoh(&from.bytes);
        let mut bytes = bytes.map_err(failed("copying from its memory"))?;
        self.stream
            .synchronize()
            .map_err(failed("waiting for what was launched"))?;
        bytes.truncate(count);
        Ok(bytes)
    }

    /// A kernel, compiled for this GPU.
    ///
    /// # Errors
    /// Where it cannot be compiled or loaded, or needs more shared memory than a block can have.
    pub fn load(&self, kernel: Kernel) -> Result<Loaded, DeviceError> {
        let mut modules = self.modules.lock().unwrap_or_else(PoisonError::into_inner);
        let module = if let Some(module) = modules.get(&kernel.source) {
            Arc::clone(module)
        } else {
            let compiled = compile(kernel.source, &self.architecture)?;
            let module = self.context.load_module(Ptx::from_binary(compiled.cubin));
            let module = module.map_err(failed("loading a module"))?;
            modules.insert(kernel.source, Arc::clone(&module));
            module
        };
        let function = module.load_function(kernel.name);
        let function = function.map_err(failed("finding a kernel"))?;
        if kernel.shared_bytes > SHARED_BYTES {
            function
                .set_attribute(SHARED_SIZE, kernel.shared_bytes as i32)
                .map_err(failed("giving a kernel shared memory"))?;
        }
        Ok(Loaded { function, kernel })
    }

    /// Launches a kernel on a grid of blocks, and does not wait for it.
    ///
    /// # Safety
    /// `params` must be the structure that the kernel takes; every address in it and in the tables that it names must be of memory
    /// of this GPU (or that it sees) that is as large as the shapes beside it say, and that lives until the kernel has ended.
    ///
    /// # Errors
    /// [`DeviceError::Failed`] where the launch is refused. What goes wrong later is said by the next download.
    pub unsafe fn launch<P: NoUninit>(
        &self,
        loaded: &Loaded,
        [x, y]: [u32; 2],
        params: &P,
    ) -> Result<(), DeviceError> {
        let params = Params(*params);
        let mut launch = self.stream.launch_builder(&loaded.function);
        launch.arg(&params);
        let shape = LaunchConfig {
            grid_dim: (x, y, 1),
            block_dim: (loaded.kernel.threads, 1, 1),
            shared_mem_bytes: loaded.kernel.shared_bytes,
        };
        // SAFETY: the caller's promise.
        let launched = unsafe { launch.launch(shape) };
        launched.map(|_| ()).map_err(failed("launching a kernel"))
    }

    /// A mark in the stream, for the time between two of them.
    ///
    /// # Errors
    /// [`DeviceError::Failed`].
    pub fn mark(&self) -> Result<Mark, DeviceError> {
        let timed = Some(sys::CUevent_flags::CU_EVENT_DEFAULT);
        let event = self.stream.record_event(timed);
        Ok(Mark(event.map_err(failed("recording an event"))?))
    }
}

/// A moment of the GPU's, see [`Device::mark`].
#[derive(Debug)]
pub struct Mark(CudaEvent);

impl Mark {
    /// Milliseconds from here to a later mark, for which it waits.
    ///
    /// # Errors
    /// [`DeviceError::Failed`].
    pub fn until(&self, later: &Self) -> Result<f32, DeviceError> {
        self.0
            .elapsed_ms(&later.0)
            .map_err(failed("reading its clock"))
    }
}
