//! Segments that are built are sound whatever their tokens, and whatever of one is changed is found.

use std::sync::Arc;

use proptest::prelude::*;
use wavekv_kernels::{Dtype, Kernels, Run};
use wavekv_storage::segment::{Columns, SegmentBuilder};
use wavekv_storage::{Budget, Bytes, Patience};

use super::*;
use crate::index::build::{Builder, Built, HeadTokens};
use crate::index::segment::HeadCodes;
use crate::model::{Geometry, KvHead, LayerKind, SegmentId};

/// Of the bytes of a column.
type Change<'a> = &'a dyn Fn(&mut [u8]);

const HEADS: u32 = 2;
const START: u32 = 100;
const PARAMETERS: IndexParameters = IndexParameters {
    cluster_tokens: 8,
    kmeans_iterations: 2,
    ..IndexParameters::DEFAULT
};

fn geometry(dtype: Dtype, [head_dim, value_dim]: [u32; 2]) -> Geometry {
    Geometry {
        fingerprint: String::new(),
        layers: vec![LayerKind::Full],
        q_heads: HEADS,
        kv_heads: HEADS,
        head_dim,
        value_dim,
        dtype,
        scale: 1.0,
        softcap: None,
    }
}

/// Of tokens, all of whose numbers are `number(token, dimension)`, values with dimensions after those of keys.
fn built(
    geometry: &Geometry,
    tokens: u32,
    number: &dyn Fn(usize, usize) -> f32,
) -> (Arc<Columns>, TokenRange) {
    let range = TokenRange::new(START, START + tokens);
    let builder = Builder {
        kernels: Kernels::detect(),
        schema: schema::schema(geometry, IndexKind::Wave).unwrap(),
        parameters: PARAMETERS,
        budget: Budget::new(Bytes(1 << 28)),
    };
    let dims = [geometry.head_dim as usize, geometry.value_dim as usize];
    let bytes = |first: usize, dim: usize| {
        let numbers = (0..tokens as usize).flat_map(|token| (0..dim).map(move |d| (token, d)));
        let numbers: Vec<f32> = numbers.map(|(token, d)| number(token, first + d)).collect();
        let mut words = vec![0_u32; (numbers.len() * geometry.dtype.size_of()).div_ceil(4)];
        let bytes =
            &mut bytemuck::cast_slice_mut(&mut words)[..numbers.len() * geometry.dtype.size_of()];
        convert::write(&numbers, geometry.dtype, bytes).unwrap();
        words
    };
    let (keys, values) = (bytes(0, dims[0]), bytes(dims[0], dims[1]));
    let matrix = |words, dim| {
        let bytes: &[u8] = bytemuck::cast_slice(words);
        let bytes = &bytes[..tokens as usize * dim * geometry.dtype.size_of()];
        Matrix::new(bytes, geometry.dtype, tokens as usize, dim).unwrap()
    };
    let head = HeadTokens {
        keys: matrix(&keys, dims[0]),
        values: matrix(&values, dims[1]),
    };
    let built = builder.build(range, &[head; HEADS as usize]).unwrap();
    (built.columns, range)
}

fn checked(geometry: &Geometry, range: TokenRange, columns: Arc<Columns>) -> Result<(), Broken> {
    let built = Built {
        columns,
        searches: None,
    };
    let segment = Segment::new(SegmentId(1), range, geometry, built);
    check_rows(&segment, IndexKind::Wave, HEADS)?;
    for head in (0..HEADS).map(KvHead) {
        let index = segment.head(head).unwrap().unwrap();
        let mut check = HeadCheck::begin(index, &PARAMETERS)?;
        let codes = HeadCodes::new(head, vec![&segment]);
        for clusters in check.runs() {
            let rows = check.rows(&clusters);
            let payload = segment
                .payload(head, rows.clone(), Patience::Stand)
                .unwrap();
            let each: Vec<u32> = (rows.start as u32..rows.end as u32).collect();
            let run = Run {
                first: each[0],
                count: each.len() as u32,
            };
            let keys = codes.keys(0, &[run]).unwrap().codes;
            let values = codes.values(0, &each).unwrap().codes;
            check.see(clusters, &payload, [keys, values])?;
        }
        check.finish()?;
    }
    Ok(())
}

/// The same columns, but for one that is changed.
fn changed(columns: &Columns, id: ColumnId, change: impl Fn(&mut [u8])) -> Arc<Columns> {
    let budget = Budget::new(Bytes(1 << 28));
    let mut copy = SegmentBuilder::new(Arc::clone(columns.schema()));
    for column in columns.schema().ids() {
        let rows = columns.rows(column);
        let into = copy.allocate(column, rows, &budget).unwrap();
        into.as_bytes_mut()
            .copy_from_slice(columns.column(column).as_bytes());
        if column == id {
            change(into.as_bytes_mut());
        }
    }
    Arc::new(copy.seal().unwrap())
}

fn noise(token: usize, d: usize) -> f32 {
    let mixed = (token as u32).wrapping_mul(0x9e37_79b9) ^ (d as u32).wrapping_mul(0x85eb_ca6b);
    let mixed = (mixed ^ mixed >> 15).wrapping_mul(0x2c1b_3c6d);
    (mixed >> 8) as f32 / (1 << 23) as f32 - 1.0
}

/// Numbers of every kind that K and V may be.
fn numbers() -> impl Strategy<Value = (u32, f32, f32, f32)> {
    let size = prop_oneof![Just(0.0_f32), Just(1.0), Just(1e-7), Just(1e-38), Just(9e5)];
    (0..6_u32, size.clone(), size.clone(), size)
}

fn number((kind, size, offset, spike): (u32, f32, f32, f32), token: usize, d: usize) -> f32 {
    let own = match kind {
        0 => 0.0,
        1 => noise(token, d),
        // A few different tokens, a dimension that never varies, one that is much larger, and one token that is.
        2 => noise(token % 3, d),
        3 if d == 1 => 0.0,
        4 if d == 2 => 1000.0 * noise(token, d),
        5 if token == 7 => spike * noise(token, d),
        _ => noise(token / 8, d) + 0.01 * noise(token, d),
    };
    (own * size + offset * noise(0, d)).clamp(-1e6, 1e6)
}

proptest! {
    #[test]
    fn what_was_built_is_sound(
        keys in numbers(), values in numbers(), tokens in 1..200_u32,
        dtype in prop_oneof![Just(Dtype::Bf16), Just(Dtype::F16), Just(Dtype::F32)],
        dims in prop_oneof![Just([16, 16]), Just([17, 40]), Just([64, 20])],
    ) {
        let geometry = geometry(dtype, dims);
        let size = if dtype == Dtype::F16 { 0.05 } else { 1.0 };
        let of = |token, d: usize| {
            let kind = if d < dims[0] as usize { keys } else { values };
            size * number(kind, token, d)
        };
        let (columns, range) = built(&geometry, tokens, &of);
        prop_assert_eq!(checked(&geometry, range, columns), Ok(()));
    }
}

#[test]
fn every_column_that_is_another_is_found() {
    let geometry = geometry(Dtype::F32, [24, 32]);
    let (columns, range) = built(&geometry, 120, &noise);
    assert_eq!(checked(&geometry, range, Arc::clone(&columns)), Ok(()));
    let swap = |bytes: &mut [u8]| bytes.reverse();
    let nan = |bytes: &mut [u8]| bytes[..4].copy_from_slice(&f32::NAN.to_le_bytes());
    let negative = |bytes: &mut [u8]| bytes[..4].copy_from_slice(&(-1.0_f32).to_le_bytes());
    let first =
        |number: u32| move |bytes: &mut [u8]| bytes[..4].copy_from_slice(&number.to_le_bytes());
    let changes: [(ColumnId, Change<'_>, &[&str]); 24] = [
        (schema::KEYS, &swap, &["keys", "centroids", "key_codes"]),
        (schema::KEYS, &nan, &["keys"]),
        (
            schema::VALUES,
            &swap,
            &["values", "value_means", "value_codes"],
        ),
        (schema::VALUES, &nan, &["values"]),
        (schema::POSITIONS, &swap, &["positions", "position_bounds"]),
        (schema::POSITIONS, &first(START - 1), &["position_bounds"]),
        (schema::KEY_CODES, &|bytes| bytes.fill(0), &["key_codes"]),
        (
            schema::KEY_CODE_SCALES,
            &|bytes| bytes.fill(0),
            &["key_codes"],
        ),
        (
            schema::VALUE_CODES,
            &|bytes| bytes.fill(0xff),
            &["value_codes"],
        ),
        (
            schema::VALUE_CODE_SCALES,
            &|bytes| bytes.fill(0),
            &["value_codes"],
        ),
        (schema::KEY_BASES, &|bytes| bytes.fill(0x41), &["centroids"]),
        (schema::VALUE_BASES, &nan, &["value_bases"]),
        (schema::KEY_PROFILES, &negative, &["key_profiles"]),
        (
            schema::VALUE_PROFILES,
            &|bytes| bytes.fill(0),
            &["value_codes"],
        ),
        (schema::CODE_ERRORS, &nan, &["code_errors"]),
        (schema::FIRST_ROWS, &first(1), &["first_rows"]),
        (schema::COUNTS, &first(0), &["counts"]),
        (schema::COUNTS, &first(u32::MAX), &["counts"]),
        (schema::POSITION_BOUNDS, &first(0), &["position_bounds"]),
        (schema::CENTROIDS, &|bytes| bytes.fill(100), &["centroids"]),
        (schema::CENTROID_SCALES, &nan, &["centroid_scales"]),
        (schema::KEY_SPREADS, &negative, &["key_spreads"]),
        (schema::VALUE_MEAN_NORMS, &first(0), &["value_mean_norms"]),
        (schema::VALUE_SPREADS, &negative, &["value_spreads"]),
    ];
    for (id, change, expected) in changes {
        let broken = checked(&geometry, range, changed(&columns, id, change));
        let broken = broken.expect_err("it is found");
        assert!(expected.contains(&broken.column), "{id:?}: {broken}");
    }
    let longer = TokenRange::new(range.start, range.end + 1);
    let broken = checked(&geometry, longer, columns).unwrap_err();
    assert_eq!(broken.column, "keys");
    assert!(
        broken.to_string().contains("240 rows: expected 242"),
        "{broken}"
    );
}
