//! Requests of a session that are cut at every byte, whose answers are lost, that are sent again.

use crate::guest::run;

/// What decides a step of the client, and by how much: see there.
const SPEAK: u8 = 0;
const POLL: u8 = 1;
const STREAM: u8 = 2;
const SAY: u8 = 3;
const ASKED: u8 = 4;
const SAID: u8 = 5;
const BREAK_ASKED: u8 = 6;
const BREAK_SAID: u8 = 7;
const PASS: u8 = 8;
const READ: u8 = 9;
const EVENTS: u8 = 10;

/// More than a request has.
const ALL: u8 = 255;

fn steps(steps: &[(u8, u8)]) {
    let bytes: Vec<u8> = steps.iter().flat_map(|&(op, by)| [op, by]).collect();
    run(&bytes);
}

#[test]
fn who_asks_is_cut_at_every_byte_and_asks_again() {
    for ask in [POLL, STREAM, EVENTS] {
        for cut in 0..ALL {
            let lost = [
                (SPEAK, 2),
                (ask, 1),
                (ASKED, cut),
                (SPEAK, 1),
                (BREAK_ASKED, 0),
            ];
            // Its answer was lost; then the next one comes on its way, or it has time to end.
            for again in [POLL, STREAM, EVENTS] {
                let then = [(again, 1), (PASS, 9), (ASKED, ALL), (READ, 0), (SPEAK, 0)];
                steps(&[&lost[..], &then].concat());
            }
        }
    }
}

#[test]
fn what_is_said_is_cut_at_every_byte_and_said_again() {
    // With a length, and in chunks of one byte; one text, and four texts.
    for by in [1, 3, 16, 19] {
        for cut in 0..ALL {
            let lost = [
                (SAY, 1),
                (SAID, ALL),
                (READ, 0),
                (SAY, by),
                (SAID, cut),
                (BREAK_SAID, 0),
            ];
            for again in [by, 1, 3] {
                let then = [
                    (POLL, 1),
                    (SAY, again),
                    (SAID, ALL),
                    (ASKED, ALL),
                    (READ, 0),
                ];
                steps(&[&lost[..], &then].concat());
            }
        }
    }
}

#[test]
fn whatever_happens_nothing_is_lost_or_comes_twice() {
    for seed in 0..300 {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut bytes = vec![0; 800];
        random.fill(&mut bytes);
        println!("{seed}");
        run(&bytes);
    }
}
