//! The same launches on a GPU: so that what the tests say of the kernels on the CPU, they say of the kernels.

use std::sync::{Arc, OnceLock};

use bytemuck::NoUninit;
use wavekv_kernels::cuda::device::{Allocation, Device, DeviceError};
use wavekv_kernels::cuda::launch::Kernel;
use wavekv_kernels::cuda::sources::Source;

use crate::launch::Launch;

/// The GPU that all tests of a process share.
#[derive(Clone, Debug)]
pub(crate) struct Gpu(Arc<Device>);

/// Tests have no other way to go on.
#[expect(
    clippy::panic,
    reason = "a GPU that was asked for and cannot be used fails the test"
)]
fn or_fail<T>(result: Result<T, DeviceError>) -> T {
    result.unwrap_or_else(|error| panic!("{error}"))
}

impl Gpu {
    /// The first one, where `WAVEKV_ON_GPU` is set.
    #[expect(
        clippy::disallowed_methods,
        reason = "a switch of the test run, not a setting"
    )]
    pub(crate) fn asked_for() -> Option<Self> {
        static OPENED: OnceLock<Arc<Device>> = OnceLock::new();
        std::env::var("WAVEKV_ON_GPU").ok()?;
        let opened = OPENED.get_or_init(|| Arc::new(or_fail(Device::open(0))));
        Some(Self(Arc::clone(opened)))
    }

    pub(crate) fn upload(&self, bytes: &[u8]) -> Allocation {
        or_fail(self.0.upload(bytes))
    }

    pub(crate) fn download(&self, from: &Allocation, count: usize) -> Vec<u8> {
        or_fail(self.0.download(from, count))
    }

    pub(crate) fn launch<P: NoUninit>(&self, launch: Launch<'_>, params: &P) -> Result<(), String> {
        let wanted = format!("KERNEL({}, ", launch.kernel);
        let sources = Source::ALL.into_iter();
        let source = sources
            .clone()
            .find(|source| source.text().contains(&wanted));
        let Some((source, name)) = source.zip(name_of(launch.kernel)) else {
            return Err(format!("there is no kernel {}", launch.kernel));
        };
        let kernel = Kernel {
            source,
            name,
            threads: launch.threads,
            shared_bytes: launch.shared_bytes,
        };
        let loaded = self.0.load(kernel).map_err(|error| error.to_string())?;
        let [x, y, _] = launch.grid;
        if x == 0 || y == 0 {
            return Ok(());
        }
        // SAFETY: the same launch ran on the CPU, where every access was looked at; the buffers live in the `Memory` that the
        // launch borrows, and whoever reads them waits for it.
        let launched = unsafe { self.0.launch(&loaded, [x, y], params) };
        launched.map_err(|error| error.to_string())
    }
}

/// The shim's own name of a kernel, which lives as long as the program.
fn name_of(kernel: &str) -> Option<&'static str> {
    static NAMES: OnceLock<Vec<String>> = OnceLock::new();
    let names = NAMES.get_or_init(|| crate::kernels().into_iter().map(|(name, _)| name).collect());
    names
        .iter()
        .find(|name| *name == kernel)
        .map(String::as_str)
}
