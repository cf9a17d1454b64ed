//! `posthaste health`: whether a server is ready for work, as a container or a script asks it.

use posthaste_client::{Client, Token};

use crate::Fatal;
use crate::cli::HealthArgs;
use crate::configuration::Mode;
use crate::listening;

pub(crate) async fn health(args: HealthArgs) -> Result<(), Fatal> {
    let server = match args.server {
        Some(server) => server,
        None => format!(
            "http://{}",
            listening::from_here(args.overrides.resolve("", 1.0, Mode::Production)?.serving.listen)
        ),
    };
    // Whoever asks how a server is needs no token.
    let client = Client::new(&server, Token::None)?;
    if client.is_ready().await {
        println!("ready: {server}");
        return Ok(());
    }
    let problem = if client.is_live().await { "lives, and is not ready for work" } else { "does not answer" };
    Err(format!("the server at {server} {problem}").into())
}
