//! Every bound of the process, with its unit and its reason.
//!
//! A *limit* refuses (and names itself to whoever ran into it), a *budget* postpones to the next iteration. What an
//! operator may change stands in [`Limits`] and is filled in by `edge::config`; the rest are constants, because
//! changing them needs a measurement, not an opinion.

mod http2;
mod sessions;
mod strangers;

use std::num::NonZeroU32;

use roomcast_protocol::upgrade::MAX_HEAD;

pub use self::http2::{HTTP2_CONTENT, HTTP2_DRAIN_MS, HTTP2_IDLE_MS, HTTP2_PING_MS};
pub use self::sessions::{
    ANSWERED_MS, LINK_CREDIT, LINK_SILENCE_MS, LINKS_CREDIT, POLL_BUDGET, POLL_BYTES, POLL_HOLD_MS,
    REMOTE_ANSWERS, REMOTE_ASK, REMOTE_ASKS, SESSION_CONNECTIONS, SESSION_ENDED_MS,
    SESSION_SILENCE_MS, SESSIONS_ENDED, STREAM_BYTES, STREAM_KEPT, STREAM_MS, STREAM_PING_MS,
    STREAM_PORTION, STREAM_RETRY_MS, TICKET_BYTES, UP_VERDICT_MS,
};
pub use self::strangers::{
    ACCEPT_BUDGET, EVICTED_BUDGET, STRANGERS_PER_LOOK, STRANGERS_SLICE_MAX_US, STRANGERS_SLICE_US,
};

/// Bytes: one receive buffer per reactor. A connection is read at most once per iteration, so this is also what one
/// flooding connection can put between two turns of everybody else (budget).
pub const RECEIVE_BUFFER: usize = 64 * 1024;

/// Connections for which a reactor's tables have room from the start: what is not used takes no memory yet, and a table
/// that grew while it was small would leave behind memory that had been used.
pub const FIRST_SLOTS: usize = 16 * 1024;

/// Connections that a reactor has had, beyond which its tables are given back once nobody is left.
pub const SLOTS_GIVEN_BACK: usize = 1024;

/// Bytes of one read in the handshake (budget): as many as the longest request head has, so that little can come behind
/// one. A TLS record that is longer comes in several reads.
pub const HANDSHAKE_READ: usize = MAX_HEAD;

/// Bytes that may wait behind a request head (limit): of one read, and of the TLS record that it completed. Nothing more
/// is read until they have been heard.
pub const UNREAD_MAX: usize = RECORD_PLAINTEXT + HANDSHAKE_READ;

/// Members of one room served in one iteration (budget), a member that gets much counting for several: a room of
/// 10,000 then delays everyone else by 256 sends, about a millisecond, at a time.
pub const FANOUT_BUDGET: u32 = 256;

/// Bytes for one receiver that cost about as much as the send itself; each further portion counts as one member of
/// [`FANOUT_BUDGET`].
pub const FANOUT_PORTION: usize = 8 * 1024;

/// Bytes that the kernel may hold for one receiver (`SO_SNDBUF`, which Linux doubles for its overhead). Small enough that a
/// receiver that reads is seen to read several times a second, and that a slow one costs little.
pub const SEND_BUFFER: usize = 128 * 1024;

/// Most bytes a sender is remembered to have sent too much (limit): past this, an old flood is forgotten.
pub const FLOOD_REMEMBERED: u32 = FLOOD_BURST + RECEIVE_BUFFER as u32;

/// Mails taken in one iteration (budget).
pub const MAIL_BUDGET: usize = 1024;

/// Mails waiting for one reactor (limit): a full mailbox refuses the connection with 503.
pub const MAILBOX_CAPACITY: usize = 4096;

/// Bytes that mails waiting for one reactor may hold together (limit): what came behind their request heads, up to
/// [`UNREAD_MAX`] each, and records that have not left. As with [`MAILBOX_CAPACITY`], the next one is told 503.
pub const MAILBOX_BYTES: usize = 8 * 1024 * 1024;

/// Milliseconds that a poll sleeps at most: what has no event of its own is looked at once a second.
pub const POLL_MS: u64 = 1_000;

/// Milliseconds that a reactor which ends waits for who reads what it has published (limit): nobody who is stuck there keeps
/// the process from ending.
pub const LAST_PUBLICATION_MS: u64 = 100;

/// Milliseconds since the last iteration after which a reactor counts as standing still, and the process as not ready: two
/// polls that had nothing to wake them.
pub const PULSE_MS: u64 = 2 * POLL_MS;

/// Milliseconds beyond its poll's timeout by which a shard's clock goes on at most (budget): a process that stood still,
/// stopped or on a paused machine, has not listened, so what it took for silence was its own.
pub const STANDSTILL_MS: u64 = 1_000;

/// Microseconds of an iteration after which further reads wait for the next one (budget). A poll full of short messages
/// takes about 8 ms, one full of floods would take 200 ms, and as long no timer fires.
pub const READ_SLICE_US: u64 = 15_000;

/// Microseconds after which further writes wait for the next iteration (budget): some 8,000 sends.
pub const WRITE_SLICE_US: u64 = 25_000;

/// Reads or writes between two looks at the clock that tell whether a slice is over; so many are done in any case.
pub const CALLS_PER_LOOK: u32 = 16;

// An iteration keeps the timers waiting for 50 ms at most, with one door or two.
const _: () = assert!(
    READ_SLICE_US + WRITE_SLICE_US + 2 * STRANGERS_SLICE_MAX_US + HANDSHAKE_SLICE_US <= 50_000
);

/// Readiness events taken from one poll.
pub const EVENTS_PER_POLL: usize = 4096;

/// The part of `outbox_bytes_max` that a room's open batch may reach before its senders are read no further (budget);
/// half of that while the last fan-out is running. A quarter: with the one read by which it may be exceeded, what the
/// kernel does not take of two batches fits into a clear outbox, so that a member that reads is not evicted by a burst.
/// Coalescing is limited by these bytes, never by a number of messages.
pub const BATCH_SHARE_OF_OUTBOX: usize = 4;

/// Bytes a room's open batch may always reach, however small `outbox_bytes_max` is.
pub const BATCH_BYTES_MIN: usize = 16 * 1024;

/// Bytes of batch buffers a shard keeps for reuse (limit); more goes back to the allocator.
pub const SPARE_BATCH_BYTES: usize = 1024 * 1024;

/// Bytes of one spare batch buffer (limit): one large batch must not sit in the pool for ever.
pub const SPARE_BATCH_BYTES_EACH: usize = 128 * 1024;

/// Bytes charged to an outbox for each queued segment beside the buffer that it pins: queue slot, reference count,
/// allocation headers. A queue of two-byte frames is thus as bounded as one of large ones.
pub const SEGMENT_OVERHEAD: usize = 96;

/// Ranges of a batch below this many bytes are copied for a slow receiver: cheaper than a reference, and they coalesce.
pub const COPY_BELOW: usize = 512;

/// A range smaller than this part of the buffer that it lies in is copied (limit): a slow receiver is charged, and pins,
/// at most this many times what waits for it.
pub const PINNED_SHARE: usize = 4;

/// The part of a buffer in use that may be unused beside it when a slow receiver refers to it (limit); more is given back
/// first. A buffer that was large for another batch is not pinned by a small one, nor copied for every batch.
pub const PINNED_SLACK: usize = 16;

/// Slices handed to one vectored write; further segments wait for the next one. Linux takes at most 1,024.
pub const SLICES_PER_WRITE: usize = 64;

/// Ranges of a batch that go straight to the socket; a receiver whose own frames cut the batch into more pieces
/// takes the path over its outbox.
pub const DIRECT_RANGES: usize = 8;

/// Bytes of its own answers (pongs, echoes) a peer may leave undrained before it is read no further (budget).
pub const OWN_ANSWERS: usize = 64 * 1024;

/// Bytes per millisecond that a sender may sustain before it counts as flooding (a budget: only applied while a
/// member of its room that does read has fallen behind). 256 KiB/s is 40 times a 20 Hz stream of 300-byte states.
pub const FLOOD_BYTES_PER_MS: u32 = 256;

/// Bytes a sender may send beyond [`FLOOD_BYTES_PER_MS`] in one go without counting as flooding, and so may a room.
pub const FLOOD_BURST: u32 = 16 * 1024;

/// Milliseconds within which a drain ends all players of one room: longer, and the room would go on in two processes at
/// once for that long.
pub const DRAIN_ROOM_MS: u32 = 1_000;

/// Bytes per millisecond that a room may say while somebody in it presses, all senders together, however many connections
/// they have (budget); beyond a burst of [`FLOOD_BURST`]. A quarter of what one sender may: what waits for who presses, up
/// to `outbox_bytes_max`, must leave within `congested_ms_max` though the room goes on, so whoever reads 120 KiB/s stays.
pub const PRESSED_BYTES_PER_MS: u32 = 64;

/// Bytes per millisecond that a player is read in any case, however much its room has said while somebody in it presses
/// (budget), of what it was not read before: 20 states of 400 bytes a second pass, and connection after connection gains
/// nothing.
pub const TRICKLE_BYTES_PER_MS: u32 = 8;

/// Most bytes of that at once, and the fewest that are read of a flood: less is not worth a fan-out.
pub const TRICKLE: u32 = 1024;

/// Fewest bytes that are read where somebody presses: less is not worth a read.
pub const TRICKLE_MIN: u32 = 64;

/// Milliseconds after which those are tried again who were read no further because somebody in their room presses.
pub const PRESSED_LOOK_MS: u64 = 50;

/// Milliseconds that a TLS connection gets beyond `--close-timeout` for its close_notify.
pub const LAST_WORDS_MS: u32 = 50;

/// Milliseconds without one byte taken after which a congested member counts as stalled and no longer slows a flooder.
pub const STALLED_AFTER_MS: u32 = 1_000;

/// Of a TLS session (limits), with their reasons there.
pub use roomcast_protocol::tls::{RECORD_MAX, RECORD_PLAINTEXT};

/// Bytes sealed for one write (budget): few enough that little is sealed which a socket then does not take. What waits
/// behind it is still plaintext and can be dropped or replaced.
pub const SEAL_PORTION: usize = 4 * RECORD_PLAINTEXT;

/// Sealed bytes that a socket did not take and that are still few enough to have the next record sealed behind them
/// (budget): fewer writes, and little that can't be replaced any more.
pub const SEALED_REST: usize = 4 * 1024;

/// Microseconds after which the handshakes of an iteration wait for the next one (budget), whether or not
/// [`Limits::tls_handshakes`] is used up: one costs from 0.1 ms (ECDSA) to 2 ms (RSA with 4,096 bits).
pub const HANDSHAKE_SLICE_US: u64 = 200;

/// Connections whose first bytes have come and that wait for their TLS handshake to begin (limit): in a storm the oldest is
/// reset. As many as a reactor begins in several seconds.
pub const HANDSHAKE_BEGINNERS: usize = 4096;

/// Microseconds that a step of a handshake is taken for until one was measured: RSA with 2,048 bits.
pub const HANDSHAKE_STEP_US: u64 = 1_000;

/// Bytes of one PEM file (limit). The largest chains have some 20 KiB, and every handshake sends all of it; a wrong path
/// may be anything, a bundle of authorities for example.
pub const CERTIFICATE_FILE: u64 = 64 * 1024;

/// Bytes of a file with keys of session tickets (limit): what so many lines have, and comments.
pub const SESSION_KEY_FILE: u64 = 4 * 1024;

/// Keys of session tickets (limit): with one an hour, those of a ticket's whole life would be twelve, and each is tried on a
/// stranger's ticket.
pub const SESSION_KEYS: usize = 12;

/// Seconds that a key of session tickets is used (limit): who steals one reads no more than a day's resumed sessions.
pub const SESSION_KEY_S: i64 = 24 * 60 * 60;

/// Seconds by which the clock of who made a key may be ahead (limit).
pub const SESSION_KEY_AHEAD_S: i64 = 5 * 60;

/// Seconds that a session ticket is good for, as clients are told; as long as those whose keys never leave memory.
pub const SESSION_S: u32 = 12 * 60 * 60;

/// Bytes of one file of ticket keys (limit): a JWKS of a hundred keys.
pub const TICKET_KEY_FILE: u64 = 64 * 1024;

/// Bytes of a secret that signs tickets (limit): as many as the hash has (RFC 7518 section 3.2), fewer can be guessed.
pub const TICKET_SECRET_MIN: usize = 32;

/// Seconds by which a ticket's times may be missed (limit), for two servers' clocks.
pub const TICKET_LEEWAY_S: u64 = 5;

/// Tickets whose signatures are known to be good (limit): as many as a full process has players by default. The oldest of
/// them cost a verification again.
pub const TICKETS_REMEMBERED: usize = 16 * 1024;

/// Locks among which these are shared out: few reactors ever want the same one at once.
pub const TICKET_SHARES: usize = 16;

/// Bytes of a ticket that is remembered (limit), so that all of them are some 16 MiB; those that players bring have a few
/// hundred.
pub const TICKET_REMEMBERED_BYTES: usize = 1024;

/// Seconds that somebody may stay beyond what its ticket says (budget): its client gets a new one meanwhile, and goes on.
pub const TICKET_STAY_GRACE_S: u64 = 10;

/// Milliseconds that a ticket may let somebody stay (limit); who was to stay for longer comes again. 20 days: times of
/// connections are compared by distance, which is below 2^31 ms.
pub const TICKET_STAY_MAX_MS: u32 = 20 * 24 * 60 * 60 * 1_000;

/// Bytes of the list of tickets that were taken back (limit): some hundred thousand, each of which is out of it again when
/// it has expired.
pub const TICKET_REVOKED_FILE: u64 = 8 * 1024 * 1024;

/// Locks among which what is counted for each address is shared out, as for tickets.
pub const SOURCE_SHARES: usize = 16;

/// Addresses without a connection that are remembered for how often they joined lately (limit): the oldest is forgotten,
/// and may join as often as anybody new. Who has a connection or a room is counted in any case.
pub const SOURCES_GONE: usize = 16 * 1024;

/// Seconds' worth of joins that one address may make at once (budget): a class or an office that comes all at one moment.
/// Nobody who is gone has to be remembered for longer.
pub const SOURCE_JOINS_SECONDS: u64 = 2;

/// Networks (/64) of IPv6 whose worth one site (/48) may have. Some providers give each household a site, so that
/// whoever has 65,536 networks is one; others give it to many phones.
pub const SOURCES_PER_SITE: u32 = 4;

/// Connections of one address from which on its share of all is worth a word: fewer are friends in one place.
pub const SOURCE_NOTED: u32 = 64;

/// Seconds' worth of its quota that a connection may send at once (budget), and as much again is lent: what one read may
/// bring, by who then waits.
pub const QUOTA_SECONDS: u64 = 2;

/// Milliseconds that accepting pauses when the process is out of descriptors.
pub const ACCEPT_PAUSE_MS: u64 = 100;

/// Milliseconds that a connection without a seat has to itself (budget) before it may have to make room, when there are
/// no descriptors for anybody new. An honest handshake takes a few round trips. And that one at the door of a roomcast.v1
/// room has for its first packet at least.
pub const NEWCOMER_GRACE_MS: u32 = 1_000;

/// Connections of the process beyond `max_connections` that may be inside the handshake or be told 503 (limit).
pub const HANDSHAKE_RESERVE: usize = 512;

/// Log lines that wait for whoever reads standard error (limit): more are dropped and counted. Some seconds of a bad
/// time; a reactor never waits for them.
pub const LOG_LINES: usize = 1024;

/// Bytes of one log line (limit); of a longer one the rest is left out. With [`LOG_LINES`], what waits is 8 MiB at most.
pub const LOG_LINE_BYTES: usize = 8 * 1024;

/// Milliseconds that the end of the process waits for room in the queue of log lines, and as many again for what is in it
/// to be read (limit).
pub const LOG_FAREWELL_MS: u64 = 500;

/// Milliseconds from when another process has the listeners until the goodbyes begin, at least: who was accepted by this one
/// a moment before still gets its seat, and then a close frame by which it knows to come back, instead of a refusal.
pub const HANDOVER_MS: u32 = 1_000;

/// Sockets that one process hands over to the next (limit): as many as Linux passes in one message (SCM_MAX_FD).
pub const TAKEOVER_SOCKETS: usize = 253;

/// Bytes that say which sockets these are (limit): a hundred for each.
pub const TAKEOVER_BYTES: usize = 32 * 1024;

/// Milliseconds that a process waits for the one before to answer (limit). It does so at once, if it is not stopped.
pub const TAKEOVER_ANSWER_MS: u64 = 5_000;

/// Milliseconds that a process which has offered its sockets waits for the next one to be ready (limit); meanwhile both
/// have them and it goes on accepting.
pub const TAKEOVER_READY_MS: u64 = 60_000;

/// Milliseconds until it is looked again who wants to take over, after the system had no descriptor for that.
pub const TAKEOVER_RETRY_MS: u64 = 1_000;

/// Milliseconds after a SIGTERM or SIGINT in which another is the same stop, told twice: far more than whoever tells a
/// process and its group needs, and less than a person who loses patience.
pub const SAME_STOP_MS: u64 = 100;

/// The part of the memory that players may hold by default: one of so many. The others are for the kernel's buffers (as
/// much again for who stands still), for newcomers, and for whatever else runs here.
pub const MEMORY_SHARE: u64 = 4;

/// Bytes that a player may hold beside its queue and an incomplete message: a TLS session, an incomplete record and what
/// waits behind its request head (together no more than one record and one read), its seat.
pub const PLAYER_BYTES: usize = 32 * 1024;

/// Descriptors the process needs for itself: listeners, pollers, wakers, standard streams.
pub const DESCRIPTOR_RESERVE: usize = 64;

/// Descriptors that are kept back for the control plane (limit), where it has doors: with [`CONTROL_CONNECTIONS`], what a
/// runtime needs, and files that it looks into.
pub const CONTROL_DESCRIPTORS: usize = 64;

/// Connections of the control plane (limit), further ones wait in the kernel: who asks is a scraper or an operator.
pub const CONTROL_CONNECTIONS: usize = 32;

/// Milliseconds from accepting a connection of the control plane to its complete request head (limit).
pub const CONTROL_HEAD_MS: u64 = 3_000;

/// Milliseconds from there to the end of its answer (limit): who reads slowly holds one of [`CONTROL_CONNECTIONS`].
pub const CONTROL_EXCHANGE_MS: u64 = 10_000;

/// Bytes of a request head that the control plane buffers (limit), and of its answer at once.
pub const CONTROL_HEAD_BYTES: usize = 16 * 1024;

/// Fields of such a head (limit).
pub const CONTROL_FIELDS: usize = 64;

/// Milliseconds after the end of the last reactor until which the control plane has answered (limit).
pub const CONTROL_LAST_MS: u64 = 2_000;

/// Milliseconds after which the control plane accepts again that could not.
pub const CONTROL_RETRY_MS: u64 = 100;

/// Milliseconds after its first failure in which the control plane begins anew; each further one doubles them.
pub const CONTROL_BACKOFF_MS: u64 = 100;

/// Milliseconds that they are at most (limit).
pub const CONTROL_BACKOFF_MAX_MS: u64 = 30_000;

/// Questions that wait for one reactor (limit): a full lane refuses the next one with 503. Who asks waits for each answer, so
/// there are hardly more than [`CONTROL_CONNECTIONS`].
pub const ASKS: usize = 64;

/// Questions that a reactor answers in one iteration (budget), after everything that comes with a socket.
pub const ASK_BUDGET: usize = 4;

/// Milliseconds after which the control plane waits no longer for an answer (limit): 504 says whose.
pub const ASK_TIMEOUT_MS: u64 = 1_000;

/// Rows of one answer (limit); who wants more asks again.
pub const ASKED_ROWS: usize = 100;

/// Places in tables that are looked at for one answer (budget), whether or not there is a row: 10 us.
pub const ASKED_LOOKS: usize = 4_096;

/// Characters of the id of a command (limit).
pub const COMMAND_ID_MAX: usize = 64;

/// Bytes of a request to the control plane beside its head (limit): a text for players is the longest.
pub const COMMAND_BYTES_MAX: usize = 64 * 1024;

/// Bytes of an answer that `roomcast admin` takes (limit): [`ASKED_ROWS`] rows are a tenth of that.
pub const ANSWER_BYTES_MAX: usize = 1024 * 1024;

/// Orders of operators that a reactor remembers to have carried out (limit), 16 bytes each: what is ordered again within this
/// many is not done twice.
pub const ORDERS_REMEMBERED: usize = 256;

/// Connections that have ended that a reactor remembers (limit), some 80 bytes each, where there is a control plane.
pub const ENDS_REMEMBERED: usize = 1_000;

/// Bans that hold at once (limit), 32 bytes each on every reactor: a table for who attacks by hand. Against floods there are
/// limits for each address.
pub const BANS_MAX: usize = 1_024;

/// Characters of a token of the control plane, at least (limit): 64 bits in hexadecimal digits. What nobody can guess has
/// twice as many.
pub const CONTROL_TOKEN_MIN: usize = 16;

/// Characters of such a token, at most (limit): it stands in a field of a request head.
pub const CONTROL_TOKEN_MAX: usize = 1024;

/// Series of metrics (limit), which a scraper stores for each relay: nothing that peers choose makes one.
pub const METRIC_SERIES_MAX: usize = 2_000;

/// Bytes of input thrown away while a connection is closing before it is read no further (budget): whoever goes on sending
/// is stopped by TCP, so that it still sees the close frame; a reset would destroy that on its way.
pub const DISCARD_WHILE_CLOSING: u32 = 4 * 1024 * 1024;

/// Bytes that the end of our side of TCP counts as, among what the kernel holds. Nothing that we say is as short.
pub const FIN: usize = 1;

/// Milliseconds after which it is looked at for the first time what a closing connection's peer has not taken. Most have
/// taken everything by then.
pub const EBB_FIRST_LOOK_MS: u32 = 64;

/// Milliseconds between two such looks. A reader with a small buffer takes in bursts, several a second.
pub const EBB_LOOK_MS: u32 = 1_000;

/// Bytes that must have been taken in a second for a closing connection to go on beyond `--close-timeout` (limit). At half
/// of that, what the kernel holds for one receiver would take twice as long as the longest stay by default.
pub const EBB_BYTES_PER_S: u32 = 16 * 1024;

/// Bytes up to which what is held for a closing connection is not counted (limit): a close frame under way, an answer.
pub const EBB_UNCOUNTED: usize = 4 * 1024;

/// Closing connections of the process that hold more than [`EBB_UNCOUNTED`] (limit), each reactor with its share; beyond it,
/// who has taken nothing for longest is reset.
pub const LINGERING: usize = 4096;

/// Bytes that the kernel and the outboxes hold for these (limit), for the same: some 400 of those who read nothing at all.
pub const LINGERING_BYTES: usize = 64 * 1024 * 1024;

/// Most reactors one process starts (limit): the room-to-reactor map and the mailboxes are one entry each.
pub const REACTORS_MAX: usize = 256;

/// Packets of a roomcast.v1 player after which it is told how many were applied, and milliseconds after the first of them:
/// until then it keeps them all.
pub const ACK_PACKETS: u8 = 64;
/// See [`ACK_PACKETS`].
pub const ACK_AFTER_MS: u32 = 1_000;

/// Milliseconds between two keep-alives of a roomcast.v1 player. Hidden pages run no timers, but hear messages.
pub const KEEP_ALIVE_MS: u32 = 2_500;

/// Milliseconds without a frame after which a roomcast.v1 player has lost its connection (limit): three of its own
/// heartbeats.
pub const HEARD_WITHIN_MS: u32 = 7_500;

/// Milliseconds that the log of a room reaches back at least, as long as its bytes allow: what was on its way when a
/// connection broke, and nobody noticed before the heartbeat was missed.
pub const LOG_REACH_MS: u32 = 10_000;

/// Milliseconds within which a roomcast.v1 player may be too far behind once (limit); the second time ends its connection.
pub const RESETS_APART_MS: u32 = 10_000;

/// Milliseconds of its grace that are left to a player whose page says that it goes away (limit): most never come back.
pub const GOING_AWAY_MS: u32 = 5_000;

/// Milliseconds that a host whose page is hidden keeps the role though somebody visible would have it (limit): who looks at
/// another tab for a moment does not lose it. Hidden pages run no timers, and so no game.
pub const HIDDEN_HOST_MS: u32 = 3_000;

/// Bytes of what was said since a snapshot, at most, for it to be given whole (limit): a welcome has them. At half of that
/// the host is asked for a new one; so long the log is kept though nobody else needs it.
pub const TAIL_BYTES: usize = 256 * 1024;

/// Players whom a room remembers to have put out (limit), 16 bytes each; beyond it the first of them may come back.
pub const BARRED_MAX: usize = 256;

/// Players in one packet of round-trip times (limit): with at most ten bytes each it is no longer than a bundle.
pub const TRIPS_PER_PACKET: usize = 1_024;

/// Bytes of the keys and values of one owner's properties (limit): a welcome has them all.
pub const PROPERTY_BYTES: usize = 16 * 1024;

/// Bytes of all properties of a room and its players (limit), for the same reason.
pub const ROOM_PROPERTY_BYTES: usize = 256 * 1024;

/// Milliseconds between two times that a reactor publishes which rooms it lists (budget): so old is what `/rooms` tells.
pub const LISTING_EVERY_MS: u64 = 1_000;

/// Bytes of its text properties with which a room is listed (limit), keys and values; others are left out. What a list of
/// rooms shows is short, and all that are listed are held twice while they change.
pub const LISTED_PROPERTY_BYTES: usize = 1024;

/// Rooms in one answer of `/rooms` (limit), and bytes of them unless one alone has more: who wants more asks again. Less
/// than the largest page that is served.
pub const LISTING_PAGE: usize = 100;
/// See [`LISTING_PAGE`].
pub const LISTING_PAGE_BYTES: usize = 32 * 1024;

/// Kinds of rooms (a tag, and players of a room) for which a reactor remembers whom it has sent where (limit); beyond it the
/// one that was not asked for for longest is forgotten. Each has what it was asked for lately, up to [`MATCH_ROOMS`].
pub const MATCHES_MAX: usize = 1024;

/// Rooms of one kind that are remembered or looked at, the fullest first (limit).
pub const MATCH_ROOMS: usize = 64;

/// Milliseconds for which somebody who was sent to a room counts as a player there: a join takes a few round trips, and it
/// takes [`LISTING_EVERY_MS`] to be seen.
pub const MATCH_PROMISE_MS: u64 = 5_000;

/// Milliseconds for which others are sent to a room that nobody has seen yet: it is there, and not listed; or nobody came.
pub const MATCH_FRESH_MS: u64 = 10_000;

/// Letters of its tag with which the name of such a room begins (limit); with a dash and 16 digits there is room to spare in
/// a name of 64.
pub const MATCH_NAME_TAG: usize = 40;

/// Keys of a room's own states (limit): each is looked at for each who joins.
pub const ROOM_KEYS: usize = 1024;

/// Deleted keys that a room remembers for who has not been told (limit), up to twice as many: some 100 bytes each. Whoever
/// has missed more is told all that there is anew.
pub const DELETIONS_MAX: u32 = 512;

/// Audiences that a key had before and that are remembered for who has not been told (limit), for the same reason.
pub const FORMER_AUDIENCES: usize = 4;

/// Keys of groups that somebody has left which are remembered for it until it is told (limit); one that leaves more is told
/// all that there is anew.
pub const KEYS_LOST: usize = 1024;

/// Bytes assembled for one write to a roomcast.v1 player (budget), unless one packet is larger: what its socket does not
/// take is kept for it, so it is not much.
pub const BUNDLES_PER_WRITE: usize = 48 * 1024;

/// Bytes of its log that a room keeps though all logs together are over their bound: what one iteration may append, which
/// those who keep up are still to be given.
pub const LOG_BYTES_MIN: usize = 2 * RECEIVE_BUFFER;

/// Entries of a log, or values, that are assembled once for several players (budget), a bit for each: where there are more,
/// walking all of them is little for what is written. For so many it is noted which are for a player by name: 16 bytes for each
/// seat of a room in which something is said to some alone, until it rests, and as many where a key is for some alone.
pub const SHARED_ENTRIES: usize = u64::BITS as usize;

/// Bytes of the buffer of one room's log (limit), what is gone and not yet given up among them: with the largest packet that
/// may follow, offsets into it fit 32 bits. Only flags that ask for gigabytes get there.
pub const LOG_SPAN_MAX: usize = 2 << 30;

/// Bytes that are held back for a player who asked for a bad network (limit); beyond them it is a socket that takes
/// nothing, and its player is behind. As much as waits for any other slow player by default.
pub const IMPAIRED_BYTES: usize = 256 * 1024;

/// Writes that are held back for such a player (limit): one in each of some ms, for as long as it may ask for.
pub const IMPAIRED_WRITES: usize = 4096;

/// Such players of one reactor (limit); a further one is refused. With [`IMPAIRED_BYTES`], what they hold is 256 MiB at
/// most.
pub const IMPAIRED_MAX: usize = 1024;

/// Milliseconds of a rate that go at once, and after which more goes (budget): twenty writes a second are enough to look
/// like a slow network, and cheap.
pub const IMPAIRED_SLICE_MS: u64 = 50;

/// Rooms of one reactor of which it is measured how long messages are there (limit), 0.3 KB each, and milliseconds after which
/// that ends if nobody asks for it.
pub const RESIDENCE_ROOMS: usize = 8;
/// See [`RESIDENCE_ROOMS`].
pub const RESIDENCE_ROOM_MS: u64 = 60_000;

/// Connections that one publication looks at for what they hold (budget): some 0.1 ms of a second.
pub const STOCK_LOOKS: usize = 8 * 1024;

/// Doors that metrics tell apart (limit); all further ones count as the last.
pub const DOORS_TOLD: usize = 8;

/// Milliseconds for which the longest iteration is told at least: who scrapes once a minute misses none.
pub const PEAK_WINDOW_MS: u64 = 60_000;

/// Buckets of a histogram of how many messages leave together (limit): one for each doubling, from 1 to 1,024, and one for more.
pub const BATCH_SIZES: usize = 12;

/// Certificates that metrics tell of (limit): the first in the order of the flags.
pub const CERTIFICATES_TOLD: usize = 64;

/// Buckets of a histogram of how long messages are here (limit): two for each doubling, from [`RESIDENCE_FIRST_US`] to 8 s.
pub const RESIDENCE_BUCKETS: usize = 36;

/// Microseconds that the first of them has: less is not told apart. A power of two.
pub const RESIDENCE_FIRST_US: u64 = 64;

/// Writes, told apart by when their messages came, that wait for the next look at the clock (limit): one comes every
/// [`CALLS_PER_LOOK`]. What has no place of its own counts with the last.
pub const RESIDENCE_WAITING: usize = 2 * CALLS_PER_LOOK as usize;

// What the bounds rely on of each other. Who changes one and breaks a relation is told here, not by a load test.
const _: () = {
    // What one read brings never counts as more of a flood than is remembered.
    assert!(FLOOD_REMEMBERED as usize >= RECEIVE_BUFFER);
    // One read of a flooder is a flood, and one of a handshake is none.
    assert!(RECEIVE_BUFFER > FLOOD_BURST as usize && HANDSHAKE_READ <= FLOOD_BURST as usize);
    // What is read in any case is little beside what a room may say.
    assert!(TRICKLE_BYTES_PER_MS < PRESSED_BYTES_PER_MS && TRICKLE < FLOOD_BURST);
    assert!(PRESSED_BYTES_PER_MS < FLOOD_BYTES_PER_MS);
    // Who is tried again after a while is read then.
    assert!(TRICKLE_MIN as u64 <= PRESSED_LOOK_MS * TRICKLE_BYTES_PER_MS as u64);
    // A batch may be as large as what one read brings, and its buffer is kept for the next one.
    assert!(
        SPARE_BATCH_BYTES_EACH >= RECEIVE_BUFFER && SPARE_BATCH_BYTES >= SPARE_BATCH_BYTES_EACH
    );
    // What is copied for a slow receiver is small beside what a batch may always reach.
    assert!(COPY_BELOW * PINNED_SHARE < BATCH_BYTES_MIN);
    // A copy is charged for less than a segment of its own would cost.
    assert!(SEGMENT_OVERHEAD < COPY_BELOW);
    // Linux takes 1,024 slices; what goes straight from a batch needs no more than one write.
    assert!(DIRECT_RANGES <= SLICES_PER_WRITE && SLICES_PER_WRITE <= 1024);
    // What is sealed already is little beside what is sealed for one write.
    assert!(SEALED_REST < SEAL_PORTION);
    // A portion of a fan-out is never larger than what the kernel holds for one receiver.
    assert!(FANOUT_PORTION <= SEND_BUFFER);
    // One iteration accepts no more than may be inside the handshake.
    assert!(ACCEPT_BUDGET <= HANDSHAKE_RESERVE);
    // Who stands still is noticed long before a poll's sleep could hide it.
    assert!(STALLED_AFTER_MS as u64 <= POLL_MS && POLL_MS < PULSE_MS);
    // What a mail may carry fits many times into a mailbox.
    assert!(MAIL_BUDGET <= MAILBOX_CAPACITY && 100 * UNREAD_MAX < MAILBOX_BYTES);
    // Closing connections that the kernel is full of don't all have to go for one of them.
    assert!(LINGERING_BYTES / REACTORS_MAX >= SEND_BUFFER && LINGERING >= REACTORS_MAX);
    // A small answer is not counted; what a slow reader still has to take is.
    assert!(FIN < EBB_UNCOUNTED && EBB_UNCOUNTED < SEND_BUFFER);
    // Who keeps its heartbeat is never cut off, and the log reaches back to where a missed one was noticed.
    assert!(2 * KEEP_ALIVE_MS < HEARD_WITHIN_MS && HEARD_WITHIN_MS < LOG_REACH_MS);
    // What is assembled for one write is sealed in one go, unless one packet is larger.
    assert!(BUNDLES_PER_WRITE + roomcast_protocol::v1::BUNDLE_BYTES_MAX <= SEAL_PORTION);
    // The longest delay of a player who gets something in every frame fits.
    assert!(20 * 2 * roomcast_protocol::v1::DELAY_MS_MAX as usize / 1_000 <= IMPAIRED_WRITES);
    // Every connection of the control plane has a descriptor, and as many are left for what it looks into.
    assert!(2 * CONTROL_CONNECTIONS <= CONTROL_DESCRIPTORS);
    // Everybody who may ask finds room.
    assert!(
        CONTROL_CONNECTIONS <= ASKS && ASK_BUDGET <= ASKS && ASK_TIMEOUT_MS < CONTROL_EXCHANGE_MS
    );
    assert!(CONTROL_TOKEN_MAX < CONTROL_HEAD_BYTES && CONTROL_HEAD_MS < CONTROL_EXCHANGE_MS);
    // Who is on its way to a room counts until it can be seen there.
    assert!(2 * LISTING_EVERY_MS < MATCH_PROMISE_MS && MATCH_PROMISE_MS <= MATCH_FRESH_MS);
    // One room that is listed, every byte escaped, is a part of a page.
    assert!(6 * LISTED_PROPERTY_BYTES + 1024 <= LISTING_PAGE_BYTES);
    // One owner's properties are a part of its room's.
    assert!(PROPERTY_BYTES <= ROOM_PROPERTY_BYTES);
};

/// What a connection may send in a second: as much as it likes, if nothing is said.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Quota {
    /// Messages.
    pub messages: Option<NonZeroU32>,
    /// Bytes of messages.
    pub bytes: Option<NonZeroU32>,
}

impl Quota {
    /// Not more than either lets it.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        let least = |one: Option<NonZeroU32>, two| one.into_iter().chain(two).min();
        Self {
            messages: least(self.messages, other.messages),
            bytes: least(self.bytes, other.bytes),
        }
    }
}

/// What one address may have without tickets, and with them one `sub`. IPv6 counts by /64, and each /48 may have
/// [`SOURCES_PER_SITE`] times as much. `u32::MAX` is no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PerSource {
    /// Connections with a seat; more is HTTP 429.
    pub connections: u32,
    /// Connections without one, by address in any case: others are closed as they come.
    pub unseated: u32,
    /// Joins in a second, sustained, and [`SOURCE_JOINS_SECONDS`] times as many at once; more is HTTP 429.
    pub joins_per_second: u32,
    /// Rooms that speak roomcast.v1 and that it has made, as long as they are there; more is close code 1013. (A raw room is
    /// there as long as its players.)
    pub rooms: u32,
    /// Whether programs of this machine are bounded too.
    pub loopback_too: bool,
}

/// What an operator may set. Times in milliseconds, sizes in bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Payload bytes of one message, all fragments together; more is close code 1009.
    pub max_message: usize,
    /// From accept to the complete request head; more is HTTP 408. Absolute, never renewed by a trickle.
    pub handshake_ms: u32,
    /// A peer that was silent this long is sent a ping.
    pub ping_ms: u32,
    /// A peer that was silent this long is gone: close code 4005.
    pub idle_ms: u32,
    /// From our close frame (or HTTP answer) to the end of the TCP connection, for a peer that takes too little of it; one that
    /// takes what is left for it gets [`Limits::congested_ms_max`] more.
    pub close_ms: u32,
    /// Bytes of memory held for one slow receiver; more is close code 4002.
    pub outbox_bytes_max: usize,
    /// How long a receiver may stay behind; more is close code 4002.
    pub congested_ms_max: u32,
    /// Seated connections of the process; more is HTTP 503.
    pub max_connections: usize,
    /// Members of one room; more is close code 4000.
    pub max_room_members: usize,
    /// Connections whose TLS handshake, or request head with a ticket, goes on in one iteration of a reactor (budget): a
    /// storm of them must not starve those who play.
    pub tls_handshakes: usize,
    /// Milliseconds a room gathers messages before it is frozen; 0: every iteration.
    pub flush_interval_ms: u32,
    /// How long a roomcast.v1 player that lost its connection keeps its seat, unless its room wants it shorter.
    pub grace_ms: u32,
    /// How long the host of a roomcast.v1 room that has lost its connection keeps the role, unless its room wants it
    /// otherwise; then the role goes to who would have it.
    pub host_grace_ms: u32,
    /// Players of the process that are away; further ones leave at once.
    pub max_away: usize,
    /// Rooms of the process that speak roomcast.v1; who would make another is closed with 1013.
    pub max_rooms: usize,
    /// Rooms of the process that are listed; a further one is made without its tag.
    pub listed_rooms: usize,
    /// Packets that a roomcast.v1 player may send in a second, sustained, and twice as many at once; who goes on beyond
    /// that is read no further for a while, then closed with 1008.
    pub packets_per_second: u32,
    /// Keys of one roomcast.v1 player's states; who wants more is refused.
    pub state_keys: usize,
    /// Groups that one roomcast.v1 player may be in.
    pub groups_max: usize,
    /// Bytes of the values of one player's states.
    pub state_bytes_max: usize,
    /// Bytes of the values of all states of a room: a welcome has all of them.
    pub room_state_bytes_max: usize,
    /// Bytes of the snapshot that a roomcast.v1 room keeps for its next host and for who joins late; a larger one is refused.
    pub snapshot_bytes_max: usize,
    /// Bytes of all snapshots in the process, each reactor with its share; beyond it a new one is refused.
    pub snapshots_bytes_max: usize,
    /// Bytes of what was said lately in a roomcast.v1 room, kept for who comes back; who wants more gets a fresh welcome.
    pub log_bytes_max: usize,
    /// Bytes of all these in the process, each reactor with its share; beyond it a room in which something is said keeps
    /// [`LOG_BYTES_MIN`].
    pub logs_bytes_max: usize,
    /// Whether a roomcast.v1 player may ask for a bad network for itself.
    pub impairment: bool,
    /// What a connection may send in a second, sustained, and twice as much at once; who goes on beyond that is read no
    /// further for a while, then closed with 1008. Nothing is counted where nothing is said.
    pub quota: Quota,
    /// What one address may have.
    pub per_source: PerSource,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_message: 64 * 1024,
            handshake_ms: 10_000,
            ping_ms: 20_000,
            idle_ms: 60_000,
            close_ms: 2_000,
            outbox_bytes_max: 256 * 1024,
            congested_ms_max: 5_000,
            max_connections: 16_384,
            max_room_members: 16_384,
            tls_handshakes: 64,
            flush_interval_ms: 0,
            grace_ms: 30_000,
            host_grace_ms: 1_000,
            max_away: 16_384,
            max_rooms: 65_536,
            listed_rooms: 4096,
            packets_per_second: 120,
            state_keys: 64,
            groups_max: 64,
            state_bytes_max: 16 * 1024,
            room_state_bytes_max: 256 * 1024,
            snapshot_bytes_max: 64 * 1024,
            snapshots_bytes_max: 128 * 1024 * 1024,
            log_bytes_max: 1024 * 1024,
            logs_bytes_max: 512 * 1024 * 1024,
            impairment: false,
            quota: Quota::default(),
            // Generous to the many who share an address behind a provider's NAT.
            per_source: PerSource {
                connections: 256,
                unseated: 64,
                joins_per_second: 50,
                rooms: 256,
                loopback_too: false,
            },
        }
    }
}
