//! What is served beside rooms: a handful of pages and their parts, embedded.
//!
//! Owns: paths and contents. Must not know: connections, rooms.
//! Invariant: each is whole in one answer, and no page runs, loads or is shown in anything that is not of its own origin.

use roomcast_protocol::upgrade::Content;

/// Nothing but what this relay serves, no inline scripts or styles, no frames around it.
const POLICY: &str = "Content-Security-Policy: default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
    connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'\r\n\
    Referrer-Policy: no-referrer\r\n";

const fn page(body: &'static [u8]) -> Content<'static> {
    Content {
        kind: "text/html; charset=utf-8",
        fields: POLICY,
        body,
    }
}

const fn part(kind: &'static str, body: &'static [u8]) -> Content<'static> {
    Content {
        kind,
        fields: "",
        body,
    }
}

const fn script(body: &'static [u8]) -> Content<'static> {
    part("text/javascript; charset=utf-8", body)
}

/// A line for programs.
pub(super) const fn text(body: &'static [u8]) -> Content<'static> {
    part("text/plain; charset=utf-8", body)
}

/// What is served there; the game only with `demo`.
pub(super) fn find(path: &str, demo: bool) -> Option<Content<'static>> {
    Some(match path {
        "/" => page(include_bytes!("pages/start.html")),
        "/start.js" => script(include_bytes!("pages/start.js")),
        "/style.css" => part("text/css; charset=utf-8", include_bytes!("pages/style.css")),
        "/icon.svg" => part("image/svg+xml", include_bytes!("pages/icon.svg")),
        "/roomcast.js" => script(include_bytes!("pages/roomcast.js")),
        "/roomcast-host.js" => script(include_bytes!("pages/roomcast-host.js")),
        "/roomcast-find.js" => script(include_bytes!("pages/roomcast-find.js")),
        "/roomcast-ticks.js" => script(include_bytes!("pages/roomcast-ticks.js")),
        "/roomcast-schema.js" => script(include_bytes!("pages/roomcast-schema.js")),
        "/roomcast-carriers.js" => script(include_bytes!("pages/roomcast-carriers.js")),
        "/demo" if demo => page(include_bytes!("pages/demo.html")),
        "/demo.js" if demo => script(include_bytes!("pages/demo.js")),
        "/world.js" if demo => script(include_bytes!("pages/world.js")),
        "/draw.js" if demo => script(include_bytes!("pages/draw.js")),
        _ => return None,
    })
}
