//! Sources to machine code, by NVRTC where it is installed.
//!
//! The library is loaded when it is first asked for. What would load it panics where there is none, so that is asked first.

use std::ffi::{CStr, CString, NulError};

use cudarc::nvrtc::result::{
    NvrtcError, compile_program, create_program, destroy_program, get_program_log,
};
use cudarc::nvrtc::sys;

use crate::cuda::sources::Source;

/// A compiled source.
#[derive(Clone, Debug)]
pub struct Compiled {
    /// Machine code of one architecture, for the driver to load.
    pub cubin: Vec<u8>,
    /// What the compiler said: registers, spills and shared memory of each kernel among it.
    pub log: String,
}

/// Why a source is not compiled.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CompileError {
    /// NVRTC is not there.
    #[error(
        "libnvrtc.so is not found: expected the CUDA toolkit, or the library's folder in LD_LIBRARY_PATH"
    )]
    Missing,
    /// The source is wrong, or the architecture is none that this NVRTC knows.
    #[error("{file} is not compiled for {architecture}: {log}")]
    Refused {
        /// The source's name.
        file: &'static str,
        /// As in `sm_90`.
        architecture: String,
        /// What the compiler said.
        log: String,
    },
    /// Another call failed.
    #[error("NVRTC fails for {file} in {call}: {source}")]
    Failed {
        /// The source's name.
        file: &'static str,
        /// Which call.
        call: &'static str,
        /// Its code.
        source: NvrtcError,
    },
    /// A zero byte in a text.
    #[error(transparent)]
    Text(#[from] NulError),
}

/// Whether NVRTC is installed.
pub fn is_available() -> bool {
    // SAFETY: it opens the libraries of these names and nothing more; NVRTC's initialisers have no conditions.
    unsafe { sys::is_culib_present() }
}

/// A program of NVRTC's, which is destroyed with this.
struct Program(sys::nvrtcProgram);

impl Drop for Program {
    fn drop(&mut self) {
        // SAFETY: `create_program` made it and nobody else destroys it. A failure leaves a little memory behind.
        let _ = unsafe { destroy_program(self.0) };
    }
}

/// Compiles a source for an architecture, such as `sm_90`.
///
/// # Errors
/// Where there is no NVRTC, or it refuses the source or the architecture.
pub fn compile(source: Source, architecture: &str) -> Result<Compiled, CompileError> {
    if !is_available() {
        return Err(CompileError::Missing);
    }
    let file = source.name();
    let failed = |call| move |source| CompileError::Failed { file, call, source };
    let (text, name) = (CString::new(source.text())?, CString::new(file)?);
    let made = create_program(&text, Some(&name)).map_err(failed("nvrtcCreateProgram"))?;
    let program = Program(made);
    let architecture = CString::new(architecture)?.to_string_lossy().into_owned();
    let options = [
        format!("--gpu-architecture={architecture}"),
        "--std=c++17".to_owned(),
        "--ptxas-options=-v".to_owned(),
    ];
    // SAFETY: the program is alive, and so are the texts that it may point to.
    let compiled = unsafe { compile_program(program.0, &options) };
    let log = log_of(&program).map_err(failed("nvrtcGetProgramLog"))?;
    match compiled {
        Err(NvrtcError(
            sys::nvrtcResult::NVRTC_ERROR_COMPILATION
            | sys::nvrtcResult::NVRTC_ERROR_INVALID_OPTION,
        )) => {
            return Err(CompileError::Refused {
                file,
                architecture,
                log,
            });
        }
        compiled => compiled.map_err(failed("nvrtcCompileProgram"))?,
    }
    let cubin = cubin_of(&program).map_err(failed("nvrtcGetCUBIN"))?;
    Ok(Compiled { cubin, log })
}

fn log_of(program: &Program) -> Result<String, NvrtcError> {
    // SAFETY: the program is alive.
    let log = unsafe { get_program_log(program.0) }?;
    let bytes: &[u8] = bytemuck::cast_slice(&log);
    let text = CStr::from_bytes_until_nul(bytes).map(CStr::to_string_lossy);
    Ok(text.unwrap_or_default().into_owned())
}

fn cubin_of(program: &Program) -> Result<Vec<u8>, NvrtcError> {
    let mut size = 0;
    // SAFETY: the program is alive and compiled; `size` is a place for one number.
    unsafe { sys::nvrtcGetCUBINSize(program.0, &raw mut size) }.result()?;
    let mut cubin = vec![0_u8; size];
    // SAFETY: as above; `cubin` has as many bytes as the library asked for.
    unsafe { sys::nvrtcGetCUBIN(program.0, cubin.as_mut_ptr().cast()) }.result()?;
    Ok(cubin)
}
