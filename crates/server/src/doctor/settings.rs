//! What can be told from the configuration alone.

use std::path::Path;

use posthaste_notifications::Carrier;
use posthaste_postgres::beside::Seen;
use tracing_subscriber::EnvFilter;

use super::finding::Finding;
use super::machine;
use crate::configuration::Configuration;
use crate::token_key;

/// It was read.
pub(super) fn read(configuration: &Configuration, file: Option<&Path>) -> Finding {
    let mode = if configuration.is_development() { "development" } else { "production" };
    let from = file.map(|file| format!(", from {}", file.display())).unwrap_or_default();
    if configuration.is_development() && !configuration.serving.listen.ip().is_loopback() {
        let says = format!("mode {mode}, reachable from other machines: whoever has the key is anybody");
        return Finding::warning(
            "configuration",
            says,
            "listen on 127.0.0.1, or set mode (POSTHASTE_MODE) to production",
        );
    }
    #[expect(clippy::float_cmp, reason = "exactly 1 is the machine's own pace")]
    if !configuration.is_development() && configuration.program.clock_speed != 1.0 {
        let says = format!("mode {mode} with clock_speed {}", configuration.program.clock_speed);
        return Finding::warning(
            "configuration",
            says,
            "leave clock_speed (POSTHASTE_CLOCK_SPEED) at 1 for real people",
        );
    }
    Finding::ok("configuration", format!("mode {mode}{from}"))
}

/// Whether the log's filter can be used.
pub(super) fn logs(configuration: &Configuration) -> Option<Finding> {
    let error = EnvFilter::try_new(&configuration.program.log).err()?;
    let mend = "set log (POSTHASTE_LOG) to something like info, or posthaste_live=debug,info";
    Some(Finding::wrong("log", format!("{:?} is wrong: {error}", configuration.program.log), mend))
}

/// Whether there is a token key that is good, and others may not read it. Whether it is the database's own is asked there.
pub(super) fn token_key(configuration: &Configuration, seen: Option<&Seen>) -> Vec<Finding> {
    let has_data = seen.is_some_and(|seen| seen.written_by.is_some());
    let key = match token_key::known(configuration) {
        Err(error) => return vec![Finding::failed("token key", error.to_string())],
        Ok(None) => None,
        Ok(Some(key)) => Some(key),
    };
    let mut findings = vec![match key {
        Some(key) => match token_key::keys_from(&key) {
            Ok(_) => Finding::ok("token key", "there is one"),
            Err(error) => Finding::wrong("token key", error.to_string(), "for example `openssl rand -hex 32`"),
        },
        None if configuration.database.database_url.is_some() => Finding::wrong(
            "token key",
            "with a database of your own it has to be given",
            "set token_key (POSTHASTE_TOKEN_KEY), for example to `openssl rand -hex 32`",
        ),
        None if has_data => Finding::warning(
            "token key",
            format!("{} is not there, and there are data", token_key::file(configuration).display()),
            "put it back from its backup, or give it as token_key (POSTHASTE_TOKEN_KEY)",
        ),
        None => Finding::ok("token key", "made at the first start"),
    }];
    findings.extend(machine::key_file(configuration).filter(|_| configuration.program.token_key.is_none()));
    findings
}

/// The ways out: mail, texts, and what on them can be listened to.
pub(super) fn ways_out(configuration: &Configuration) -> Vec<Finding> {
    let mut findings = Vec::new();
    let local = "written to the data directory, as in development";
    findings.push(match (&configuration.notifications.smtp_url, &configuration.notifications.mail_from) {
        (Some(url), Some(from)) => match Carrier::smtp(url, from) {
            Err(error) => Finding::failed("mail", error.to_string()),
            Ok(_) if is_plain_smtp(url) => Finding::warning(
                "mail",
                "the mail server is reached without TLS: codes and the password can be listened to",
                "write smtp_url (POSTHASTE_SMTP_URL) as smtps://… or smtp://…?tls=required",
            ),
            Ok(_) => Finding::ok("mail", "a mail server is configured"),
        },
        _ if configuration.is_development() => Finding::ok("mail", local),
        _ => Finding::warning(
            "mail",
            "no mail server: nobody can register, and no password be recovered",
            "set smtp_url and mail_from (POSTHASTE_SMTP_URL, POSTHASTE_MAIL_FROM)",
        ),
    });
    findings.push(match &configuration.twilio {
        Some(settings) => match Carrier::twilio(settings.clone()) {
            Err(error) => Finding::failed("texts", error.to_string()),
            Ok(_) if settings.url.starts_with("http://") => Finding::warning(
                "texts",
                "the sender of texts is reached without TLS: codes and its token can be listened to",
                "write twilio_url (POSTHASTE_TWILIO_URL) as https://…",
            ),
            Ok(_) => Finding::ok("texts", "a sender of texts is configured"),
        },
        None if configuration.is_development() => Finding::ok("texts", local),
        None => Finding::ok("texts", "no sender of texts: no telephone number is verified"),
    });
    if configuration.database.hold_outside {
        findings.push(Finding::warning(
            "outside",
            "hold_outside is set: webhooks, emails and texts are held",
            "unset it (POSTHASTE_HOLD_OUTSIDE) on the real server",
        ));
    }
    findings
}

/// Whether a mail server's address says neither that it begins with TLS nor that it must come to it.
fn is_plain_smtp(url: &str) -> bool {
    url.starts_with("smtp://") && !url.contains("tls=required")
}

#[cfg(test)]
mod tests {
    use super::super::finding::State;
    use super::*;
    use crate::configuration::{Mode, Overrides};

    fn states(overrides: Overrides) -> Vec<(&'static str, State)> {
        let configuration = overrides.resolve("", 1.0, Mode::Production).unwrap();
        let findings = [vec![read(&configuration, None)], ways_out(&configuration)].concat();
        findings.iter().map(|finding| (finding.check(), finding.state())).collect()
    }

    // A mail server's connections belong to a runtime.
    #[tokio::test]
    async fn what_can_be_listened_to_and_what_is_open_to_others_is_a_warning() {
        let plain = |url: &str| Overrides::given(&format!("smtp_url = '{url}'\nmail_from = 'no-reply@example.org'"));
        assert!(states(plain("smtp://mail.example.org")).contains(&("mail", State::Warning)));
        for sound in ["smtps://mail.example.org", "smtp://mail.example.org:587?tls=required"] {
            assert!(states(plain(sound)).contains(&("mail", State::Ok)), "{sound}");
        }
        let open = Overrides::given("mode = 'development'\nlisten = '0.0.0.0:8080'");
        assert!(states(open).contains(&("configuration", State::Warning)));
        let fast = Overrides::given("clock_speed = 10.0");
        assert!(states(fast).contains(&("configuration", State::Warning)));
        let held = Overrides::given("hold_outside = true");
        assert!(states(held).contains(&("outside", State::Warning)));
    }
}
