//! The clients in Rust.

use std::time::Duration;

use tokio::runtime::Runtime;
use wavekv_client::wire::{
    AttendEntry, CollectionRef, CreateRequest, Dtype, Durability, ForkRequest, Geometry,
    InsertEntry, LayerKind, LayerRef, Tensor,
};
use wavekv_client::{Address, Client, ClientError, ConnectOptions, Mode, blocking};

use crate::session::{Ask, DIM, Failure, KV_HEADS, Q_HEADS, Session};

/// A runtime of its own: what calls it is a thread that waits.
pub(crate) struct Async {
    client: Client,
    runtime: Runtime,
}

pub(crate) struct Blocking {
    client: blocking::Client,
}

fn options(deadline: Duration) -> ConnectOptions {
    ConnectOptions {
        deadline: Some(deadline),
        ..ConnectOptions::default()
    }
}

impl Async {
    pub(crate) fn connect(address: &Address, deadline: Duration) -> Self {
        let runtime = Runtime::new().unwrap();
        let connected = Client::connect_with(address, options(deadline));
        Self {
            client: runtime.block_on(connected).unwrap(),
            runtime,
        }
    }
}

impl Blocking {
    pub(crate) fn connect(address: &Address, deadline: Duration) -> Self {
        Self {
            client: blocking::Client::connect_with(address, options(deadline)).unwrap(),
        }
    }
}

fn failure(error: ClientError) -> Failure {
    match error {
        ClientError::Connect { .. } | ClientError::Lost { .. } => Failure::Away,
        ClientError::Refused { code, .. } | ClientError::Entry { code, .. } => {
            Failure::Refused(code)
        }
        ClientError::Protocol { what } => panic!("{what}"),
    }
}

macro_rules! session {
    ($client:ident, $self:ident, $call:ident => $waited:expr) => {
        impl Session for $client {
            fn create(&mut $self, name: &str, durable: bool) -> Result<(), Failure> {
                let $call = $self.client.create(create(name, durable));
                $waited.map(drop).map_err(failure)
            }

            fn insert(&mut $self, name: &str, start: u32, k: &[f32], v: &[f32]) -> Result<(), Failure> {
                let mut entry = insert(start, k, v);
                entry.layer = Some(layer(name));
                let $call = $self.client.insert_one(entry);
                $waited.map(drop).map_err(failure)
            }

            fn cluster(&mut $self, name: &str) -> Result<(), Failure> {
                let $call = $self.client.segment_cluster_one(layer(name));
                $waited.map(drop).map_err(failure)
            }

            fn attend(
                &mut $self,
                name: &str,
                ask: Ask,
                start: u32,
                [q, k, v]: [&[f32]; 3],
            ) -> Result<Vec<f32>, Failure> {
                let $call = $self.client.attend_one(AttendEntry {
                    layer: Some(layer(name)),
                    q: Some(tensor(q, Q_HEADS)),
                    insert: Some(insert(start, k, v)),
                    mode: mode(ask),
                    ..AttendEntry::default()
                });
                let outcome = $waited.map_err(failure)?;
                Ok(numbers(&outcome.out.unwrap()))
            }

            fn fork(&mut $self, name: &str, to: &str, length: u32) -> Result<(), Failure> {
                let $call = $self.client.fork(ForkRequest {
                    collection: Some(collection(name)),
                    name: to.to_owned(),
                    length: Some(length),
                    ..ForkRequest::default()
                });
                $waited.map(drop).map_err(failure)
            }

            fn truncate(&mut $self, name: &str, length: u32) -> Result<(), Failure> {
                let $call = $self.client.truncate(collection(name), length);
                $waited.map(drop).map_err(failure)
            }

            fn delete(&mut $self, name: &str) -> Result<(), Failure> {
                let $call = $self.client.delete(collection(name));
                $waited.map(drop).map_err(failure)
            }
        }
    };
}

session! { Async, self, call => self.runtime.block_on(call) }
session! { Blocking, self, call => call }

fn collection(name: &str) -> CollectionRef {
    CollectionRef {
        name: name.to_owned(),
        ..CollectionRef::default()
    }
}

fn layer(name: &str) -> LayerRef {
    LayerRef {
        collection: Some(collection(name)),
        layer: 0,
    }
}

fn create(name: &str, durable: bool) -> CreateRequest {
    let durability = if durable {
        Durability::Process
    } else {
        Durability::None
    };
    CreateRequest {
        collection: Some(collection(name)),
        geometry: Some(Geometry {
            fingerprint: "conformance".to_owned(),
            layers: vec![LayerKind::default()],
            q_heads: Q_HEADS as u32,
            kv_heads: KV_HEADS as u32,
            head_dim: DIM as u32,
            value_dim: DIM as u32,
            dtype: Dtype::F32.into(),
            scale: (DIM as f32).sqrt().recip(),
            softcap: 0.0,
        }),
        durability: durability.into(),
        ..CreateRequest::default()
    }
}

fn tensor(numbers: &[f32], heads: usize) -> Tensor {
    let tokens = numbers.len() / (heads * DIM);
    let bytes = numbers.iter().flat_map(|number| number.to_le_bytes());
    Tensor {
        dtype: Dtype::F32.into(),
        shape: vec![tokens as u32, heads as u32, DIM as u32],
        data: bytes.collect::<Vec<u8>>().into(),
    }
}

fn insert(start_position: u32, k: &[f32], v: &[f32]) -> InsertEntry {
    InsertEntry {
        layer: None,
        start_position,
        k: Some(tensor(k, KV_HEADS)),
        v: Some(tensor(v, KV_HEADS)),
    }
}

fn mode(ask: Ask) -> Option<wavekv_client::wire::AttendMode> {
    match ask {
        Ask::Exact => Some(Mode::Exact.wire()),
        Ask::Everything => {
            let all = Mode::Budget {
                retrieve: 1.0,
                estimate: None,
            };
            Some(all.wire())
        }
        Ask::Default => None,
    }
}

fn numbers(tensor: &Tensor) -> Vec<f32> {
    let (words, rest) = tensor.data.as_chunks();
    assert!(rest.is_empty());
    words.iter().map(|&word| f32::from_le_bytes(word)).collect()
}
