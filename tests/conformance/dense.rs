//! Sequences, and dense attention over them.

use rand::{RngExt as _, SeedableRng as _};
use rand_distr::StandardNormal;
use rand_pcg::Pcg64;

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
            error: error(&out, &self.dense(q)),
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
        let mut out = vec![0.0; Q_HEADS * DIM];
        for head in 0..Q_HEADS {
            let kv_head = head * KV_HEADS / Q_HEADS;
            let of = |rows: &[f32], token: usize, i: usize| {
                f64::from(rows[token * ROW + kv_head * DIM + i])
            };
            let tokens = self.length() as usize;
            let score = |token: usize| -> f64 {
                let products =
                    (0..DIM).map(|i| f64::from(q[head * DIM + i]) * of(&self.k, token, i));
                products.sum::<f64>() / (DIM as f64).sqrt()
            };
            let scores: Vec<f64> = (0..tokens).map(score).collect();
            let largest = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let weights: Vec<f64> = scores.iter().map(|score| (score - largest).exp()).collect();
            let mass: f64 = weights.iter().sum();
            for i in 0..DIM {
                let weighted = weights.iter().enumerate();
                let sum: f64 = weighted
                    .map(|(token, weight)| weight * of(&self.v, token, i))
                    .sum();
                out[head * DIM + i] = sum / mass;
            }
        }
        out
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

fn error(out: &[f32], dense: &[f64]) -> f64 {
    let of_head = |head: usize| {
        let pairs = out[head * DIM..][..DIM]
            .iter()
            .zip(&dense[head * DIM..][..DIM]);
        let square = |x: f64| x * x;
        let apart: f64 = pairs.clone().map(|(&a, &b)| square(f64::from(a) - b)).sum();
        let size: f64 = pairs.map(|(_, &b)| square(b)).sum();
        (apart / size).sqrt()
    };
    (0..Q_HEADS).map(of_head).fold(0.0, f64::max)
}
