//! Frames as they come in (RFC 6455, 5): unmasked and checked in place, put together where they came in parts.
//!
//! No I/O. Bytes are fed, messages are taken until there is no whole one left; then an empty inbox holds no memory.

use super::end::End;

/// What came in.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Incoming<'a> {
    /// A message, sent as text or as binary.
    Message(&'a str),
    /// To be answered with the same bytes.
    Ping(&'a [u8]),
    /// A sign of life.
    Pong,
    /// Good-bye, with its code.
    Close(Option<u16>),
}

const CONTINUATION: u8 = 0x0;
const TEXT: u8 = 0x1;
const BINARY: u8 = 0x2;
const CLOSE: u8 = 0x8;
const PING: u8 = 0x9;
const PONG: u8 = 0xA;

/// What came in and was not taken yet.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    bytes: Vec<u8>,
    /// Where the next frame begins.
    at: usize,
    /// The longest message.
    longest: usize,
    /// The parts so far of a message that is not whole, each sent as a frame.
    parts: Option<Vec<u8>>,
    /// How many those are.
    count: u32,
}

/// Frames of one message at most. Clients that stream a message cut it into a few; each frame is work, and says little.
const MOST_PARTS: u32 = 128;

/// The head of a client's frame.
struct Head {
    last: bool,
    opcode: u8,
    mask: [u8; 4],
    /// Where its payload begins and ends.
    payload: std::ops::Range<usize>,
}

impl Inbox {
    /// An empty inbox for messages up to `longest` bytes.
    pub(super) fn new(longest: usize) -> Self {
        Self { longest, ..Self::default() }
    }

    /// Adds what was read.
    pub(super) fn feed(&mut self, read: &[u8]) {
        if self.at > 0 {
            self.bytes.drain(..self.at);
            self.at = 0;
        }
        self.bytes.extend_from_slice(read);
    }

    /// Whether [`take`](Self::take) has something to say.
    pub(super) fn is_ready(&self) -> bool {
        !matches!(self.head(), Ok(None))
    }

    /// The head of the next frame, once the frame is whole. What is wrong is told before the rest is waited for.
    fn head(&self) -> Result<Option<Head>, End> {
        let bytes = &self.bytes[self.at..];
        let &[first, second, ..] = bytes else { return Ok(None) };
        let (opcode, short) = (first & 0x0F, usize::from(second & 0x7F));
        let is_control = opcode >= CLOSE;
        let known = matches!(opcode, CONTINUATION | TEXT | BINARY | CLOSE | PING | PONG);
        let (last, reserved, masked) = (first & 0x80 != 0, first & 0x70 != 0, second & 0x80 != 0);
        if !known || reserved || !masked || is_control && (!last || short > 125) {
            return Err(End::NotTheProtocol);
        }
        if !is_control && (opcode == CONTINUATION) != self.parts.is_some() {
            return Err(End::NotTheProtocol);
        }
        // A part that holds nothing and is not the last brings a message no nearer to its end.
        if !is_control && !last && short == 0 || opcode == CONTINUATION && self.count >= MOST_PARTS {
            return Err(End::TooLarge);
        }
        let wide = match short {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        let Some(long) = bytes.get(2..2 + wide) else { return Ok(None) };
        let length = if wide == 0 { short as u64 } else { long.iter().fold(0, |n, b| n << 8 | u64::from(*b)) };
        let room = self.longest - self.parts.as_ref().map_or(0, Vec::len).min(self.longest);
        let length = usize::try_from(length).ok().filter(|n| is_control || *n <= room).ok_or(End::TooLarge)?;
        let Some(&[a, b, c, d]) = bytes.get(2 + wide..6 + wide) else { return Ok(None) };
        let start = self.at + 6 + wide;
        let payload = start..start + length;
        let is_whole = payload.end <= self.bytes.len();
        Ok(is_whole.then_some(Head { last, opcode, mask: [a, b, c, d], payload }))
    }

    /// The next message; none where no whole one is there.
    pub(super) fn take(&mut self) -> Result<Option<Incoming<'_>>, End> {
        loop {
            let Some(head) = self.head()? else {
                if self.at == self.bytes.len() {
                    (self.bytes, self.at) = (Vec::new(), 0);
                }
                return Ok(None);
            };
            self.at = head.payload.end;
            unmask(&mut self.bytes[head.payload.clone()], head.mask);
            match head.opcode {
                PING => return Ok(Some(Incoming::Ping(&self.bytes[head.payload]))),
                PONG => return Ok(Some(Incoming::Pong)),
                CLOSE => return Ok(Some(Incoming::Close(close_code(&self.bytes[head.payload])?))),
                CONTINUATION => {
                    self.count += 1;
                    let parts = self.parts.get_or_insert_default();
                    parts.extend_from_slice(&self.bytes[head.payload]);
                    if head.last {
                        // Put where frames are, so that the message is lent like any other.
                        let whole = self.parts.take().unwrap_or_default();
                        let rest = self.bytes.split_off(self.at);
                        self.at = whole.len();
                        self.bytes = whole;
                        self.bytes.extend_from_slice(&rest);
                        return text(&self.bytes[..self.at]).map(Some);
                    }
                }
                _ if head.last => return text(&self.bytes[head.payload]).map(Some),
                _ => (self.parts, self.count) = (Some(self.bytes[head.payload].to_vec()), 1),
            }
        }
    }
}

/// A client that cannot send text sends the same bytes as binary.
fn text(payload: &[u8]) -> Result<Incoming<'_>, End> {
    std::str::from_utf8(payload).map(Incoming::Message).map_err(|_| End::NotUtf8)
}

fn close_code(payload: &[u8]) -> Result<Option<u16>, End> {
    let (code, reason) = match payload {
        [] => return Ok(None),
        [_] => return Err(End::NotTheProtocol),
        [a, b, reason @ ..] => (u16::from_be_bytes([*a, *b]), reason),
    };
    if !matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999) {
        return Err(End::NotTheProtocol);
    }
    std::str::from_utf8(reason).map(|_| Some(code)).map_err(|_| End::NotUtf8)
}

fn unmask(bytes: &mut [u8], mask: [u8; 4]) {
    let [a, b, c, d] = mask;
    let wide = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
    let (chunks, rest) = bytes.as_chunks_mut::<8>();
    for chunk in chunks {
        *chunk = (u64::from_ne_bytes(*chunk) ^ wide).to_ne_bytes();
    }
    for (byte, mask) in rest.iter_mut().zip(mask.iter().cycle()) {
        *byte ^= mask;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
        let mut bytes = vec![first];
        match payload.len() {
            n @ 0..=125 => bytes.push(0x80 | n as u8),
            n @ 126..=0xFFFF => {
                bytes.push(0x80 | 126);
                bytes.extend_from_slice(&(n as u16).to_be_bytes());
            }
            n => {
                bytes.push(0x80 | 127);
                bytes.extend_from_slice(&(n as u64).to_be_bytes());
            }
        }
        let mask = [0x12, 0x34, 0x56, 0x78];
        bytes.extend_from_slice(&mask);
        bytes.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
        bytes
    }

    /// What came of the bytes, in words.
    fn said(inbox: &mut Inbox) -> Vec<String> {
        let mut said = Vec::new();
        loop {
            assert_eq!(inbox.is_ready(), !matches!(inbox.head(), Ok(None)));
            match inbox.take() {
                Ok(Some(incoming)) => said.push(format!("{incoming:?}")),
                Ok(None) => return said,
                Err(end) => {
                    said.push(format!("{end:?}"));
                    return said;
                }
            }
        }
    }

    fn all(bytes: &[u8]) -> Vec<String> {
        let mut inbox = Inbox::new(100_000);
        inbox.feed(bytes);
        said(&mut inbox)
    }

    #[test]
    fn frames_come_out_the_same_wherever_the_bytes_were_cut() {
        let long = "ü".repeat(40_000);
        let stream = [
            frame(0x81, b"one"),
            frame(0x82, "zw\u{f6}lf".as_bytes()),
            frame(0x89, b"are you there"),
            frame(0x81, b""),
            frame(0x01, b"in "),
            frame(0x00, b"three "),
            frame(0x8A, b""),
            frame(0x80, b"parts"),
            frame(0x81, "x".repeat(300).as_bytes()),
            frame(0x81, long.as_bytes()),
            frame(0x88, &[0x03, 0xE8, b'b', b'y', b'e']),
        ]
        .concat();
        let whole = all(&stream);
        assert_eq!(whole.len(), 9);
        assert_eq!(whole[0], r#"Message("one")"#);
        assert_eq!(whole[4], "Pong");
        assert_eq!(whole[5], r#"Message("in three parts")"#);
        assert_eq!(whole[8], "Close(Some(1000))");
        for size in [1, 2, 3, 7, 100, 4096, 65_536] {
            let mut inbox = Inbox::new(100_000);
            let mut got = Vec::new();
            for piece in stream.chunks(size) {
                inbox.feed(piece);
                got.extend(said(&mut inbox));
            }
            assert_eq!(got, whole, "in pieces of {size}");
            assert_eq!(inbox.bytes.capacity(), 0, "an empty inbox holds nothing");
        }
    }

    #[test]
    fn what_is_not_the_protocol_is_told_at_once() {
        let mut unmasked = frame(0x81, b"x");
        unmasked[1] &= 0x7F;
        let wrong = [
            unmasked,
            frame(0x83, b"an opcode that does not exist"),
            frame(0xC1, b"compressed, which was not agreed"),
            frame(0x09, b"a ping in parts"),
            frame(0x89, &[0; 126]),
            frame(0x80, b"the end of nothing"),
            [frame(0x01, b"a beginning"), frame(0x81, b"and another")].concat(),
            frame(0x88, &[1]),
            frame(0x88, &1005_u16.to_be_bytes()),
        ];
        for bytes in wrong {
            assert_eq!(all(&bytes).last().unwrap(), &format!("{:?}", End::NotTheProtocol), "{bytes:02x?}");
        }
        assert_eq!(all(&frame(0x81, &[0xFF])), [format!("{:?}", End::NotUtf8)]);
    }

    #[test]
    fn a_message_too_long_is_refused_by_its_head_in_one_frame_or_in_many() {
        let mut inbox = Inbox::new(200);
        inbox.feed(&frame(0x81, &[b'x'; 201])[..4]);
        assert_eq!(said(&mut inbox), [format!("{:?}", End::TooLarge)]);
        let mut inbox = Inbox::new(200);
        inbox.feed(&frame(0x01, &[b'x'; 150]));
        inbox.feed(&frame(0x89, b"between"));
        inbox.feed(&frame(0x80, &[b'x'; 51])[..2]);
        assert_eq!(said(&mut inbox).last().unwrap(), &format!("{:?}", End::TooLarge));
        let mut inbox = Inbox::new(200);
        inbox.feed(&[0x81, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF]);
        assert_eq!(said(&mut inbox), [format!("{:?}", End::TooLarge)]);
    }

    #[test]
    fn a_message_in_endless_or_empty_parts_is_refused() {
        let mut inbox = Inbox::new(200);
        inbox.feed(&frame(0x01, b""));
        assert_eq!(said(&mut inbox), [format!("{:?}", End::TooLarge)]);
        let mut inbox = Inbox::new(200);
        inbox.feed(&frame(0x01, b"x"));
        inbox.feed(&frame(0x00, b""));
        assert_eq!(said(&mut inbox), [format!("{:?}", End::TooLarge)]);
        let mut inbox = Inbox::new(100_000);
        inbox.feed(&frame(0x01, b"x"));
        (1..MOST_PARTS - 1).for_each(|_| inbox.feed(&frame(0x00, b"x")));
        inbox.feed(&frame(0x80, b""));
        let whole = format!("Message({:?})", "x".repeat(MOST_PARTS as usize - 1));
        assert_eq!(said(&mut inbox), [whole], "as many as there may be, the last one empty");
        inbox.feed(&frame(0x01, b"x"));
        (0..MOST_PARTS).for_each(|_| inbox.feed(&frame(0x00, b"x")));
        assert_eq!(said(&mut inbox), [format!("{:?}", End::TooLarge)]);
    }
}
