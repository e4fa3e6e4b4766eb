//! `wavekv man`.

use std::path::Path;

use clap::CommandFactory as _;

use crate::arguments::Arguments;
use crate::failure::Failure;

pub(crate) fn run(folder: &Path) -> Result<(), Failure> {
    fs_err::create_dir_all(folder)?;
    Ok(clap_mangen::generate_to(Arguments::command(), folder)?)
}
