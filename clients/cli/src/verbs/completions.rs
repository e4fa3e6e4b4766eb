//! `wavekv completions`.

use clap::CommandFactory as _;
use clap_complete::Shell;

use crate::arguments::Arguments;
use crate::output;

pub(crate) fn run(shell: Shell) {
    let mut script = vec![];
    clap_complete::generate(shell, &mut Arguments::command(), "wavekv", &mut script);
    output::text(&String::from_utf8_lossy(&script));
}
