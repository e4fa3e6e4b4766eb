//! What a file says of itself, so that one in another's place is noticed.

/// Whose segment it is. A reader knows all of it already and checks that the file says the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Label {
    /// Name of the collection, for people: a collection that is named otherwise later keeps its files.
    pub collection: String,
    /// Which collection of the name.
    pub generation: u64,
    /// Layer of the collection.
    pub layer: u32,
    /// Number of the segment, never used twice in a data directory.
    pub segment: u64,
    /// First position.
    pub start: u32,
    /// One past the last position.
    pub end: u32,
    /// What the columns mean: a number that the giver of the schema changes with it.
    pub meaning: u32,
}

impl Label {
    /// The entries of the file's metadata, in order of their keys.
    pub(super) fn entries(&self) -> [(&'static str, String); 7] {
        [
            ("wavekv.collection", self.collection.clone()),
            ("wavekv.end", self.end.to_string()),
            ("wavekv.generation", self.generation.to_string()),
            ("wavekv.layer", self.layer.to_string()),
            ("wavekv.meaning", self.meaning.to_string()),
            ("wavekv.segment", self.segment.to_string()),
            ("wavekv.start", self.start.to_string()),
        ]
    }
}
