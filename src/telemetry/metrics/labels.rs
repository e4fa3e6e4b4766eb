//! The values of labels that calls are told apart by: each a small number, so that a series is found without a search.

macro_rules! labels {
    ($(#[$about:meta])* $label:ident: $($(#[$of_value:meta])* $value:ident = $name:literal,)*) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $label {
            $($(#[$of_value])* #[doc = concat!("`", $name, "`.")] $value,)*
        }

        impl $label {
            /// All of them, in order of their numbers.
            pub const ALL: &[Self] = &[$(Self::$value),*];

            /// As it is exported.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$value => $name,)*
                }
            }

            pub(super) const fn index(self) -> usize {
                self as usize
            }
        }
    };
}

labels! {
    /// What a call asks for.
    Operation:
    Insert = "insert",
    InsertStream = "insert_stream",
    SegmentCluster = "segment_cluster",
    TopClusters = "top_clusters",
    Estimate = "estimate",
    Attend = "attend",
    Fetch = "fetch",
    /// Of shared memory alone: names get numbers.
    Open = "open",
    Create = "create",
    Get = "get",
    List = "list",
    Delete = "delete",
    Truncate = "truncate",
    Fork = "fork",
    Health = "health",
    Stats = "stats",
    Place = "place",
    Verify = "verify",
    Snapshot = "snapshot",
    Restore = "restore",
    ListSnapshots = "list_snapshots",
    DeleteSnapshot = "delete_snapshot",
    Describe = "describe",
    Config = "config",
    Events = "events",
    Activity = "activity",
    /// Nothing that there is.
    Unknown = "unknown",
}

labels! {
    /// How a call came.
    Transport:
    GrpcTcp = "grpc_tcp",
    GrpcUnix = "grpc_unix",
    Shm = "shm",
}

labels! {
    /// What a call or an entry came to: the documented codes.
    Outcome:
    Ok = "ok",
    /// Its caller has gone away, or its deadline has passed.
    Cancelled = "cancelled",
    InvalidArgument = "invalid_argument",
    NotFound = "not_found",
    AlreadyExists = "already_exists",
    OutOfRange = "out_of_range",
    ResourceExhausted = "resource_exhausted",
    FailedPrecondition = "failed_precondition",
    Unavailable = "unavailable",
    DataLoss = "data_loss",
    Internal = "internal",
    /// Of no call that there is.
    Unimplemented = "unimplemented",
}

labels! {
    /// Why a connection over shared memory has ended.
    ShmEnd:
    Client = "client",
    Breach = "breach",
    Stop = "stop",
}

impl Operation {
    /// That of a method of the contract, by its path.
    pub fn of_path(path: &str) -> Self {
        let mut parts = path.strip_prefix("/wavekv.v1.").unwrap_or("").split('/');
        let method = (parts.next(), parts.next());
        match method {
            (Some("DataService"), Some(method)) => match method {
                "Insert" => Self::Insert,
                "InsertStream" => Self::InsertStream,
                "SegmentCluster" => Self::SegmentCluster,
                "TopClusters" => Self::TopClusters,
                "Estimate" => Self::Estimate,
                "Attend" => Self::Attend,
                "Fetch" => Self::Fetch,
                _ => Self::Unknown,
            },
            (Some("CollectionsService"), Some(method)) => match method {
                "Create" => Self::Create,
                "Get" => Self::Get,
                "List" => Self::List,
                "Delete" => Self::Delete,
                "Truncate" => Self::Truncate,
                "Fork" => Self::Fork,
                _ => Self::Unknown,
            },
            (Some("AdminService"), Some(method)) => match method {
                "Health" => Self::Health,
                "Stats" => Self::Stats,
                "Place" => Self::Place,
                "Verify" => Self::Verify,
                "Snapshot" => Self::Snapshot,
                "Restore" => Self::Restore,
                "ListSnapshots" => Self::ListSnapshots,
                "DeleteSnapshot" => Self::DeleteSnapshot,
                "Describe" => Self::Describe,
                "Config" => Self::Config,
                "Events" => Self::Events,
                "Activity" => Self::Activity,
                _ => Self::Unknown,
            },
            _ => Self::Unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_the_place_among_all() {
        for (index, operation) in Operation::ALL.iter().enumerate() {
            assert_eq!(operation.index(), index);
        }
    }

    #[test]
    fn what_is_no_method_is_unknown() {
        for path in [
            "",
            "/",
            "/wavekv.v1.DataService",
            "/wavekv.v1.DataService/Stats",
            "/x/Insert",
        ] {
            assert_eq!(Operation::of_path(path), Operation::Unknown, "{path}");
        }
        let insert = Operation::of_path("/wavekv.v1.DataService/Insert");
        assert_eq!(insert, Operation::Insert);
    }
}
