//! The modes of Attend that verbs compare when nothing else is asked for.

use wavekv_client::Mode;

/// What `eval` compares.
pub(crate) const COMPARED: [Mode; 6] = [
    Mode::Exact,
    Mode::RetroInfer,
    Mode::Budget {
        retrieve: 0.018,
        estimate: None,
    },
    Mode::Adaptive { target: 0.10 },
    Mode::Adaptive { target: 0.05 },
    Mode::Adaptive { target: 0.02 },
];

/// What `bench` measures.
pub(crate) const MEASURED: [Mode; 7] = [
    Mode::Exact,
    Mode::RetroInfer,
    Mode::Adaptive { target: 0.20 },
    Mode::Adaptive { target: 0.10 },
    Mode::Adaptive { target: 0.05 },
    Mode::Adaptive { target: 0.02 },
    Mode::Adaptive { target: 0.01 },
];
