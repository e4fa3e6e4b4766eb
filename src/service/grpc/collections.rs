//! `CollectionsService`.

use std::sync::Arc;

use tonic::{Request, Response, Status};
use wavekv_proto::v1::collections_service_server::CollectionsService;
use wavekv_proto::v1::{
    CreateRequest, CreateResponse, DeleteRequest, DeleteResponse, ForkRequest, ForkResponse,
    GetRequest, GetResponse, ListRequest, ListResponse, TruncateRequest, TruncateResponse,
};

use crate::engine::Engine;
use crate::model::{CollectionName, Error, ErrorKind, Retention};
use crate::service::status::status;
use crate::service::{page, validate, wire};

/// The service over an engine.
#[derive(Clone, Debug)]
pub struct Collections(pub Arc<Engine>);

impl Collections {
    fn create_now(engine: &Engine, request: &CreateRequest) -> Result<CreateResponse, Error> {
        let name = validate::collection_to_be(request.collection.as_ref())?;
        let name = validate::present("collection", name)?;
        let geometry = validate::geometry(request.geometry.as_ref())?;
        let otherwise = engine.settings();
        let parameters =
            validate::parameters(request.index.as_ref(), &geometry, otherwise.parameters)?;
        let durability = validate::durability(request.durability, otherwise.durability)?;
        let retention = Retention::new(request.ttl_seconds, request.expendable)?;
        let collection = engine.create(name, geometry, parameters, durability, retention)?;
        Ok(CreateResponse {
            collection: Some(wire::description(&collection)),
            boot_epoch: engine.boot_epoch().0,
        })
    }

    fn get_now(&self, request: &GetRequest) -> Result<GetResponse, Error> {
        let (name, generation) = validate::collection(request.collection.as_ref())?;
        let collection = self.0.find(&name, generation)?;
        let (expected, found) = (
            &request.expected_fingerprint,
            &collection.geometry().fingerprint,
        );
        if !expected.is_empty() && expected != found {
            let message = format!(
                "expected_fingerprint is {expected:?}: expected {found:?}, the fingerprint of collection {name}"
            );
            return Err(Error::new(ErrorKind::FailedPrecondition, message));
        }
        Ok(GetResponse {
            collection: Some(wire::description(&collection)),
            boot_epoch: self.0.boot_epoch().0,
        })
    }

    fn list_now(&self, request: &ListRequest) -> Result<ListResponse, Error> {
        let size = validate::page_size("page_size", request.page_size)?;
        let namespace = match request.namespace.as_str() {
            "*" => None,
            namespace => Some(CollectionName::checked_namespace(namespace)?),
        };
        let after = page::read("page_token", &request.page_token)?;
        let mut found = self.0.list(
            namespace,
            &request.name_prefix,
            after.as_ref(),
            size.saturating_add(1),
        );
        let next = page::cut(&mut found, size).map(|last| page::after(last.name()));
        Ok(ListResponse {
            collections: found
                .iter()
                .map(|collection| wire::description(collection))
                .collect(),
            next_page_token: next.unwrap_or_default(),
            boot_epoch: self.0.boot_epoch().0,
        })
    }

    fn delete_now(engine: &Engine, request: &DeleteRequest) -> Result<DeleteResponse, Error> {
        let (name, generation) = validate::collection(request.collection.as_ref())?;
        let generation = engine.delete(&name, generation)?;
        Ok(DeleteResponse {
            boot_epoch: engine.boot_epoch().0,
            generation: generation.0,
        })
    }

    fn fork_now(engine: &Engine, request: &ForkRequest) -> Result<ForkResponse, Error> {
        let (source, generation) = validate::collection(request.collection.as_ref())?;
        let name = CollectionName::new(source.namespace(), &request.name)?;
        let durability = validate::chosen_durability(request.durability)?;
        let source = (&source, generation);
        let collection = engine.fork(source, name, request.length, durability)?;
        Ok(ForkResponse {
            collection: Some(wire::description(&collection)),
            boot_epoch: engine.boot_epoch().0,
        })
    }
}

#[tonic::async_trait]
impl CollectionsService for Collections {
    async fn create(
        &self,
        request: Request<CreateRequest>,
    ) -> Result<Response<CreateResponse>, Status> {
        let request = request.into_inner();
        let created = self
            .0
            .compute(move |engine| Self::create_now(engine, &request));
        answer(created.await.and_then(|created| created))
    }

    async fn get(&self, request: Request<GetRequest>) -> Result<Response<GetResponse>, Status> {
        answer(self.get_now(request.get_ref()))
    }

    async fn list(&self, request: Request<ListRequest>) -> Result<Response<ListResponse>, Status> {
        answer(self.list_now(request.get_ref()))
    }

    async fn delete(
        &self,
        request: Request<DeleteRequest>,
    ) -> Result<Response<DeleteResponse>, Status> {
        let request = request.into_inner();
        let deleted = self
            .0
            .compute(move |engine| Self::delete_now(engine, &request));
        answer(deleted.await.and_then(|deleted| deleted))
    }

    async fn truncate(
        &self,
        request: Request<TruncateRequest>,
    ) -> Result<Response<TruncateResponse>, Status> {
        let request = request.into_inner();
        let truncated = self.0.compute(move |engine| {
            let (name, generation) = validate::collection(request.collection.as_ref())?;
            let collection = engine.find(&name, generation)?;
            let layer_lengths = engine.truncate(&collection, request.length)?;
            Ok(TruncateResponse {
                boot_epoch: engine.boot_epoch().0,
                generation: collection.generation().0,
                layer_lengths,
            })
        });
        answer(truncated.await.and_then(|truncated| truncated))
    }

    async fn fork(&self, request: Request<ForkRequest>) -> Result<Response<ForkResponse>, Status> {
        let request = request.into_inner();
        let forked = self
            .0
            .compute(move |engine| Self::fork_now(engine, &request));
        answer(forked.await.and_then(|forked| forked))
    }
}

fn answer<T>(result: Result<T, Error>) -> Result<Response<T>, Status> {
    result.map(Response::new).map_err(|error| status(&error))
}
