//! A dispatcher in one file for tests: the order machine behind a mutex, the first free driver gets the order.
//!
//! It forgets everything at the end, checks no token, and breaks each driver's first connection in the middle of
//! a pickup: after doing it, before saying so.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Instant;

use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use parking_lot::Mutex;
use posthaste_domain::driver::{Driver, Shift};
use posthaste_domain::ids::{DriverId, Id, MerchantId, OfferId, OrderId, RegionId, ZoneId};
use posthaste_domain::offer::Offer;
use posthaste_domain::order::{
    CodeRule, Command, Event, NewOrder, NewPickup, NewStop, Order, Rejected, ReleaseReason, Status, Task,
};
use posthaste_domain::party::Party;
use posthaste_domain::place::Place;
use posthaste_domain::roster::PlannedShift;
use posthaste_domain::window::Window;
use posthaste_domain::{Span, Timestamp};
use posthaste_protocol::audience::Audience;
use posthaste_protocol::clock::ClockView;
use posthaste_protocol::drivers::{
    CreateDriver, DriverView, OfferView, PlanShift, PlannedShiftView, RouteView, StopView,
};
use posthaste_protocol::orders::{CreateDelivery, CreateOrder, OrderView, TaskView};
use posthaste_protocol::page::Page;
use posthaste_protocol::problem::{Code, Problem};
use posthaste_protocol::socket::{
    Ack, ClientMessage, Header, Limits, ServerMessage, Snapshot, Welcome, decode_client, encode_server,
};
use posthaste_protocol::zones::{PutZone, ZoneView};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

struct Desk {
    driver: Driver,
    line: Option<UnboundedSender<String>>,
    seq: u64,
}

#[derive(Default)]
struct Books {
    orders: BTreeMap<OrderId, Order>,
    drivers: BTreeMap<DriverId, Desk>,
    zones: Vec<ZoneView>,
    broken: HashSet<DriverId>,
}

/// The server.
pub(crate) struct TinyServer {
    began: Instant,
    start: Timestamp,
    speed: f64,
    books: Mutex<Books>,
}

/// What came of a command.
type Outcome = Result<Ack, Box<Problem>>;

type Tiny = State<Arc<TinyServer>>;

impl TinyServer {
    /// Serves on a free port; its address.
    pub(crate) async fn start(speed: f64) -> (Arc<Self>, String) {
        let server =
            Arc::new(Self { began: Instant::now(), start: chrono::Utc::now(), speed, books: Mutex::default() });
        let app = Router::new()
            .route("/v1/clock", get(|State(s): Tiny| async move { Json(s.clock()) }))
            .route("/v1/zones", get(list_zones).post(create_zone))
            .route("/v1/drivers", post(create_driver))
            .route("/v1/drivers/{id}/route", get(route))
            .route("/v1/drivers/{id}/shifts", post(plan_shift))
            .route("/v1/orders", get(list_orders).post(create_order))
            .route("/v1/orders/{id}/cancel", post(cancel))
            .route("/v1/orders/{id}/unassign", post(unassign))
            .route("/v1/ws/driver", get(driver_socket))
            .with_state(Arc::clone(&server));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, app).await });
        (server, url)
    }

    /// How many drivers' connections were broken on purpose.
    pub(crate) fn broken(&self) -> usize {
        self.books.lock().broken.len()
    }

    fn now(&self) -> Timestamp {
        let elapsed = self.began.elapsed().mul_f64(self.speed);
        self.start + Span::from_std(elapsed).unwrap()
    }

    fn clock(&self) -> ClockView {
        ClockView { now: self.now(), speed: self.speed }
    }

    fn id<I: Id>(&self) -> I {
        I::from_uuid(uuid::Uuid::now_v7())
    }

    /// Does it, tells drivers, and looks for work for everybody.
    fn command(&self, books: &mut Books, order: OrderId, command: &Command) -> Outcome {
        let now = self.now();
        let order = books.orders.get_mut(&order).ok_or_else(|| Box::new(Problem::new(Code::NotFound)))?;
        let before = order.assignment.map(|a| a.driver);
        let refused = |e: Rejected| Box::new(Problem::new(Code::Conflict).detail(e.to_string()));
        let events = order.decide(command, now).map_err(refused)?;
        for event in &events {
            assert!(!matches!(event, Event::CodeRefused { .. }), "nobody mistypes here");
            order.apply(event, now);
        }
        let after = order.assignment.map(|a| a.driver);
        let at = match (events.is_empty(), command) {
            (true, Command::Complete { task, .. }) => order.task(*task).and_then(|t| t.done_at),
            (true, Command::Accept { .. }) => order.assignment.map(|a| a.at),
            _ => Some(now),
        };
        for driver in before.into_iter().chain(after).collect::<HashSet<_>>() {
            let route = books.route(driver);
            books.tell(driver, ServerMessage::Route(Box::new(route)));
        }
        self.dispatch(books);
        Ok(Ack::new(!events.is_empty(), at))
    }

    fn dispatch(&self, books: &mut Books) {
        let now = self.now();
        let waiting: Vec<_> = books.orders.values().filter(|o| o.status() == Status::Confirmed).map(|o| o.id).collect();
        for id in waiting {
            let cooling: Vec<_> =
                books.orders[&id].cooling.iter().filter(|c| c.until > now).map(|c| c.driver).collect();
            let free =
                books.drivers.values().map(|desk| &desk.driver).find(|driver| {
                    driver.shift.takes_work() && !cooling.contains(&driver.id) && !books.is_busy(driver.id)
                });
            let Some(driver) = free.map(|driver| driver.id) else { return };
            let commitment = Window::new(now, now + Span::hours(1)).unwrap();
            let offer = Offer {
                id: self.id(),
                driver,
                made_at: now,
                deadline: now + Span::minutes(15),
                commitment,
                lane: None,
            };
            let order = books.orders.get_mut(&id).unwrap();
            order.apply(&Event::Offered { offer }, now);
            let view = OfferView::of(order).unwrap();
            books.tell(driver, ServerMessage::Offer(Box::new(view)));
        }
    }

    /// What a driver sends over their socket.
    fn take(&self, driver: DriverId, header: &Header, message: ClientMessage) -> Option<Outcome> {
        let books = &mut *self.books.lock();
        let now = self.now();
        let complete = |done: posthaste_protocol::socket::TaskDone| Command::Complete {
            driver,
            task: done.task_id,
            code: done.code,
            proof: None,
            command: header.id.clone(),
        };
        let (order, command) = match message {
            ClientMessage::Shift(shift) => {
                books.drivers.get_mut(&driver).unwrap().driver.shift = shift.into();
                self.dispatch(books);
                return Some(Ok(Ack::new(true, Some(now))));
            }
            ClientMessage::Accept(answer) => {
                (books.offered(answer.offer_id), Command::Accept { offer: answer.offer_id, driver })
            }
            ClientMessage::Decline(answer) => {
                let cool_until = now + Span::minutes(5);
                let command = Command::Decline { offer: answer.offer_id, driver, cool_until, silent: false };
                (books.offered(answer.offer_id), command)
            }
            ClientMessage::Departed(at) => {
                (books.holds(|t| t.id == at.task_id), Command::Depart { driver, task: at.task_id })
            }
            ClientMessage::Arrived(at) => {
                (books.holds(|t| t.id == at.task_id), Command::Arrive { driver, task: at.task_id })
            }
            ClientMessage::PickedUp(done) | ClientMessage::Delivered(done) => {
                (books.holds(|t| t.id == done.task_id), complete(done))
            }
            _ => return None,
        };
        Some(
            order
                .ok_or_else(|| Box::new(Problem::new(Code::OfferGone)))
                .and_then(|order| self.command(books, order, &command)),
        )
    }
}

impl Books {
    fn is_busy(&self, driver: DriverId) -> bool {
        self.orders.values().any(|order| {
            order.working_driver() == Some(driver) || order.offer.is_some_and(|offer| offer.driver == driver)
        })
    }

    fn holds(&self, wanted: impl Fn(&Task) -> bool) -> Option<OrderId> {
        self.orders.values().find(|order| order.tasks.iter().any(&wanted)).map(|order| order.id)
    }

    fn offered(&self, offer: OfferId) -> Option<OrderId> {
        let is = |order: &&Order| {
            order.offer.is_some_and(|o| o.id == offer) || order.assignment.is_some_and(|a| a.offer == Some(offer))
        };
        self.orders.values().find(is).map(|order| order.id)
    }

    fn route(&self, driver: DriverId) -> RouteView {
        let mut stops = Vec::new();
        for order in self.orders.values().filter(|order| order.working_driver() == Some(driver)) {
            let view = OrderView::of(order, Audience::Driver(driver));
            let open = |task: &TaskView| order.task(task.id).is_some_and(|t| !t.status.is_final());
            stops.extend(view.tasks.into_iter().filter(open).map(|task| StopView {
                order_id: order.id,
                order_status: order.status(),
                promised_at: order.promised_at,
                planned_at: None,
                chosen: false,
                task,
            }));
        }
        let offers = self.orders.values().filter(|o| o.offer.is_some_and(|o| o.driver == driver));
        RouteView {
            driver_id: driver,
            stops,
            plan: None,
            standby: None,
            offers: offers.filter_map(OfferView::of).collect(),
        }
    }

    fn tell(&mut self, driver: DriverId, message: ServerMessage) {
        let Some(desk) = self.drivers.get_mut(&driver) else { return };
        desk.seq += 1;
        if let Some(line) = &desk.line {
            let _ = line.send(encode_server(&message, &Header { seq: Some(desk.seq), ..Header::default() }));
        }
    }
}

async fn list_zones(State(server): Tiny) -> Json<Page<ZoneView>> {
    Json(Page { items: server.books.lock().zones.clone(), next_cursor: None })
}

async fn create_zone(State(server): Tiny, Json(zone): Json<PutZone>) -> impl IntoResponse {
    let PutZone { name, area, rules, travel } = zone;
    let (id, created_at) = (server.id::<ZoneId>(), server.now());
    let view = ZoneView { id, name, area, area_km2: 1.0, cells: 1, rules, travel, created_at, version: 1 };
    server.books.lock().zones.push(view.clone());
    (StatusCode::CREATED, Json(view))
}

async fn create_driver(State(server): Tiny, Json(new): Json<CreateDriver>) -> impl IntoResponse {
    let CreateDriver { name, vehicle, capacity, zones, speeds } = new;
    let (id, shift, created_at) = (server.id(), Shift::Offline, server.now());
    let driver = Driver {
        id,
        name,
        vehicle,
        capacity,
        zones,
        speeds,
        shift,
        next_task: None,
        region: RegionId::FIRST,
        created_at,
        version: 1,
    };
    let view = DriverView::of(&driver, false, 0, None);
    server.books.lock().drivers.insert(id, Desk { driver, line: None, seq: 0 });
    (StatusCode::CREATED, Json(view))
}

async fn plan_shift(
    State(server): Tiny,
    Path(driver): Path<DriverId>,
    Json(new): Json<PlanShift>,
) -> impl IntoResponse {
    let during = Window::new(new.start, new.end).unwrap();
    let shift = PlannedShift { id: server.id(), driver, during, place: None, created_at: server.now() };
    (StatusCode::CREATED, Json(PlannedShiftView::of(&shift)))
}

async fn route(State(server): Tiny, Path(id): Path<DriverId>) -> Json<RouteView> {
    Json(server.books.lock().route(id))
}

async fn create_order(State(server): Tiny, headers: HeaderMap, Json(new): Json<CreateOrder>) -> Response {
    let merchant: MerchantId = caller(&headers).unwrap();
    let books = &mut *server.books.lock();
    let now = server.now();
    let zone = &books.zones[0];
    let place = |lat, lng| NewStop {
        place: Place::new(lat, lng).unwrap(),
        contact: Default::default(),
        service_seconds: None,
        window: None,
    };
    let CreateDelivery { lat, lng, .. } = new.delivery;
    let pickups = new.pickups.iter().map(|pickup| NewPickup {
        seller: merchant,
        needs_confirmation: false,
        ready_at: pickup.ready_at,
        stop: place(pickup.lat, pickup.lng),
    });
    let placed = NewOrder {
        id: server.id(),
        merchant,
        customer: None,
        reference: new.reference,
        speed: new.speed,
        size: new.size,
        priority: 0,
        pickups: pickups.collect(),
        delivery: place(lat, lng),
        codes: CodeRule::default(),
        entropy: vec![4711, 815],
        zone: zone.id,
        rules: zone.rules.into(),
        travel_seconds: 600,
    };
    let Ok(Event::Placed { order }) = placed.place(now) else {
        return StatusCode::UNPROCESSABLE_ENTITY.into_response();
    };
    let view = OrderView::of(&order, Audience::Merchant(merchant));
    books.orders.insert(order.id, Arc::unwrap_or_clone(order));
    server.dispatch(books);
    (StatusCode::CREATED, Json(view)).into_response()
}

async fn list_orders(State(server): Tiny) -> Json<Page<OrderView>> {
    let items = server.books.lock().orders.values().map(|o| OrderView::of(o, Audience::Operations)).collect();
    Json(Page { items, next_cursor: None })
}

async fn cancel(State(server): Tiny, Path(id): Path<OrderId>) -> Response {
    done(&server, id, &Command::Cancel { by: Party::System, reason: "over".to_owned() })
}

async fn unassign(State(server): Tiny, Path(id): Path<OrderId>) -> Response {
    done(&server, id, &Command::Unassign { reason: ReleaseReason::ByHand })
}

fn done(server: &TinyServer, id: OrderId, command: &Command) -> Response {
    let books = &mut *server.books.lock();
    match server.command(books, id, command) {
        Ok(_) => Json(OrderView::of(&books.orders[&id], Audience::Operations)).into_response(),
        Err(problem) => (StatusCode::CONFLICT, Json(*problem)).into_response(),
    }
}

/// The caller's id is their token.
fn caller<I: std::str::FromStr>(headers: &HeaderMap) -> Option<I> {
    headers.get("authorization")?.to_str().ok()?.strip_prefix("Bearer ")?.parse().ok()
}

async fn driver_socket(State(server): Tiny, headers: HeaderMap, upgrade: WebSocketUpgrade) -> Response {
    let driver: DriverId = caller(&headers).unwrap();
    upgrade.on_upgrade(move |socket| async move { serve_driver(&server, driver, socket).await })
}

async fn serve_driver(server: &TinyServer, driver: DriverId, mut socket: WebSocket) {
    let (line, mut waiting) = unbounded_channel();
    let frames = {
        let books = &mut *server.books.lock();
        let route = books.route(driver);
        let desk = books.drivers.get_mut(&driver).unwrap();
        desk.line = Some(line);
        let welcome = Welcome {
            session: server.id(),
            epoch: "only".to_owned(),
            seq: desk.seq,
            heartbeat_seconds: 20,
            clock: server.clock(),
            limits: Limits { frame_bytes: 65_536, batch_positions: 500, messages_per_second: 50 },
        };
        let snapshot = Snapshot::Driver { driver: DriverView::of(&desk.driver, false, 0, None), route };
        let header = Header { seq: Some(desk.seq), ..Header::default() };
        [
            encode_server(&ServerMessage::Welcome(welcome), &Header::default()),
            encode_server(&ServerMessage::Snapshot(Box::new(snapshot)), &header),
        ]
    };
    for frame in frames {
        let _ = socket.send(Message::text(frame)).await;
    }
    loop {
        tokio::select! {
            Some(text) = waiting.recv() => if socket.send(Message::text(text)).await.is_err() { return },
            frame = socket.recv() => {
                let Some(Ok(frame)) = frame else { return };
                let Message::Text(text) = frame else { continue };
                let (header, message) = decode_client(text.as_str()).unwrap();
                let picks_up = message.kind() == TASK_THAT_BREAKS;
                let Some(outcome) = server.take(driver, &header, message) else { continue };
                if picks_up && server.books.lock().broken.insert(driver) {
                    return;
                }
                let answer = outcome.map_or_else(|p| ServerMessage::Error(*p), ServerMessage::Ack);
                let header = Header { id: header.id, ..Header::default() };
                if socket.send(Message::text(encode_server(&answer, &header))).await.is_err() { return }
            }
        }
    }
}

/// The command in whose middle each driver's first connection breaks.
const TASK_THAT_BREAKS: &str = "picked_up";
