//! Damage, and the verification that is to find it.

use std::os::unix::fs::FileExt as _;
use std::path::Path;

use wavekv_client::wire::verify_response::Told;
use wavekv_client::{Client, ClientError, wire};

/// What a verification told.
#[derive(Debug, Default)]
pub(crate) struct Verified {
    pub(crate) findings: Vec<wire::VerifyFinding>,
    /// The last word.
    pub(crate) progress: wire::VerifyProgress,
}

/// Verifies a collection, or all.
pub(crate) async fn verified(
    client: &Client,
    collection: Option<wire::CollectionRef>,
) -> Result<Verified, ClientError> {
    let mut words = client.verify(collection).await?;
    let mut verified = Verified::default();
    while let Some(word) = words.next().await? {
        match word.told.unwrap() {
            Told::Progress(progress) => verified.progress = progress,
            Told::Finding(finding) => verified.findings.push(finding),
        }
    }
    assert_eq!(verified.progress.collection, None);
    assert_eq!(verified.progress.bytes_done, verified.progress.bytes);
    assert_eq!(verified.progress.findings, verified.findings.len() as u64);
    Ok(verified)
}

/// Flips a bit of a file where it is, as a device does.
pub(crate) fn flip(file: &Path, bit: u64) {
    let open = fs_err::OpenOptions::new().read(true).write(true).open(file);
    let open = open.unwrap().into_file();
    let mut byte = [0];
    open.read_exact_at(&mut byte, bit / 8).unwrap();
    byte[0] ^= 1 << (bit % 8);
    open.write_all_at(&byte, bit / 8).unwrap();
}
