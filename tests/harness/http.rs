//! Requests of HTTP, byte by byte, so that a test says exactly what it sends.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// In lower case.
    pub(crate) head: String,
    pub(crate) body: String,
}

/// The answer to a GET of `path`.
pub(crate) async fn get(address: &str, path: &str) -> Answer {
    ask(address, &format!("GET {path} HTTP/1.1\r\nHost: {address}")).await
}

/// The same as JSON.
pub(crate) async fn get_json(address: &str, path: &str) -> (u16, serde_json::Value) {
    let head = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nAccept: application/json");
    let answer = ask(address, &head).await;
    assert!(
        answer.head.contains("content-type: application/json"),
        "{answer:?}"
    );
    (answer.status, serde_json::from_str(&answer.body).unwrap())
}

/// The answer to a request with this head, which ends its connection.
pub(crate) async fn ask(address: &str, head: &str) -> Answer {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("{head}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    assert!(
        !head.to_ascii_lowercase().contains("transfer-encoding"),
        "its length is known: {head}"
    );
    Answer {
        status,
        head: head.to_ascii_lowercase(),
        body: body.to_owned(),
    }
}
