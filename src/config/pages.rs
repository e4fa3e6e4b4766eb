//! What is generated of the declarations of the flags, for `make install`: what completes them, and a page of the manual.

use clap::CommandFactory as _;
use clap_complete::Shell;
use clap_mangen::Man;

use super::ConfigError;
use super::flags::Flags;

/// What has a shell complete the flags.
pub(super) fn completions(shell: Shell) -> Vec<u8> {
    let mut script = vec![];
    clap_complete::generate(shell, &mut Flags::command(), "wavekvd", &mut script);
    script
}

/// The page, in section 8: daemons.
///
/// # Errors
/// [`ConfigError::Page`].
pub(super) fn manual() -> Result<Vec<u8>, ConfigError> {
    let mut page = vec![];
    let man = Man::new(Flags::command()).section("8");
    man.render(&mut page).map_err(ConfigError::Page)?;
    Ok(page)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_are_in_the_page_and_in_what_completes_them() {
        let page = String::from_utf8(manual().unwrap()).unwrap();
        assert!(page.contains(r"\-\-print\-config") && page.contains("wavekvd 8"));
        let script = String::from_utf8(completions(Shell::Bash)).unwrap();
        assert!(script.contains("--print-config") && script.contains("--data-dir"));
    }
}
