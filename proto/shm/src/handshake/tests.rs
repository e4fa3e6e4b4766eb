//! Both sides of a handshake over a real socket.

use std::os::unix::net::UnixListener;
use std::sync::atomic::Ordering;

use super::*;
use crate::layout::word;
use crate::ring::Words as _;

const ENTRIES: u32 = 4;
const ARENA: u64 = 65_536;
const PATIENCE: Duration = Duration::from_secs(20);

/// What a client hears from a daemon that answers `answer`.
fn met(
    hello: Hello,
    answer: impl FnOnce(UnixStream, [u8; HELLO_BYTES]) + Send,
) -> Result<Connected, ConnectError> {
    let folder = tempdir();
    let path = folder.join("socket");
    let listener = UnixListener::bind(&path).unwrap();
    let met = std::thread::scope(|scope| {
        scope.spawn(|| {
            let (mut socket, _) = listener.accept().unwrap();
            let mut bytes = [0; HELLO_BYTES];
            // A client that refuses its own sizes sends nothing.
            if socket.read_exact(&mut bytes).is_ok() {
                answer(socket, bytes);
            }
        });
        let met = connect(&path, hello, PATIENCE);
        // Lets the daemon go where the client did not come.
        drop(UnixStream::connect(&path));
        met
    });
    fs_err::remove_dir_all(folder).unwrap();
    met
}

fn tempdir() -> PathBuf {
    use std::sync::atomic::AtomicU64;
    static FOLDERS: AtomicU64 = AtomicU64::new(0);
    let number = FOLDERS.fetch_add(1, Ordering::Relaxed);
    let name = format!("wavekv-shm-{}-{number}", std::process::id());
    let folder = std::env::temp_dir().join(name);
    fs_err::create_dir_all(&folder).unwrap();
    folder
}

#[test]
fn a_client_that_is_taken_shares_the_daemon_s_memory() {
    let layout = Layout::new(ENTRIES, ARENA).unwrap();
    let (memory, file) = Memory::create(layout, 9).unwrap();
    let met = met(Hello::new(ENTRIES, ARENA), |socket, bytes| {
        let hello = Hello::parse(&bytes).unwrap();
        assert_eq!((hello.ring_entries, hello.arena_bytes), (ENTRIES, ARENA));
        let sent = Welcome {
            boot_epoch: 9,
            layout,
            memory: file.as_fd(),
            grpc_socket: Path::new("/run/wavekvd.sock"),
        };
        welcome(&socket, &sent).unwrap();
    });
    let met = met.unwrap();
    assert_eq!(met.boot_epoch, 9);
    assert_eq!(met.grpc_socket, Path::new("/run/wavekvd.sock"));
    memory.store(word::CLIENT_SLEEPS, 5, Ordering::Relaxed);
    assert_eq!(met.memory.load(word::CLIENT_SLEEPS, Ordering::Relaxed), 5);
}

#[test]
fn a_refusal_comes_with_its_code_and_sentence() {
    let refused = met(Hello::new(ENTRIES, ARENA), |socket, _| {
        refuse(&socket, 8, "shm.max_connections is 1: expected one to end").unwrap();
    });
    let Err(ConnectError::Refused { code, sentence }) = refused else {
        panic!("{refused:?}");
    };
    assert_eq!(code, 8);
    assert!(
        sentence.starts_with("shm.max_connections is 1"),
        "{sentence}"
    );
}

#[test]
fn strangers_are_told_apart() {
    let nonsense = met(Hello::new(ENTRIES, ARENA), |mut socket, _| {
        socket.write_all(&[b'x'; 100]).unwrap();
    });
    assert!(matches!(nonsense, Err(ConnectError::Stranger { .. })));
    let silent = met(Hello::new(ENTRIES, ARENA), |socket, _| drop(socket));
    assert!(matches!(silent, Err(ConnectError::System(_))));
    let sizes = met(Hello::new(3, ARENA), |_, _| {});
    assert!(matches!(sizes, Err(ConnectError::Layout(_))));
}

#[test]
fn a_hello_of_another_kind_is_refused_by_field() {
    let right = Hello::new(ENTRIES, ARENA).encode();
    assert!(Hello::parse(&right).is_ok());
    for (at, named) in [(0, "magic is 0x"), (8, "version is 254: expected 1")] {
        let mut wrong = right;
        wrong[at] = 0xfe;
        let refused = Hello::parse(&wrong).unwrap_err().to_string();
        assert!(refused.starts_with(named), "{refused}");
    }
}
