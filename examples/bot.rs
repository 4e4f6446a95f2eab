//! A player in Rust, for the cursors: draws circles, and goes on where it was after a lost connection.
//!
//! ```text
//! cargo run -p roomcast --example bot -- ws://127.0.0.1:7777/rooms/cursors
//! ```
//!
//! What a player says and hears is `protocol`'s client machine, bytes and time in, bytes and events out; the WebSocket is
//! tungstenite's, and could be any.

use std::error::Error;
use std::thread;
use std::time::{Duration, Instant};

use roomcast_protocol::close::CloseCode;
use roomcast_protocol::v1::client::{Client, Event, KEPT, Next};
use roomcast_protocol::v1::down::Packet;
use roomcast_protocol::v1::up::{Join, Mode};
use roomcast_protocol::v1::{List, Name, Pairs, Payload, SUBPROTOCOL};
use tungstenite::client::IntoClientRequest;
use tungstenite::http::HeaderValue;
use tungstenite::stream::MaybeTlsStream;
use tungstenite::{Error as Broken, Message};

/// The key under which a cursor is: two `f32`, parts of the window.
const CURSOR: u32 = 0;
/// So often the bot moves.
const STEP: Duration = Duration::from_millis(50);

fn main() -> Result<(), Box<dyn Error>> {
    let url = std::env::args().nth(1);
    let url = url.unwrap_or_else(|| "ws://127.0.0.1:7777/rooms/cursors".to_owned());
    let join = Join {
        minor: 0,
        mode: Mode::Any,
        back: None,
        name: Name::new("Rusty")?,
        properties: List::EMPTY,
        wishes: Pairs::EMPTY,
    };
    let mut client = Client::new(&join, KEPT);
    let start = Instant::now();
    loop {
        match connection(&url, &mut client, start) {
            Ok(Some(Next::Stop)) => return Ok(()),
            Ok(_) => println!("the connection is gone"),
            Err(error) => println!("{error}"),
        }
        thread::sleep(Duration::from_secs(1));
    }
}

/// One connection, from its handshake to its end: what to do then.
fn connection(
    url: &str,
    client: &mut Client,
    start: Instant,
) -> Result<Option<Next>, Box<dyn Error>> {
    let now = || start.elapsed().as_micros() as u64;
    let mut request = url.into_client_request()?;
    let protocol = HeaderValue::from_static(SUBPROTOCOL);
    request
        .headers_mut()
        .insert("Sec-WebSocket-Protocol", protocol);
    let (mut socket, _) = tungstenite::connect(request)?;
    if let MaybeTlsStream::Plain(stream) = socket.get_ref() {
        stream.set_read_timeout(Some(STEP))?;
    }
    let link = client.open(now());
    loop {
        if client.is_live() {
            let angle = client.time(now()).unwrap_or(0) as f64 / 400_000.0;
            let at = [0.5 + 0.2 * angle.cos(), 0.5 + 0.2 * angle.sin()];
            let bytes: Vec<u8> = at
                .iter()
                .flat_map(|part| (*part as f32).to_le_bytes())
                .collect();
            // What waits is replaced by what is newer, so there is always a place for it.
            client.state(CURSOR, false, Payload::Bytes(&bytes))?;
        }
        let mut message = Vec::new();
        while client.transmit(now(), &mut message) {
            socket.send(Message::Binary(std::mem::take(&mut message).into()))?;
        }
        match socket.read() {
            Ok(Message::Binary(bytes)) => client.receive(link, now(), &bytes, &mut tell)?,
            Ok(Message::Close(frame)) => {
                let code = frame.map(|frame| CloseCode(frame.code.into()));
                return Ok(client.closed(link, code));
            }
            Ok(_) => {}
            // Nothing has come for a step.
            Err(Broken::Io(error)) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(error) => {
                client.closed(link, None);
                return Err(error.into());
            }
        }
        if !client.wake(now()) {
            return Ok(Some(Next::Resume));
        }
    }
}

/// What the bot hears, on its standard output.
fn tell(event: Event<'_>) {
    match event {
        Event::Welcome { welcome, .. } => println!("number {}", welcome.id),
        Event::Resumed => println!("back"),
        Event::Packet(Packet::Joined { name, .. }) => println!("{name:?} is here"),
        _ => {}
    }
}
