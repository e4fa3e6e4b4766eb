//! A segment file is read by somebody else's Arrow: pyarrow, where this machine has it.
#![expect(clippy::print_stderr, reason = "a test that is skipped says so")]

use std::process::Command;
use std::sync::Arc;

use wavekv_storage::segment::file::{Label, Sync, write};
use wavekv_storage::segment::{Column, ColumnId, Element, Schema, SchemaError, SegmentBuilder};
use wavekv_storage::{Budget, Bytes};

const ROWS: u32 = 5;
const DIM: u32 = 16;

/// Prints, of every column, its name, its type and its numbers.
const READ: &str = r#"
import sys, numpy, pyarrow
table = pyarrow.ipc.open_file(pyarrow.memory_map(sys.argv[1])).read_all()
assert table.num_rows == 1
metadata = {key.decode(): value.decode() for key, value in table.schema.metadata.items()}
print(metadata["wavekv.collection"], metadata["wavekv.start"], metadata["wavekv.end"], metadata["wavekv.format"])
for field in table.schema:
    rows = table[field.name].chunk(0).values
    row = field.type.value_field
    element = row.type.value_field if pyarrow.types.is_fixed_size_list(row.type) else row
    numbers = (rows.flatten() if element is not row else rows).to_numpy()
    if (element.metadata or {}).get(b"ARROW:extension:name") == b"wavekv.bfloat16":
        numbers = (numbers.astype(numpy.uint32) << 16).view(numpy.float32)
    print(field.name, element.type, len(rows), *[float(number) for number in numbers])
"#;

fn number(at: usize, column: usize) -> f32 {
    (at % 50) as f32 * 0.5 - column as f32
}

fn schema() -> Result<Schema, SchemaError> {
    let column = |name, element, row_elements| Column {
        name,
        element,
        row_elements,
        paged: false,
    };
    Schema::new(vec![
        column("keys", Element::Bf16, DIM),
        column("values", Element::F32, DIM),
        column("positions", Element::U32, 1),
    ])
}

#[test]
fn pyarrow_reads_every_column_of_a_segment() {
    let has = Command::new("python3")
        .args(["-c", "import pyarrow, numpy"])
        .output();
    if !has.is_ok_and(|has| has.status.success()) {
        eprintln!("skipped: python3 has no pyarrow and numpy here (pip install pyarrow numpy)");
        return;
    }
    let budget = Budget::new(Bytes(1 << 20));
    let mut builder = SegmentBuilder::new(Arc::new(schema().unwrap()));
    let keys = builder.allocate(ColumnId(0), ROWS, &budget).unwrap();
    for (at, cell) in keys.as_u16_mut().iter_mut().enumerate() {
        *cell = (number(at, 0).to_bits() >> 16) as u16;
    }
    let values = builder.allocate(ColumnId(1), ROWS, &budget).unwrap();
    for (at, cell) in values.as_f32_mut().iter_mut().enumerate() {
        *cell = number(at, 1);
    }
    let positions = builder.allocate(ColumnId(2), ROWS, &budget).unwrap();
    for (at, cell) in positions.as_u32_mut().iter_mut().enumerate() {
        *cell = 7 + at as u32;
    }
    let label = Label {
        collection: "default/chat".into(),
        generation: 1,
        layer: 0,
        segment: 1,
        start: 7,
        end: 12,
        meaning: 1,
    };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("segment.arrow");
    write(&path, &label, &builder.seal().unwrap(), Sync::System).unwrap();

    let read = Command::new("python3")
        .args(["-c", READ])
        .arg(&path)
        .output()
        .unwrap();
    let said = String::from_utf8(read.stdout).unwrap();
    assert!(
        read.status.success(),
        "{}",
        String::from_utf8_lossy(&read.stderr)
    );
    let line = |name: &str, element: &str, numbers: &[f32]| {
        let numbers: Vec<String> = numbers.iter().map(|number| format!("{number:?}")).collect();
        format!("{name} {element} {ROWS} {}", numbers.join(" "))
    };
    let tensor = |column| {
        (0..(ROWS * DIM) as usize)
            .map(|at| number(at, column))
            .collect::<Vec<_>>()
    };
    let expected = [
        "default/chat 7 12 1".to_owned(),
        line("keys", "uint16", &tensor(0)),
        line("values", "float", &tensor(1)),
        line("positions", "uint32", &[7.0, 8.0, 9.0, 10.0, 11.0]),
    ];
    assert_eq!(said.lines().collect::<Vec<_>>(), expected);
}
