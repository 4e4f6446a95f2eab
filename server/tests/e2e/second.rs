//! The second implementation of roomcast.v1's codec, in Python, in the rooms of the real relay.

use crate::players::Puppet;
use crate::relay::Relay;

/// All of `docs/PROTOCOL.md` that the relay sends, but what operators say.
const EXCHANGED: &str = "\
up AUDIENCE CLOSE DELETE EVENT_ALL EVENT_GROUP EVENT_HOST EVENT_LIST EVENT_ONE EVENT_OTHERS GROUPS \
HAND_OVER IMPAIR JOIN KICK LEAVE LOCK PING PROPERTIES SNAPSHOT STATE TRIPS WILLING
down ACK AWAY BACK EVENT HOST JOINED KEEPALIVE LEFT LOCKED PLAYER PONG PONG_TICKS PROPERTIES READY REFUSED \
REFUSED_STATE REMOVED REMOVED_ALL RESET RESUMED SETTINGS SNAPSHOT SNAPSHOT_WANTED STATE TICK TRIPS WELCOME
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
            // AGED comes to whoever is behind, which is a matter of time here.
            String::from_utf8_lossy(&output.stdout).replace(" AGED", ""),
            EXCHANGED,
            "left is what was exchanged over {url}; it ended with {} and said {}",
            output.status,
            String::from_utf8_lossy(&output.stderr)
        );
    }
}
