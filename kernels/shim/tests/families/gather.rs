//! Blocks from the host's memory, and the cache that decides which.

use std::collections::{BTreeMap, BTreeSet};

use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64Mcg;
use wavekv_kernels::cuda::launch;
use wavekv_kernels::cuda::tables::{BLOCK_TOKENS, Block, Cache, Gather, Move};

use crate::launch;
use crate::world::{Sequence, Shape, World};

const NONE: u32 = u32::MAX;

/// Steps of random rows; after each, what is read is what the sequence has, wherever it is read from.
#[test]
fn a_cache_has_what_was_read_and_never_the_wrong_bytes() {
    let mut random = Pcg64Mcg::seed_from_u64(3);
    for (dim, slots) in [(64, 12), (80, 40), (16, 1)] {
        let sequences =
            [3, 5].map(|seed| Sequence::random(seed, &Shape::new(dim, 1, vec![vec![16; 40]])));
        let mut world = World::new(&sequences);
        let bytes = BLOCK_TOKENS * dim * 2;
        let blocks = world.blocks.len();
        let (mut table, homes) = (world.blocks.clone(), world.blocks.clone());
        let (mut slot_of, mut block_of) = (vec![NONE; blocks], vec![NONE; slots]);
        let (mut used, mut wanted) = (vec![0_u32; slots], vec![0_u32; blocks]);
        let slots_at = world.memory.room::<u8>("slots", slots * 2 * bytes);
        let mut hits = 0;
        for step in 2..9_u32 {
            let lists = sequences.each_ref().map(|sequence| {
                let near = random.random_range(0..20);
                let rows = sequence
                    .clustered()
                    .into_iter()
                    .skip(near * 8)
                    .take(random.random_range(0..70));
                rows.collect::<Vec<u32>>()
            });
            for (task, first) in world.tasks.iter_mut().zip([0, lists[0].len() as u32]) {
                task.first_listed = first;
            }
            let memory = &mut world.memory;
            let params = Cache {
                tasks: memory.put("tasks", &world.tasks),
                lists: memory.put("lists", &lists.concat()),
                list_lengths: memory.put(
                    "list_lengths",
                    &lists.each_ref().map(|list| list.len() as u32),
                ),
                blocks: memory.put_writable("blocks", &table),
                homes: memory.put("homes", &homes),
                slot_of: memory.put_writable("slot_of", &slot_of),
                block_of: memory.put_writable("block_of", &block_of),
                used: memory.put_writable("used", &used),
                wanted: memory.put_writable("wanted", &wanted),
                missed: memory.room::<u32>("missed", blocks),
                counts: memory.room::<u32>("counts", 3),
                given: memory.room::<u32>("given", slots),
                slots: slots_at,
                moves: memory.room::<Move>("moves", slots),
                tasks_count: 2,
                blocks_count: blocks as u32,
                slots_count: slots as u32,
                step,
                key_bytes: bytes as u32,
                value_bytes: bytes as u32,
            };
            let read: BTreeSet<usize> = lists
                .iter()
                .zip(&world.tasks)
                .flat_map(|(list, task)| {
                    list.iter()
                        .map(|row| task.first_block as usize + *row as usize / BLOCK_TOKENS)
                })
                .collect();
            launch(launch::CACHE_WANT, [1, 1], &params, memory);
            let counts: Vec<u32> = memory.read(params.counts);
            let missing: Vec<usize> = read
                .iter()
                .copied()
                .filter(|block| slot_of[*block] == NONE)
                .collect();
            let here = read.len() - missing.len();
            assert_eq!([counts[0], counts[2]], [missing.len() as u32, here as u32]);
            hits += here;
            let free = (0..slots).filter(|slot| {
                let now = block_of[*slot] != NONE && read.contains(&(block_of[*slot] as usize));
                !now && (block_of[*slot] == NONE || used[*slot] + 1 < step)
            });
            let free: Vec<usize> = free.collect();
            assert_eq!(counts[1] as usize, free.len().min(missing.len()));
            // Until the copies are made, every block that is read is where its bytes are.
            table = memory.read(params.blocks);
            let gone: BTreeMap<usize, usize> =
                free.iter().copied().zip(missing.iter().copied()).collect();
            for (slot, block) in &gone {
                if block_of[*slot] != NONE {
                    let old = block_of[*slot] as usize;
                    assert_eq!(table[old].keys, homes[old].keys, "evicted");
                }
                assert_eq!(table[*block].keys, homes[*block].keys, "not there yet");
            }
            let gather = Gather {
                moves: params.moves,
                count: {
                    let given = counts[1];
                    memory.put("given count", &[given])
                },
                key_bytes: bytes as u32,
                value_bytes: bytes as u32,
            };
            launch(launch::GATHER_BLOCKS, [2, 1], &gather, memory);
            launch(launch::CACHE_ADMIT, [1, 1], &params, memory);
            table = memory.read(params.blocks);
            slot_of = memory.read(params.slot_of);
            block_of = memory.read(params.block_of);
            used = memory.read(params.used);
            wanted = memory.read(params.wanted);
            check_bytes(
                &world,
                &sequences,
                [slots_at, bytes as u64],
                &table,
                &slot_of,
                &block_of,
            );
        }
        assert!(hits > 0 || slots == 1);
    }
}

/// Every block of the table is at home or in its own slot, and has its bytes there.
fn check_bytes(
    world: &World,
    sequences: &[Sequence; 2],
    [slots_at, bytes]: [u64; 2],
    table: &[Block],
    slot_of: &[u32],
    block_of: &[u32],
) {
    let slots: Vec<u8> = world.memory.read(slots_at);
    for (at, task) in world.tasks.iter().enumerate() {
        let sequence = &sequences[at];
        for block in 0..sequence.positions.len() / BLOCK_TOKENS {
            let place = task.first_block as usize + block;
            let slot = slot_of[place];
            if slot == NONE {
                assert_eq!(table[place].keys, world.blocks[place].keys);
                continue;
            }
            assert_eq!(block_of[slot as usize] as usize, place);
            let from = u64::from(slot) * 2 * bytes;
            assert_eq!(table[place].keys, slots_at + from);
            assert_eq!(table[place].values, slots_at + from + bytes);
            let dim = sequence.shape.dim;
            for (numbers, from) in [(&sequence.keys, from), (&sequence.values, from + bytes)] {
                let expected = numbers[block * BLOCK_TOKENS * dim..][..BLOCK_TOKENS * dim].iter();
                let got = slots[from as usize..][..bytes as usize].chunks_exact(2);
                for (expected, got) in expected.zip(got) {
                    assert_eq!(half::bf16::from_f32(*expected).to_le_bytes(), *got);
                }
            }
        }
    }
}
