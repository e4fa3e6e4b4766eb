//! Compiles the contract without a protobuf compiler: protox parses it, prost and tonic generate the code.
use std::path::PathBuf;
use std::{env, error, fs};

use prost::Message as _;

const FILES: [&str; 4] = [
    "wavekv/v1/tensor.proto",
    "wavekv/v1/collections.proto",
    "wavekv/v1/data.proto",
    "wavekv/v1/admin.proto",
];

fn main() -> Result<(), Box<dyn error::Error>> {
    for file in FILES {
        println!("cargo::rerun-if-changed={file}");
    }
    let descriptors = protox::compile(FILES, ["."])?;
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or("OUT_DIR is not set")?);
    fs::write(
        out.join("wavekv.v1.descriptors"),
        descriptors.encode_to_vec(),
    )?;
    // `bytes`: a tensor received is a slice of the message's buffer, not a copy of it.
    tonic_prost_build::configure()
        .bytes(".")
        .compile_fds(descriptors)?;
    Ok(())
}
