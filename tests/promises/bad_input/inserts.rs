//! Insert, alone, in a stream and as part of a decode step.

use wavekv_client::Code::{AlreadyExists, InvalidArgument, OutOfRange};
use wavekv_client::{Client, wire};

use super::{SHAPE, TOKENS, Victim, Wrong, assert_refused};
use crate::harness::mode;

const WRONG: [Wrong<wire::InsertEntry>; 23] = [
    (InvalidArgument, "k is missing", |entry| entry.k = None),
    (InvalidArgument, "v is missing", |entry| entry.v = None),
    (InvalidArgument, "k.dtype is 0", |entry| k(entry).dtype = 0),
    (InvalidArgument, "k.dtype is 99", |entry| {
        k(entry).dtype = 99;
    }),
    (InvalidArgument, "k.dtype is f16", |entry| {
        k(entry).set_dtype(wire::Dtype::F16);
    }),
    (InvalidArgument, "v.dtype is f32", |entry| {
        v(entry).set_dtype(wire::Dtype::F32);
    }),
    (InvalidArgument, "k.shape", |entry| k(entry).shape.clear()),
    (InvalidArgument, "k.shape", |entry| {
        k(entry).shape = vec![4, 32];
    }),
    (InvalidArgument, "k.shape", |entry| k(entry).shape.push(1)),
    (InvalidArgument, "k.shape", |entry| k(entry).shape[1] = 1),
    (InvalidArgument, "k.shape", |entry| k(entry).shape[2] = 15),
    (InvalidArgument, "v.shape", |entry| v(entry).shape[0] = 3),
    (InvalidArgument, "v.shape", |entry| v(entry).shape[2] = 16),
    (InvalidArgument, "k.data", |entry| shorten(k(entry), 1)),
    (InvalidArgument, "v.data", |entry| shorten(v(entry), 2)),
    (InvalidArgument, "k.data", |entry| {
        k(entry).shape[0] = u32::MAX;
    }),
    (InvalidArgument, "k.data", |entry| {
        k(entry).data = vec![0; 1000].into();
    }),
    (InvalidArgument, "k.shape[0]", |entry| resize(entry, 0)),
    (InvalidArgument, "k.shape[0]", |entry| resize(entry, 65_537)),
    (OutOfRange, "start_position is 201: expected 200", |entry| {
        entry.start_position = 201;
    }),
    (OutOfRange, "start_position", |entry| {
        entry.start_position = u32::MAX;
    }),
    // Other bytes for tokens that are stored; the first that differs is named, whatever follows.
    (
        AlreadyExists,
        "start_position is 198: the token at position 198",
        |entry| {
            entry.start_position = 198;
        },
    ),
    (
        AlreadyExists,
        "start_position is 0: the token at position 0",
        |entry| {
            entry.start_position = 0;
        },
    ),
];

#[tokio::test]
async fn a_wrong_insert_stores_nothing() {
    let victim = Victim::new(SHAPE).await;
    let (right, entry) = (victim.repeated(), victim.appended());
    victim.refuses(&right, &entry, &WRONG, Client::insert).await;
    let accepted = victim.client.insert_one(entry).await.unwrap();
    assert_eq!(accepted.length, TOKENS as u32 + 4);
}

/// The same inserts as part of a decode step: neither they nor the attention are done.
#[tokio::test]
async fn a_step_with_a_wrong_insert_stores_nothing() {
    let victim = Victim::new(SHAPE).await;
    let right = victim
        .collection
        .question(&victim.sequence, &[5], mode::exact());
    for (code, named, spoil) in WRONG {
        let mut insert = victim.appended();
        spoil(&mut insert);
        insert.layer = None;
        let wrong = wire::AttendEntry {
            insert: Some(insert),
            ..right.clone()
        };
        let batch = vec![right.clone(), wrong, right.clone()];
        let mut results = victim.client.attend(batch).await.unwrap().results;
        // The tensors are those of the field `insert`; its position says itself which it is.
        let within = if code == InvalidArgument {
            format!("insert.{named}")
        } else {
            named.to_owned()
        };
        assert_refused(results.remove(1), code, &within);
        assert!(results.iter().all(Result::is_ok), "beside {named}");
        victim.is_unharmed().await;
    }
}

#[tokio::test]
async fn a_wrong_entry_of_a_stream_is_named_by_its_place() {
    let victim = Victim::new(SHAPE).await;
    let right = victim.repeated();
    let mut broken = victim.appended();
    k(&mut broken).shape[0] = 3;
    let mut gap = victim.appended();
    gap.start_position += 1;
    let (data, start) = ((InvalidArgument, "k.data"), (OutOfRange, "start_position"));
    let wrong = [(1, data), (2, start), (4, data), (7, start)];
    let entries = [&right, &broken, &gap, &right, &broken, &right, &right, &gap];
    // One entry a message, three, all of them: the place is that in the stream and not in a message.
    for message_bytes in [1, 2500, 1 << 20] {
        let stream = tokio_stream::iter(entries.map(Clone::clone).to_vec());
        let answer = victim.client.insert_stream(stream, message_bytes).await;
        let answer = answer.unwrap();
        assert_eq!((answer.stored_entries, answer.failed_entries), (4, 4));
        assert_eq!(answer.failures.len(), wrong.len());
        for (failure, (entry, (code, named))) in answer.failures.into_iter().zip(wrong) {
            assert_eq!(failure.entry, entry);
            let error = failure.error.unwrap();
            assert_eq!(error.code, code as i32, "{error:?}");
            assert!(error.message.starts_with(named), "{error:?}");
        }
        victim.is_unharmed().await;
    }
}

/// The answer stays small however many fail, and counts them all.
#[tokio::test]
async fn of_the_wrong_entries_of_a_stream_the_first_hundred_are_named() {
    let victim = Victim::new(SHAPE).await;
    let mut wrong = victim.appended();
    wrong.k = None;
    let pairs = [wrong, victim.repeated()].into_iter().cycle().take(300);
    let stream = tokio_stream::iter(pairs);
    let answer = victim.client.insert_stream(stream, 10_000).await.unwrap();
    assert_eq!((answer.stored_entries, answer.failed_entries), (150, 150));
    let named = answer.failures.iter().map(|failure| failure.entry);
    assert!(named.eq((0..200).step_by(2)));
}

fn k(entry: &mut wire::InsertEntry) -> &mut wire::Tensor {
    entry.k.as_mut().unwrap()
}

fn v(entry: &mut wire::InsertEntry) -> &mut wire::Tensor {
    entry.v.as_mut().unwrap()
}

fn shorten(tensor: &mut wire::Tensor, bytes: usize) {
    tensor.data.truncate(tensor.data.len() - bytes);
}

/// Zeros for `tokens` tokens.
fn resize(entry: &mut wire::InsertEntry, tokens: u32) {
    for tensor in [&mut entry.k, &mut entry.v].into_iter().flatten() {
        tensor.shape[0] = tokens;
        let elements: u32 = tensor.shape.iter().product();
        tensor.data = vec![0; elements as usize * SHAPE.dtype.size()].into();
    }
}
