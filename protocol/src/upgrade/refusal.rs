//! Why a request is refused.
//!
//! Owns the one total table from what a client did (or what the server can't give it) to a status and a line that
//! tells a person what to do about it. Must not know how an answer is written.

use super::Status;

/// Why a request is refused, by the parser or by the server that asked it. Copy, small, and good as a metric label
/// through `Debug`; `Display` is the [explanation](Self::explanation).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Refusal {
    /// A TLS ClientHello. No HTTP answer makes sense: [`write_refusal`](super::write_refusal) writes nothing, the
    /// caller closes and logs.
    TlsOnPlainPort,
    /// The server's: a plain HTTP request on a port that speaks TLS.
    PlainOnTlsPort,
    /// No end of head within [`MAX_HEAD`](super::MAX_HEAD) bytes (RFC 6585 section 5).
    HeadTooLarge,
    /// More than [`MAX_FIELDS`](super::MAX_FIELDS) field lines (RFC 6585 section 5).
    TooManyFields,
    /// [`parse_request`](super::parse_request) was given a head without its end.
    IncompleteHead,
    /// The first line is not `method SP target SP version` (RFC 9112 section 3).
    BadRequestLine,
    /// The target is not a path or an absolute http URI (RFC 9112 section 3.2).
    BadTarget,
    /// HTTP/0.9, or a major version other than 1, HTTP/2 with prior knowledge included.
    HttpVersion,
    /// CR without LF or LF without CR (RFC 9112 section 2.2).
    BareLineBreak,
    /// NUL or another control byte but HTAB (RFC 9110 section 5.5).
    ControlByte,
    /// A field continues on a line that begins with white space (obs-fold, RFC 9112 section 5.2), or white space
    /// stands before the first field (section 2.2).
    FoldedField,
    /// White space between a field's name and its colon (RFC 9112 section 5.1).
    SpaceBeforeColon,
    /// A line that is not `name: value` (RFC 9112 section 5).
    BadField,
    /// No Host in HTTP/1.1 (RFC 9112 section 3.2).
    NoHost,
    /// More than one Host (RFC 9112 section 3.2).
    RepeatedHost,
    /// A Host that is not `host[:port]` (RFC 9110 section 7.2).
    BadHost,
    /// Transfer-Encoding with anything but a POST of HTTP/1.1, other than chunked, or beside Content-Length (RFC 9112
    /// sections 6.1 and 6.3).
    TransferEncoding,
    /// Content-Length repeated, a list, or not digits (RFC 9112 section 6.3).
    BadContentLength,
    /// A Content-Length above zero with anything but a POST.
    RequestBody,
    /// More content than is taken, of [`Body`](super::Body).
    BodyTooLarge,
    /// Chunks that are not as RFC 9112 section 7.1 has them, or whose extensions and trailers have over
    /// [`MAX_ASIDE`](super::MAX_ASIDE) bytes; of [`Body`](super::Body).
    BadChunk,
    /// Origin repeated or not ASCII (RFC 6454 section 7.3).
    BadOrigin,
    /// More than one Authorization (RFC 9110 section 11.6.2).
    RepeatedAuthorization,
    /// A method that nothing, or not this path, is asked for with.
    MethodNotAllowed,
    /// The server's: this path is asked for with POST alone.
    PostOnly,
    /// A WebSocket handshake with a method other than GET (RFC 6455 section 4.2.1, item 1).
    UpgradeNeedsGet,
    /// A WebSocket handshake in HTTP/1.0 (RFC 6455 section 4.2.1, item 1).
    UpgradeNeedsHttp11,
    /// `Upgrade: websocket` without `Connection: Upgrade`, or a `Sec-WebSocket-Key` without `Upgrade: websocket`
    /// (RFC 6455 section 4.2.1, items 3 to 5).
    HalfUpgrade,
    /// A WebSocket version other than 13, or none (RFC 6455 section 4.4).
    WebSocketVersion,
    /// More than one Sec-WebSocket-Version (RFC 6455 section 11.3.5).
    RepeatedVersion,
    /// No Sec-WebSocket-Key (RFC 6455 section 4.2.1, item 5).
    NoKey,
    /// More than one Sec-WebSocket-Key (RFC 6455 section 11.3.1).
    RepeatedKey,
    /// A Sec-WebSocket-Key that is not the base64 of 16 bytes (RFC 6455 section 4.2.1, item 5).
    BadKey,
    /// A Sec-WebSocket-Protocol with something that is not a token (RFC 6455 section 4.1, item 10).
    BadProtocol,

    /// The server's: a plain request for something that only a WebSocket can have.
    UpgradeRequired,
    /// The server's: nothing has this path.
    NotFound,
    /// The server's: the query lacks the number of a frame.
    NoNumber,
    /// The server's: a content that is not whole, unmasked frames.
    CutFrames,
    /// The server's: a path under `/rooms/` whose segment is no [`room_name`](super::room_name()).
    BadRoomName,
    /// The server's: what is looked for is not said as it must be.
    BadSearch,
    /// The server's: Origin is not among those allowed.
    OriginNotAllowed,
    /// The server's: a page of another origin asks, and which one is not said.
    OriginNotSaid,
    /// The server's: it is not to be reached by the name that the request says.
    HostNotAllowed,
    /// The server's: a ticket is needed and there is none.
    NoTicket,
    /// The server's: the ticket is none, or no key that is known signed it.
    BadTicket,
    /// The server's: the ticket's `exp` is past.
    TicketExpired,
    /// The server's: the ticket's `nbf` is to come.
    TicketEarly,
    /// The server's: what the ticket says is no JSON object, or it says something twice.
    TicketClaims,
    /// The server's: the ticket lacks this claim, or it has none of the values that it may have.
    TicketClaim(Claim),
    /// The server's: the ticket's `rooms` are others.
    TicketRooms,
    /// The server's: the ticket's `role` is none that the server knows.
    TicketRole,
    /// The server's: the ticket is a spectator's, and this is for who plays.
    TicketSpectates,
    /// The server's: the ticket's `stay` is past.
    TicketStay,
    /// The server's: the operator has taken back the ticket, or all of its `sub`.
    TicketRevoked,
    /// The server's: there are as many connections of one address, or with tickets of one `sub`, as there may be.
    AddressConnections,
    /// The server's: more have joined from there lately than may.
    AddressJoins,
    /// The server's: the operator lets nobody in from there for a while.
    Banned,
    /// The server's: a proxy says in two fields, and differently, who the request is from.
    ForwardedTwice,
    /// The server's: the head was not complete in time.
    HeadTimeout,
    /// The server's: every connection it may have is taken.
    ServerFull,
    /// The server's: it is about to stop.
    Draining,
    /// The server's: a part of it stands still.
    Stalled,
}

/// A claim of a ticket of which there is none, or which is not what it must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Claim {
    /// `sub`.
    Sub,
    /// `rooms`.
    Rooms,
    /// `exp`.
    Exp,
    /// `nbf`.
    Nbf,
    /// `stay`.
    Stay,
    /// `jti`.
    Jti,
    /// `limits`.
    Limits,
}

impl Claim {
    const fn explanation(self) -> &'static str {
        match self {
            Self::Sub => {
                "The ticket must say whose it is (sub): have the game's own server write a text without control characters, and without blanks at its ends."
            }
            Self::Rooms => {
                "The ticket must say for which rooms it is (rooms): have the game's own server write a list of names that is not empty."
            }
            Self::Exp => {
                "The ticket must say until when it is good (exp): have the game's own server write a number, in seconds since 1970."
            }
            Self::Nbf => {
                "The ticket must say since when it is good as a number (nbf): have the game's own server write seconds since 1970, or nothing."
            }
            Self::Stay => {
                "The ticket must say until when one may stay as a number (stay): have the game's own server write seconds since 1970, or nothing."
            }
            Self::Jti => {
                "The ticket's id must be a text (jti): have the game's own server write one without control characters and without blanks at its ends, or nothing."
            }
            Self::Limits => {
                "The ticket's limits are not understood (limits): have the game's own server write messages, bytes or both, as whole numbers from 1 on."
            }
        }
    }
}

impl Refusal {
    /// Every one of them.
    pub const ALL: &'static [Self] = &[
        Self::TlsOnPlainPort,
        Self::PlainOnTlsPort,
        Self::HeadTooLarge,
        Self::TooManyFields,
        Self::IncompleteHead,
        Self::BadRequestLine,
        Self::BadTarget,
        Self::HttpVersion,
        Self::BareLineBreak,
        Self::ControlByte,
        Self::FoldedField,
        Self::SpaceBeforeColon,
        Self::BadField,
        Self::NoHost,
        Self::RepeatedHost,
        Self::BadHost,
        Self::TransferEncoding,
        Self::BadContentLength,
        Self::RequestBody,
        Self::BodyTooLarge,
        Self::BadChunk,
        Self::BadOrigin,
        Self::RepeatedAuthorization,
        Self::MethodNotAllowed,
        Self::PostOnly,
        Self::UpgradeNeedsGet,
        Self::UpgradeNeedsHttp11,
        Self::HalfUpgrade,
        Self::WebSocketVersion,
        Self::RepeatedVersion,
        Self::NoKey,
        Self::RepeatedKey,
        Self::BadKey,
        Self::BadProtocol,
        Self::UpgradeRequired,
        Self::NotFound,
        Self::NoNumber,
        Self::CutFrames,
        Self::BadRoomName,
        Self::BadSearch,
        Self::OriginNotAllowed,
        Self::OriginNotSaid,
        Self::HostNotAllowed,
        Self::NoTicket,
        Self::BadTicket,
        Self::TicketExpired,
        Self::TicketEarly,
        Self::TicketClaims,
        Self::TicketClaim(Claim::Sub),
        Self::TicketClaim(Claim::Rooms),
        Self::TicketClaim(Claim::Exp),
        Self::TicketClaim(Claim::Nbf),
        Self::TicketClaim(Claim::Stay),
        Self::TicketClaim(Claim::Jti),
        Self::TicketClaim(Claim::Limits),
        Self::TicketRooms,
        Self::TicketRole,
        Self::TicketSpectates,
        Self::TicketStay,
        Self::TicketRevoked,
        Self::AddressConnections,
        Self::AddressJoins,
        Self::Banned,
        Self::ForwardedTwice,
        Self::HeadTimeout,
        Self::ServerFull,
        Self::Draining,
        Self::Stalled,
    ];

    /// The status it is answered with ([`TlsOnPlainPort`](Self::TlsOnPlainPort) is not answered; it counts as 400).
    pub const fn status(self) -> Status {
        match self {
            Self::TlsOnPlainPort
            | Self::PlainOnTlsPort
            | Self::IncompleteHead
            | Self::BadRequestLine
            | Self::BadTarget
            | Self::BareLineBreak
            | Self::ControlByte
            | Self::FoldedField
            | Self::SpaceBeforeColon
            | Self::BadField
            | Self::NoHost
            | Self::RepeatedHost
            | Self::BadHost
            | Self::TransferEncoding
            | Self::BadContentLength
            | Self::RequestBody
            | Self::BadChunk
            | Self::BadOrigin
            | Self::RepeatedAuthorization
            | Self::RepeatedVersion
            | Self::NoKey
            | Self::RepeatedKey
            | Self::BadKey
            | Self::BadProtocol
            | Self::NoNumber
            | Self::CutFrames
            | Self::BadSearch
            | Self::ForwardedTwice => Status::BadRequest400,
            Self::BodyTooLarge => Status::ContentTooLarge413,
            Self::HeadTooLarge | Self::TooManyFields => Status::HeadTooLarge431,
            Self::HttpVersion | Self::UpgradeNeedsHttp11 => Status::VersionNotSupported505,
            Self::MethodNotAllowed | Self::PostOnly | Self::UpgradeNeedsGet => {
                Status::MethodNotAllowed405
            }
            Self::HalfUpgrade | Self::WebSocketVersion | Self::UpgradeRequired => {
                Status::UpgradeRequired426
            }
            Self::NotFound | Self::BadRoomName => Status::NotFound404,
            Self::OriginNotAllowed | Self::OriginNotSaid | Self::HostNotAllowed | Self::Banned => {
                Status::Forbidden403
            }
            Self::NoTicket
            | Self::BadTicket
            | Self::TicketExpired
            | Self::TicketEarly
            | Self::TicketClaims
            | Self::TicketClaim(_)
            | Self::TicketRooms
            | Self::TicketRole
            | Self::TicketSpectates
            | Self::TicketStay
            | Self::TicketRevoked => Status::Unauthorized401,
            Self::AddressConnections | Self::AddressJoins => Status::TooManyRequests429,
            Self::HeadTimeout => Status::RequestTimeout408,
            Self::ServerFull | Self::Draining | Self::Stalled => Status::Unavailable503,
        }
    }

    /// One line, without a line break, that says what was wrong and what to do. Never holds a byte of the request.
    pub const fn explanation(self) -> &'static str {
        match self {
            Self::TlsOnPlainPort | Self::PlainOnTlsPort => self.of_port(),
            Self::HeadTooLarge => {
                "The request head is over 8192 bytes: send fewer or shorter header fields."
            }
            Self::TooManyFields => "The request has over 100 header fields: send fewer.",
            Self::IncompleteHead => "The request head has no end: finish it with an empty line.",
            Self::BadRequestLine => {
                "The first line is not an HTTP request: send for example 'GET /rooms/lobby HTTP/1.1'."
            }
            Self::BadTarget => {
                "The request target is not a path: start it with '/' and percent-encode what is not visible ASCII."
            }
            Self::HttpVersion => "This server speaks HTTP/1.1: send the request with that version.",
            Self::BareLineBreak => {
                "A line ends in a bare CR or LF: end each line of the head with CR LF."
            }
            Self::ControlByte => "The request head has a control byte: remove it.",
            Self::FoldedField => {
                "A header line begins with white space: put each header field on one line."
            }
            Self::SpaceBeforeColon => "A header name has white space before its colon: remove it.",
            Self::BadField => "A header line is not 'name: value': correct or remove it.",
            Self::NoHost
            | Self::RepeatedHost
            | Self::BadHost
            | Self::BadOrigin
            | Self::RepeatedAuthorization => self.of_field(),
            Self::TransferEncoding => {
                "Transfer-Encoding is not read here: remove it, or of a POST send chunked alone, without Content-Length."
            }
            Self::BadContentLength => "Content-Length is repeated or not a number: remove it.",
            Self::RequestBody => "Only a POST has content here: send the request without a body.",
            Self::BodyTooLarge => "The request has more content than is taken here: send less.",
            Self::BadChunk => {
                "The chunks of the request are malformed: send them as RFC 9112 has them, or with Content-Length."
            }
            Self::MethodNotAllowed => "This server answers only GET and HEAD: use GET.",
            Self::UpgradeNeedsGet => "A WebSocket handshake must be a GET: use GET.",
            Self::UpgradeNeedsHttp11 => {
                "A WebSocket needs HTTP/1.1: have a proxy on the way speak it to this server (nginx: proxy_http_version 1.1)."
            }
            Self::HalfUpgrade => {
                "Only a part of a WebSocket handshake arrived: send 'Connection: Upgrade' and 'Upgrade: websocket', and have a proxy on the way pass both on."
            }
            Self::WebSocketVersion => {
                "This server speaks WebSocket version 13: send 'Sec-WebSocket-Version: 13'."
            }
            Self::RepeatedVersion => "Sec-WebSocket-Version comes more than once: send it once.",
            Self::NoKey => "Sec-WebSocket-Key is missing: send the base64 of 16 random bytes.",
            Self::RepeatedKey => "Sec-WebSocket-Key comes more than once: send it once.",
            Self::BadKey => {
                "Sec-WebSocket-Key is not the base64 of 16 bytes: send 22 characters and '=='."
            }
            Self::BadProtocol => {
                "Sec-WebSocket-Protocol is not a list of names: send them separated by commas."
            }
            Self::UpgradeRequired => {
                "This is a WebSocket endpoint: open it with a WebSocket client (ws:// or wss://)."
            }
            Self::NotFound => "There is nothing here: rooms are at /rooms/NAME.",
            Self::NoNumber | Self::CutFrames | Self::PostOnly => self.of_session(),
            Self::BadRoomName | Self::BadSearch => self.of_room(),
            Self::OriginNotAllowed
            | Self::OriginNotSaid
            | Self::HostNotAllowed
            | Self::ForwardedTwice => self.of_gate(),
            Self::NoTicket
            | Self::BadTicket
            | Self::TicketExpired
            | Self::TicketEarly
            | Self::TicketClaims
            | Self::TicketClaim(_)
            | Self::TicketRooms
            | Self::TicketRole
            | Self::TicketSpectates
            | Self::TicketStay
            | Self::TicketRevoked => self.of_ticket(),
            Self::AddressConnections | Self::AddressJoins | Self::Banned => self.of_address(),
            Self::HeadTimeout => {
                "The request head did not arrive in time: send it at once, or check the network."
            }
            Self::ServerFull => {
                "The server has all the connections it may have: try again in a few seconds."
            }
            Self::Draining => "The server is about to stop: connect again in a few seconds.",
            Self::Stalled => "A part of the server stands still: ask again in a few seconds.",
        }
    }

    /// What a port does not speak.
    const fn of_port(self) -> &'static str {
        match self {
            Self::TlsOnPlainPort => {
                "This port speaks plain HTTP, not TLS: use ws:// or http:// here."
            }
            _ => "This port speaks TLS, not plain HTTP: use wss:// or https:// here.",
        }
    }

    /// What is wrong with a field that may come once.
    const fn of_field(self) -> &'static str {
        match self {
            Self::NoHost => "The Host header is missing: send 'Host: name[:port]'.",
            Self::RepeatedHost => "The Host header comes more than once: send it once.",
            Self::BadHost => {
                "The Host header or the host of the target is not 'name[:port]': correct it."
            }
            Self::BadOrigin => "The Origin header is repeated or not ASCII: send it once.",
            _ => "The Authorization header comes more than once: send it once.",
        }
    }

    /// What is wrong with a request of a session.
    const fn of_session(self) -> &'static str {
        match self {
            Self::NoNumber => {
                "Say which frame: ack=N in the query of a poll (so many have arrived), seq=N of what goes up (the first one's number)."
            }
            Self::PostOnly => "This is asked for with POST: use that.",
            _ => "The content is not made of whole frames without masks: send such.",
        }
    }

    /// What is wrong with a room's name, or with what is said of one that is looked for.
    const fn of_room(self) -> &'static str {
        match self {
            Self::BadRoomName => {
                "This is no room name: use 1 to 64 of A-Z a-z 0-9 . _ ~ - but not . or .. alone."
            }
            _ => {
                "Say what you look for: tag=NAME, 1 to 64 bytes, percent-encoded; for /match also max=N, players of a room."
            }
        }
    }

    /// By which name, from which page or with which fields one may not come.
    const fn of_gate(self) -> &'static str {
        match self {
            Self::ForwardedTwice => {
                "X-Forwarded-For and Forwarded name different clients: have the proxy remove the one that it does not write."
            }
            Self::OriginNotSaid => {
                "A page of another origin asks, and does not say which: open this with EventSource or fetch."
            }
            Self::HostNotAllowed => {
                "This server does not go by that name: the operator can allow it with --allow-host."
            }
            _ => {
                "Pages of this origin may not connect: the operator can allow it with --allow-origin."
            }
        }
    }

    /// Why somebody from that address, or with such a ticket, may not come now.
    const fn of_address(self) -> &'static str {
        match self {
            Self::Banned => {
                "The operator lets nobody in from your address, or with your tickets, for a while."
            }
            Self::AddressConnections => {
                "Your address (or the sub of your ticket) has as many connections as it may: close some, or have the operator raise --connections-per-address."
            }
            _ => {
                "More have joined from your address (or with the sub of your ticket) than may in a second: try again in a second, or have the operator raise --joins-per-address."
            }
        }
    }

    /// What is wrong with a ticket, by its claims.
    const fn of_ticket(self) -> &'static str {
        match self {
            Self::NoTicket => {
                "A ticket is needed: get one from the game's own server and send it along."
            }
            Self::TicketExpired => {
                "The ticket has expired (exp): get a new one from the game's own server."
            }
            Self::TicketEarly => {
                "The ticket is not valid yet (nbf): wait, or have the clocks of both servers set."
            }
            Self::TicketClaims => {
                "What the ticket says is no JSON object, or it says something twice: have the game's own server correct it."
            }
            Self::TicketClaim(claim) => claim.explanation(),
            Self::TicketRooms => {
                "The ticket is not for this room (rooms): get one for it from the game's own server."
            }
            Self::TicketRole => {
                "The ticket's role is not known here (role): have the game's own server say player or spectator."
            }
            Self::TicketSpectates => {
                "The ticket is for a spectator (role), who is matched with nobody: ask /rooms what there is to watch."
            }
            Self::TicketStay => {
                "The time of the ticket's stay is over (stay): get a new one from the game's own server."
            }
            Self::TicketRevoked => {
                "The ticket has been taken back (sub or jti): ask the game's operator."
            }
            _ => "The ticket is not valid: get a new one from the game's own server.",
        }
    }
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.explanation())
    }
}

impl std::error::Error for Refusal {}
