//! The host's tables against the sources.

use std::collections::BTreeMap;

use wavekv_kernels::Dtype;
use wavekv_kernels::cuda::launch::{self, Kernel};
use wavekv_kernels::cuda::sources::Source;
use wavekv_kernels_shim::kernels;

/// Every kernel that the host may ask for.
fn known() -> Vec<Kernel> {
    let mut known = vec![
        launch::MERGE,
        launch::SELECT_BUDGET,
        launch::SELECT_ADAPTIVE,
        launch::JUDGE,
        launch::GATHER_BLOCKS,
        launch::CACHE_WANT,
        launch::CACHE_ADMIT,
        launch::ADD_POINTS,
        launch::MOVE_CENTROIDS,
    ];
    for dim in [64, 80, 128, 256] {
        known.extend([launch::scan_int8(dim), launch::scan_bf16(dim)]);
        known.extend([
            launch::weigh_codes(dim),
            launch::add_values(dim),
            launch::assign_points(dim),
        ]);
        known.extend(Dtype::ALL.map(|dtype| launch::attend(dtype, dim, dim)));
    }
    known
}

#[test]
fn the_host_knows_every_kernel_and_no_other() {
    let written: BTreeMap<String, u32> = kernels()
        .into_iter()
        .filter(|(name, _)| !name.starts_with("self_"))
        .collect();
    let known: BTreeMap<String, u32> = known()
        .iter()
        .map(|kernel| (kernel.name.to_owned(), kernel.threads))
        .collect();
    assert_eq!(known, written);
}

#[test]
fn a_kernel_is_in_the_source_that_the_host_names() {
    for kernel in known() {
        let text = kernel.source.text();
        assert!(
            text.contains(&format!("KERNEL({}, ", kernel.name)),
            "{}",
            kernel.name
        );
    }
    for source in Source::ALL {
        assert!(
            known().iter().any(|kernel| kernel.source == source),
            "{}",
            source.name()
        );
    }
}
