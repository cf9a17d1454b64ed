//! A zone: a named service area, and the numbers that dispatch in it is run by.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::ids::{RegionId, ZoneId};
use crate::{Span, Timestamp};

/// How a zone picks drivers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Policy {
    /// The driver with the fewest open orders, whose commitments do not overlap the new one.
    #[default]
    LeastBusy,
    /// Drivers carry several orders; plans look ahead and are made anew as things change.
    Routed,
}

impl Policy {
    /// Every policy.
    pub const ALL: [Self; 2] = [Self::LeastBusy, Self::Routed];

    /// Its name, as it is stored and sent.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::LeastBusy => "least_busy",
            Self::Routed => "routed",
        }
    }
}

/// A zone's dispatch rules. Spans are seconds of product time, but for those of silence, which are real: phones are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ZoneRules {
    /// How drivers are picked.
    pub policy: Policy,
    /// How long a driver has to answer an offer. Too short loses drivers in a lift; too long delays the food.
    pub offer_seconds: u32,
    /// How long a driver who declined, or let an offer lapse, is not asked about the same order.
    pub cool_down_seconds: u32,
    /// How long a seller has to confirm (row L15: 15 minutes).
    pub confirmation_seconds: u32,
    /// A driver silent for longer gets no new work. Real seconds.
    pub stale_after_seconds: u32,
    /// A driver with work who is silent for so much longer than [`stale_after_seconds`](Self::stale_after_seconds) is
    /// lost: their orders go to others, what they have aboard is escalated. Too short takes work from drivers in a
    /// tunnel; too long lets food wait for nobody. Real seconds.
    pub lost_after_seconds: u32,
    /// A fast order without a driver for longer than this is expired.
    pub give_up_seconds: u32,
    /// Slack added to the estimate when a fast order's promise is made.
    pub promise_slack_seconds: u32,
    /// The farthest a driver may be from the first pickup, in metres; `None` for no limit.
    pub pickup_radius_meters: Option<u32>,
    /// Time at a pickup, from arrival to leaving, where the order does not say.
    pub pickup_service_seconds: u32,
    /// Time at a door, from arrival to leaving, where the order does not say.
    pub delivery_service_seconds: u32,
    /// Policy `routed`: whether a driver may pick up elsewhere while orders are aboard.
    pub interleave: bool,
    /// Policy `routed`: whether idle drivers are advised to wait at shops that will need somebody soon.
    pub send_ahead: bool,
    /// Policy `routed`: an order is offered to a driver so long before they have to leave for it. Time to answer; what
    /// is longer gives away what could still be learned.
    pub offer_lead_seconds: u32,
    /// Another policy that plans on the same input and decides nothing; its plans are recorded beside the real ones.
    pub shadow: Option<Policy>,
}

impl Default for ZoneRules {
    fn default() -> Self {
        Self {
            policy: Policy::LeastBusy,
            offer_seconds: 30,
            cool_down_seconds: 300,
            confirmation_seconds: 900,
            stale_after_seconds: 60,
            lost_after_seconds: 300,
            give_up_seconds: 4 * 3600,
            promise_slack_seconds: 600,
            pickup_radius_meters: None,
            pickup_service_seconds: 120,
            delivery_service_seconds: 120,
            interleave: true,
            send_ahead: false,
            offer_lead_seconds: 30,
            shadow: None,
        }
    }
}

/// Zone rules outside what can be run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field} must lie between {least} and {most} seconds, got {given}")]
pub struct InvalidRule {
    /// The field.
    pub field: &'static str,
    /// The least value that can be run.
    pub least: u32,
    /// The greatest value that can be run.
    pub most: u32,
    /// What was given.
    pub given: u32,
}

const DAY: u32 = 86_400;

/// A number of the rules: its name, how it is read, and the least and the greatest value that can be run.
pub type Bound = (&'static str, fn(&ZoneRules) -> u32, u32, u32);

impl ZoneRules {
    /// Every number with its bounds, in seconds.
    pub const BOUNDS: [Bound; 10] = [
        ("offer_seconds", |rules| rules.offer_seconds, 1, 3600),
        ("cool_down_seconds", |rules| rules.cool_down_seconds, 0, DAY),
        ("confirmation_seconds", |rules| rules.confirmation_seconds, 1, DAY),
        ("stale_after_seconds", |rules| rules.stale_after_seconds, 5, DAY),
        ("lost_after_seconds", |rules| rules.lost_after_seconds, 5, DAY),
        ("give_up_seconds", |rules| rules.give_up_seconds, 60, 7 * DAY),
        ("promise_slack_seconds", |rules| rules.promise_slack_seconds, 0, DAY),
        ("pickup_service_seconds", |rules| rules.pickup_service_seconds, 0, 3600),
        ("delivery_service_seconds", |rules| rules.delivery_service_seconds, 0, 3600),
        ("offer_lead_seconds", |rules| rules.offer_lead_seconds, 0, 3600),
    ];

    /// Checks every number; all that are wrong are returned.
    pub fn check(&self) -> Result<(), Vec<InvalidRule>> {
        let wrong: Vec<_> = Self::BOUNDS
            .into_iter()
            .map(|(field, given, least, most)| InvalidRule { field, least, most, given: given(self) })
            .filter(|rule| rule.given < rule.least || rule.given > rule.most)
            .collect();
        if wrong.is_empty() { Ok(()) } else { Err(wrong) }
    }

    /// [`Self::offer_seconds`] as a span.
    #[must_use]
    pub fn offer_span(&self) -> Span {
        Span::seconds(i64::from(self.offer_seconds))
    }

    /// [`Self::cool_down_seconds`] as a span.
    #[must_use]
    pub fn cool_down_span(&self) -> Span {
        Span::seconds(i64::from(self.cool_down_seconds))
    }

    /// [`Self::lost_after_seconds`] as a span.
    #[must_use]
    pub fn lost_span(&self) -> Span {
        Span::seconds(i64::from(self.lost_after_seconds))
    }

    /// [`Self::stale_after_seconds`] as a span.
    #[must_use]
    pub fn stale_span(&self) -> Span {
        Span::seconds(i64::from(self.stale_after_seconds))
    }
}

/// Which straight line a travel model measures.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Distance {
    /// Over the globe (haversine).
    #[default]
    GreatCircle,
    /// In a plane laid at latitude 0, longitude 0, at 111,320 m a degree of both axes, without the cosine of latitude. Only
    /// for recorded days that were laid there: their distances come out to the millimetre, so that rounding up to whole
    /// minutes gives the recorded travel times. Wrong anywhere else.
    Plane,
}

/// How travel times in a zone are estimated: distance times a detour factor over a speed.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Travel {
    /// How distance is measured.
    pub distance: Distance,
    /// Road distance over straight distance.
    pub detour_factor: f64,
    /// Speed along the road in metres per second.
    pub meters_per_second: f64,
    /// Travel times are rounded up to a multiple of so many seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub round_up_to_seconds: Option<u32>,
}

impl Default for Travel {
    /// A bicycle in a city.
    fn default() -> Self {
        Self { distance: Distance::GreatCircle, detour_factor: 1.35, meters_per_second: 6.0, round_up_to_seconds: None }
    }
}

/// What somebody wants a zone to be.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NewZone {
    /// Its name, unique among the zones that are served.
    pub name: String,
    /// A GeoJSON Polygon or MultiPolygon (longitude first). The geography crate reads and checks it.
    pub area: Value,
    /// Dispatch rules.
    pub rules: ZoneRules,
    /// How travel times are estimated. The geography crate checks it.
    pub travel: Travel,
}

/// A zone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Zone {
    /// The zone.
    pub id: ZoneId,
    /// The region: zones of one share drivers.
    pub region: RegionId,
    /// Its name, unique among the zones that are served.
    pub name: String,
    /// A GeoJSON Polygon or MultiPolygon (longitude first).
    pub area: Value,
    /// Dispatch rules.
    pub rules: ZoneRules,
    /// How travel times are estimated.
    pub travel: Travel,
    /// When it was made.
    pub created_at: Timestamp,
    /// Counts its changes, from 1.
    pub version: u64,
}

/// A field of a zone that cannot be so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidZone {
    /// The field, as the API names it.
    pub field: String,
    /// What is wrong with it.
    pub problem: String,
}

impl NewZone {
    /// Characters of a name at most.
    pub const MOST_NAME: usize = 100;

    /// What is wrong with name and rules; all of it.
    #[must_use]
    pub fn check(&self) -> Vec<InvalidZone> {
        let mut wrong = Vec::new();
        let mut say = |field: String, problem: String| wrong.push(InvalidZone { field, problem });
        let length = self.name.trim().chars().count();
        if length == 0 || length > Self::MOST_NAME {
            say("name".to_owned(), format!("must have 1 to {} characters", Self::MOST_NAME));
        }
        for rule in self.rules.check().err().unwrap_or_default() {
            say(format!("rules.{}", rule.field), rule.to_string());
        }
        if self.rules.shadow == Some(self.rules.policy) {
            say("rules.shadow".to_owned(), "must be another policy than the one that decides".to_owned());
        }
        wrong
    }
}

impl Zone {
    /// A zone as it was wanted at `now`, at its first version.
    #[must_use]
    pub fn new(id: ZoneId, region: RegionId, wanted: NewZone, now: Timestamp) -> Self {
        let NewZone { name, area, rules, travel } = wanted;
        let name = name.trim().to_owned();
        Self { id, region, name, area, rules, travel, created_at: now, version: 1 }
    }

    /// The zone, changed to what is wanted now: its next version.
    #[must_use]
    pub fn changed(&self, wanted: NewZone) -> Self {
        let version = self.version + 1;
        Self { version, ..Self::new(self.id, self.region, wanted, self.created_at) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::Id;

    fn wanted(name: &str, rules: ZoneRules) -> NewZone {
        NewZone { name: name.to_owned(), area: Value::Null, rules, travel: Travel::default() }
    }

    #[test]
    fn everything_that_is_wrong_with_a_zone_is_named() {
        let rules = ZoneRules { offer_seconds: 0, shadow: Some(Policy::LeastBusy), ..ZoneRules::default() };
        let fields = |new: &NewZone| new.check().into_iter().map(|wrong| wrong.field).collect::<Vec<_>>();
        assert_eq!(fields(&wanted(" ", rules)), ["name", "rules.offer_seconds", "rules.shadow"]);
        assert_eq!(fields(&wanted(&"x".repeat(101), ZoneRules::default())), ["name"]);
        assert_eq!(fields(&wanted(&"x".repeat(100), ZoneRules::default())), [""; 0]);
    }

    #[test]
    fn a_changed_zone_is_the_next_version_of_the_same_one_in_its_region() {
        let (id, region) = (ZoneId::from_uuid(uuid::Uuid::from_u128(1)), RegionId::from_uuid(uuid::Uuid::from_u128(2)));
        let zone = Zone::new(id, region, wanted(" Centre ", ZoneRules::default()), Timestamp::UNIX_EPOCH);
        assert_eq!((zone.name.as_str(), zone.version), ("Centre", 1));
        let changed = zone.changed(wanted("Old Town", ZoneRules { offer_seconds: 45, ..ZoneRules::default() }));
        let same = (changed.id, changed.region, changed.created_at);
        assert_eq!(same, (id, region, Timestamp::UNIX_EPOCH));
        assert_eq!((changed.name.as_str(), changed.version, changed.rules.offer_seconds), ("Old Town", 2, 45));
    }

    #[test]
    fn the_default_rules_can_be_run() {
        assert_eq!(ZoneRules::default().check(), Ok(()));
    }

    #[test]
    fn every_wrong_rule_is_named() {
        let rules =
            ZoneRules { offer_seconds: 0, stale_after_seconds: 4, pickup_service_seconds: 3601, ..Default::default() };
        let named: Vec<_> = rules.check().unwrap_err().into_iter().map(|wrong| wrong.field).collect();
        assert_eq!(named, ["offer_seconds", "stale_after_seconds", "pickup_service_seconds"]);
    }

    #[test]
    fn rules_that_are_not_given_have_their_defaults() {
        let rules: ZoneRules = serde_json::from_str(r#"{"offer_seconds":45}"#).unwrap();
        assert_eq!(rules, ZoneRules { offer_seconds: 45, ..ZoneRules::default() });
    }
}
