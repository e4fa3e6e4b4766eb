//! What whoever looks has chosen to see.

/// By which the collections are in order, the largest first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Column {
    Attends,
    Inserts,
    Tokens,
    #[default]
    Read,
}

impl Column {
    /// In the order that they are shown in.
    const ALL: [Self; 4] = [Self::Attends, Self::Inserts, Self::Tokens, Self::Read];

    /// Of the columns with numbers, its place.
    pub(super) fn place(self) -> usize {
        self as usize
    }
}

/// Kept from one picture to the next.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Controls {
    /// The picture stays as it is.
    pub(crate) is_paused: bool,
    pub(crate) shows_help: bool,
    pub(crate) sort: Column,
    /// Collections that are scrolled past.
    pub(crate) passed: usize,
}

impl Controls {
    /// Has the collections be in order of another column, so many further on.
    pub(crate) fn sort_by(&mut self, further: isize) {
        let columns = Column::ALL.len() as isize;
        let place = (self.sort.place() as isize + further).rem_euclid(columns);
        self.sort = Column::ALL[place as usize];
        self.passed = 0;
    }

    /// Scrolls within so many collections.
    pub(crate) fn scroll(&mut self, further: isize, collections: usize) {
        let last = collections.saturating_sub(1);
        self.passed = self.passed.saturating_add_signed(further).min(last);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_go_round_and_scrolling_ends_at_the_ends() {
        let mut controls = Controls::default();
        controls.sort_by(1);
        assert_eq!(controls.sort, Column::Attends);
        controls.sort_by(-1);
        assert_eq!(controls.sort, Column::Read);
        for (place, column) in Column::ALL.into_iter().enumerate() {
            assert_eq!(column.place(), place);
        }
        controls.scroll(-1, 3);
        assert_eq!(controls.passed, 0);
        controls.scroll(9, 3);
        assert_eq!(controls.passed, 2);
        controls.scroll(1, 0);
        assert_eq!(controls.passed, 0);
    }
}
