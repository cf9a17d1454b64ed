//! `posthaste serve`: the server, until it is told to stop, or to make room for its newer version.

use std::io::IsTerminal;
use std::net::TcpListener;

use posthaste_live::stopping::Leave;

use crate::cli::ServeArgs;
use crate::configuration::{Configuration, Mode};
use crate::doctor::Asked;
use crate::listening::Given;
use crate::run::{Server, told_to_stop};
use crate::{Fatal, doctor, manager, telemetry};

/// Why it does not go on serving.
enum Ending {
    /// It was told to.
    Stop,
    /// The program is to start again, on the same socket.
    Again,
    /// Another server leads the database.
    Lost,
}

/// Serves. Gives the socket back where the program is to start again.
pub(crate) async fn serve(args: ServeArgs, given: &mut Given) -> Result<Option<TcpListener>, Fatal> {
    if args.check {
        return doctor::examine(args.overrides, Asked::MayStart, args.json).await.map(|()| None);
    }
    let configuration = configured(&args)?;
    telemetry::to_stderr(&configuration)?;
    let _watch = manager::Watch::begin();
    let mut again = Again::heeded();
    let listener = given.listener(&configuration).await?;
    let kept = listener.try_clone()?;
    let server = Server::start(&configuration, listener).await?;
    manager::tell(manager::READY);
    let ending = tokio::select! {
        () = told_to_stop() => Ending::Stop,
        () = again.told(&args) => Ending::Again,
        () = server.lost_the_lead() => Ending::Lost,
    };
    manager::tell(if matches!(ending, Ending::Again) { manager::RELOADING } else { manager::STOPPING });
    // Who connects while the program starts again waits; while it stops, there is nothing to wait for.
    let kept = matches!(ending, Ending::Again).then_some(kept);
    if let Ending::Lost = ending {
        return Err(server.leave_to_another().await);
    }
    server.stop(Leave::InOrder).await.map(|()| kept)
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
