//! Compiles the CUDA kernels for the host: `cpp/` says what CUDA's words mean there, and the compiler tells it of every
//! access to memory, as it would tell its own detector of races.

use std::path::{Path, PathBuf};
use std::{env, fs, io};

fn main() -> io::Result<()> {
    let here = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default());
    let out = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default());
    let (cuda, cpp) = (here.join("../cuda"), here.join("cpp"));
    for folder in [&cuda, &cpp] {
        println!("cargo:rerun-if-changed={}", folder.display());
    }
    let list = out.join("kernel_list.hpp");
    fs::write(&list, includes(&[&cpp, &cuda])?)?;

    let mut watched = compiler();
    watched
        .file(cpp.join("kernels.cpp"))
        .include(&cuda)
        .define(
            "WAVEKV_KERNEL_LIST",
            format!("{:?}", list.display().to_string()).as_str(),
        )
        .flag("-fsanitize=thread")
        .flag_if_supported("--param=tsan-instrument-func-entry-exit=0");
    // Another object than the one below, which must not be watched: it is what watches.
    let objects = watched.compile_intermediates();
    compiler()
        .file(cpp.join("fibers.cpp"))
        .file(cpp.join("block.cpp"))
        .file(cpp.join("watch.cpp"))
        .objects(objects)
        .compile("wavekv_shim");
    Ok(())
}

fn compiler() -> cc::Build {
    let mut build = cc::Build::new();
    build
        .cpp(true)
        .std("c++17")
        .opt_level(2)
        .debug(false)
        .warnings(true)
        .warnings_into_errors(false)
        .flag("-fno-exceptions")
        .flag("-ffp-contract=off")
        .flag("-Wno-unknown-pragmas");
    build
}

/// A line for each `.cu` of these folders.
fn includes(folders: &[&Path]) -> io::Result<String> {
    let mut lines = Vec::new();
    for folder in folders {
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            if path.extension().is_some_and(|kind| kind == "cu") {
                lines.push(format!("#include {:?}\n", path.display().to_string()));
            }
        }
    }
    lines.sort();
    Ok(lines.concat())
}
