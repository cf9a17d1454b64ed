//! Topics of kinds that nobody here knows: numbered here, or by their owner.

use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use posthaste_clock::Clock;
use posthaste_protocol::socket::{Alert, Hello, Resumed, ServerMessage, Snapshot, decode_server};
use posthaste_protocol::words::AlertKind;
use uuid::Uuid;

use crate::{
    Answering, Beginning, CannotFollow, Closed, Frame, Kind, Mailbox, News, Numbering, Snapshots, Streams, Subject,
    Subscription, Topic,
};

static MENU: Kind = Kind { name: "menu", numbering: Numbering::Here { kept: 2 }, queue: 4, idle_sweeps: 1 };
static PARCEL: Kind = Kind { name: "parcel", numbering: Numbering::Owner { epoch: "scans" }, queue: 4, idle_sweeps: 0 };

/// The parcel's scans that are stored.
const SCANS: u64 = 5;

/// News are handed on by the test.
struct NoMailbox;

impl Mailbox for NoMailbox {
    fn send(&self, _: News) {}
    fn taken(&self) {}
}

/// An owner of both kinds.
struct Shop;

impl Snapshots for Shop {
    fn snapshot(&self, _: Subject) -> Answering<'_, Snapshot> {
        Box::pin(std::future::ready(Ok(Snapshot::Merchant { orders: Vec::new() })))
    }

    fn beginning(&self, of: Topic, last: Option<u64>) -> Answering<'_, Beginning> {
        assert_eq!(of.kind.name, PARCEL.name);
        let beginning = match last {
            Some(from) if from <= SCANS => Beginning::Resumed((from + 1..=SCANS).map(|n| (n, news(n))).collect()),
            _ => Beginning::Fresh { seq: SCANS, snapshot: Snapshot::Merchant { orders: Vec::new() } },
        };
        Box::pin(std::future::ready(Ok(beginning)))
    }
}

fn topic(kind: &'static Kind, n: u128) -> Topic {
    Topic { kind, id: Uuid::from_u128(n) }
}

fn news(n: u64) -> ServerMessage {
    let text = n.to_string();
    ServerMessage::Alert(Alert { kind: AlertKind::OrderWaiting, text, order_id: None, driver_id: None, zone_id: None })
}

fn streams() -> Streams {
    let streams = Streams::new(Clock::system(), NoMailbox);
    let shop: Arc<dyn Snapshots> = Arc::new(Shop);
    streams.register(&[&MENU, &PARCEL], &shop);
    streams
}

/// What never waits for anything here.
fn at_once<T>(future: impl Future<Output = T>) -> Option<T> {
    match std::pin::pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(outcome) => Some(outcome),
        Poll::Pending => None,
    }
}

fn open(streams: &Streams, topic: Topic) -> Result<Subscription, CannotFollow> {
    at_once(streams.open(topic)).expect("at once")
}

fn begin(streams: &Streams, topic: Topic, hello: Hello) -> (Subscription, Vec<Frame>) {
    let mut subscription = open(streams, topic).expect("a stream");
    let frames = at_once(subscription.begin(hello)).expect("at once").expect("it begins");
    (subscription, frames)
}

/// The number and the text of each message; a snapshot and a `resumed` have names in the place of texts.
fn read(frames: &[Frame]) -> Vec<(Option<u64>, String)> {
    let text = |frame: &Frame| {
        let (header, message) = decode_server(frame.text()).expect("a message");
        let text = match message {
            ServerMessage::Alert(alert) => alert.text,
            ServerMessage::Snapshot(_) => "snapshot".to_owned(),
            ServerMessage::Resumed(Resumed { from, to }) => format!("resumed {from} to {to}"),
            other => panic!("{other:?}"),
        };
        (header.seq, text)
    };
    frames.iter().map(text).collect()
}

/// A message as [`read`] gives it.
type Said = (Option<u64>, String);

fn next(subscription: &mut Subscription) -> Option<Result<Vec<Said>, Closed>> {
    let mut frames = Vec::new();
    let outcome = at_once(subscription.next(&mut frames))?;
    Some(outcome.map(|()| read(&frames)))
}

fn said(seq: u64, text: &str) -> (Option<u64>, String) {
    (Some(seq), text.to_owned())
}

#[test]
fn a_kind_can_be_followed_once_it_is_registered_and_not_after_the_end() {
    let streams = Streams::new(Clock::system(), NoMailbox);
    assert!(matches!(open(&streams, topic(&MENU, 1)), Err(CannotFollow::Unavailable(_))));
    let streams = self::streams();
    let mut menu = open(&streams, topic(&MENU, 1)).expect("a stream");
    streams.close();
    assert_eq!(next(&mut menu), None, "who has not begun is told when they do");
    assert!(matches!(at_once(menu.begin(Hello::default())), Some(Err(CannotFollow::Unavailable(_)))));
    assert!(matches!(open(&streams, topic(&MENU, 1)), Err(CannotFollow::Unavailable(_))));
}

#[test]
fn a_topic_that_is_numbered_here_resumes_while_its_messages_are_kept() {
    let streams = streams();
    let (mut menu, frames) = begin(&streams, topic(&MENU, 1), Hello::default());
    assert_eq!(read(&frames), [said(0, "snapshot")]);
    streams.hub().publish(topic(&MENU, 1), || news(1));
    streams.hub().publish(topic(&MENU, 2), || unreachable!("nobody follows it"));
    assert_eq!(next(&mut menu), Some(Ok(vec![said(1, "1")])));
    let hello = Hello { epoch: Some(menu.epoch().to_owned()), last_seq: Some(1) };
    drop(menu);
    (2..4).for_each(|n| streams.hub().publish(topic(&MENU, 1), || news(n)));
    let (_menu, frames) = begin(&streams, topic(&MENU, 1), hello.clone());
    assert_eq!(read(&frames), [(None, "resumed 1 to 3".to_owned()), said(2, "2"), said(3, "3")]);
    streams.hub().publish(topic(&MENU, 1), || news(4));
    let (menu, frames) = begin(&streams, topic(&MENU, 1), hello);
    assert_eq!(read(&frames), [said(4, "snapshot")], "two are kept");
    let epoch = menu.epoch().to_owned();
    drop((menu, _menu));
    (0..2).for_each(|_| streams.sweep());
    let (menu, _) = begin(&streams, topic(&MENU, 1), Hello::default());
    assert_ne!(menu.epoch(), epoch, "forgotten after a minute");
}

#[test]
fn a_topic_that_its_owner_numbers_resumes_from_what_the_owner_stored() {
    let streams = streams();
    let parcel = topic(&PARCEL, 1);
    let hello = Hello { epoch: Some("scans".to_owned()), last_seq: Some(3) };
    let (mut scans, frames) = begin(&streams, parcel, hello);
    assert_eq!(read(&frames), [(None, "resumed 3 to 5".to_owned()), said(4, "4"), said(5, "5")]);
    streams.hub().publish_numbered(parcel, || [(5, news(5)), (6, news(6))]);
    assert_eq!(next(&mut scans), Some(Ok(vec![said(6, "6")])), "each once");
    let (_, frames) = begin(&streams, parcel, Hello { epoch: Some("of old".to_owned()), last_seq: Some(3) });
    assert_eq!(read(&frames), [said(5, "snapshot")]);
    drop(scans);
    assert!(!streams.hub().follows(parcel), "it goes with its last follower");
}

#[test]
fn of_each_driver_or_order_the_newest_position_waits() {
    let streams = streams();
    let (mut menu, _) = begin(&streams, topic(&MENU, 1), Hello::default());
    let place = |whose: u128, n| {
        let frame = || streams.hub().encode(&news(n));
        streams.hub().place(topic(&MENU, 1), Uuid::from_u128(whose), frame);
    };
    [(7, 1), (8, 2), (7, 3)].into_iter().for_each(|(whose, n)| place(whose, n));
    assert_eq!(next(&mut menu), Some(Ok(vec![(None, "3".to_owned()), (None, "2".to_owned())])));
}

#[test]
fn topics_of_two_kinds_with_one_id_are_two() {
    let streams = streams();
    let (_menu, _) = begin(&streams, topic(&MENU, 1), Hello::default());
    assert!(streams.hub().follows(topic(&MENU, 1)));
    assert!(!streams.hub().follows(topic(&PARCEL, 1)));
}
