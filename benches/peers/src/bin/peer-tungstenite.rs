//! The room relay on tokio-tungstenite.

use std::sync::Arc;

use futures_util::{SinkExt, StreamExt};
use roomcast_peers::Rooms;
use tokio::net::TcpStream;
use tokio_tungstenite::accept_hdr_async_with_config;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tokio_tungstenite::tungstenite::protocol::{Message, WebSocketConfig};

/// Messages handed to the library between two flushes.
const BATCH: usize = 256;

fn main() -> std::io::Result<()> {
    roomcast_peers::run(serve)
}

async fn serve(rooms: Arc<Rooms<Message>>, socket: TcpStream) {
    let mut path = String::new();
    // The default read buffer of 128 KiB is per connection; this is what fastwebsockets takes.
    let config = WebSocketConfig::default().read_buffer_size(8 * 1024);
    let accepted = accept_hdr_async_with_config(
        socket,
        #[expect(clippy::result_large_err, reason = "the library's signature")]
        |request: &Request, response: Response| -> Result<Response, ErrorResponse> {
            path.push_str(request.uri().path());
            Ok(response)
        },
        Some(config),
    );
    let Ok(mut socket) = accepted.await else {
        return;
    };
    let (seat, _outbox, mut inbox) = rooms.join(path);
    let mut batch = Vec::new();
    loop {
        tokio::select! {
            message = socket.next() => match message {
                Some(Ok(message @ (Message::Text(_) | Message::Binary(_)))) => seat.publish(&message),
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return,
            },
            _ = inbox.recv_many(&mut batch, BATCH) => {
                for message in batch.drain(..) {
                    if socket.feed(message).await.is_err() {
                        return;
                    }
                }
                if socket.flush().await.is_err() {
                    return;
                }
            }
        }
    }
}
