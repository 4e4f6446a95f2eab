//! The second implementation of roomcast.v1's codec, in Python, in the rooms of the real relay.

use crate::players::Puppet;
use crate::relay::Relay;

/// All that `docs/PROTOCOL.md` does not mark as *[2]*, but that all keys were removed, which takes many.
const EXCHANGED: &str = "\
up AUDIENCE DELETE EVENT_ALL EVENT_GROUP EVENT_LIST EVENT_ONE EVENT_OTHERS GROUPS IMPAIR JOIN \
LEAVE PING PROPERTIES STATE
down ACK AWAY BACK EVENT JOINED KEEPALIVE LEFT PLAYER PONG PROPERTIES READY REFUSED \
REFUSED_STATE REMOVED RESET RESUMED SETTINGS STATE WELCOME
";

#[test]
fn the_second_implementation_exchanges_every_packet() {
    let relay = Relay::start_secure(&["--allow-impairment", "--state-max=1KiB"]);
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
