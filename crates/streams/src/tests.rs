//! Whatever is published, whoever comes and goes: each reader's numbers have no gap, and what it sees is exactly what
//! its view shows.

mod topics;

use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use posthaste_domain::Timestamp;
use posthaste_domain::ids::{Id, ZoneId};
use posthaste_domain::place::Place;
use posthaste_protocol::socket::{Alert, ServerMessage, Unnumbered, decode_server};
use posthaste_protocol::words::AlertKind;
use proptest::prelude::*;

use crate::channel::{Channel, Start};
use crate::queue::SendQueue;
use crate::view::{Scope, View};
use crate::views::Views;
use crate::{Closed, Frame};

/// Messages that are kept here: few, so that readers are away for longer than that.
const KEPT: usize = 4;
/// Messages that may wait: few, so that readers are too slow.
const WAIT: usize = 6;

fn zone(n: u8) -> ZoneId {
    ZoneId::from_uuid(uuid::Uuid::from_u128(u128::from(n)))
}

fn views() -> [View; 5] {
    let west = View::Box { west: 0.0, south: 0.0, east: 5.0, north: 10.0 };
    let east = View::Box { west: 4.0, south: 0.0, east: 10.0, north: 10.0 };
    [View::All, View::Zone(zone(1)), View::Zone(zone(2)), west, east]
}

#[derive(Debug, Clone)]
enum Act {
    Publish { zones: Option<Vec<u8>>, places: Vec<u8> },
    Connect(usize),
    Read(usize),
    Leave(usize),
    Sweep,
    BeginAnew,
}

fn act() -> impl Strategy<Value = Act> {
    let zones = proptest::option::of(proptest::collection::vec(1..4_u8, 0..3));
    let places = proptest::collection::vec(0..11_u8, 0..3);
    prop_oneof![
        10 => (zones, places).prop_map(|(zones, places)| Act::Publish { zones, places }),
        4 => (0..6_usize).prop_map(Act::Connect),
        4 => (0..6_usize).prop_map(Act::Read),
        2 => (0..6_usize).prop_map(Act::Leave),
        1 => Just(Act::Sweep),
        1 => Just(Act::BeginAnew),
    ]
}

/// A reader, as its program keeps the account.
#[derive(Default)]
struct Reader {
    open: Option<(Arc<Channel>, Arc<SendQueue>)>,
    epoch: Option<String>,
    last: u64,
    /// How much of what its view shows it has: in snapshots, and message by message.
    has: usize,
}

/// What happens, and all that was published.
struct Scene {
    views: Views,
    published: Vec<(Scope, String)>,
    readers: Vec<Reader>,
    numberings: u32,
    /// How often a reader began with what it missed, and with a snapshot.
    resumed: u32,
    fresh: u32,
}

impl Scene {
    fn new() -> Self {
        let readers = (0..6).map(|_| Reader::default()).collect();
        Self { views: Views::default(), published: Vec::new(), readers, numberings: 0, resumed: 0, fresh: 0 }
    }

    /// The sixth looks at what the first looks at.
    fn view(&self, reader: usize) -> View {
        views()[reader % 5]
    }

    fn shown(&self, view: View) -> Vec<String> {
        self.published.iter().filter(|(scope, _)| view.shows(scope)).map(|(_, text)| text.clone()).collect()
    }

    fn publish(&mut self, zones: Option<&[u8]>, places: &[u8]) {
        let text = self.published.len().to_string();
        let alert =
            Alert { kind: AlertKind::OrderWaiting, text: text.clone(), order_id: None, driver_id: None, zone_id: None };
        let scope = Scope {
            zones: zones.map(|zones| zones.iter().copied().map(zone).collect()),
            places: places.iter().map(|lng| Place::new(1.0, f64::from(*lng)).unwrap()).collect(),
        };
        let message = Arc::new(Unnumbered::new(&ServerMessage::Alert(alert), Timestamp::default()));
        self.views.showing(&scope, |channel| channel.publish(&message));
        self.published.push((scope, text));
    }

    fn leave(&mut self, reader: usize) {
        if let Some((channel, queue)) = self.readers[reader].open.take() {
            channel.leave(Some(&queue));
        }
    }

    fn connect(&mut self, reader: usize) {
        self.leave(reader);
        let view = self.view(reader);
        let numbering = self.numberings;
        let channel = self.views.enter(view, || Channel::new(numbering.to_string(), KEPT)).unwrap();
        self.numberings += 1;
        let shown = self.shown(view);
        let state = &mut self.readers[reader];
        let queue = Arc::new(SendQueue::new(WAIT));
        let last = Some(state.last).filter(|_| state.epoch.as_ref() == Some(&channel.epoch));
        match channel.subscribe(Arc::clone(&queue), last) {
            Start::Resumed { from, missed } => {
                assert_eq!(from, state.last);
                for message in missed {
                    state.last += 1;
                    take(state, &Frame::numbered(&message, state.last), &shown);
                }
                assert_eq!(state.has, shown.len(), "all that was missed");
                self.resumed += 1;
            }
            Start::Fresh { seq } => {
                (state.last, state.has) = (seq, shown.len());
                self.fresh += 1;
            }
        }
        state.epoch = Some(channel.epoch.clone());
        state.open = Some((channel, queue));
    }

    fn read(&mut self, reader: usize) {
        let shown = self.shown(self.view(reader));
        let state = &mut self.readers[reader];
        let Some((_, queue)) = state.open.clone() else { return };
        let mut frames = Vec::new();
        let closed = loop {
            match poll(&queue, &mut frames) {
                Poll::Ready(Ok(())) => {
                    for frame in frames.drain(..) {
                        state.last += 1;
                        take(state, &frame, &shown);
                    }
                }
                Poll::Ready(Err(why)) => break Some(why),
                Poll::Pending => break None,
            }
        };
        match closed {
            None => assert_eq!(state.has, shown.len(), "nothing is held back"),
            Some(why) => {
                assert_ne!(why, Closed::Missed, "the streams of operations have no gaps");
                self.leave(reader);
            }
        }
    }
}

/// A message in its place: the number that is due, and what the view shows next.
fn take(reader: &mut Reader, frame: &Frame, shown: &[String]) {
    let (header, message) = decode_server(frame.text()).unwrap();
    assert_eq!(header.seq, Some(reader.last), "a gap, or a repetition");
    let ServerMessage::Alert(alert) = message else { panic!("{message:?}") };
    assert_eq!(Some(&alert.text), shown.get(reader.has), "not what the view shows next");
    reader.has += 1;
}

fn poll(queue: &SendQueue, frames: &mut Vec<Frame>) -> Poll<Result<(), Closed>> {
    std::pin::pin!(queue.next(frames)).poll(&mut Context::from_waker(Waker::noop()))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn every_view_is_a_stream_of_its_own_without_gaps(acts in proptest::collection::vec(act(), 1..150)) {
        let mut scene = Scene::new();
        for act in acts {
            match act {
                Act::Publish { zones, places } => scene.publish(zones.as_deref(), &places),
                Act::Connect(reader) => scene.connect(reader),
                Act::Read(reader) => scene.read(reader),
                Act::Leave(reader) => scene.leave(reader),
                Act::Sweep => scene.views.sweep(),
                Act::BeginAnew => scene.views.clear(Closed::BegunAnew),
            }
        }
        for reader in 0..6 {
            scene.connect(reader);
            scene.publish(None, &[]);
            scene.read(reader);
        }
    }
}

#[test]
fn a_reader_who_was_away_resumes_while_its_messages_are_kept_and_gets_a_snapshot_afterwards() {
    let mut scene = Scene::new();
    scene.connect(1);
    for (away, resumed, fresh) in [(KEPT, 1, 1), (KEPT + 1, 1, 2), (0, 2, 2)] {
        scene.leave(1);
        for _ in 0..away {
            scene.publish(Some(&[2]), &[]);
            scene.publish(Some(&[1]), &[]);
        }
        scene.connect(1);
        assert_eq!((scene.resumed, scene.fresh), (resumed, fresh), "{away}");
    }
}

#[test]
fn who_knows_the_numbers_of_another_view_gets_a_snapshot() {
    let mut scene = Scene::new();
    scene.connect(0);
    scene.connect(1);
    scene.publish(Some(&[1]), &[]);
    scene.leave(1);
    scene.readers[1].epoch = scene.readers[0].epoch.clone();
    scene.connect(1);
    assert_eq!((scene.resumed, scene.fresh), (0, 3));
}

#[test]
fn who_begins_to_follow_what_has_ended_is_told_at_once() {
    let views = Views::default();
    let channel = views.enter(View::All, || Channel::new("x".to_owned(), KEPT)).unwrap();
    views.clear(Closed::BegunAnew);
    let queue = Arc::new(SendQueue::new(WAIT));
    channel.subscribe(Arc::clone(&queue), None);
    assert_eq!(poll(&queue, &mut Vec::new()), Poll::Ready(Err(Closed::BegunAnew)));
}
