//! The socket after the handshake: each side rings the other, and sees it end.
//!
//! A ring never waits (the flag that says so goes with each call, so that a peer that changes the socket cannot change
//! that): when the socket is full, the peer has rings enough to wake up from. An eventfd would be quicker by a little, but
//! whoever shares one can have the other side wait in it.

use std::io;
use std::net::Shutdown;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;

use rustix::event::{PollFd, PollFlags};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags};

/// The byte that wakes a side.
pub const RING: u8 = 1;
/// The byte before the daemon's last sentence: its length in four bytes, least significant first, and UTF-8 follow.
pub const FAREWELL: u8 = 2;
/// Of the sentence.
pub const FAREWELL_BYTES: usize = 1024;

/// What came over the socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// Nothing but rings, if those.
    Rings,
    /// A byte that is no ring.
    Nonsense(u8),
    /// The peer has ended.
    End,
}

/// One side's end of the socket.
#[derive(Debug)]
pub struct Line {
    socket: UnixStream,
}

impl Line {
    /// From a socket on which the handshake was made.
    pub fn new(socket: UnixStream) -> Self {
        Self { socket }
    }

    /// Wakes the peer. One that has ended is not woken: its end is heard where one listens.
    pub fn ring(&self) {
        let _ = self.send(&[RING]);
    }

    /// Says why the connection ends, if the socket takes it. Longer sentences are cut.
    pub fn farewell(&self, sentence: &str) {
        let text = shortened(sentence, FAREWELL_BYTES).as_bytes();
        let mut message = vec![FAREWELL];
        message.extend((text.len() as u32).to_le_bytes());
        message.extend(text);
        let _ = self.send(&message);
    }

    /// Ends the connection, whoever still has the socket.
    pub fn close(&self) {
        // One that the peer has closed is closed.
        let _ = self.socket.shutdown(Shutdown::Both);
    }

    fn send(&self, bytes: &[u8]) -> Result<usize, Errno> {
        let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
        rustix::net::send(&self.socket, bytes, flags)
    }

    /// What has come, without waiting for more. What comes all the time is heard a piece at a time.
    pub fn hear(&self) -> Heard {
        let mut bytes = [0; 256];
        match rustix::net::recv(&self.socket, &mut bytes[..], RecvFlags::DONTWAIT) {
            Ok((0, _)) => Heard::End,
            Ok((heard, _)) => match bytes[..heard].iter().find(|byte| **byte != RING) {
                Some(other) => Heard::Nonsense(*other),
                None => Heard::Rings,
            },
            Err(Errno::AGAIN | Errno::INTR) => Heard::Rings,
            Err(_) => Heard::End,
        }
    }

    /// Sleeps until something comes over the socket, or `alarm` goes off.
    ///
    /// # Errors
    /// What the system says.
    pub fn sleep(&self, alarm: &Alarm) -> io::Result<()> {
        let mut waited = [
            PollFd::new(&self.socket, PollFlags::IN),
            PollFd::new(&alarm.0, PollFlags::IN),
        ];
        match rustix::event::poll(&mut waited, None) {
            Ok(_) => {
                if !waited[1].revents().is_empty() {
                    alarm.silence();
                }
                Ok(())
            }
            Err(Errno::INTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

impl AsFd for Line {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// What wakes a side from within its own process.
#[derive(Debug)]
pub struct Alarm(OwnedFd);

impl Alarm {
    /// A silent one.
    ///
    /// # Errors
    /// What the system says.
    pub fn new() -> io::Result<Self> {
        use rustix::event::EventfdFlags;
        let flags = EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK;
        Ok(Self(rustix::event::eventfd(0, flags)?))
    }

    /// Wakes who sleeps, or will.
    pub fn go_off(&self) {
        // It is never so full that it does not wake.
        let _ = rustix::io::write(&self.0, &[1; 8]);
    }

    fn silence(&self) {
        let _ = rustix::io::read(&self.0, &mut [0; 8]);
    }
}

/// The beginning of a text, at most `most` bytes of it.
pub(crate) fn shortened(text: &str, most: usize) -> &str {
    &text[..text.floor_char_boundary(most)]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair() -> (Line, Line) {
        let (a, b) = UnixStream::pair().unwrap();
        (Line::new(a), Line::new(b))
    }

    #[test]
    fn a_ring_wakes_and_an_end_is_heard() {
        let (here, there) = pair();
        let alarm = Alarm::new().unwrap();
        assert_eq!(here.hear(), Heard::Rings);
        there.ring();
        here.sleep(&alarm).unwrap();
        assert_eq!(here.hear(), Heard::Rings);
        alarm.go_off();
        here.sleep(&alarm).unwrap();
        drop(there);
        here.sleep(&alarm).unwrap();
        assert_eq!(here.hear(), Heard::End);
        // Nobody is there, and nothing is raised.
        here.ring();
    }

    #[test]
    fn a_peer_that_does_not_listen_is_rung_without_waiting() {
        let (here, there) = pair();
        for _ in 0..1_000_000 {
            if here.send(&[RING]) == Err(Errno::AGAIN) {
                here.ring();
                assert_eq!(there.hear(), Heard::Rings);
                drop(here);
                // All that was heard is forgotten, a piece at a time.
                while there.hear() == Heard::Rings {}
                return;
            }
        }
        panic!("the socket is never full");
    }

    #[test]
    fn what_is_no_ring_is_nonsense() {
        let (here, there) = pair();
        there.send(&[RING, RING, 9]).unwrap();
        assert_eq!(here.hear(), Heard::Nonsense(9));
    }

    #[test]
    fn a_long_farewell_is_cut_between_characters() {
        assert_eq!(shortened("ab\u{e9}", 3), "ab");
        assert_eq!(shortened("ab\u{e9}", 4), "ab\u{e9}");
    }
}
