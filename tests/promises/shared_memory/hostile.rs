//! Clients that break the contract in every way that there is, beside one that does not.

use std::io::Write as _;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::process::Signal;
use wavekv_client::wire;
use wavekv_shm::body::{self, Request};
use wavekv_shm::layout::{WORD_BYTES, word};
use wavekv_shm::ring::Words as _;
use wavekv_shm::{Layout, Operation, Region};

use super::raw::{ARENA_BYTES, RING_ENTRIES, Raw};
use super::wait_until_arenas_are_free;
use crate::harness::daemon::used_bytes;
use crate::harness::poll::{A_MINUTE, until};
use crate::harness::{Collection, Daemon, EXACT, Sequence, Shape, mode};

/// A client with manners, whose answers are looked at.
struct Good {
    collection: Collection,
    sequence: Sequence,
}

impl Good {
    async fn new(daemon: &Daemon) -> Self {
        let client = daemon.shm_client().await;
        let collection = Collection::create(&client, Shape::default()).await;
        let sequence = Sequence::random(Shape::default(), 100, 1);
        collection.insert(&sequence, 0..100).await;
        Self {
            collection,
            sequence,
        }
    }

    async fn goes_on(&self) {
        let answer = self.collection.attend(&self.sequence, &[99], mode::exact());
        let errors = self.sequence.errors(&[99], &answer.await);
        assert!(errors.iter().all(|error| *error < EXACT), "{errors:?}");
        self.collection.assert_has(&self.sequence, 100).await;
    }
}

fn open() -> Vec<u8> {
    Request::Open(vec![body::Open {
        id: 1,
        name: "nobody".to_owned(),
        ..Default::default()
    }])
    .encode()
}

/// What a client does, and what the daemon says of it.
type Misdeed = (&'static str, fn(&mut Raw));

const MISDEEDS: [Misdeed; 11] = [
    ("submission_tail is 5: expected 0 to 4", |raw| {
        tail(raw, u64::from(RING_ENTRIES) + 1);
    }),
    ("submission_tail is 18446744073709551615", |raw| {
        tail(raw, u64::MAX);
    }),
    ("operation is 0: expected 1 to 7", |raw| spoiled(raw, 1, 0)),
    ("operation is 9: expected 1 to 7", |raw| spoiled(raw, 1, 9)),
    ("request: offset 4 ", |raw| spoiled(raw, 2, 4)),
    ("request: offset 18446744073709551608 ", |raw| {
        spoiled(raw, 2, u64::MAX - 7);
    }),
    ("request: offset 0 with 18446744073709551615 bytes", |raw| {
        spoiled(raw, 3, u64::MAX);
    }),
    ("answer: offset 1048576 ", |raw| {
        spoiled(raw, 4, ARENA_BYTES);
    }),
    ("answer.bytes is 8: expected a multiple", |raw| {
        spoiled(raw, 5, 8);
    }),
    ("completion_head is 3: expected 0 to 0", |raw| {
        raw.memory
            .store(word::COMPLETION_HEAD, 3, Ordering::Relaxed);
        raw.submit(Operation::Open, &open());
    }),
    ("a byte over the socket is 77: expected 1", |raw| {
        let socket = rustix::io::dup(&raw.line).unwrap();
        UnixStream::from(socket).write_all(&[77]).unwrap();
    }),
];

fn tail(raw: &Raw, tail: u64) {
    raw.memory
        .store(word::SUBMISSION_TAIL, tail, Ordering::Release);
    raw.ring();
}

/// Submits a descriptor of which one word is another.
fn spoiled(raw: &mut Raw, word: usize, value: u64) {
    raw.memory.write(0, &open()).unwrap();
    let mut descriptor = Raw::submission(Operation::Open, &open()).encode();
    descriptor[word] = value;
    raw.send(&descriptor);
}

#[tokio::test]
async fn whoever_breaks_the_contract_is_cut_off_and_nobody_else() {
    let daemon = Daemon::start();
    let good = Good::new(&daemon).await;
    let before = used_bytes(&good.collection.client).await;
    for (said, misdeed) in MISDEEDS {
        let mut raw = Raw::connect(&daemon);
        misdeed(&mut raw);
        assert!(raw.is_cut_off().await, "{said}");
        let log = daemon.log();
        assert!(log.contains(said), "{said}:\n{log}");
        good.goes_on().await;
    }
    // What they had is given back.
    wait_until_arenas_are_free(&good.collection.client, before, ARENA_BYTES).await;
    let log = daemon.log();
    assert!(!log.contains("ERROR") && !log.contains("panicked"), "{log}");
}

/// Whoever listens to one client must hear a signal, too.
#[tokio::test]
async fn whoever_rings_all_the_time_keeps_the_daemon_from_nothing() {
    let mut daemon = Daemon::start();
    let good = Good::new(&daemon).await;
    let raw = Raw::connect(&daemon);
    let mut socket = UnixStream::from(rustix::io::dup(&raw.line).unwrap());
    let ringing = std::thread::Builder::new().spawn(move || {
        while socket.write_all(&[wavekv_shm::line::RING; 4096]).is_ok() {}
    });
    good.goes_on().await;
    daemon.signal(Signal::TERM);
    assert!(daemon.wait().await.success());
    let log = daemon.log();
    assert!(
        !log.contains("shutdown_grace") && !log.contains("breaks"),
        "{log}"
    );
    ringing.unwrap().join().unwrap();
}

#[tokio::test]
async fn more_calls_than_the_ring_has_entries_are_too_many() {
    let daemon = Daemon::start();
    let good = Good::new(&daemon).await;
    let mut raw = Raw::connect(&daemon);
    // Completed, but never read.
    for number in 0..u64::from(RING_ENTRIES) {
        raw.submit(Operation::Open, &open());
        let completed = async || {
            let tail = raw.memory.load(word::COMPLETION_TAIL, Ordering::Acquire);
            (tail > number).then_some(())
        };
        assert!(until(A_MINUTE, completed).await.is_some());
    }
    raw.submit(Operation::Open, &open());
    assert!(raw.is_cut_off().await);
    let said = "calls in progress are 5: expected at most 4, ring_entries";
    assert!(daemon.log().contains(said), "{}", daemon.log());
    good.goes_on().await;
}

#[tokio::test]
async fn a_body_that_cannot_be_read_is_refused_and_the_next_is_answered() {
    let daemon = Daemon::start();
    let good = Good::new(&daemon).await;
    let mut raw = Raw::connect(&daemon);
    raw.submit(Operation::Attend, &[0xff; 4]);
    let failure = raw.failure().await;
    assert_eq!(failure.code, wavekv_client::Code::InvalidArgument as u32);
    assert!(
        failure.message.starts_with("request is byte 0"),
        "{failure:?}"
    );

    let opened = raw.open(&good.collection.name).await;
    assert_eq!(opened.kv_heads as usize, good.sequence.shape.kv_heads);
    let layer = |collection| {
        Some(body::Layer {
            collection,
            layer: 0,
        })
    };
    let tensor = |offset, bytes| {
        Some(body::Tensor {
            dtype: 3,
            shape: vec![1, 2, 2],
            data: Region { offset, bytes },
        })
    };
    let fetch = |layer, kind| body::Fetch {
        layer,
        what: body::What {
            kind,
            ..Default::default()
        },
    };
    let insert = |k| body::Insert {
        layer: layer(1),
        k,
        ..Default::default()
    };
    let inserts = [
        (
            tensor(4, 8),
            "k.data is 8 bytes at 4: expected a region of the arena",
        ),
        (tensor(ARENA_BYTES, 8), "k.data is 8 bytes at 1048576"),
        (tensor(0, u64::MAX), "k.data.bytes is 18446744073709551615"),
        (tensor(0, 8), "k.shape is [1, 2, 2]"),
        (None, "k is missing"),
    ];
    for (k, said) in inserts {
        let asked = Request::Insert(vec![insert(k)]);
        let mut answers: body::Answers<body::Inserted> = raw.answers(&asked).await;
        let refused = answers.remove(0).unwrap_err();
        assert!(refused.message.starts_with(said), "{}", refused.message);
    }
    let fetches = [
        (
            fetch(layer(2), 1),
            "collection is id 2: expected an id that is open",
        ),
        (fetch(layer(4097), 1), "collection is id 4097"),
        (fetch(layer(0), 1), "collection is missing"),
        (fetch(None, 1), "layer is missing"),
        (fetch(layer(1), 3), "what is missing"),
    ];
    for (asked, said) in fetches {
        let asked = Request::Fetch(vec![asked]);
        let mut answers: body::Answers<body::Fetched> = raw.answers(&asked).await;
        let refused = answers.remove(0).unwrap_err();
        assert!(refused.message.starts_with(said), "{}", refused.message);
    }
    good.goes_on().await;
}

/// A thread that changes a request all the time, and a descriptor.
struct Rewriting {
    stop: Arc<AtomicBool>,
    thread: std::thread::JoinHandle<()>,
}

impl Rewriting {
    /// Of K at a place of the arena, which are now right and now NaN.
    fn start(raw: &Raw, k_at: u64, right: Vec<u8>) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (memory, stopped) = (Arc::clone(&raw.memory), Arc::clone(&stop));
        let rewrite = move || {
            while !stopped.load(Ordering::Relaxed) {
                for at in (0..right.len() / 8 * 8).step_by(8) {
                    memory.write(k_at + at as u64, &[0xff; 8]).unwrap();
                    memory.write(k_at + at as u64, &right[at..at + 8]).unwrap();
                }
                let first_descriptor = Layout::SUBMISSIONS_START as usize / WORD_BYTES;
                memory.store(first_descriptor + 3, u64::MAX, Ordering::Relaxed);
                memory.write(8, &[0; 8]).unwrap();
            }
        };
        let thread = std::thread::Builder::new().spawn(rewrite).unwrap();
        Self { stop, thread }
    }

    fn stop(self) {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap();
    }
}

/// K and V in an arena, and the insert that names them.
struct InPlace {
    k: wire::Tensor,
    v: wire::Tensor,
}

impl InPlace {
    const K_AT: u64 = 4096;

    fn v_at(&self) -> u64 {
        Self::K_AT + self.k.data.len().next_multiple_of(8) as u64
    }

    fn write(&self, raw: &Raw) {
        raw.memory.write(Self::K_AT, &self.k.data).unwrap();
        raw.memory.write(self.v_at(), &self.v.data).unwrap();
    }

    fn request(&self, start_position: u32) -> Request {
        let place = |offset, tensor: &wire::Tensor| {
            Some(body::Tensor {
                dtype: tensor.dtype.cast_unsigned(),
                shape: tensor.shape.clone(),
                data: Region {
                    offset,
                    bytes: tensor.data.len() as u64,
                },
            })
        };
        Request::Insert(vec![body::Insert {
            layer: Some(body::Layer {
                collection: 1,
                layer: 0,
            }),
            start_position,
            k: place(Self::K_AT, &self.k),
            v: place(self.v_at(), &self.v),
        }])
    }
}

/// The daemon must have checked what it stores: what it has copied, not what is in the arena by then.
#[tokio::test(flavor = "multi_thread")]
async fn whoever_rewrites_a_request_under_the_daemon_s_hands_stores_what_was_checked() {
    let daemon = Daemon::start();
    let good = Good::new(&daemon).await;
    let client = daemon.client().await;
    let victim = Collection::create(&client, Shape::default()).await;
    let sequence = Sequence::random(Shape::default(), 64, 3);
    let entry = victim.entry(&sequence, 0..64);
    let (k, v) = (entry.k.unwrap(), entry.v.unwrap());
    let insert = InPlace { k, v };
    let (mut stored, mut refused) = (0, 0);
    for _ in 0..30 {
        let mut raw = Raw::connect(&daemon);
        raw.open(&victim.name).await;
        insert.write(&raw);
        let rewriting = Rewriting::start(&raw, InPlace::K_AT, insert.k.data.to_vec());
        for _ in 0..20 {
            let request = insert.request(stored);
            raw.submit(request.operation(), &request.encode());
            // A rewritten descriptor is a breach.
            let Some(completion) = raw.completion_unless_cut_off().await else {
                break;
            };
            let body = raw.memory.read(completion.body).unwrap();
            match body::parse::<body::Answers<body::Inserted>>(&body) {
                Ok(answers) if !completion.failed => match &answers[0] {
                    Ok(inserted) => stored = inserted.length,
                    Err(_) => refused += 1,
                },
                _ => refused += 1,
            }
        }
        rewriting.stop();
        if refused > 0 && stored > 0 {
            break;
        }
    }
    assert!(refused > 0, "nothing was rewritten in time");
    // No NaN is stored, or exact attention would have one.
    let length = victim.length().await;
    assert!(length >= stored as usize, "{length}, {stored}");
    if let Some(last) = length.checked_sub(1) {
        let asked = wire::AttendEntry {
            positions: vec![last as u32],
            ..victim.question(&sequence, &[0], mode::exact())
        };
        let answer = client.attend_one(asked).await.unwrap();
        let out = crate::harness::sequence::floats(answer.out.as_ref());
        assert!(out.iter().all(|number| number.is_finite()));
    }
    good.goes_on().await;
    assert!(!daemon.log().contains("ERROR"), "{}", daemon.log());
}

#[tokio::test]
async fn whoever_says_nothing_or_nonsense_at_the_door_keeps_nobody_out() {
    let daemon = Daemon::start();
    let silent: Vec<_> = (0..8)
        .map(|_| UnixStream::connect(daemon.shm_socket()).unwrap())
        .collect();
    let mut loud = UnixStream::connect(daemon.shm_socket()).unwrap();
    loud.write_all(&[b'x'; 32]).unwrap();
    let mut half = UnixStream::connect(daemon.shm_socket()).unwrap();
    half.write_all(&[1; 7]).unwrap();
    drop(half);
    let _idle = Raw::connect(&daemon);
    Good::new(&daemon).await.goes_on().await;
    assert!(!daemon.log().contains("ERROR"), "{}", daemon.log());
    drop(silent);
}
