//! What is said when joining, and what is made of answers that are not the 101.

mod cli_support;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::mpsc::{Receiver, channel};

use cli_support::{code, loadgen, relay, stderr};

/// Answers every client the same, and tells what each asked.
fn answering(answer: &'static str) -> (SocketAddr, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (tell, asked) = channel();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut head = Vec::new();
            let mut buffer = [0; 1024];
            while !head.ends_with(b"\r\n\r\n") {
                match stream.read(&mut buffer) {
                    Ok(read) if read > 0 => head.extend_from_slice(&buffer[..read]),
                    _ => break,
                }
            }
            let _ = stream.write_all(answer.as_bytes());
            let _ = tell.send(String::from_utf8_lossy(&head).into_owned());
        }
    });
    (address, asked)
}

fn status(line: &str) -> &'static str {
    format!("HTTP/1.1 {line}\r\nContent-Length: 0\r\n\r\n").leak()
}

#[test]
fn headers_origin_and_subprotocol_are_asked_with() {
    let (address, asked) = answering(status("401 Unauthorized"));
    let url = format!("ws://{address}");
    let output = loadgen(&[
        "--url",
        &url,
        "--header",
        "Authorization: Bearer a, b",
        "--header=X-Game:chess",
        "--origin",
        "https://example.org",
        "--subprotocol",
        "chat.v2",
    ]);
    assert_eq!(code(&output), 3);
    let said = stderr(&output);
    assert!(
        said.contains("401") && said.contains("--header 'Authorization: "),
        "{said}"
    );
    let head = asked.recv().unwrap();
    for field in [
        "\r\nAuthorization: Bearer a, b\r\n",
        "\r\nX-Game: chess\r\n",
        "\r\nOrigin: https://example.org\r\n",
        "\r\nSec-WebSocket-Protocol: chat.v2\r\n",
    ] {
        assert!(head.contains(field), "{field}: {head}");
    }
}

#[test]
fn who_is_not_allowed_hears_of_origins() {
    let (address, _asked) = answering(status("403 Forbidden"));
    let output = loadgen(&["--url", &format!("ws://{address}")]);
    assert_eq!(code(&output), 3);
    let said = stderr(&output);
    assert!(said.contains("403") && said.contains("--origin"), "{said}");
}

#[test]
fn redirections_are_shown_and_followed_only_if_that_is_asked_for() {
    let there = relay(usize::MAX);
    let location = there.replace("ws://", "http://");
    let line = format!("307 Temporary Redirect\r\nLocation: {location}/elsewhere");
    let (address, _asked) = answering(status(&line));
    let url = format!("ws://{address}");
    let small = [
        "-c4",
        "--room-size=2",
        "-d100ms",
        "--warmup=0",
        "--settle=0",
        "-q",
        "--url",
        &url,
    ];
    let output = loadgen(&small);
    assert_eq!(code(&output), 3);
    let said = stderr(&output);
    assert!(
        said.contains(&format!(
            "redirects to {location}/elsewhere (HTTP status 307)"
        )),
        "{said}"
    );
    assert!(said.contains("--follow-redirects"), "{said}");

    let output = loadgen(&[&small[..], &["--follow-redirects", "--json"]].concat());
    let report: serde_json::Value =
        serde_json::from_slice(&output.stdout).expect("a run took place");
    assert_eq!(
        report["scenario"]["url"],
        format!("{there}/elsewhere/{{room}}")
    );
    assert_eq!(report["connections"]["joined"], 4);

    // Who is sent in circles is told so in the end.
    let (address, _asked) = answering(status("302 Found\r\nLocation: /again/{room}"));
    let output = loadgen(&["--url", &format!("ws://{address}"), "--follow-redirects"]);
    assert_eq!(code(&output), 3, "{}", stderr(&output));
}
