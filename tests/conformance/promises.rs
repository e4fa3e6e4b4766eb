//! The promises.

use std::thread;
use std::time::{Duration, Instant};

use wavekv_client::{Address, Code};

use crate::dense::Sequence;
use crate::harness::Daemon;
use crate::session::{Ask, Failure, Maker, Session};

/// Of each call. No test waits for it but where it says so.
const DEADLINE: Duration = Duration::from_mins(1);
/// Rounding of f32 over a thousand tokens.
const ROUNDING: f64 = 1e-5;

/// Tells each client, over each transport, to keep the promise; names the one that does not.
fn each(promise: impl Fn(&Maker, &Address, &mut Daemon)) {
    for maker in Maker::all() {
        let mut daemon = Daemon::start();
        for address in [
            Address::Unix(daemon.socket()),
            Address::Shm(daemon.shm_socket()),
        ] {
            println!("{maker} at {address}");
            promise(&maker, &address, &mut daemon);
        }
    }
}

/// A name that the transports do not share.
fn named(name: &str, address: &Address) -> String {
    let transport = match address {
        Address::Shm(_) => "shm",
        Address::Unix(_) | Address::Http(_) | Address::Https(_) => "grpc",
    };
    format!("{name}-{transport}")
}

fn created(name: &str, address: &Address, session: &mut dyn Session) -> Sequence {
    let sequence = Sequence::new(&named(name, address), 1);
    session.create(&sequence.name, true).unwrap();
    sequence
}

#[test]
fn everything_retrieved_is_dense_attention() {
    each(|maker, address, _| {
        let session = &mut *maker.session(address, DEADLINE);
        let mut sequence = created("dense", address, session);
        for tokens in [1, 300, 1000] {
            sequence.grow(tokens, session).unwrap();
            session.cluster(&sequence.name).unwrap();
            for ask in [Ask::Exact, Ask::Everything] {
                let answer = sequence.step(ask, session).unwrap();
                assert!(answer.error < ROUNDING, "{ask:?}: {}", answer.error);
            }
        }
        session.delete(&sequence.name).unwrap();
        let gone = sequence.step(Ask::Exact, session).unwrap_err();
        assert_eq!(gone, Failure::Refused(Code::NotFound));
    });
}

#[test]
fn forks_crops_and_reorders_are_what_dense_attention_says() {
    each(|maker, address, _| {
        let session = &mut *maker.session(address, DEADLINE);
        let mut trunk = created("trunk", address, session);
        trunk.grow(700, session).unwrap();
        session.cluster(&trunk.name).unwrap();

        // A step of beam search: the second beam goes on from the first, which goes on by itself.
        let mut beam = trunk.forked(&named("beam", address), 600);
        session.fork(&trunk.name, &beam.name, 600).unwrap();
        for sequence in [&mut beam, &mut trunk] {
            sequence.grow(5, session).unwrap();
            for _ in 0..3 {
                let answer = sequence.step(Ask::Exact, session).unwrap();
                assert!(answer.error < ROUNDING, "{}", answer.error);
            }
        }
        // The first is dropped, and the second becomes both.
        session.delete(&trunk.name).unwrap();
        let mut other = beam.forked(&named("other", address), beam.length());
        session
            .fork(&beam.name, &other.name, beam.length())
            .unwrap();
        // A crop, as speculation does that was wrong; then other tokens in the place of those.
        session.truncate(&beam.name, 590).unwrap();
        beam.truncate(590);
        for sequence in [&mut beam, &mut other] {
            sequence.grow(20, session).unwrap();
            let answer = sequence.step(Ask::Everything, session).unwrap();
            assert!(answer.error < ROUNDING, "{}", answer.error);
            session.delete(&sequence.name).unwrap();
        }
    });
}

#[test]
fn many_sequences_at_once_never_answer_with_each_others() {
    each(|maker, address, _| {
        thread::scope(|scope| {
            for number in 1..=8_u16 {
                scope.spawn(move || {
                    let session = &mut *maker.session(address, DEADLINE);
                    let name = format!("needle-{number}");
                    let mut sequence = created(&name, address, session);
                    sequence.grow(100 * usize::from(number), session).unwrap();
                    sequence.hide(f32::from(number), session).unwrap();
                    sequence.grow(300, session).unwrap();
                    session.cluster(&sequence.name).unwrap();
                    for _ in 0..10 {
                        let answer = sequence.seek(Ask::Default, session).unwrap();
                        for found in answer.out {
                            let apart = (found - f32::from(number)).abs();
                            assert!(apart < 0.4, "{name} answers {found}");
                        }
                    }
                    session.delete(&sequence.name).unwrap();
                });
            }
        });
    });
}

#[test]
fn a_daemon_that_is_killed_in_the_middle_of_decoding_is_an_error_and_not_a_hang() {
    each(|maker, address, daemon| {
        let session = &mut *maker.session(address, DEADLINE);
        let mut sequence = created("killed", address, session);
        sequence.grow(500, session).unwrap();
        thread::scope(|scope| {
            let decoding = scope.spawn(|| {
                loop {
                    if let Err(failure) = sequence.step(Ask::Exact, session) {
                        return failure;
                    }
                }
            });
            thread::sleep(Duration::from_millis(200));
            daemon.kill();
            assert_eq!(decoding.join().unwrap(), Failure::Away);
        });
        // While it is away, every call says so.
        assert_eq!(
            sequence.step(Ask::Exact, session).unwrap_err(),
            Failure::Away
        );
        daemon.start_again();
        // What was acknowledged is there, and the step goes on.
        let answer = sequence.step(Ask::Exact, session).unwrap();
        assert!(answer.error < ROUNDING, "{}", answer.error);
    });
}

#[test]
fn a_daemon_that_does_not_answer_is_an_error_within_the_deadline() {
    each(|maker, address, daemon| {
        let deadline = Duration::from_secs(1);
        let patient = &mut *maker.session(address, DEADLINE);
        let hasty = &mut *maker.session(address, deadline);
        let mut sequence = created("frozen", address, patient);
        sequence.grow(100, patient).unwrap();
        daemon.freeze();
        let start = now();
        let late = sequence.step(Ask::Exact, hasty).unwrap_err();
        let waited = start.elapsed();
        daemon.signal(rustix::process::Signal::CONT);
        assert_eq!(late, Failure::Refused(Code::DeadlineExceeded));
        // Not for ever: how late a busy machine is, nobody knows.
        assert!(waited >= deadline && waited < DEADLINE, "{waited:?}");
        let answer = sequence.step(Ask::Exact, patient).unwrap();
        assert!(answer.error < ROUNDING, "{}", answer.error);
    });
}

#[test]
fn a_restart_between_two_calls_is_noticed() {
    each(|maker, address, daemon| {
        let session = &mut *maker.session(address, DEADLINE);
        let mut kept = created("kept", address, session);
        kept.grow(300, session).unwrap();
        let mut lost = Sequence::new(&named("lost", address), 2);
        session.create(&lost.name, false).unwrap();
        lost.grow(300, session).unwrap();
        daemon.restart();

        // The first call may find that the connection broke; the next one has another.
        let mut again = |sequence: &mut Sequence| match sequence.step(Ask::Exact, session) {
            Err(Failure::Away) => sequence.step(Ask::Exact, session),
            answered => answered,
        };
        let gone = again(&mut lost).unwrap_err();
        assert_eq!(gone, Failure::Refused(Code::NotFound));
        let answer = again(&mut kept).unwrap();
        assert!(answer.error < ROUNDING, "{}", answer.error);
    });
}

#[expect(
    clippy::disallowed_methods,
    reason = "how long a client waits is what is promised"
)]
fn now() -> Instant {
    Instant::now()
}
