//! Arguments that do not fit each other.

use super::{Queries, Stored};

/// Arguments that do not fit each other.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field} is {found}, expected {expected}")]
pub struct ShapeError {
    /// What is wrong.
    pub field: &'static str,
    /// Its value: a length in elements or bytes, or a position.
    pub found: u64,
    /// What it should be.
    pub expected: String,
}

/// Whether every length fits the shapes, and every position is among the stored tokens.
pub(super) fn check(stored: &Stored<'_>, queries: &Queries<'_>) -> Result<(), ShapeError> {
    let dims = [stored.kv_heads, stored.head_dim, stored.value_dim];
    check_heads(queries, dims)?;
    check_stored(stored)?;
    check_queries(queries, stored.head_dim)?;
    check_positions(queries, stored.tokens)
}

/// `[kv_heads, head_dim, value_dim]` against the query heads.
pub(super) fn check_heads(queries: &Queries<'_>, dims: [usize; 3]) -> Result<(), ShapeError> {
    let [kv_heads, head_dim, value_dim] = dims;
    for (field, number) in [
        ("kv_heads", kv_heads),
        ("head_dim", head_dim),
        ("value_dim", value_dim),
        ("q_heads", queries.q_heads),
    ] {
        if number == 0 {
            return Err(ShapeError {
                field,
                found: 0,
                expected: "at least 1".into(),
            });
        }
    }
    if queries.q_heads.is_multiple_of(kv_heads) {
        return Ok(());
    }
    Err(ShapeError {
        field: "q_heads",
        found: queries.q_heads as u64,
        expected: format!("a multiple of {kv_heads} KV heads"),
    })
}

pub(super) fn check_stored(stored: &Stored<'_>) -> Result<(), ShapeError> {
    let (rows, size) = ([stored.kv_heads, stored.tokens], stored.dtype.size());
    for (field, found, dim) in [
        ("k bytes", stored.k.len(), stored.head_dim),
        ("v bytes", stored.v.len(), stored.value_dim),
    ] {
        length(field, found, &[rows[0], rows[1], dim, size])?;
    }
    Ok(())
}

pub(super) fn check_queries(queries: &Queries<'_>, head_dim: usize) -> Result<(), ShapeError> {
    let factors = [queries.positions.len(), queries.q_heads, head_dim];
    length("q elements", queries.q.len(), &factors)
}

pub(super) fn check_positions(queries: &Queries<'_>, tokens: usize) -> Result<(), ShapeError> {
    queries
        .positions
        .iter()
        .try_for_each(|&position| below("position", position as usize, tokens))
}

fn length(field: &'static str, found: usize, factors: &[usize]) -> Result<(), ShapeError> {
    let expected = factors
        .iter()
        .try_fold(1_usize, |product, &factor| product.checked_mul(factor));
    if expected == Some(found) {
        return Ok(());
    }
    let product: Vec<String> = factors.iter().map(usize::to_string).collect();
    Err(ShapeError {
        field,
        found: found as u64,
        expected: product.join(" * "),
    })
}

pub(super) fn below(field: &'static str, found: usize, limit: usize) -> Result<(), ShapeError> {
    if found < limit {
        return Ok(());
    }
    Err(ShapeError {
        field,
        found: found as u64,
        expected: format!("below {limit}"),
    })
}
