//! The host's tables against the sources.

use std::collections::BTreeMap;

use wavekv_kernels::cuda::launch;
use wavekv_kernels::cuda::sources::Source;
use wavekv_kernels_shim::kernels;

#[test]
fn the_host_knows_every_kernel_and_no_other() {
    let written: BTreeMap<String, u32> = kernels()
        .into_iter()
        .filter(|(name, _)| !name.starts_with("self_"))
        .collect();
    let known: BTreeMap<String, u32> = launch::every()
        .iter()
        .map(|kernel| (kernel.name.to_owned(), kernel.threads))
        .collect();
    assert_eq!(known, written);
}

#[test]
fn a_kernel_is_in_the_source_that_the_host_names() {
    for kernel in launch::every() {
        let text = kernel.source.text();
        assert!(
            text.contains(&format!("KERNEL({}, ", kernel.name)),
            "{}",
            kernel.name
        );
    }
    for source in Source::ALL {
        assert!(
            launch::every().iter().any(|kernel| kernel.source == source),
            "{}",
            source.name()
        );
    }
}
