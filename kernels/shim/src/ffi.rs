//! The C++ side, as `cpp/kernels.cpp` has it.

use std::ffi::{CStr, CString, c_char, c_int, c_void};

use crate::launch::{Launch, Traffic};
use crate::memory::Memory;

/// `ShimBuffer`.
#[repr(C)]
struct BufferParts {
    name: *const c_char,
    start: *mut u8,
    bytes: u64,
    read: u64,
    written: u64,
    writable: u32,
    unused: u32,
}

/// `ShimLaunch`.
#[repr(C)]
struct LaunchParts {
    kernel: *const c_char,
    params: *const c_void,
    buffers: *mut BufferParts,
    failure: *mut c_char,
    buffer_count: u64,
    failure_bytes: u64,
    param_bytes: u32,
    grid: [u32; 3],
    threads: u32,
    shared_bytes: u32,
}

unsafe extern "C" {
    fn shim_launch(launch: *mut LaunchParts) -> c_int;
    fn shim_kernel(at: u32, threads: *mut u32) -> *const c_char;
}

/// Runs a launch over all of `memory`. The kernel finds its buffers by the addresses in `params`, and may touch nothing else:
/// the other side looks at every access before it is made.
pub(crate) fn launch(
    launch: Launch<'_>,
    params: &[u8],
    memory: &mut Memory,
) -> Result<Traffic, String> {
    let text = |text: &str| CString::new(text).map_err(|error| error.to_string());
    let kernel = text(launch.kernel)?;
    let names = memory.buffers.iter().map(|buffer| text(&buffer.name));
    let names = names.collect::<Result<Vec<_>, _>>()?;
    let buffers = memory.buffers.iter_mut().zip(&names);
    let mut buffers: Vec<BufferParts> = buffers
        .map(|(buffer, name)| BufferParts {
            name: name.as_ptr(),
            bytes: buffer.bytes as u64,
            start: buffer.bytes_mut().as_mut_ptr(),
            read: 0,
            written: 0,
            writable: u32::from(buffer.writable),
            unused: 0,
        })
        .collect();
    // Parameters lie on the device as they would: at an address that suits any of them.
    let mut aligned = vec![0_u128; params.len().div_ceil(size_of::<u128>())];
    bytemuck::cast_slice_mut(&mut aligned)[..params.len()].copy_from_slice(params);
    let mut failure = vec![0_u8; 1024];
    let mut parts = LaunchParts {
        kernel: kernel.as_ptr(),
        params: aligned.as_ptr().cast(),
        buffers: buffers.as_mut_ptr(),
        failure: failure.as_mut_ptr().cast(),
        buffer_count: buffers.len() as u64,
        failure_bytes: failure.len() as u64,
        param_bytes: params.len() as u32,
        grid: launch.grid,
        threads: launch.threads,
        shared_bytes: launch.shared_bytes,
    };
    // SAFETY: every pointer in `parts` is to something of this function or of `memory`, which is borrowed alone, with the
    // length beside it; the other side keeps none of them.
    let failed = unsafe { shim_launch(&raw mut parts) };
    if failed != 0 {
        let sentence = CStr::from_bytes_until_nul(&failure).map_err(|error| error.to_string())?;
        return Err(sentence.to_string_lossy().into_owned());
    }
    let of_buffers = buffers.iter().zip(&memory.buffers);
    let counted =
        of_buffers.map(|(parts, buffer)| (buffer.name.clone(), parts.read, parts.written));
    Ok(Traffic {
        buffers: Some(counted.collect()),
    })
}

/// Every kernel there is, with the most threads that its blocks may have.
pub(crate) fn kernels() -> Vec<(String, u32)> {
    let mut found = Vec::new();
    loop {
        let mut threads = 0;
        // SAFETY: `threads` is a place for one number, and the name that comes back stands in the program for ever.
        let name = unsafe { shim_kernel(found.len() as u32, &raw mut threads) };
        if name.is_null() {
            return found;
        }
        // SAFETY: a name that is not null is one of the other side's string literals.
        let name = unsafe { CStr::from_ptr(name) };
        found.push((name.to_string_lossy().into_owned(), threads));
    }
}
