//! Which instructions this CPU has, and the one door to the kernels.

use std::fmt;

#[cfg(target_arch = "x86_64")]
use super::dots::{self, AttendBf16};
use super::lanes::{Simd, Task};
use super::portable::Portable;
#[cfg(target_arch = "x86_64")]
use super::x86::{Avx2, Avx512};
use super::{
    AddPoints, AddValues, Appraise, Assign, Attend, Encode, Estimate, Gather, Judge, LogMass, Mean,
    Quantise, Scan, Summarise, Weigh,
};

/// A set of instructions that the kernels are compiled for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Isa {
    /// What every CPU has.
    Portable,
    /// AVX2, FMA and F16C.
    Avx2,
    /// AVX-512 F, BW, DQ, VL and VNNI.
    Avx512,
    /// AVX-512 with BF16 too: exact attention takes products of `bf16` as they are.
    Avx512Bf16,
}

impl Isa {
    /// Every level, slowest first.
    pub const ALL: [Self; 4] = [Self::Portable, Self::Avx2, Self::Avx512, Self::Avx512Bf16];

    /// The name used in settings, logs and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Portable => "portable",
            Self::Avx2 => "avx2",
            Self::Avx512 => "avx512",
            Self::Avx512Bf16 => "avx512bf16",
        }
    }
}

impl fmt::Display for Isa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// The kernels at one level, which this CPU has: only a check at run time makes a value.
#[derive(Clone, Copy, Debug)]
pub struct Kernels(Level);

/// A level with the proof that the CPU has it.
#[derive(Clone, Copy, Debug)]
enum Level {
    Portable(Portable),
    #[cfg(target_arch = "x86_64")]
    Avx2(Avx2),
    #[cfg(target_arch = "x86_64")]
    Avx512(Avx512<false>),
    #[cfg(target_arch = "x86_64")]
    Avx512Bf16(Avx512<true>),
}

impl Kernels {
    /// The kernels at `isa`, where this CPU has it.
    pub fn at(isa: Isa) -> Option<Self> {
        match isa {
            Isa::Portable => Some(Self(Level::Portable(Portable))),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => Avx2::detect().map(Level::Avx2).map(Self),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => Avx512::<false>::detect().map(Level::Avx512).map(Self),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512Bf16 => Avx512::<true>::detect().map(Level::Avx512Bf16).map(Self),
            #[cfg(not(target_arch = "x86_64"))]
            Isa::Avx2 | Isa::Avx512 | Isa::Avx512Bf16 => None,
        }
    }

    /// The kernels at every level this CPU has, slowest first.
    pub fn available() -> impl Iterator<Item = Self> {
        Isa::ALL.into_iter().filter_map(Self::at)
    }

    /// The fastest kernels this CPU has.
    pub fn detect() -> Self {
        Self::available()
            .last()
            .unwrap_or(Self(Level::Portable(Portable)))
    }

    /// The level of these kernels.
    pub fn isa(self) -> Isa {
        match self.0 {
            Level::Portable(_) => Isa::Portable,
            #[cfg(target_arch = "x86_64")]
            Level::Avx2(_) => Isa::Avx2,
            #[cfg(target_arch = "x86_64")]
            Level::Avx512(_) => Isa::Avx512,
            #[cfg(target_arch = "x86_64")]
            Level::Avx512Bf16(_) => Isa::Avx512Bf16,
        }
    }

    /// Scores of query rows over centroids.
    pub fn scan(self, task: Scan<'_>) {
        self.run(task);
    }

    /// Exact attention, added to an accumulator.
    #[cfg_attr(
        not(target_arch = "x86_64"),
        expect(unused_mut, reason = "only a level of x86-64 narrows it")
    )]
    pub fn attend(self, mut task: Attend<'_>) {
        match self.0 {
            #[cfg(target_arch = "x86_64")]
            Level::Avx512Bf16(level) => match dots::narrow(&mut task) {
                Some(keys) => level.run(AttendBf16 { attend: task, keys }),
                None => self.run(task),
            },
            Level::Portable(_) => self.run(task),
            #[cfg(target_arch = "x86_64")]
            Level::Avx2(_) | Level::Avx512(_) => self.run(task),
        }
    }

    /// Weights of tokens from the codes of their keys.
    pub fn weigh(self, task: Weigh<'_>) {
        self.run(task);
    }

    /// Which weighed tokens are worth reading.
    pub fn judge(self, task: Judge<'_>) {
        self.run(task);
    }

    /// Values of tokens from their codes, added to an accumulator.
    pub fn add_values(self, task: AddValues<'_>) {
        self.run(task);
    }

    /// What reading clusters would gain.
    pub fn appraise(self, task: Appraise<'_>) {
        self.run(task);
    }

    /// Entries of a given mass, added to an accumulator.
    pub fn estimate(self, task: Estimate<'_>) {
        self.run(task);
    }

    /// Rows from anywhere, side by side.
    pub fn gather(self, task: Gather<'_>) {
        self.run(task);
    }

    /// Scores of centroids to log masses of clusters.
    pub fn log_mass(self, task: LogMass<'_>) {
        self.run(task);
    }

    /// The nearest centroid of each point.
    pub fn assign(self, task: Assign<'_>) {
        self.run(task);
    }

    /// Sums of the points of each cluster.
    pub fn add_points(self, task: AddPoints<'_>) {
        self.run(task);
    }

    /// The mean of rows.
    pub fn mean(self, task: Mean<'_>) {
        self.run(task);
    }

    /// Rows as points of a k-means.
    pub fn quantise(self, task: Quantise<'_>) {
        self.run(task);
    }

    /// Mean and spread of rows.
    pub fn summarise(self, task: Summarise<'_>) {
        self.run(task);
    }

    /// Codes of rows beside the mean of their cluster.
    pub fn encode(self, task: Encode<'_>) {
        self.run(task);
    }

    fn run<T: Task>(self, task: T) {
        match self.0 {
            Level::Portable(level) => level.run(task),
            #[cfg(target_arch = "x86_64")]
            Level::Avx2(level) => level.run(task),
            #[cfg(target_arch = "x86_64")]
            Level::Avx512(level) => level.run(task),
            #[cfg(target_arch = "x86_64")]
            Level::Avx512Bf16(level) => level.without_dots().run(task),
        }
    }
}
