//! Accounts in Postgres.

use posthaste_domain::Timestamp;
use posthaste_domain::ids::{AccountId, ApiKeyId, Id, LoginId};
use posthaste_domain::party::Party;
use posthaste_http::auth::Role;
use posthaste_storage::StorageError;
use posthaste_storage::pool::Pool;
use serde_json::Value;
use sqlx::types::Json;
use sqlx::{PgConnection, PgExecutor};
use uuid::Uuid;

use super::{Account, email_key, party, subject};
use crate::google::Linked;

struct Row {
    id: Uuid,
    role: String,
    subject: Uuid,
    created_at: Timestamp,
    email: String,
    email_claim: Option<String>,
    name: String,
    phone: Option<String>,
    phone_verified_at: Option<Timestamp>,
    password: String,
    activated_at: Option<Timestamp>,
    banned_at: Option<Timestamp>,
    ban_reason: Option<String>,
    profile: Json<Value>,
    totp_secret: Option<Vec<u8>>,
    totp_confirmed_at: Option<Timestamp>,
    totp_step: i64,
    has_password: bool,
    google_issuer: Option<String>,
    google_subject: Option<String>,
    google_email: Option<String>,
    google_linked_at: Option<Timestamp>,
}

impl TryFrom<Row> for Account {
    type Error = StorageError;
    fn try_from(row: Row) -> Result<Self, StorageError> {
        let id = AccountId::from_uuid(row.id);
        let role = Role::ALL.into_iter().find(|role| role.name() == row.role);
        let role = role.ok_or_else(|| StorageError::corrupt(format!("account {id}"), "an unknown role"))?;
        let google = match (row.google_issuer, row.google_subject, row.google_email, row.google_linked_at) {
            (Some(issuer), Some(subject), Some(email), Some(linked_at)) => {
                Some(Linked { issuer, subject, email, linked_at })
            }
            _ => None,
        };
        Ok(Self {
            id,
            party: party(role, row.subject),
            created_at: row.created_at,
            email: row.email,
            email_claim: row.email_claim,
            name: row.name,
            phone: row.phone,
            phone_verified_at: row.phone_verified_at,
            password: row.password,
            activated_at: row.activated_at,
            banned_at: row.banned_at,
            ban_reason: row.ban_reason,
            profile: row.profile.0,
            totp_secret: row.totp_secret,
            totp_confirmed_at: row.totp_confirmed_at,
            totp_step: row.totp_step,
            has_password: row.has_password,
            google,
        })
    }
}

/// One account.
pub(crate) async fn get(executor: impl PgExecutor<'_>, id: AccountId) -> Result<Option<Account>, StorageError> {
    let row = sqlx::query_as!(
        Row,
        r#"SELECT id, role, subject, created_at, email, name, phone, phone_verified_at, password, activated_at, banned_at,
            ban_reason, email_claim, profile AS "profile: Json<Value>", totp_secret, totp_confirmed_at, totp_step,
            has_password, google_issuer, google_subject, google_email, google_linked_at
        FROM accounts WHERE id = $1 AND deleted_at IS NULL"#,
        id.uuid(),
    )
    .fetch_optional(executor)
    .await?;
    row.map(TryInto::try_into).transpose()
}

/// One account, which nobody else changes until the transaction ends.
pub(crate) async fn lock(connection: &mut PgConnection, id: AccountId) -> Result<Option<Account>, StorageError> {
    let row = sqlx::query_as!(
        Row,
        r#"SELECT id, role, subject, created_at, email, name, phone, phone_verified_at, password, activated_at, banned_at,
            ban_reason, email_claim, profile AS "profile: Json<Value>", totp_secret, totp_confirmed_at, totp_step,
            has_password, google_issuer, google_subject, google_email, google_linked_at
        FROM accounts WHERE id = $1 AND deleted_at IS NULL FOR UPDATE"#,
        id.uuid(),
    )
    .fetch_optional(connection)
    .await?;
    row.map(TryInto::try_into).transpose()
}

/// The account that is found by an email address or a telephone number: that nobody else can have.
pub(crate) async fn by_key(pool: &Pool, email: &str) -> Result<Option<Account>, StorageError> {
    let row = sqlx::query_as!(
        Row,
        r#"SELECT id, role, subject, created_at, email, name, phone, phone_verified_at, password, activated_at, banned_at,
            ban_reason, email_claim, profile AS "profile: Json<Value>", totp_secret, totp_confirmed_at, totp_step,
            has_password, google_issuer, google_subject, google_email, google_linked_at
        FROM accounts WHERE email_key = $1 AND deleted_at IS NULL"#,
        email_key(email),
    )
    .fetch_optional(pool.connections())
    .await?;
    row.map(TryInto::try_into).transpose()
}

/// The account that somebody means who signs in: the one that has the address or number for its own, else the oldest
/// that claims the address. One statement, so that it takes the same time for all.
pub(crate) async fn by_sign_in(pool: &Pool, typed: &str) -> Result<Option<Account>, StorageError> {
    let row = sqlx::query_as!(
        Row,
        r#"SELECT id, role, subject, created_at, email, name, phone, phone_verified_at, password, activated_at, banned_at,
            ban_reason, email_claim, profile AS "profile: Json<Value>", totp_secret, totp_confirmed_at, totp_step,
            has_password, google_issuer, google_subject, google_email, google_linked_at
        FROM accounts WHERE (email_key = $1 OR email_claim = $1) AND deleted_at IS NULL
        ORDER BY (email_key = $1) DESC, id LIMIT 1"#,
        email_key(typed),
    )
    .fetch_optional(pool.connections())
    .await?;
    row.map(TryInto::try_into).transpose()
}

/// The account of a party.
pub(crate) async fn of_party(connection: &mut PgConnection, of: Party) -> Result<Option<Account>, StorageError> {
    let row = sqlx::query_as!(
        Row,
        r#"SELECT id, role, subject, created_at, email, name, phone, phone_verified_at, password, activated_at, banned_at,
            ban_reason, email_claim, profile AS "profile: Json<Value>", totp_secret, totp_confirmed_at, totp_step,
            has_password, google_issuer, google_subject, google_email, google_linked_at
        FROM accounts WHERE role = $1 AND subject = $2 AND deleted_at IS NULL"#,
        Role::of(of).map(Role::name).unwrap_or_default(),
        subject(of),
    )
    .fetch_optional(connection)
    .await?;
    row.map(TryInto::try_into).transpose()
}

/// Accounts before a place, newest first.
pub(crate) async fn list(pool: &Pool, before: (Timestamp, Uuid), limit: i64) -> Result<Vec<Account>, StorageError> {
    let rows = sqlx::query_as!(
        Row,
        r#"SELECT id, role, subject, created_at, email, name, phone, phone_verified_at, password, activated_at, banned_at,
            ban_reason, email_claim, profile AS "profile: Json<Value>", totp_secret, totp_confirmed_at, totp_step,
            has_password, google_issuer, google_subject, google_email, google_linked_at
        FROM accounts WHERE deleted_at IS NULL AND (created_at, id) < ($1, $2) ORDER BY created_at DESC, id DESC LIMIT $3"#,
        before.0,
        before.1,
        limit,
    )
    .fetch_all(pool.connections())
    .await?;
    rows.into_iter().map(TryInto::try_into).collect()
}

/// Accounts that wait for an admin, before a place, newest first.
pub(crate) async fn list_waiting(
    pool: &Pool,
    before: (Timestamp, Uuid),
    limit: i64,
) -> Result<Vec<Account>, StorageError> {
    let rows = sqlx::query_as!(
        Row,
        r#"SELECT id, role, subject, created_at, email, name, phone, phone_verified_at, password, activated_at, banned_at,
            ban_reason, email_claim, profile AS "profile: Json<Value>", totp_secret, totp_confirmed_at, totp_step,
            has_password, google_issuer, google_subject, google_email, google_linked_at
        FROM accounts WHERE activated_at IS NULL AND banned_at IS NULL AND deleted_at IS NULL AND (created_at, id) < ($1, $2)
        ORDER BY created_at DESC, id DESC LIMIT $3"#,
        before.0,
        before.1,
        limit,
    )
    .fetch_all(pool.connections())
    .await?;
    rows.into_iter().map(TryInto::try_into).collect()
}

/// The parties of banned accounts.
pub(crate) async fn banned(pool: &Pool) -> Result<Vec<Party>, StorageError> {
    let rows = sqlx::query!("SELECT role, subject FROM accounts WHERE banned_at IS NOT NULL ORDER BY banned_at, id")
        .fetch_all(pool.connections())
        .await?;
    let named = |name: &str| Role::ALL.into_iter().find(|role| role.name() == name);
    Ok(rows.iter().filter_map(|row| Some(party(named(&row.role)?, row.subject))).collect())
}

/// Adds an account. False where another has the email address or the Google account, or is the same party.
pub(crate) async fn add(connection: &mut PgConnection, account: &Account) -> Result<bool, StorageError> {
    let google = account.google.as_ref();
    let done = sqlx::query!(
        "INSERT INTO accounts (id, role, subject, created_at, email, email_key, name, phone, password, activated_at,
            profile, email_claim, phone_verified_at, has_password, google_issuer, google_subject, google_email,
            google_linked_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18)
        ON CONFLICT DO NOTHING",
        account.id.uuid(),
        account.role().name(),
        subject(account.party),
        account.created_at,
        account.email,
        account.key(),
        account.name,
        account.phone,
        account.password,
        account.activated_at,
        account.profile,
        account.email_claim,
        account.phone_verified_at as Option<Timestamp>,
        account.has_password,
        google.map(|linked| linked.issuer.as_str()),
        google.map(|linked| linked.subject.as_str()),
        google.map(|linked| linked.email.as_str()),
        google.map(|linked| linked.linked_at),
    )
    .execute(connection)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Replaces the password's hash.
pub(crate) async fn set_password(
    connection: &mut PgConnection,
    id: AccountId,
    password: &str,
) -> Result<(), StorageError> {
    sqlx::query!("UPDATE accounts SET password = $2, has_password = true WHERE id = $1", id.uuid(), password)
        .execute(connection)
        .await?;
    Ok(())
}

/// Keeps the same password under another hash, unless it was changed meanwhile.
pub(crate) async fn rehash(pool: &Pool, id: AccountId, old: &str, new: &str) -> Result<(), StorageError> {
    sqlx::query!("UPDATE accounts SET password = $3 WHERE id = $1 AND password = $2", id.uuid(), old, new)
        .execute(pool.connections())
        .await?;
    Ok(())
}

/// Replaces the email address. False where another account has it.
pub(crate) async fn set_email(connection: &mut PgConnection, id: AccountId, email: &str) -> Result<bool, StorageError> {
    let done = sqlx::query!(
        "UPDATE accounts SET email = $2, email_key = $3, email_claim = NULL WHERE id = $1
            AND NOT EXISTS (SELECT FROM accounts AS others WHERE others.email_key = $3 AND others.id <> $1)",
        id.uuid(),
        email,
        email_key(email),
    )
    .execute(connection)
    .await;
    match done {
        Ok(done) => Ok(done.rows_affected() == 1),
        Err(error) if posthaste_storage::constraint(&error) == Some("accounts_email_unique") => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Sets a verified telephone number. False where the account is found by its number and another is found by this one.
pub(crate) async fn set_phone(
    connection: &mut PgConnection,
    id: AccountId,
    phone: &str,
    now: Timestamp,
) -> Result<bool, StorageError> {
    let done = sqlx::query!(
        "UPDATE accounts SET phone = $2, phone_verified_at = $3,
            email_key = CASE WHEN email_claim IS NULL THEN email_key ELSE $2 END
        WHERE id = $1",
        id.uuid(),
        phone,
        now,
    )
    .execute(connection)
    .await;
    match done {
        Ok(_) => Ok(true),
        Err(error) if posthaste_storage::constraint(&error) == Some("accounts_email_unique") => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Replaces the profile.
pub(crate) async fn set_profile(
    connection: &mut PgConnection,
    id: AccountId,
    profile: &Value,
) -> Result<(), StorageError> {
    sqlx::query!("UPDATE accounts SET profile = $2 WHERE id = $1", id.uuid(), profile).execute(connection).await?;
    Ok(())
}

/// What became of letting an account work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Activated {
    Now,
    /// Another account is the party.
    Taken,
    /// Somebody else was faster, with a ban or as another party.
    Changed,
}

impl Activated {
    pub(crate) fn refusal(self) -> Option<&'static str> {
        match self {
            Self::Now => None,
            Self::Taken => Some("another account is this party already"),
            Self::Changed => Some("it was activated or shut out meanwhile: look at it again"),
        }
    }
}

/// Lets an account work, as `party`, if it is waiting.
pub(crate) async fn activate(
    connection: &mut PgConnection,
    id: AccountId,
    party: Party,
    now: Timestamp,
) -> Result<Activated, StorageError> {
    let done = sqlx::query!(
        "UPDATE accounts SET activated_at = $2, subject = $3
        WHERE id = $1 AND activated_at IS NULL AND banned_at IS NULL",
        id.uuid(),
        now,
        subject(party),
    )
    .execute(connection)
    .await;
    match done {
        Ok(done) if done.rows_affected() == 1 => Ok(Activated::Now),
        Ok(_) => Ok(Activated::Changed),
        Err(error) if posthaste_storage::constraint(&error) == Some("accounts_subject_unique") => Ok(Activated::Taken),
        Err(error) => Err(error.into()),
    }
}

/// Shuts an account out, or lets it in again where there is no reason.
pub(crate) async fn set_ban(
    connection: &mut PgConnection,
    id: AccountId,
    ban: Option<(&str, Timestamp)>,
) -> Result<(), StorageError> {
    sqlx::query!(
        "UPDATE accounts SET ban_reason = $2, banned_at = $3 WHERE id = $1",
        id.uuid(),
        ban.map(|(reason, _)| reason),
        ban.map(|(_, at)| at),
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// What is not there any more of a deleted account.
pub(crate) struct Ended {
    pub(crate) logins: Vec<LoginId>,
    pub(crate) keys: Vec<ApiKeyId>,
}

/// Deletes an account that is locked: everything about its holder goes, the row and what is counted by its id stay.
pub(crate) async fn delete(
    connection: &mut PgConnection,
    id: AccountId,
    now: Timestamp,
) -> Result<Ended, StorageError> {
    let logins = crate::logins::store::revoke(connection, id, None, None, "account_deleted", now).await?;
    let uuid = id.uuid();
    sqlx::query!("UPDATE logins SET device = '', address = '' WHERE account_id = $1", uuid)
        .execute(&mut *connection)
        .await?;
    sqlx::query!("DELETE FROM refresh_tokens WHERE login_id IN (SELECT id FROM logins WHERE account_id = $1)", uuid,)
        .execute(&mut *connection)
        .await?;
    let keys = sqlx::query_scalar!(
        "UPDATE api_keys SET revoked_at = coalesce(revoked_at, $2), name = '' WHERE account_id = $1 RETURNING id",
        uuid,
        now,
    )
    .fetch_all(&mut *connection)
    .await?;
    sqlx::query!("DELETE FROM recovery_codes WHERE account_id = $1", uuid).execute(&mut *connection).await?;
    crate::challenges::store::remove(connection, id).await?;
    crate::google::store::remove(connection, id).await?;
    sqlx::query!(
        "UPDATE accounts SET deleted_at = $2, email = '', email_key = $3, email_claim = NULL, name = '', phone = NULL,
            phone_verified_at = NULL, password = '', has_password = true, profile = '{}', totp_secret = NULL,
            totp_confirmed_at = NULL, google_issuer = NULL, google_subject = NULL, google_email = NULL,
            google_linked_at = NULL
        WHERE id = $1",
        uuid,
        now,
        id.to_string(),
    )
    .execute(connection)
    .await?;
    Ok(Ended { logins, keys: keys.into_iter().map(ApiKeyId::from_uuid).collect() })
}

/// Whether another admin than this may come in. Nobody else becomes the last one until the transaction ends.
pub(crate) async fn has_another_admin(connection: &mut PgConnection, id: AccountId) -> Result<bool, StorageError> {
    let admins = sqlx::query_scalar!(
        "SELECT id FROM accounts WHERE role = 'admin' AND banned_at IS NULL AND deleted_at IS NULL
        ORDER BY subject FOR UPDATE",
    )
    .fetch_all(connection)
    .await?;
    Ok(admins.into_iter().any(|admin| admin != id.uuid()))
}

/// A deleted account of whose party something is kept elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deleted {
    /// The account.
    pub account: AccountId,
    /// Who it was to the dispatcher.
    pub party: Party,
    /// When it was deleted.
    pub at: Timestamp,
    /// Whether it ever had a key of the test world.
    pub tried_out: bool,
}

/// Deleted accounts of whose parties something is kept elsewhere, the longest deleted first, after one of them.
pub(crate) async fn to_forget(pool: &Pool, after: Option<&Deleted>, limit: i64) -> Result<Vec<Deleted>, StorageError> {
    let rows = sqlx::query!(
        r#"SELECT id, role, subject, deleted_at AS "deleted_at!",
            EXISTS (SELECT FROM api_keys AS key WHERE key.account_id = accounts.id AND key.world = 'test') AS "tried_out!"
        FROM accounts
        WHERE deleted_at IS NOT NULL AND forgotten_at IS NULL AND (deleted_at, id) > ($1, $2)
        ORDER BY deleted_at, id LIMIT $3"#,
        after.map_or(Timestamp::UNIX_EPOCH, |after| after.at),
        after.map_or(Uuid::nil(), |after| after.account.uuid()),
        limit,
    )
    .fetch_all(pool.connections())
    .await?;
    let deleted = rows.into_iter().map(|row| {
        let account = AccountId::from_uuid(row.id);
        let role = Role::ALL.into_iter().find(|role| role.name() == row.role);
        let role = role.ok_or_else(|| StorageError::corrupt(format!("account {account}"), "an unknown role"))?;
        Ok(Deleted { account, party: party(role, row.subject), at: row.deleted_at, tried_out: row.tried_out })
    });
    deleted.collect()
}

/// Notes that nothing is kept elsewhere of a deleted account's party.
pub(crate) async fn forgotten(pool: &Pool, id: AccountId, now: Timestamp) -> Result<bool, StorageError> {
    let done = sqlx::query!(
        "UPDATE accounts SET forgotten_at = $2 WHERE id = $1 AND deleted_at IS NOT NULL AND forgotten_at IS NULL",
        id.uuid(),
        now,
    )
    .execute(pool.connections())
    .await?;
    Ok(done.rows_affected() == 1)
}
