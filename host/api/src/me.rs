//! Who the caller is.

use crate::access::{Caller, Subject};
use crate::etag;
use crate::input::Parameters;
use crate::problem::Problem;
use crate::state::Shared;
use axum::extract::State;
use axum::response::Response;
use growqr_identity::Principal;
use growqr_postgres::users;
use http::HeaderMap;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use utoipa::{IntoParams, ToSchema};

/// Whose things are meant.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct About {
    /// The user who is meant, by default the caller. Operators have to say.
    #[serde(rename = "user")]
    _user: Option<String>,
}

/// A user.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Me {
    user: String,
    /// When the user was seen first. Missing for a moment after the very first request.
    first_seen_at: Option<i64>,
    last_seen_at: Option<i64>,
    /// The organisation that the token was issued for.
    organization: Option<Organization>,
}

/// The organisation that a user acts for.
#[derive(Serialize, ToSchema)]
pub(crate) struct Organization {
    id: String,
    slug: Option<String>,
    role: Option<String>,
}

/// The user who asks
#[utoipa::path(get, path = "/api/me", tag = "user", operation_id = "getMe", params(About), responses((status = 200, body = Me)))]
pub(crate) async fn me(
    State(shared): State<Arc<Shared>>,
    Subject(user): Subject,
    Caller(caller): Caller,
    Parameters(About { .. }): Parameters<About>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let seen = users::find(shared.pool()?, &user).await?;
    let organization = match &*caller {
        Principal::User(session) if session.user == user => session.organization.as_deref(),
        _ => None,
    };
    let me = Me {
        user: user.to_string(),
        first_seen_at: seen.as_ref().map(|seen| seen.first_seen.timestamp_millis()),
        last_seen_at: seen.as_ref().map(|seen| seen.last_seen.timestamp_millis()),
        organization: organization.map(|organization| Organization {
            id: organization.id.clone(),
            slug: organization.slug.clone(),
            role: organization.role.clone(),
        }),
    };
    etag::tagged(&headers, &me)
}
