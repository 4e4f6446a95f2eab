//! The room relay on fastwebsockets over tokio.
//!
//! The HTTP upgrade is ours: the library's own goes through hyper, whose boxed stream would cost it speed. The
//! library writes every frame at once; a buffered writer lets it, too, send what waits for a receiver in one go.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use fastwebsockets::{
    FragmentCollectorRead, Frame, OpCode, Payload, Role, WebSocketError, WebSocketWrite,
    after_handshake_split,
};
use roomcast_peers::Rooms;
use roomcast_protocol::upgrade::{self, RequestKind};
use tokio::io::{AsyncReadExt, AsyncWrite, AsyncWriteExt, BufWriter};
use tokio::net::TcpStream;
use tokio::sync::mpsc::UnboundedReceiver;

/// Messages handed to the library between two flushes, and bytes that the writer gathers.
const BATCH: usize = 256;
const WRITE_BUFFER: usize = 8 * 1024;

type Message = (OpCode, Bytes);

fn main() -> io::Result<()> {
    roomcast_peers::run(serve)
}

async fn serve(rooms: Arc<Rooms<Message>>, mut socket: TcpStream) {
    let Some(path) = accept(&mut socket).await else {
        return;
    };
    let (read, write) = socket.into_split();
    let write = BufWriter::with_capacity(WRITE_BUFFER, write);
    let (read, write) = after_handshake_split(read, write, Role::Server);
    let mut read = FragmentCollectorRead::new(read);
    let (seat, outbox, inbox) = rooms.join(path);
    tokio::spawn(send(write, inbox));
    // Pongs and the closing frame, which the reading half asks the writing half to send.
    let mut obliged = |frame: Frame<'_>| {
        let sent = outbox.send((frame.opcode, shared(frame.payload)));
        async { sent.map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe)) }
    };
    while let Ok(frame) = read.read_frame(&mut obliged).await {
        match frame.opcode {
            OpCode::Text | OpCode::Binary => seat.publish(&(frame.opcode, shared(frame.payload))),
            OpCode::Close => break,
            _ => {}
        }
    }
}

async fn send<S: AsyncWrite + Unpin>(
    mut write: WebSocketWrite<S>,
    mut inbox: UnboundedReceiver<Message>,
) -> Result<(), WebSocketError> {
    let mut batch = Vec::new();
    while inbox.recv_many(&mut batch, BATCH).await > 0 {
        for (opcode, payload) in &batch {
            write
                .write_frame(Frame::new(true, *opcode, None, Payload::Borrowed(payload)))
                .await?;
        }
        batch.clear();
        write.flush().await?;
    }
    Ok(())
}

fn shared(payload: Payload<'_>) -> Bytes {
    match payload {
        Payload::Bytes(bytes) => bytes.freeze(),
        other => Bytes::from(Vec::from(other)),
    }
}

/// Answers the upgrade and returns its path.
async fn accept(socket: &mut TcpStream) -> Option<String> {
    let mut head = Vec::with_capacity(1024);
    let end = loop {
        if socket.read_buf(&mut head).await.ok()? == 0 {
            return None;
        }
        if let Some(end) = upgrade::find_head_end(&head, 0).ok()? {
            break end;
        }
    };
    let request = upgrade::parse_request(&head[..end]).ok()?;
    // A client that sends frames along with its handshake cannot be told the library.
    let (RequestKind::Upgrade(wanted), true) = (request.kind, head.len() == end) else {
        return None;
    };
    let mut answer = Vec::new();
    upgrade::write_accept(&mut answer, &wanted.accept, None);
    socket.write_all(&answer).await.ok()?;
    Some(request.path.to_owned())
}
