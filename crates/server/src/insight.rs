//! `posthaste insight`: how deliveries went, from a running server, as a table, CSV or JSON.

mod csv;
mod shadow;
mod table;

use std::str::FromStr;

use posthaste_client::{AskPerformance, AskShadow, Client, ClientError, RetryRule, Token};
use posthaste_clock::Clock;
use posthaste_domain::ids::ZoneId;
use posthaste_domain::party::Party;
use posthaste_domain::{Span, Timestamp};
use posthaste_protocol::problem::Code;

use crate::cli::{InsightArgs, duration};
use crate::configuration::{Configuration, Mode};
use crate::replay::tokens;
use crate::{Fatal, token_key};

pub(crate) async fn insight(args: InsightArgs) -> Result<(), Fatal> {
    let configuration = args.overrides.clone().resolve("", 1.0, Mode::Production)?;
    let made = args.token.is_none();
    answer(args, &configuration).await.map_err(|error| if made { with_hint(error, &configuration) } else { error })
}

/// A token that was made with another server's key is of another server.
fn with_hint(error: Fatal, configuration: &Configuration) -> Fatal {
    let code = error.downcast_ref::<ClientError>().and_then(ClientError::code);
    if code != Some(Code::Unauthenticated) {
        return error;
    }
    let hint = token_key::of_the_demo(configuration).map(|hint| format!("; {hint}")).unwrap_or_default();
    format!(
        "{error}. It was signed with the key in {}: name the data directory of the server that you ask with \
         --data-dir (POSTHASTE_DATA_DIR){hint}",
        configuration.program.data_dir.display()
    )
    .into()
}

async fn answer(args: InsightArgs, configuration: &Configuration) -> Result<(), Fatal> {
    let url = args.server.unwrap_or_else(|| format!("http://{}", configuration.serving.listen));
    let token = match args.token {
        Some(token) => Token::from(token),
        None if configuration.is_development() => {
            tokens(&token_key::keys_of_the_server(configuration)?).of(Party::Admin(Clock::system().id()))
        }
        None => {
            return Err(
                "give an admin's access token or a merchant's key as --token or POSTHASTE_TOKEN; for a server in \
                        development (the demo is one) set POSTHASTE_MODE=development, and one is made"
                    .into(),
            );
        }
    };
    // Once: an answer that took too long takes as long again, and somebody sits before it.
    let client = Client::new(&url, token)?.with_retry(RetryRule { tries: 1, ..RetryRule::default() });
    let now = client.clock().await.map_err(|error| match error.code() {
        Some(_) => Fatal::from(error),
        None => format!("{url}: {error}").into(),
    });
    let now = now?.now;
    let zone_id = match &args.zone {
        Some(zone) => Some(find(&client, zone).await?),
        None => None,
    };
    if args.shadow {
        let asked = AskShadow { from: args.from.map(|m| m.at(now)), to: args.to.map(|m| m.at(now)) };
        return print(&shadows(&client, &asked, zone_id, args.json).await?);
    }
    let asked = AskPerformance {
        from: args.from.map(|moment| moment.at(now)),
        to: args.to.map(|moment| moment.at(now)),
        zone_id,
        by: args.by,
    };
    let view = client.performance(&asked).await.map_err(understood)?;
    let text = if args.json {
        format!("{}\n", serde_json::to_string_pretty(&view)?)
    } else if args.csv {
        csv::csv(&view)
    } else {
        table::table(&view)
    };
    print(&text)
}

/// The zones that have a policy in the shadow, or the one asked for, each compared.
async fn shadows(client: &Client, asked: &AskShadow, only: Option<ZoneId>, json: bool) -> Result<String, Fatal> {
    let mut zones = client.zones().await?;
    zones.retain(|zone| only.map_or(zone.rules.shadow.is_some(), |only| zone.id == only));
    let (mut views, mut text) = (Vec::new(), String::new());
    for zone in &zones {
        let view = client.shadow(zone.id, asked).await.map_err(understood)?;
        text.push_str(&shadow::lines(&zone.name, &view));
        views.push(view);
    }
    if json {
        return Ok(format!("{}\n", serde_json::to_string_pretty(&views)?));
    }
    if views.is_empty() {
        text.push_str("no zone has a policy in the shadow: give one its rule `shadow`\n");
    }
    Ok(text)
}

/// What a failure means here.
fn understood(error: ClientError) -> Fatal {
    if error.code() == Some(Code::Timeout) || matches!(error, ClientError::Timeout) {
        return "there is more to look at than a request has time for: ask about less time (--from, --to)".into();
    }
    error.into()
}

/// Writes to stdout. A reader that has seen enough (`| head`) is no error.
fn print(text: &str) -> Result<(), Fatal> {
    use std::io::Write;
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}

/// The zone of an id or a name.
async fn find(client: &Client, zone: &str) -> Result<ZoneId, Fatal> {
    if let Ok(id) = zone.parse() {
        return Ok(id);
    }
    let zones = client.zones().await?;
    if let Some(found) = zones.iter().find(|known| known.name == zone) {
        return Ok(found.id);
    }
    let names: Vec<_> = zones.iter().map(|known| known.name.as_str()).collect();
    Err(format!("there is no zone {zone:?}; there is {}", names.join(", ")).into())
}

/// A time as it is given on the command line: itself, or so long before the server's now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Moment {
    At(Timestamp),
    Ago(Span),
}

impl Moment {
    fn at(self, now: Timestamp) -> Timestamp {
        match self {
            Self::At(at) => at,
            Self::Ago(span) => now.checked_sub_signed(span).unwrap_or(Timestamp::UNIX_EPOCH),
        }
    }
}

impl FromStr for Moment {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(at) = chrono::DateTime::parse_from_rfc3339(text) {
            return Ok(Self::At(at.to_utc()));
        }
        for format in ["%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M"] {
            if let Ok(at) = chrono::NaiveDateTime::parse_from_str(text, format) {
                return Ok(Self::At(at.and_utc()));
            }
        }
        if let Ok(day) = chrono::NaiveDate::parse_from_str(text, "%Y-%m-%d") {
            return Ok(Self::At(day.and_time(chrono::NaiveTime::MIN).and_utc()));
        }
        let ago = duration(text).ok().and_then(|ago| Span::from_std(ago).ok());
        ago.map(Self::Ago).ok_or_else(|| {
            "expected a day (2026-05-01), a time in UTC (2026-05-01T12:00 or with an offset), or how long ago (90m, 6h, 7d)"
                .to_owned()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_a_day_a_time_or_so_long_ago() {
        let at = |text: &str| Moment::At(text.parse().unwrap());
        assert_eq!("2026-05-01".parse(), Ok(at("2026-05-01T00:00:00Z")));
        assert_eq!("2026-05-01T12:30".parse(), Ok(at("2026-05-01T12:30:00Z")));
        assert_eq!("2026-05-01T12:30:10+02:00".parse(), Ok(at("2026-05-01T10:30:10Z")));
        assert_eq!("6h".parse(), Ok(Moment::Ago(Span::hours(6))));
        for wrong in ["", "yesterday", "2026-13-01", "6", "99999999999999999999d", "9999999999999d"] {
            assert!(wrong.parse::<Moment>().is_err(), "{wrong}");
        }
    }
}
