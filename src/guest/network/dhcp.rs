//! Gives the guest its address: one client, one answer (RFC 2131 and 2132).

use super::{GATEWAY, GUEST, PREFIX, RESOLVER};

/// The server's port; the client's is the next one.
pub(super) const PORT: u16 = 67;

/// Bytes before the options, of which the last four are the magic number.
const FIXED: usize = 240;
const MAGIC: [u8; 4] = [99, 130, 83, 99];
/// Seconds that the address is the guest's: a day.
const LEASE: u32 = 86_400;

const DISCOVER: u8 = 1;
const OFFER: u8 = 2;
const REQUEST: u8 = 3;
const ACK: u8 = 5;
const NAK: u8 = 6;
const INFORM: u8 = 8;

/// The answer to a client's message, to be broadcast; none when it asks for none.
pub(super) fn answer(message: &[u8]) -> Option<Vec<u8>> {
    let (fixed, options) = message.split_at_checked(FIXED)?;
    if fixed[0] != 1 || fixed[1] != 1 || fixed[2] != 6 || fixed[FIXED - 4..] != MAGIC {
        return None;
    }
    let client = <[u8; 4]>::try_from(&fixed[12..16]).ok()?;
    let kind = match option(options, 53)? {
        [DISCOVER] => OFFER,
        [INFORM] => ACK,
        [REQUEST] if !for_us(options) => return None,
        [REQUEST] if wanted(options, client) => ACK,
        [REQUEST] => NAK,
        _ => return None,
    };
    let mut reply = vec![0; FIXED];
    reply[..3].copy_from_slice(&[2, 1, 6]);
    // Transaction, flags, and the client's card.
    reply[4..8].copy_from_slice(&fixed[4..8]);
    reply[10..12].copy_from_slice(&fixed[10..12]);
    reply[28..44].copy_from_slice(&fixed[28..44]);
    if kind != NAK {
        reply[12..16].copy_from_slice(&client);
        reply[16..20].copy_from_slice(&GUEST.octets());
        reply[20..24].copy_from_slice(&GATEWAY.octets());
    }
    reply[FIXED - 4..].copy_from_slice(&MAGIC);
    let mut add = |code: u8, value: &[u8]| {
        reply.extend([code, value.len() as u8]);
        reply.extend(value);
    };
    add(53, &[kind]);
    add(54, &GATEWAY.octets());
    if kind != NAK {
        add(1, &(u32::MAX << (32 - u32::from(PREFIX))).to_be_bytes());
        add(3, &GATEWAY.octets());
        add(6, &RESOLVER.octets());
        add(51, &LEASE.to_be_bytes());
    }
    reply.push(255);
    // What BOOTP's clients expect at least.
    reply.resize(reply.len().max(300), 0);
    Some(reply)
}

/// Whether a request means this server, or any.
fn for_us(options: &[u8]) -> bool {
    option(options, 54).is_none_or(|server| server == GATEWAY.octets())
}

/// Whether the address that a client asks for, or has, is the one that there is.
fn wanted(options: &[u8], client: [u8; 4]) -> bool {
    option(options, 50).unwrap_or(&client) == GUEST.octets()
}

/// The value of one option.
fn option(mut options: &[u8], wanted: u8) -> Option<&[u8]> {
    loop {
        match options {
            [0, rest @ ..] => options = rest,
            [255, ..] | [] | [_] => return None,
            [code, length, rest @ ..] => {
                let (value, after) = rest.split_at_checked(usize::from(*length))?;
                if *code == wanted {
                    return Some(value);
                }
                options = after;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(options: &[u8]) -> Vec<u8> {
        let mut message = vec![0; FIXED];
        message[..8].copy_from_slice(&[1, 1, 6, 0, 1, 2, 3, 4]);
        message[28..34].copy_from_slice(&[0x52, 0x54, 0, 1, 2, 3]);
        message[236..].copy_from_slice(&MAGIC);
        message.extend(options);
        message.push(255);
        message
    }

    #[test]
    fn a_client_is_offered_and_given_the_one_address() {
        let offer = answer(&message(&[53, 1, DISCOVER, 55, 2, 1, 3])).unwrap();
        assert_eq!(
            (&offer[4..8], &offer[16..20], &offer[28..34]),
            (&[1, 2, 3, 4][..], &[10, 0, 2, 15][..], &[0x52, 0x54, 0, 1, 2, 3][..])
        );
        assert_eq!(option(&offer[FIXED..], 53), Some(&[OFFER][..]));
        let ack = answer(&message(&[53, 1, REQUEST, 50, 4, 10, 0, 2, 15, 54, 4, 10, 0, 2, 2])).unwrap();
        let value = |code| option(&ack[FIXED..], code).unwrap().to_vec();
        assert_eq!(
            (value(53), value(1), value(3), value(6)),
            (vec![ACK], vec![255, 255, 255, 0], vec![10, 0, 2, 2], vec![10, 0, 2, 3])
        );
    }

    #[test]
    fn another_address_is_refused_and_another_servers_client_left_alone() {
        let nak = answer(&message(&[53, 1, REQUEST, 50, 4, 192, 168, 0, 9])).unwrap();
        assert_eq!((option(&nak[FIXED..], 53), &nak[16..20]), (Some(&[NAK][..]), &[0; 4][..]));
        assert_eq!(answer(&message(&[53, 1, REQUEST, 54, 4, 10, 0, 2, 9])), None);
        assert_eq!(answer(&message(&[53, 9, DISCOVER])), None, "cut off");
        assert_eq!(answer(&message(&[])[..100]), None);
    }
}
