//! `--takeover`: a process gives its listeners to the next one, over a socket of the file system.
//!
//! The next process connects and is sent one message: JSON that says which doors there are, and their sockets
//! (`SCM_RIGHTS`, unix(7)). Both have them then, and the first goes on accepting. The next one answers with one byte when
//! nothing can fail any more; if it ends before, nothing has happened. The first lets go of everything that there can be only
//! once, and ends the connection.
//!
//! Owns: that socket and what is said there. Must not know: connections. Invariant: at every moment somebody accepts, or
//! is about to, who has the same queues of the kernel; nobody who waits in one is refused or reset.

use std::fs::{self, Permissions};
use std::io::{self, ErrorKind, IoSlice, IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};
use rustix::process::{Uid, geteuid};
use serde::{Deserialize, Serialize};
use tempfile::TempDir;
use thiserror::Error;

use super::doors::Door;
use crate::limits::{
    TAKEOVER_ANSWER_MS, TAKEOVER_BYTES, TAKEOVER_READY_MS, TAKEOVER_RETRY_MS, TAKEOVER_SOCKETS,
};
use crate::transport::Port;

/// Of what is said, and raised with it.
const VERSION: u32 = 1;
/// What the next process says when it is about to accept.
const READY: u8 = b'R';
/// Room for that many descriptors, in control data.
const SPACE: usize = rustix::cmsg_space!(ScmRights(TAKEOVER_SOCKETS));

/// Why there is no taking over, in words for the operator.
#[derive(Debug, Error)]
pub enum Failed {
    /// The path can't be used.
    #[error("can't use --takeover {}: {source}", .path.display())]
    Path {
        /// As it was given.
        path: PathBuf,
        /// What is wrong with it.
        source: io::Error,
    },
    /// Another process is there, and does not give what it has. It may be the one that everybody plays in.
    #[error("can't take over from the process at --takeover {}: {source}", .path.display())]
    Refused {
        /// As it was given.
        path: PathBuf,
        /// What went wrong.
        source: io::Error,
    },
    /// More than one message holds.
    #[error(
        "--takeover hands over {TAKEOVER_SOCKETS} sockets at most, and here are {0}: fewer --reactors or addresses"
    )]
    TooMany(usize),
}

/// What is said beside the sockets.
#[derive(Debug, Serialize, Deserialize)]
struct Offer {
    version: u32,
    doors: Vec<Offered>,
}

/// One door; its sockets are the next so many.
#[derive(Debug, Serialize, Deserialize)]
struct Offered {
    tls: bool,
    given: SocketAddr,
    sockets: usize,
}

/// The process before, which still accepts.
#[derive(Debug)]
pub struct Predecessor(UnixStream);

impl Predecessor {
    /// Tells it that it can stop, and waits until it has let go of what there can be only once.
    pub fn release(mut self) {
        // If it is gone, or is too slow, this process goes on all the same. It says nothing more but its end.
        let _ = self.0.write_all(&[READY]);
        let _ = self.0.read(&mut [0]);
        tracing::info!("took over from the process before, which sends its players here");
    }
}

/// The doors of the process that waits there to be taken over from, if there is one.
///
/// # Errors
///
/// When there is one that gives nothing, or the path can't be used.
pub fn ask(path: &Path) -> Result<Option<(Vec<Door>, Predecessor)>, Failed> {
    let stream = match UnixStream::connect(path) {
        Ok(stream) => stream,
        Err(error)
            if [ErrorKind::NotFound, ErrorKind::ConnectionRefused].contains(&error.kind()) =>
        {
            return Ok(None);
        }
        Err(source) => {
            return Err(Failed::Path {
                path: path.to_owned(),
                source,
            });
        }
    };
    match accept_offer(&stream) {
        Ok(doors) => Ok(Some((doors, Predecessor(stream)))),
        Err(source) => Err(Failed::Refused {
            path: path.to_owned(),
            source,
        }),
    }
}

fn accept_offer(stream: &UnixStream) -> io::Result<Vec<Door>> {
    demand_trust(stream)?;
    stream.set_read_timeout(Some(Duration::from_millis(TAKEOVER_ANSWER_MS)))?;
    let mut text = vec![0; TAKEOVER_BYTES];
    let mut space = [MaybeUninit::uninit(); SPACE];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    #[cfg(target_os = "linux")]
    let flags = RecvFlags::CMSG_CLOEXEC;
    #[cfg(not(target_os = "linux"))]
    let flags = RecvFlags::empty();
    let received = recvmsg(
        stream,
        &mut [IoSliceMut::new(&mut text)],
        &mut control,
        flags,
    );
    let received = received.map_err(|error| unanswered(error.into()))?;
    if received.bytes == 0 {
        return Err(io::Error::other(
            "it has ended, or another process has taken over from it meanwhile: start this one again",
        ));
    }
    let sockets = control.drain().filter_map(|message| match message {
        RecvAncillaryMessage::ScmRights(sockets) => Some(sockets),
        _ => None,
    });
    let mut sockets = sockets.flatten().map(TcpListener::from);
    let offer: Offer = serde_json::from_slice(&text[..received.bytes])?;
    if offer.version != VERSION {
        return Err(io::Error::other(
            "it is of another version, and goes on: this one can only follow when it has drained (SIGTERM)",
        ));
    }
    let doors = offer.doors.into_iter().map(|offered| {
        let port = if offered.tls { Port::Tls } else { Port::Plain };
        let own: Vec<_> = sockets.by_ref().take(offered.sockets).collect();
        if own.len() < offered.sockets {
            return Err(io::Error::other(
                "sockets are missing: raise the limit of open files",
            ));
        }
        Door::inherited(port, Some(offered.given), own)
    });
    doors.collect()
}

/// What a process that has not answered is doing, most likely: it offers its doors to one at a time.
fn unanswered(error: io::Error) -> io::Error {
    match error.kind() {
        ErrorKind::WouldBlock | ErrorKind::TimedOut => io::Error::other(
            "it goes on, and has not answered: another process may be about to take over from it; start this one again when that has ended",
        ),
        _ => error,
    }
}

/// Where the next process will ask.
#[derive(Debug)]
pub struct Post {
    path: PathBuf,
    /// Where the socket is until the one before has let go of the path. Nobody else can look in there.
    folder: TempDir,
    socket: UnixListener,
}

impl Post {
    /// Makes the socket, not yet at this path, by which these doors will be handed over.
    ///
    /// # Errors
    ///
    /// When something else is at the path, nothing can be made there, or there are too many sockets.
    pub fn prepare(path: &Path, doors: &[Door]) -> Result<Self, Failed> {
        let sockets = doors.iter().map(|door| door.listeners.len()).sum();
        if sockets > TAKEOVER_SOCKETS {
            return Err(Failed::TooMany(sockets));
        }
        let made = || {
            let there = fs::symlink_metadata(path);
            if there.is_ok_and(|there| !there.file_type().is_socket()) {
                return Err(io::Error::other(
                    "something else is there: choose another path",
                ));
            }
            let beside = path
                .parent()
                .filter(|folder| !folder.as_os_str().is_empty());
            let folder = TempDir::with_prefix_in(".takeover-", beside.unwrap_or(Path::new(".")))?;
            let made = folder.path().join("s");
            let socket = UnixListener::bind(&made)?;
            fs::set_permissions(&made, Permissions::from_mode(0o600))?;
            Ok((folder, socket))
        };
        let (folder, socket) = made().map_err(|source| Failed::Path {
            path: path.to_owned(),
            source,
        })?;
        Ok(Self {
            path: path.to_owned(),
            folder,
            socket,
        })
    }

    /// Puts the socket at its path, in place of the one before, and waits on a thread of its own. `leave` is what there is to
    /// do when another process accepts: leave the doors to it, and whatever else it can't have meanwhile.
    pub fn take(self, doors: Vec<Door>, leave: impl FnOnce() + Send + 'static) {
        let Self {
            path,
            folder,
            socket,
        } = self;
        let put = fs::rename(folder.path().join("s"), &path);
        let waits = move || {
            let next = wait(&socket, &doors);
            drop(doors);
            leave();
            drop(next);
            tracing::info!(
                "another process has taken over: no new players; the others are sent to it"
            );
        };
        let named = thread::Builder::new().name("takeover".to_owned());
        // Too late for an end: this process may be the only one that players have.
        if let Err(error) = put.and_then(|()| named.spawn(waits)) {
            tracing::error!(%error, path = %path.display(), "nobody can take over from this process");
        }
    }
}

/// Until somebody has taken over; it waits for the end of the connection.
fn wait(socket: &UnixListener, doors: &[Door]) -> UnixStream {
    loop {
        match socket.accept() {
            Ok((stream, _)) => match offer(&stream, doors) {
                Ok(()) => return stream,
                Err(error) => tracing::warn!(%error, "nobody took over: this process goes on"),
            },
            Err(error) => {
                tracing::warn!(%error, "can't hear who wants to take over");
                let _ = crossbeam_channel::after(Duration::from_millis(TAKEOVER_RETRY_MS)).recv();
            }
        }
    }
}

/// Offers all that there is; returns when the other one is ready.
fn offer(mut stream: &UnixStream, doors: &[Door]) -> io::Result<()> {
    demand_trust(stream)?;
    stream.set_read_timeout(Some(Duration::from_millis(TAKEOVER_READY_MS)))?;
    let offered = doors.iter().map(|door| Offered {
        tls: door.port == Port::Tls,
        given: door.given,
        sockets: door.listeners.len(),
    });
    let text = serde_json::to_vec(&Offer {
        version: VERSION,
        doors: offered.collect(),
    })?;
    let sockets: Vec<BorrowedFd<'_>> = doors
        .iter()
        .flat_map(|door| &door.listeners)
        .map(AsFd::as_fd)
        .collect();
    let mut space = [MaybeUninit::uninit(); SPACE];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let all = control.push(SendAncillaryMessage::ScmRights(&sockets));
    let text = [IoSlice::new(&text)];
    // As large as it is, it leaves whole or not at all.
    sendmsg(stream, &text, &mut control, SendFlags::NOSIGNAL)?;
    let mut answer = [0];
    stream.read_exact(&mut answer)?;
    if all && answer == [READY] {
        Ok(())
    } else {
        Err(io::Error::other("the other process said something else"))
    }
}

/// Whoever gets listeners, or gives some, is this user or root. The mode of the socket says so too, but not who made it.
#[cfg(target_os = "linux")]
fn demand_trust(stream: &UnixStream) -> io::Result<()> {
    let peer = rustix::net::sockopt::socket_peercred(stream)?;
    if is_trusted(peer.uid, geteuid()) {
        Ok(())
    } else {
        let whose = format!("process {} is of another user", peer.pid);
        Err(io::Error::new(ErrorKind::PermissionDenied, whose))
    }
}

/// The mode of the socket has to do.
#[cfg(not(target_os = "linux"))]
fn demand_trust(_: &UnixStream) -> io::Result<()> {
    Ok(())
}

#[cfg(target_os = "linux")]
fn is_trusted(peer: Uid, own: Uid) -> bool {
    peer == own || peer == Uid::ROOT
}

#[cfg(test)]
mod tests {
    use super::super::doors::{Inheritance, Wish, open};
    use super::*;

    fn doors(reactors: usize) -> Vec<Door> {
        let wish = |port| Wish {
            port,
            address: "127.0.0.1:0".parse().unwrap(),
            by_default: false,
        };
        let wishes = [wish(Port::Plain), wish(Port::Tls)];
        open(&wishes, Inheritance::default(), reactors).unwrap()
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn only_the_same_user_and_root_are_trusted() {
        let [one, other] = [7, 8].map(Uid::from_raw);
        assert!(is_trusted(one, one) && is_trusted(Uid::ROOT, one));
        assert!(!is_trusted(other, one) && !is_trusted(other, Uid::ROOT));
    }

    #[test]
    fn all_that_one_has_is_what_the_other_gets() {
        let had = doors(3);
        let (ours, theirs) = UnixStream::pair().unwrap();
        let expected: Vec<_> = had.iter().map(|door| (door.port, door.bound, 3)).collect();
        let offering = thread::spawn(move || offer(&ours, &had).is_ok());
        let got = accept_offer(&theirs).unwrap();
        let got = got
            .iter()
            .map(|door| (door.port, door.bound, door.listeners.len()));
        assert_eq!(got.collect::<Vec<_>>(), expected);
        Predecessor(theirs).release();
        assert!(offering.join().unwrap());
    }

    /// As while another one holds it: whoever waits in vain is told to come again, and to end nobody.
    #[test]
    fn who_is_not_answered_is_told_to_come_again() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        ours.set_read_timeout(Some(Duration::from_millis(1)))
            .unwrap();
        let error = (&ours).read(&mut [0]).unwrap_err();
        let line = Failed::Refused {
            path: PathBuf::from("s"),
            source: unanswered(error),
        };
        let line = line.to_string();
        assert!(line.contains("another process"), "{line}");
        assert!(line.contains("start this one again"), "{line}");
        drop(theirs);
        let gone = accept_offer(&ours).unwrap_err().to_string();
        assert!(gone.contains("start this one again"), "{gone}");
    }

    #[test]
    fn who_ends_before_it_is_ready_has_taken_nothing() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let offering = thread::spawn(move || offer(&ours, &doors(1)).is_err());
        accept_offer(&theirs).unwrap();
        drop(theirs);
        assert!(offering.join().unwrap());
    }

    #[test]
    fn what_is_no_offer_is_refused() {
        for said in [
            &b""[..],
            b"{}",
            b"nonsense",
            br#"{"version":2,"doors":[]}"#,
            br#"{"version":1,"doors":[{"tls":false,"given":"127.0.0.1:1","sockets":1}]}"#,
        ] {
            let (mut ours, theirs) = UnixStream::pair().unwrap();
            ours.write_all(said).unwrap();
            drop(ours);
            assert!(accept_offer(&theirs).is_err(), "{}", said.escape_ascii());
        }
    }

    #[test]
    fn a_path_that_is_something_else_is_left_alone() {
        let folder = TempDir::new().unwrap();
        let file = folder.path().join("precious");
        fs::write(&file, "data").unwrap();
        assert!(Post::prepare(&file, &[]).is_err());
        assert_eq!(fs::read(&file).unwrap(), b"data");
        assert!(Post::prepare(&folder.path().join("no/such/folder"), &[]).is_err());
        assert!(matches!(ask(&folder.path().join("nobody")), Ok(None)));
    }
}
