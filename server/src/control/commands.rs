//! Commands of operators: what changes something.
//!
//! Owns: their shape, which reactors each concerns, and the line of the log that each leaves. Must not know: who may
//! command. Invariant: a command that comes twice with one id has one effect, also if the first answer was lost.

use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use axum::http::StatusCode;
use axum::routing::post;
use axum::{Extension, Json, Router};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::process::Process;
use super::rights::By;
use super::trouble::Trouble;
use crate::limits::COMMAND_ID_MAX;
use crate::shard::{Answer, Command, Order, Question, Source};

/// What an operator wants.
#[derive(Debug, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case", deny_unknown_fields)]
enum Wish {
    Kick {
        connection: Option<u64>,
        room: Option<Box<str>>,
        player: Option<u32>,
    },
    Ban {
        connection: Option<u64>,
        address: Option<IpAddr>,
        seconds: u32,
    },
    CloseRoom {
        room: Box<str>,
    },
    Say {
        room: Box<str>,
        text: Box<str>,
    },
    Notice {
        text: Box<str>,
    },
    Drain {
        delay_ms: Option<u32>,
        spread_ms: Option<u32>,
    },
    Undrain {},
    Reload {},
}

/// Commands, and what they need.
#[derive(Debug)]
struct Commands {
    process: Arc<Process>,
    /// Makes numbers of ids. Keyed, so that nobody finds two ids with one number.
    ids: RandomState,
}

/// The path of all commands.
pub(super) fn router(process: Arc<Process>) -> Router {
    let ids = RandomState::new();
    Router::new()
        .route("/v1/commands", post(command))
        .with_state(Arc::new(Commands { process, ids }))
}

#[derive(Debug, Serialize)]
struct Done {
    id: String,
    /// Players or rooms.
    concerned: usize,
}

async fn command(
    State(commands): State<Arc<Commands>>,
    Extension(by): Extension<By>,
    body: Result<Json<Value>, JsonRejection>,
) -> Result<Json<Done>, Trouble> {
    let Json(body) = body.map_err(|no| Trouble::new(no.status(), no.body_text()))?;
    let (id, wish) = read(body)?;
    let said = commands.audited(&wish);
    let number = commands.ids.hash_one(&id);
    let done = commands.carry_out(number, wish).await;
    let outcome = match &done {
        Ok(concerned) => format!("done, concerned {concerned}"),
        Err(trouble) => format!("not done: {}", trouble.status()),
    };
    tracing::info!(id, by = ?by, command = said, outcome, "an operator commands");
    done.map(|concerned| Json(Done { id, concerned }))
}

/// The id and the rest.
fn read(mut body: Value) -> Result<(String, Wish), Trouble> {
    let bad = |why: String| Trouble::new(StatusCode::BAD_REQUEST, why);
    let id = body.as_object_mut().and_then(|body| body.remove("id"));
    let id = id.as_ref().and_then(Value::as_str).unwrap_or_default();
    let printable = id.bytes().all(|byte| byte.is_ascii_graphic());
    if !(1..=COMMAND_ID_MAX).contains(&id.len()) || !printable {
        return Err(bad(format!(
            "id: give 1 to {COMMAND_ID_MAX} visible characters, and the same ones if you try again"
        )));
    }
    let wish = serde_json::from_value(body).map_err(|error| bad(error.to_string()))?;
    match wish {
        Wish::Ban {
            connection,
            address,
            ..
        } if connection.is_some() == address.is_some() => {
            Err(bad("ban: give a connection or an address".to_owned()))
        }
        Wish::Kick {
            connection,
            ref room,
            player,
        } if (connection.is_some(), room.is_some(), player.is_some()) != (true, false, false)
            && (connection.is_some(), room.is_some(), player.is_some()) != (false, true, true) =>
        {
            Err(bad(
                "kick: give a connection, or a room and a player".to_owned()
            ))
        }
        Wish::Say { text, .. } | Wish::Notice { text } if text.is_empty() => {
            Err(bad("text: there is none".to_owned()))
        }
        wish => Ok((id.to_owned(), wish)),
    }
}

impl Commands {
    /// How many it concerned.
    async fn carry_out(&self, id: u64, wish: Wish) -> Result<usize, Trouble> {
        let common = &self.process.common;
        let what = match wish {
            Wish::Kick {
                connection,
                room: Some(room),
                player,
            } => {
                debug_assert!(connection.is_none(), "one or the other");
                let home = common.home(&room);
                let kick = Command::KickPlayer(room.into(), player.unwrap_or_default());
                return self.order(home, id, kick).await;
            }
            Wish::Kick { connection, .. } => Command::Kick(connection.unwrap_or_default()),
            Wish::Ban {
                connection,
                address,
                seconds,
            } => {
                let source = match (address, connection) {
                    (Some(address), _) => Source::Address(address),
                    (None, connection) => self.whose(connection.unwrap_or_default()).await?,
                };
                Command::Ban(source, u64::from(seconds) * 1_000)
            }
            Wish::CloseRoom { room } => {
                let home = common.home(&room);
                return self.order(home, id, Command::CloseRoom(room.into())).await;
            }
            Wish::Say { room, text } => {
                let home = common.home(&room);
                return self
                    .order(home, id, Command::Say(room.into(), text.into()))
                    .await;
            }
            Wish::Notice { text } => Command::Notice(text.into()),
            Wish::Drain {
                delay_ms,
                spread_ms,
            } => {
                let (delay, spread) = self.process.goodbye_ms;
                common.order_drain_after(delay_ms.unwrap_or(delay), spread_ms.unwrap_or(spread));
                self.process.wake();
                return Ok(common.seated());
            }
            Wish::Undrain {} => {
                let revoked = common.revoke_drain();
                self.process.wake();
                let why = "there is no drain, or it has begun";
                return revoked
                    .then(|| common.seated())
                    .ok_or_else(|| Trouble::new(StatusCode::CONFLICT, why));
            }
            Wish::Reload {} => {
                (self.process.reload)();
                self.process.wake();
                return Ok(0);
            }
        };
        let mut concerned = 0;
        for reactor in 0..self.process.addresses.len() {
            concerned += self.order(reactor, id, what.clone()).await?;
        }
        Ok(concerned)
    }

    async fn order(&self, reactor: usize, id: u64, what: Command) -> Result<usize, Trouble> {
        let question = Question::Order(Order { id, what });
        let answer = self.process.ask(reactor, question).await;
        match answer? {
            Answer::Done(Some(concerned)) => Ok(concerned),
            _ => {
                let why = "it can't be done: there is no such room, the text is longer than a message, or there are too many bans";
                Err(Trouble::new(StatusCode::CONFLICT, why))
            }
        }
    }

    /// Where a connection comes from, whichever reactor it is on.
    async fn whose(&self, connection: u64) -> Result<Source, Trouble> {
        for reactor in 0..self.process.addresses.len() {
            let question = Question::Whose(connection);
            let answer = self.process.ask(reactor, question).await?;
            if let Answer::Whose(Some(source)) = answer {
                return Ok(source);
            }
        }
        let why = "there is no such connection with a seat";
        Err(Trouble::new(StatusCode::NOT_FOUND, why))
    }

    /// A command as the log says it: rooms and addresses as far as log lines name them, and no text.
    fn audited(&self, wish: &Wish) -> String {
        let common = &self.process.common;
        match wish {
            Wish::Kick {
                room: Some(room),
                player,
                ..
            } => {
                let (player, room) = (player.unwrap_or_default(), common.logged_room(room));
                format!("kick player {player} in {room}")
            }
            Wish::Kick { connection, .. } => format!("kick {}", connection.unwrap_or_default()),
            Wish::Ban {
                connection,
                address,
                seconds,
            } => match (address, connection) {
                (Some(address), _) => {
                    format!("ban {} for {seconds}s", common.logged_address(*address))
                }
                (None, Some(connection)) => format!("ban {connection} for {seconds}s"),
                (None, None) => "ban nobody".to_owned(),
            },
            Wish::CloseRoom { room } => format!("close {}", common.logged_room(room)),
            Wish::Say { room, text } => {
                format!("say {} bytes in {}", text.len(), common.logged_room(room))
            }
            Wish::Notice { text } => format!("say {} bytes to all", text.len()),
            Wish::Drain { .. } => "drain".to_owned(),
            Wish::Undrain {} => "undrain".to_owned(),
            Wish::Reload {} => "reload".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_no_command_is_refused() {
        for good in [
            json!({"id": "a", "do": "kick", "connection": 7}),
            json!({"id": "a", "do": "kick", "room": "arena", "player": 2}),
            json!({"id": "a", "do": "ban", "connection": 7, "seconds": 60}),
            json!({"id": "a", "do": "ban", "address": "2001:db8::1", "seconds": 0}),
            json!({"id": "a", "do": "drain"}),
            json!({"id": "a", "do": "undrain"}),
        ] {
            assert!(read(good.clone()).is_ok(), "{good}");
        }
        for bad in [
            json!({"do": "reload"}),
            json!({"id": "", "do": "reload"}),
            json!({"id": "a b", "do": "reload"}),
            json!({"id": "x".repeat(COMMAND_ID_MAX + 1), "do": "reload"}),
            json!({"id": 7, "do": "reload"}),
            json!({"id": "a", "do": "explode"}),
            json!({"id": "a"}),
            json!({"id": "a", "do": "reload", "more": 1}),
            json!({"id": "a", "do": "kick"}),
            json!({"id": "a", "do": "kick", "player": 2}),
            json!({"id": "a", "do": "kick", "room": "arena"}),
            json!({"id": "a", "do": "kick", "connection": 7, "room": "arena", "player": 2}),
            json!({"id": "a", "do": "ban", "seconds": 60}),
            json!({"id": "a", "do": "ban", "address": "1.2.3.4", "connection": 7, "seconds": 60}),
            json!({"id": "a", "do": "notice", "text": ""}),
            json!([]),
            json!("reload"),
        ] {
            let status = read(bad.clone()).map_err(|trouble| trouble.status());
            assert_eq!(status.err(), Some(StatusCode::BAD_REQUEST), "{bad}");
        }
    }
}
