//! How a connection begins: the client says what it speaks and asks for sizes, the daemon answers with the memory or with
//! a sentence.

use std::io::{self, IoSlice, IoSliceMut, Read as _, Write as _};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags,
};

use crate::layout::{Layout, LayoutError, MAGIC, VERSION};
use crate::line::shortened;
use crate::memory::Memory;

/// Of a [`Hello`].
pub const HELLO_BYTES: usize = 32;
/// Of a welcome, before its text.
pub const WELCOME_BYTES: usize = 40;
/// Of the text of a welcome: a path or a sentence.
pub const TEXT_BYTES: usize = 4096;

/// What a client sends first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hello {
    /// Of the contract that it speaks.
    pub version: u32,
    /// Of each ring.
    pub ring_entries: u32,
    /// Of the arena.
    pub arena_bytes: u64,
}

/// A first message that is not this contract's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadHello {
    /// Somebody else's.
    #[error("magic is {0:#018x}: expected {expected:#018x}", expected = MAGIC)]
    Magic(u64),
    /// Of another version.
    #[error("version is {0}: expected {expected}", expected = VERSION)]
    Version(u32),
}

impl Hello {
    /// In this crate's version.
    pub fn new(ring_entries: u32, arena_bytes: u64) -> Self {
        Self {
            version: VERSION,
            ring_entries,
            arena_bytes,
        }
    }

    /// As it is sent.
    pub fn encode(self) -> [u8; HELLO_BYTES] {
        let mut bytes = [0; HELLO_BYTES];
        bytes[..8].copy_from_slice(&MAGIC.to_le_bytes());
        bytes[8..12].copy_from_slice(&self.version.to_le_bytes());
        bytes[12..16].copy_from_slice(&self.ring_entries.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.arena_bytes.to_le_bytes());
        bytes
    }

    /// What was sent, if it is of this version; the sizes are as they were asked for.
    ///
    /// # Errors
    /// [`BadHello`].
    pub fn parse(bytes: &[u8; HELLO_BYTES]) -> Result<Self, BadHello> {
        let magic = long(bytes, 0);
        if magic != MAGIC {
            return Err(BadHello::Magic(magic));
        }
        let version = short(bytes, 8);
        if version != VERSION {
            return Err(BadHello::Version(version));
        }
        Ok(Self {
            version,
            ring_entries: short(bytes, 12),
            arena_bytes: long(bytes, 16),
        })
    }
}

/// What a daemon answers a client that it takes.
#[derive(Debug)]
pub struct Welcome<'a> {
    /// Of the daemon.
    pub boot_epoch: u64,
    /// Of the memory.
    pub layout: Layout,
    /// The memory.
    pub memory: BorrowedFd<'a>,
    /// Where the daemon speaks gRPC.
    pub grpc_socket: &'a Path,
}

/// Sends the memory.
///
/// # Errors
/// What the system says.
pub fn welcome(socket: &UnixStream, welcome: &Welcome<'_>) -> io::Result<()> {
    let path = welcome.grpc_socket.as_os_str().as_bytes();
    let head = Head {
        status: 0,
        boot_epoch: welcome.boot_epoch,
        ring_entries: welcome.layout.ring_entries() as u32,
        arena_bytes: welcome.layout.arena_bytes(),
        text_bytes: path.len() as u32,
    };
    if path.len() > TEXT_BYTES {
        return Err(io::Error::other("the path of grpc.unix_socket is too long"));
    }
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let memory = [welcome.memory];
    control.push(SendAncillaryMessage::ScmRights(&memory));
    send(socket, &head, path, &mut control)
}

/// Sends why there is no memory: a gRPC status code, not 0, and a sentence.
///
/// # Errors
/// What the system says.
pub fn refuse(socket: &UnixStream, code: u32, sentence: &str) -> io::Result<()> {
    let text = shortened(sentence, TEXT_BYTES).as_bytes();
    let head = Head {
        status: code,
        boot_epoch: 0,
        ring_entries: 0,
        arena_bytes: 0,
        text_bytes: text.len() as u32,
    };
    send(socket, &head, text, &mut SendAncillaryBuffer::default())
}

/// The socket has just been opened, so that all of it fits at once.
fn send(
    socket: &UnixStream,
    head: &Head,
    text: &[u8],
    control: &mut SendAncillaryBuffer<'_, '_, '_>,
) -> io::Result<()> {
    let head = head.encode();
    let parts = [IoSlice::new(&head), IoSlice::new(text)];
    let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
    let sent = rustix::net::sendmsg(socket, &parts, control, flags)?;
    if sent == head.len() + text.len() {
        Ok(())
    } else {
        Err(io::ErrorKind::WriteZero.into())
    }
}

/// What a client has when it was taken.
#[derive(Debug)]
pub struct Connected {
    /// Rings and ends.
    pub socket: UnixStream,
    /// The memory.
    pub memory: Memory,
    /// Of the daemon.
    pub boot_epoch: u64,
    /// Where the daemon speaks gRPC.
    pub grpc_socket: PathBuf,
}

/// Why a client has no connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// Sizes that no memory can have.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// The daemon refused: its code, that of gRPC, and its sentence.
    #[error("{sentence}")]
    Refused {
        /// Of gRPC.
        code: u32,
        /// The daemon's.
        sentence: String,
    },
    /// What answered is no daemon of this version.
    #[error(
        "no WaveKV daemon that speaks version {VERSION} of shared memory answers there: {what}"
    )]
    Stranger {
        /// What was wrong.
        what: &'static str,
    },
    /// There is nobody, or not in time.
    #[error(transparent)]
    System(#[from] io::Error),
}

/// Connects to the socket at `path`; each wait for the daemon takes at most `patience`.
///
/// # Errors
/// [`ConnectError`].
pub fn connect(path: &Path, hello: Hello, patience: Duration) -> Result<Connected, ConnectError> {
    let layout = Layout::new(hello.ring_entries, hello.arena_bytes)?;
    let mut socket = UnixStream::connect(path)?;
    socket.set_read_timeout(Some(patience))?;
    socket.set_write_timeout(Some(patience))?;
    socket.write_all(&hello.encode())?;
    let (head, memory) = receive(&mut socket)?;
    let mut text = vec![0; head.text_bytes as usize];
    socket.read_exact(&mut text)?;
    if head.status != 0 {
        return Err(ConnectError::Refused {
            code: head.status,
            sentence: String::from_utf8_lossy(&text).into_owned(),
        });
    }
    if (head.ring_entries, head.arena_bytes) != (hello.ring_entries, hello.arena_bytes) {
        let what = "it gives other sizes than were asked for";
        return Err(ConnectError::Stranger { what });
    }
    let what = "it gives no memory";
    let memory = memory.ok_or(ConnectError::Stranger { what })?;
    Ok(Connected {
        memory: Memory::open(&memory, layout)?,
        socket,
        boot_epoch: head.boot_epoch,
        grpc_socket: std::ffi::OsString::from_vec(text).into(),
    })
}

/// The head of the welcome, with the descriptor that came with it.
fn receive(socket: &mut UnixStream) -> Result<(Head, Option<OwnedFd>), ConnectError> {
    let mut bytes = [0; WELCOME_BYTES];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let received = rustix::net::recvmsg(
        socket.as_fd(),
        &mut [IoSliceMut::new(&mut bytes)],
        &mut control,
        RecvFlags::CMSG_CLOEXEC,
    )
    .map_err(io::Error::from)?;
    if received.bytes == 0 {
        return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
    }
    let memory = control.drain().find_map(|message| {
        let RecvAncillaryMessage::ScmRights(mut descriptors) = message else {
            return None;
        };
        descriptors.next()
    });
    socket.read_exact(&mut bytes[received.bytes..])?;
    let head = Head::parse(&bytes).map_err(|what| ConnectError::Stranger { what })?;
    Ok((head, memory))
}

/// A welcome without its text.
#[derive(Debug)]
struct Head {
    status: u32,
    boot_epoch: u64,
    ring_entries: u32,
    arena_bytes: u64,
    text_bytes: u32,
}

impl Head {
    fn encode(&self) -> [u8; WELCOME_BYTES] {
        let mut bytes = [0; WELCOME_BYTES];
        bytes[..8].copy_from_slice(&MAGIC.to_le_bytes());
        bytes[8..12].copy_from_slice(&VERSION.to_le_bytes());
        bytes[12..16].copy_from_slice(&self.status.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.boot_epoch.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.arena_bytes.to_le_bytes());
        bytes[32..36].copy_from_slice(&self.ring_entries.to_le_bytes());
        bytes[36..40].copy_from_slice(&self.text_bytes.to_le_bytes());
        bytes
    }

    /// A refusal is understood whatever the version.
    fn parse(bytes: &[u8; WELCOME_BYTES]) -> Result<Self, &'static str> {
        let head = Self {
            status: short(bytes, 12),
            boot_epoch: long(bytes, 16),
            arena_bytes: long(bytes, 24),
            ring_entries: short(bytes, 32),
            text_bytes: short(bytes, 36),
        };
        if long(bytes, 0) != MAGIC {
            return Err("its first bytes are not WAVEKVSM");
        }
        if head.status == 0 && short(bytes, 8) != VERSION {
            return Err("it speaks another version");
        }
        if head.text_bytes as usize > TEXT_BYTES {
            return Err("its text is too long");
        }
        Ok(head)
    }
}

fn short<const N: usize>(bytes: &[u8; N], at: usize) -> u32 {
    u32::from_le_bytes(std::array::from_fn(|byte| bytes[at + byte]))
}

fn long<const N: usize>(bytes: &[u8; N], at: usize) -> u64 {
    u64::from_le_bytes(std::array::from_fn(|byte| bytes[at + byte]))
}

#[cfg(test)]
mod tests;
