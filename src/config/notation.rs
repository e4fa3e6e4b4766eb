//! How values are written in files, variables and flags.

use bytesize::ByteSize;

/// The size in the largest unit that is exact: "4GiB", "1500B". `ByteSize` itself rounds.
pub(super) fn exact(size: ByteSize) -> String {
    let bytes = size.as_u64();
    let units = [
        (1 << 40, "TiB"),
        (1 << 30, "GiB"),
        (1 << 20, "MiB"),
        (1 << 10, "KiB"),
    ];
    match units
        .iter()
        .find(|(unit, _)| bytes >= *unit && bytes.is_multiple_of(*unit))
    {
        Some((unit, name)) => format!("{}{name}", bytes / unit),
        None => format!("{bytes}B"),
    }
}

/// A size with a unit, or a number of bytes.
pub(super) mod size {
    use std::fmt;

    use bytesize::ByteSize;
    use serde::de::{Deserializer, Error, Unexpected, Visitor};
    use serde::ser::Serializer;

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
    pub(in crate::config) fn serialize<S: Serializer>(
        size: &ByteSize,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        to.serialize_str(&super::exact(*size))
    }

    pub(in crate::config) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<ByteSize, D::Error> {
        from.deserialize_any(Size)
    }

    struct Size;

    impl Visitor<'_> for Size {
        type Value = ByteSize;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a size such as \"64MiB\"")
        }

        fn visit_str<E: Error>(self, text: &str) -> Result<ByteSize, E> {
            text.parse()
                .map_err(|_| E::invalid_value(Unexpected::Str(text), &self))
        }

        fn visit_u64<E: Error>(self, bytes: u64) -> Result<ByteSize, E> {
            Ok(ByteSize::b(bytes))
        }

        fn visit_i64<E: Error>(self, bytes: i64) -> Result<ByteSize, E> {
            let bytes = u64::try_from(bytes);
            bytes
                .map(ByteSize::b)
                .map_err(|_| E::invalid_value(Unexpected::Other("a negative number"), &self))
        }
    }
}

/// Numbers with commas between them, or "" for none.
pub(super) mod numbers {
    use serde::de::{Deserialize, Deserializer, Error, Unexpected};
    use serde::ser::Serializer;

    pub(in crate::config) fn serialize<S: Serializer>(
        numbers: &[u32],
        to: S,
    ) -> Result<S::Ok, S::Error> {
        let texts: Vec<String> = numbers.iter().map(ToString::to_string).collect();
        to.serialize_str(&texts.join(","))
    }

    pub(in crate::config) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Vec<u32>, D::Error> {
        let text = String::deserialize(from)?;
        if text.is_empty() {
            return Ok(vec![]);
        }
        let numbers = text.split(',').map(|number| number.trim().parse());
        let expected = "numbers such as \"1000,1001\", or \"\" for none";
        numbers
            .collect::<Result<_, _>>()
            .map_err(|_| D::Error::invalid_value(Unexpected::Str(&text), &expected))
    }
}

/// An IP address and port, or "" for none.
pub(super) mod optional_address {
    use std::net::SocketAddr;

    use serde::de::{Deserialize, Deserializer, Error, Unexpected};
    use serde::ser::Serializer;

    #[expect(clippy::ref_option, reason = "serde calls it so")]
    pub(in crate::config) fn serialize<S: Serializer>(
        address: &Option<SocketAddr>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        match address {
            Some(address) => to.collect_str(address),
            None => to.serialize_str(""),
        }
    }

    pub(in crate::config) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Option<SocketAddr>, D::Error> {
        let text = String::deserialize(from)?;
        if text.is_empty() {
            return Ok(None);
        }
        let expected = "an IP address and port such as \"127.0.0.1:7600\", or \"\" for none";
        text.parse()
            .map(Some)
            .map_err(|_| D::Error::invalid_value(Unexpected::Str(&text), &expected))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_written_exactly() {
        for (bytes, text) in [
            (0, "0B"),
            (1 << 32, "4GiB"),
            (1_234_567_890, "1234567890B"),
            (3 << 10, "3KiB"),
        ] {
            assert_eq!(exact(ByteSize::b(bytes)), text);
            assert_eq!(text.parse(), Ok(ByteSize::b(bytes)));
        }
    }
}
