//! The gRPC contract, generated from `proto/wavekv/v1/*.proto`.
//!
//! The documentation of every message and call is in those files. This crate knows nobody; the daemon's `service`
//! room and the clients know it.
#![forbid(unsafe_code)]

/// Package `wavekv.v1`.
pub mod v1 {
    #![allow(
        clippy::all,
        clippy::pedantic,
        clippy::allow_attributes,
        missing_docs,
        reason = "generated from the .proto files, where the documentation is"
    )]
    tonic::include_proto!("wavekv.v1");
}

/// The encoded `FileDescriptorSet` of the contract, for gRPC reflection.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/wavekv.v1.descriptors"));
