//! The threads of a run: starting them, speaking to all of them, ending them.
//!
//! Owns thread handles and the conductor's ends of the channels. Must not know stages.
//! Invariant: when a crew is gone, so are its threads.

use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;

use crossbeam_channel::{Receiver, Sender, bounded};
use mio::{Poll, Waker};

use super::error::EngineError;
use super::link::{Command, Event, Gauges};
use super::plan::Share;
use super::recorder::Recorder;
use super::worker::{Ends, Settings, WAKE, Worker};

/// Commands on their way to one thread; there are six in a whole run.
const COMMANDS: usize = 16;
/// Events of one thread on their way; mostly intervals, of which a thread keeps what does not
/// fit.
const EVENTS: usize = 64;
/// Cleared recorders on their way back to a thread.
const SPARES: usize = 4;

/// All threads of a run.
#[derive(Debug)]
pub(super) struct Crew {
    threads: Vec<Thread>,
    pub(super) events: Receiver<Event>,
}

#[derive(Debug)]
struct Thread {
    commands: Sender<Command>,
    waker: Waker,
    spare: Sender<Box<Recorder>>,
    gauges: Arc<Gauges>,
    handle: Option<JoinHandle<io::Result<()>>>,
}

impl Crew {
    /// Starts a thread for each share.
    pub(super) fn start(settings: &Arc<Settings>, shares: Vec<Share>) -> Result<Self, EngineError> {
        let system = |what| move |source| EngineError::System { what, source };
        let (sender, events) = bounded(EVENTS * shares.len());
        let mut crew = Self {
            threads: Vec::new(),
            events,
        };
        for (index, share) in shares.into_iter().enumerate() {
            let poll = Poll::new().map_err(system("cannot poll"))?;
            let waker = Waker::new(poll.registry(), WAKE).map_err(system("cannot poll"))?;
            let (commands, obeyed) = bounded(COMMANDS);
            let (spare, spares) = bounded(SPARES);
            // One, so that the first interval already ends without allocating.
            let _ = spare.try_send(Box::new(Recorder::new()));
            let gauges = Arc::new(Gauges::default());
            let ends = Ends {
                commands: obeyed,
                events: sender.clone(),
                spare: spares,
                gauges: Arc::clone(&gauges),
            };
            let worker = Worker::new(Arc::clone(settings), ends, index, share, poll)
                .map_err(system("cannot make a timer"))?;
            let handle = std::thread::Builder::new()
                .name(format!("loadgen-{index}"))
                .spawn(|| worker.run())
                .map_err(system("cannot start a thread"))?;
            crew.threads.push(Thread {
                commands,
                waker,
                spare,
                gauges,
                handle: Some(handle),
            });
        }
        Ok(crew)
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.threads.len()
    }

    /// What each shows.
    pub(super) fn gauges(&self) -> impl Iterator<Item = &Gauges> {
        self.threads.iter().map(|thread| &*thread.gauges)
    }

    /// Tells one thread.
    pub(super) fn tell(&self, index: usize, command: Command) {
        let thread = &self.threads[index];
        // If the thread has ended, `check` says so.
        let _ = thread.commands.try_send(command);
        let _ = thread.waker.wake();
    }

    /// Tells every thread.
    pub(super) fn tell_all(&self, command: impl Fn() -> Command) {
        for index in 0..self.threads.len() {
            self.tell(index, command());
        }
    }

    /// Gives back a recorder that was read.
    pub(super) fn give_back(&self, mut recorder: Box<Recorder>) {
        recorder.clear();
        for thread in &self.threads {
            match thread.spare.try_send(recorder) {
                Ok(()) => return,
                Err(error) => recorder = error.into_inner(),
            }
        }
    }

    /// Whether a thread has ended by itself.
    pub(super) fn check(&mut self) -> Result<(), EngineError> {
        for thread in &mut self.threads {
            let ended = thread.handle.take_if(|handle| handle.is_finished());
            match ended.map(JoinHandle::join) {
                // A thread ends well only after its last event.
                None | Some(Ok(Ok(()))) => {}
                Some(Ok(Err(source))) => {
                    let what = "cannot poll";
                    return Err(EngineError::System { what, source });
                }
                Some(Err(_)) => return Err(EngineError::Thread),
            }
        }
        Ok(())
    }
}

impl Drop for Crew {
    fn drop(&mut self) {
        self.tell_all(|| Command::Close);
        for thread in &mut self.threads {
            if let Some(handle) = thread.handle.take() {
                // So that no thread waits for room in the channel of events.
                while !handle.is_finished() {
                    let _ = self
                        .events
                        .recv_timeout(std::time::Duration::from_millis(20));
                }
                let _ = handle.join();
            }
        }
    }
}
