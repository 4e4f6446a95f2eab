//! How programs come to trust the development authority, in words to copy from.

use std::io::{self, Write};
use std::path::Path;

use super::dev::{AUTHORITY_NAME, Authority, Machine, Unmade};
use super::unix_now;

/// The port that examples use when none is bound yet.
const EXAMPLE_PORT: u16 = 7443;

/// One line for each kind of client, given the authority's certificate and the port of wss.
pub fn advice(ca: &Path, port: u16) -> [String; 4] {
    let ca = quoted(ca);
    [
        format!(
            "browser: import {ca} as an authority that identifies web sites (Chrome: chrome://certificate-manager; Firefox: \
             Settings, View Certificates, Authorities), then open wss://localhost:{port}/rooms/NAME in your game"
        ),
        format!(
            "Chromium on Linux, by command: certutil -d sql:$HOME/.pki/nssdb -A -t C,, -n '{AUTHORITY_NAME}' -i {ca}"
        ),
        format!("curl: curl --cacert {ca} https://localhost:{port}/healthz"),
        format!(
            "loadgen: loadgen --url wss://localhost:{port} trusts it by itself on this machine; elsewhere copy the file \
             there and add --ca FILE"
        ),
    ]
}

/// Runs `roomcast dev-cert`: makes what is missing and answers on standard output.
///
/// # Errors
///
/// When there are no development certificates and none can be made.
pub fn command(print_ca: bool) -> Result<(), Unmade> {
    let authority = Authority::of_this_user()?;
    authority.ensure(&Machine::this(), unix_now())?;
    let text = if print_ca {
        let ca = authority.files().cert;
        std::fs::read_to_string(&ca).map_err(|source| Unmade::Read { path: ca, source })?
    } else {
        about(&authority)
    };
    // A closed standard output wants nothing.
    let _ = io::stdout().write_all(text.as_bytes());
    Ok(())
}

fn about(authority: &Authority) -> String {
    let (ca, leaf) = (authority.files(), authority.leaf());
    let mut text = format!(
        "{AUTHORITY_NAME} of this user and machine\n\
         \x20 authority    {}\n\
         \x20 its key      {} (give it to nobody: who has it can pose as this machine to you)\n\
         \x20 certificate  {}\n\
         \x20 its key      {}\n\
         roomcast --dev-tls serves the certificate. How programs trust it:\n",
        ca.cert.display(),
        ca.key.display(),
        leaf.cert.display(),
        leaf.key.display(),
    );
    for line in advice(&ca.cert, EXAMPLE_PORT) {
        text.push_str(&format!("  {line}\n"));
    }
    text
}

/// A path as a shell takes it.
fn quoted(path: &Path) -> String {
    let path = path.display().to_string();
    let plain = |c: char| c.is_alphanumeric() || "/._-+,@%".contains(c);
    if path.chars().all(plain) {
        path
    } else {
        format!("'{}'", path.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_can_be_pasted_into_a_shell() {
        let plain = Path::new("/srv/roomcast/dev-ca.pem");
        assert_eq!(quoted(plain), "/srv/roomcast/dev-ca.pem");
        let library = Path::new("/Users/a b/it's/dev-ca.pem");
        assert_eq!(quoted(library), r"'/Users/a b/it'\''s/dev-ca.pem'");
        let [_, certutil, curl, _] = advice(library, 7444);
        assert!(
            certutil.ends_with(r"-i '/Users/a b/it'\''s/dev-ca.pem'"),
            "{certutil}"
        );
        assert!(curl.contains(":7444/"), "{curl}");
    }
}
