//! What every simulated driver does with their socket: keeps the route and the open offers, and waits for the
//! next moment or the next news, whichever is first.

use std::collections::{HashSet, VecDeque};

use posthaste_client::{DriverCommands, DriverSocket, Event};
use posthaste_domain::Timestamp;
use posthaste_domain::ids::TaskId;
use posthaste_domain::order::TaskKind;
use posthaste_protocol::drivers::{OfferView, PositionReport, RouteView, ShiftView, StandbyView, StopView};
use posthaste_protocol::socket::{ServerMessage, Snapshot};

use crate::server_clock::ServerClock;

/// Why a wait ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wake {
    /// The moment has come.
    Time,
    /// The route changed, or there is an offer.
    News,
    /// The socket is closed for good.
    Closed,
}

/// A driver's socket with what came in over it.
pub(crate) struct Rider {
    socket: DriverSocket,
    pub(crate) commands: DriverCommands,
    pub(crate) clock: ServerClock,
    stops: Vec<StopView>,
    offers: VecDeque<OfferView>,
    /// Where they are advised to wait for work.
    pub(crate) standby: Option<StandbyView>,
    done: HashSet<TaskId>,
    pub(crate) shift: Option<ShiftView>,
    closed: bool,
}

impl Rider {
    pub(crate) fn new(socket: DriverSocket, clock: ServerClock) -> Self {
        let commands = socket.commands();
        let (stops, offers, done) = (Vec::new(), VecDeque::new(), HashSet::new());
        Self { socket, commands, clock, stops, offers, standby: None, done, shift: None, closed: false }
    }

    /// Waits until `at` (for ever without one), or until something changes.
    pub(crate) async fn until(&mut self, at: Option<Timestamp>) -> Wake {
        if self.closed {
            return Wake::Closed;
        }
        let clock = self.clock.clone();
        let moment = async move {
            match at {
                Some(at) => clock.sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::pin!(moment);
        loop {
            tokio::select! {
                biased;
                event = self.socket.next() => match event {
                    Some(event) => if self.take(event) { return Wake::News },
                    None => {
                        self.closed = true;
                        return Wake::Closed;
                    }
                },
                () = &mut moment => return Wake::Time,
            }
        }
    }

    /// Waits until `at` whatever the news. False when the socket is closed.
    pub(crate) async fn pass(&mut self, at: Timestamp) -> bool {
        loop {
            match self.until(Some(at)).await {
                Wake::Time => return true,
                Wake::News => {}
                Wake::Closed => return false,
            }
        }
    }

    /// The first open stop.
    pub(crate) fn next_stop(&self) -> Option<&StopView> {
        self.open_stops().next()
    }

    /// Open stops, next first.
    pub(crate) fn open_stops(&self) -> impl Iterator<Item = &StopView> {
        self.stops.iter().filter(|stop| !self.done.contains(&stop.task.id))
    }

    /// The first stop and those right after it that are pickups at the same place.
    pub(crate) fn leading_group(&self) -> Vec<StopView> {
        let Some(first) = self.next_stop() else { return Vec::new() };
        if first.task.kind != TaskKind::Pickup {
            return vec![first.clone()];
        }
        let same = |stop: &&StopView| {
            let (a, b) = (&stop.task, &first.task);
            #[expect(clippy::float_cmp, reason = "the same number, handed in once per place")]
            let same_place = a.lat == b.lat && a.lng == b.lng;
            a.kind == b.kind && a.merchant_id == b.merchant_id && same_place
        };
        self.open_stops().take_while(same).cloned().collect()
    }

    /// The oldest offer not looked at yet.
    pub(crate) fn take_offer(&mut self) -> Option<OfferView> {
        self.offers.pop_front()
    }

    /// Strikes a task off the route, before the server's new route arrives.
    pub(crate) fn strike(&mut self, task: TaskId) {
        self.done.insert(task);
    }

    /// Drops the socket and comes back later, as in a tunnel.
    pub(crate) fn lose_signal(&self, away: std::time::Duration) {
        self.socket.lose_signal(away);
    }

    /// Takes a route that came by other means.
    pub(crate) fn take_route(&mut self, route: RouteView) {
        self.standby = route.standby;
        self.stops = route.stops;
        self.offers.extend(route.offers);
    }

    /// Closes the socket politely.
    pub(crate) async fn close(self) {
        self.socket.close().await;
    }

    /// Whether the event changes what there is to do.
    fn take(&mut self, event: Event) -> bool {
        match event {
            Event::Connected(welcome) => {
                self.clock.follow(welcome.clock);
                false
            }
            Event::Snapshot(snapshot) => {
                if let Snapshot::Driver { driver, route } = *snapshot {
                    self.shift = Some(driver.shift);
                    self.offers.clear();
                    self.take_route(route);
                }
                true
            }
            Event::Message { message, .. } => self.take_message(message),
            _ => false,
        }
    }

    fn take_message(&mut self, message: ServerMessage) -> bool {
        match message {
            ServerMessage::Offer(offer) => {
                self.offers.push_back(*offer);
                true
            }
            ServerMessage::OfferEnded(ended) => {
                self.offers.retain(|offer| offer.id != ended.offer_id);
                false
            }
            ServerMessage::Route(route) => {
                self.standby = route.standby;
                self.stops = route.stops;
                true
            }
            ServerMessage::Shift(shift) => {
                self.shift = Some(shift);
                true
            }
            _ => false,
        }
    }
}

/// A position without anything uncertain about it.
pub(crate) fn report(lat: f64, lng: f64, at: Timestamp) -> PositionReport {
    PositionReport {
        lat,
        lng,
        at: Some(at),
        accuracy_meters: None,
        heading_degrees: None,
        speed_meters_per_second: None,
    }
}
