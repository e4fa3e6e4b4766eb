//! A connection.

use std::ffi::c_char;
use std::time::Duration;

use wavekv_client::{Address, AddressError, ConnectOptions, blocking};

use crate::given::text;
use crate::sigpipe;
use crate::status::{Failure, WavekvStatus, told};

/// A connection to a daemon.
#[derive(Debug)]
pub struct WavekvClient {
    pub(crate) inner: blocking::Client,
}

/// Connects to `unix:/path/to.sock`, `shm:/path/to.sock`, `http://host:port` or `https://host:port`, within
/// `connect_timeout_ms` (0: five seconds); every call has `deadline_ms` (0: as long as it takes). `client` is to be given to `wavekv_close`.
///
/// # Safety
/// `address` ends with 0; `client` points to a pointer that may be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wavekv_connect(
    address: *const c_char,
    connect_timeout_ms: u32,
    deadline_ms: u32,
    client: *mut *mut WavekvClient,
) -> WavekvStatus {
    told(|| {
        // SAFETY: the caller's promise.
        let address = unsafe { text("address", address, None) }?;
        let address: Address = address
            .parse()
            .map_err(|error: AddressError| Failure::invalid(error.to_string()))?;
        let time = |ms: u32| (ms > 0).then(|| Duration::from_millis(u64::from(ms)));
        let otherwise = ConnectOptions::default();
        let options = ConnectOptions {
            connect_timeout: time(connect_timeout_ms).unwrap_or(otherwise.connect_timeout),
            deadline: time(deadline_ms),
            ..otherwise
        };
        // SAFETY: the caller's promise; null is refused.
        let client =
            unsafe { client.as_mut() }.ok_or_else(|| Failure::invalid("client is null"))?;
        let inner = blocking::Client::connect_with(&address, options)?;
        *client = Box::into_raw(Box::new(WavekvClient { inner }));
        Ok(())
    })
}

/// Ends a connection; null is none.
///
/// # Safety
/// `client` is null or comes from `wavekv_connect`, and no call of any thread has it or gets it afterwards.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wavekv_close(client: *mut WavekvClient) {
    if !client.is_null() {
        // SAFETY: from `Box::into_raw` in wavekv_connect, by the caller's promise, and given back once.
        let client = unsafe { Box::from_raw(client) };
        sigpipe::without(|| drop(client));
    }
}
