//! `include/wavekv.h` is what cbindgen makes of the crate: UPDATE=1 writes it.
#![forbid(unsafe_code)]

use std::path::Path;

#[test]
fn the_header_is_that_of_the_code() {
    let crate_folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut made = vec![];
    let bindings = cbindgen::generate(crate_folder).unwrap();
    bindings.write(&mut made);
    let path = crate_folder.join("include/wavekv.h");
    if std::env::var_os("UPDATE").is_some() {
        return std::fs::write(path, made).unwrap();
    }
    let found = std::fs::read(path).unwrap();
    assert!(found == made, "run this test with UPDATE=1");
}
