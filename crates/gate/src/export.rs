//! What is kept of somebody, for themselves: a page at a time, section after section. Each entry is made by the view that
//! shows the same thing elsewhere, for the same audience.

use axum::Json;
use axum::extract::State;
use posthaste_dispatch_api::access::Admitted;
use posthaste_dispatch_api::export::{self as dispatch, Found};
use posthaste_dispatch_api::refusals::unread;
use posthaste_dispatch_api::texts::{all_right, wrong};
use posthaste_domain::Timestamp;
use posthaste_domain::ids::Id;
use posthaste_domain::party::Party;
use posthaste_http::auth::{LoginProof, Role};
use posthaste_http::contract::{Access, Rule};
use posthaste_http::extract::Query;
use posthaste_http::pages::{self, Cursor};
use posthaste_http::problem::Answer;
use posthaste_identity::Origin;
use posthaste_protocol::audience::Audience;
use posthaste_protocol::export::ExportEntry;
use posthaste_protocol::page::Page;
use posthaste_protocol::problem::{Code, Problem};
use posthaste_protocol::webhooks::EndpointView;
use serde::Deserialize;
use utoipa::IntoParams;
use uuid::Uuid;

use crate::AppState;

/// Which page.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Asked {
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// Entries on the page, 1 to 100; 20 where absent.
    #[param(example = "20")]
    limit: Option<String>,
}

pub(crate) const EXPORT: Rule =
    Rule::get("/v1/account/export", Access::ACCOUNT).notes_itself().codes(&[Code::StepUpRequired]);

/// Export one's account
///
/// Everything that is kept of the account and of whom it is to the dispatcher, as entries of several kinds; go on while there
/// is a `next_cursor`. Of other people there is what the same reader may see elsewhere. Signed in, with a proof of the last
/// ten minutes: an export that takes longer is gone on with after a step-up.
#[utoipa::path(get, path = "/v1/account/export", tag = "accounts", params(Asked),
    responses((status = 200, body = Page<ExportEntry>)))]
pub(crate) async fn export(
    State(app): State<AppState>,
    admitted: Admitted,
    origin: Origin,
    Query(asked): Query<Asked>,
) -> Answer<Json<Page<ExportEntry>>> {
    let mut errors = Vec::new();
    let limit = pages::limit(asked.limit.as_deref(), &mut errors);
    let from = match asked.cursor.as_deref().map(Place::decode) {
        Some(None) => {
            errors.push(wrong("cursor", "is not a cursor of this list: pass `next_cursor` of a page as it came"));
            Place::start(Section::Account)
        }
        from => from.flatten().unwrap_or(Place::start(Section::Account)),
    };
    all_right(errors)?;
    let caller = admitted.caller();
    let proof =
        caller.login().ok_or_else(|| Problem::new(Code::Forbidden).detail("sign in with an account for this"))?;
    app.identity().show_fresh(caller).await?;
    if asked.cursor.is_none() {
        app.identity().note_export(&proof, &origin).await?;
    }
    let (party, role, audience) = (caller.party, caller.role, caller.audience());
    let reader = Reader { app, proof, party, role, audience };
    Ok(Json(reader.page(from, limit).await?))
}

/// The kinds of entries, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Section {
    Account,
    Sessions,
    Acts,
    ApiKeys,
    WebhookEndpoints,
    Orders,
    Driver,
    PlannedShifts,
    DriverEvents,
    Tracks,
}

impl Section {
    const ALL: [Self; 10] = [
        Self::Account,
        Self::Sessions,
        Self::Acts,
        Self::ApiKeys,
        Self::WebhookEndpoints,
        Self::Orders,
        Self::Driver,
        Self::PlannedShifts,
        Self::DriverEvents,
        Self::Tracks,
    ];

    fn is_of(self, role: Role) -> bool {
        match self {
            Self::Account | Self::Sessions | Self::Acts => true,
            Self::ApiKeys | Self::WebhookEndpoints => role == Role::Merchant,
            // Operations see all orders; none of them is theirs.
            Self::Orders => role != Role::Admin,
            Self::Driver | Self::PlannedShifts | Self::DriverEvents | Self::Tracks => role == Role::Driver,
        }
    }

    /// The next that somebody of the role has.
    fn next(self, role: Role) -> Option<Self> {
        Self::ALL.into_iter().find(|next| *next > self && next.is_of(role))
    }
}

/// Where a page goes on: in this section, after what has this time, id or number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place {
    section: Section,
    after: Cursor,
}

impl Place {
    /// Before everything of a section: they begin with the newest.
    fn start(section: Section) -> Self {
        let at = Timestamp::from_timestamp(LATEST_SECONDS, 0).unwrap_or_default();
        Self { section, after: Cursor { at, id: Uuid::max() } }
    }

    fn encode(self) -> String {
        self.after.encode_in(self.section as u8)
    }

    fn decode(text: &str) -> Option<Self> {
        let (section, after) = Cursor::decode_in(text)?;
        let section = Section::ALL.into_iter().find(|known| *known as u8 == section)?;
        Some(Self { section, after })
    }
}

/// The end of the year 2199: later than everything that is kept, and a time that cursors take.
const LATEST_SECONDS: i64 = 7_258_118_399;

/// Whoever exports.
struct Reader {
    app: AppState,
    proof: LoginProof,
    party: Party,
    role: Role,
    audience: Audience,
}

impl Reader {
    async fn page(&self, from: Place, limit: u32) -> Answer<Page<ExportEntry>> {
        let mut items = Vec::new();
        let mut place = from;
        if !place.section.is_of(self.role) {
            return Err(Problem::invalid("cursor", "is not a cursor of this list").into());
        }
        loop {
            let room = limit.saturating_sub(u32::try_from(items.len()).unwrap_or(u32::MAX));
            if room == 0 {
                return Ok(Page { items, next_cursor: Some(place.encode()) });
            }
            // One more than there is room for says whether there are more.
            let mut found = self.read(place, room + 1).await?;
            let is_more = found.len() > room as usize;
            found.truncate(room as usize);
            let last = found.last().map(|(cursor, _)| *cursor);
            items.extend(found.into_iter().map(|(_, entry)| entry));
            place = match (is_more, last, place.section.next(self.role)) {
                (true, Some(after), _) => Place { after, ..place },
                (_, _, Some(section)) => Place::start(section),
                (_, _, None) => return Ok(Page { items, next_cursor: None }),
            };
        }
    }

    /// What a section has after a place, at most `limit` entries.
    async fn read(&self, Place { section, after }: Place, limit: u32) -> Answer<Vec<Found>> {
        let (identity, proof) = (self.app.identity(), &self.proof);
        let by_id = |at: Timestamp, id: Uuid, entry: ExportEntry| (Cursor { at, id }, entry);
        Ok(match section {
            Section::Account => {
                let account = identity.own_account(proof).await?;
                vec![by_id(account.created_at, account.id.uuid(), account.into())]
            }
            Section::Sessions => {
                let found = identity.own_logins(proof, after.id, limit).await?;
                found.into_iter().map(|it| by_id(it.created_at, it.id.uuid(), it.into())).collect()
            }
            Section::Acts => {
                let found = identity.own_acts(proof, after, limit).await?;
                found.into_iter().map(|it| by_id(it.at, it.id.uuid(), it.into())).collect()
            }
            Section::ApiKeys => {
                let found = identity.own_keys(proof, after.id, limit).await?;
                found.into_iter().map(|it| by_id(it.created_at, it.id.uuid(), it.into())).collect()
            }
            Section::WebhookEndpoints => self.endpoints(after, limit).await?,
            Section::Orders => dispatch::orders(self.app.dispatch(), self.party, self.audience, after, limit).await?,
            Section::Driver | Section::PlannedShifts | Section::DriverEvents | Section::Tracks => {
                self.of_driver(section, after, limit).await?
            }
        })
    }

    async fn endpoints(&self, after: Cursor, limit: u32) -> Answer<Vec<Found>> {
        let Party::Merchant(merchant) = self.party else { return Ok(Vec::new()) };
        let found = self.app.webhooks().of_merchant(merchant).await.map_err(unread)?;
        let rest = found.into_iter().filter(|endpoint| endpoint.id.uuid() < after.id).take(limit as usize);
        let entry = |it: EndpointView| (Cursor { at: it.created_at, id: it.id.uuid() }, it.into());
        Ok(rest.map(entry).collect())
    }

    /// What dispatch keeps of a driver.
    async fn of_driver(&self, section: Section, after: Cursor, limit: u32) -> Answer<Vec<Found>> {
        let Party::Driver(driver) = self.party else { return Ok(Vec::new()) };
        let app = self.app.dispatch();
        match section {
            Section::Driver => dispatch::driver(app, driver).await,
            Section::PlannedShifts => dispatch::planned_shifts(app, driver, after, limit).await,
            Section::DriverEvents => dispatch::driver_events(app, driver, after, limit).await,
            _ => dispatch::tracks(app, driver, after, limit).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_reads_back_in_every_section_and_looks_like_any_cursor() {
        for section in Section::ALL {
            let at = Timestamp::from_timestamp_micros(1_777_777_777_123_456).unwrap();
            for place in [Place::start(section), Place { section, after: Cursor { at, id: Uuid::from_u128(7) } }] {
                let text = place.encode();
                assert_eq!((Place::decode(&text), text.len()), (Some(place), 32));
            }
        }
        let beyond = Place::start(Section::Account).after.encode_in(10);
        for wrong in ["", "next", &beyond] {
            assert_eq!(Place::decode(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn everybody_has_sections_of_their_role_alone() {
        let of = |role| {
            let mut all = vec![Section::Account];
            while let Some(next) = all.last().and_then(|last: &Section| last.next(role)) {
                all.push(next);
            }
            all
        };
        assert_eq!(of(Role::Admin), [Section::Account, Section::Sessions, Section::Acts]);
        assert_eq!(of(Role::Customer).last(), Some(&Section::Orders));
        assert!(of(Role::Merchant).contains(&Section::ApiKeys) && !of(Role::Merchant).contains(&Section::Tracks));
        assert_eq!(of(Role::Driver).len(), 8);
    }
}
