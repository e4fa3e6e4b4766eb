//! What a test says on standard input, a line each, before and while the daemon runs. Every line is answered by one.
//!
//! | line | answer |
//! | --- | --- |
//! | `points` | the names of all points |
//! | `set NAME ACTIONS`, as of the crate `fail` | `ok`, or what is wrong |
//! | `note FILE` | `ok`: from now on, what the device has is noted in the file |
//! | `go` | `ok`: the daemon starts |
//!
//! `return(EIO)` and `return(ENOSPC)` are errors of the system, `return(KILL)` ends the process as SIGKILL does.

use std::io::{self, BufRead, Write};

use rustix::io::Errno;
use rustix::process::{Signal, getpid, kill_process};

use super::{POINTS, syncs};

/// Obeys until `go`, and then on a thread of its own until the input ends.
///
/// # Errors
/// When the input or the output breaks before `go`.
pub fn obey() -> io::Result<()> {
    let (mut input, mut output) = (io::stdin().lock(), io::stdout().lock());
    let mut line = String::new();
    while line.trim() != "go" {
        line.clear();
        if input.read_line(&mut line)? == 0 {
            return Ok(());
        }
        writeln!(output, "{}", answer(line.trim()))?;
        output.flush()?;
    }
    drop((input, output));
    let rest = || {
        for line in io::stdin().lock().lines().map_while(Result::ok) {
            let mut output = io::stdout().lock();
            // A test that has gone away waits for nothing.
            let _ = writeln!(output, "{}", answer(line.trim())).and_then(|()| output.flush());
        }
    };
    std::thread::Builder::new()
        .name("faults".to_owned())
        .spawn(rest)?;
    Ok(())
}

fn answer(line: &str) -> String {
    let (verb, rest) = line.split_once(' ').unwrap_or((line, ""));
    let done = match verb {
        "points" => return POINTS.join(" "),
        "go" => Ok(()),
        "set" => match rest.split_once(' ') {
            Some((name, actions)) if POINTS.contains(&name) => fail::cfg(name, actions),
            _ => Err(format!("no such point: {rest}")),
        },
        "note" => syncs::note(rest).map_err(|error| error.to_string()),
        _ => Err(format!("no such line: {line}")),
    };
    done.map_or_else(|error| error, |()| "ok".to_owned())
}

/// Does what a test has asked for.
pub(super) fn act(action: Option<&str>) -> io::Result<()> {
    match action {
        Some("ENOSPC") => Err(Errno::NOSPC.into()),
        Some("KILL") => {
            // The signal ends this thread before the call is back.
            let _ = kill_process(getpid(), Signal::KILL);
            Ok(())
        }
        _ => Err(Errno::IO.into()),
    }
}
