//! `wavekv collections export`: K and V as they are stored, in files that others read.
#![expect(clippy::print_stderr, reason = "a test that is skipped says so")]

use std::fs;
use std::ops::Range;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use arrow_array::cast::AsArray as _;
use arrow_array::types::UInt32Type;
use arrow_array::{Array as _, RecordBatch};
use arrow_ipc::reader::FileReader;
use arrow_schema::DataType;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use wavekv_trace::{Layer, Trace};

use crate::daemon::Daemon;
use crate::{json, wavekv};

const DTYPES: [&str; 3] = ["bf16", "f16", "f32"];

/// A trace of 300 tokens and two layers in a daemon, as collection `doc`.
fn stored(daemon: &Daemon, dtype: &str) -> Trace {
    let path = daemon.folder().join(format!("{dtype}.safetensors"));
    let path = path.to_str().unwrap();
    let line = "--tokens 300 --layers 2 --head-dim 32 --value-dim 16 --dtype";
    let line = ["generate", path].into_iter().chain(line.split(' '));
    json(&wavekv(
        daemon,
        &line.chain([dtype, "--json"]).collect::<Vec<_>>(),
    ));
    json(&wavekv(
        daemon,
        &["ingest", path, "--name", dtype, "--json"],
    ));
    Trace::load(path.as_ref()).unwrap()
}

fn exported(daemon: &Daemon, name: &str, format: &str, more: &[&str]) -> PathBuf {
    let file = daemon.folder().join(format!("{name}.{format}"));
    let line = [
        "collections",
        "export",
        name,
        "--format",
        format,
        "--out",
        file.to_str().unwrap(),
        "--json",
    ];
    let said = json(&wavekv(daemon, &[&line[..], more].concat()));
    assert_eq!(said["bytes"], fs::metadata(&file).unwrap().len());
    file
}

fn batches(file: &Path) -> Vec<RecordBatch> {
    let open = fs::File::open(file).unwrap();
    if file.extension().unwrap() == "arrow" {
        FileReader::try_new(open, None)
            .unwrap()
            .map(Result::unwrap)
            .collect()
    } else {
        let reader = ParquetRecordBatchReaderBuilder::try_new(open).unwrap();
        reader.build().unwrap().map(Result::unwrap).collect()
    }
}

/// The bytes of the lists of a column.
fn bytes_of(batch: &RecordBatch, column: &str) -> Vec<u8> {
    let lists = batch.column_by_name(column).unwrap().as_fixed_size_list();
    let width = lists.value_length() as usize;
    let elements = lists.values().to_data();
    let size = elements.data_type().primitive_width().unwrap();
    let first = elements.offset() * size;
    elements.buffers()[0].as_slice()[first..][..lists.len() * width * size].to_vec()
}

#[test]
fn every_row_is_what_is_stored_in_order_of_layer_position_and_head() {
    let daemon = Daemon::start();
    for dtype in DTYPES {
        let trace = stored(&daemon, dtype);
        for format in ["arrow", "parquet"] {
            let file = exported(&daemon, dtype, format, &[]);
            assert_eq!(
                fs::metadata(&file).unwrap().permissions().mode() & 0o777,
                0o600
            );
            let (mut places, mut k, mut v) = (vec![], vec![], vec![]);
            for batch in batches(&file) {
                let number = |name| {
                    batch
                        .column_by_name(name)
                        .unwrap()
                        .as_primitive::<UInt32Type>()
                };
                let [layer, position, head] = ["layer", "position", "kv_head"].map(number);
                places.extend(
                    (0..batch.num_rows())
                        .map(|row| (layer.value(row), position.value(row), head.value(row))),
                );
                k.extend(bytes_of(&batch, "k"));
                v.extend(bytes_of(&batch, "v"));
                let schema = batch.schema();
                let DataType::FixedSizeList(element, 32) =
                    schema.field_with_name("k").unwrap().data_type()
                else {
                    panic!("{schema}");
                };
                let extension = element.metadata().get("ARROW:extension:name");
                assert_eq!(extension.is_some(), dtype == "bf16", "{element:?}");
            }
            let heads = trace.kv_heads as u32;
            let all = (0..2).flat_map(|layer| {
                (0..300)
                    .flat_map(move |position| (0..heads).map(move |head| (layer, position, head)))
            });
            assert!(places.into_iter().eq(all));
            let stored = |of: fn(&Layer, Range<usize>) -> Vec<u8>| {
                trace
                    .layers
                    .iter()
                    .flat_map(|layer| of(layer, 0..300))
                    .collect::<Vec<u8>>()
            };
            assert!(k == stored(Layer::tokens_major_k), "{file:?}");
            assert!(v == stored(Layer::tokens_major_v), "{file:?}");
        }
    }
}

/// Prints, of the rows of a layer, position and head, then the bytes of K and V and the numbers of the first row.
const READ: &str = r#"
import sys, numpy, pyarrow, pyarrow.parquet
path = sys.argv[1]
table = pyarrow.parquet.read_table(path) if path.endswith("parquet") else pyarrow.ipc.open_file(path).read_all()
assert table.column_names == ["layer", "kv_head", "position", "k", "v"], table.schema
assert table.schema.metadata[b"wavekv.name"] == sys.argv[2].encode(), table.schema.metadata
for name in ["k", "v"]:
    column = table[name].combine_chunks()
    column = column.chunk(0) if isinstance(column, pyarrow.ChunkedArray) else column
    element = column.type.value_field
    extension = (element.metadata or {}).get(b"ARROW:extension:name", b"").decode()
    numbers = column.flatten().to_numpy()
    print(name, element.type, extension or "-", *numbers.tobytes())
print("places", *[value for row in zip(*[table[name].to_pylist() for name in ["layer", "position", "kv_head"]]) for value in row])
"#;

#[test]
fn pyarrow_reads_the_same_numbers() {
    let has = Command::new("python3")
        .args(["-c", "import pyarrow.parquet, numpy"])
        .output();
    if !has.is_ok_and(|has| has.status.success()) {
        eprintln!("skipped: python3 has no pyarrow and numpy here (pip install pyarrow numpy)");
        return;
    }
    let daemon = Daemon::start();
    for (dtype, element) in [
        ("bf16", "uint16 wavekv.bfloat16"),
        ("f16", "halffloat -"),
        ("f32", "float -"),
    ] {
        let trace = stored(&daemon, dtype);
        for format in ["arrow", "parquet"] {
            let file = exported(&daemon, dtype, format, &["--layer", "1"]);
            let read = Command::new("python3")
                .args(["-c", READ])
                .arg(&file)
                .arg(dtype)
                .output();
            let read = read.unwrap();
            assert!(
                read.status.success(),
                "{}",
                String::from_utf8_lossy(&read.stderr)
            );
            let said = String::from_utf8(read.stdout).unwrap();
            let shown = |bytes: Vec<u8>| {
                let bytes: Vec<String> = bytes.iter().map(u8::to_string).collect();
                bytes.join(" ")
            };
            let layer = &trace.layers[1];
            let heads = trace.kv_heads;
            let places =
                (0..300).flat_map(|at| (0..heads).map(move |head| format!(" 1 {at} {head}")));
            let expected = [
                format!("k {element} {}", shown(layer.tokens_major_k(0..300))),
                format!("v {element} {}", shown(layer.tokens_major_v(0..300))),
                format!("places{}", places.collect::<String>()),
            ];
            assert!(
                said.lines().eq(expected.iter().map(String::as_str)),
                "{file:?}"
            );
        }
    }
}

#[test]
fn what_is_not_exported_leaves_no_file_and_what_is_there_stays() {
    let daemon = Daemon::start();
    stored(&daemon, "f32");
    let out = daemon.folder().join("out.arrow");
    let path = out.to_str().unwrap();
    let export = |name: &str, path: &str, more: &[&str]| {
        let line = [
            "collections",
            "export",
            name,
            "--format",
            "arrow",
            "--out",
            path,
        ];
        let output = wavekv(&daemon, &[&line[..], more].concat());
        (
            output.status.code(),
            String::from_utf8(output.stderr).unwrap(),
        )
    };
    let files = || fs::read_dir(daemon.folder()).unwrap().count();
    let before = files();
    let (code, said) = export("nothing", path, &[]);
    assert!(code == Some(1) && said.contains("NotFound"), "{said}");
    let (code, said) = export("f32", path, &["--layer", "2"]);
    assert!(
        code == Some(2) && said.contains("--layer is 2: expected 0 to 1"),
        "{said}"
    );
    let (code, said) = export("f32", "/no/such/folder/file", &[]);
    assert!(
        code == Some(1) && said.contains("/no/such/folder/file"),
        "{said}"
    );
    assert_eq!(files(), before);

    fs::write(&out, "mine").unwrap();
    let (code, said) = export("f32", path, &[]);
    assert!(
        code == Some(2) && said.contains("expected a file that is not there yet, or --force"),
        "{said}"
    );
    assert_eq!(fs::read(&out).unwrap(), b"mine");
    assert_eq!(export("f32", path, &["--force"]).0, Some(0));
    assert!(
        batches(&out)
            .iter()
            .map(RecordBatch::num_rows)
            .sum::<usize>()
            > 0
    );
    assert_eq!(files(), before + 1);
}
