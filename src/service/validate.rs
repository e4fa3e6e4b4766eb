//! From messages to checked values. Every refusal names the field as the caller spelt it.

use bytes::Bytes;
use half::f16;
use wavekv_proto::v1;

use crate::collection::Placement;
use crate::index::kinds;
use crate::model::{
    AttendQuery, ClusterAddress, ClusterId, ClusterQuery, CollectionName, Dtype, Durability,
    Generation, Geometry, IndexKind, IndexParameters, Invalid, KvHead, LayerKind, Mode, NewTokens,
    SegmentId, TokenRange, limits,
};
use crate::telemetry::events::EventLevel;

/// Entries of a page when the request does not say.
const PAGE_SIZE: u32 = 100;

/// Collections of which an answer tells what was done with them.
const MOST_BUSY: u32 = 100;

/// The collection that a request names.
///
/// # Errors
/// [`Invalid`] when it is missing or no name.
pub fn collection(
    given: Option<&v1::CollectionRef>,
) -> Result<(CollectionName, Option<Generation>), Invalid> {
    let given = present("collection", given)?;
    let name = CollectionName::new(&given.namespace, &given.name)
        .map_err(|invalid| invalid.within("collection"))?;
    Ok((name, given.generation.map(Generation)))
}

/// The name of a collection that is to be made, if the request gives one.
///
/// # Errors
/// [`Invalid`] when it is no name, or comes with a generation, which the daemon chooses.
pub fn collection_to_be(
    given: Option<&v1::CollectionRef>,
) -> Result<Option<CollectionName>, Invalid> {
    let Some(given) = given else {
        return Ok(None);
    };
    let (name, generation) = collection(Some(given))?;
    match generation {
        None => Ok(Some(name)),
        Some(generation) => Err(Invalid::new(
            "collection.generation",
            generation,
            "it to be unset: the daemon chooses it",
        )),
    }
}

/// How many entries of a listing a page has, as `field` says; 0 where the request does not say.
///
/// # Errors
/// [`Invalid`] when they are too many.
pub fn page_size(field: &str, given: u32) -> Result<usize, Invalid> {
    let size = if given == 0 { PAGE_SIZE } else { given };
    Ok(Invalid::unless_within(field, size, limits::PAGE_SIZE)? as usize)
}

/// How many entries a batch has.
///
/// # Errors
/// [`Invalid`] when there are none or too many.
pub fn batch(field: &str, entries: usize) -> Result<(), Invalid> {
    Invalid::unless_within(
        &format!("the length of {field}"),
        entries,
        limits::BATCH_ENTRIES,
    )?;
    Ok(())
}

/// A geometry within the limits.
///
/// # Errors
/// [`Invalid`] naming the first field that is not.
pub fn geometry(given: Option<&v1::Geometry>) -> Result<Geometry, Invalid> {
    let given = present("geometry", given)?;
    let kind = |layer: &v1::LayerKind| match layer.sliding_window {
        0 => LayerKind::Full,
        window => LayerKind::Sliding { window },
    };
    let geometry = Geometry {
        fingerprint: given.fingerprint.clone(),
        layers: given.layers.iter().map(kind).collect(),
        q_heads: given.q_heads,
        kv_heads: given.kv_heads,
        head_dim: given.head_dim,
        value_dim: given.value_dim,
        dtype: dtype("geometry.dtype", given.dtype)?,
        scale: given.scale,
        // Minus zero is zero.
        softcap: (given.softcap != 0.0).then_some(given.softcap),
    };
    geometry
        .checked()
        .map_err(|invalid| invalid.within("geometry"))
}

/// The parameters that a request gives for a geometry, over those that hold otherwise.
///
/// # Errors
/// [`Invalid`] naming the first that is out of its range, or the kind when the daemon is not built with it or the geometry
/// wants another.
pub fn parameters(
    given: Option<&v1::IndexParameters>,
    geometry: &Geometry,
    mut otherwise: IndexParameters,
) -> Result<IndexParameters, Invalid> {
    if !geometry.suits(otherwise.kind) {
        otherwise.kind = IndexKind::Flat;
    }
    let Some(given) = given else {
        return Ok(otherwise.of_kind(otherwise.kind));
    };
    let kind = index_kind(given.kind, otherwise.kind)?;
    if !geometry.suits(kind) {
        let expected = "flat, since geometry.softcap is set: no other kind knows capped scores";
        return Err(Invalid::new("index.kind", kind.name(), expected));
    }
    let otherwise = otherwise.of_kind(kind);
    let parameters = IndexParameters {
        kind: otherwise.kind,
        sink_tokens: given.sink_tokens.unwrap_or(otherwise.sink_tokens),
        recent_tokens: given.recent_tokens.unwrap_or(otherwise.recent_tokens),
        segment_tokens: given.segment_tokens.unwrap_or(otherwise.segment_tokens),
        decode_segment_tokens: given
            .decode_segment_tokens
            .unwrap_or(otherwise.decode_segment_tokens),
        cluster_tokens: given.cluster_tokens.unwrap_or(otherwise.cluster_tokens),
        kmeans_iterations: given
            .kmeans_iterations
            .unwrap_or(otherwise.kmeans_iterations),
        seed: given.seed.unwrap_or(otherwise.seed),
    };
    parameters
        .checked()
        .and_then(kinds::available)
        .map_err(|invalid| invalid.within("index"))
}

/// The durability that a request gives, or the one that holds otherwise.
///
/// # Errors
/// [`Invalid`] when there is no such durability.
pub fn durability(given: i32, otherwise: Durability) -> Result<Durability, Invalid> {
    Ok(chosen_durability(given)?.unwrap_or(otherwise))
}

/// The durability that a request gives, if it does.
///
/// # Errors
/// [`Invalid`] when there is no such durability.
pub fn chosen_durability(given: i32) -> Result<Option<Durability>, Invalid> {
    match v1::Durability::try_from(given) {
        Ok(v1::Durability::Unspecified) => Ok(None),
        Ok(v1::Durability::None) => Ok(Some(Durability::None)),
        Ok(v1::Durability::Process) => Ok(Some(Durability::Process)),
        Ok(v1::Durability::Power) => Ok(Some(Durability::Power)),
        Err(_) => Err(Invalid::new(
            "durability",
            given,
            "0 (unspecified), 1 (none), 2 (process) or 3 (power)",
        )),
    }
}

/// How much an event must matter.
///
/// # Errors
/// [`Invalid`] when there is no such level.
pub fn event_level(given: i32) -> Result<EventLevel, Invalid> {
    match v1::EventLevel::try_from(given) {
        Ok(v1::EventLevel::Unspecified | v1::EventLevel::Info) => Ok(EventLevel::Info),
        Ok(v1::EventLevel::Warn) => Ok(EventLevel::Warn),
        Ok(v1::EventLevel::Error) => Ok(EventLevel::Error),
        Err(_) => Err(Invalid::new(
            "min_level",
            given,
            "0 (unspecified), 1 (info), 2 (warn) or 3 (error)",
        )),
    }
}

/// Of how many collections an answer tells what was done with them.
///
/// # Errors
/// [`Invalid`] when they are too many.
pub fn busiest(given: u32) -> Result<usize, Invalid> {
    if given > MOST_BUSY {
        let expected = format!("at most {MOST_BUSY}");
        return Err(Invalid::new("busiest", given, expected));
    }
    Ok(given as usize)
}

/// Where K, V and codes are to be.
///
/// # Errors
/// [`Invalid`] when it is none of those that there are.
pub fn placement(given: i32) -> Result<Placement, Invalid> {
    match v1::Placement::try_from(given) {
        Ok(v1::Placement::Promoted) => Ok(Placement::Promoted),
        Ok(v1::Placement::Pinned) => Ok(Placement::Pinned),
        Ok(v1::Placement::Unpinned) => Ok(Placement::Unpinned),
        Ok(v1::Placement::Demoted) => Ok(Placement::Demoted),
        Ok(v1::Placement::Unspecified) | Err(_) => Err(Invalid::new(
            "placement",
            given,
            "1 (promoted), 2 (pinned), 3 (unpinned) or 4 (demoted)",
        )),
    }
}

/// K and V to insert into a layer of this geometry.
///
/// # Errors
/// [`Invalid`] when a tensor is missing or of another shape or dtype, or there are too many tokens.
pub fn new_tokens(given: &v1::InsertEntry, geometry: &Geometry) -> Result<NewTokens, Invalid> {
    let k = present("k", given.k.as_ref())?;
    let tokens = k.shape.first().copied().unwrap_or(0);
    let keys = tensor(
        "k",
        k,
        geometry.dtype,
        [tokens, geometry.kv_heads, geometry.head_dim],
    )?;
    Invalid::unless_within("k.shape[0], the tokens,", tokens, limits::INSERT_TOKENS)?;
    let v = present("v", given.v.as_ref())?;
    let values = tensor(
        "v",
        v,
        geometry.dtype,
        [tokens, geometry.kv_heads, geometry.value_dim],
    )?;
    Ok(NewTokens {
        start: given.start_position,
        tokens,
        keys,
        values,
    })
}

/// K and V that an attend inserts first; the layer is the attend's.
///
/// # Errors
/// [`Invalid`] as [`new_tokens`], or when the insert names a layer of its own.
pub fn step_tokens(given: &v1::InsertEntry, geometry: &Geometry) -> Result<NewTokens, Invalid> {
    if given.layer.is_some() {
        let expected = "it to be unset: the insert goes to the entry's own layer";
        return Err(Invalid::new("insert.layer", "set", expected));
    }
    new_tokens(given, geometry).map_err(|invalid| invalid.within("insert"))
}

/// The query tokens of an attend.
///
/// # Errors
/// [`Invalid`] when q or the mode is not what the geometry and the limits allow, or has NaN, infinity or huge numbers.
pub fn attend_query(
    given: &v1::AttendEntry,
    geometry: &Geometry,
    otherwise: Mode,
) -> Result<AttendQuery, Invalid> {
    let q = present("q", given.q.as_ref())?;
    let tokens = q.shape.first().copied().unwrap_or(0);
    let queries = queries(q, geometry, tokens)?;
    Invalid::unless_within("q.shape[0], the tokens,", tokens, limits::QUERY_TOKENS)?;
    let positions = given.positions.clone();
    if !positions.is_empty() && positions.len() != tokens as usize {
        let expected = format!("{tokens} (one a query token) or 0");
        return Err(Invalid::new(
            "the length of positions",
            positions.len(),
            expected,
        ));
    }
    let positions = (!positions.is_empty()).then_some(positions);
    Ok(AttendQuery {
        queries,
        positions,
        mode: mode(given.mode.as_ref(), otherwise)?,
        audit: given.audit,
    })
}

/// One query token.
///
/// # Errors
/// [`Invalid`] when q is not `[1, q_heads, head_dim]`, or has NaN, infinity or huge numbers.
pub fn cluster_query(
    q: Option<&v1::Tensor>,
    position: Option<u32>,
    geometry: &Geometry,
) -> Result<ClusterQuery, Invalid> {
    let queries = queries(present("q", q)?, geometry, 1)?;
    Ok(ClusterQuery { queries, position })
}

/// The range of a fetch.
///
/// # Errors
/// [`Invalid`] when it is inverted or too long.
pub fn fetch_range(given: v1::TokenRange) -> Result<TokenRange, Invalid> {
    if given.end < given.start {
        let expected = format!("at least range.start ({})", given.start);
        return Err(Invalid::new("range.end", given.end, expected));
    }
    let range = TokenRange::new(given.start, given.end);
    Invalid::unless_within(
        "range.end - range.start",
        range.tokens(),
        limits::FETCH_TOKENS,
    )?;
    Ok(range)
}

/// The name of a cluster; whether there is one, the collection knows.
pub fn cluster(given: v1::ClusterRef) -> ClusterAddress {
    ClusterAddress {
        segment: SegmentId(given.segment),
        head: KvHead(given.kv_head),
        cluster: ClusterId(given.cluster),
    }
}

/// A field that must be there.
///
/// # Errors
/// [`Invalid`] when it is not.
pub fn present<T>(field: &str, given: Option<T>) -> Result<T, Invalid> {
    given.ok_or_else(|| Invalid::new(field, "missing", "it to be set"))
}

fn mode(given: Option<&v1::AttendMode>, otherwise: Mode) -> Result<Mode, Invalid> {
    let Some(given) = given else {
        return Ok(otherwise);
    };
    match present("mode.mode", given.mode)? {
        v1::attend_mode::Mode::Exact(v1::ExactMode {}) => Ok(Mode::Exact),
        v1::attend_mode::Mode::Budget(v1::BudgetMode {
            retrieve_share,
            estimate_share,
        }) => Mode::budget(retrieve_share, estimate_share.unwrap_or(1.0)),
        v1::attend_mode::Mode::Adaptive(v1::AdaptiveMode { target_error }) => {
            Mode::adaptive(target_error)
        }
        v1::attend_mode::Mode::Retroinfer(v1::RetroInferPreset {}) => Ok(Mode::RETROINFER),
    }
}

fn index_kind(given: i32, otherwise: IndexKind) -> Result<IndexKind, Invalid> {
    match v1::IndexKind::try_from(given) {
        Ok(v1::IndexKind::Unspecified) => Ok(otherwise),
        Ok(v1::IndexKind::Wave) => Ok(IndexKind::Wave),
        Ok(v1::IndexKind::Flat) => Ok(IndexKind::Flat),
        Ok(v1::IndexKind::Ivf) => Ok(IndexKind::Ivf),
        Ok(v1::IndexKind::Hnsw) => Ok(IndexKind::Hnsw),
        Err(_) => {
            let expected = "0 (the daemon's default), 1 (wave), 2 (flat), 3 (ivf) or 4 (hnsw)";
            Err(Invalid::new("index.kind", given, expected))
        }
    }
}

fn dtype(field: &str, given: i32) -> Result<Dtype, Invalid> {
    match v1::Dtype::try_from(given) {
        Ok(v1::Dtype::Bf16) => Ok(Dtype::Bf16),
        Ok(v1::Dtype::F16) => Ok(Dtype::F16),
        Ok(v1::Dtype::F32) => Ok(Dtype::F32),
        Ok(v1::Dtype::Unspecified) | Err(_) => {
            Err(Invalid::new(field, given, "1 (bf16), 2 (f16) or 3 (f32)"))
        }
    }
}

/// Rank 3, a given shape and dtype, and as many bytes as that takes.
fn tensor(
    field: &str,
    given: &v1::Tensor,
    expected_dtype: Dtype,
    shape: [u32; 3],
) -> Result<Bytes, Invalid> {
    let found = dtype(&format!("{field}.dtype"), given.dtype)?;
    if found != expected_dtype {
        return Err(Invalid::new(
            format!("{field}.dtype"),
            found,
            expected_dtype.to_string(),
        ));
    }
    if given.shape != shape {
        let [_, heads, dim] = shape;
        return Err(Invalid::new(
            format!("{field}.shape"),
            format!("{:?}", given.shape.get(..4).unwrap_or(&given.shape)),
            format!(
                "[{}, {heads}, {dim}]",
                if shape[0] == 0 {
                    "tokens".to_owned()
                } else {
                    shape[0].to_string()
                }
            ),
        ));
    }
    let [tokens, heads, dim] = shape.map(|side| side as usize);
    let elements = tokens.saturating_mul(heads).saturating_mul(dim);
    let expected = elements.saturating_mul(expected_dtype.size_of());
    if given.data.len() != expected {
        let got = format!("{} bytes long", given.data.len());
        return Err(Invalid::new(
            format!("{field}.data"),
            got,
            format!("{expected} bytes for its shape"),
        ));
    }
    Ok(given.data.clone())
}

/// `[tokens, q_heads, head_dim]` in `f32`, from `f32` or the collection's dtype.
fn queries(q: &v1::Tensor, geometry: &Geometry, tokens: u32) -> Result<Vec<f32>, Invalid> {
    let found = dtype("q.dtype", q.dtype)?;
    if found != Dtype::F32 && found != geometry.dtype {
        let expected = format!("f32 or {}, the collection's", geometry.dtype);
        return Err(Invalid::new("q.dtype", found, expected));
    }
    let data = tensor("q", q, found, [tokens, geometry.q_heads, geometry.head_dim])?;
    let queries: Vec<f32> = match found {
        Dtype::F32 => data
            .as_chunks()
            .0
            .iter()
            .map(|bytes| f32::from_le_bytes(*bytes))
            .collect(),
        Dtype::F16 => data
            .as_chunks()
            .0
            .iter()
            .map(|bytes| f16::from_le_bytes(*bytes).to_f32())
            .collect(),
        // As `bf16::to_f32`, but that a NaN stays as it is, so that the compiler can use vectors.
        Dtype::Bf16 => data
            .as_chunks()
            .0
            .iter()
            .map(|bytes| f32::from_bits(u32::from(u16::from_le_bytes(*bytes)) << 16))
            .collect(),
    };
    let bad = |x: &f32| x.is_nan() || x.abs() >= limits::MAGNITUDE_LIMIT;
    // Without a branch for each, for the same reason.
    let any_bad = queries.iter().fold(false, |any, x| any | bad(x));
    let first_bad = any_bad.then(|| queries.iter().position(bad)).flatten();
    match first_bad {
        None => Ok(queries),
        Some(index) => {
            let (dim, heads) = (geometry.head_dim as usize, geometry.q_heads as usize);
            let (row, at) = (index / dim, index % dim);
            let (token, head) = (row / heads, row % heads);
            let value = format!("{:e} at [{token}, {head}, {at}]", queries[index]);
            Err(Invalid::new("q", value, limits::MAGNITUDE))
        }
    }
}
