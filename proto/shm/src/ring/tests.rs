//! The ring under every order of events (loom), and under a peer that lies.

use std::sync::Arc;

use loom::sync::Notify;
use loom::sync::atomic::AtomicU64;

use super::*;

/// The words of the smallest layout that the model reaches, each a word of loom's.
struct Model(Vec<AtomicU64>);

impl Model {
    const ENTRIES: u64 = 2;
    const TAIL: usize = 0;
    const HEAD: usize = 1;
    const SLEEPS: usize = 2;
    const SLOTS: usize = 3;

    fn new() -> Arc<Self> {
        let words = Self::SLOTS + Self::ENTRIES as usize * DESCRIPTOR_WORDS;
        Arc::new(Self((0..words).map(|_| AtomicU64::new(0)).collect()))
    }

    fn place() -> Place {
        Place {
            entries: Self::ENTRIES,
            slots: Self::SLOTS,
            tail: Self::TAIL,
            head: Self::HEAD,
            tail_name: "tail",
            head_name: "head",
        }
    }
}

impl Words for Model {
    fn load(&self, word: usize, order: Ordering) -> u64 {
        self.0[word].load(order)
    }

    fn store(&self, word: usize, value: u64, order: Ordering) {
        self.0[word].store(value, order);
    }

    fn swap(&self, word: usize, value: u64, order: Ordering) -> u64 {
        self.0[word].swap(value, order)
    }

    fn fence(&self) {
        loom::sync::atomic::fence(Ordering::SeqCst);
    }
}

fn descriptor(number: u64) -> Descriptor {
    std::array::from_fn(|at| number * 100 + at as u64)
}

#[test]
fn every_descriptor_arrives_whole_and_in_order() {
    loom::model(|| {
        let words = Model::new();
        let mut sender = Sender::new(Arc::clone(&words), Model::place());
        let mut receiver = Receiver::new(words, Model::place());
        // The third takes the slot of the first.
        let writer = loom::thread::spawn(move || {
            for number in 1..=3 {
                while sender.send(&descriptor(number)).is_err() {
                    loom::thread::yield_now();
                }
            }
        });
        let mut expected = 1;
        while expected <= 3 {
            match receiver.receive().unwrap() {
                Some(found) => {
                    assert_eq!(found, descriptor(expected));
                    expected += 1;
                }
                None => loom::thread::yield_now(),
            }
        }
        writer.join().unwrap();
    });
}

#[test]
fn nobody_sleeps_through_a_descriptor() {
    loom::model(|| {
        let words = Model::new();
        let mut sender = Sender::new(Arc::clone(&words), Model::place());
        let mut receiver = Receiver::new(Arc::clone(&words), Model::place());
        let flag = || Sleep {
            words: Arc::clone(&words),
            flag: Model::SLEEPS,
        };
        let (bell, heard) = {
            let bell = Arc::new(Notify::new());
            (Arc::clone(&bell), bell)
        };
        let others = flag();
        let writer = loom::thread::spawn(move || {
            sender.send(&descriptor(1)).unwrap();
            if others.must_ring() {
                bell.notify();
            }
        });
        let own = flag();
        let found = loop {
            if let Some(found) = receiver.receive().unwrap() {
                break found;
            }
            own.begin();
            match receiver.receive().unwrap() {
                Some(found) => break found,
                // Loom fails a thread that nobody will wake.
                None => heard.wait(),
            }
            own.end();
        };
        assert_eq!(found, descriptor(1));
        writer.join().unwrap();
    });
}

#[test]
fn a_count_that_cannot_be_is_named() {
    loom::model(|| {
        let words = Model::new();
        let mut sender = Sender::new(Arc::clone(&words), Model::place());
        let mut receiver = Receiver::new(Arc::clone(&words), Model::place());
        words.store(Model::TAIL, 3, Ordering::Relaxed);
        let lies = receiver.receive().unwrap_err();
        assert_eq!(lies.to_string(), "tail is 3: expected 0 to 2");
        for number in 1..=2 {
            sender.send(&descriptor(number)).unwrap();
        }
        assert_eq!(sender.send(&descriptor(3)), Err(SendError::Full));
        words.store(Model::HEAD, u64::MAX, Ordering::Relaxed);
        let lies = sender.send(&descriptor(3)).unwrap_err();
        assert!(matches!(lies, SendError::Broken(_)), "{lies}");
        words.store(Model::HEAD, 2, Ordering::Relaxed);
        assert_eq!(sender.unread(), Ok(0));
        // A reader cannot unread.
        words.store(Model::HEAD, 1, Ordering::Relaxed);
        assert!(sender.unread().is_err());
    });
}
