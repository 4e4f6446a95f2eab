//! The examples of `docs/PROTOCOL.md`.

use crate::meaning::unhex;

/// A block of hexadecimal bytes in the document.
pub(crate) struct Example {
    pub(crate) name: String,
    /// `up` or `down`.
    pub(crate) way: String,
    pub(crate) bytes: Vec<u8>,
}

/// The examples, in order: a line `**…** (way, `name`)`, then a block in which each line is bytes and, two blanks
/// behind them, what they are.
pub(crate) fn examples() -> Vec<Example> {
    let document = include_str!("../../../docs/PROTOCOL.md");
    let blocks = document.split("```hex\n").collect::<Vec<_>>();
    blocks
        .windows(2)
        .map(|around| {
            let (way, name) = around[0]
                .trim_end()
                .rsplit_once(" (")
                .and_then(|(_, title)| title.strip_suffix("`)"))
                .and_then(|title| title.split_once(", `"))
                .expect("a title with way and name");
            let (block, _) = around[1].split_once("```").expect("an end");
            let bytes = block.lines().map(|line| {
                let bytes = line.split_once("  ").map_or(line, |(bytes, _)| bytes);
                unhex(bytes)
            });
            Example {
                name: name.to_owned(),
                way: way.to_owned(),
                bytes: bytes.flatten().collect(),
            }
        })
        .collect()
}

#[test]
fn the_document_shows_every_step_of_a_session() {
    let names: Vec<String> = examples().into_iter().map(|example| example.name).collect();
    let expected = [
        "join",
        "welcome",
        "event",
        "event-received",
        "ack",
        "ping",
        "pong",
        "properties",
        "refused",
        "resume",
        "resumed",
        "reset",
    ];
    assert_eq!(names, expected);
}
