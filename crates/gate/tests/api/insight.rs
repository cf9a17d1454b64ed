//! Delivery performance, from stories told to the database: what is asserted is worked out by hand beside each.

use std::sync::Arc;

use axum::http::StatusCode;
use posthaste_domain::contact::Contact;
use posthaste_domain::driver::{Driver, Shift, Vehicle};
use posthaste_domain::ids::{DriverId, Id, OfferId, RegionId, ZoneId};
use posthaste_domain::offer::Offer;
use posthaste_domain::order::{
    CodeRule, Command, Estimate, Event, NewOrder, NewPickup, NewStop, Order, Recorded, Speed, Status,
};
use posthaste_domain::party::Party;
use posthaste_domain::place::Place;
use posthaste_domain::window::Window;
use posthaste_domain::zone::ZoneRules;
use posthaste_domain::{Span, Timestamp};
use posthaste_storage::drivers::{DriverEvent, DriverRecorded};
use posthaste_storage::journal::{Entry, write};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::stage::{Stage, merchant_id, zone_body};

/// Ten o'clock of the day of the stories, plus seconds.
fn second(seconds: i64) -> Timestamp {
    "2026-05-04T10:00:00Z".parse::<Timestamp>().unwrap() + Span::seconds(seconds)
}

fn minute(minutes: i64) -> Timestamp {
    second(minutes * 60)
}

fn driver_id(n: u128) -> DriverId {
    DriverId::from_uuid(Uuid::from_u128(n))
}

/// An order, told from its placing on.
struct Tale {
    order: Order,
    events: Vec<(Recorded, Status)>,
    offers: u128,
}

impl Tale {
    /// Placed by a merchant at a minute, in a window where it is slow; a fast one is promised in forty minutes.
    fn placed(n: u128, merchant: u128, zone: ZoneId, at: i64, window: Option<(i64, i64)>) -> Self {
        let stop = |lat| NewStop {
            place: Place::new(lat, 13.4).unwrap(),
            contact: Contact::default(),
            service_seconds: None,
            window: window.map(|(from, to)| (minute(from), minute(to))),
        };
        let new = NewOrder {
            id: Id::from_uuid(Uuid::from_u128(n)),
            merchant: merchant_id(merchant),
            customer: None,
            reference: None,
            speed: if window.is_some() { Speed::Slow } else { Speed::Fast },
            size: 1,
            priority: 0,
            pickups: vec![NewPickup {
                seller: merchant_id(merchant),
                needs_confirmation: false,
                ready_at: None,
                stop: stop(52.5),
            }],
            delivery: stop(52.51),
            codes: CodeRule { pickup: false, delivery: false },
            entropy: vec![1, 2],
            zone,
            rules: ZoneRules::default(),
            travel_seconds: 600,
        };
        let Ok(Event::Placed { order }) = new.place(minute(at)) else { panic!("not placed") };
        let mut order = Arc::unwrap_or_clone(order);
        if window.is_none() {
            order.promised_at = minute(at + 40);
        }
        let event = Event::Placed { order: Arc::new(order.clone()) };
        let recorded = Recorded { seq: 1, at: minute(at), by: Party::System, event };
        let events = vec![(recorded, order.status())];
        Self { order, events, offers: 0 }
    }

    fn ready(mut self, at: i64) -> Self {
        let seller = self.order.merchant;
        self.order.tasks[0].ready_at = Some(minute(at));
        assert_eq!(self.order.tasks[0].seller, Some(seller));
        let event = Event::Placed { order: Arc::new(self.order.clone()) };
        self.events[0].0.event = event;
        self
    }

    /// Said when it was placed: the minutes by which it would be there, half of the time and nine times of ten.
    fn estimated(mut self, p50: i64, p90: i64) -> Self {
        self.order.estimates.placed = Some(Estimate { p50: minute(p50), p90: minute(p90) });
        let event = Event::Placed { order: Arc::new(self.order.clone()) };
        self.events[0].0.event = event;
        self
    }

    /// Said when its driver got it.
    fn estimated_again(mut self, p50: i64, p90: i64) -> Self {
        let said = Estimate { p50: minute(p50), p90: minute(p90) };
        self.order.estimates.assigned = Some(said);
        for (recorded, _) in &mut self.events {
            if let Event::Assigned { estimate, .. } = &mut recorded.event {
                *estimate = Some(said);
            }
        }
        self
    }

    fn then(mut self, at: Timestamp, command: &Command) -> Self {
        for event in self.order.decide(command, at).unwrap() {
            self.order.apply(&event, at);
            let recorded = Recorded { seq: self.order.version, at, by: Party::System, event };
            self.events.push((recorded, self.order.status()));
        }
        self
    }

    fn offered(mut self, at: i64, driver: u128) -> Self {
        self.offers += 1;
        let id = OfferId::from_uuid(Uuid::from_u128(self.order.id.uuid().as_u128() * 10 + self.offers));
        let commitment = Window::new(minute(at), minute(at + 40)).unwrap();
        let deadline = minute(at) + Span::seconds(61);
        let offer = Offer { id, driver: driver_id(driver), made_at: minute(at), deadline, commitment, lane: None };
        self.then(minute(at), &Command::Offer(offer))
    }

    fn accepted(self, at: i64) -> Self {
        let Offer { id, driver, .. } = self.order.offer.unwrap();
        self.then(minute(at), &Command::Accept { offer: id, driver })
    }

    fn declined(self, at: i64, silent: bool) -> Self {
        let Offer { id, driver, .. } = self.order.offer.unwrap();
        self.then(minute(at), &Command::Decline { offer: id, driver, cool_until: minute(at), silent })
    }

    fn given(self, at: i64, driver: u128, holds: (i64, i64)) -> Self {
        let commitment = Window::new(minute(holds.0), minute(holds.1)).unwrap();
        self.then(minute(at), &Command::AssignByHand { driver: driver_id(driver), commitment, lane: None })
    }

    fn driver(&self) -> DriverId {
        self.order.assignment.unwrap().driver
    }

    fn departed(self, at: i64) -> Self {
        let command = Command::Depart { driver: self.driver(), task: self.order.tasks[0].id };
        self.then(minute(at), &command)
    }

    fn done(self, task: usize, at: Timestamp) -> Self {
        let (driver, task) = (self.driver(), self.order.tasks[task].id);
        self.then(at, &Command::Complete { driver, task, code: None, proof: None, command: None })
    }

    fn picked_up(self, at: i64) -> Self {
        self.done(0, minute(at))
    }

    fn delivered(self, at: i64) -> Self {
        self.done(1, minute(at))
    }

    fn canceled(self, at: i64) -> Self {
        self.then(minute(at), &Command::Cancel { by: Party::System, reason: "a test".into() })
    }

    fn entry(self) -> Entry {
        Entry::order(0, Arc::new(self.order), self.events)
    }
}

/// A driver, with the changes of their shift.
fn driver(n: u128, zones: &[ZoneId], shifts: &[(i64, Shift)]) -> Entry {
    let mut driver = Driver {
        id: driver_id(n),
        name: "Ravi".into(),
        vehicle: Vehicle::Bicycle,
        capacity: 3,
        zones: zones.to_vec(),
        speeds: vec![Speed::Fast, Speed::Slow],
        shift: Shift::Offline,
        next_task: None,
        region: RegionId::FIRST,
        created_at: minute(-900),
        version: 1,
    };
    let registered = DriverRecorded { seq: 1, at: minute(-900), by: Party::System, event: DriverEvent::Registered };
    let mut events = vec![registered];
    for (at, shift) in shifts {
        driver.version += 1;
        driver.shift = *shift;
        let event = DriverEvent::ShiftChanged { shift: *shift, command: None };
        events.push(DriverRecorded { seq: driver.version, at: minute(*at), by: Party::System, event });
    }
    Entry::driver(0, driver, events)
}

/// The town of the stories: two zones, two drivers, two merchants, two hours from ten o'clock.
struct Town {
    stage: Stage,
    centre: ZoneId,
    north: ZoneId,
}

impl Town {
    async fn new() -> Self {
        let stage = Stage::new().await;
        let mut north = zone_body("North");
        north["area"]["coordinates"] = json!([[[13.3, 52.7], [13.5, 52.7], [13.5, 52.8], [13.3, 52.8], [13.3, 52.7]]]);
        let north = stage.post("/v1/zones", &stage.admin, &north).await.id().parse().unwrap();
        let centre = stage.zone.parse().unwrap();
        let town = Self { stage, centre, north };
        let (entries, feed) = (town.entries(), town.stage.app.system().feed());
        for outcome in write(&town.stage.database.pool, feed.draw(&entries), &entries).await {
            outcome.unwrap();
        }
        town
    }

    fn entries(&self) -> Vec<Entry> {
        let (centre, north) = (self.centre, self.north);
        let on = Shift::Available { until: None };
        let (first, second_driver) = (1, 2);
        vec![
            // On from half past nine, on a break from 10:40 to 11:00, off at 11:30.
            driver(
                first,
                &[centre],
                &[(-30, on), (40, Shift::OnBreak { until: None }), (60, on), (90, Shift::Offline)],
            ),
            // On from ten o'clock, and still. They serve both zones.
            driver(second_driver, &[centre, north], &[(-600, on), (-200, Shift::Offline), (0, on)]),
            // Declined by one, taken by the other; ready at 10:10, picked up at 10:15, delivered in 30 minutes.
            Tale::placed(1, 1, centre, 0, None)
                .ready(10)
                .estimated(30, 40)
                .offered(0, second_driver)
                .declined(1, false)
                .offered(1, first)
                .accepted(2)
                .estimated_again(28, 29)
                .picked_up(15)
                .delivered(30)
                .entry(),
            // Picked up twenty seconds later at the same place: one trip. Delivered in 45 minutes: late.
            Tale::placed(2, 1, centre, 5, None)
                .ready(15)
                .estimated(40, 49)
                .offered(6, first)
                .accepted(7)
                .done(0, second(15 * 60 + 20))
                .delivered(50)
                .entry(),
            // A silent driver, then canceled while another is asked.
            Tale::placed(3, 2, centre, 20, None)
                .estimated(50, 60)
                .offered(21, second_driver)
                .declined(23, true)
                .offered(23, first)
                .canceled(25)
                .entry(),
            // Placed in the last minute of the hour, and counted in it: 21 minutes.
            Tale::placed(4, 1, centre, 59, None)
                .estimated(70, 81)
                .offered(60, second_driver)
                .accepted(61)
                .picked_up(70)
                .delivered(80)
                .entry(),
            // In a window, given in advance by hand: in hand from the first step on. No click-to-door.
            Tale::placed(5, 2, north, 70, Some((90, 110)))
                .given(71, second_driver, (90, 110))
                .departed(85)
                .picked_up(95)
                .delivered(105)
                .entry(),
            // Nobody took it.
            {
                let tale = Tale::placed(6, 1, north, 80, None);
                let at = tale.order.gives_up_at;
                tale.then(at, &Command::GiveUp).entry()
            },
            // Placed before ten o'clock: it has no row, but its driver was not idle.
            Tale::placed(7, 1, centre, -10, None).given(-9, first, (-9, 20)).picked_up(-5).delivered(5).entry(),
            // Still under way.
            Tale::placed(8, 1, centre, 90, None).given(91, second_driver, (91, 130)).entry(),
            // The day before: nothing of it counts.
            Tale::placed(9, 1, centre, -1500, None)
                .given(-1499, first, (-1499, -1450))
                .picked_up(-1490)
                .delivered(-1480)
                .entry(),
        ]
    }

    async fn asked(&self, token: &str, more: &str) -> Value {
        let path = format!("/v1/insight/performance?from=2026-05-04T10:00:00Z&to=2026-05-04T12:00:00Z{more}");
        let answer = self.stage.get(&path, token).await;
        assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
        answer.body
    }
}

/// The fields of a JSON object that are named, in their order.
fn pick(value: &Value, fields: &[&str]) -> Value {
    fields.iter().map(|field| value[*field].clone()).collect()
}

const COUNTS: [&str; 7] = ["placed", "delivered", "canceled", "rejected", "expired", "failed", "live"];

#[tokio::test(flavor = "multi_thread")]
async fn figures_are_those_of_the_stories() {
    let town = Town::new().await;
    let body = town.asked(&town.stage.admin, "").await;
    assert_eq!(pick(&body, &["by", "from", "to"]), json!(["hour", "2026-05-04T10:00:00Z", "2026-05-04T12:00:00Z"]));
    let rows = body["rows"].as_array().unwrap();
    let spans: Vec<_> = rows.iter().map(|row| pick(row, &["from", "to", "zone"])).collect();
    let (ten, eleven, twelve) = ("2026-05-04T10:00:00Z", "2026-05-04T11:00:00Z", "2026-05-04T12:00:00Z");
    assert_eq!(
        spans,
        [
            json!([ten, eleven, "Centre"]),
            json!([ten, eleven, "North"]),
            json!([eleven, twelve, "Centre"]),
            json!([eleven, twelve, "North"]),
        ]
    );

    let busy = &rows[0];
    assert_eq!(pick(&busy["orders"], &COUNTS), json!([4, 3, 1, 0, 0, 0, 0]));
    assert_eq!(busy["on_time"], json!({"orders": 2, "share": 0.6667}));
    // Delivered at 10:30, 10:50 and 11:20: by p50 of placing the first, by p90 the last too; the canceled one is none.
    let held = json!({"orders": 3, "by_p50": 1, "by_p90": 2, "p50_share": 0.3333, "p90_share": 0.6667});
    assert_eq!(busy["estimates"]["placed"], held);
    let again = json!({"orders": 1, "by_p50": 0, "by_p90": 0, "p50_share": 0.0, "p90_share": 0.0});
    assert_eq!(busy["estimates"]["assigned"], again);
    let click = json!({"count": 3, "mean_seconds": 1920, "p50_seconds": 1800, "p90_seconds": 2700});
    assert_eq!(busy["click_to_door"], click);
    let wait = json!({"count": 2, "mean_seconds": 160, "p50_seconds": 20, "p90_seconds": 300});
    assert_eq!(busy["ready_to_pickup"], wait);
    assert_eq!(
        busy["offers"],
        json!({"made": 6, "accepted": 3, "declined": 1, "lapsed": 1, "withdrawn": 1,
            "declined_share": 0.1667, "lapsed_share": 0.1667})
    );
    assert_eq!(busy["bundling"], json!({"trips": 2, "pickups": 3, "per_trip": 1.5}));
    // The first driver 40 minutes before their break, all of it with something in hand; the second the whole hour, idle.
    assert_eq!(busy["drivers"], json!({"on_shift_seconds": 6000, "in_hand_seconds": 2400, "utilisation": 0.4}));

    assert_eq!(pick(&rows[1]["orders"], &COUNTS), json!([0, 0, 0, 0, 0, 0, 0]));
    assert_eq!(rows[1]["estimates"]["placed"], json!({"orders": 0, "by_p50": 0, "by_p90": 0}));
    assert_eq!(rows[1]["on_time"], json!({"orders": 0}));
    assert_eq!(rows[1]["drivers"], json!({"on_shift_seconds": 3600, "in_hand_seconds": 0, "utilisation": 0.0}));

    assert_eq!(pick(&rows[2]["orders"], &COUNTS), json!([1, 0, 0, 0, 0, 0, 1]));
    // 30 minutes of the first; of the second 11:01 to 11:20, and 11:25 to the end with two orders at times.
    assert_eq!(rows[2]["drivers"], json!({"on_shift_seconds": 5400, "in_hand_seconds": 3240, "utilisation": 0.6}));

    assert_eq!(pick(&rows[3]["orders"], &COUNTS), json!([2, 1, 0, 0, 1, 0, 0]));
    assert_eq!(rows[3]["on_time"], json!({"orders": 1, "share": 1.0}));
    assert_eq!((&rows[3]["click_to_door"], &rows[3]["ready_to_pickup"]), (&Value::Null, &Value::Null));
    assert_eq!(rows[3]["drivers"], json!({"on_shift_seconds": 3600, "in_hand_seconds": 3240, "utilisation": 0.9}));

    let total = &body["total"];
    assert_eq!(pick(&total["orders"], &COUNTS), json!([7, 4, 1, 0, 1, 0, 1]));
    assert_eq!(total["bundling"], json!({"trips": 3, "pickups": 4, "per_trip": 1.3333}));
    assert_eq!(total["drivers"], json!({"on_shift_seconds": 11400, "in_hand_seconds": 5640, "utilisation": 0.4947}));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_day_and_a_zone_are_the_hours_together() {
    let town = Town::new().await;
    let hours = town.asked(&town.stage.admin, "").await;
    let zones = town.asked(&town.stage.admin, "&by=zone").await;
    assert_eq!(zones["total"], hours["total"]);
    let names: Vec<_> = zones["rows"].as_array().unwrap().iter().map(|row| row["zone"].clone()).collect();
    assert_eq!(names, ["Centre", "North"]);
    let days = town.asked(&town.stage.admin, "&by=day").await;
    assert_eq!(days["from"], json!("2026-05-04T00:00:00Z"));
    // The whole day has the order of 9:50 too.
    assert_eq!((days["rows"].as_array().unwrap().len(), &days["total"]["orders"]["placed"]), (2, &json!(8)));
    let north = town.asked(&town.stage.admin, &format!("&zone_id={}", town.north)).await;
    assert_eq!(north["rows"].as_array().unwrap().len(), 2);
    assert_eq!(north["rows"][1], hours["rows"][3]);
    assert_eq!(north["total"]["drivers"]["in_hand_seconds"], json!(3240));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_merchant_sees_its_own_orders_and_nothing_of_drivers_time() {
    let town = Town::new().await;
    let own = town.asked(&town.stage.merchant, "").await;
    assert_eq!(pick(&own["total"]["orders"], &COUNTS), json!([5, 3, 0, 0, 1, 0, 1]));
    assert_eq!(own["total"]["offers"]["made"], json!(4));
    let rows = own["rows"].as_array().unwrap();
    assert!(own["total"]["drivers"].is_null() && rows.iter().all(|row| row["drivers"].is_null()), "{own}");
    assert_eq!(rows.len(), 3, "no row of a zone and hour in which it had no order: {own}");
    let other = town.asked(&town.stage.other_merchant, "").await;
    assert_eq!(pick(&other["total"]["orders"], &COUNTS), json!([2, 1, 1, 0, 0, 0, 0]));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_asked_wrongly_is_named() {
    let stage = Stage::new().await;
    let refused = async |query: &str| {
        let answer = stage.get(&format!("/v1/insight/performance?{query}"), &stage.admin).await;
        assert_eq!((answer.status.as_u16(), answer.code()), (422, "invalid"), "{query}: {answer:?}");
        let errors = answer.body["errors"].as_array().unwrap().clone();
        errors.iter().map(|e| format!("{} {}", e["field"].as_str().unwrap(), e["problem"].as_str().unwrap())).collect()
    };
    let all: Vec<String> = refused("from=noon&to=2026-05-04&by=week&zone_id=zon_1").await;
    assert_eq!(all.len(), 4, "{all:?}");
    let reversed: Vec<String> = refused("from=2026-05-04T10:00:00Z&to=2026-05-04T09:00:00Z").await;
    assert_eq!(reversed, ["from must lie before `to`"]);
    let long: Vec<String> = refused("from=2026-04-01T00:00:00Z&to=2026-05-04T09:00:00Z").await;
    assert_eq!(long, ["from lies more than 31 days before `to`, the most that is told by hour"]);
    let longer: Vec<String> = refused("from=2026-01-01T00:00:00Z&to=2026-05-04T09:00:00Z&by=day").await;
    assert_eq!(longer, ["from lies more than 92 days before `to`, the most that is told by day"]);
    let future: Vec<String> = refused("from=2199-01-01T00:00:00Z&to=2199-01-02T00:00:00Z").await;
    assert_eq!(future, ["from lies in the future"]);
    let nowhere: Vec<String> = refused("zone_id=zon_01jd8v7cjxfm9sxv0q3e0b5z1c").await;
    assert_eq!(nowhere, ["zone_id no such zone"]);
    let fine =
        stage.get("/v1/insight/performance?from=2026-04-03T09:30:00Z&to=2026-05-04T09:00:00Z", &stage.admin).await;
    assert_eq!((fine.status, &fine.body["rows"]), (StatusCode::OK, &json!([])));
    let misspelt = stage.get("/v1/insight/performance?zone=Centre", &stage.admin).await;
    assert_eq!(misspelt.code(), "malformed", "{misspelt:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn learned_times_are_the_callers_own_and_say_what_they_rest_on() {
    let stage = Stage::new().await;
    let asked = async |token: &str, query: &str| {
        let answer = stage.get(&format!("/v1/insight/times{query}"), token).await;
        assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
        answer.body
    };
    let names = |body: &Value| -> Vec<String> {
        let times = body["rows"][0]["times"].as_array().unwrap();
        times.iter().map(|time| time["quantity"].as_str().unwrap().to_owned()).collect()
    };
    let own = ["lateness", "preparation", "pickup_excess"];
    let all = asked(&stage.admin, &format!("?merchant_id={}&hour=18&zone_id={}", merchant_id(1), stage.zone)).await;
    assert_eq!(pick(&all, &["merchant_id", "hour"]), json!([merchant_id(1), 18]));
    assert_eq!(names(&all), [&own[..], &["dropoff_excess", "pace", "reach"]].concat());
    let lateness = &all["rows"][0]["times"][0];
    assert_eq!(pick(lateness, &["unit", "p50", "p90", "prior_share"]), json!(["seconds", 0, 300, 1.0]));
    let levels: Vec<_> = lateness["learned_from"].as_array().unwrap().iter().map(|l| l["level"].clone()).collect();
    assert_eq!(levels, ["merchant_hour", "merchant", "zone"]);
    let mine = asked(&stage.merchant, "").await;
    assert_eq!((&mine["merchant_id"], names(&mine)), (&json!(merchant_id(1)), own.map(str::to_owned).to_vec()));
    assert_eq!(asked(&stage.merchant, &format!("?merchant_id={}", merchant_id(1))).await, mine);

    let theirs = stage.get(&format!("/v1/insight/times?merchant_id={}", merchant_id(2)), &stage.merchant).await;
    assert_eq!((theirs.status, theirs.code()), (StatusCode::NOT_FOUND, "not_found"), "{theirs:?}");
    let customer = stage.get("/v1/insight/times", &stage.customer).await;
    assert_eq!((customer.status, customer.code()), (StatusCode::FORBIDDEN, "forbidden"));
    for (query, field) in [
        ("hour=24", "hour"),
        ("hour=noon", "hour"),
        ("zone_id=zon_1", "zone_id"),
        ("zone_id=zon_01jd8v7cjxfm9sxv0q3e0b5z1c", "zone_id"),
        ("merchant_id=drv_1", "merchant_id"),
    ] {
        let refused = stage.get(&format!("/v1/insight/times?{query}"), &stage.admin).await;
        assert_eq!((refused.status.as_u16(), refused.fields()), (422, vec![field]), "{query}: {refused:?}");
    }
}
