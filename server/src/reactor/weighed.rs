//! A channel that is bounded in bytes as well as in number.
//!
//! Must not know: what is sent. Invariant: what waits in it weighs no more than its bound, unless it is one piece alone.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crossbeam_channel::{TryRecvError, TrySendError};

/// What has a weight, which does not change on the way.
pub trait Weigh {
    /// Bytes that it holds beside itself.
    fn bytes(&self) -> usize;
}

/// The sending end.
#[derive(Debug)]
pub struct Sender<T> {
    inner: crossbeam_channel::Sender<T>,
    scale: Arc<Scale>,
}

/// The receiving end.
#[derive(Debug)]
pub struct Receiver<T> {
    inner: crossbeam_channel::Receiver<T>,
    scale: Arc<Scale>,
}

#[derive(Debug)]
struct Scale {
    held: AtomicUsize,
    most: usize,
}

/// A channel for so many pieces that hold so many bytes together.
pub fn bounded<T: Weigh>(pieces: usize, bytes: usize) -> (Sender<T>, Receiver<T>) {
    let (sender, receiver) = crossbeam_channel::bounded(pieces);
    let scale = Arc::new(Scale {
        held: AtomicUsize::new(0),
        most: bytes,
    });
    let sender = Sender {
        inner: sender,
        scale: Arc::clone(&scale),
    };
    let receiver = Receiver {
        inner: receiver,
        scale,
    };
    (sender, receiver)
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
            scale: Arc::clone(&self.scale),
        }
    }
}

impl<T> Sender<T> {
    /// Pieces that wait in the channel.
    pub fn waiting(&self) -> usize {
        self.inner.len()
    }
}

impl<T: Weigh> Sender<T> {
    /// Puts a piece into the channel, without waiting.
    ///
    /// # Errors
    ///
    /// Gives it back if there is no room for it, or nobody to receive it.
    pub fn try_send(&self, piece: T) -> Result<(), TrySendError<T>> {
        let bytes = piece.bytes();
        if !self.scale.put(bytes) {
            return Err(TrySendError::Full(piece));
        }
        self.inner
            .try_send(piece)
            .inspect_err(|_| self.scale.take(bytes))
    }
}

impl<T: Weigh> Receiver<T> {
    /// Takes the next piece, without waiting.
    ///
    /// # Errors
    ///
    /// If there is none.
    pub fn try_recv(&self) -> Result<T, TryRecvError> {
        let piece = self.inner.try_recv()?;
        self.scale.take(piece.bytes());
        Ok(piece)
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.inner.is_empty()
    }
}

impl Scale {
    fn put(&self, bytes: usize) -> bool {
        let with = |held: usize| (held == 0 || held + bytes <= self.most).then_some(held + bytes);
        self.held
            .try_update(Ordering::Relaxed, Ordering::Relaxed, with)
            .is_ok()
    }

    fn take(&self, bytes: usize) {
        self.held.fetch_sub(bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Weigh for Vec<u8> {
        fn bytes(&self) -> usize {
            self.len()
        }
    }

    #[test]
    fn bytes_are_a_bound_and_so_is_the_number() {
        let (sender, receiver) = bounded::<Vec<u8>>(3, 100);
        let put = |len| sender.try_send(vec![0; len]).is_ok();
        assert!(put(60) && put(40), "as much as it takes");
        assert_eq!(sender.waiting(), 2);
        assert!(!put(1), "and no byte more");
        assert!(put(0), "what holds nothing has room");
        assert!(!put(0), "but no more than three are there");
        assert_eq!(receiver.try_recv().unwrap().len(), 60);
        assert!(!put(61) && put(60));
        while receiver.try_recv().is_ok() {}
        assert!(receiver.is_empty());
        assert!(put(1_000), "alone, one may be as large as it is");
        assert!(!put(1));
        assert_eq!(receiver.try_recv().unwrap().len(), 1_000);
        assert!(put(100), "all of it was given back");
    }

    #[test]
    fn what_nobody_receives_comes_back_and_weighs_nothing() {
        let (sender, receiver) = bounded::<Vec<u8>>(3, 100);
        drop(receiver);
        for _ in 0..3 {
            let back = sender.try_send(vec![0; 100]);
            assert!(matches!(back, Err(TrySendError::Disconnected(piece)) if piece.len() == 100));
        }
    }
}
