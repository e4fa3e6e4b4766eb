//! Every metric, declared once: [`METRICS.md`](METRICS.md) is made of this table, and nothing is exported that is not in it.
//!
//! No metric is told apart by collection: there may be any number of these, and each would be a series of its own for ever.
//! `AdminService.Stats` says the same of one collection, and `Activity` what was done with those that were used last.

/// How a metric goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It grows, and begins at 0 with the process.
    Counter,
    /// It goes up and down.
    Gauge,
    /// It counts by size: `_bucket`, `_sum` and `_count`.
    Histogram,
}

/// A metric.
#[derive(Clone, Copy, Debug)]
pub struct Metric {
    /// As it is exported.
    pub name: &'static str,
    /// How it goes on.
    pub kind: Kind,
    /// Of its value.
    pub unit: &'static str,
    /// What its series are told apart by.
    pub labels: &'static [&'static str],
    /// What it says.
    pub help: &'static str,
}

macro_rules! declared {
    ($($metric:ident = $kind:ident $name:literal [$($label:literal)*] $unit:literal $help:literal;)*) => {
        $(
            #[doc = $help]
            pub const $metric: Metric = Metric {
                name: $name,
                kind: Kind::$kind,
                unit: $unit,
                labels: &[$($label),*],
                help: $help,
            };
        )*
        /// All of them, in the order of the table.
        pub const ALL: &[Metric] = &[$($metric),*];
    };
}

declared! {
    BUILD_INFO = Gauge "wavekv_build_info" ["version" "isa"] "1"
        "Always 1: the version of the daemon and the instruction set of its kernels.";
    UPTIME = Gauge "wavekv_engine_uptime_seconds" [] "seconds" "Since the start.";
    BOOT_EPOCH = Gauge "wavekv_engine_boot_epoch" [] "starts" "How often the data directory was opened.";
    READY = Gauge "wavekv_service_ready" [] "0 or 1" "Whether calls are answered, as /readyz says.";
    TROUBLE = Gauge "wavekv_service_trouble" ["code"] "0 or 1"
        "Whether /healthz has this reason; of the reasons that there are while calls are answered.";

    CALL_SECONDS = Histogram "wavekv_service_call_seconds" ["operation" "transport" "outcome"] "seconds"
        "From a request to the end of its answer, of calls that have ended. A call whose entries have failed alone is ok.";
    CALLS_IN_PROGRESS = Gauge "wavekv_service_calls_in_progress" ["transport"] "calls" "Begun and not ended.";
    ENTRIES = Counter "wavekv_service_entries_total" ["operation" "outcome"] "entries"
        "Entries of batches of the data plane, by what each of them came to.";
    SHM_CONNECTIONS = Gauge "wavekv_service_shm_connections" [] "connections" "Clients that have shared memory.";
    SHM_ENDED = Counter "wavekv_service_shm_connections_ended_total" ["reason"] "connections"
        "Connections over shared memory that have ended: the client is gone, it broke the contract, or the daemon stops.";
    SHM_REFUSED = Counter "wavekv_service_shm_connections_refused_total" [] "connections"
        "Clients that were refused shared memory.";

    COLLECTIONS = Gauge "wavekv_engine_collections" [] "collections" "Collections.";
    COLLECTIONS_REFUSED = Gauge "wavekv_engine_collections_refused" [] "collections"
        "Of these, those that are not served, since they are damaged.";
    COLLECTIONS_EXPIRED = Counter "wavekv_engine_collections_expired_total" [] "collections"
        "Deleted because they were not used for as long as their ttl.";
    COLLECTIONS_DELETED_FOR_ROOM = Counter "wavekv_engine_collections_deleted_for_room_total" [] "collections"
        "Expendable ones, deleted because disk.budget was used up.";
    TOKENS = Gauge "wavekv_engine_tokens" [] "tokens" "Of all layers of all collections.";
    UNCLUSTERED_TOKENS = Gauge "wavekv_engine_unclustered_tokens" [] "tokens"
        "Of these, those that no segment has: sinks, windows, and what waits to be clustered.";
    SEGMENTS = Gauge "wavekv_engine_segments" [] "segments" "Of all layers of all collections.";
    CLUSTERS = Gauge "wavekv_engine_clusters" [] "clusters" "Of all segments and KV heads.";
    PAYLOAD_BYTES = Gauge "wavekv_engine_payload_bytes" [] "bytes" "K and V, wherever they are.";
    CODE_BYTES = Gauge "wavekv_engine_code_bytes" [] "bytes" "Codes of K and V, wherever they are.";
    META_INDEX_BYTES = Gauge "wavekv_engine_meta_index_bytes" [] "bytes" "What is scanned or searched for every query.";
    SHARED_BYTES = Gauge "wavekv_engine_shared_bytes" [] "bytes"
        "Of the three above, what forks and segments of the same content share: counted more often than it is there.";

    INSERTED_TOKENS = Counter "wavekv_engine_inserted_tokens_total" [] "tokens"
        "Tokens of a layer that were stored, without those that were stored already.";
    ATTEND_READ_BYTES = Counter "wavekv_engine_attend_read_bytes_total" ["kind"] "bytes"
        "K, V, codes and meta index that attends have read, by kind of index.";
    ATTEND_FULL_BYTES = Counter "wavekv_engine_attend_full_bytes_total" ["kind"] "bytes"
        "K and V that exact answers to the same attends would have read.";
    ATTEND_TOKENS = Counter "wavekv_engine_attend_tokens_total" ["zone"] "tokens"
        "Visible tokens of attends, over query tokens and KV heads, by what was done with them.";
    SEGMENTS_BUILT = Counter "wavekv_engine_segments_built_total" [] "segments" "Segments put in place.";
    SEGMENTS_MERGED = Counter "wavekv_engine_segments_merged_total" [] "segments"
        "Segments that a larger one has replaced.";
    BUILDS_DISCARDED = Counter "wavekv_engine_builds_discarded_total" [] "segments"
        "Built and thrown away, because a truncation or deletion came first.";
    BUILDS_FAILED = Counter "wavekv_engine_builds_failed_total" [] "segments" "Not built, for want of memory or disk.";
    LAYERS_WAITING = Gauge "wavekv_engine_layers_waiting" [] "layers"
        "Layers that wait for a clustering thread or have one.";
    COMPUTE_THREADS = Gauge "wavekv_engine_compute_threads" [] "threads" "Of the compute pool.";
    COMPUTE_BUSY = Gauge "wavekv_engine_compute_busy_threads" [] "threads"
        "That calls in progress are taken to keep busy: all of the pool for each that it has, one for each that it has not.";
    COMPUTE_WAITING = Gauge "wavekv_engine_compute_waiting_calls" [] "calls" "That wait for a thread of the compute pool.";
    AUDITS = Counter "wavekv_engine_audits_total" ["asked"] "answers"
        "Answers whose error was measured: because the caller asked for it, or of the share that the daemon audits.";
    AUDITS_SKIPPED = Counter "wavekv_engine_audits_skipped_total" [] "answers"
        "Chosen to be audited, and not, because too many waited.";
    AUDIT_ERROR = Gauge "wavekv_engine_audit_error_ratio" [] "ratio"
        "Root mean square of |out - exact| / |exact| over the audited answers of the collections that there are.";
    AUDIT_WORST = Gauge "wavekv_engine_audit_worst_error_ratio" [] "ratio" "The same of the KV head where it is largest.";
    AUDIT_RAISED = Gauge "wavekv_engine_audit_raised_heads" [] "KV heads"
        "That read more than their callers ask for, since audits found them over their target.";
    SNAPSHOTS = Counter "wavekv_engine_snapshots_total" ["outcome"] "snapshots" "Snapshots that were made, or not.";
    RESTORES = Counter "wavekv_engine_restores_total" ["outcome"] "collections" "Restores that were made, or not.";

    MEMORY_BUDGET = Gauge "wavekv_storage_memory_budget_bytes" [] "bytes" "memory.budget.";
    MEMORY_USED = Gauge "wavekv_storage_memory_used_bytes" [] "bytes" "What is counted of it now.";
    TIER_BYTES = Gauge "wavekv_storage_tier_bytes" ["tier"] "bytes"
        "Of collections on disk: what of their segments is in memory (ram), and what is stored (disk).";
    BLOCK_HITS = Counter "wavekv_storage_block_hits_total" [] "blocks"
        "Blocks of segments on disk that were needed and in memory. A block is a page of the system.";
    BLOCK_MISSES = Counter "wavekv_storage_block_misses_total" [] "blocks"
        "Blocks that were needed and had to be brought, from the device or the system's own cache.";
    BLOCK_EVICTIONS = Counter "wavekv_storage_block_evictions_total" [] "blocks" "Blocks that left memory to make room.";
    DISK_BUDGET = Gauge "wavekv_storage_disk_budget_bytes" [] "bytes" "disk.budget; 0 where there is no limit.";
    DISK_USED = Gauge "wavekv_storage_disk_used_bytes" [] "bytes"
        "What is counted of it: files once, however many have them, and rows of the catalog.";
    FILE_SYSTEM_BYTES = Gauge "wavekv_storage_file_system_bytes" [] "bytes" "Of the file system that the data directory is on.";
    FILE_SYSTEM_FREE = Gauge "wavekv_storage_file_system_free_bytes" [] "bytes" "What of it may still be taken.";
    CATALOG_UNWRITTEN = Gauge "wavekv_storage_catalog_unwritten_bytes" [] "bytes"
        "RocksDB: rows in memory that are in no table yet (cur-size-all-mem-tables).";
    CATALOG_TABLES = Gauge "wavekv_storage_catalog_table_bytes" [] "bytes" "RocksDB: tables on disk (total-sst-files-size).";
    CATALOG_LOG = Gauge "wavekv_storage_catalog_log_bytes" [] "bytes" "RocksDB: logs of writes on disk.";
    CATALOG_TO_COMPACT = Gauge "wavekv_storage_catalog_to_compact_bytes" [] "bytes"
        "RocksDB: about what is to be merged (estimate-pending-compaction-bytes).";
    CATALOG_CACHE = Gauge "wavekv_storage_catalog_cache_bytes" [] "bytes"
        "RocksDB: blocks of tables in memory (block-cache-usage).";
    CATALOG_READERS = Gauge "wavekv_storage_catalog_readers_bytes" [] "bytes"
        "RocksDB: indices and filters in memory (estimate-table-readers-mem).";
    CATALOG_COMPACTIONS = Gauge "wavekv_storage_catalog_compactions" [] "merges" "RocksDB: merges of tables that run.";
    CATALOG_FLUSHES = Gauge "wavekv_storage_catalog_flushes" [] "tables" "RocksDB: tables that are being written.";
    CATALOG_ERRORS = Gauge "wavekv_storage_catalog_errors" [] "errors"
        "RocksDB: errors in the background since it was opened (background-errors).";
    CATALOG_HEALS = Counter "wavekv_storage_catalog_heals_total" [] "times"
        "The catalog was opened anew after a write had failed.";

    PROCESS_CPU = Counter "process_cpu_seconds_total" [] "seconds" "Time on CPUs, of user and system, in whole seconds.";
    PROCESS_RESIDENT = Gauge "process_resident_memory_bytes" [] "bytes" "Memory that the system says the process has.";
    PROCESS_VIRTUAL = Gauge "process_virtual_memory_bytes" [] "bytes" "Addresses that it has, those of mapped files too.";
    PROCESS_OPEN_FDS = Gauge "process_open_fds" [] "descriptors" "Open file descriptors.";
    PROCESS_MAX_FDS = Gauge "process_max_fds" [] "descriptors" "As many as it may have.";
    PROCESS_THREADS = Gauge "process_threads" [] "threads" "Of the process.";
    PROCESS_START = Gauge "process_start_time_seconds" [] "seconds" "When it began, since 1970.";
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_say_kind_and_unit_and_come_once() {
        let mut names = BTreeSet::new();
        for metric in ALL {
            let Metric { name, unit, .. } = *metric;
            assert!(names.insert(name), "{name} is there twice");
            let is_counter = metric.kind == Kind::Counter;
            assert_eq!(name.ends_with("_total"), is_counter, "{name}");
            for suffix in ["seconds", "bytes", "ratio"] {
                let bare = name.trim_end_matches("_total");
                assert_eq!(bare.ends_with(suffix), unit == suffix, "{name} in {unit}");
            }
            let rooms = [
                "wavekv_build_",
                "wavekv_service_",
                "wavekv_engine_",
                "wavekv_storage_",
                "process_",
            ];
            assert!(rooms.iter().any(|room| name.starts_with(room)), "{name}");
            assert!(metric.help.ends_with('.'), "{name}");
        }
    }
}
