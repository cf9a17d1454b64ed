//! Identity and notifications as the configuration says, and the commands that administer them.

use std::io::{IsTerminal, Read};

use posthaste_clock::Clock;
use posthaste_domain::Span;
use posthaste_identity::{Hashing, Identity, Origin, Parts, SecondFactorGiven, Settings, random_password};
use posthaste_jobs::Jobs;
use posthaste_live::stopping::Leave;
use posthaste_notifications::{Carrier, Notifications};
use posthaste_protocol::accounts::Secret;
use posthaste_storage::installation::Outside;
use posthaste_storage::pool::Pool;

use crate::cli::{AdminArgs, AdminCommand, CreateAdminArgs, KeysArgs};
use crate::configuration::{Configuration, Mode};
use crate::database::Database;
use crate::token_key::TokenKey;
use crate::{Fatal, telemetry, token_key};

/// Where development's emails and texts are written, in the data directory.
const MAILBOX: &str = "mail";

/// Who sends emails and texts.
pub(crate) fn notifications(configuration: &Configuration, jobs: &Jobs) -> Result<Notifications, Fatal> {
    let mailbox =
        || configuration.is_development().then(|| Carrier::mailbox(configuration.program.data_dir.join(MAILBOX)));
    let email = match (&configuration.notifications.smtp_url, &configuration.notifications.mail_from) {
        (Some(url), Some(from)) => Some(Carrier::smtp(url, from)?),
        _ => mailbox(),
    };
    let text = match configuration.twilio.clone() {
        Some(settings) => Some(Carrier::twilio(settings)?),
        None => mailbox(),
    };
    if email.is_none() {
        tracing::warn!("no mail server is configured (smtp_url): nobody can register, and no password be recovered");
    }
    Ok(Notifications::new(jobs.clone(), email, text))
}

/// Who may come in.
pub(crate) async fn identity(
    configuration: &Configuration,
    pool: &Pool,
    clock: &Clock,
    secret: &TokenKey,
    notifications: Notifications,
) -> Result<Identity, Fatal> {
    let defaults = Settings::default();
    let settings = Settings {
        development: configuration.is_development(),
        mailbox: Some(configuration.program.data_dir.join(MAILBOX)),
        access_token: Span::minutes(i64::from(configuration.identity.access_token_minutes)),
        signing_key: Span::days(i64::from(configuration.identity.signing_key_days)),
        admins_need_second_factor: configuration.identity.admin_second_factor,
        audit_days: kept(configuration.identity.audit_retention_days),
        google: configuration.google.clone(),
        hashing: Hashing { memory_kib: configuration.identity.password_memory_kib, ..defaults.hashing },
        ..defaults
    };
    if settings.development && !configuration.serving.listen.ip().is_loopback() {
        tracing::warn!(listen = %configuration.serving.listen, "in development, and reachable from other machines");
    }
    let (keys, seal) = (secret.keys()?, secret.seal());
    let parts = Parts { pool: pool.clone(), clock: clock.clone(), seal, keys, notifications, settings };
    Ok(Identity::open(parts).await?)
}

/// Days of a setting where 0 means that it does not end.
pub(crate) fn kept(days: u32) -> Option<u32> {
    (days > 0).then_some(days)
}

/// Runs a piece of work on the database, without serving.
async fn with_identity<T>(
    configuration: &Configuration,
    work: impl AsyncFnOnce(Identity) -> Result<T, Fatal>,
) -> Result<T, Fatal> {
    let mut secret = token_key::found_or_drafted(configuration)?;
    let database = Database::open(configuration).await?;
    let clock = Clock::system();
    let worked = async {
        secret.settle(configuration, &database.pool).await?;
        // What is to be sent is left to the server.
        let jobs = Jobs::new(database.pool.clone(), secret.seal(), clock.clone(), Outside::Held);
        let outbox = notifications(configuration, &jobs)?;
        work(identity(configuration, &database.pool, &clock, &secret, outbox).await?).await
    }
    .await;
    database.close(&Leave::InOrder.budget()).await?;
    worked
}

/// `posthaste admin create`: an admin who can sign in.
pub(crate) async fn admin(args: AdminArgs) -> Result<(), Fatal> {
    let AdminCommand::Create(CreateAdminArgs { email, name, password_stdin, overrides }) = args.command;
    let configuration = overrides.resolve("", 1.0, Mode::Production)?;
    telemetry::to_stderr(&configuration.logging("error"))?;
    let password = if password_stdin {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text)?;
        Secret(text.trim_end_matches(['\r', '\n']).to_owned())
    } else {
        Secret(random_password())
    };
    let made = with_identity(&configuration, async |identity| {
        let made = if configuration.identity.admin_second_factor {
            identity.create_admin_with_second_factor(&email, &name, &password).await
        } else {
            identity.create_admin(&email, &name, &password).await.map(|account| (account, None))
        };
        made.map_err(|refused| match refused {
            posthaste_identity::Refused::Invalid(errors) => {
                let texts: Vec<_> = errors.iter().map(|e| format!("{} {}", e.field, e.problem)).collect();
                texts.join("; ").into()
            }
            other => other.into(),
        })
    });
    let (account, second_factor) = made.await?;
    eprintln!("{} ({}) is an admin", account.email, account.id);
    if let Some(given) = &second_factor {
        show(given);
    }
    if !password_stdin {
        eprintln!("The password is shown this once. Change it after signing in.");
        println!("{}", password.expose());
    }
    Ok(())
}

/// Shows a second factor, to be scanned or typed, and written down. Beside the output: that is the password alone.
fn show(given: &SecondFactorGiven) {
    // Dark on light, whatever the terminal's colours are: not every authenticator reads it the other way round.
    let (light, plain) = if std::io::stderr().is_terminal() { ("\u{1b}[30;107m", "\u{1b}[0m") } else { ("", "") };
    eprintln!("\nThe second factor is on. Scan this with an authenticator; it is shown this once:\n");
    for line in given.qr_text.expose().lines() {
        eprintln!("{light}{line}{plain}");
    }
    eprintln!("\nOr type the secret: {}\n", given.secret.expose());
    eprintln!("For who has lost the authenticator, each good for once:");
    for code in &given.recovery_codes {
        eprintln!("  {}", code.expose());
    }
    eprintln!();
}

/// `posthaste keys rotate`: the next signing key, now.
pub(crate) async fn keys(args: KeysArgs) -> Result<(), Fatal> {
    let configuration = args.overrides().resolve("", 1.0, Mode::Production)?;
    telemetry::to_stderr(&configuration.logging("error"))?;
    with_identity(&configuration, async |identity| Ok(identity.rotate_keys(&Origin::local()).await?)).await?;
    eprintln!("a new signing key is published; it signs in two minutes, and the one before is still accepted");
    Ok(())
}
