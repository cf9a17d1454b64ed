//! `posthaste serve`: the server, until it is told to stop, or to make room for its newer version.

use std::io::IsTerminal;

use posthaste_live::stopping::Leave;

use crate::cli::ServeArgs;
use crate::configuration::{Configuration, Mode};
use crate::database::Waiting;
use crate::doctor::Asked;
use crate::listening::{Given, Handed};
use crate::metrics::Figures;
use crate::run::{Server, told_to_stop};
use crate::{Fatal, doctor, listening, manager, telemetry, token_key};

/// Why it does not go on serving.
enum Ending {
    /// It was told to.
    Stop,
    /// The program is to start again, on the same socket.
    Again,
    /// Another server leads the database.
    Lost,
}

/// Serves. Says what is handed on where the program is to start again.
pub(crate) async fn serve(args: ServeArgs, given: &mut Given) -> Result<Option<Handed>, Fatal> {
    if args.check {
        return doctor::examine(args.overrides, Asked::MayStart, args.json).await.map(|()| None);
    }
    let configuration = configured(&args)?;
    telemetry::to_stderr(&configuration)?;
    let _watch = manager::Watch::begin();
    let mut again = Again::heeded();
    if configuration.database.standby {
        given.nothing()?;
        return stand_by_and_serve(&args, &configuration, again).await;
    }
    let listener = given.listener(&configuration).await?;
    let kept = listener.try_clone()?;
    let server = Server::start(&configuration, listener).await?;
    manager::tell(manager::READY);
    let ending = until_it_ends(&server, told_to_stop(), again.told(&args)).await;
    // Who connects while the program starts again waits; while it stops, there is nothing to wait for.
    end(server, ending).await.map(|again| again.then_some(Handed::Socket(kept)))
}

/// Stands by while another server serves, and serves when that is gone. What is signalled meanwhile is heeded in both.
async fn stand_by_and_serve(
    args: &ServeArgs,
    configuration: &Configuration,
    mut again: Again,
) -> Result<Option<Handed>, Fatal> {
    let mut stop = std::pin::pin!(told_to_stop());
    let secret = token_key::found_or_drafted(configuration)?;
    secret.keys()?;
    // What would fail later had better fail now, while another serves.
    drop(listening::bind(configuration).await?);
    let figures = match configuration.program.metrics_listen {
        Some(listen) => Some(Figures::serve(listen).await?),
        None => None,
    };
    let waiting = Waiting::join(configuration).await?;
    tracing::info!("standing by");
    manager::tell(manager::READY);
    let starts_again = {
        let mut told_again = std::pin::pin!(again.told(args));
        let database = tokio::select! {
            () = &mut stop => Err(false),
            () = &mut told_again => Err(true),
            database = waiting.lead(configuration) => Ok(database?),
        };
        match database {
            Err(starts_again) => {
                manager::tell(if starts_again { manager::RELOADING } else { manager::STOPPING });
                waiting.leave().await;
                starts_again
            }
            Ok(database) => {
                let listener = match listening::bind(configuration).await {
                    Ok(listener) => listener,
                    Err(error) => {
                        database.close(&Leave::InOrder.budget()).await?;
                        return Err(error);
                    }
                };
                let server = Server::on(configuration, listener, secret, database, figures).await?;
                let ending = until_it_ends(&server, stop, told_again).await;
                end(server, ending).await?
            }
        }
    };
    Ok(starts_again.then_some(Handed::Nothing))
}

async fn until_it_ends(server: &Server, stop: impl Future<Output = ()>, again: impl Future<Output = ()>) -> Ending {
    tokio::select! {
        () = stop => Ending::Stop,
        () = again => Ending::Again,
        () = server.lost_the_lead() => Ending::Lost,
    }
}

/// Ends the server; whether the program is to start again.
async fn end(server: Server, ending: Ending) -> Result<bool, Fatal> {
    let starts_again = matches!(ending, Ending::Again);
    manager::tell(if starts_again { manager::RELOADING } else { manager::STOPPING });
    if let Ending::Lost = ending {
        return Err(server.leave_to_another().await);
    }
    server.stop(Leave::InOrder).await.map(|()| starts_again)
}

fn configured(args: &ServeArgs) -> Result<Configuration, Fatal> {
    Ok(args.overrides.clone().resolve("", 1.0, Mode::Production)?)
}

/// The signal to start again, SIGHUP. A terminal that is closed sends the same and means the end: there it is left as it
/// is.
struct Again {
    #[cfg(unix)]
    hangup: Option<tokio::signal::unix::Signal>,
}

impl Again {
    fn heeded() -> Self {
        Self {
            #[cfg(unix)]
            hangup: (!std::io::stdin().is_terminal())
                .then(|| tokio::signal::unix::signal(tokio::signal::unix::SignalKind::hangup()).ok())
                .flatten(),
        }
    }

    /// Waits for the signal, with a configuration that can be read.
    async fn told(&mut self, args: &ServeArgs) {
        #[cfg(unix)]
        if let Some(hangup) = &mut self.hangup {
            while hangup.recv().await.is_some() {
                match configured(args) {
                    Ok(_) => return,
                    Err(error) => tracing::error!(%error, "not started again: the configuration is wrong"),
                }
            }
        }
        std::future::pending::<()>().await;
    }
}
