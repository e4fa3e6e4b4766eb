//! Blocks from the host's memory, and the cache that decides which.

use std::collections::BTreeSet;

use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64Mcg;
use wavekv_kernels::cuda::launch;
use wavekv_kernels::cuda::tables::{BLOCK_TOKENS, Block, Cache, Gather, Move};
use wavekv_kernels_shim::Memory;

use crate::launch;
use crate::world::{Sequence, Shape, World};

const NONE: u32 = u32::MAX;

/// The tables of a cache, as the host has them between two steps.
struct Tables {
    blocks: Vec<Block>,
    homes: Vec<Block>,
    slot_of: Vec<u32>,
    block_of: Vec<u32>,
    used: Vec<u32>,
    wanted: Vec<u32>,
    slots_at: u64,
    /// Of K, and of V, of a block.
    bytes: usize,
}

impl Tables {
    fn new(world: &mut World, slots: usize, bytes: usize) -> Self {
        Self {
            blocks: world.blocks.clone(),
            homes: world.blocks.clone(),
            slot_of: vec![NONE; world.blocks.len()],
            block_of: vec![NONE; slots],
            used: vec![0; slots],
            wanted: vec![0; world.blocks.len()],
            slots_at: world.memory.room::<u8>("slots", slots * 2 * bytes),
            bytes,
        }
    }

    fn put(&self, world: &mut World, lists: &[Vec<u32>; 2], step: u32) -> Cache {
        let (blocks, slots) = (self.blocks.len(), self.block_of.len());
        for (task, first) in world.tasks.iter_mut().zip([0, lists[0].len() as u32]) {
            task.first_listed = first;
        }
        let memory = &mut world.memory;
        let lengths = lists.each_ref().map(|list| list.len() as u32);
        Cache {
            tasks: memory.put("tasks", &world.tasks),
            lists: memory.put("lists", &lists.concat()),
            list_lengths: memory.put("list_lengths", &lengths),
            blocks: memory.put_writable("blocks", &self.blocks),
            homes: memory.put("homes", &self.homes),
            slot_of: memory.put_writable("slot_of", &self.slot_of),
            block_of: memory.put_writable("block_of", &self.block_of),
            used: memory.put_writable("used", &self.used),
            wanted: memory.put_writable("wanted", &self.wanted),
            missed: memory.room::<u32>("missed", blocks),
            counts: memory.room::<u32>("counts", 3),
            given: memory.room::<u32>("given", slots),
            slots: self.slots_at,
            moves: memory.room::<Move>("moves", slots),
            tasks_count: 2,
            blocks_count: blocks as u32,
            slots_count: slots as u32,
            step,
            key_bytes: self.bytes as u32,
            value_bytes: self.bytes as u32,
        }
    }

    fn take(&mut self, memory: &Memory, params: &Cache) {
        self.blocks = memory.read(params.blocks);
        self.slot_of = memory.read(params.slot_of);
        self.block_of = memory.read(params.block_of);
        self.used = memory.read(params.used);
        self.wanted = memory.read(params.wanted);
    }

    /// What a step says that reads these blocks, before the copies are made; returns the hits.
    fn check_wanted(&self, memory: &Memory, params: &Cache, read: &BTreeSet<usize>) -> usize {
        let counts: Vec<u32> = memory.read(params.counts);
        let missing = read
            .iter()
            .copied()
            .filter(|block| self.slot_of[*block] == NONE);
        let missing: Vec<usize> = missing.collect();
        let hits = read.len() - missing.len();
        assert_eq!([counts[0], counts[2]], [missing.len() as u32, hits as u32]);
        let free = (0..self.block_of.len()).filter(|slot| {
            let held = self.block_of[*slot];
            held == NONE || (!read.contains(&(held as usize)) && self.used[*slot] + 1 < params.step)
        });
        let free: Vec<usize> = free.collect();
        assert_eq!(counts[1] as usize, free.len().min(missing.len()));
        // Until the copies are made, every block that is read is where its bytes are.
        let blocks: Vec<Block> = memory.read(params.blocks);
        for (slot, block) in free.iter().zip(&missing) {
            let old = self.block_of[*slot] as usize;
            if self.block_of[*slot] != NONE {
                assert_eq!(blocks[old].keys, self.homes[old].keys, "evicted");
            }
            assert_eq!(
                blocks[*block].keys, self.homes[*block].keys,
                "not there yet"
            );
        }
        hits
    }
}

/// Steps of random rows; after each, what is read is what the sequence has, wherever it is read from.
#[test]
fn a_cache_has_what_was_read_and_never_the_wrong_bytes() {
    let mut random = Pcg64Mcg::seed_from_u64(3);
    for (dim, slots) in [(64, 12), (80, 40), (16, 1)] {
        let sequences =
            [3, 5].map(|seed| Sequence::random(seed, &Shape::new(dim, 1, vec![vec![16; 40]])));
        let mut world = World::new(&sequences);
        let mut tables = Tables::new(&mut world, slots, BLOCK_TOKENS * dim * 2);
        let mut hits = 0;
        for step in 2..9_u32 {
            let lists = sequences.each_ref().map(|sequence| {
                let rows = sequence
                    .clustered()
                    .into_iter()
                    .skip(random.random_range(0..20) * 8);
                rows.take(random.random_range(0..70)).collect::<Vec<u32>>()
            });
            let of_tasks = lists.iter().zip(&world.tasks);
            let read = of_tasks.flat_map(|(list, task)| {
                let block = |row: &u32| task.first_block as usize + *row as usize / BLOCK_TOKENS;
                list.iter().map(block)
            });
            let read: BTreeSet<usize> = read.collect();
            let params = tables.put(&mut world, &lists, step);
            let memory = &mut world.memory;
            launch(launch::CACHE_WANT, [1, 1], &params, memory);
            hits += tables.check_wanted(memory, &params, &read);
            let given = memory.read::<u32>(params.counts)[1];
            let gather = Gather {
                moves: params.moves,
                count: memory.put("given count", &[given]),
                key_bytes: params.key_bytes,
                value_bytes: params.value_bytes,
            };
            launch(launch::GATHER_BLOCKS, [2, 1], &gather, memory);
            launch(launch::CACHE_ADMIT, [1, 1], &params, memory);
            tables.take(memory, &params);
            check_bytes(&world, &sequences, &tables);
        }
        assert!(hits > 0 || slots == 1);
    }
}

/// Every block of the table is at home or in its own slot, and has its bytes there.
fn check_bytes(world: &World, sequences: &[Sequence; 2], tables: &Tables) {
    let Tables {
        blocks: table,
        slot_of,
        block_of,
        slots_at,
        ..
    } = tables;
    let bytes = tables.bytes as u64;
    let slots: Vec<u8> = world.memory.read(*slots_at);
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
