//! Strangers find each other's rooms, on many reactors, by an HTTP client that nobody here wrote.

use crate::players::Puppet;
use crate::relay::Relay;

const FOUND: &str = "\
4 rooms of [3, 3, 3, 3]
listed, and 0 open
and a free place is found
";

#[test]
fn strangers_find_each_other() {
    let relay = Relay::start_secure(&["--reactors", "4"]);
    for url in [relay.url(""), relay.secure_url("")] {
        let mut strangers = Puppet::python("finding.py");
        strangers.env("PYTHONDONTWRITEBYTECODE", "1");
        let url = url.replacen("ws", "http", 1);
        strangers.env("SSL_CERT_FILE", relay.ca()).arg(&url);
        strangers.arg(format!("3 für alle über {}", &url[..5]));
        let output = strangers.output().expect("python starts");
        assert_eq!(
            String::from_utf8_lossy(&output.stdout),
            FOUND,
            "left is what was found over {url}; it ended with {} and said {}",
            output.status,
            String::from_utf8_lossy(&output.stderr)
        );
    }
}
