//! All routes, each with its access. The document and the table of rules are made of the same list that serves requests.

use crate::access::{Access, gate};
use crate::problem::ErrorBody;
use crate::state::Shared;
use crate::{actors, edge, etag, events, me, messages, problem, stream, threads};
use axum::Router;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::response::Response;
use growqr_identity::access::RouteRule;
use http::HeaderMap;
use std::sync::{Arc, LazyLock};
use tower_http::catch_panic::CatchPanicLayer;
use utoipa::openapi::path::Operation;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::openapi::{ContentBuilder, Info, OpenApi, Ref, RefOr, ResponseBuilder, SecurityRequirement};
use utoipa::{PartialSchema, ToSchema};
use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouter};
use utoipa_axum::routes;

/// Routes of one list.
type Route = UtoipaMethodRouter<Arc<Shared>>;

/// Every route. Handlers of one path stand together; there is no other place that adds any.
fn all() -> Vec<(Access, Route)> {
    vec![
        (Access::Public, routes!(openapi)),
        (Access::Own, routes!(me::me)),
        (Access::Own, routes!(threads::list)),
        (Access::Thing, routes!(threads::get, threads::patch, threads::delete)),
        (Access::Thing, routes!(messages::list)),
        (Access::Thing, routes!(events::list)),
        (Access::Own, routes!(stream::stream)),
        (Access::Own, routes!(actors::list)),
        (Access::Actor, routes!(actors::get, actors::destroy)),
        (Access::Actor, routes!(actors::restart)),
    ]
}

/// The routes, served.
pub(crate) fn router(shared: &Arc<Shared>) -> Router {
    let mut router = Router::new();
    for (access, (_, paths, methods)) in all() {
        let gate = from_fn_with_state((shared.clone(), access), gate);
        for path in paths.paths.keys() {
            // Before the gate: who asks for a method that is not there hears that, whoever it is.
            let methods = methods.clone().route_layer(gate.clone()).fallback(edge::wrong_method);
            router = router.route(path, methods);
        }
    }
    router
        .fallback(edge::nowhere)
        .layer(CatchPanicLayer::custom(edge::panicked))
        .layer(from_fn(edge::around))
        .with_state(shared.clone())
}

/// The access rule of every route.
pub fn rules() -> &'static [RouteRule] {
    static RULES: LazyLock<Vec<RouteRule>> = LazyLock::new(|| {
        let mut rules = Vec::new();
        for (access, (_, paths, _)) in all() {
            for (path, item) in paths.paths {
                // Once per process, and as small as the list of routes.
                let path: &'static str = path.leak();
                rules.extend(methods(&item).into_iter().map(|(method, _)| RouteRule {
                    method,
                    path,
                    rule: access.rule(),
                }));
            }
        }
        rules
    });
    &RULES
}

fn methods(item: &utoipa::openapi::PathItem) -> Vec<(&'static str, &Operation)> {
    let methods = [
        ("GET", &item.get),
        ("POST", &item.post),
        ("PUT", &item.put),
        ("PATCH", &item.patch),
        ("DELETE", &item.delete),
    ];
    methods.into_iter().filter_map(|(method, operation)| Some((method, operation.as_ref()?))).collect()
}

/// The description of the interface.
pub fn document() -> OpenApi {
    let mut info = Info::new("GrowQR", env!("CARGO_PKG_VERSION"));
    info.description = Some(
        "Threads, messages, actors and events of a user. Times are milliseconds since 1970. The tokens are session tokens of users, or \
         service tokens of operators, who say with `user` whose things they mean."
            .to_owned(),
    );
    let mut router = OpenApiRouter::<Arc<Shared>>::with_openapi(OpenApi::new(info, utoipa::openapi::Paths::new()));
    for (access, mut route) in all() {
        for item in route.1.paths.values_mut() {
            complete(item, access);
        }
        router = router.routes(route);
    }
    let mut document = router.into_openapi();
    let components = document.components.get_or_insert_default();
    components.schemas.insert(ErrorBody::name().into_owned(), ErrorBody::schema());
    let bearer = SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer));
    components.security_schemes.insert(BEARER.to_owned(), bearer.into());
    document
}

/// The name of the one way to say who asks.
const BEARER: &str = "token";

/// What all operations have: the failure that any of them may answer, and the token.
fn complete(item: &mut utoipa::openapi::PathItem, access: Access) {
    let operations = [&mut item.get, &mut item.post, &mut item.put, &mut item.patch, &mut item.delete];
    for operation in operations.into_iter().flatten() {
        let schema = Ref::from_schema_name(ErrorBody::name());
        let content = ContentBuilder::new().schema(Some(schema)).build();
        let failure = ResponseBuilder::new().description("It failed, and this is why.");
        let failure = failure.content("application/json", content).build();
        operation.responses.responses.insert("default".to_owned(), failure.into());
        for response in operation.responses.responses.values_mut() {
            if let RefOr::T(response) = response
                && response.description.is_empty()
            {
                "It is done.".clone_into(&mut response.description);
            }
        }
        if access != Access::Public {
            operation.security = Some(vec![SecurityRequirement::new(BEARER, [""; 0])]);
        }
    }
}

/// This document.
#[utoipa::path(get, path = "/api/openapi.json", tag = "interface", operation_id = "getDocument", responses((status = 200, description = "OpenAPI 3.1", body = Object)))]
async fn openapi(headers: HeaderMap) -> Result<Response, problem::Problem> {
    static DOCUMENT: LazyLock<OpenApi> = LazyLock::new(document);
    etag::tagged(&headers, &*DOCUMENT)
}
