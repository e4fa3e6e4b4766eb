//! A catalog after a write to it has failed: nothing of what failed is there, and everything else is.

use super::*;

fn put(catalog: &Catalog, key: &Key, value: &[u8]) -> Result<(), NotCommitted> {
    let mut batch = catalog.batch();
    batch.put(key, value)?;
    batch.commit(false)
}

#[test]
fn what_failed_is_not_there_though_the_log_has_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("catalog");
    let catalog = Catalog::open(&path).unwrap();
    let [old, new, deleted, other] = [1, 2, 3, 4].map(Key::collection);
    let inner = Key::segment(3, 0, 7);
    for key in [&old, &deleted, &inner] {
        put(&catalog, key, b"truth").unwrap();
    }
    // As a commit does when the device fails after the log has its bytes.
    let mut failed = catalog.batch();
    failed.put(&old, b"failed").unwrap();
    failed.put(&new, b"failed").unwrap();
    failed.delete(&deleted).unwrap();
    failed
        .delete_all(Family::Segments, &keys::of_collection(3))
        .unwrap();
    let Batch {
        writes, touched, ..
    } = failed;
    let mut truth = Truth::default();
    truth
        .read(catalog.state.read().db.as_ref().unwrap(), &[touched])
        .unwrap();
    *catalog.state.write() = State { db: None, truth };
    open(&path, false).unwrap().write(writes).unwrap();

    assert_eq!(catalog.get(&old).unwrap().as_deref(), Some(&b"truth"[..]));
    assert_eq!(catalog.heals(), 1);
    assert_eq!(catalog.get(&new).unwrap(), None);
    for key in [&deleted, &inner] {
        assert_eq!(catalog.get(key).unwrap().as_deref(), Some(&b"truth"[..]));
    }
    put(&catalog, &other, b"later").unwrap();
    drop(catalog);
    let catalog = Catalog::open(&path).unwrap();
    assert_eq!(catalog.get(&old).unwrap().as_deref(), Some(&b"truth"[..]));
    assert_eq!(catalog.get(&new).unwrap(), None);
    assert_eq!(catalog.get(&other).unwrap().as_deref(), Some(&b"later"[..]));
}

#[test]
fn after_a_failure_the_next_batch_opens_the_catalog_anew() {
    let folder = tempfile::tempdir().unwrap();
    let catalog = Catalog::open(&folder.path().join("catalog")).unwrap();
    let [one, two] = [1, 2].map(Key::collection);
    put(&catalog, &one, b"one").unwrap();
    let touched = Touched {
        keys: vec![one.clone(), two.clone()],
        prefixes: vec![],
    };
    catalog.doubts.lock().push(touched);
    // Reading goes on meanwhile, and does not open anything.
    assert!(catalog.get(&one).unwrap().is_some());
    assert_eq!(catalog.heals(), 0);
    put(&catalog, &two, b"two").unwrap();
    assert_eq!(catalog.heals(), 1);
    assert_eq!(catalog.get(&one).unwrap().as_deref(), Some(&b"one"[..]));
    assert!(!folder.path().join("catalog.probe").exists());
}
