//! The machine that this command runs on, as reports name it.

use crate::formats::bench::Machine;

/// Without how fast it reads memory, which takes a second to measure.
pub(crate) fn this() -> Machine {
    let processors = fs_err::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = processors
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    Machine {
        cpu: model.map_or_else(|| "unknown CPU".into(), |(_, name)| name.trim().into()),
        threads: std::thread::available_parallelism().map_or(1, usize::from),
        read_bytes_per_second: None,
        buffer_bytes: None,
    }
}
