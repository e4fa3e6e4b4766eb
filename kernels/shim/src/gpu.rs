//! The same launches on a GPU: so that what the tests say of the kernels on the CPU, they say of the kernels.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use bytemuck::NoUninit;
use wavekv_kernels::cuda::device::{Allocation, Device, DeviceError, Loaded};
use wavekv_kernels::cuda::launch::Kernel;
use wavekv_kernels::cuda::sources::Source;

use crate::launch::Launch;

/// The GPU that all tests of a process share.
#[derive(Clone, Debug)]
pub(crate) struct Gpu(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    device: Device,
    /// By name and shared memory.
    loaded: Mutex<HashMap<(&'static str, u32), Arc<Loaded>>>,
}

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
        static OPENED: OnceLock<Arc<Shared>> = OnceLock::new();
        std::env::var("WAVEKV_ON_GPU").ok()?;
        let open = || {
            Arc::new(Shared {
                device: or_fail(Device::open(0)),
                loaded: Mutex::default(),
            })
        };
        Some(Self(Arc::clone(OPENED.get_or_init(open))))
    }

    /// What it is called.
    pub(crate) fn name(&self) -> String {
        or_fail(self.0.device.name())
    }

    pub(crate) fn upload(&self, bytes: &[u8]) -> Allocation {
        or_fail(self.0.device.upload(bytes))
    }

    pub(crate) fn download(&self, from: &Allocation, count: usize) -> Vec<u8> {
        or_fail(self.0.device.download(from, count))
    }

    /// Milliseconds of the GPU between now and the end of what `work` launches.
    pub(crate) fn time(&self, work: impl FnOnce()) -> f32 {
        let before = or_fail(self.0.device.mark());
        work();
        let after = or_fail(self.0.device.mark());
        or_fail(before.until(&after))
    }

    pub(crate) fn launch<P: NoUninit>(&self, launch: Launch<'_>, params: &P) -> Result<(), String> {
        let [x, y, _] = launch.grid;
        if x == 0 || y == 0 {
            return Ok(());
        }
        let loaded = self.load(launch)?;
        // SAFETY: the same launch runs on the CPU, where every access is looked at; the buffers live in the `Memory` that the
        // launch borrows, and whoever reads them waits for it.
        let launched = unsafe { self.0.device.launch(&loaded, [x, y], params) };
        launched.map_err(|error| error.to_string())
    }

    fn load(&self, launch: Launch<'_>) -> Result<Arc<Loaded>, String> {
        let Some(name) = name_of(launch.kernel) else {
            return Err(format!("there is no kernel {}", launch.kernel));
        };
        let mut loaded = self.0.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(loaded) = loaded.get(&(name, launch.shared_bytes)) {
            return Ok(Arc::clone(loaded));
        }
        let wanted = format!("KERNEL({name}, ");
        let source = Source::ALL
            .into_iter()
            .find(|source| source.text().contains(&wanted));
        let Some(source) = source else {
            return Err(format!("{name} is in no source"));
        };
        let kernel = Kernel {
            source,
            name,
            threads: launch.threads,
            shared_bytes: launch.shared_bytes,
        };
        let made = self
            .0
            .device
            .load(kernel)
            .map_err(|error| error.to_string())?;
        let made = Arc::new(made);
        loaded.insert((name, launch.shared_bytes), Arc::clone(&made));
        Ok(made)
    }
}

/// The shim's own name of a kernel, which lives as long as the program.
fn name_of(kernel: &str) -> Option<&'static str> {
    static NAMES: OnceLock<Vec<String>> = OnceLock::new();
    let names = NAMES.get_or_init(|| {
        let kernels = crate::kernels().into_iter();
        kernels.map(|(name, _)| name).collect()
    });
    names
        .iter()
        .find(|name| *name == kernel)
        .map(String::as_str)
}
