//! The file: whole under its name, or not there.

use std::io::{self, BufWriter};
use std::path::{Path, PathBuf};

use arrow_array::RecordBatch;
use arrow_ipc::writer::FileWriter;
use parquet::arrow::ArrowWriter;
use parquet::file::properties::WriterProperties;
use parquet::schema::types::ColumnPath;
use tempfile::NamedTempFile;

use super::Table;
use crate::arguments::ExportFormat;
use crate::failure::Failure;

/// Bytes of Parquet that are in memory until they are written.
const ROW_GROUP_BYTES: usize = 32 << 20;

/// A file that has another name until it is whole; dropped before, it goes. Its user alone can read it.
pub(crate) struct Unnamed {
    out: PathBuf,
    force: bool,
    file: NamedTempFile,
}

/// A table in the making.
pub(crate) struct Writer {
    out: PathBuf,
    force: bool,
    format: Format,
}

enum Format {
    Arrow(Box<FileWriter<BufWriter<NamedTempFile>>>),
    Parquet(Box<ArrowWriter<NamedTempFile>>),
}

impl Unnamed {
    /// Makes the file beside `out`, where there must be none but with `force`.
    pub(crate) fn beside(out: &Path, force: bool) -> Result<Self, Failure> {
        if out.exists() && !force {
            return Err(taken(out));
        }
        let folder = match out.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        let made = tempfile::Builder::new()
            .prefix(".wavekv-export-")
            .tempfile_in(folder);
        Ok(Self {
            file: made.map_err(|error| unwritten(out, &error))?,
            out: out.to_owned(),
            force,
        })
    }

    /// Begins the table.
    pub(crate) fn begin(self, format: ExportFormat, table: &Table) -> Result<Writer, Failure> {
        let Self { out, force, file } = self;
        let format = match format {
            ExportFormat::Arrow => {
                let writer = FileWriter::try_new(BufWriter::new(file), table.schema());
                Format::Arrow(Box::new(writer.map_err(|error| unwritten(&out, &error))?))
            }
            ExportFormat::Parquet => {
                let schema = table.schema().clone();
                let writer = ArrowWriter::try_new(file, schema, Some(properties()));
                Format::Parquet(Box::new(writer.map_err(|error| unwritten(&out, &error))?))
            }
        };
        Ok(Writer { out, force, format })
    }
}

impl Writer {
    /// Writes some rows; how many.
    pub(crate) fn write(&mut self, rows: &RecordBatch) -> Result<u64, Failure> {
        let out = &self.out;
        match &mut self.format {
            Format::Arrow(writer) => writer.write(rows).map_err(|error| unwritten(out, &error)),
            Format::Parquet(writer) => writer.write(rows).map_err(|error| unwritten(out, &error)),
        }?;
        Ok(rows.num_rows() as u64)
    }

    /// Ends the table, has the device take it, and gives the file its name. Its bytes.
    pub(crate) fn finish(self) -> Result<u64, Failure> {
        let out = &self.out;
        let file = match self.format {
            Format::Arrow(writer) => {
                // It ends the table first.
                let file = writer
                    .into_inner()
                    .map_err(|error| unwritten(out, &error))?;
                let file = file.into_inner();
                file.map_err(|error| unwritten(out, error.error()))?
            }
            Format::Parquet(writer) => {
                let file = writer.into_inner();
                file.map_err(|error| unwritten(out, &error))?
            }
        };
        let bytes = file
            .as_file()
            .sync_all()
            .and_then(|()| file.as_file().metadata())
            .map_err(|error| unwritten(out, &error))?;
        let named = if self.force {
            file.persist(out)
        } else {
            file.persist_noclobber(out)
        };
        match named {
            Ok(_) => Ok(bytes.len()),
            Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => Err(taken(out)),
            Err(error) => Err(unwritten(out, &error.error)),
        }
    }
}

/// K and V hardly repeat: a dictionary of them, or their least and largest, would only be written and read.
fn properties() -> WriterProperties {
    let numbers = ["layer", "kv_head"].map(ColumnPath::from);
    let all = WriterProperties::builder()
        .set_max_row_group_bytes(Some(ROW_GROUP_BYTES))
        .set_dictionary_enabled(false);
    let with = numbers.into_iter().fold(all, |all, column| {
        all.set_column_dictionary_enabled(column, true)
    });
    with.build()
}

fn taken(out: &Path) -> Failure {
    let out = out.display();
    Failure::Usage(format!(
        "--out is {out}: expected a file that is not there yet, or --force"
    ))
}

fn unwritten(out: &Path, why: &dyn std::fmt::Display) -> Failure {
    Failure::File(io::Error::other(format!(
        "cannot write {}: {why}",
        out.display()
    )))
}
