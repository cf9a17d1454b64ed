//! Postgres and the database: whether they are there, fit, and are the ones that are meant.

use std::time::Duration;

use posthaste_client::{Client, RetryRule, Token};
use posthaste_clock::Clock;
use posthaste_domain::{Span, Timestamp};
use posthaste_identity::{accounts, signing_keys};
use posthaste_postgres::beside::{self, Seen};
use posthaste_postgres::{Download, EmbeddedOptions};
use posthaste_storage::examine::{Examined, Migrations, examine};
use posthaste_storage::installation::Standing;
use posthaste_storage::pool::{self, Pool};
use posthaste_storage::sealed::Seal;

use super::Asked;
use super::finding::Finding;
use crate::configuration::Configuration;
use crate::database::{explained, options, place_of};
use crate::{copies, listening, telemetry, token_key};

/// The oldest Postgres.
const OLDEST: u32 = 14;
/// How far two clocks may be apart before somebody should know.
const APART: Span = Span::seconds(5);
/// How long a server that runs may take to answer.
const ANSWER: Duration = Duration::from_secs(5);

/// Whether a server answers where this configuration listens, and is ready.
pub(super) async fn answers(configuration: &Configuration) -> bool {
    let address = listening::from_here(configuration.serving.listen);
    let Ok(client) = Client::new(format!("http://{address}"), Token::None) else { return false };
    client.with_retry(RetryRule { tries: 1, ..RetryRule::default() }).with_timeout(ANSWER).is_ready().await
}

/// The private Postgres as it lies there.
pub(super) async fn seen(configuration: &Configuration) -> Result<Seen, Finding> {
    beside::look(&options(configuration)).await.map_err(|error| Finding::failed("postgres", telemetry::chain(&error)))
}

/// Whether there are binaries that fit the private Postgres' data.
pub(super) async fn binaries(configuration: &Configuration, seen: &Seen) -> Finding {
    // To look is no reason to download.
    let options = EmbeddedOptions { download: Download::Never, ..options(configuration) };
    let data = seen.written_by.map_or("no data yet".to_owned(), |major| format!("data of version {major}"));
    match beside::binaries(&options).await {
        Ok((directory, major)) => {
            Finding::ok("postgres", format!("version {major} in {}; {data}", directory.display()))
        }
        Err(error) if configuration.database.postgres_download && seen.written_by.is_none() => {
            let says = format!("the first start downloads one: {}", telemetry::chain(&error));
            Finding::warning("postgres", says, "install one before that, where nothing is to be downloaded")
        }
        Err(error) => Finding::failed("postgres", telemetry::chain(&error)),
    }
}

/// The database, where it can be reached without starting anything.
pub(super) async fn database(configuration: &Configuration, seen: Option<&Seen>, asked: Asked) -> Vec<Finding> {
    let url = match (&configuration.database.database_url, seen) {
        (Some(url), _) => url.clone(),
        (None, Some(Seen { url: Some(url), .. })) => url.clone(),
        (None, Some(Seen { written_by: Some(_), .. })) => {
            return vec![Finding::ok("database", "not running; looked into when a server starts it")];
        }
        (None, _) => return vec![Finding::ok("database", "made at the first start")],
    };
    let pool = match pool::connect_to_read(&url, 1).await {
        Ok(pool) => pool,
        Err(error) => return vec![Finding::failed("database", explained(configuration, &error).to_string())],
    };
    let directory = seen.and_then(|seen| seen.directory.clone()).map(place_of);
    let findings = match examine(&pool, directory.as_ref()).await {
        Ok(examined) => {
            let mut findings = judged(configuration, &examined, asked, Clock::system().wall());
            if examined.migrations.applied > 0 && examined.migrations.unknown.is_empty() {
                findings.extend(people(configuration, &pool).await);
            }
            findings
        }
        Err(error) => vec![Finding::failed("database", telemetry::chain(&error))],
    };
    pool.close().await;
    findings
}

/// What follows from how the database is.
fn judged(configuration: &Configuration, examined: &Examined, asked: Asked, wall: Timestamp) -> Vec<Finding> {
    let mut findings = vec![
        if examined.major < OLDEST {
            let mend = format!("use Postgres {OLDEST} or newer: database_url (DATABASE_URL)");
            Finding::wrong("database", format!("it is Postgres {}", examined.major), mend)
        } else if !examined.has_extension {
            let mend = "install Postgres' contributed extensions (`postgresql-contrib`), or another server";
            Finding::wrong("database", "the extension btree_gist is missing", mend)
        } else {
            Finding::ok("database", format!("Postgres {} answers", examined.major))
        },
        migrations(&examined.migrations, configuration.database.no_migrate && asked == Asked::MayStart),
    ];
    if examined.is_led && asked == Asked::MayStart && configuration.database.database_url.is_some() {
        findings.push(if configuration.database.standby {
            Finding::ok("lead", "another server leads this database: this one would stand by")
        } else {
            let says = "another server leads this database: a start waits for it to leave, a minute at most";
            Finding::warning("lead", says, "stop it first, or start to take over from it")
        });
    }
    if let Some(Standing::Copy { since }) = examined.standing {
        let says = format!("this is a copy of a database that is the real one since {since}: nothing is sent");
        findings.push(Finding::warning(
            "outside",
            says,
            format!("if it is the real one now, say so with {}", copies::HOW),
        ));
    }
    findings.extend(clocks(configuration, examined, wall));
    findings
}

/// `as_it_is`: whether the start that is asked about migrates nothing.
fn migrations(migrations: &Migrations, as_it_is: bool) -> Finding {
    let numbers = |list: &[i64]| list.iter().map(i64::to_string).collect::<Vec<_>>().join(", ");
    if migrations.fits && !migrations.unknown.is_empty() {
        let says = format!(
            "a newer posthaste has changed the database (migration {}), as this one can bear",
            numbers(&migrations.unknown)
        );
        return Finding::ok("migrations", says);
    }
    if !migrations.unknown.is_empty() {
        let says = format!("a newer posthaste has changed the database (migration {})", numbers(&migrations.unknown));
        return Finding::wrong("migrations", says, "run that version, or one newer still");
    }
    if !migrations.broken.is_empty() {
        let says = format!("migration {} is not as this program has it", numbers(&migrations.broken));
        return Finding::wrong("migrations", says, "restore a backup; an edited program may be the cause");
    }
    if as_it_is && !migrations.pending.is_empty() {
        let says = format!(
            "{} are missing ({}), and no_migrate is set",
            migrations.pending.len(),
            numbers(&migrations.pending)
        );
        return Finding::wrong("migrations", says, "`posthaste migrate` first");
    }
    match (migrations.applied, migrations.pending.len()) {
        (applied, 0) => Finding::ok("migrations", format!("all {applied} are applied")),
        (0, pending) => Finding::ok("migrations", format!("the database is empty: a start applies {pending}")),
        (_, pending) => {
            let says = format!("a start applies {pending} ({})", numbers(&migrations.pending));
            Finding::warning("migrations", says, "make a backup before it: `posthaste backup FILE`")
        }
    }
}

/// Whether the machine's clock can be right.
fn clocks(configuration: &Configuration, examined: &Examined, wall: Timestamp) -> Vec<Finding> {
    let apart = (wall - examined.now).abs();
    let mut findings = vec![if apart > APART {
        let says = format!("this machine's clock and the database's are {} s apart", apart.num_seconds());
        Finding::warning("clock", says, "let both follow a time server (NTP): tokens and deadlines go by them")
    } else {
        Finding::ok("clock", "this machine's and the database's agree")
    }];
    #[expect(clippy::float_cmp, reason = "exactly 1 is the machine's own pace")]
    let follows = configuration.program.clock_speed == 1.0;
    if let Some(checkpoint) = examined.checkpoint.filter(|checkpoint| follows && *checkpoint - wall > Span::minutes(1))
    {
        let says = format!("the product's clock was at {checkpoint}, ahead of the machine's: it goes on from there");
        let mend = "set the machine's clock; a database that ran faster (clock_speed) is ahead for good";
        findings.push(Finding::warning("clock", says, mend));
    }
    findings
}

/// Whether the token key is the one that values were sealed with, and whether anybody can administer.
async fn people(configuration: &Configuration, pool: &Pool) -> Vec<Finding> {
    let mut findings = Vec::new();
    if let Ok(Some(key)) = token_key::known(configuration)
        && matches!(signing_keys::opens(pool, &Seal::new(key.as_bytes())).await, Ok(Some(false)))
    {
        let says = "it is not the key that this database's values were sealed with";
        let mend = "give the one that it was made with: token_key (POSTHASTE_TOKEN_KEY)";
        findings.push(Finding::wrong("token key", says, mend));
    }
    if !configuration.is_development() {
        findings.push(match accounts::has_admin(pool).await {
            Ok(true) => Finding::ok("admin", "there is one"),
            Ok(false) => Finding::warning(
                "admin",
                "there is no admin who can sign in",
                "`posthaste admin create --email …`, with the server's configuration",
            ),
            // Of a database from before there were accounts: they come with its migrations.
            Err(_) => Finding::ok("admin", "not asked: migrations come first"),
        });
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::super::finding::State;
    use super::*;
    use crate::configuration::{Mode, Overrides};

    fn examined(wall: Timestamp) -> Examined {
        Examined {
            major: 15,
            now: wall,
            has_extension: true,
            migrations: Migrations { applied: 3, fits: true, ..Migrations::default() },
            is_led: false,
            standing: Some(Standing::Real),
            checkpoint: Some(wall),
        }
    }

    fn states(examined: &Examined, asked: Asked, wall: Timestamp) -> Vec<(&'static str, State)> {
        let overrides = Overrides::given("database_url = 'postgres://db/p'");
        let configuration = overrides.resolve("", 1.0, Mode::Production).unwrap();
        let findings = judged(&configuration, examined, asked, wall);
        findings.iter().filter(|f| f.state() > State::Ok).map(|f| (f.check(), f.state())).collect()
    }

    #[test]
    fn each_fault_of_a_database_is_found_and_a_sound_one_has_none() {
        let wall = Clock::system().wall();
        let sound = examined(wall);
        assert_eq!(states(&sound, Asked::MayStart, wall), []);
        let cases = [
            (Examined { major: 12, ..sound.clone() }, ("database", State::Wrong)),
            (Examined { has_extension: false, ..sound.clone() }, ("database", State::Wrong)),
            (with(&sound, |m| (m.unknown, m.fits) = (vec![99], false)), ("migrations", State::Wrong)),
            (with(&sound, |m| m.broken = vec![1]), ("migrations", State::Wrong)),
            (with(&sound, |m| m.pending = vec![4]), ("migrations", State::Warning)),
            (Examined { standing: Some(Standing::Copy { since: wall }), ..sound.clone() }, ("outside", State::Warning)),
            (Examined { now: wall - Span::seconds(30), ..sound.clone() }, ("clock", State::Warning)),
            (Examined { checkpoint: Some(wall + Span::hours(1)), ..sound.clone() }, ("clock", State::Warning)),
            (Examined { is_led: true, ..sound.clone() }, ("lead", State::Warning)),
        ];
        for (examined, found) in cases {
            assert_eq!(states(&examined, Asked::MayStart, wall), [found], "{examined:?}");
        }
        let older = with(&sound, |m| m.pending = vec![4]);
        assert_eq!(migrations(&older.migrations, true).state(), State::Wrong, "where nothing is to be migrated");
        let newer = with(&sound, |m| m.unknown = vec![99]);
        assert_eq!(states(&newer, Asked::MayStart, wall), [], "what is newer may say that this program can bear it");
        let led = Examined { is_led: true, ..sound };
        assert_eq!(states(&led, Asked::HowItIs, wall), [], "a server that runs is no fault of an installation");
    }

    fn with(sound: &Examined, change: impl FnOnce(&mut Migrations)) -> Examined {
        let mut examined = sound.clone();
        change(&mut examined.migrations);
        examined
    }
}
