//! The command line.

mod operations;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use posthaste_domain::party::Party;
use posthaste_protocol::insight::By;

pub(crate) use self::operations::{
    BackupArgs, DoctorArgs, GoLiveArgs, HealthArgs, MigrateArgs, RestoreArgs, StandInsArgs,
};
use crate::configuration::Overrides;
use crate::insight::Moment;

/// Real-time delivery dispatch: orders over REST, drivers over WebSocket, everything acknowledged in Postgres first.
#[derive(Debug, Parser)]
#[command(version, arg_required_else_help = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What the program can do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the server.
    #[command(after_help = "Examples:\n  posthaste serve\n  posthaste serve --listen 0.0.0.0:8080 \
        --database-url postgres://user@host/db\n  posthaste serve --config /etc/posthaste.toml --log-format json\n  \
        posthaste serve --standby --database-url postgres://user@host/db        (on two machines: one serves, one stands by)\n  \
        posthaste serve --config /etc/posthaste.toml --check        (would it start? Nothing is started or changed)")]
    Serve(ServeArgs),
    /// Run the server with a simulated city on it, and show what goes on.
    #[command(after_help = "Examples:\n  posthaste demo\n  posthaste demo --drivers 200 --orders-per-hour 500 \
        --clock-speed 30\n  posthaste demo --duration 10m --seed 7")]
    Demo(DemoArgs),
    /// Play a recorded day of real orders through REST and sockets, and write what became of each order.
    #[command(
        after_help = "Examples:\n  posthaste replay days/0o100t100s1p100 --trace trace.csv --clock-speed 120\n  \
        posthaste replay days/0o100t100s1p100 --trace trace.csv --server http://127.0.0.1:8080"
    )]
    Replay(ReplayArgs),
    /// Play a recorded day in virtual time, without server and sockets: the policy alone, in seconds.
    #[command(
        after_help = "Examples:\n  posthaste simulate --policy routed --mdrp days/0o100t100s1p100 --trace trace.csv\n  \
        posthaste simulate --mdrp days/0o100t100s1p100 --trace trace.csv --send-ahead --interleave"
    )]
    Simulate(SimulateArgs),
    /// Several policies over several recorded days, side by side, as a table and as a page with charts.
    #[command(after_help = "Examples:\n  posthaste compare --days days/* --html compare.html\n  \
        posthaste compare --days days/* --policies routed,routed+interleave --csv compare.csv\n  \
        posthaste compare --days days/* --policies routed --with replay=traces/replayed\n\n\
        A directory of traces has one file for each day, named after it: DAY.csv. With --traces, \
        simulated days are written as TRACES/POLICY/DAY.csv, so that a later comparison can read \
        them with --with NAME=TRACES/POLICY.")]
    Compare(CompareArgs),
    /// Write a day of one's own in the format of recorded days, without names. Reads only, also beside the running server.
    #[command(
        name = "export-day",
        after_help = "Examples:\n  posthaste export-day days/mine --date 2026-05-01\n  \
        posthaste export-day days/mine --date 2026-05-01 --zone Centre --utc-offset +02:00 --step-meters 100\n  \
        TZ=Europe/Berlin posthaste export-day days/mine --date 2026-05-01\n\n\
        Then: posthaste compare --days days/mine --html compare.html"
    )]
    ExportDay(ExportDayArgs),
    /// Show how deliveries went: on-time share, click-to-door, ready-to-pickup, utilisation, bundling and offers.
    #[command(after_help = "Examples:\n  posthaste insight\n  posthaste insight --from 6h --zone Centre\n  \
        posthaste insight --shadow --from 6h\n  \
        posthaste insight --from 2026-05-01 --to 2026-05-08 --by day --csv > week.csv\n  \
        posthaste insight --data-dir ~/.local/share/posthaste/demo        (of a running demo)")]
    Insight(InsightArgs),
    /// Make an access token for development, signed with the server's key. Refused in production.
    #[command(
        after_help = "Examples (with POSTHASTE_MODE=development, as the server):\n  posthaste token admin\n  posthaste token mer_01jd8v7cjxfm9sxv0q3e0b5z1c \
        --valid-for 30d\n  posthaste token merchant        (a new merchant; its id is in the token and on stderr)"
    )]
    Token(TokenArgs),
    /// Administer admins.
    #[command(after_help = "Example:\n  posthaste admin create --email ada@example.org")]
    Admin(AdminArgs),
    /// Administer the keys that sign access tokens.
    #[command(after_help = "Example:\n  posthaste keys rotate        (nobody is signed out)")]
    Keys(KeysArgs),
    /// Say what is wrong with an installation, whether its server runs or not: a line for each thing that was looked at.
    ///
    /// Nothing is changed. Fails (1) where something is wrong; a warning is not.
    #[command(after_help = "Examples:\n  posthaste doctor\n  posthaste doctor --config /etc/posthaste.toml --json\n\n\
        `posthaste serve --check` looks at the same before a start.")]
    Doctor(DoctorArgs),
    /// Bring the database up to date, as a step before the new version serves; beside a running server or without one.
    ///
    /// `--check` says what would run, and leaves everything as it is: it runs it in a transaction and takes that back, so it
    /// shows how long each migration takes on these data and which tables it locks meanwhile. A server that runs waits so
    /// long for what is locked.
    #[command(
        after_help = "Examples:\n  posthaste migrate --check\n  posthaste migrate --config /etc/posthaste.toml\n  \
        posthaste migrate --check --at-most 60s --json\n\nThen: posthaste serve --no-migrate"
    )]
    Migrate(MigrateArgs),
    /// Ask the server of this configuration whether it is ready for work. Fails (1) where it is not: for containers and scripts.
    #[command(after_help = "Examples:\n  posthaste health\n  posthaste health --server https://api.example.org\n  \
        HEALTHCHECK CMD [\"/posthaste\", \"health\"]        (in a Dockerfile)")]
    Health(HealthArgs),
    /// Save the database into a file, beside a running server or without one.
    #[command(
        after_help = "Examples:\n  posthaste backup posthaste-2026-05-01.backup\n  posthaste backup nightly.backup \
        --database-url postgres://user@host/db"
    )]
    Backup(BackupArgs),
    /// Fill an empty database from a backup. It is a copy then, which sends nothing to the outside until `go-live`.
    #[command(after_help = "Examples:\n  posthaste restore posthaste-2026-05-01.backup\n  posthaste restore \
        posthaste-2026-05-01.backup --data-dir /srv/staging\n  posthaste restore nightly.backup --replace        (what is \
        there is removed for good)")]
    Restore(RestoreArgs),
    /// Say that this database is the real one, and no copy of another: webhooks, emails and texts are sent again.
    ///
    /// A database that was restored, copied or moved is a copy until then: the server works, and sends nothing to the
    /// outside. Restart it afterwards.
    #[command(after_help = "Examples:\n  posthaste go-live\n  posthaste go-live --discard-held        (what waits is \
        not sent; merchants can have webhooks replayed)")]
    GoLive(GoLiveArgs),
    /// Run local servers in the place of outside services: a mail server, a sender of texts with Twilio's interface.
    ///
    /// For development and tests. Nothing leaves the machine; what was sent is kept in memory and shown at /messages, and
    /// /rules makes them misbehave. Prints the settings by which a server uses them.
    #[command(
        name = "stand-ins",
        after_help = "Examples:\n  posthaste stand-ins\n  posthaste stand-ins --smtp-port 0 --http-port 0        (free ports)\n  \
        curl -s http://127.0.0.1:2580/messages\n  curl -s http://127.0.0.1:2580/rules --json \
        '{\"kind\": \"email\", \"to\": \"ada@*\", \"manner\": {\"refuses\": {\"code\": 451}}, \"times\": 1}'\n\n\
        Manners: silent, garbage, wrong_password, takes_and_hangs, takes_and_cuts, {\"closed\": {\"code\": N}}, \
        {\"refuses\": {\"code\": N}}, {\"refuses_contents\": {\"code\": N}}, {\"slow\": {\"millis\": N}}. Without a rule: \
        ada+451@example.org is refused with 451, ada+hang@… and ada+cut@… are taken without an answer."
    )]
    StandIns(StandInsArgs),
    /// Print the OpenAPI document, or a Postman collection made from it.
    #[command(
        after_help = "Examples:\n  posthaste openapi > openapi.json\n  posthaste openapi --postman > posthaste.postman_collection.json"
    )]
    Openapi(OpenapiArgs),
    /// Print who may do what: every route and message of a socket, with the contract of each.
    #[command(after_help = "Examples:\n  posthaste access > docs/access.md\n  posthaste access | grep webhooks")]
    Access,
    /// Print the AsyncAPI document: the sockets.
    #[command(after_help = "Example:\n  posthaste asyncapi > asyncapi.json")]
    Asyncapi,
}

/// Prints the document of the API.
#[derive(Debug, Args)]
pub(crate) struct OpenapiArgs {
    /// As a collection for Postman (2.1), to be imported there: set its variables `baseUrl` and `token`.
    #[arg(long)]
    pub(crate) postman: bool,
}

/// Runs the server.
#[derive(Debug, Args)]
pub(crate) struct ServeArgs {
    /// Say what would keep it from starting now, and start nothing. Fails (1) where something is wrong.
    #[arg(long)]
    pub(crate) check: bool,
    /// With --check: for programs, as JSON.
    #[arg(long, requires = "check")]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) overrides: Overrides,
}

/// Runs the demo.
#[derive(Debug, Args)]
pub(crate) struct DemoArgs {
    #[command(flatten)]
    pub(crate) overrides: Overrides,
    /// How many drivers the city has.
    #[arg(long, default_value_t = 60)]
    pub(crate) drivers: u32,
    /// How many orders the city places in an hour of product time.
    #[arg(long, default_value_t = 150.0)]
    pub(crate) orders_per_hour: f64,
    /// Place orders for this long (real time), as in `90s`, `10m`, `2h`, then let what is open come to its end and
    /// stop; without it, run until Ctrl-C.
    #[arg(long, value_parser = duration)]
    pub(crate) duration: Option<std::time::Duration>,
    /// What the city's people do follows from this number.
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
}

/// Replays a recorded day.
#[derive(Debug, Args)]
pub(crate) struct ReplayArgs {
    /// Directory of the day: couriers.txt, restaurants.txt, orders.txt, instance_parameters.txt.
    pub(crate) dir: PathBuf,
    /// Where to write the trace (CSV, one line per delivered order).
    #[arg(long)]
    pub(crate) trace: PathBuf,
    /// A running server to play against; without it, the program starts its own on a fresh data directory. Tokens are
    /// signed with the key of this configuration, so it must be that server's.
    #[arg(long)]
    pub(crate) server: Option<String>,
    /// The dispatch policy of the day's zone.
    #[arg(long, default_value = "least_busy")]
    pub(crate) policy: String,
    /// With the policy routed: idle couriers are advised to wait at restaurants that will need somebody soon, and do.
    #[arg(long)]
    pub(crate) send_ahead: bool,
    #[command(flatten)]
    pub(crate) overrides: Overrides,
}

/// Simulates a recorded day.
#[derive(Debug, Args)]
pub(crate) struct SimulateArgs {
    /// The dispatch policy: least_busy, routed.
    #[arg(long, default_value = "routed")]
    pub(crate) policy: String,
    /// Directory of the day: couriers.txt, restaurants.txt, orders.txt, instance_parameters.txt.
    #[arg(long)]
    pub(crate) mdrp: PathBuf,
    /// Where to write the trace (CSV, one line per delivered order).
    #[arg(long)]
    pub(crate) trace: PathBuf,
    /// Let couriers pick up elsewhere while they carry (the scorer's `--interleave`); the policy routed+interleave.
    #[arg(long)]
    pub(crate) interleave: bool,
    /// Let idle couriers be sent to a restaurant ahead of work (the scorer's `--preposition`); the policy
    /// routed+send-ahead.
    #[arg(long)]
    pub(crate) send_ahead: bool,
    #[command(flatten)]
    pub(crate) search: SearchArgs,
}

/// Compares policies over recorded days.
#[derive(Debug, Args)]
pub(crate) struct CompareArgs {
    /// Directories of the days, each with couriers.txt, restaurants.txt, orders.txt, instance_parameters.txt.
    #[arg(long, required = true, num_args = 1.., value_name = "DIR")]
    pub(crate) days: Vec<PathBuf>,
    /// Policies to simulate: least_busy, routed, routed+interleave, routed+send-ahead, routed+send-ahead+interleave;
    /// none for traces alone.
    #[arg(long, value_delimiter = ',', default_value = "least_busy,routed", value_name = "POLICY,...")]
    pub(crate) policies: Vec<String>,
    /// Traces that are already written, under this name: NAME=DIR, one DAY.csv for each day. May be given several
    /// times. Whether such a trace keeps the rules of the days is not checked.
    #[arg(long = "with", value_name = "NAME=DIR", value_parser = traces)]
    pub(crate) with: Vec<(String, PathBuf)>,
    /// Write the figures here: one line for each day and policy.
    #[arg(long, value_name = "FILE")]
    pub(crate) csv: Option<PathBuf>,
    /// Write a page with charts here, complete in one file.
    #[arg(long, value_name = "FILE")]
    pub(crate) html: Option<PathBuf>,
    /// Write the traces of simulated days here: POLICY/DAY.csv.
    #[arg(long, value_name = "DIR")]
    pub(crate) traces: Option<PathBuf>,
    /// Days played at the same time.
    #[arg(long, default_value_t = 2)]
    pub(crate) threads: usize,
    #[command(flatten)]
    pub(crate) search: SearchArgs,
}

/// Exports a day.
#[derive(Debug, Args)]
pub(crate) struct ExportDayArgs {
    /// Where to write couriers.txt, restaurants.txt, orders.txt and instance_parameters.txt. What is there already is not
    /// written over.
    pub(crate) dir: PathBuf,
    /// The day, in product time: from midnight to midnight.
    #[arg(long, value_name = "YYYY-MM-DD")]
    pub(crate) date: chrono::NaiveDate,
    /// What midnight is, as an offset from UTC.
    /// [default: this machine's time zone, or that of TZ]
    #[arg(long, value_name = "+HH:MM", allow_hyphen_values = true)]
    pub(crate) utc_offset: Option<chrono::FixedOffset>,
    /// Only this zone, by name or id; may be given several times.
    #[arg(long)]
    pub(crate) zone: Vec<String>,
    /// Places are given in steps of so many metres. More makes it harder to find out whose door it was.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) step_meters: u32,
    #[command(flatten)]
    pub(crate) overrides: Overrides,
}

/// How a policy that searches does so.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct SearchArgs {
    /// Rounds of search for each pass of the solver.
    #[arg(long, default_value_t = posthaste_matching::routed::Budget::default().rounds)]
    pub(crate) rounds: u32,
    /// What the solver's chance follows from.
    #[arg(long, default_value_t = 0)]
    pub(crate) seed: u64,
}

/// Shows how deliveries went.
#[derive(Debug, Args)]
pub(crate) struct InsightArgs {
    /// The start in product time: a day (2026-05-01), a time (2026-05-01T12:00, UTC), or how long ago (6h, 7d).
    /// [default: a day before the end, by the day a week]
    #[arg(long)]
    pub(crate) from: Option<Moment>,
    /// The end, likewise. [default: now]
    #[arg(long)]
    pub(crate) to: Option<Moment>,
    /// One zone, by name or id.
    #[arg(long)]
    pub(crate) zone: Option<String>,
    /// What a line stands for: a zone in an `hour`, on a `day`, or the whole `zone`.
    #[arg(long, default_value_t)]
    pub(crate) by: By,
    /// An admin's access token, or a merchant's key. In development one is made where none is given: signed with the
    /// key of this configuration, which must be that of the server.
    #[arg(long, env = "POSTHASTE_TOKEN", hide_env_values = true)]
    pub(crate) token: Option<String>,
    /// The running server.
    /// [default: where this configuration listens]
    #[arg(long)]
    pub(crate) server: Option<String>,
    /// Show what the policies in zones' shadows would have done, beside what was done.
    #[arg(long, conflicts_with_all = ["csv", "by"])]
    pub(crate) shadow: bool,
    /// Write comma-separated values, with every figure.
    #[arg(long, conflicts_with = "json")]
    pub(crate) csv: bool,
    /// Write the answer as it comes over REST.
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) overrides: Overrides,
}

/// Administers admins.
#[derive(Debug, Args)]
pub(crate) struct AdminArgs {
    #[command(subcommand)]
    pub(crate) command: AdminCommand,
}

/// What is done with admins.
#[derive(Debug, Subcommand)]
pub(crate) enum AdminCommand {
    /// Make an admin who can sign in, also beside a running server.
    ///
    /// Where admins work with a second factor (`admin_second_factor`, in production unless it says otherwise), one is set up
    /// and shown on the standard error: a QR code to scan, the secret to type instead, and recovery codes. The standard
    /// output is the password alone, where one was made.
    #[command(after_help = "Examples:\n  posthaste admin create --email ada@example.org\n  \
        pass show posthaste | posthaste admin create --email ada@example.org --password-stdin")]
    Create(CreateAdminArgs),
}

/// Makes an admin.
#[derive(Debug, Args)]
pub(crate) struct CreateAdminArgs {
    /// The email address to sign in with.
    #[arg(long)]
    pub(crate) email: String,
    /// What they are called.
    #[arg(long, default_value = "Admin")]
    pub(crate) name: String,
    /// Read the password from the standard input. Otherwise one is made, and shown once.
    #[arg(long)]
    pub(crate) password_stdin: bool,
    #[command(flatten)]
    pub(crate) overrides: Overrides,
}

/// Administers signing keys.
#[derive(Debug, Args)]
pub(crate) struct KeysArgs {
    #[command(subcommand)]
    command: KeysCommand,
}

/// What is done with signing keys.
#[derive(Debug, Subcommand)]
enum KeysCommand {
    /// Make the next key now, also beside a running server.
    #[command(after_help = "Example:\n  posthaste keys rotate --database-url postgres://user@host/db")]
    Rotate {
        #[command(flatten)]
        overrides: Box<Overrides>,
    },
}

impl KeysArgs {
    pub(crate) fn overrides(self) -> Overrides {
        let KeysCommand::Rotate { overrides } = self.command;
        *overrides
    }
}

/// Makes a token.
#[derive(Debug, Args)]
pub(crate) struct TokenArgs {
    /// Whose: an id (adm_…, mer_…, drv_…, cus_…), or `admin`, `merchant`, `customer` for a new id.
    #[arg(value_parser = holder)]
    pub(crate) holder: Holder,
    /// How long it is valid, as in `15m`, `12h`, `30d`.
    #[arg(long, default_value = "12h", value_parser = duration)]
    pub(crate) valid_for: std::time::Duration,
    #[command(flatten)]
    pub(crate) overrides: Overrides,
}

/// For whom a token is made.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Holder {
    Known(Party),
    NewAdmin,
    NewMerchant,
    NewCustomer,
}

fn holder(text: &str) -> Result<Holder, String> {
    match text {
        "admin" => Ok(Holder::NewAdmin),
        "merchant" => Ok(Holder::NewMerchant),
        "customer" => Ok(Holder::NewCustomer),
        id => match id.parse() {
            Ok(Party::System) | Err(_) => {
                Err("expected admin, merchant, customer, or an id that starts with adm_, mer_, drv_ or cus_".to_owned())
            }
            Ok(party) => Ok(Holder::Known(party)),
        },
    }
}

/// A name and a directory.
fn traces(text: &str) -> Result<(String, PathBuf), String> {
    match text.split_once('=') {
        Some((name, directory)) if !name.is_empty() && !directory.is_empty() => Ok((name.to_owned(), directory.into())),
        _ => Err(format!("expected NAME=DIR, as in replay=traces/replayed; got {text:?}")),
    }
}

/// A whole number with a unit: s, m, h or d.
pub(crate) fn duration(text: &str) -> Result<std::time::Duration, String> {
    let wrong = || format!("expected a whole number with s, m, h or d, as in 90s or 12h; got {text:?}");
    let split = text.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
    let number: u64 = text[..split].parse().map_err(|_| wrong())?;
    let unit = match &text[split..] {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        _ => return Err(wrong()),
    };
    number.checked_mul(unit).map(std::time::Duration::from_secs).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent_and_every_command_has_an_example() {
        Cli::command().debug_assert();
        for command in Cli::command().get_subcommands() {
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(help.contains("posthaste "), "{} has no example", command.get_name());
        }
    }

    #[test]
    fn traces_have_a_name_and_a_directory() {
        assert_eq!(traces("replay=a=b"), Ok(("replay".to_owned(), PathBuf::from("a=b"))));
        for wrong in ["replay", "=dir", "replay="] {
            assert!(traces(wrong).is_err_and(|e| e.contains(wrong)), "{wrong}");
        }
    }

    #[test]
    fn durations_have_a_unit() {
        assert_eq!(duration("90s"), Ok(std::time::Duration::from_secs(90)));
        assert_eq!(duration("2h"), Ok(std::time::Duration::from_secs(7200)));
        for wrong in ["", "90", "h", "-5s", "1.5h", "99999999999999999999s"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }
}
