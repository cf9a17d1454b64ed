//! Whether the server lives, whether it is ready for work, and what it is. Asked over the API, and on the address of figures.

use axum::Json;
use axum::extract::State;
use posthaste_dispatch_api::refusals::refused;
use posthaste_http::contract::{Access, Rule};
use posthaste_http::problem::Answer;
use serde::Serialize;
use utoipa::ToSchema;

use crate::{AppState, Build};

/// How the server is.
#[derive(Debug, Serialize, ToSchema)]
pub struct Health {
    /// `live` or `ready`.
    #[schema(example = "ready")]
    status: &'static str,
    /// `held` where the database is a copy of another (or the configuration says so): webhooks, emails and texts wait until
    /// somebody says that it is the real one. Absent otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "held")]
    outside: Option<&'static str>,
}

/// Which program this is.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Version {
    /// The program.
    #[schema(example = "posthaste")]
    name: &'static str,
    /// Its version.
    #[schema(example = "0.1.0")]
    version: &'static str,
    /// The commit it was built from, where known.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "2d7ce5c")]
    commit: Option<&'static str>,
}

pub(crate) const LIVE: Rule = Rule::get("/health/live", Access::Public).free();

/// Whether the process lives
#[utoipa::path(get, path = "/health/live", tag = "server", responses((status = 200, body = Health)))]
pub async fn live() -> Json<Health> {
    Json(Health { status: "live", outside: None })
}

pub(crate) const READY: Rule = Rule::get("/health/ready", Access::Public).free();

/// Whether the server is ready for work
///
/// Stored state is loaded and the database answers. 503 otherwise.
#[utoipa::path(get, path = "/health/ready", tag = "server", responses((status = 200, body = Health)))]
pub async fn ready(State(app): State<AppState>) -> Answer<Json<Health>> {
    match app.dispatch().live().ready().await {
        Ok(()) => Ok(Json(Health { status: "ready", outside: app.is_held().then_some("held") })),
        Err(away) => Err(refused(away)),
    }
}

pub(crate) const VERSION: Rule = Rule::get("/version", Access::Public);

/// Which program this is
#[utoipa::path(get, path = "/version", tag = "server", responses((status = 200, body = Version)))]
pub(crate) async fn version(State(app): State<AppState>) -> Json<Version> {
    let Build { version, commit } = app.process().build;
    Json(Version { name: "posthaste", version, commit })
}
