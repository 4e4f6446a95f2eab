//! The statuses this server answers with.
//!
//! Owns code, reason phrase and the fields that a status must carry. Must not know why it was chosen.

/// A status of RFC 9110 section 15 that this server uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the names say code and phrase")]
#[non_exhaustive]
pub enum Status {
    Ok200,
    BadRequest400,
    Unauthorized401,
    Forbidden403,
    NotFound404,
    MethodNotAllowed405,
    RequestTimeout408,
    Conflict409,
    Gone410,
    ContentTooLarge413,
    UpgradeRequired426,
    TooManyRequests429,
    HeadTooLarge431,
    InternalError500,
    Unavailable503,
    VersionNotSupported505,
}

impl Status {
    /// Every one of them.
    pub const ALL: &'static [Self] = &[
        Self::Ok200,
        Self::BadRequest400,
        Self::Unauthorized401,
        Self::Forbidden403,
        Self::NotFound404,
        Self::MethodNotAllowed405,
        Self::RequestTimeout408,
        Self::Conflict409,
        Self::Gone410,
        Self::ContentTooLarge413,
        Self::UpgradeRequired426,
        Self::TooManyRequests429,
        Self::HeadTooLarge431,
        Self::InternalError500,
        Self::Unavailable503,
        Self::VersionNotSupported505,
    ];

    /// The three digits.
    pub const fn code(self) -> u16 {
        match self {
            Self::Ok200 => 200,
            Self::BadRequest400 => 400,
            Self::Unauthorized401 => 401,
            Self::Forbidden403 => 403,
            Self::NotFound404 => 404,
            Self::MethodNotAllowed405 => 405,
            Self::RequestTimeout408 => 408,
            Self::Conflict409 => 409,
            Self::Gone410 => 410,
            Self::ContentTooLarge413 => 413,
            Self::UpgradeRequired426 => 426,
            Self::TooManyRequests429 => 429,
            Self::HeadTooLarge431 => 431,
            Self::InternalError500 => 500,
            Self::Unavailable503 => 503,
            Self::VersionNotSupported505 => 505,
        }
    }

    /// The phrase of the status line.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Ok200 => "OK",
            Self::BadRequest400 => "Bad Request",
            Self::Unauthorized401 => "Unauthorized",
            Self::Forbidden403 => "Forbidden",
            Self::NotFound404 => "Not Found",
            Self::MethodNotAllowed405 => "Method Not Allowed",
            Self::RequestTimeout408 => "Request Timeout",
            Self::Conflict409 => "Conflict",
            Self::Gone410 => "Gone",
            Self::ContentTooLarge413 => "Content Too Large",
            Self::UpgradeRequired426 => "Upgrade Required",
            Self::TooManyRequests429 => "Too Many Requests",
            Self::HeadTooLarge431 => "Request Header Fields Too Large",
            Self::InternalError500 => "Internal Server Error",
            Self::Unavailable503 => "Service Unavailable",
            Self::VersionNotSupported505 => "HTTP Version Not Supported",
        }
    }

    /// Field lines that the status must carry, without those that every response has.
    pub(super) const fn fields(self) -> &'static str {
        match self {
            // RFC 9110 section 15.5.2: at least one challenge. A ticket is a bearer token.
            Self::Unauthorized401 => "WWW-Authenticate: Bearer realm=\"roomcast\"\r\n",
            // Section 15.5.6.
            Self::MethodNotAllowed405 => "Allow: GET, HEAD\r\n",
            // Section 15.5.22, and RFC 6455 section 4.4 for the version.
            Self::UpgradeRequired426 => "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n",
            // Section 10.2.3, and RFC 6585 section 4, in seconds.
            Self::TooManyRequests429 | Self::Unavailable503 => "Retry-After: 5\r\n",
            _ => "",
        }
    }
}
