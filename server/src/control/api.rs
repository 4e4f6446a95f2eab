//! The admin API: what is asked.
//!
//! Owns: paths and shapes, which `docs/openapi.json` describes. Must not know: who may ask. Invariant: an answer is a page
//! of one reactor at most, so nothing that peers fill makes it long.

use std::sync::Arc;

use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::routing::get;
use axum::{Json, Router};
use serde::{Deserialize, Serialize};

use super::process::Process;
use super::trouble::Trouble;
use crate::shard::{Answer, EndRow, Page, PlayerRow, Question, RoomResidence, RoomRow};

/// Everything below `/v1`.
pub(super) fn router(process: Arc<Process>) -> Router {
    Router::new()
        .route("/v1/status", get(status))
        .route("/v1/ends", get(ends))
        .route("/v1/rooms", get(rooms))
        .route("/v1/rooms/{room}/players", get(players))
        .route("/v1/rooms/{room}/residence", get(residence))
        .with_state(process)
}

#[derive(Serialize)]
struct Status {
    version: &'static str,
    players: usize,
    players_max: usize,
    players_away: usize,
    connections: usize,
    draining: bool,
    reactors: usize,
}

async fn status(State(process): State<Arc<Process>>) -> Json<Status> {
    let common = &process.common;
    Json(Status {
        version: env!("CARGO_PKG_VERSION"),
        players: common.seated(),
        players_max: common.limits.max_connections,
        players_away: common.away(),
        connections: common.connections(),
        draining: common.drain_ordered().is_some(),
        reactors: common.reactors,
    })
}

/// Where a page begins, as `next` of the page before said it.
#[derive(Deserialize)]
struct From {
    from: Option<String>,
}

/// A reactor and a place there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Cursor {
    reactor: usize,
    place: u64,
}

impl Cursor {
    fn read(text: &str) -> Result<Self, Trouble> {
        let parts = text.split_once('.');
        let numbers = parts.and_then(|(reactor, place)| {
            let (reactor, place) = (reactor.parse().ok()?, place.parse().ok()?);
            Some(Self { reactor, place })
        });
        numbers.ok_or_else(|| {
            Trouble::new(
                StatusCode::BAD_REQUEST,
                "from: give what `next` of the page before was",
            )
        })
    }

    fn write(self) -> String {
        format!("{}.{}", self.reactor, self.place)
    }
}

#[derive(Serialize)]
struct Rooms {
    rooms: Vec<RoomRow>,
    /// There may be more from here on.
    next: Option<String>,
}

async fn rooms(
    State(process): State<Arc<Process>>,
    Query(from): Query<From>,
) -> Result<Json<Rooms>, Trouble> {
    let cursor = from.cursor()?;
    let question = Question::Rooms(cursor.place);
    match process.ask(cursor.reactor, question).await? {
        Answer::Rooms(page) => Ok(Json(Rooms {
            next: process.next(cursor.reactor, &page),
            rooms: page.rows,
        })),
        _ => Err(strange()),
    }
}

#[derive(Serialize)]
struct Ends {
    ends: Vec<EndRow>,
    /// There may be more from here on.
    next: Option<String>,
}

async fn ends(
    State(process): State<Arc<Process>>,
    Query(from): Query<From>,
) -> Result<Json<Ends>, Trouble> {
    let cursor = from.cursor()?;
    let question = Question::Ends(cursor.place);
    match process.ask(cursor.reactor, question).await? {
        Answer::Ends(page) => Ok(Json(Ends {
            next: process.next(cursor.reactor, &page),
            ends: page.rows,
        })),
        _ => Err(strange()),
    }
}

impl From {
    fn cursor(&self) -> Result<Cursor, Trouble> {
        let cursor = self.from.as_deref().map(Cursor::read).transpose()?;
        Ok(cursor.unwrap_or_default())
    }
}

impl Process {
    /// Where the next page begins, after one of this reactor.
    fn next<T>(&self, reactor: usize, page: &Page<T>) -> Option<String> {
        let here = page.next.map(|place| Cursor { reactor, place });
        let there = (reactor + 1 < self.addresses.len()).then_some(Cursor {
            reactor: reactor + 1,
            place: 0,
        });
        here.or(there).map(Cursor::write)
    }
}

#[derive(Serialize)]
struct Players {
    /// Who is home to the room.
    reactor: usize,
    players: Vec<PlayerRow>,
    /// There may be more from here on.
    next: Option<String>,
}

async fn players(
    State(process): State<Arc<Process>>,
    Path(room): Path<String>,
    Query(from): Query<From>,
) -> Result<Json<Players>, Trouble> {
    let reactor = process.common.home(&room);
    let place = from.cursor()?.place;
    let question = Question::Players(room.into(), place);
    match process.ask(reactor, question).await? {
        Answer::Players(Some(page)) => Ok(Json(Players {
            reactor,
            players: page.rows,
            next: page.next.map(|place| Cursor { reactor, place }.write()),
        })),
        Answer::Players(None) => Err(nowhere()),
        _ => Err(strange()),
    }
}

#[derive(Serialize)]
struct Residence {
    /// Who is home to the room.
    reactor: usize,
    #[serde(flatten)]
    told: RoomResidence,
}

async fn residence(
    State(process): State<Arc<Process>>,
    Path(room): Path<String>,
) -> Result<Json<Residence>, Trouble> {
    let reactor = process.common.home(&room);
    let question = Question::Residence(room.into());
    match process.ask(reactor, question).await? {
        Answer::Residence(Some(told)) => Ok(Json(Residence { reactor, told })),
        Answer::Residence(None) => Err(nowhere()),
        _ => Err(strange()),
    }
}

fn nowhere() -> Trouble {
    Trouble::new(StatusCode::NOT_FOUND, "there is no such room")
}

/// A reactor answers something else than it was asked: a fault of ours.
fn strange() -> Trouble {
    Trouble::new(StatusCode::INTERNAL_SERVER_ERROR, "a strange answer")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursors_are_read_as_they_were_written() {
        for (reactor, place) in [(0, 0), (3, 1 << 40), (255, u64::MAX)] {
            let cursor = Cursor { reactor, place };
            assert_eq!(Cursor::read(&cursor.write()), Ok(cursor));
        }
        for wrong in ["", "1", "1.", ".1", "-1.0", "1.2.3", "a.b"] {
            let status = Cursor::read(wrong).map_err(|trouble| trouble.status());
            assert_eq!(status, Err(StatusCode::BAD_REQUEST), "{wrong}");
        }
    }
}
