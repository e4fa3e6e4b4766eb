//! Which rows are in which cluster.

/// Clusters, each a list of rows; similar ones stand next to each other.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::index) struct Clusters {
    rows: Vec<u32>,
    /// One past the last of each cluster in `rows`.
    ends: Vec<u32>,
}

impl Clusters {
    /// How many.
    pub(in crate::index) fn len(&self) -> usize {
        self.ends.len()
    }

    /// The rows of all clusters, cluster after cluster.
    pub(in crate::index) fn rows(&self) -> &[u32] {
        &self.rows
    }

    /// The rows of each cluster; none is empty.
    pub(in crate::index) fn iter(&self) -> impl Iterator<Item = &[u32]> {
        self.bounds()
            .map(|(start, end)| &self.rows[start as usize..end as usize])
    }

    /// The first of `rows` of each cluster, and one past the last.
    pub(in crate::index) fn bounds(&self) -> impl Iterator<Item = (u32, u32)> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(self.ends.iter().copied())
    }

    pub(super) fn clear(&mut self) {
        self.rows.clear();
        self.ends.clear();
    }

    /// Takes a cluster, unless it is empty.
    pub(super) fn push(&mut self, rows: &[u32]) {
        if !rows.is_empty() {
            self.rows.extend_from_slice(rows);
            self.ends.push(self.rows.len() as u32);
        }
    }

    /// Row `r` goes to the `clusters[r]`-th of `count` clusters; those without rows are left out, the rows of the others
    /// ascend.
    pub(super) fn assign(&mut self, clusters: &[u32], count: usize) {
        self.ends.clear();
        self.ends.resize(count, 0);
        for cluster in clusters {
            self.ends[*cluster as usize] += 1;
        }
        let mut start = 0;
        for end in &mut self.ends {
            (start, *end) = (start + *end, start);
        }
        self.rows.clear();
        self.rows.resize(clusters.len(), 0);
        for (row, cluster) in (0..).zip(clusters) {
            let next = &mut self.ends[*cluster as usize];
            self.rows[*next as usize] = row;
            *next += 1;
        }
        self.ends.dedup();
        if self.ends.first() == Some(&0) {
            self.ends.remove(0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_go_to_their_clusters_in_order_and_empty_ones_are_left_out() {
        let mut clusters = Clusters::default();
        clusters.push(&[9]);
        clusters.assign(&[3, 1, 3, 3, 1], 6);
        assert_eq!(clusters.rows(), [1, 4, 0, 2, 3]);
        assert_eq!(clusters.len(), 2);
        assert!(clusters.iter().eq([&[1, 4][..], &[0, 2, 3]]));
        assert!(clusters.bounds().eq([(0, 2), (2, 5)]));
        clusters.push(&[]);
        clusters.push(&[7, 8]);
        assert_eq!(clusters.iter().last(), Some(&[7, 8][..]));
        clusters.assign(&[], 3);
        assert_eq!((clusters.len(), clusters.rows().len()), (0, 0));
    }
}
