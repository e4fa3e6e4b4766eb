//! Files of the repository that are made of the code: tests compare them, and write them anew where the environment has `UPDATE`.

/// Asserts that the file at a path of the repository is what was generated.
pub(crate) fn assert_is(path: &str, generated: &str) {
    if std::env::var_os("UPDATE").is_some() {
        fs_err::write(path, generated).unwrap();
    }
    let committed = fs_err::read_to_string(path).unwrap();
    assert!(
        committed == generated,
        "{path} is not up to date: run this test with UPDATE=1"
    );
}
