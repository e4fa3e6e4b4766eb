//! Every kernel is compiled for real, by NVRTC, which needs no GPU; and what is said where there is none.
//!
//! `make cuda-check` brings the library and sets `WAVEKV_REQUIRE_NVRTC`, with which a library that is not there is a failure
//! instead of a gap. With `UPDATE=1` the table in `cuda/README.md` is written anew.

#![expect(
    clippy::unwrap_used,
    reason = "a source refused in a test is a failed test"
)]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use wavekv_kernels::cuda::compile::{CompileError, compile, is_available};
use wavekv_kernels::cuda::device::Device;
use wavekv_kernels::cuda::launch::every;
use wavekv_kernels::cuda::sources::Source;

const ARCHITECTURES: [&str; 2] = ["sm_80", "sm_90"];
const MARKS: [&str; 2] = ["<!-- resources:begin -->\n", "<!-- resources:end -->\n"];

/// What a kernel takes of a multiprocessor.
#[derive(Clone, Copy, Debug, Default)]
struct Resources {
    registers: u32,
    stack_bytes: u32,
    spill_bytes: u32,
}

#[expect(
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "what a test run did not test should be seen; a switch of the test run, not a setting"
)]
fn is_tested() -> bool {
    let required = std::env::var("WAVEKV_REQUIRE_NVRTC").is_ok();
    assert!(is_available() || !required, "{}", CompileError::Missing);
    if !is_available() {
        eprintln!(
            "not tested, since this machine does not have it: NVRTC (make cuda-check brings it)"
        );
    }
    is_available()
}

/// The number before `what` in a line.
fn before(line: &str, what: &str) -> Option<u32> {
    line.split_once(what)?.0.rsplit(' ').next()?.parse().ok()
}

/// Of each kernel that the log speaks of.
fn resources(log: &str) -> BTreeMap<String, Resources> {
    let mut found = BTreeMap::new();
    let mut kernel = String::new();
    for line in log.lines() {
        if let Some((_, rest)) = line.split_once("Compiling entry function '") {
            rest.split('\'')
                .next()
                .unwrap_or_default()
                .clone_into(&mut kernel);
        }
        let of: &mut Resources = found.entry(kernel.clone()).or_default();
        if let Some(bytes) = before(line, " bytes stack frame") {
            of.stack_bytes = bytes;
            of.spill_bytes = before(line, " bytes spill stores").unwrap_or(0)
                + before(line, " bytes spill loads").unwrap_or(0);
        }
        if let Some((_, rest)) = line.split_once("Used ") {
            of.registers = rest
                .split(' ')
                .next()
                .and_then(|number| number.parse().ok())
                .unwrap_or(0);
        }
    }
    found.remove("");
    found
}

#[test]
fn every_source_compiles_and_no_kernel_spills() {
    if !is_tested() {
        return;
    }
    let mut kernels: BTreeMap<String, [Resources; 2]> = BTreeMap::new();
    for source in Source::ALL {
        for (at, architecture) in ARCHITECTURES.into_iter().enumerate() {
            let compiled = compile(source, architecture).unwrap();
            assert_eq!(&compiled.cubin[..4], b"\x7fELF", "{}", source.name());
            assert!(
                !compiled.log.contains("warning"),
                "{}: {}",
                source.name(),
                compiled.log
            );
            let found = resources(&compiled.log);
            assert!(!found.is_empty(), "{}: {}", source.name(), compiled.log);
            for (kernel, resources) in found {
                assert!(source.text().contains(&format!("KERNEL({kernel}, ")));
                assert!(resources.registers > 0, "{}", compiled.log);
                assert_eq!(
                    resources.spill_bytes, 0,
                    "{kernel} spills for {architecture}"
                );
                kernels.entry(kernel).or_default()[at] = resources;
            }
        }
    }
    write_table(&kernels);
}

/// The table in the page, where it is asked for.
fn write_table(kernels: &BTreeMap<String, [Resources; 2]>) {
    if std::env::var_os("UPDATE").is_none() {
        return;
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("cuda/README.md");
    let page = std::fs::read_to_string(&path).unwrap();
    let (head, rest) = page.split_once(MARKS[0]).unwrap();
    let (_, tail) = rest.split_once(MARKS[1]).unwrap();
    let mut table = "| kernel | threads | shared bytes | registers, sm_80 | sm_90 | stack bytes, sm_80 | sm_90 |\n\
                     | --- | --- | --- | --- | --- | --- | --- |\n"
        .to_owned();
    for (kernel, [older, newer]) in kernels {
        let launched = every().into_iter().find(|one| one.name == kernel);
        let launched = launched.unwrap();
        let _ = writeln!(
            table,
            "| `{kernel}` | {} | {} | {} | {} | {} | {} |",
            launched.threads,
            launched.shared_bytes,
            older.registers,
            newer.registers,
            older.stack_bytes,
            newer.stack_bytes
        );
    }
    std::fs::write(&path, [head, MARKS[0], &table, MARKS[1], tail].concat()).unwrap();
}

#[test]
fn an_architecture_that_is_none_is_refused_with_its_name() {
    if !is_tested() {
        return;
    }
    let refused = compile(Source::Merge, "sm_1").unwrap_err();
    assert!(matches!(refused, CompileError::Refused { .. }), "{refused}");
    assert!(
        refused
            .to_string()
            .contains("merge.cu is not compiled for sm_1"),
        "{refused}"
    );
}

#[test]
fn a_gpu_is_opened_or_what_is_missing_is_named() {
    match Device::open(0) {
        Ok(gpu) => assert!(gpu.architecture().starts_with("sm_")),
        Err(error) => {
            let sentence = error.to_string();
            assert!(
                sentence.starts_with("libcuda.so is not found")
                    || sentence.starts_with("the GPU fails in"),
                "{sentence}"
            );
        }
    }
}
