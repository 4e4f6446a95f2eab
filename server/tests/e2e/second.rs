//! The second implementation of roomcast.v1's codec, in Python, in the rooms of the real relay.

use crate::players::Puppet;
use crate::relay::Relay;

/// All of the first part: what `docs/PROTOCOL.md` does not mark as *[2]*.
const EXCHANGED: &str = "\
up EVENT_ALL EVENT_LIST EVENT_ONE EVENT_OTHERS IMPAIR JOIN LEAVE PING PROPERTIES
down ACK AWAY BACK EVENT JOINED KEEPALIVE LEFT PLAYER PONG PROPERTIES READY REFUSED RESET RESUMED SETTINGS WELCOME
";

#[test]
fn the_second_implementation_exchanges_every_packet() {
    let relay = Relay::start_secure(&["--allow-impairment"]);
    for url in [relay.url("/rooms/second"), relay.secure_url("/rooms/tls")] {
        let mut exchange = Puppet::python("v1_exchange.py");
        // No compiled files beside the sources.
        exchange.env("PYTHONDONTWRITEBYTECODE", "1");
        exchange.env("SSL_CERT_FILE", relay.ca()).arg(&url);
        let output = exchange.output().expect("python starts");
        assert_eq!(
            String::from_utf8_lossy(&output.stdout),
            EXCHANGED,
            "left is what was exchanged over {url}; it ended with {} and said {}",
            output.status,
            String::from_utf8_lossy(&output.stderr)
        );
    }
}
