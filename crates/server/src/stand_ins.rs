//! `posthaste stand-ins`: local servers in the place of outside services, for development.

use posthaste_standins::{ACCOUNT, FROM, Listen, StandIns, TOKEN};

use crate::cli::StandInsArgs;
use crate::{Fatal, run};

/// Starts them, says how a server is told to use them, and stops them when told to.
pub(crate) async fn stand_ins(args: &StandInsArgs) -> Result<(), Fatal> {
    let listen = Listen { ip: args.listen, smtp: args.smtp_port, http: args.http_port };
    let running = StandIns::start_at(listen).await.map_err(|error| format!("stand-ins cannot listen on {error}"))?;
    if !args.listen.is_loopback() {
        eprintln!("posthaste: {} is no loopback address: whoever reaches it reads what was sent", args.listen);
    }
    println!("{}", settings(&running));
    run::told_to_stop().await;
    Ok(())
}

/// As lines of an environment file.
fn settings(running: &StandIns) -> String {
    let (smtp, url) = (running.smtp(), running.url());
    format!(
        "# For the server's environment; in posthaste.toml, the same in small letters without POSTHASTE_.\n\
         POSTHASTE_SMTP_URL=smtp://{smtp}\n\
         POSTHASTE_MAIL_FROM=no-reply@example.org\n\
         POSTHASTE_TWILIO_URL={url}\n\
         POSTHASTE_TWILIO_ACCOUNT={ACCOUNT}\n\
         POSTHASTE_TWILIO_TOKEN={TOKEN}\n\
         POSTHASTE_TWILIO_FROM={FROM}\n\
         # What was sent: {url}/messages; how they misbehave: {url}/rules. Ctrl-C ends them."
    )
}
