//! A client in another language, as a program that reads a line and answers with one.
//!
//! Words are separated by one space; numbers of tensors are f32, little-endian, as hexadecimal digits.
//!
//! | line | answer |
//! | --- | --- |
//! | `connect ADDRESS DEADLINE_MS` | `ok` |
//! | `create NAME DURABILITY` (one layer, f32, the heads of `session.rs`; `none` or `process`) | `ok` |
//! | `insert NAME START K V` | `ok` |
//! | `cluster NAME` | `ok` |
//! | `attend NAME MODE START Q K V` (`exact`, `budget:1` or `default`; K and V are inserted first) | `ok OUT` |
//! | `fork NAME TO LENGTH`, `truncate NAME LENGTH`, `delete NAME` | `ok` |
//!
//! What fails answers `away`, where there is no daemon or the connection broke, or `refused CODE`, a gRPC status code.
//! A program ends with its input.

use std::fmt;
use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use wavekv_client::{Address, Code};

use crate::session::{Ask, Failure, Session};

/// An executable file.
#[derive(Debug, Clone)]
pub(crate) struct Program(PathBuf);

impl Program {
    /// Those of the folder that the environment names, in order of their names.
    pub(crate) fn all() -> Vec<Self> {
        #[expect(
            clippy::disallowed_methods,
            reason = "the programs are built by others, and are elsewhere each time"
        )]
        let Ok(folder) = std::env::var("WAVEKV_CONFORMANCE") else {
            return Vec::new();
        };
        let mut programs: Vec<_> = fs_err::read_dir(folder)
            .unwrap()
            .map(|entry| Self(entry.unwrap().path()))
            .collect();
        programs.sort_by(|a, b| a.0.cmp(&b.0));
        assert!(!programs.is_empty(), "WAVEKV_CONFORMANCE has no program");
        programs
    }

    pub(crate) fn connect(&self, address: &Address, deadline: Duration) -> Running {
        let mut child = Command::new(&self.0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut running = Running {
            input: child.stdin.take(),
            output: BufReader::new(child.stdout.take().unwrap()),
            child,
        };
        let connected = running.ask(&format!("connect {address} {}", deadline.as_millis()));
        assert_eq!(connected, Ok(String::new()), "{self}");
        running
    }
}

impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.display())
    }
}

/// One that has connected.
pub(crate) struct Running {
    /// None when it was told to end.
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
    child: Child,
}

impl Running {
    /// What stands after `ok`.
    fn ask(&mut self, line: &str) -> Result<String, Failure> {
        writeln!(self.input.as_mut().unwrap(), "{line}").unwrap();
        let mut answer = String::new();
        self.output.read_line(&mut answer).unwrap();
        let answer = answer.trim_end();
        let (word, rest) = answer.split_once(' ').unwrap_or((answer, ""));
        match word {
            "ok" => Ok(rest.to_owned()),
            "away" => Err(Failure::Away),
            "refused" => Err(Failure::Refused(Code::from_i32(rest.parse().unwrap()))),
            _ => panic!("the program said {answer:?}"),
        }
    }

    fn do_it(&mut self, line: &str) -> Result<(), Failure> {
        self.ask(line).map(|rest| assert_eq!(rest, ""))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.input = None;
        let status = self.child.wait();
        if !std::thread::panicking() {
            let status = status.unwrap();
            assert!(status.success(), "the program ends with {status}");
        }
    }
}

impl Session for Running {
    fn create(&mut self, name: &str, durable: bool) -> Result<(), Failure> {
        let durability = if durable { "process" } else { "none" };
        self.do_it(&format!("create {name} {durability}"))
    }

    fn insert(&mut self, name: &str, start: u32, k: &[f32], v: &[f32]) -> Result<(), Failure> {
        self.do_it(&format!("insert {name} {start} {} {}", hex(k), hex(v)))
    }

    fn cluster(&mut self, name: &str) -> Result<(), Failure> {
        self.do_it(&format!("cluster {name}"))
    }

    fn attend(
        &mut self,
        name: &str,
        ask: Ask,
        start: u32,
        [q, k, v]: [&[f32]; 3],
    ) -> Result<Vec<f32>, Failure> {
        let mode = match ask {
            Ask::Exact => "exact",
            Ask::Everything => "budget:1",
            Ask::Default => "default",
        };
        let [q, k, v] = [hex(q), hex(k), hex(v)];
        let answer = self.ask(&format!("attend {name} {mode} {start} {q} {k} {v}"));
        answer.map(|digits| numbers(&digits))
    }

    fn fork(&mut self, name: &str, to: &str, length: u32) -> Result<(), Failure> {
        self.do_it(&format!("fork {name} {to} {length}"))
    }

    fn truncate(&mut self, name: &str, length: u32) -> Result<(), Failure> {
        self.do_it(&format!("truncate {name} {length}"))
    }

    fn delete(&mut self, name: &str) -> Result<(), Failure> {
        self.do_it(&format!("delete {name}"))
    }
}

fn hex(numbers: &[f32]) -> String {
    let mut digits = String::with_capacity(8 * numbers.len());
    for byte in numbers.iter().flat_map(|number| number.to_le_bytes()) {
        write!(digits, "{byte:02x}").unwrap();
    }
    digits
}

fn numbers(digits: &str) -> Vec<f32> {
    let (words, rest) = digits.as_bytes().as_chunks::<8>();
    assert!(rest.is_empty(), "{} digits", digits.len());
    let number = |word: &[u8; 8]| {
        let word = u32::from_str_radix(std::str::from_utf8(word).unwrap(), 16).unwrap();
        f32::from_bits(word.swap_bytes())
    };
    words.iter().map(number).collect()
}
