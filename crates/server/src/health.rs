//! `posthaste health`: whether a server is ready for work, as a container or a script asks it.

use posthaste_client::{Client, Token};

use crate::Fatal;
use crate::cli::HealthArgs;
use crate::configuration::Mode;
use crate::listening;

pub(crate) async fn health(args: HealthArgs) -> Result<(), Fatal> {
    let (server, beside) = match args.server {
        Some(server) => (server, None),
        None => {
            let configuration = args.overrides.resolve("", 1.0, Mode::Production)?;
            let here = |listens| format!("http://{}", listening::from_here(listens));
            let beside = configuration.program.metrics_listen.filter(|_| configuration.database.standby).map(here);
            (here(configuration.serving.listen), beside)
        }
    };
    // Whoever asks how a server is needs no token.
    let client = Client::new(&server, Token::None)?;
    if client.is_ready().await {
        println!("ready: {server}");
        return Ok(());
    }
    // One that stands by listens nowhere else, and is as it should be.
    if let Some(beside) = beside
        && !client.is_live().await
        && Client::new(&beside, Token::None)?.is_live().await
    {
        println!("stands by: {beside}");
        return Ok(());
    }
    let problem = if client.is_live().await { "lives, and is not ready for work" } else { "does not answer" };
    Err(format!("the server at {server} {problem}").into())
}
