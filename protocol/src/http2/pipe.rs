//! What h2 takes for a socket: two buffers.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use tokio::io::{self, AsyncRead, AsyncWrite, ReadBuf};

use super::OUTPUT_MAX;

/// Bytes on their way.
#[derive(Debug, Default)]
pub(super) struct Pipes {
    /// What came, and how much of it was taken.
    input: Vec<u8>,
    taken: usize,
    /// What is to leave.
    pub(super) output: Vec<u8>,
    /// Some of it was, since that was last looked at.
    pub(super) was_read: bool,
    /// h2 had more to say than there was room for.
    pub(super) is_full: bool,
    /// Nothing more comes.
    pub(super) is_over: bool,
}

/// The end of the pipes that h2 has. Nobody else waits for the lock: both ends are used by one thread, in turns.
#[derive(Debug, Clone, Default)]
pub(super) struct Pipe(Arc<Mutex<Pipes>>);

impl Pipe {
    /// The buffers. Whoever panicked with them left nothing half done.
    pub(super) fn lock(&self) -> MutexGuard<'_, Pipes> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pipes {
    /// Appends what came.
    pub(super) fn give(&mut self, bytes: &[u8]) {
        // Who is never quite caught up with holds no more for that.
        self.input.drain(..std::mem::take(&mut self.taken));
        self.input.extend_from_slice(bytes);
    }

    /// Bytes that came and were not taken.
    pub(super) fn waiting(&self) -> usize {
        self.input.len() - self.taken
    }
}

impl AsyncRead for Pipe {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        to: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let mut pipes = self.lock();
        let rest = &pipes.input[pipes.taken..];
        let len = rest.len().min(to.remaining());
        if len == 0 {
            return match pipes.is_over {
                true => Poll::Ready(Ok(())),
                false => Poll::Pending,
            };
        }
        to.put_slice(&rest[..len]);
        pipes.taken += len;
        pipes.was_read = true;
        if pipes.waiting() == 0 {
            // An idle connection holds none.
            pipes.input = Vec::new();
            pipes.taken = 0;
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Pipe {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let mut pipes = self.lock();
        let room = OUTPUT_MAX.saturating_sub(pipes.output.len());
        let len = bytes.len().min(room);
        if len == 0 && !bytes.is_empty() {
            pipes.is_full = true;
            return Poll::Pending;
        }
        pipes.output.extend_from_slice(&bytes[..len]);
        Poll::Ready(Ok(len))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;

    #[test]
    fn what_was_taken_is_not_kept() {
        let mut pipe = Pipe::default();
        let mut buffer = [0; 99];
        for _ in 0..1_000 {
            pipe.lock().give(&[7; 100]);
            let mut read = ReadBuf::new(&mut buffer);
            let context = &mut Context::from_waker(Waker::noop());
            assert!(Pin::new(&mut pipe).poll_read(context, &mut read).is_ready());
        }
        assert_eq!(pipe.lock().waiting(), 1_000);
        assert!(pipe.lock().input.capacity() < 4_000);
    }
}
