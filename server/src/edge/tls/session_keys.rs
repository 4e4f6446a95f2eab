//! Keys of session tickets that outlive the process: `--tls-ticket-key`.
//!
//! A file has a key on each line: when it was made (seconds since 1970) and 64 hexadecimal digits. The first encrypts, all
//! decrypt. A ticket (RFC 5077, RFC 8446 section 4.6.1) is a nonce, and what rustls gives in AES-256-GCM.
//!
//! Owns: the keys in force and their age. Must not know: sessions. Invariant: no key is used for longer than a day, however
//! old its file; who stole one reads no more than that. Where there is none, tickets are encrypted all the same, with keys
//! that never leave memory; so nothing about the file stops a start or a handshake.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use parking_lot::RwLock;
use rustls::server::ProducesTickets;
use thiserror::Error;

use super::unix_now;
use crate::limits::{
    SESSION_KEY_AHEAD_S, SESSION_KEY_FILE, SESSION_KEY_S, SESSION_KEYS, SESSION_S,
};

/// Bytes of a key of AES-256.
const KEY_LEN: usize = 32;

/// Why a file is not used, in words for the operator.
#[derive(Debug, Error)]
enum Unusable {
    #[error("{0}")]
    Unreadable(#[from] io::Error),
    #[error("it is no regular file")]
    NoFile,
    #[error("others than its owner may read or write it (mode {0:o}): chmod 600")]
    Open(u32),
    #[error("it is larger than {SESSION_KEY_FILE} bytes")]
    TooLarge,
    #[error("it has more than {SESSION_KEYS} keys")]
    TooMany,
    #[error("line {0} is no key: a time in seconds since 1970, a space, 64 hexadecimal digits")]
    NoKey(usize),
}

#[derive(Debug)]
struct Key {
    /// Seconds since 1970.
    made: i64,
    aead: RandomizedNonceKey,
}

impl Key {
    fn parse(line: &str) -> Option<Self> {
        let (made, digits) = line.split_once(' ')?;
        let digits = digits.trim_start().as_bytes();
        if digits.len() != 2 * KEY_LEN {
            return None;
        }
        let value = |digit: u8| (digit as char).to_digit(16);
        let bytes = digits.chunks(2).map(|pair| {
            let byte = value(pair[0])? << 4 | value(pair[1])?;
            u8::try_from(byte).ok()
        });
        let bytes: Vec<u8> = bytes.collect::<Option<_>>()?;
        Some(Self {
            made: made.parse().ok()?,
            aead: RandomizedNonceKey::new(&AES_256_GCM, &bytes).ok()?,
        })
    }

    /// Not too old, nor of a time that is yet to come.
    fn is_good(&self, now: i64) -> bool {
        let age = now.saturating_sub(self.made);
        (-SESSION_KEY_AHEAD_S..SESSION_KEY_S).contains(&age)
    }

    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        let mut sealed = plain.to_vec();
        let nonce = self
            .aead
            .seal_in_place_append_tag(Aad::empty(), &mut sealed);
        Some([&nonce.ok()?.as_ref()[..], &sealed].concat())
    }

    fn decrypt(&self, ticket: &[u8]) -> Option<Vec<u8>> {
        let (nonce, sealed) = ticket.split_at_checked(NONCE_LEN)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let mut sealed = sealed.to_vec();
        let plain = self.aead.open_in_place(nonce, Aad::empty(), &mut sealed);
        plain.ok().map(|plain| plain.to_vec())
    }
}

/// All keys in this text, in their order.
fn parse(text: &str) -> Result<Vec<Key>, Unusable> {
    let lines = (1..).zip(text.lines());
    let lines = lines.filter(|(_, line)| !line.trim().is_empty() && !line.starts_with('#'));
    let keys: Result<Vec<Key>, _> = lines
        .map(|(number, line)| Key::parse(line.trim_end()).ok_or(Unusable::NoKey(number)))
        .take(SESSION_KEYS + 1)
        .collect();
    let keys = keys?;
    if keys.len() > SESSION_KEYS {
        return Err(Unusable::TooMany);
    }
    Ok(keys)
}

fn read(path: &Path) -> Result<Vec<Key>, Unusable> {
    // Asked before it is opened: opening a pipe waits for a writer.
    let about = fs::metadata(path)?;
    if !about.is_file() {
        return Err(Unusable::NoFile);
    }
    let mode = about.permissions().mode() & 0o7777;
    if mode & 0o077 != 0 {
        return Err(Unusable::Open(mode));
    }
    let mut text = String::new();
    let file = File::open(path)?;
    file.take(SESSION_KEY_FILE + 1).read_to_string(&mut text)?;
    if text.len() as u64 > SESSION_KEY_FILE {
        return Err(Unusable::TooLarge);
    }
    parse(&text)
}

/// The keys of a file that may be read again, and others for when none of them is any good.
#[derive(Debug)]
pub struct SessionKeys {
    path: PathBuf,
    keys: RwLock<Vec<Key>>,
    /// Keys of this process alone, which change by themselves.
    own: Arc<dyn ProducesTickets>,
    /// That these are used was said.
    said: AtomicBool,
}

impl SessionKeys {
    /// Reads this file, and warns if that is in vain.
    pub fn load(path: PathBuf, own: Arc<dyn ProducesTickets>) -> Self {
        let keys = Self {
            path,
            keys: RwLock::default(),
            own,
            said: AtomicBool::new(false),
        };
        keys.reload();
        keys
    }

    /// Reads the file again. If it can't be used, the keys stay.
    pub fn reload(&self) {
        let file = self.path.display();
        match read(&self.path) {
            Ok(mut keys) => {
                let now = unix_now();
                let all = keys.len();
                keys.retain(|key| key.is_good(now));
                if keys.len() < all {
                    tracing::warn!(%file, ignored = all - keys.len(), "keys of session tickets are older than a day, or of the future: put a new one first");
                }
                tracing::info!(%file, keys = keys.len(), "keys of session tickets loaded");
                *self.keys.write() = keys;
                self.said.store(false, Ordering::Relaxed);
            }
            Err(error) => {
                tracing::warn!(%file, "can't use these keys of session tickets: {error}");
            }
        }
    }

    fn encrypt_at(&self, now: i64, plain: &[u8]) -> Option<Vec<u8>> {
        if let Some(key) = self.keys.read().iter().find(|key| key.is_good(now)) {
            return key.encrypt(plain);
        }
        if !self.said.swap(true, Ordering::Relaxed) {
            tracing::warn!(file = %self.path.display(), "no key of session tickets is of today: other processes won't know those of this one");
        }
        self.own.encrypt(plain)
    }

    fn decrypt_at(&self, now: i64, ticket: &[u8]) -> Option<Vec<u8>> {
        let keys = self.keys.read();
        let mut good = keys.iter().filter(|key| key.is_good(now));
        good.find_map(|key| key.decrypt(ticket))
            .or_else(|| self.own.decrypt(ticket))
    }
}

impl ProducesTickets for SessionKeys {
    fn enabled(&self) -> bool {
        true
    }

    fn lifetime(&self) -> u32 {
        SESSION_S
    }

    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        self.encrypt_at(unix_now(), plain)
    }

    fn decrypt(&self, ticket: &[u8]) -> Option<Vec<u8>> {
        self.decrypt_at(unix_now(), ticket)
    }
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::process::Command;

    use rustls::crypto::aws_lc_rs::Ticketer;
    use tempfile::TempDir;

    use super::super::fixture::NOW;
    use super::*;

    const HOUR: i64 = 3_600;

    fn line(made: i64, digit: char) -> String {
        format!("{made} {}\n", digit.to_string().repeat(64))
    }

    fn keys(text: &str) -> SessionKeys {
        SessionKeys {
            path: PathBuf::new(),
            keys: RwLock::new(parse(text).unwrap()),
            own: Ticketer::new().unwrap(),
            said: AtomicBool::new(false),
        }
    }

    #[test]
    fn the_first_encrypts_and_all_decrypt() {
        let [old, new] = [line(NOW - HOUR, 'a'), line(NOW, 'B')];
        let (before, both) = (keys(&old), keys(&format!("# new\n{new}\n{old}")));
        let ticket = before.encrypt_at(NOW, b"session").unwrap();
        let plain = Some(b"session".to_vec());
        assert_eq!(both.decrypt_at(NOW, &ticket), plain);
        let ticket = both.encrypt_at(NOW, b"session").unwrap();
        assert_eq!(before.decrypt_at(NOW, &ticket), None);
        assert_eq!(keys(&new.to_lowercase()).decrypt_at(NOW, &ticket), plain);
        let again = both.encrypt_at(NOW, b"session").unwrap();
        assert_ne!(ticket, again, "each has a nonce of its own");
    }

    #[test]
    fn a_ticket_that_was_touched_is_none() {
        let keys = keys(&line(NOW, 'a'));
        let ticket = keys.encrypt_at(NOW, b"session").unwrap();
        for at in 0..ticket.len() {
            let mut forged = ticket.clone();
            forged[at] ^= 1;
            assert_eq!(keys.decrypt_at(NOW, &forged), None, "byte {at}");
            assert_eq!(keys.decrypt_at(NOW, &ticket[..at]), None, "{at} bytes");
        }
    }

    #[test]
    fn a_key_is_used_for_a_day_and_then_others_are() {
        let keys = keys(&line(NOW, 'a'));
        let ticket = keys.encrypt_at(NOW, b"session").unwrap();
        let later = NOW + SESSION_KEY_S;
        assert!(keys.decrypt_at(later - 1, &ticket).is_some());
        assert_eq!(keys.decrypt_at(later, &ticket), None);
        let own = keys.encrypt_at(later, b"session").unwrap();
        assert_eq!(keys.decrypt_at(later, &own), Some(b"session".to_vec()));
        let early = NOW - SESSION_KEY_AHEAD_S - 1;
        assert_eq!(keys.decrypt_at(early, &ticket), None, "a clock that lies");
    }

    #[test]
    fn what_is_no_list_of_keys_is_refused_as_a_whole() {
        let good = line(NOW, 'a');
        for bad in [
            "x".to_owned(),
            good[..70].to_owned(),
            good.trim_end().to_owned() + "a",
            line(NOW, 'g'),
            good.replacen(' ', "", 1),
            good.repeat(SESSION_KEYS + 1),
        ] {
            assert!(parse(&format!("{bad}\n")).is_err(), "{bad}");
        }
        assert!(parse("").unwrap().is_empty());
        assert_eq!(
            parse(&good.repeat(SESSION_KEYS)).unwrap().len(),
            SESSION_KEYS
        );
    }

    #[test]
    fn only_its_owner_may_read_the_file_and_a_bad_one_changes_nothing() {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("keys");
        let write = |text: &str, mode| {
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        };
        let own = || Ticketer::new().unwrap() as Arc<dyn ProducesTickets>;
        write(&line(unix_now(), 'a'), 0o640);
        let keys = SessionKeys::load(path.clone(), own());
        assert!(keys.keys.read().is_empty());
        write(&line(unix_now(), 'a'), 0o600);
        keys.reload();
        assert_eq!(keys.keys.read().len(), 1);
        for (text, mode) in [("nonsense", 0o600), ("", 0o644)] {
            write(text, mode);
            keys.reload();
            assert_eq!(keys.keys.read().len(), 1);
        }
        write(&"#".repeat(SESSION_KEY_FILE as usize + 1), 0o600);
        assert!(matches!(read(&path), Err(Unusable::TooLarge)));
        // Nobody ever writes into it: a start would wait for ever.
        let pipe = folder.path().join("pipe");
        assert!(
            Command::new("mkfifo")
                .arg(&pipe)
                .status()
                .unwrap()
                .success()
        );
        for other in [pipe.as_path(), folder.path()] {
            assert!(matches!(read(other), Err(Unusable::NoFile)));
        }
        let missing = SessionKeys::load(folder.path().join("none"), own());
        let ticket = missing.encrypt(b"session").unwrap();
        assert_eq!(missing.decrypt(&ticket), Some(b"session".to_vec()));
    }
}
