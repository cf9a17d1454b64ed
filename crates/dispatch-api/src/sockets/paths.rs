//! What `tests/paths/run` counts the instructions of: a driver's position, from the bytes of the socket to what it says.

use super::inbox::{Inbox, Incoming};
use super::position::Position;

/// How many are read: what stands in `tests/paths/counts.json` is a hundredth.
const TIMES: usize = 100;
const TEXT: &str = r#"{"type":"position","id":"c-17","data":{"lat":52.516300,"lng":13.377700,"at":"2026-11-20T10:15:30.250Z","accuracy_meters":8,"heading_degrees":90.5,"speed_meters_per_second":7.25}}"#;

/// As a client sends it: masked.
fn frame() -> Vec<u8> {
    let length = u16::try_from(TEXT.len()).expect("a short text");
    let mask = [0x37, 0xFA, 0x21, 0x3D];
    let mut frame = vec![0x81, 0x80 | 126];
    frame.extend(length.to_be_bytes());
    frame.extend(mask);
    frame.extend(TEXT.bytes().enumerate().map(|(n, byte)| byte ^ mask[n % 4]));
    frame
}

#[inline(never)]
fn counted_positions(inbox: &mut Inbox, bytes: &[u8]) -> usize {
    let mut read = 0;
    for bytes in bytes.chunks(4096) {
        inbox.feed(bytes);
        while let Some(incoming) = inbox.take().expect("what clients send") {
            read += usize::from(matches!(incoming, Incoming::Message(text) if Position::read(text).is_some()));
        }
    }
    read
}

#[test]
#[ignore = "counted by tests/paths/run"]
fn positions() {
    let bytes = frame().repeat(TIMES);
    assert_eq!(counted_positions(&mut Inbox::new(64 * 1024), &bytes), TIMES);
}
