//! Messages built by hand: what is answered, what is refused, and that nothing makes the reader panic.

use super::*;

/// A query for a name; `extra` goes behind the question, with its count of additional records.
fn message(name: &str, kind: u16, extra: (u8, &[u8])) -> Vec<u8> {
    let mut message = vec![0x12, 0x34, 0x01, 0x00, 0, 1, 0, 0, 0, 0, 0, extra.0];
    message.extend(encode_name(name));
    message.extend(kind.to_be_bytes());
    message.extend([0, 1]);
    message.extend(extra.1);
    message
}

fn query(message: &[u8]) -> Query {
    match parse(message) {
        Parsed::Query(query) => query,
        other => panic!("{other:?}"),
    }
}

const EDNS_1232: &[u8] = &[0, 0, 41, 0x04, 0xd0, 0, 0, 0, 0, 0, 0];

#[test]
fn an_address_record_as_on_the_wire() {
    let query = query(&message("Web", A, (0, &[])));
    assert_eq!((query.name.as_str(), query.kind, query.limit()), ("Web", A, 512));
    let answer = query.answer(NO_ERROR, &[Record::Address("10.1.0.2".parse().unwrap())], 512);
    let want: &[u8] = &[
        0x12, 0x34, 0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0, // header: response, RD, RA
        3, b'W', b'e', b'b', 0, 0, 1, 0, 1, // the question, in the client's letters
        0xc0, 12, 0, 1, 0, 1, 0, 0, 0x02, 0x58, 0, 4, 10, 1, 0, 2,
    ];
    assert_eq!(answer, want);
    assert_eq!(response(&answer), Some((0x1234, NO_ERROR)));
    assert!(is_about(&answer, &query));
}

#[test]
fn a_name_without_such_records_exists_all_the_same() {
    let answer = query(&message("web", AAAA, (0, &[]))).answer(NO_ERROR, &[], 512);
    assert_eq!((answer[3] & 0x0f, answer[7]), (0, 0));
}

#[test]
fn edns_is_answered_with_edns() {
    let query = query(&message("web", A, (1, EDNS_1232)));
    assert_eq!(query.limit(), 1232);
    let answer = query.answer(NO_ERROR, &[], query.limit());
    assert_eq!(answer[11], 1);
    assert_eq!(answer[answer.len() - 11..], [0, 0, 41, 0x04, 0xd0, 0, 0, 0, 0, 0, 0]);
}

#[test]
fn what_does_not_fit_is_left_out_and_said_so() {
    let addresses: Vec<Record> =
        (0..100).map(|n| Record::Address(Ipv4Addr::new(10, 0, 0, n).into())).collect();
    let plain = query(&message("web", A, (0, &[])));
    let answer = plain.answer(NO_ERROR, &addresses, plain.limit());
    assert!(answer.len() <= 512 && answer[2] & 0x02 != 0);
    assert_eq!(usize::from(answer[7]), (512 - 12 - 9) / 16);
    let edns = query(&message("web", A, (1, EDNS_1232)));
    let answer = edns.answer(NO_ERROR, &addresses, edns.limit());
    assert!(answer.len() <= 1232 && answer[2] & 0x02 != 0 && answer[7] > 70);
    let whole = plain.answer(NO_ERROR, &addresses, 65535);
    assert_eq!((whole[2] & 0x02, whole[7]), (0, 100));
}

#[test]
fn addresses_read_backwards() {
    let reverse = |name: &str| query(&message(name, PTR, (0, &[]))).reverse_address();
    assert_eq!(reverse("2.0.1.10.IN-ADDR.arpa"), Some("10.1.0.2".parse().unwrap()));
    let six = "2.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.d.F.ip6.arpa";
    assert_eq!(reverse(six), Some("fd00::2".parse().unwrap()));
    for other in ["2.0.1.in-addr.arpa", "256.0.1.10.in-addr.arpa", "1.ip6.arpa", "in-addr.arpa", "web"] {
        assert_eq!(reverse(other), None, "{other}");
    }
}

#[test]
fn what_is_no_question_is_refused_or_ignored() {
    let code = |message: &[u8]| match parse(message) {
        Parsed::Answer(answer) => Some(answer[3] & 0x0f),
        Parsed::Nothing => None,
        Parsed::Query(_) => panic!("a query"),
    };
    let good = message("web", A, (0, &[]));
    let with = |at: usize, byte: u8| {
        let mut message = good.clone();
        message[at] = byte;
        message
    };
    assert_eq!(code(&[]), None);
    assert_eq!(code(&with(2, 0x81)), None, "an answer");
    assert_eq!(code(&with(2, 0x28)), Some(NOT_IMPLEMENTED), "an update");
    assert_eq!(code(&with(5, 2)), Some(FORMAT_ERROR), "two questions");
    assert_eq!(code(&with(12, 0xc0)), Some(FORMAT_ERROR), "a pointer to nowhere");
    for end in 12..good.len() {
        assert_eq!(code(&good[..end]), Some(FORMAT_ERROR), "cut at {end}");
    }
    let long = message(&"a.".repeat(200), A, (0, &[]));
    assert_eq!(code(&long), Some(FORMAT_ERROR));
}

#[test]
fn names_that_try_to_look_like_others_are_nobodys() {
    let mut message = message("webXdb", A, (0, &[]));
    message[16] = b'.';
    assert_eq!(query(&message).name, "web\u{fffd}db");
}

#[test]
fn no_message_makes_the_reader_panic() {
    let whole = message("a-name.example", A, (1, EDNS_1232));
    for at in 0..whole.len() {
        for byte in [0, 1, 0x3f, 0x40, 0xbf, 0xc0, 0xff] {
            let mut message = whole.clone();
            message[at] = byte;
            for end in 0..=message.len() {
                if let Parsed::Query(query) = parse(&message[..end]) {
                    query.answer(NO_ERROR, &[Record::Pointer("x".repeat(300))], 512);
                    query.reverse_address();
                    is_about(&message, &query);
                }
                response(&message[..end]);
            }
        }
    }
}
