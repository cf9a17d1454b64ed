//! Signing in with Google on the wire.

use posthaste_domain::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::accounts::{RefreshIn, RegisterAs, Secret};

/// Begins to sign in with Google.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BeginGoogle {
    /// The page that the browser is to be sent back to: on this server, or one of the configured origins.
    pub return_to: String,
    /// What becomes of somebody who has no account here: `customer`, `merchant` or `driver`. Without it they are
    /// refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub register_as: Option<RegisterAs>,
    /// Who ends it: `browser` (a cookie says that it is the same one) or `app` (which gets a secret to keep).
    #[serde(default)]
    pub ended_by: EndedBy,
}

/// Begins to link one's Google account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LinkGoogle {
    /// The page that the browser is to be sent back to: on this server, or one of the configured origins.
    pub return_to: String,
    /// `browser` or `app`, as for signing in.
    #[serde(default)]
    pub ended_by: EndedBy,
    /// The account's password, where it has one: whoever is linked signs in from then on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = Password)]
    pub password: Option<crate::accounts::Secret>,
}

/// What ends a sign-in with Google.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum EndedBy {
    /// The browser that began it. What Google answers stays on the server.
    #[default]
    Browser,
    /// A native app, whose `return_to` is a link that the device opens in it. What Google answers comes with the link.
    App,
}

/// A sign-in with Google that began.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct GoogleBegun {
    /// Where the browser goes now. It comes back to `return_to` with `google` (`returned`, `denied` or `failed`) and
    /// `state` in the query, and with `google_code` where an app ends it.
    #[schema(value_type = String, example = "https://accounts.google.com/o/oauth2/v2/auth?response_type=code&…")]
    pub authorization_url: Secret,
    /// Names this sign-in.
    #[schema(value_type = String, example = "8Zk0xJ3mQw7nYb2LrT5cVd9HsG1fKpXeA4uNzM6oQiB")]
    pub state: Secret,
    /// For an app: shows later that it was the one that began. A browser has a cookie instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub secret: Option<Secret>,
    /// Until when it can be ended.
    #[schema(value_type = String, format = DateTime)]
    pub expires_at: Timestamp,
}

/// Ends a sign-in with Google that came back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ConfirmGoogle {
    /// Which one.
    #[schema(value_type = String)]
    pub state: Secret,
    /// From an app: the secret that it was given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub secret: Option<Secret>,
    /// From an app: `google_code`, as it came back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub google_code: Option<Secret>,
    /// Where a second factor is on: the authenticator's six digits, or a recovery code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub code: Option<Secret>,
    /// `cookie` or `body`.
    #[serde(default)]
    pub refresh_in: RefreshIn,
}

/// Ends the linking of a Google account that came back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ConfirmGoogleLink {
    /// Which one.
    #[schema(value_type = String)]
    pub state: Secret,
    /// From an app: the secret that it was given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub secret: Option<Secret>,
    /// From an app: `google_code`, as it came back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub google_code: Option<Secret>,
}

/// The Google account that one signs in with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct GoogleView {
    /// Its email address when it was linked.
    #[schema(example = "ada@gmail.com")]
    pub email: String,
    /// Since when.
    #[schema(value_type = String, format = DateTime)]
    pub linked_at: Timestamp,
}
