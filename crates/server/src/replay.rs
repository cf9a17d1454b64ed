//! `posthaste replay`: a recorded day through REST and sockets, against the given server or one of its own.

use std::path::PathBuf;

use posthaste_clock::Clock;
use posthaste_domain::Span;
use posthaste_domain::zone::Policy;
use posthaste_http::auth::Keys;
use posthaste_live::stopping::Leave;
use posthaste_sim::Tokens;
use posthaste_sim::replay::{self, ReplayOptions};

use crate::cli::ReplayArgs;
use crate::configuration::{Configuration, Mode};
use crate::run::{Server, told_to_stop};
use crate::{Fatal, listening, telemetry, token_key};

/// The clock of a server that the replay starts for itself: a day of fifteen hours in seven and a half minutes.
const CLOCK_SPEED: f64 = 120.0;
/// Tokens of a replay outlive it.
const TOKEN_HOURS: i64 = 48;

pub(crate) async fn replay(args: ReplayArgs) -> Result<(), Fatal> {
    let policy = policy(&args.policy)?;
    let mut configuration = args.overrides.clone().resolve("", CLOCK_SPEED, Mode::Development)?;
    if !configuration.is_development() {
        return Err("the recorded people have tokens of development: replays run in that mode only".into());
    }
    match args.server.clone() {
        Some(url) => {
            telemetry::to_stderr(&configuration.logging("warn"))?;
            let keys = token_key::keys_of_the_server(&configuration)?;
            play(&args, policy, url, &keys).await
        }
        None => {
            let scratch = Scratch::new(&args, &mut configuration)?;
            telemetry::to_file(&configuration, &configuration.program.data_dir.join("replay.log"))?;
            let server = Server::start(&configuration, listening::bind(&configuration).await?).await?;
            let url = format!("http://{}", server.address);
            let keys = server.keys.clone();
            let outcome = tokio::select! {
                outcome = play(&args, policy, url, &keys) => outcome,
                () = told_to_stop() => Err("interrupted; no trace was written".into()),
                () = server.lost_the_lead() => return Err(server.leave_to_another().await),
            };
            server.stop(Leave::InOrder).await?;
            drop(scratch);
            outcome
        }
    }
}

async fn play(args: &ReplayArgs, policy: Policy, base_url: String, keys: &Keys) -> Result<(), Fatal> {
    let options = ReplayOptions {
        instance_dir: args.dir.clone(),
        base_url,
        tokens: tokens(keys),
        trace_file: args.trace.clone(),
        policy,
        send_ahead: args.send_ahead,
        progress: true,
        stats: std::sync::Arc::default(),
    };
    let report = replay::run(options).await?;
    println!("{report}");
    Ok(())
}

/// Mints a token for whoever the simulated people are.
pub(crate) fn tokens(keys: &Keys) -> Tokens {
    let (keys, clock) = (keys.clone(), Clock::system());
    // Only the system has no token, and no simulated person is the system.
    Tokens::new(move |party| keys.mint(party, clock.wall(), Span::hours(TOKEN_HOURS)).unwrap_or_default())
}

fn policy(name: &str) -> Result<Policy, Fatal> {
    serde_json::from_value(serde_json::Value::String(name.to_owned()))
        .map_err(|_| format!("there is no policy {name:?}; there are least_busy and routed").into())
}

/// A fresh data directory on a free port, gone after the replay, unless directories and addresses were given.
struct Scratch(Option<PathBuf>);

impl Scratch {
    fn new(args: &ReplayArgs, configuration: &mut Configuration) -> Result<Self, Fatal> {
        if args.overrides.serving.listen.is_none() {
            configuration.serving.listen = ([127, 0, 0, 1], 0).into();
        }
        if args.overrides.program.data_dir.is_some() || configuration.database.database_url.is_some() {
            return Ok(Self(None));
        }
        let path = std::env::temp_dir().join(format!("posthaste-replay-{}", std::process::id()));
        std::fs::create_dir_all(&path)?;
        configuration.program.data_dir.clone_from(&path);
        Ok(Self(Some(path)))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Some(path) = &self.0 {
            let _ = std::fs::remove_dir_all(path);
        }
    }
}
