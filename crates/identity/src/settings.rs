//! The numbers that identity runs by. Each says what too much and too little of it costs.

use std::path::PathBuf;

use posthaste_domain::Span;

use crate::google::settings::GoogleSettings;

/// How identity runs.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Whether this is development: tokens of `posthaste token` are taken, messages are shown at `/dev/mail`.
    pub development: bool,
    /// Where development's messages are, to be shown.
    pub mailbox: Option<PathBuf>,
    /// How long an access token is good. Longer is fewer refreshes; a token that was stolen is good for as long.
    pub access_token: Span,
    /// How long a login lives without being used, and at most.
    pub login_idle: Span,
    /// See [`login_idle`](Self::login_idle).
    pub login_longest: Span,
    /// For how long a refresh token that was just used is taken again: a page that was clicked twice, an answer that
    /// was lost. Within it, a thief goes unnoticed.
    pub refresh_grace: Span,
    /// How long a code that was sent out is good.
    pub code: Span,
    /// How long a proof (password, second factor) counts as fresh for what is sensitive.
    pub fresh_proof: Span,
    /// How long a key signs before the next one takes over.
    pub signing_key: Span,
    /// How long a new key is published before it signs, so that everybody who checks has seen it.
    pub publish_before: Span,
    /// Whether admins work only with a second factor.
    pub admins_need_second_factor: bool,
    /// For how many days entries of the audit log are kept; none where that does not end. Fewer, and less can be found out
    /// of what happened long ago.
    pub audit_days: Option<u32>,
    /// How passwords are hashed.
    pub hashing: Hashing,
    /// Signing in with Google; none where it is not offered.
    pub google: Option<GoogleSettings>,
}

/// How passwords are hashed (argon2id).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hashing {
    /// Memory of one hash, in KiB. More makes guessing dearer, and each login.
    pub memory_kib: u32,
    /// Passes over it.
    pub passes: u32,
    /// Hashes at once. More than cores makes all of them slow.
    pub at_once: usize,
    /// Logins that may wait for their turn. Above it they are told to come back.
    pub waiting: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            development: false,
            mailbox: None,
            access_token: Span::minutes(10),
            login_idle: Span::days(30),
            login_longest: Span::days(180),
            refresh_grace: Span::seconds(10),
            code: Span::minutes(15),
            fresh_proof: Span::minutes(10),
            signing_key: Span::days(30),
            publish_before: Span::minutes(2),
            admins_need_second_factor: false,
            audit_days: None,
            hashing: Hashing::default(),
            google: None,
        }
    }
}

impl Default for Hashing {
    /// What OWASP recommends, on every core but one.
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self { memory_kib: 19 * 1024, passes: 2, at_once: cores.saturating_sub(1).max(1), waiting: 32 }
    }
}
