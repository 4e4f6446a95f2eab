//! Where the control plane is reached: loopback TCP or a Unix socket.
//!
//! Owns: listeners, connections and how long each may take. Must not know: what is asked. Invariants: at most
//! [`CONTROL_CONNECTIONS`] connections, each with one request and an absolute deadline; a Unix socket is its owner's and
//! its group's before anybody can connect.

use std::fmt;
use std::fs::{self, Permissions};
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::{Extension, Router};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use socket2::{Domain, SockAddr, Socket, Type};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::process::Process;
use super::rights::By;
use crate::limits::{
    CONTROL_CONNECTIONS, CONTROL_EXCHANGE_MS, CONTROL_FIELDS, CONTROL_HEAD_BYTES, CONTROL_HEAD_MS,
    CONTROL_LAST_MS, CONTROL_RETRY_MS,
};

/// Whose a Unix socket is: its owner's and its group's.
const SOCKET_MODE: u32 = 0o660;

/// Where the control plane is to be reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// An address.
    Tcp(SocketAddr),
    /// A socket in the file system.
    Unix(PathBuf),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => write!(f, "http://{address}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// An open door.
#[derive(Debug)]
pub struct Door {
    listener: Listener,
    /// What was asked for, with the port that was given.
    place: Place,
}

#[derive(Debug)]
enum Listener {
    Tcp(std::net::TcpListener),
    Unix(std::os::unix::net::UnixListener),
}

impl Door {
    /// Listens there. A socket that a process left behind is replaced.
    ///
    /// # Errors
    ///
    /// What binding says; [`ErrorKind::AddrInUse`] also for a socket that somebody listens at, or a file that is none.
    pub fn open(place: &Place) -> io::Result<Self> {
        match place {
            Place::Tcp(address) => {
                let listener = std::net::TcpListener::bind(address)?;
                listener.set_nonblocking(true)?;
                let place = Place::Tcp(listener.local_addr()?);
                let listener = Listener::Tcp(listener);
                Ok(Self { listener, place })
            }
            Place::Unix(path) => {
                clear(path)?;
                let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
                socket.bind(&SockAddr::unix(path)?)?;
                // Before it listens, so nobody slips in.
                fs::set_permissions(path, Permissions::from_mode(SOCKET_MODE))?;
                socket.listen(CONTROL_CONNECTIONS as i32)?;
                socket.set_nonblocking(true)?;
                Ok(Self {
                    listener: Listener::Unix(socket.into()),
                    place: place.clone(),
                })
            }
        }
    }

    /// Where it is.
    pub fn place(&self) -> &Place {
        &self.place
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        if let Place::Unix(path) = &self.place {
            // It may have been taken away.
            let _ = fs::remove_file(path);
        }
    }
}

/// Takes away a socket at which nobody listens any longer.
fn clear(path: &Path) -> io::Result<()> {
    match UnixStream::connect(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        // Of a file that is no socket, connecting says the same.
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => {
            if fs::symlink_metadata(path)?.file_type().is_socket() {
                fs::remove_file(path)
            } else {
                Err(ErrorKind::AddrInUse.into())
            }
        }
        Err(error) => Err(error),
        Ok(_) => Err(ErrorKind::AddrInUse.into()),
    }
}

/// Serves at all doors until the end; then what has been asked is answered.
///
/// # Errors
///
/// When a door can't be served, or its task has failed.
pub(super) async fn serve(
    doors: &[Door],
    router: &Router,
    process: &Arc<Process>,
    mut end: watch::Receiver<bool>,
) -> io::Result<()> {
    let places = Arc::new(Semaphore::new(CONTROL_CONNECTIONS));
    let mut tasks = JoinSet::new();
    for door in doors {
        let serving = Serving {
            router: router.clone(),
            places: Arc::clone(&places),
            process: Arc::clone(process),
        };
        // A copy of the descriptor: the door is there also for the next runtime.
        match &door.listener {
            Listener::Tcp(listener) => {
                let listener = TcpListener::from_std(listener.try_clone()?)?;
                tasks.spawn(accept_tcp(listener, serving));
            }
            Listener::Unix(listener) => {
                let listener = UnixListener::from_std(listener.try_clone()?)?;
                tasks.spawn(accept_unix(listener, serving));
            }
        }
    }
    tokio::select! {
        _ = end.wait_for(|end| *end) => {}
        failed = tasks.join_next() => {
            let why = failed.and_then(Result::err).map_or_else(String::new, |error| error.to_string());
            return Err(io::Error::other(format!("a door is no longer served: {why}")));
        }
    }
    tasks.abort_all();
    let all = places.acquire_many(CONTROL_CONNECTIONS as u32);
    // Who has not taken its answer by then has had the time for it.
    let _ = timeout(Duration::from_millis(CONTROL_LAST_MS), all).await;
    Ok(())
}

/// What it takes to serve a connection.
#[derive(Clone)]
struct Serving {
    router: Router,
    places: Arc<Semaphore>,
    process: Arc<Process>,
}

impl Serving {
    fn by(mut self, by: By) -> Self {
        self.router = self.router.layer(Extension(by));
        self
    }

    /// A place for one more connection, once there is one.
    async fn place(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.places).acquire_owned().await.ok()
    }
}

async fn accept_tcp(listener: TcpListener, serving: Serving) {
    let serving = serving.by(By::Tcp);
    while let Some(place) = serving.place().await {
        match listener.accept().await {
            Ok((stream, _)) => drop(tokio::spawn(converse(stream, serving.clone(), place))),
            Err(error) => endure(&error).await,
        }
    }
}

async fn accept_unix(listener: UnixListener, serving: Serving) {
    let serving = serving.by(By::Unix);
    while let Some(place) = serving.place().await {
        match listener.accept().await {
            Ok((stream, _)) => drop(tokio::spawn(converse(stream, serving.clone(), place))),
            Err(error) => endure(&error).await,
        }
    }
}

/// Out of descriptors, most likely: trying at once would only spin.
async fn endure(error: &io::Error) {
    tracing::debug!(%error, "the control plane can't accept");
    sleep(Duration::from_millis(CONTROL_RETRY_MS)).await;
}

/// One request and its answer.
async fn converse<S>(stream: S, serving: Serving, _place: OwnedSemaphorePermit)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let _served = serving.process.health.serves();
    let exchange = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(Duration::from_millis(CONTROL_HEAD_MS))
        .max_buf_size(CONTROL_HEAD_BYTES)
        .max_headers(CONTROL_FIELDS)
        .keep_alive(false)
        .serve_connection(
            TokioIo::new(stream),
            TowerToHyperService::new(serving.router.clone()),
        );
    // What goes wrong with one is its own affair.
    let _ = timeout(Duration::from_millis(CONTROL_EXCHANGE_MS), exchange).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_is_its_owners_and_its_groups_and_goes_with_its_door() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("admin.sock");
        let place = Place::Unix(path.clone());
        let door = Door::open(&place).unwrap();
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, SOCKET_MODE);
        // Somebody listens there.
        let again = Door::open(&place).unwrap_err();
        assert_eq!(again.kind(), ErrorKind::AddrInUse);
        drop(door);
        assert!(!path.exists());
        // What a process that was killed leaves behind.
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        assert!(path.exists());
        drop(Door::open(&place).unwrap());
        // A file that is no socket is nobody's to take away.
        fs::write(&path, "mine").unwrap();
        assert!(Door::open(&place).is_err());
        assert_eq!(fs::read_to_string(&path).unwrap(), "mine");
    }
}
