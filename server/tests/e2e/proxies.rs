//! The configurations that `docs/OPERATIONS.md` prints for proxies, word for word but for addresses and files, in front of
//! a relay. Where a proxy is not installed its test is skipped, but not in CI.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver};
use std::thread;

use rustix::process::Signal;
use rustls::ClientConfig;
use tempfile::TempDir;

use crate::relay::Relay;
use crate::wire::{BINARY, TEXT, Wire, upgrade_request};
use crate::{DEADLINE, patience};

const DOCUMENT: &str = include_str!("../../../docs/OPERATIONS.md");

/// The block of this language.
fn printed_block(language: &str) -> &'static str {
    let fence = format!("```{language}\n");
    let (_, block) = DOCUMENT.split_once(&fence).expect("a block");
    let (block, _) = block.split_once("```").expect("its end");
    block
}

/// The same with the relay's real address.
fn printed(language: &str, relay: &Relay) -> String {
    replace(
        printed_block(language),
        "127.0.0.1:7777",
        &relay.addr().to_string(),
    )
}

/// What is replaced must be there, else the test proves nothing of what is printed.
fn replace(text: &str, from: &str, to: &str) -> String {
    assert!(text.contains(from), "{from:?} in {text}");
    text.replace(from, to)
}

/// A proxy that listens; ended with the test.
struct Proxy {
    child: Child,
    addr: SocketAddr,
    said: Receiver<String>,
}

impl Proxy {
    /// Starts `program` with the configuration that `write` makes for an address. `None` if it is not installed.
    fn start(
        program: &str,
        arguments: &[&str],
        folder: &Path,
        write: impl Fn(SocketAddr) -> String,
    ) -> Option<Self> {
        // Where Debian has servers, whoever's path that is on.
        let path = std::env::var("PATH").unwrap_or_default() + ":/usr/sbin";
        let found = std::env::split_paths(&path)
            .map(|folder| folder.join(program))
            .find(|program| program.exists());
        let Some(found) = found else {
            let in_ci = std::env::var_os("CI").is_some();
            assert!(
                !in_ci,
                "{program} is not installed: run `scripts/test setup`"
            );
            eprintln!("skipped: {program} is not installed");
            return None;
        };
        let patience = patience("the proxy listens");
        loop {
            patience.check();
            let free = TcpListener::bind("127.0.0.1:0").expect("a port");
            let addr = free.local_addr().expect("its address");
            drop(free);
            fs::write(folder.join("config"), write(addr)).expect("the configuration");
            let mut child = Command::new(&found)
                .args(arguments)
                .current_dir(folder)
                .env("HOME", folder)
                .env("XDG_DATA_HOME", folder)
                .env("XDG_CONFIG_HOME", folder)
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::piped())
                .spawn()
                .expect("the proxy starts");
            let said = lines(&mut child);
            while child.try_wait().expect("its status").is_none() {
                if TcpStream::connect(addr).is_ok() {
                    return Some(Self { child, addr, said });
                }
                patience.check();
                thread::yield_now();
            }
            // Somebody else may have taken the port meanwhile; anything else is a fault of the configuration.
            let said: Vec<String> = said.iter().collect();
            let taken = said
                .iter()
                .any(|line| line.to_lowercase().contains("in use"));
            assert!(taken, "{program} does not take what is printed: {said:#?}");
        }
    }

    /// Waits for a line with these words.
    fn says(&self, words: &str) {
        loop {
            let line = self.said.recv_timeout(DEADLINE);
            let line = line.unwrap_or_else(|_| panic!("the proxy never said {words:?}"));
            if line.contains(words) {
                return;
            }
        }
    }
}

fn lines(child: &mut Child) -> Receiver<String> {
    let stderr = BufReader::new(child.stderr.take().expect("stderr is piped"));
    let (sender, said) = mpsc::channel();
    thread::spawn(move || {
        for line in stderr.lines().map_while(Result::ok) {
            let _ = sender.send(line);
        }
    });
    said
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Plain requests, refused ones and players pass, whatever the proxy.
fn serves(connect: impl Fn() -> Wire) {
    for (path, status) in [
        ("/healthz", 200),
        ("/readyz", 200),
        ("/rooms/a", 426),
        ("/x", 404),
    ] {
        let mut wire = connect();
        let request =
            format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        wire.send(request.as_bytes());
        assert_eq!(wire.response_head().status, status, "{path}");
    }
    let [mut one, mut other] = [connect(), connect()].map(|wire| wire.upgrade("/rooms/behind"));
    for len in [0, 1, 125, 126, 65_535, 65_536] {
        one.message(BINARY, &vec![7; len]);
        other.expect(BINARY, &vec![7; len]);
    }
    other.message(TEXT, b"and back");
    one.expect(TEXT, b"and back");
}

/// Sessions pass too, and what is said reaches them as it is said.
fn serves_sessions(connect: impl Fn() -> Wire, connect_other: impl Fn() -> Wire) {
    let asking = |method: &str, target: &str, body: &str| {
        let mut wire = connect();
        let length = body.len();
        // What has no length is not cut into chunks then.
        let request = format!(
            "{method} /rooms/sessions/http{target} HTTP/1.0\r\nHost: localhost\r\n\
             Content-Length: {length}\r\n\r\n{body}"
        );
        wire.send(request.as_bytes());
        wire
    };
    let ask = |method: &str, target: &str, body: &str| {
        let (response, body) = asking(method, target, body).answer();
        (response.status, body)
    };
    let patience = patience("seats");
    let id = loop {
        patience.check();
        let (status, body) = ask("POST", "", "");
        if status == 200 {
            let said: serde_json::Value = serde_json::from_slice(&body).expect("JSON");
            break said["id"].as_str().expect("an id").to_owned();
        }
        assert_eq!(status, 429, "who was here before is not gone yet");
    };
    let mut other = loop {
        patience.check();
        let mut wire = connect_other();
        wire.send(upgrade_request("/rooms/sessions").as_bytes());
        if wire.response_head().status == 101 {
            break wire;
        }
    };
    assert_eq!(ask("POST", &format!("/{id}/text"), "hi").0, 204);
    other.expect(TEXT, b"hi");
    let mut poll = asking("GET", &format!("/{id}/poll?ack=0"), "");
    other.message(TEXT, b"to a poll");
    let (response, body) = poll.answer();
    assert_eq!((response.status, &body[2..]), (200, &b"to a poll"[..]));
    let mut stream = asking("GET", &format!("/{id}/stream?ack=1"), "");
    assert_eq!(stream.response_head().status, 200);
    for said in ["one", "two"] {
        other.message(TEXT, said.as_bytes());
        stream.expect(TEXT, said.as_bytes());
    }
    let mut events = asking("GET", &format!("/{id}/events?ack=3"), "");
    assert_eq!(events.response_head().status, 200);
    for said in ["three", "four"] {
        other.message(TEXT, said.as_bytes());
        while events.line() != format!("data: {said}\n") {}
    }
    assert_eq!(ask("POST", &format!("/{id}/close"), "").0, 204);
}

/// Where players come from that a proxy of 127.0.0.1 forwards for, one place for each address and no more.
const TOLD_APART: [&str; 6] = [
    "--trusted-proxy=127.0.0.1",
    "--limit-loopback",
    "--connections-per-address=2",
    "--log-addresses=whole",
    "--log-level=debug",
    "--drain=0",
];

/// Players of several addresses behind a proxy, who forge what they can.
fn tells_apart(mut relay: Relay, connect: impl Fn(IpAddr) -> Wire) {
    let request = |forged: &str| {
        let request = upgrade_request("/rooms/apart");
        request.replacen("\r\n\r\n", &format!("\r\n{forged}\r\n\r\n"), 1)
    };
    let ask = |from: &str, forged: &str| {
        let mut wire = connect(from.parse().expect("an address"));
        wire.send(request(forged).as_bytes());
        let status = wire.response_head().status;
        (wire, status)
    };
    let mut seats = Vec::new();
    for (from, forged, status) in [
        ("127.0.0.2", "X-Forwarded-For: 192.0.2.1", 101),
        ("127.0.0.2", "X-Forwarded-For: 192.0.2.2, 127.0.0.1", 101),
        ("127.0.0.2", "X-Forwarded-For: 192.0.2.3", 429),
        ("127.0.0.2", "Forwarded: for=192.0.2.4", 429),
        ("127.0.0.3", "X-Forwarded-For: 127.0.0.2", 101),
    ] {
        let (wire, got) = ask(from, forged);
        assert_eq!(got, status, "{from}, {forged}");
        seats.push(wire);
    }
    // Past the proxy, nobody is believed.
    let mut direct = Wire::connect_from(Ipv4Addr::new(127, 0, 0, 4).into(), relay.addr(), None);
    direct.send(request("X-Forwarded-For: 192.0.2.1\r\nForwarded: for=192.0.2.2").as_bytes());
    assert_eq!(direct.response_head().status, 101);
    drop((seats, direct));
    relay.signal(Signal::TERM);
    relay.exit();
    let log = relay.log().join("\n");
    for address in ["127.0.0.2", "127.0.0.3", "127.0.0.4"] {
        assert!(
            log.contains(&format!("peer={address} ")),
            "{address} in {log}"
        );
    }
    assert!(!log.contains("192.0.2."), "{log}");
}

/// nginx with this in its `http` block, and that in a server's.
fn start_nginx(folder: &Path, http: &str, server: &str) -> Option<Proxy> {
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|kind| format!("{kind}_temp_path {kind};\n"))
        .concat();
    Proxy::start(
        "nginx",
        &["-p", ".", "-c", "config", "-e", "stderr"],
        folder,
        |addr| {
            format!(
                "daemon off; master_process off; pid pid; error_log stderr;\nevents {{ }}\n\
                 http {{ access_log off;\n{temporary}{http}server {{ listen {addr};\n{server}}} }}\n"
            )
        },
    )
}

#[test]
fn nginx_as_printed() {
    let relay = Relay::start(&TOLD_APART);
    let folder = TempDir::new().expect("a folder");
    let location = printed("nginx", &relay);
    let proxy = start_nginx(folder.path(), "", &location);
    if let Some(proxy) = proxy {
        serves(|| Wire::connect(proxy.addr));
        let connect = || Wire::connect(proxy.addr);
        serves_sessions(connect, connect);
        tells_apart(relay, |from| Wire::connect_from(from, proxy.addr, None));
    }
}

/// Nothing but where to: HTTP/1.0, what is answered gathered, no word about players.
#[test]
fn nginx_as_it_comes_serves_sessions_in_rooms_with_players() {
    let relay = Relay::start(&[]);
    let folder = TempDir::new().expect("a folder");
    let location = format!("location / {{ proxy_pass http://{}; }}", relay.addr());
    if let Some(proxy) = start_nginx(folder.path(), "", &location) {
        // Upgrades do not pass.
        serves_sessions(|| Wire::connect(proxy.addr), || Wire::connect(relay.addr()));
    }
}

/// The same: streams may be late, not more.
#[test]
fn haproxy_as_it_comes_serves_sessions() {
    let relay = Relay::start(&[]);
    let folder = TempDir::new().expect("a folder");
    let addr_of_relay = relay.addr();
    let proxy = Proxy::start("haproxy", &["-db", "-f", "config"], folder.path(), |addr| {
        format!(
            "defaults\n    mode http\n    timeout connect 5s\n    timeout client 50s\n    \
             timeout server 50s\nlisten http\n    bind {addr}\n    server relay {addr_of_relay}\n"
        )
    });
    if let Some(proxy) = proxy {
        let connect = || Wire::connect(proxy.addr);
        serves_sessions(connect, connect);
    }
}

#[test]
fn caddy_as_printed() {
    let relay = Relay::start(&TOLD_APART);
    let folder = TempDir::new().expect("a folder");
    let site = printed("caddyfile", &relay);
    let proxy = Proxy::start(
        "caddy",
        &["run", "--config", "config", "--adapter", "caddyfile"],
        folder.path(),
        |addr| {
            // Without a name to get a certificate for.
            let site = replace(
                &site,
                "play.example.com",
                &format!("http://:{}", addr.port()),
            );
            format!("{{\n admin off\n}}\n{site}")
        },
    );
    if let Some(proxy) = proxy {
        let connect = || Wire::connect(proxy.addr);
        serves(connect);
        serves_sessions(connect, connect);
        tells_apart(relay, |from| Wire::connect_from(from, proxy.addr, None));
    }
}

/// Apache with this among its directives.
fn start_apache(folder: &Path, directives: &str) -> Option<Proxy> {
    let modules: String = ["mpm_event", "authz_core", "headers", "proxy", "proxy_http"]
        .map(|name| format!("LoadModule {name}_module /usr/lib/apache2/modules/mod_{name}.so\n"))
        .concat();
    // One process, or those that it has begun would outlive the test.
    let arguments = ["-X", "-d", ".", "-f", "config"];
    Proxy::start("apache2", &arguments, folder, |addr| {
        format!(
            "DefaultRuntimeDir .\nPidFile pid\nErrorLog /dev/stderr\nServerName localhost\n\
             Listen {addr}\n{modules}{directives}"
        )
    })
}

#[test]
fn apache_as_printed() {
    let relay = Relay::start(&TOLD_APART);
    let folder = TempDir::new().expect("a folder");
    if let Some(proxy) = start_apache(folder.path(), &printed("apache", &relay)) {
        let connect = || Wire::connect(proxy.addr);
        serves(connect);
        serves_sessions(connect, connect);
        tells_apart(relay, |from| Wire::connect_from(from, proxy.addr, None));
    }
}

/// Nothing but where to: upgrades do not pass, streams do.
#[test]
fn apache_as_it_comes_serves_sessions() {
    let relay = Relay::start(&[]);
    let folder = TempDir::new().expect("a folder");
    let directives = format!("ProxyPass \"/\" \"http://{}/\"\n", relay.addr());
    if let Some(proxy) = start_apache(folder.path(), &directives) {
        serves_sessions(|| Wire::connect(proxy.addr), || Wire::connect(relay.addr()));
    }
}

#[test]
fn haproxy_as_printed() {
    let relay = Relay::start_secure(&TOLD_APART);
    let folder = TempDir::new().expect("a folder");
    let client = relay.client();
    let pair = ["dev-cert.pem", "dev-cert.key"]
        .map(|file| fs::read_to_string(relay.ca().with_file_name(file)).expect("its certificate"));
    fs::write(folder.path().join("play.pem"), pair.concat()).expect("a certificate");
    let ends = printed("haproxy", &relay);
    let ends = replace(&ends, "/etc/haproxy/play.pem", "play.pem");
    let proxy = Proxy::start("haproxy", &["-db", "-f", "config"], folder.path(), |addr| {
        // With the word before it: the relay's own port may begin with the same digits.
        let ends = replace(&ends, "bind :443 ", &format!("bind {addr} "));
        format!(
            "global\n    log stderr format raw local0\ndefaults\n    mode http\n    log global\n    \
             option log-health-checks\n\n{ends}"
        )
    });
    if let Some(proxy) = proxy {
        proxy.says("Health check for server roomcast/relay1 succeeded");
        serves(|| Wire::connect_tls(proxy.addr, &client));
        let connect = || Wire::connect_tls(proxy.addr, &client);
        serves_sessions(connect, connect);
        tells_apart(relay, |from| {
            Wire::connect_from(from, proxy.addr, Some(&client))
        });
    }
}

/// A player's status who comes from this address of this machine, and says these bytes first.
fn ask(addr: SocketAddr, from: u8, tls: Option<&Arc<ClientConfig>>) -> (Wire, u16) {
    let mut wire = Wire::connect_from(Ipv4Addr::new(127, 0, 0, from).into(), addr, tls);
    wire.send(upgrade_request("/rooms/announced").as_bytes());
    let status = wire.response_head().status;
    (wire, status)
}

#[test]
fn haproxy_announces_players_as_printed() {
    let flags = [&TOLD_APART[..], &["--proxy-protocol=127.0.0.1:0"]].concat();
    let mut relay = Relay::start_secure(&flags);
    let client = relay.client();
    let block = printed_block("haproxy-tcp");
    let mut players = Vec::new();
    for (version, addr, tls, first) in [
        ("send-proxy-v2", relay.secure_addr(), Some(&client), 2),
        ("send-proxy", relay.addr(), None, 4),
    ] {
        let folder = TempDir::new().expect("a folder");
        let ends = replace(
            block,
            "127.0.0.1:7777 send-proxy-v2",
            &format!("{addr} {version}"),
        );
        let proxy = Proxy::start("haproxy", &["-db", "-f", "config"], folder.path(), |addr| {
            replace(&ends, "bind :443", &format!("bind {addr}"))
        });
        let Some(proxy) = proxy else { return };
        for (from, status) in [(first, 101), (first, 101), (first, 429), (first + 1, 101)] {
            let (wire, got) = ask(proxy.addr, from, tls);
            assert_eq!(got, status, "{version} from {from}");
            players.push((wire, status));
        }
        let mut seated = players.iter_mut().filter(|(_, status)| *status == 101);
        let (Some((one, _)), Some((other, _))) = (seated.next(), seated.next_back()) else {
            unreachable!("they have seats");
        };
        one.message(BINARY, version.as_bytes());
        other.expect(BINARY, version.as_bytes());
        // They end with their proxy.
        players.clear();
    }
    // Past the proxy, nobody comes in, whatever it says.
    for (from, said) in [(1, ""), (9, "PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n")] {
        let from = Ipv4Addr::new(127, 0, 0, from).into();
        let mut direct = Wire::connect_from(from, relay.addr(), None);
        let _ = direct.try_send(format!("{said}{}", upgrade_request("/rooms/a")).as_bytes());
        direct.expect_gone();
    }
    assert_eq!(relay.ends().get("proxy_header"), Some(&2));
    let log = relay.log().join("\n");
    for last in 2..=5 {
        assert!(log.contains(&format!("peer=127.0.0.{last} ")), "{log}");
    }
    assert!(!log.contains("192.0.2."), "{log}");
}

/// Players of a room meet, whichever connection they have, and rooms are spread over both relays. Each is joined with another query,
/// and one of them by another spelling of its name.
fn shares_rooms(relays: &[Relay; 2], connect: impl Fn() -> Wire) {
    for room in 0..16 {
        let mut players = [("-", 0), ("-", 1), ("%2D", 2)].map(|(dash, player)| {
            connect().upgrade(&format!("/rooms/shared{dash}{room}?ticket=of-{player}"))
        });
        players[0].message(BINARY, &[room]);
        players[1].expect(BINARY, &[room]);
        players[2].expect(BINARY, &[room]);
    }
    // So do players without a WebSocket.
    for room in 0..16 {
        let mut other = connect().upgrade(&format!("/rooms/shared-{room}"));
        let ask = |method: &str, target: &str, body: &str| {
            let mut wire = connect();
            let length = body.len();
            let request = format!(
                "{method} /rooms/shared%2D{room}/http{target} HTTP/1.1\r\nHost: localhost\r\n\
                 Content-Length: {length}\r\n\r\n{body}"
            );
            wire.send(request.as_bytes());
            let (response, body) = wire.answer();
            (response.status, String::from_utf8(body).expect("text"))
        };
        let (status, body) = ask("POST", "", "");
        assert_eq!(status, 200, "{body}");
        let id = body.split('"').nth(3).expect("an id");
        assert_eq!(ask("POST", &format!("/{id}/text"), "hi").0, 204);
        other.expect(TEXT, b"hi");
    }
    for relay in relays {
        relay.ended(1);
    }
}

/// Two relays that log who ends, and what is printed with their addresses.
fn two_relays(language: &str) -> ([Relay; 2], String) {
    let relays = [(), ()].map(|()| Relay::start(&["--log-level=debug"]));
    let one = replace(
        printed_block(language),
        "127.0.0.1:7771",
        &relays[0].addr().to_string(),
    );
    let both = replace(&one, "127.0.0.1:7772", &relays[1].addr().to_string());
    (relays, both)
}

#[test]
fn nginx_shares_rooms_as_printed() {
    let (relays, upstream) = two_relays("nginx-rooms");
    let folder = TempDir::new().expect("a folder");
    let location = replace(
        printed_block("nginx"),
        "http://127.0.0.1:7777",
        "http://rooms",
    );
    let proxy = start_nginx(folder.path(), &upstream, &location);
    if let Some(proxy) = proxy {
        shares_rooms(&relays, || Wire::connect(proxy.addr));
    }
}

#[test]
fn haproxy_shares_rooms_as_printed() {
    let (relays, backend) = two_relays("haproxy-rooms");
    let folder = TempDir::new().expect("a folder");
    let proxy = Proxy::start("haproxy", &["-db", "-f", "config"], folder.path(), |addr| {
        format!(
            "defaults\n    mode http\n\nfrontend ws\n    bind {addr}\n    timeout client 1m\n    \
             default_backend roomcast\n\n{backend}"
        )
    });
    if let Some(proxy) = proxy {
        shares_rooms(&relays, || Wire::connect(proxy.addr));
    }
}
