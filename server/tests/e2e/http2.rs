//! HTTP/2 with clients that other people wrote: curl, and Node's own.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use rustix::process::Signal;

use crate::relay::Relay;
use crate::wire::Wire;

/// Runs a program that must end well, and answers what it said.
fn said(command: &mut Command) -> String {
    let output = command.stdin(Stdio::null()).output().expect("it runs");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {errors}");
    String::from_utf8(output.stdout).expect("text")
}

fn curl(flags: &[&str]) -> String {
    let mut command = Command::new("curl");
    command.args(["-sS", "-m", "10", "-w", "%{http_version} %{http_code}"]);
    said(command.args(flags))
}

fn session(url: &str, flags: &[&str]) -> String {
    let opened = curl(&[flags, &["-d", "", &format!("{url}/http")]].concat());
    assert!(opened.ends_with("2 200"), "{opened}");
    let id = opened.split('"').nth(3).expect("an id");
    format!("{url}/http/{id}")
}

#[test]
fn curl_plays_in_clear_and_over_tls() {
    let relay = Relay::start_secure(&["--http2", "--h2c"]);
    let ca = relay.ca();
    let ca = ca.to_str().expect("a path");
    let clear = format!("http://{}/rooms/r", relay.addr());
    let port = relay.secure_addr().port();
    let secure = format!("https://localhost:{port}/rooms/r");
    let ways: [(&str, &[&str]); 2] = [
        (&clear, &["--http2-prior-knowledge"]),
        (&secure, &["--http2", "--cacert", ca]),
    ];
    for (url, flags) in ways {
        let at = session(url, flags);
        let text = format!("{at}/text");
        let sent = curl(&[flags, &["-d", "hello", &text]].concat());
        assert_eq!(sent, "2 204");
        let gone = curl(&[flags, &[&format!("{url}/http/{:044}/poll?ack=0", 0)]].concat());
        assert!(gone.ends_with("2 410"), "{gone}");
        // As ever beside it, for who offers only that.
        let old = curl(&["--http1.1", "--cacert", ca, &format!("{at}/poll?ack=1")]);
        assert!(old.ends_with("1.1 409"), "{old}");
    }
    // A WebSocket begins as HTTP/1.1 beside it.
    Wire::join_tls(relay.secure_addr(), &relay.client(), "/rooms/r");
    Wire::join(relay.addr(), "/rooms/r");
}

/// Twenty who listen and one who speaks in one connection, as a browser has it; then the relay ends, and says so to all.
#[test]
fn node_has_many_streams_in_one_connection() {
    let mut relay = Relay::start_secure(&["--h2c"]);
    let script = r#"
      const http2 = require("node:http2");
      const client = http2.connect(process.argv[1]);
      const ask = (method, path, body) => new Promise((done) => {
        const stream = client.request({ ":method": method, ":path": path });
        let status, text = "";
        stream.on("response", (head) => status = head[":status"]);
        stream.setEncoding("utf8").on("data", (data) => text += data);
        stream.on("end", () => done([status, text])).end(body);
      });
      const listen = () => new Promise((done) => {
        const stream = client.request({ ":path": "/rooms/r/http/events" });
        let text = "";
        stream.setEncoding("utf8").on("data", (data) => {
          text += data;
          if (text.includes("data: last")) done(text.match(/^data: said \d+$/gm));
        });
      });
      (async () => {
        const heard = Array.from({ length: 20 }, listen);
        const [, body] = await ask("POST", "/rooms/r/http", "");
        const at = `/rooms/r/http/${JSON.parse(body).id}/text?seq=`;
        for (let n = 0; n < 100; n++) {
          const [status] = await ask("POST", at + n, n < 99 ? `said ${n}` : "last");
          if (status !== 204) throw new Error(`${n}: ${status}`);
        }
        const wanted = Array.from({ length: 99 }, (_, n) => `data: said ${n}`).join();
        for (const lines of await Promise.all(heard))
          if (lines.join() !== wanted) throw new Error(`heard ${lines}`);
        client.on("goaway", (code) => console.log(`goes ${code}`));
        client.on("close", () => process.exit());
        console.log("well");
      })().catch((error) => { console.error(error); process.exit(1); });
    "#;
    let mut node = Command::new("node")
        .args(["-e", script, &format!("http://{}", relay.addr())])
        .stdout(Stdio::piped())
        .spawn()
        .expect("node runs");
    let mut said = BufReader::new(node.stdout.take().expect("it speaks")).lines();
    let mut next = || said.next().map(|line| line.expect("text"));
    assert_eq!(next().as_deref(), Some("well"));
    relay.signal(Signal::TERM);
    assert!(relay.exit().success());
    assert_eq!(next().as_deref(), Some("goes 0"));
    assert!(node.wait().expect("it ends").success());
}
