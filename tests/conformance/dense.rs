//! Sequences, and dense attention over them.

use rand::{RngExt as _, SeedableRng as _};
use rand_distr::StandardNormal;
use rand_pcg::Pcg64;
use wavekv_trace::Dtype;
use wavekv_trace::compare::relative_errors;
use wavekv_trace::exact::{self, Order, Queries, Stored};

use crate::session::{Ask, DIM, Failure, KV_HEADS, Q_HEADS, Session};

/// A sequence that was stored under a name, and what dense attention says of it.
#[derive(Debug, Clone)]
pub(crate) struct Sequence {
    pub(crate) name: String,
    /// `[tokens, KV_HEADS, DIM]`.
    k: Vec<f32>,
    v: Vec<f32>,
    random: Pcg64,
}

/// Elements of K, or V, of a token.
const ROW: usize = KV_HEADS * DIM;

impl Sequence {
    /// One of no tokens yet.
    pub(crate) fn new(name: &str, seed: u64) -> Self {
        Self {
            name: name.to_owned(),
            k: Vec::new(),
            v: Vec::new(),
            random: Pcg64::seed_from_u64(seed),
        }
    }

    fn noise(&mut self, count: usize) -> Vec<f32> {
        (0..count)
            .map(|_| self.random.sample(StandardNormal))
            .collect()
    }

    pub(crate) fn length(&self) -> u32 {
        (self.k.len() / ROW) as u32
    }

    /// Inserts so many tokens more.
    pub(crate) fn grow(&mut self, tokens: usize, session: &mut dyn Session) -> Result<(), Failure> {
        let [k, v] = [self.noise(tokens * ROW), self.noise(tokens * ROW)];
        session.insert(&self.name, self.length(), &k, &v)?;
        self.k.extend(k);
        self.v.extend(v);
        Ok(())
    }

    /// A token whose keys all query heads of `self.asking_for(number)` look for, and no other's.
    pub(crate) fn hide(&mut self, number: f32, session: &mut dyn Session) -> Result<(), Failure> {
        let direction = self.direction();
        let k: Vec<f32> = direction.iter().map(|x| 6.0 * x).collect();
        let v = vec![number; ROW];
        session.insert(&self.name, self.length(), &k, &v)?;
        self.k.extend(k);
        self.v.extend(v);
        Ok(())
    }

    /// Of the name alone: `[KV_HEADS, DIM]`, of elements of 1 or -1.
    fn direction(&self) -> Vec<f32> {
        let seed = self.name.bytes().fold(7_u64, |seed, byte| {
            seed.wrapping_mul(131).wrapping_add(byte.into())
        });
        let mut random = Pcg64::seed_from_u64(seed);
        (0..ROW)
            .map(|_| if random.random() { 1.0 } else { -1.0 })
            .collect()
    }

    /// Asks for what was hidden; the answer, and the difference from dense attention.
    pub(crate) fn seek(&mut self, ask: Ask, session: &mut dyn Session) -> Result<Answer, Failure> {
        let direction = self.direction();
        let q: Vec<f32> = (0..Q_HEADS)
            .flat_map(|head| {
                let kv_head = head * KV_HEADS / Q_HEADS;
                direction[kv_head * DIM..][..DIM].to_vec()
            })
            .collect();
        self.ask(&q, ask, session)
    }

    /// One step with any query. One that failed is made again by the next call, with the same tokens: the daemon may have
    /// them by then, or take them yet.
    pub(crate) fn step(&mut self, ask: Ask, session: &mut dyn Session) -> Result<Answer, Failure> {
        let before = self.random.clone();
        let q = self.noise(Q_HEADS * DIM);
        let answered = self.ask(&q, ask, session);
        if answered.is_err() {
            self.random = before;
        }
        answered
    }

    fn ask(&mut self, q: &[f32], ask: Ask, session: &mut dyn Session) -> Result<Answer, Failure> {
        let [k, v] = [self.noise(ROW), self.noise(ROW)];
        let out = session.attend(&self.name, ask, self.length(), [q, &k, &v])?;
        self.k.extend(k);
        self.v.extend(v);
        assert_eq!(out.len(), Q_HEADS * DIM);
        Ok(Answer {
            error: relative_errors(&out, &self.dense(q), DIM)
                .into_iter()
                .fold(0.0, f64::max),
            out,
        })
    }

    /// The sequence that a fork of it with the first `length` tokens is.
    pub(crate) fn forked(&self, name: &str, length: u32) -> Self {
        let mut fork = Self {
            name: name.to_owned(),
            ..self.clone()
        };
        fork.truncate(length);
        fork
    }

    /// What a truncation leaves.
    pub(crate) fn truncate(&mut self, length: u32) {
        self.k.truncate(length as usize * ROW);
        self.v.truncate(length as usize * ROW);
    }

    /// `[Q_HEADS, DIM]`, in f64.
    fn dense(&self, q: &[f32]) -> Vec<f64> {
        let [k, v] = [&self.k, &self.v].map(|rows| Dtype::F32.encode(rows));
        let stored = Stored {
            k: &k,
            v: &v,
            dtype: Dtype::F32,
            order: Order::TokensMajor,
            tokens: self.length() as usize,
            kv_heads: KV_HEADS,
            head_dim: DIM,
            value_dim: DIM,
        };
        let queries = Queries {
            q,
            positions: &[self.length() - 1],
            q_heads: Q_HEADS,
            scale: (DIM as f64).sqrt().recip(),
            sliding_window: 0,
        };
        exact::attend(&stored, &queries).unwrap().out
    }
}

/// What a client answered.
#[derive(Debug)]
pub(crate) struct Answer {
    /// Of the daemon: `[Q_HEADS, DIM]`.
    pub(crate) out: Vec<f32>,
    /// The largest |out - dense| / |dense| of a query head.
    pub(crate) error: f64,
}
