//! Every key of the catalog. Numbers are big-endian, so that keys are in the order of their numbers and everything of a
//! collection, or of a layer, is one range.

use super::rows::Digest;

/// A column family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Family {
    Collections,
    Segments,
    Tails,
    Contents,
}

impl Family {
    pub(crate) const ALL: [Self; 4] = [
        Self::Collections,
        Self::Segments,
        Self::Tails,
        Self::Contents,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Collections => "collections",
            Self::Segments => "segments",
            Self::Tails => "tails",
            Self::Contents => "contents",
        }
    }
}

/// A key with its family.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key {
    family: Family,
    bytes: Vec<u8>,
}

/// What a row of the family `tails` holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Place {
    /// The first tokens of the layer, which no segment ever has.
    Sink,
    /// Tokens from this position on.
    Run(u32),
}

impl Place {
    /// The position of its first token.
    pub(crate) fn start(self) -> u32 {
        match self {
            Self::Sink => 0,
            Self::Run(start) => start,
        }
    }
}

const SINK: u8 = 0;
const RUN: u8 = 1;

impl Key {
    pub(crate) fn collection(generation: u64) -> Self {
        Self {
            family: Family::Collections,
            bytes: of_collection(generation),
        }
    }

    pub(crate) fn segment(generation: u64, layer: u32, segment: u64) -> Self {
        let mut bytes = of_layer(generation, layer);
        bytes.extend_from_slice(&segment.to_be_bytes());
        Self {
            family: Family::Segments,
            bytes,
        }
    }

    pub(crate) fn tail(generation: u64, layer: u32, place: Place) -> Self {
        let mut bytes = of_layer(generation, layer);
        bytes.push(match place {
            Place::Sink => SINK,
            Place::Run(_) => RUN,
        });
        bytes.extend_from_slice(&place.start().to_be_bytes());
        Self {
            family: Family::Tails,
            bytes,
        }
    }

    /// One that was found.
    pub(crate) fn of_bytes(family: Family, bytes: &[u8]) -> Self {
        let bytes = bytes.to_vec();
        Self { family, bytes }
    }

    /// That a segment has a content.
    pub(crate) fn content(digest: &Digest, generation: u64, layer: u32, segment: u64) -> Self {
        let of_segment = Self::segment(generation, layer, segment);
        Self {
            family: Family::Contents,
            bytes: [digest.as_slice(), &of_segment.bytes].concat(),
        }
    }

    pub(crate) fn family(&self) -> Family {
        self.family
    }

    /// Of the key itself, which a row has beside its value.
    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// The beginning of every key of a collection.
pub(crate) fn of_collection(generation: u64) -> Vec<u8> {
    generation.to_be_bytes().to_vec()
}

/// The beginning of every key of a layer.
pub(crate) fn of_layer(generation: u64, layer: u32) -> Vec<u8> {
    let mut bytes = of_collection(generation);
    bytes.extend_from_slice(&layer.to_be_bytes());
    bytes
}

/// The generation of a key of `collections`.
pub(crate) fn generation(key: &[u8]) -> Option<u64> {
    Some(u64::from_be_bytes(key.try_into().ok()?))
}

/// Layer and segment of a key of `segments`.
pub(crate) fn segment(key: &[u8]) -> Option<(u32, u64)> {
    let (layer, segment) = after_generation(key)?.split_first_chunk()?;
    let segment = segment.try_into().ok()?;
    Some((u32::from_be_bytes(*layer), u64::from_be_bytes(segment)))
}

/// Bytes of the key that says which content a segment has, when one does.
pub(crate) fn content_bytes(digest: Option<&Digest>) -> u64 {
    digest.map_or(0, |digest| Key::content(digest, 0, 0, 0).len() as u64)
}

/// Generation, layer and segment of a key of `contents`.
pub(crate) fn content(key: &[u8]) -> Option<(u64, u32, u64)> {
    let of_segment = key.get(size_of::<Digest>()..)?;
    let (generation, _) = of_segment.split_first_chunk()?;
    let (layer, number) = segment(of_segment)?;
    Some((u64::from_be_bytes(*generation), layer, number))
}

/// Layer and place of a key of `tails`.
pub(crate) fn tail(key: &[u8]) -> Option<(u32, Place)> {
    let (layer, place) = after_generation(key)?.split_first_chunk()?;
    let (kind, start) = place.split_first()?;
    let start = u32::from_be_bytes(start.try_into().ok()?);
    let place = match *kind {
        SINK => Place::Sink,
        RUN => Place::Run(start),
        _ => return None,
    };
    Some((u32::from_be_bytes(*layer), place))
}

/// The first key after all that begin with `prefix`; `None` when there is no end to them.
pub(crate) fn end_of(prefix: &[u8]) -> Option<Vec<u8>> {
    let last = prefix.iter().rposition(|byte| *byte < u8::MAX)?;
    let mut end = prefix[..=last].to_vec();
    end[last] += 1;
    Some(end)
}

fn after_generation(key: &[u8]) -> Option<&[u8]> {
    key.get(size_of::<u64>()..)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_key_gives_its_numbers_back_and_is_in_the_range_of_its_layer(
            generation: u64, layer: u32, number: u64, sink: bool,
        ) {
            let place = if sink { Place::Sink } else { Place::Run(number as u32) };
            let keys = [
                Key::segment(generation, layer, number),
                Key::tail(generation, layer, place),
            ];
            prop_assert_eq!(segment(keys[0].bytes()), Some((layer, number)));
            prop_assert_eq!(tail(keys[1].bytes()), Some((layer, place)));
            for key in keys {
                prop_assert!(key.bytes().starts_with(&of_layer(generation, layer)));
                prop_assert!(key.bytes().starts_with(&of_collection(generation)));
            }
            let content = Key::content(&[7; 32], generation, layer, number);
            prop_assert_eq!(super::content(content.bytes()), Some((generation, layer, number)));
            prop_assert_eq!(super::generation(Key::collection(generation).bytes()), Some(generation));
        }

        #[test]
        fn the_end_of_a_prefix_is_after_its_keys_and_before_the_next(
            prefix in prop::collection::vec(any::<u8>(), 1..6), rest in prop::collection::vec(any::<u8>(), 0..4),
        ) {
            let key = [&prefix[..], &rest[..]].concat();
            match end_of(&prefix) {
                Some(end) => {
                    prop_assert!(key < end);
                    prop_assert!(!end.starts_with(&prefix));
                }
                None => prop_assert!(prefix.iter().all(|byte| *byte == u8::MAX)),
            }
        }

        #[test]
        fn runs_are_in_order_of_position_after_the_sink(a: u32, b: u32) {
            let key = |place| Key::tail(1, 2, place).bytes().to_vec();
            prop_assert_eq!(a.cmp(&b), key(Place::Run(a)).cmp(&key(Place::Run(b))));
            prop_assert!(key(Place::Sink) < key(Place::Run(a)));
        }
    }

    #[test]
    fn what_is_no_key_has_no_numbers() {
        assert_eq!(generation(&[0; 7]), None);
        assert_eq!(segment(&[0; 19]), None);
        assert_eq!(tail(&[2; 17]), None);
        assert_eq!(tail(&[]), None);
    }
}
