//! Waiting for what comes by itself.

use std::time::Duration;

/// Between two looks.
pub(super) const POLL: Duration = Duration::from_millis(5);
/// Longer than any start or stop takes, however busy the machine.
pub(crate) const A_MINUTE: u32 = 12_000;

/// What `look` finds, looked for so many times: nothing when it does not come.
pub(crate) async fn until<T>(polls: u32, mut look: impl AsyncFnMut() -> Option<T>) -> Option<T> {
    for _ in 0..polls {
        if let Some(found) = look().await {
            return Some(found);
        }
        tokio::time::sleep(POLL).await;
    }
    None
}
