//! `posthaste export-day`: a day of one's own as the files of a recorded day. Read in chunks and written nowhere else, so
//! that it can run beside the server; rules and numbering are `posthaste_backtest::recording`'s.

use std::collections::HashSet;

use chrono::{FixedOffset, Local, NaiveDate, NaiveTime, TimeDelta, TimeZone};
use posthaste_backtest::recording::{Left, Recording, working};
use posthaste_backtest::zone::Travel;
use posthaste_backtest::{DayError, Instance};
use posthaste_domain::ids::{DriverId, ZoneId};
use posthaste_domain::place::Place;
use posthaste_domain::zone::Zone;
use posthaste_domain::{Span, Timestamp};
use posthaste_live::stopping::Leave;
use posthaste_storage::performance::{Shifts, for_each_placed, for_each_shift};
use posthaste_storage::pool::Pool;
use posthaste_storage::zones;
use posthaste_storage::{StorageError, tracks};

use crate::cli::ExportDayArgs;
use crate::configuration::Mode;
use crate::database::Database;
use crate::{Fatal, telemetry};

/// Orders of one day at most. A day of more is no day of one town: its zones can be exported one by one.
const MOST_ORDERS: u64 = 1_000_000;
/// How long after midnight shifts of the day are followed to their end.
const AFTER: Span = Span::hours(6);
/// How long after the start of a shift its first position counts as where it began.
const BEGINS_WITHIN: Span = Span::minutes(30);

/// What is exported.
struct Asked {
    from: Timestamp,
    to: Timestamp,
    /// None: every zone.
    zones: Option<HashSet<ZoneId>>,
    step_meters: u32,
}

pub(crate) async fn export_day(args: ExportDayArgs) -> Result<(), Fatal> {
    let configuration = args.overrides.clone().resolve("", 1.0, Mode::Production)?;
    telemetry::to_stderr(&configuration.logging("warn"))?;
    let database = Database::beside(&configuration).await?;
    let exported = exported(&database.pool, &args).await;
    database.close(&Leave::InOrder.budget()).await?;
    let (day, left) = exported?;
    day.write(&args.dir).map_err(|error| match error {
        DayError::File { source, path } if source.kind() == std::io::ErrorKind::AlreadyExists => {
            Fatal::from(format!("{} is there already: choose another directory", path.display()))
        }
        other => other.into(),
    })?;
    println!("{}", summary(&day, left));
    Ok(())
}

async fn exported(pool: &Pool, args: &ExportDayArgs) -> Result<(Instance, Left), Fatal> {
    let served = zones::served(pool).await?;
    let asked = Asked {
        from: midnight(args.date, args.utc_offset)?,
        to: midnight(args.date.succ_opt().ok_or("there is no day after it")?, args.utc_offset)?,
        zones: (!args.zone.is_empty()).then(|| chosen(&args.zone, &served)).transpose()?,
        step_meters: args.step_meters,
    };
    let mut recording = Recording::new(asked.from, asked.step_meters);
    let is_asked = |zone: ZoneId| asked.zones.as_ref().is_none_or(|zones| zones.contains(&zone));
    let all = for_each_placed(pool, (asked.from, asked.to), None, MOST_ORDERS, |history| {
        if is_asked(history.order.zone) {
            recording.order(&history.order);
        }
    });
    if !all.await? {
        return Err(format!("more than {MOST_ORDERS} orders: export its zones one by one (--zone)").into());
    }
    for (driver, from, to) in shifts(pool, &asked).await? {
        let place = began_at(pool, driver, from.max(asked.from)).await?;
        recording.shift(from, to, place);
    }
    let Some(zone) = recording.zone() else {
        return Err(format!("no order was placed on {} that could be exported", args.date).into());
    };
    let zone = zones::get(pool, zone).await?.ok_or("the zone of the orders is not stored")?;
    Ok(recording.finish(&zone.zone.rules, &Travel::from(&zone.zone.travel)))
}

/// When who took work.
async fn shifts(pool: &Pool, asked: &Asked) -> Result<Vec<(DriverId, Timestamp, Timestamp)>, StorageError> {
    let mut found = Vec::new();
    for_each_shift(pool, asked.from, asked.to + AFTER, |Shifts { driver, zones, changes }| {
        if asked.zones.as_ref().is_none_or(|wanted| zones.iter().any(|zone| wanted.contains(zone))) {
            let spans = working(&changes, asked.to).into_iter().filter(|(from, _)| *from < asked.to);
            found.extend(spans.map(|(from, to)| (driver, from, to)));
        }
    })
    .await?;
    Ok(found)
}

/// The first position after somebody began.
async fn began_at(pool: &Pool, driver: DriverId, from: Timestamp) -> Result<Option<Place>, StorageError> {
    let first = tracks::of_driver(pool, driver, from, from + BEGINS_WITHIN, 1).await?;
    Ok(first.first().map(|point| point.place))
}

/// The zones of these names or ids.
fn chosen(asked: &[String], served: &[Zone]) -> Result<HashSet<ZoneId>, Fatal> {
    let find = |asked: &String| {
        let by_name = served.iter().find(|zone| zone.name == *asked).map(|zone| zone.id);
        by_name.or_else(|| asked.parse().ok()).ok_or_else(|| {
            let names: Vec<_> = served.iter().map(|zone| zone.name.as_str()).collect();
            Fatal::from(format!("there is no zone {asked:?}; there is {}", names.join(", ")))
        })
    };
    asked.iter().map(find).collect()
}

/// The first moment of a day. Where clocks are put forward at midnight, that is later than midnight.
fn midnight(date: NaiveDate, offset: Option<FixedOffset>) -> Result<Timestamp, Fatal> {
    let midnight = date.and_time(NaiveTime::MIN);
    let at = |minutes| {
        let local = midnight + TimeDelta::minutes(minutes);
        match offset {
            Some(offset) => offset.from_local_datetime(&local).earliest().map(|at| at.to_utc()),
            None => Local.from_local_datetime(&local).earliest().map(|at| at.to_utc()),
        }
    };
    (0..=180).step_by(15).find_map(at).ok_or_else(|| format!("there is no {date} in this time zone").into())
}

fn summary(day: &Instance, left: Left) -> String {
    let mut text = format!(
        "{} orders of {} restaurants, {} couriers",
        day.orders.len(),
        day.restaurants.len(),
        day.couriers.len()
    );
    let parts = [
        (left.canceled, "canceled or rejected orders are left out"),
        (left.slow, "slow orders are left out: the format has no windows"),
        (left.several_pickups, "orders have several pickups, and stand with the first"),
        (left.nowhere, "couriers begin in the middle of the restaurants: no position of theirs is known"),
    ];
    for (count, what) in parts.into_iter().filter(|(count, _)| *count > 0) {
        text.push_str(&format!("; {count} {what}"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_begins_at_its_own_midnight() {
        let date = NaiveDate::from_ymd_opt(2026, 5, 1).unwrap();
        let at = |offset: &str| midnight(date, Some(offset.parse().unwrap())).unwrap().to_rfc3339();
        assert_eq!(at("+02:00"), "2026-04-30T22:00:00+00:00");
        assert_eq!(at("-05:00"), "2026-05-01T05:00:00+00:00");
        assert!(midnight(date, None).is_ok());
    }

    #[test]
    fn what_is_left_out_is_said_and_nothing_else() {
        let day = posthaste_backtest::instance::tiny();
        assert_eq!(summary(&day, Left::default()), "3 orders of 2 restaurants, 2 couriers");
        let told = summary(&day, Left { slow: 2, ..Left::default() });
        assert!(told.ends_with("; 2 slow orders are left out: the format has no windows"), "{told}");
    }
}
