//! SIGPIPE, which a write to a connection that broke sends, and which ends a process that does nothing about it: as those in C
//! do nothing, and those in Rust and Python ignore it.
//!
//! It is blocked in this thread while a call lasts, and so in the threads that the call starts; one that came meanwhile is
//! taken away. What the host does about the signal otherwise, and one that was there before, stay as they are.

use std::mem::MaybeUninit;
use std::ptr;

/// Makes a call, which no SIGPIPE of its own outlives.
pub(crate) fn without<T>(call: impl FnOnce() -> T) -> T {
    let pipe = only_pipe();
    let waiting = is_waiting();
    let mut before = MaybeUninit::<libc::sigset_t>::zeroed();
    // SAFETY: both point to sets, one of which is only read; nothing but this thread's mask changes.
    let failed =
        unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, &raw const pipe, before.as_mut_ptr()) };
    let answer = call();
    if failed != 0 {
        return answer;
    }
    if !waiting && is_waiting() {
        let now = libc::timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        // SAFETY: the set and the time are only read, and nobody asks who sent it.
        unsafe { libc::sigtimedwait(&raw const pipe, ptr::null_mut(), &raw const now) };
    }
    // SAFETY: what `pthread_sigmask` wrote, which is only read.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, before.as_ptr(), ptr::null_mut()) };
    answer
}

/// The set of SIGPIPE alone.
fn only_pipe() -> libc::sigset_t {
    let mut set = MaybeUninit::<libc::sigset_t>::zeroed();
    // SAFETY: it points to room for a set.
    unsafe { libc::sigemptyset(set.as_mut_ptr()) };
    // SAFETY: it points to a set.
    unsafe { libc::sigaddset(set.as_mut_ptr(), libc::SIGPIPE) };
    // SAFETY: `sigemptyset` wrote it.
    unsafe { set.assume_init() }
}

/// Whether one waits for this thread to let it through.
fn is_waiting() -> bool {
    let mut set = MaybeUninit::<libc::sigset_t>::zeroed();
    // SAFETY: it points to room for a set.
    if unsafe { libc::sigpending(set.as_mut_ptr()) } != 0 {
        return false;
    }
    // SAFETY: `sigpending` wrote a set, which is only read.
    unsafe { libc::sigismember(set.as_ptr(), libc::SIGPIPE) == 1 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raised() {
        // SAFETY: a number of this thread.
        let this = unsafe { libc::pthread_self() };
        // SAFETY: a signal to this thread, which blocks it.
        unsafe { libc::pthread_kill(this, libc::SIGPIPE) };
    }

    #[test]
    fn a_signal_of_the_call_is_gone_and_an_earlier_one_is_not() {
        // Rust ignores the signal, and one that is ignored never waits.
        // SAFETY: the default is no function of ours; only threads of this test see the signal.
        unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
        let came = without(|| {
            raised();
            is_waiting()
        });
        assert!(came);
        assert!(!is_waiting());

        without(|| {
            raised();
            without(raised);
            assert!(is_waiting());
        });
        assert!(!is_waiting());
    }

    #[test]
    fn threads_that_a_call_starts_have_it_blocked() {
        let blocked = || {
            let mut mask = MaybeUninit::<libc::sigset_t>::zeroed();
            // SAFETY: the mask is only asked for, into room for a set.
            unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, ptr::null(), mask.as_mut_ptr()) };
            // SAFETY: written above, and only read.
            unsafe { libc::sigismember(mask.as_ptr(), libc::SIGPIPE) == 1 }
        };
        let within = without(|| std::thread::scope(|scope| scope.spawn(blocked).join().unwrap()));
        assert!(within && !blocked());
    }
}
