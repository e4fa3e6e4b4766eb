//! The shim itself: what it emulates, and the mistakes that it must find. `cpp/selftest.cu` has the kernels.

#![expect(
    clippy::unwrap_used,
    reason = "a launch refused where it should run is a failed test"
)]

use bytemuck::{Pod, Zeroable};
use half::bf16;
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64Mcg;
use wavekv_kernels_shim::{Launch, Memory, Traffic};

/// `Plain` of the source.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct Plain {
    from: u64,
    to: u64,
    count: u32,
    flaw: u32,
}

struct Run {
    answer: Result<Traffic, String>,
    to: Vec<u32>,
}

/// Runs a kernel over `from`, with as much room as `to` says.
fn run(
    kernel: &str,
    flaw: u32,
    from: &[u32],
    to: usize,
    [blocks, threads, shared]: [u32; 3],
) -> Run {
    let mut memory = Memory::new();
    let params = Plain {
        from: memory.put("from", from),
        to: memory.put_writable("to", &vec![0_u32; to]),
        count: from.len() as u32,
        flaw,
    };
    let launch = Launch {
        kernel,
        grid: [blocks, 1, 1],
        threads,
        shared_bytes: shared,
    };
    let answer = launch.run(&params, &mut memory);
    Run {
        answer,
        to: memory.read(params.to),
    }
}

fn sentence(kernel: &str, flaw: u32, shape: [u32; 3]) -> String {
    let from: Vec<u32> = (0..64).collect();
    run(kernel, flaw, &from[..shape[1] as usize], 256, shape)
        .answer
        .unwrap_err()
}

#[test]
fn barriers_and_atomics_sum_over_blocks() {
    let from: Vec<u32> = (0..1000).collect();
    let sum = run("self_sum", 0, &from, 1, [4, 256, 1024]);
    assert_eq!(sum.answer.unwrap().read("from"), Some(4000));
    assert_eq!(sum.to, [499_500]);
}

#[test]
fn a_missing_barrier_is_a_race() {
    let from: Vec<u32> = (0..1000).collect();
    for half in [128, 64, 32] {
        let found = run("self_sum", half, &from, 1, [4, 256, 1024])
            .answer
            .unwrap_err();
        assert!(
            found.contains("race") && found.contains("shared memory"),
            "{found}"
        );
    }
}

#[test]
fn lanes_hand_each_other_what_they_have() {
    let from: Vec<u32> = (0..64).map(|x| x * x % 7).collect();
    let run = run("self_warp", 0, &from, 192, [1, 64, 0]);
    run.answer.unwrap();
    for thread in 0..64 {
        let warp = &from[thread / 32 * 32..][..32];
        let votes = warp.iter().enumerate().map(|(lane, x)| (x % 2) << lane);
        let before = if thread % 32 == 0 { thread } else { thread - 1 };
        let expected = [warp.iter().sum(), votes.sum::<u32>(), before as u32];
        assert_eq!(run.to[3 * thread..][..3], expected, "{thread}");
    }
}

#[test]
fn threads_that_part_are_named() {
    let found = sentence("self_part", 0, [1, 64, 0]);
    assert!(
        found.contains("16 threads wait at the barrier") && found.contains("48 have ended"),
        "{found}"
    );
    let found = sentence("self_part", 1, [1, 64, 0]);
    assert!(found.contains("at that of line"), "{found}");
    let found = sentence("self_part", 2, [1, 64, 0]);
    assert!(
        found.contains("lanes that never come") || found.contains("have ended"),
        "{found}"
    );
    let found = sentence("self_part", 3, [1, 64, 0]);
    assert!(found.contains("not in the mask"), "{found}");
    let fine = run("self_part", 9, &[0; 64], 64, [1, 64, 0]);
    fine.answer.unwrap();
    assert_eq!(fine.to, (0..64).collect::<Vec<u32>>());
}

#[test]
fn accesses_that_are_wrong_are_named() {
    let expected = [
        (0, 32, "past its 128|in no buffer"),
        (1, 128, "nobody has written"),
        (2, 0, "only to be read"),
        (3, 0, "no multiple"),
        (4, 0, "race: writes 4 bytes of to at 0"),
        (5, 0, "in the same launch|no barrier between"),
        (6, 128, "past its 128|in no buffer"),
        (7, 128, "race: reads 4 bytes of shared memory"),
    ];
    for (flaw, shared, parts) in expected {
        let found = sentence("self_stray", flaw, [2, 32, shared]);
        assert!(
            parts.split('|').any(|part| found.contains(part)),
            "{flaw}: {found}"
        );
    }
    run("self_stray", 9, &[0; 32], 32, [1, 32, 128])
        .answer
        .unwrap();
}

#[test]
fn a_launch_must_fit_its_kernel() {
    assert!(sentence("self_none", 0, [1, 32, 0]).contains("no kernel"));
    assert!(sentence("self_stray", 9, [1, 64, 256]).contains("at most 32"));
    let launch = Launch {
        kernel: "self_stray",
        grid: [1; 3],
        threads: 32,
        shared_bytes: 0,
    };
    let found = launch.run(&[0_u32; 2], &mut Memory::new()).unwrap_err();
    assert!(found.contains("bytes, not 8"), "{found}");
}

/// Fragments as the PTX manual numbers them: which element each lane has where.
#[test]
fn fragments_of_products_are_where_the_manual_has_them() {
    let mut random = Pcg64Mcg::seed_from_u64(5);
    let a: Vec<Vec<i32>> = (0..16)
        .map(|_| (0..32).map(|_| random.random_range(-9..9)).collect())
        .collect();
    let b: Vec<Vec<i32>> = (0..32)
        .map(|_| (0..8).map(|_| random.random_range(0..9)).collect())
        .collect();
    let narrow = |x: i32| u32::from(bf16::from_f32(x as f32).to_bits());
    let pair = |low: i32, high: i32| narrow(low) | narrow(high) << 16;
    let bytes = |x: [i32; 4]| u32::from_le_bytes(x.map(|x| x as u8));
    for (flaw, depth) in [(0, 16), (1, 32)] {
        let mut from = Vec::new();
        for lane in 0..32 {
            let (g, c) = (lane / 4, lane % 4);
            let of_a = |row: usize, half: usize| {
                if flaw == 0 {
                    let k = 2 * c + 8 * half;
                    pair(a[row][k], a[row][k + 1])
                } else {
                    let k = 4 * c + 16 * half;
                    bytes([a[row][k], a[row][k + 1], a[row][k + 2], a[row][k + 3]])
                }
            };
            let of_b = |half: usize| {
                if flaw == 0 {
                    let k = 2 * c + 8 * half;
                    pair(b[k][g], b[k + 1][g])
                } else {
                    let k = 4 * c + 16 * half;
                    bytes([b[k][g], b[k + 1][g], b[k + 2][g], b[k + 3][g]])
                }
            };
            from.extend([
                of_a(g, 0),
                of_a(g + 8, 0),
                of_a(g, 1),
                of_a(g + 8, 1),
                of_b(0),
                of_b(1),
            ]);
        }
        let run = run("self_product", flaw, &from, 128, [1, 32, 0]);
        run.answer.unwrap();
        for lane in 0..32 {
            for at in 0..4 {
                let (row, column) = (lane / 4 + at / 2 * 8, lane % 4 * 2 + at % 2);
                let sum: i32 = (0..depth).map(|k| a[row][k] * b[k][column]).sum();
                let expected = sum + at as i32 + 1;
                let bits = run.to[4 * lane + at];
                let got = if flaw == 0 {
                    f32::from_bits(bits) as i32
                } else {
                    bits.cast_signed()
                };
                assert_eq!(got, expected, "kind {flaw}, row {row}, column {column}");
            }
        }
    }
}
