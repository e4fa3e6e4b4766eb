//! The sources of the kernels, which are part of the program.

use std::fmt::Write as _;

/// A source: one translation unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Source {
    /// `assign.cu`.
    Assign,
    /// `attend.cu`.
    Attend,
    /// `cache.cu`.
    Cache,
    /// `code.cu`.
    Code,
    /// `gather.cu`.
    Gather,
    /// `judge.cu`.
    Judge,
    /// `merge.cu`.
    Merge,
    /// `scan.cu`.
    Scan,
    /// `select.cu`.
    Select,
}

macro_rules! file {
    ($name:literal) => {
        ($name, include_str!(concat!("../../cuda/", $name)))
    };
}

const HEADERS: [(&str, &str); 9] = [
    file!("any.cuh"),
    file!("attend.cuh"),
    file!("block.cuh"),
    file!("device.cuh"),
    file!("estimate.cuh"),
    file!("ladder.cuh"),
    file!("product.cuh"),
    file!("tables.cuh"),
    file!("weigh.cuh"),
];

impl Source {
    /// Every source.
    pub const ALL: [Self; 9] = [
        Self::Assign,
        Self::Attend,
        Self::Cache,
        Self::Code,
        Self::Gather,
        Self::Judge,
        Self::Merge,
        Self::Scan,
        Self::Select,
    ];

    const fn file(self) -> (&'static str, &'static str) {
        match self {
            Self::Assign => file!("assign.cu"),
            Self::Attend => file!("attend.cu"),
            Self::Cache => file!("cache.cu"),
            Self::Code => file!("code.cu"),
            Self::Gather => file!("gather.cu"),
            Self::Judge => file!("judge.cu"),
            Self::Merge => file!("merge.cu"),
            Self::Scan => file!("scan.cu"),
            Self::Select => file!("select.cu"),
        }
    }

    /// The name of its file.
    pub const fn name(self) -> &'static str {
        self.file().0
    }

    /// Its text with all that it includes in place, each once; compilers name the files' own lines.
    pub fn text(self) -> String {
        let (name, text) = self.file();
        let mut all = String::new();
        expand(name, text, &mut vec![], &mut all);
        all
    }

    /// What the compiled source is kept under, for an architecture: another text is another name. Not for secrets.
    pub fn cache_key(self, architecture: &str) -> String {
        let mut hash = Fnv::new();
        hash.add(architecture.as_bytes());
        hash.add(&[0]);
        hash.add(self.text().as_bytes());
        let stem = self.name().trim_end_matches(".cu");
        format!("{stem}-{architecture}-{:032x}", hash.0)
    }
}

fn expand(name: &str, text: &str, included: &mut Vec<&'static str>, to: &mut String) {
    let _ = writeln!(to, "#line 1 \"{name}\"");
    for (line, text) in text.lines().enumerate() {
        let header = text
            .strip_prefix("#include \"")
            .and_then(|rest| rest.strip_suffix('"'))
            .and_then(|wanted| HEADERS.iter().find(|header| header.0 == wanted));
        match header {
            Some((header, _)) if included.contains(header) => to.push('\n'),
            Some((header, text)) => {
                included.push(header);
                expand(header, text, included, to);
                let _ = writeln!(to, "#line {} \"{name}\"", line + 2);
            }
            None if text == "#pragma once" => to.push('\n'),
            None => {
                to.push_str(text);
                to.push('\n');
            }
        }
    }
}

/// FNV-1a of 128 bits.
struct Fnv(u128);

impl Fnv {
    const fn new() -> Self {
        Self(0x6c62_272e_07bb_0142_62b8_2175_6295_c58d)
    }

    fn add(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u128::from(*byte))
                .wrapping_mul(0x0000_0000_0100_0000_0000_0000_0000_013b);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_includes_nothing_any_more() {
        for source in Source::ALL {
            let text = source.text();
            assert!(!text.contains("#include"), "{}", source.name());
            assert_eq!(
                text.matches("struct Task {").count(),
                1,
                "{}",
                source.name()
            );
        }
    }

    #[test]
    fn a_key_names_source_and_architecture() {
        let keys: Vec<String> = Source::ALL
            .iter()
            .flat_map(|source| {
                ["sm_80", "sm_90"].map(|architecture| source.cache_key(architecture))
            })
            .collect();
        let mut distinct = keys.clone();
        distinct.sort();
        distinct.dedup();
        assert_eq!(distinct.len(), keys.len());
        assert_eq!(Source::Assign.cache_key("sm_80"), keys[0]);
    }
}
