//! Frames of WebSocket (RFC 6455, 5.2) as a server writes them: unmasked, so the same bytes serve every reader.

/// Bytes that the head of a server's frame takes at most.
pub const LONGEST_HEAD: usize = 10;

/// What a frame is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Opcode {
    /// A message.
    Text = 0x1,
    /// Good-bye.
    Close = 0x8,
    /// The answer to a ping.
    Pong = 0xA,
}

/// The head of a whole frame with `length` bytes after it: the bytes, and how many of them count.
#[must_use]
#[expect(clippy::cast_possible_truncation, reason = "each arm has checked the length")]
pub fn head(opcode: Opcode, length: usize) -> ([u8; LONGEST_HEAD], usize) {
    let mut bytes = [0; LONGEST_HEAD];
    bytes[0] = 0x80 | opcode as u8;
    let used = match length {
        0..=125 => {
            bytes[1] = length as u8;
            2
        }
        126..=0xFFFF => {
            bytes[1] = 126;
            bytes[2..4].copy_from_slice(&(length as u16).to_be_bytes());
            4
        }
        _ => {
            bytes[1] = 127;
            bytes[2..10].copy_from_slice(&(length as u64).to_be_bytes());
            10
        }
    };
    (bytes, used)
}

/// Appends a whole frame.
pub fn append(opcode: Opcode, payload: &[u8], to: &mut Vec<u8>) {
    let (head, used) = head(opcode, payload.len());
    to.extend_from_slice(&head[..used]);
    to.extend_from_slice(payload);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_takes_as_few_bytes_as_it_may() {
        let head = |length| {
            let (bytes, used) = head(Opcode::Text, length);
            bytes[..used].to_vec()
        };
        assert_eq!(head(0), [0x81, 0]);
        assert_eq!(head(125), [0x81, 125]);
        assert_eq!(head(126), [0x81, 126, 0, 126]);
        assert_eq!(head(0xFFFF), [0x81, 126, 0xFF, 0xFF]);
        assert_eq!(head(0x1_0000), [0x81, 127, 0, 0, 0, 0, 0, 1, 0, 0]);
    }
}
