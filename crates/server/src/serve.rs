//! `posthaste serve`: the server, until it is told to stop.

use crate::Fatal;
use crate::cli::ServeArgs;
use crate::configuration::Mode;
use crate::run::{Server, told_to_stop};
use crate::telemetry;

pub(crate) async fn serve(args: ServeArgs) -> Result<(), Fatal> {
    let configuration = args.overrides.resolve("", 1.0, Mode::Production)?;
    telemetry::to_stderr(&configuration)?;
    let server = Server::start(&configuration).await?;
    told_to_stop().await;
    server.stop().await
}
