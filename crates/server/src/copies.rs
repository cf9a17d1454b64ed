//! Copies of a database: what they do not do, how that is said, and `posthaste go-live`, by which somebody says that one is
//! the real one.

use std::fmt;
use std::time::Duration;

use metrics::{describe_gauge, gauge};
use posthaste_clock::Clock;
use posthaste_domain::Timestamp;
use posthaste_jobs::Jobs;
use posthaste_live::stopping::Leave;
use posthaste_storage::feed::Feed;
use posthaste_storage::installation::{self, Outside, Standing, Waiting};
use posthaste_storage::pool::{Pool, Schemas};
use posthaste_storage::restoring::Target;
use posthaste_storage::sealed::Seal;
use posthaste_testworld::SCHEMA;
use tokio::task::JoinHandle;

use crate::cli::GoLiveArgs;
use crate::configuration::{Configuration, Mode};
use crate::database::Database;
use crate::{Fatal, telemetry};

/// How often the log says again that things are held. Rarer is overlooked, more often fills it.
const REMIND_EVERY: Duration = Duration::from_secs(600);
/// How one says that a copy is the real one.
pub(crate) const HOW: &str = "`posthaste go-live`, with the server's configuration";

/// Whether this server may act towards the outside, and says in the log where it may not.
pub(crate) async fn outside(configuration: &Configuration, database: &Database) -> Result<Outside, Fatal> {
    let standing = installation::recognise(&database.pool, database.directory()).await?;
    if let Standing::Copy { since } = standing {
        tracing::error!(
            real_since = %since,
            "this database is a copy of another: webhooks, emails and texts are held until somebody says that it is the \
             real one ({HOW})"
        );
        return Ok(Outside::Held);
    }
    if configuration.database.hold_outside {
        tracing::warn!("hold_outside is set: webhooks, emails and texts are held");
        return Ok(Outside::Held);
    }
    Ok(Outside::Open)
}

/// Keeps the figure that says whether things are held, once a recorder is there.
pub(crate) fn measure(outside: Outside) {
    describe_gauge!("posthaste_outside_held", "1 where webhooks, emails and texts are held, 0 where they are sent.");
    gauge!("posthaste_outside_held").set(if outside.is_held() { 1.0 } else { 0.0 });
}

/// Says it again and again. Ends when it is dropped.
pub(crate) struct Reminder(JoinHandle<()>);

impl Drop for Reminder {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Begins to say again and again that things are held, and how many.
pub(crate) fn remind(database: &Database) -> Reminder {
    let (pool, schemas) = (database.pool.clone(), database.schemas());
    Reminder(tokio::spawn(async move {
        loop {
            tokio::time::sleep(REMIND_EVERY).await;
            match Held::count(&pool, schemas.as_ref()).await {
                Ok(held) => tracing::warn!("nothing leaves this server: {held} held"),
                Err(error) => tracing::warn!(error, "nothing leaves this server, and what is held cannot be counted"),
            }
        }
    }))
}

/// What waits, in both worlds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Held {
    webhooks: i64,
    letters: i64,
    since: Option<Timestamp>,
}

impl Held {
    async fn count(pool: &Pool, schemas: Option<&Schemas>) -> Result<Self, Fatal> {
        let mut held = Self::default();
        let letters = posthaste_notifications::held::waiting(pool).await?;
        held.letters = letters.count;
        held.note(letters.since);
        held.add(posthaste_webhooks::held::waiting(pool).await?);
        if let Some(test) = test_world(schemas).await? {
            let waiting = posthaste_webhooks::held::waiting(&test).await;
            test.close().await;
            held.add(waiting?);
        }
        Ok(held)
    }

    fn add(&mut self, waiting: Waiting) {
        self.webhooks += waiting.count;
        self.note(waiting.since);
    }

    fn note(&mut self, since: Option<Timestamp>) {
        self.since = self.since.into_iter().chain(since).min();
    }

    fn is_nothing(&self) -> bool {
        self.webhooks + self.letters == 0
    }
}

impl fmt::Display for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} webhooks and {} emails and texts", self.webhooks, self.letters)?;
        self.since.map_or(Ok(()), |since| write!(f, " (the oldest of {})", since.format("%Y-%m-%d %H:%M UTC")))
    }
}

async fn test_world(schemas: Option<&Schemas>) -> Result<Option<Pool>, Fatal> {
    match schemas {
        Some(schemas) => Ok(schemas.existing(SCHEMA, 1).await?),
        None => Ok(None),
    }
}

/// `posthaste go-live`: this database is the real one.
pub(crate) async fn go_live(args: GoLiveArgs) -> Result<(), Fatal> {
    let configuration = args.overrides.clone().resolve("", 1.0, Mode::Production)?;
    telemetry::to_stderr(&configuration.logging("error"))?;
    let database = Database::open(&configuration).await?;
    let done = declare(&args, &configuration, &database).await;
    database.close(&Leave::InOrder.budget()).await?;
    for line in done? {
        println!("{line}");
    }
    Ok(())
}

async fn declare(args: &GoLiveArgs, configuration: &Configuration, database: &Database) -> Result<Vec<String>, Fatal> {
    let (pool, directory) = (&database.pool, database.directory());
    if !matches!(installation::standing(pool, directory).await?, Standing::Copy { .. }) {
        installation::recognise(pool, directory).await?;
        let mut lines = vec!["This database is the real one already; nothing was changed.".to_owned()];
        lines.extend(configuration.database.hold_outside.then(held_by_configuration));
        return Ok(lines);
    }
    let schemas = Schemas::of(database.url())?;
    let held = Held::count(pool, Some(&schemas)).await?;
    let mut lines = Vec::new();
    match (held.is_nothing(), args.discard_held, args.send_held) {
        (true, ..) => lines.push("Nothing was held.".to_owned()),
        (false, true, _) => {
            discard(configuration, pool, &schemas, database.url()).await?;
            lines.push(format!("{held} are not sent. Merchants can have their webhooks replayed."));
        }
        (false, _, true) => {
            lines.push(format!("{held} are sent by the server, but for codes that are too old by then."))
        }
        (false, false, false) => {
            return Err(format!(
                "{held} wait in this copy, some of which the database that it was copied from may have sent. Say what \
                 becomes of them: --send-held or --discard-held. Nothing was changed"
            )
            .into());
        }
    }
    installation::declare(pool, directory).await?;
    lines.push("This database is the real one now: a server that runs on it sends once it is restarted.".to_owned());
    lines.extend(configuration.database.hold_outside.then(held_by_configuration));
    Ok(lines)
}

fn held_by_configuration() -> String {
    "But hold_outside (POSTHASTE_HOLD_OUTSIDE) is set: a server with this configuration sends nothing.".to_owned()
}

/// Lets nothing that waits leave, in both worlds.
async fn discard(configuration: &Configuration, pool: &Pool, schemas: &Schemas, url: &str) -> Result<(), Fatal> {
    let newest = posthaste_storage::clock::load(pool).await?;
    let clock = Clock::at_speed(configuration.program.clock_speed, newest)?;
    posthaste_notifications::held::give_up(pool, clock.wall()).await?;
    // Until this is done no server starts.
    let mut target = Target::connect(url).await?;
    let is_alone = target.keep_servers_out().await.is_ok();
    set_aside(pool, &clock, is_alone).await?;
    if let Some(test) = test_world(Some(schemas)).await? {
        let set_aside = set_aside(&test, &clock, is_alone).await;
        test.close().await;
        set_aside?;
    }
    target.close().await;
    Ok(())
}

/// Sets a world's webhooks aside. Events of the feed that are no messages yet are read where no server writes: one that does
/// makes messages of them within moments, and alone knows up to where they can be read.
async fn set_aside(pool: &Pool, clock: &Clock, is_alone: bool) -> Result<u64, Fatal> {
    let mark = if is_alone { Feed::open(pool).await?.mark() } else { 0 };
    // Jobs of webhooks say nothing that would be sealed.
    let jobs = Jobs::new(pool.clone(), Seal::new(&[]), clock.clone(), Outside::Held);
    Ok(posthaste_webhooks::held::set_aside(&jobs, mark).await?)
}
