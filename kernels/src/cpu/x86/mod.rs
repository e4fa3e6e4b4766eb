//! The lanes in the registers of x86-64.
//!
//! A level's token ([`Avx2`], [`Avx512`]) is made by its `detect` alone, so whoever holds one runs on
//! a CPU that has the instructions; every `unsafe` here rests on that, or on the length of the
//! reference it reads or writes.

mod avx2;
mod avx512;
mod bytes;

pub(super) use avx2::Avx2;
pub(super) use avx512::Avx512;
