//! Bodies: what is written is read, anything else is refused, and the bytes are those that are committed.

use std::path::{Path, PathBuf};

use proptest::prelude::*;
use rand::SeedableRng as _;
use rand_pcg::Pcg64;

use super::*;
use crate::descriptor::Operation;

/// One body of each operation with every field set, by the name of its file.
#[expect(clippy::too_many_lines, reason = "it is a list")]
fn samples() -> Vec<(&'static str, Request)> {
    let layer = || {
        Some(Layer {
            collection: 0x0102_0304_0506_0708,
            layer: 31,
        })
    };
    let tensor = |offset| {
        Some(Tensor {
            dtype: 1,
            shape: vec![2, 8, 128],
            data: Region {
                offset,
                bytes: 4096,
            },
        })
    };
    let cluster = Cluster {
        segment: 1 << 40,
        kv_head: 7,
        number: 300,
    };
    let insert = |layer| Insert {
        layer,
        start_position: 5,
        k: tensor(64),
        v: tensor(4160),
    };
    let mode = |kind| Mode {
        kind,
        first: 0.05,
        second: 0.5,
    };
    let attend = |insert, kind| Attend {
        layer: layer(),
        q: tensor(8256),
        positions: vec![5, 6],
        mode: mode(kind),
        audit: true,
        insert,
    };
    let fetch = |kind| Fetch {
        layer: layer(),
        what: What {
            kind,
            start: 1,
            end: 9,
            cluster: cluster.clone(),
        },
    };
    let open = |generation| Open {
        id: 3,
        namespace: "default".to_owned(),
        name: "chat-\u{e9}".to_owned(),
        generation,
    };
    vec![
        ("open", Request::Open(vec![open(None), open(Some(9))])),
        (
            "insert",
            Request::Insert(vec![insert(layer()), Insert::default()]),
        ),
        (
            "segment_cluster",
            Request::SegmentCluster(vec![SegmentCluster { layer: layer() }]),
        ),
        (
            "top_clusters",
            Request::TopClusters(vec![TopClusters {
                layer: layer(),
                q: tensor(0),
                position: Some(77),
                limit: 16,
                with_payload: true,
            }]),
        ),
        (
            "estimate",
            Request::Estimate(vec![Estimate {
                layer: layer(),
                q: tensor(0),
                position: None,
                retrieved: vec![cluster.clone(); 3],
            }]),
        ),
        (
            "attend",
            Request::Attend(vec![
                attend(Some(insert(None)), mode::BUDGET_WITH_SHARE),
                attend(None, mode::EXACT),
            ]),
        ),
        (
            "fetch",
            Request::Fetch(vec![fetch(what::RANGE), fetch(what::CLUSTER)]),
        ),
    ]
}

fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus")
}

/// A body as the fuzzer takes it: a byte that says the operation, then the body.
fn exercise(input: &[u8]) -> Option<Request> {
    let (operation, body) = input.split_first()?;
    let operation = Operation::ALL[usize::from(*operation) % Operation::ALL.len()];
    let parsed = Request::parse(operation, body).ok()?;
    // A body has one form, and a value one body.
    assert_eq!(parsed.encode(), body);
    assert_eq!(parsed.operation(), operation);
    Some(parsed)
}

/// What the bytes of another client must be. `UPDATE=1` rewrites them, which is another version of the contract.
#[test]
fn the_bytes_of_every_operation_are_those_of_this_version() {
    for (name, request) in samples() {
        let number = Operation::ALL
            .iter()
            .position(|operation| *operation == request.operation());
        let mut bytes = vec![number.unwrap() as u8];
        bytes.extend(request.encode());
        let path = corpus().join(name);
        if std::env::var_os("UPDATE").is_some() {
            fs_err::create_dir_all(corpus()).unwrap();
            fs_err::write(&path, &bytes).unwrap();
        }
        assert!(fs_err::read(&path).unwrap() == bytes, "{}", path.display());
        assert_eq!(exercise(&bytes), Some(request));
    }
}

/// For a short while what `fuzz/` does for a long one.
#[test]
fn spoiled_bodies_are_refused_and_nothing_else_happens() {
    let mut rng = Pcg64::seed_from_u64(1);
    let (mut accepted, mut refused) = (0, 0);
    for (name, _) in samples() {
        let right = fs_err::read(corpus().join(name)).unwrap();
        for _ in 0..20_000 {
            let mut spoiled = right.clone();
            for _ in 0..rng.random_range(1..5) {
                let at = rng.random_range(1..spoiled.len());
                match rng.random_range(0..5) {
                    0 => spoiled.truncate(at.max(2)),
                    1 => spoiled[at] = rng.random(),
                    2 => spoiled[at] = 0xff,
                    3 => spoiled.insert(at, rng.random()),
                    _ => {
                        let piece = spoiled[at..].to_vec();
                        spoiled.extend(piece);
                    }
                }
            }
            match exercise(&spoiled) {
                Some(_) => accepted += 1,
                None => refused += 1,
            }
        }
    }
    assert!(accepted > 1000 && refused > 1000, "{accepted}, {refused}");
}

#[test]
fn a_refusal_says_where_and_what_was_expected() {
    let body = |numbers: &[u32]| -> Vec<u8> {
        numbers
            .iter()
            .flat_map(|number| number.to_le_bytes())
            .collect()
    };
    for (numbers, sentence) in [
        (
            &[][..],
            "byte 0 of the body: expected a number of four bytes",
        ),
        (
            &[u32::MAX],
            "byte 0 of the body: expected a count of no more than there are bytes for",
        ),
        (&[1, 2], "byte 4 of the body: expected 0 (unset) or 1 (set)"),
        (&[1, 0, 0], "byte 8 of the body: expected the end"),
    ] {
        let refused = Request::parse(Operation::SegmentCluster, &body(numbers)).unwrap_err();
        assert_eq!(refused.to_string(), sentence);
    }
}

fn read<T: Field>(bytes: &[u8]) -> Result<(), TestCaseError> {
    if let Ok(value) = parse::<T>(bytes) {
        prop_assert_eq!(encode(&value), bytes);
    }
    Ok(())
}

proptest! {
    #[test]
    fn any_bytes_are_a_value_or_none(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        exercise(&bytes);
        // What a client reads.
        read::<Failure>(&bytes)?;
        read::<Answers<Opened>>(&bytes)?;
        read::<Answers<Inserted>>(&bytes)?;
        read::<Answers<Clustered>>(&bytes)?;
        read::<Answers<Ranked>>(&bytes)?;
        read::<Answers<Estimated>>(&bytes)?;
        read::<Answers<Attended>>(&bytes)?;
        read::<Answers<Fetched>>(&bytes)?;
    }

    #[test]
    fn answers_are_read_as_they_were_written(
        numbers in prop::collection::vec(any::<u32>(), 1..9),
        message in ".{0,40}",
    ) {
        let region = Region { offset: u64::from(numbers[0]), bytes: 8 };
        let positions = numbers.clone();
        let tensor = Tensor { dtype: 3, shape: numbers.clone(), data: region };
        let steady = vec![Range { start: numbers[0], end: 7 }; numbers.len()];
        let payload = Some(Payload { positions, k: region, v: region });
        let cluster = RankedCluster { payload, cluster: numbers[0], ..Default::default() };
        let heads = vec![RankedHead { kv_head: 1, clusters: vec![cluster, RankedCluster::default()] }];
        let ranked = Ranked { heads, steady, ..Default::default() };
        let failure = Failure { code: numbers[0], message };
        let answers: Answers<Ranked> = vec![Ok(ranked), Err(failure.clone())];
        prop_assert_eq!(parse::<Answers<Ranked>>(&encode(&answers)), Ok(answers));
        let audit = Some(Audit { error: 0.5, ..Default::default() });
        let report = Report { exact_mass: region, audit, ..Default::default() };
        let attended = Attended { out: tensor.clone(), lse: tensor, report, ..Default::default() };
        let answers: Answers<Attended> = vec![Err(failure), Ok(attended)];
        prop_assert_eq!(parse::<Answers<Attended>>(&encode(&answers)), Ok(answers));
    }
}
