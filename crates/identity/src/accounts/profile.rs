//! What an account has beside its name, by role: a customer's addresses, a merchant's stores, a driver's vehicle.

use std::collections::HashSet;

use posthaste_domain::order::MOST_SIZE;
use posthaste_domain::place::Place;
use posthaste_http::auth::{LoginProof, Role};
use posthaste_protocol::accounts::AccountView;
use posthaste_protocol::problem::FieldError;
use posthaste_protocol::profiles::{CustomerProfile, DriverProfile, MerchantProfile, OpenHours};
use serde::Serialize;
use serde_json::Value;

use super::store;
use crate::Identity;
use crate::audit::{Entry, Origin};
use crate::refused::Refused;

/// The most entries of each list of a profile.
pub(crate) const MOST: usize = 50;
/// The longest text of a profile, in characters.
pub(crate) const LONGEST: usize = 200;
/// What times of a day look like, as a regular expression.
pub(crate) const FORM_OF_TIMES: &str = "^(([01][0-9]|2[0-3]):[0-5][0-9]|24:00)$";

/// A driver's profile, where they have given one.
pub(crate) fn driver(profile: &Value) -> Option<DriverProfile> {
    serde_json::from_value(profile.clone()).ok()
}

/// A profile that somebody hands in.
pub(crate) trait Profile: Serialize {
    /// Whose.
    const ROLE: Role;
    /// Every wrong field.
    fn faults(&self) -> Vec<FieldError>;
}

fn text(errors: &mut Vec<FieldError>, field: String, text: &str, may_be_empty: bool) {
    let length = text.trim().chars().count();
    if length > LONGEST || (length == 0 && !may_be_empty) || text.chars().any(|c| c.is_control() && c != '\n') {
        let least = usize::from(!may_be_empty);
        errors.push(FieldError { field, problem: format!("must have {least} to {LONGEST} characters") });
    }
}

fn place(errors: &mut Vec<FieldError>, field: &str, lat: f64, lng: f64) {
    if let Err(invalid) = Place::new(lat, lng) {
        errors.push(FieldError { field: field.to_owned(), problem: invalid.to_string() });
    }
}

fn count(errors: &mut Vec<FieldError>, field: &str, count: usize, least: usize) {
    if !(least..=MOST).contains(&count) {
        let problem = format!("must have {least} to {MOST} entries");
        errors.push(FieldError { field: field.to_owned(), problem });
    }
}

/// Minutes since midnight of `HH:MM`; 24:00 is the end of the day.
fn minutes(text: &str) -> Option<u16> {
    let (hours, minutes) = text.split_once(':')?;
    let two = |part: &str| (part.len() == 2 && part.bytes().all(|b| b.is_ascii_digit())).then(|| part.parse().ok());
    let (hours, minutes): (u16, u16) = (two(hours)??, two(minutes)??);
    let all = hours * 60 + minutes;
    (minutes < 60 && all <= 24 * 60).then_some(all)
}

fn hours(errors: &mut Vec<FieldError>, field: &str, hours: &[OpenHours]) {
    count(errors, field, hours.len(), 0);
    for (n, open) in hours.iter().enumerate().take(MOST) {
        let (opens, closes) = (minutes(&open.opens), minutes(&open.closes));
        let problem = match (opens, closes) {
            (Some(opens), Some(closes)) if opens < closes => continue,
            (Some(_), Some(_)) => "closes before it opens: past midnight is another day's hours",
            _ => "times look like 09:00, at most 24:00",
        };
        errors.push(FieldError { field: format!("{field}[{n}]"), problem: problem.to_owned() });
    }
}

impl Profile for CustomerProfile {
    const ROLE: Role = Role::Customer;
    fn faults(&self) -> Vec<FieldError> {
        let mut errors = Vec::new();
        count(&mut errors, "addresses", self.addresses.len(), 0);
        for (n, address) in self.addresses.iter().enumerate().take(MOST) {
            text(&mut errors, format!("addresses[{n}].label"), &address.label, false);
            text(&mut errors, format!("addresses[{n}].address"), &address.address, false);
            text(&mut errors, format!("addresses[{n}].note"), address.note.as_deref().unwrap_or_default(), true);
            place(&mut errors, &format!("addresses[{n}]"), address.lat, address.lng);
        }
        errors
    }
}

impl Profile for MerchantProfile {
    const ROLE: Role = Role::Merchant;
    fn faults(&self) -> Vec<FieldError> {
        let mut errors = Vec::new();
        count(&mut errors, "stores", self.stores.len(), 0);
        for (n, store) in self.stores.iter().enumerate().take(MOST) {
            text(&mut errors, format!("stores[{n}].name"), &store.name, false);
            text(&mut errors, format!("stores[{n}].address"), &store.address, false);
            place(&mut errors, &format!("stores[{n}]"), store.lat, store.lng);
            hours(&mut errors, &format!("stores[{n}].hours"), &store.hours);
        }
        errors
    }
}

impl Profile for DriverProfile {
    const ROLE: Role = Role::Driver;
    fn faults(&self) -> Vec<FieldError> {
        let mut errors = Vec::new();
        let mut wrong = |field: &str, problem: String| errors.push(FieldError { field: field.to_owned(), problem });
        if !(1..=MOST_SIZE).contains(&self.capacity) {
            wrong("capacity", format!("must lie between 1 and {MOST_SIZE}"));
        }
        if self.zones.iter().collect::<HashSet<_>>().len() != self.zones.len() {
            wrong("zones", "one stands there twice".to_owned());
        }
        if self.speeds.is_empty()
            || self.speeds.len() > 2
            || (self.speeds.len() == 2 && self.speeds[0] == self.speeds[1])
        {
            wrong("speeds", "must name fast, slow or both".to_owned());
        }
        count(&mut errors, "zones", self.zones.len(), 1);
        count(&mut errors, "documents", self.documents.len(), 0);
        for (n, document) in self.documents.iter().enumerate().take(MOST) {
            text(&mut errors, format!("documents[{n}].kind"), &document.kind, false);
            text(&mut errors, format!("documents[{n}].number"), document.number.as_deref().unwrap_or_default(), true);
        }
        errors
    }
}

impl Identity {
    /// Replaces the profile. What a driver who works already is to the dispatcher, operations change.
    pub(crate) async fn set_profile<P: Profile>(
        &self,
        proof: &LoginProof,
        new: &P,
        origin: &Origin,
    ) -> Result<AccountView, Refused> {
        let errors = new.faults();
        if !errors.is_empty() {
            return Err(Refused::Invalid(errors));
        }
        let profile = serde_json::to_value(new).map_err(|error| Refused::Internal(error.to_string()))?;
        let mut transaction = self.pool().connections().begin().await?;
        let account = Self::locked(&mut transaction, proof.account).await?;
        if account.role() != P::ROLE {
            return Err(Refused::Forbidden("this profile belongs to another role"));
        }
        if account.role() == Role::Driver && account.activated_at.is_some() {
            let work = |profile: &Value| driver(profile).map(|p| (p.vehicle, p.capacity, p.zones, p.speeds));
            if work(&account.profile) != work(&profile) {
                return Err(Refused::Conflict("once at work, only documents are changed here: ask operations"));
            }
        }
        store::set_profile(&mut transaction, account.id, &profile).await?;
        self.audit(&mut transaction, origin, Entry::new("profile.changed", account.id).on(account.id)).await?;
        transaction.commit().await?;
        Ok(self.account(account.id).await?.view())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn every_wrong_field_of_a_profile_is_named() {
        let merchant: MerchantProfile = serde_json::from_value(json!({"stores": [{
            "name": "", "address": "Gate 1", "lat": 91.0, "lng": 0.0, "hours": [
                {"day": "monday", "opens": "09:00", "closes": "24:00"},
                {"day": "monday", "opens": "18:00", "closes": "02:00"},
                {"day": "friday", "opens": "9:00", "closes": "24:01"},
            ],
        }]}))
        .unwrap();
        let fields: Vec<_> = merchant.faults().into_iter().map(|e| e.field).collect();
        assert_eq!(fields, ["stores[0].name", "stores[0]", "stores[0].hours[1]", "stores[0].hours[2]"]);
        let driver: DriverProfile = serde_json::from_value(json!({
            "vehicle": "van", "capacity": 0, "zones": [], "speeds": ["fast", "fast"],
            "documents": [{"kind": " "}],
        }))
        .unwrap();
        let fields: Vec<_> = driver.faults().into_iter().map(|e| e.field).collect();
        assert_eq!(fields, ["capacity", "speeds", "zones", "documents[0].kind"]);
    }
}
