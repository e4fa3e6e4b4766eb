//! A call's bytes, as a client may write them: the first says the operation. `src/body/tests.rs` does the same for a short
//! while, and its corpus is where this begins.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wavekv_shm::Operation;
use wavekv_shm::body::Request;

fuzz_target!(|input: &[u8]| {
    let Some((operation, body)) = input.split_first() else {
        return;
    };
    let operation = Operation::ALL[usize::from(*operation) % Operation::ALL.len()];
    if let Ok(parsed) = Request::parse(operation, body) {
        assert_eq!(parsed.encode(), body);
    }
});
