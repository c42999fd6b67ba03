//! Tests of the counts of answers that clients have not received.

use super::*;

/// A connection of a new key.
fn recipient() -> Recipient {
    Recipient {
        connection: Connection::default(),
        of_key: Arc::default(),
    }
}

/// Another connection of the same key.
fn another(of: &Recipient) -> Recipient {
    Recipient {
        connection: Connection::default(),
        of_key: Arc::clone(&of.of_key),
    }
}

fn frames(unsent: &Unsent, to: &Recipient, message: Vec<u8>) -> Frames {
    let charge = unsent.charge(to.clone(), message.len());
    Frames {
        comes_in_pieces: message.len() > limits::ANSWER_CHUNK_BYTES,
        message: message.into(),
        trailers: Some(HeaderMap::new()),
        is_done: false,
        fate: Fate::of(&charge),
        charge,
    }
}

fn take(unsent: &Unsent, to: &Recipient) -> Result<()> {
    unsent.take(to.clone(), 1).map(drop)
}

fn total(unsent: &Unsent) -> usize {
    unsent.0.total.load(Ordering::Relaxed)
}

#[test]
fn a_byte_is_counted_until_its_piece_is_freed() {
    let (unsent, to) = (Unsent::default(), recipient());
    let length = 2 * limits::ANSWER_CHUNK_BYTES + 5;
    let mut frames = frames(&unsent, &to, vec![7; length]);

    let first = frames.piece();
    assert_eq!(total(&unsent), length);
    drop(frames);
    assert_eq!(total(&unsent), first.len());
    drop(first);

    assert_eq!(total(&unsent), 0);
    assert_eq!(unsent.0.keys.load(Ordering::Relaxed), 0);
    assert_eq!(to.connection.unsent_bytes().load(Ordering::Relaxed), 0);
}

#[test]
fn pieces_make_the_message() {
    let (unsent, to) = (Unsent::default(), recipient());
    let message: Vec<u8> = (0..100_000_u32).map(|at| at as u8).collect();
    let mut frames = frames(&unsent, &to, message.clone());

    let mut received = Vec::new();
    while !frames.message.is_empty() {
        received.extend_from_slice(&frames.piece());
    }

    assert_eq!(received, message);
}

#[test]
fn a_connection_that_takes_nothing_gets_no_more() {
    let (unsent, to) = (Unsent::default(), recipient());
    let max = limits::UNSENT_BYTES_PER_CONNECTION_MAX;
    drop(unsent.take(to.clone(), 2 * max).unwrap());
    let charge = unsent.charge(to.clone(), max);

    let refused = take(&unsent, &to).unwrap_err();
    assert_eq!(refused.reason(), ErrorReason::Overloaded);
    assert!(refused.is_retryable());
    take(&unsent, &another(&to)).unwrap();
    drop(charge);
    take(&unsent, &to).unwrap();
}

#[test]
fn a_key_gets_no_more_by_further_connections() {
    let (unsent, to) = (Unsent::default(), recipient());
    let half = limits::UNSENT_BYTES_PER_KEY_MAX / 2;
    let charges = [(), ()].map(|()| unsent.charge(another(&to), half));

    let refused = take(&unsent, &another(&to)).unwrap_err();
    assert_eq!(refused.reason(), ErrorReason::Overloaded);
    take(&unsent, &recipient()).unwrap();
    drop(charges);
    take(&unsent, &to).unwrap();
}

/// Counted before the check, no two get the last room. A refused answer is no longer counted.
#[test]
fn a_refused_answer_is_not_counted() {
    let (unsent, to) = (Unsent::default(), recipient());
    let max = limits::UNSENT_BYTES_PER_CONNECTION_MAX;
    let charge = unsent.take(to.clone(), max).unwrap();

    assert!(unsent.take(to.clone(), 7).is_err());

    assert_eq!(total(&unsent), max);
    drop(charge);
    assert_eq!(total(&unsent), 0);
    assert_eq!(unsent.0.keys.load(Ordering::Relaxed), 0);
}

#[test]
fn writes_keep_room_of_their_key_until_they_are_answered() {
    let (unsent, to) = (Unsent::default(), recipient());
    let answers = limits::UNSENT_BYTES_PER_KEY_MAX / limits::WRITE_ANSWER_ROOM;
    let mut rooms: Vec<_> = (0..answers)
        .map(|_| unsent.keep_room(&another(&to)).unwrap())
        .collect();

    assert!(unsent.keep_room(&another(&to)).is_err());
    assert!(take(&unsent, &another(&to)).is_err());
    unsent.keep_room(&recipient()).unwrap();
    let answer = unsent.charge(to.clone(), limits::WRITE_ANSWER_ROOM);
    rooms.pop();
    assert!(
        unsent.keep_room(&another(&to)).is_err(),
        "the answer has it"
    );
    drop((rooms, answer));
    assert_eq!(unsent.0.keys.load(Ordering::Relaxed), 0);
}

#[test]
fn a_full_process_refuses_the_keys_that_filled_it() {
    let unsent = Unsent::default();
    let held = limits::UNSENT_BYTES_MAX / 4;
    let fillers = std::array::from_fn::<_, 4, _>(|_| recipient());
    let charges = fillers.clone().map(|filler| unsent.charge(filler, held));

    assert!(take(&unsent, &fillers[0]).is_err());
    take(&unsent, &recipient()).unwrap();
    drop(charges);
    take(&unsent, &fillers[0]).unwrap();
}

/// Gives up an answer once the transport has its first piece, and returns that piece.
fn given_up(unsent: &Unsent, to: &Recipient) -> Bytes {
    frames(unsent, to, vec![0; 5]).piece()
}

#[test]
fn too_many_abandoned_answers_end_their_connection_and_those_of_clients_that_left_do_not() {
    let (unsent, to) = (Unsent::default(), recipient());
    let mut held = Vec::new();
    for _ in 1..limits::ABANDONED_ANSWERS_MAX {
        held.push(given_up(&unsent, &to));
        let answer = frames(&unsent, &to, vec![0; 5]);
        answer.fate.is_left.store(true, Ordering::Relaxed);
        drop(answer);
    }
    assert!(!to.connection.is_cut());

    held.push(given_up(&unsent, &to));

    assert!(to.connection.is_cut());
}

#[test]
fn answers_of_which_nothing_is_left_do_not_end_their_connection() {
    let (unsent, to) = (Unsent::default(), recipient());

    for _ in 0..2 * limits::ABANDONED_ANSWERS_MAX {
        drop(given_up(&unsent, &to));
    }

    assert!(!to.connection.is_cut());
}
