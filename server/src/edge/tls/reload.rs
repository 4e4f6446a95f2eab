//! Certificates that change while the process runs.
//!
//! Owns: when files are read again, and what the operator is told of it. Must not know: connections. Invariant: the table
//! in force is replaced only by one whose every pair is good.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::panic::{self, AssertUnwindSafe};
use std::sync::Arc;
use std::time::Duration;
use std::{io, thread};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};

use super::dev::{Authority, Machine};
use super::pair::{Contents, Files, Pair, Unusable, date};
use super::table::{Certificates, Table};
use super::unix_now;

/// How often the files are looked at. By content, so links that are pointed elsewhere (ACME clients, Kubernetes) and
/// copies that keep their date are seen too; some kilobytes from the page cache cost nothing.
const LOOK_EVERY: Duration = Duration::from_secs(2);

const DAY: i64 = 24 * 60 * 60;

/// Seconds before its end at which a certificate is worth a warning. ACME clients renew at 30 days, so something has been
/// failing for two weeks by then.
const EXPIRES_SOON: i64 = 14 * DAY;

/// Watches the files of all pairs.
#[derive(Debug)]
pub struct Watch {
    certificates: Arc<Certificates>,
    files: Vec<Files>,
    seen: Seen,
    /// Who renews the files, if that is up to us.
    authority: Option<Authority>,
    /// Unix time of the last look at dates.
    dates_read: Option<i64>,
}

/// What is known of the files' contents, each time as one hash of everything.
#[derive(Debug)]
struct Seen {
    /// What is served.
    loaded: u64,
    /// What could not be used. It is not tried twice: it would fail for the same reason.
    refused: Option<u64>,
    /// What was there at the last look, and may still be on the way.
    settling: Option<u64>,
}

/// What came of a look at the files.
#[derive(Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Nothing to do, or not yet.
    Unchanged,
    /// New certificates are served.
    Replaced,
    /// There are new files, but they can't be used; the old certificates are served on.
    Refused(Unusable),
}

impl Seen {
    /// Whether to load what has this hash. Someone who writes a certificate and then its key is given the time between two
    /// looks.
    fn is_worth_loading(&mut self, now: u64) -> bool {
        if now == self.loaded {
            // Somebody took a bad change back.
            self.refused = None;
        }
        if now == self.loaded || self.refused == Some(now) {
            self.settling = None;
            return false;
        }
        if self.settling == Some(now) {
            self.settling = None;
            return true;
        }
        self.settling = Some(now);
        false
    }
}

impl Watch {
    /// Loads all pairs for the first time. The first is the default.
    ///
    /// # Errors
    ///
    /// The first file that can't be used.
    pub fn begin(
        files: Vec<Files>,
        authority: Option<Authority>,
        now: i64,
    ) -> Result<Self, Unusable> {
        let contents = read(&files);
        let seen = Seen {
            loaded: hash(&contents),
            refused: None,
            settling: None,
        };
        let table = table(&files, &contents, now)?;
        Ok(Self {
            certificates: Arc::new(Certificates::new(table)),
            files,
            seen,
            authority,
            dates_read: None,
        })
    }

    /// What is served, now and later.
    pub fn certificates(&self) -> Arc<Certificates> {
        Arc::clone(&self.certificates)
    }

    /// Goes on watching on a thread of its own for as long as the process lives. Whatever is sent makes it load the files
    /// at once.
    ///
    /// # Errors
    ///
    /// When the thread can't be started.
    pub fn start(self) -> io::Result<Sender<()>> {
        // One request is as good as many.
        let (sender, requests) = bounded(1);
        thread::Builder::new()
            .name("certificates".to_owned())
            .spawn(move || self.run(&requests))?;
        Ok(sender)
    }

    fn run(mut self, requests: &Receiver<()>) {
        self.read_dates(unix_now());
        while survive(|| self.turn(requests)) {}
    }

    /// Waits for the next look, and looks. False when the process ends.
    fn turn(&mut self, requests: &Receiver<()>) -> bool {
        let outcome = match requests.recv_timeout(LOOK_EVERY) {
            Ok(()) => {
                self.renew(unix_now());
                self.reload(unix_now())
            }
            Err(RecvTimeoutError::Timeout) => self.look(unix_now()),
            Err(RecvTimeoutError::Disconnected) => return false,
        };
        self.report(&outcome);
        self.read_dates(unix_now());
        true
    }

    /// Loads the files if they have changed and stayed so since the last look.
    pub fn look(&mut self, now: i64) -> Outcome {
        let contents = read(&self.files);
        if self.seen.is_worth_loading(hash(&contents)) {
            self.load(&contents, now)
        } else {
            Outcome::Unchanged
        }
    }

    /// Loads the files, whether they changed or not.
    pub fn reload(&mut self, now: i64) -> Outcome {
        self.load(&read(&self.files), now)
    }

    fn load(&mut self, contents: &[Contents], now: i64) -> Outcome {
        match table(&self.files, contents, now) {
            Ok(table) => {
                self.certificates.replace(table);
                self.seen.loaded = hash(contents);
                self.seen.refused = None;
                self.dates_read = None;
                Outcome::Replaced
            }
            Err(error) => {
                self.seen.refused = Some(hash(contents));
                Outcome::Refused(error)
            }
        }
    }

    fn report(&self, outcome: &Outcome) {
        match outcome {
            Outcome::Unchanged => {}
            Outcome::Replaced => self.log_pairs(),
            Outcome::Refused(error) => tracing::error!(
                "the old certificates stay in use: {error}. The files are tried again when they change or on SIGHUP"
            ),
        }
    }

    /// Says which certificates are served, one line each.
    pub fn log_pairs(&self) {
        for pair in self.certificates.current().pairs() {
            let (file, not_after) = (pair.files.cert.display(), date(pair.leaf.not_after));
            tracing::info!(%file, names = pair.subjects(), not_after, "certificate loaded");
            if pair.leaf.names.is_empty() && pair.leaf.addresses.is_empty() {
                tracing::warn!(%file, "certificate names no host (subjectAltName): clients will refuse it");
            }
            // Who develops with our own authority was told how to trust it.
            if pair.leaf.lacks_issuer && self.authority.is_none() {
                tracing::warn!(
                    %file,
                    "certificate without the one it is signed by: clients that don't have that already will refuse it. \
                     Give the whole chain (fullchain.pem)"
                );
            }
            if pair.files.key_is_open_to_others() {
                let file = pair.files.key.display();
                tracing::warn!(%file, "private key is readable by everyone on this machine: chmod 600 it");
            }
        }
    }

    /// Once a day: warns of certificates that are about to expire, and renews those that are ours.
    fn read_dates(&mut self, now: i64) {
        // A clock that was set back must not silence the warnings.
        if (self.dates_read).is_some_and(|last| (0..DAY).contains(&(now - last))) {
            return;
        }
        self.dates_read = Some(now);
        self.renew(now);
        for pair in expiring(&self.certificates.current(), now) {
            let (file, not_after) = (pair.files.cert.display(), date(pair.leaf.not_after));
            let names = pair.subjects();
            if pair.leaf.not_after < now {
                tracing::error!(%file, names, not_after, "certificate has expired: clients refuse it. Renew it");
            } else {
                tracing::warn!(%file, names, not_after, "certificate expires soon: renew it");
            }
        }
    }

    /// The development authority renews its own leaf; the next look finds it.
    fn renew(&self, now: i64) {
        if let Some(authority) = &self.authority
            && let Err(error) = authority.ensure(&Machine::this(), now)
        {
            tracing::warn!("the development certificate stays as it is: {error}");
        }
    }
}

/// Whether to go on after this turn. One that panics is told of and counts as made: the certificates in force are whole
/// at every moment, and the next turn begins by waiting.
fn survive(turn: impl FnOnce() -> bool) -> bool {
    panic::catch_unwind(AssertUnwindSafe(turn)).unwrap_or_else(|_| {
        tracing::error!(
            "looking at the certificates panicked, see above: the old ones stay in use, and the files are looked at on \
             (this is a fault of roomcast: please report it)"
        );
        true
    })
}

/// Pairs that are over or about to be.
fn expiring(table: &Table, now: i64) -> impl Iterator<Item = &Pair> {
    let pairs = table.pairs().iter();
    pairs.filter(move |pair| pair.leaf.not_after - now < EXPIRES_SOON)
}

fn read(files: &[Files]) -> Vec<Contents> {
    files.iter().map(Files::read).collect()
}

/// Good enough to tell two states of the operator's own files apart; a hash, so that no second copy of a key is kept.
fn hash(contents: &[Contents]) -> u64 {
    let mut hasher = DefaultHasher::new();
    contents.hash(&mut hasher);
    hasher.finish()
}

fn table(files: &[Files], contents: &[Contents], now: i64) -> Result<Table, Unusable> {
    let pairs = files.iter().zip(contents);
    let pairs: Vec<Pair> = pairs
        .map(|(files, contents)| files.check(contents, now))
        .collect::<Result<_, _>>()?;
    Ok(Table::new(pairs))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::super::fixture::{DAY, Folder, NOW};
    use super::super::pair::Problem;
    use super::*;

    fn served(watch: &Watch) -> String {
        watch.certificates.current().pairs()[0].subjects()
    }

    /// A watched pair for `old.example` and one for `new.example` that lies ready.
    fn stage() -> (Folder, Files, Files, Watch) {
        let folder = Folder::new();
        let live = folder.pair("live", &["old.example"]);
        let new = folder.pair("new", &["new.example"]);
        let watch = Watch::begin(vec![live.clone()], None, NOW).unwrap();
        (folder, live, new, watch)
    }

    #[test]
    fn a_change_is_loaded_once_it_has_settled() {
        let (_folder, live, new, mut watch) = stage();
        assert_eq!(watch.look(NOW), Outcome::Unchanged);
        fs::copy(&new.cert, &live.cert).unwrap();
        assert_eq!(
            watch.look(NOW),
            Outcome::Unchanged,
            "the key is still on its way"
        );
        fs::copy(&new.key, &live.key).unwrap();
        assert_eq!(watch.look(NOW), Outcome::Unchanged);
        assert_eq!(served(&watch), "old.example");
        assert_eq!(watch.look(NOW), Outcome::Replaced);
        assert_eq!(served(&watch), "new.example");
        assert_eq!(watch.look(NOW), Outcome::Unchanged);
    }

    #[test]
    fn a_broken_pair_keeps_the_old_one_and_is_told_of_once() {
        let (_folder, live, new, mut watch) = stage();
        let good = fs::read(&live.cert).unwrap();
        fs::copy(&new.cert, &live.cert).unwrap();
        assert_eq!(watch.look(NOW), Outcome::Unchanged);
        let refused = watch.look(NOW);
        let Outcome::Refused(error) = refused else {
            panic!("{refused:?}")
        };
        assert_eq!(error.problem, Problem::Mismatch(live.cert.clone()));
        for _ in 0..3 {
            assert_eq!(watch.look(NOW), Outcome::Unchanged);
        }
        assert!(
            matches!(watch.reload(NOW), Outcome::Refused(_)),
            "who asks is told again"
        );
        assert_eq!(served(&watch), "old.example");

        fs::write(&live.cert, good).unwrap();
        assert_eq!(watch.look(NOW), Outcome::Unchanged, "taken back");
        fs::copy(&new.cert, &live.cert).unwrap();
        assert_eq!(watch.look(NOW), Outcome::Unchanged);
        assert!(
            matches!(watch.look(NOW), Outcome::Refused(_)),
            "another change"
        );
        fs::copy(&new.key, &live.key).unwrap();
        assert_eq!(watch.look(NOW), Outcome::Unchanged);
        assert_eq!(watch.look(NOW), Outcome::Replaced);
    }

    #[test]
    fn files_that_vanish_or_expire_keep_the_old_ones() {
        let (folder, live, _, mut watch) = stage();
        fs::remove_file(&live.key).unwrap();
        assert_eq!(watch.look(NOW), Outcome::Unchanged);
        assert!(matches!(watch.look(NOW), Outcome::Refused(_)));
        folder.pair_of("live", &["late.example"], &rcgen::PKCS_ED25519, (9, -1));
        assert_eq!(watch.look(NOW), Outcome::Unchanged);
        let refused = watch.look(NOW);
        assert!(
            matches!(&refused, Outcome::Refused(error) if matches!(error.problem, Problem::Expired(_))),
            "{refused:?}"
        );
        assert_eq!(served(&watch), "old.example");
    }

    /// As certbot's `live` folder and Kubernetes' `..data` do it: the paths stay, and lead elsewhere.
    #[test]
    fn links_that_lead_elsewhere_are_noticed() {
        let folder = Folder::new();
        for (version, name) in [("1", "old.example"), ("2", "new.example")] {
            fs::create_dir(folder.path(version)).unwrap();
            folder.pair(&format!("{version}/tls"), &[name]);
        }
        let data = folder.path("data");
        symlink("1", &data).unwrap();
        let files = Files {
            cert: data.join("tls.pem"),
            key: data.join("tls.key"),
        };
        let mut watch = Watch::begin(vec![files], None, NOW).unwrap();
        symlink("2", folder.path("data.new")).unwrap();
        fs::rename(folder.path("data.new"), &data).unwrap();
        assert_eq!(watch.look(NOW), Outcome::Unchanged);
        assert_eq!(watch.look(NOW), Outcome::Replaced);
        assert_eq!(served(&watch), "new.example");
    }

    #[test]
    fn one_bad_pair_of_several_changes_nothing() {
        let folder = Folder::new();
        let files = ["a", "b"].map(|stem| folder.pair(stem, &[&format!("{stem}.example")]));
        let mut watch = Watch::begin(files.to_vec(), None, NOW).unwrap();
        folder.pair("a", &["new.example"]);
        fs::write(&files[1].cert, "no certificate").unwrap();
        let refused = watch.reload(NOW);
        assert!(
            matches!(&refused, Outcome::Refused(error) if error.file == files[1].cert),
            "{refused:?}"
        );
        assert_eq!(served(&watch), "a.example");
        folder.pair("b", &["b.example"]);
        assert_eq!(watch.reload(NOW), Outcome::Replaced);
        assert_eq!(served(&watch), "new.example");
        assert_eq!(
            watch.look(NOW),
            Outcome::Unchanged,
            "who asked has had the files loaded"
        );
    }

    #[test]
    fn the_first_pairs_must_be_good() {
        let folder = Folder::new();
        let good = folder.pair("good", &["a.example"]);
        let bad = folder.pair_of("bad", &["b.example"], &rcgen::PKCS_ED25519, (9, -1));
        let refused = Watch::begin(vec![good, bad.clone()], None, NOW).unwrap_err();
        assert_eq!(refused.file, bad.cert);
    }

    #[test]
    fn what_ends_within_two_weeks_is_warned_of_once_a_day() {
        let folder = Folder::new();
        let kind = &rcgen::PKCS_ED25519;
        let files = [("soon", 13), ("later", 15)].map(|(stem, days)| {
            folder.pair_of(stem, &[&format!("{stem}.example")], kind, (1, days))
        });
        let mut watch = Watch::begin(files.to_vec(), None, NOW).unwrap();
        let table = watch.certificates.current();
        let warned = |now| {
            expiring(&table, now)
                .map(Pair::subjects)
                .collect::<Vec<_>>()
        };
        assert_eq!(warned(NOW), ["soon.example"]);
        assert_eq!(warned(NOW + 2 * DAY), ["soon.example", "later.example"]);
        assert_eq!(warned(NOW - 9 * DAY), [""; 0]);

        for (now, read) in [
            (NOW, NOW),
            (NOW + DAY - 1, NOW),
            (NOW + DAY, NOW + DAY),
            (NOW - DAY, NOW - DAY),
        ] {
            watch.read_dates(now);
            assert_eq!(watch.dates_read, Some(read));
        }
        assert_eq!(watch.reload(NOW), Outcome::Replaced);
        assert_eq!(
            watch.dates_read, None,
            "new certificates are looked at anew"
        );
    }

    #[test]
    fn a_panic_ends_one_turn_and_not_the_watch() {
        let (folder, _, _, mut watch) = stage();
        assert!(survive(|| panic!("planted")));
        // A turn asks the real clock.
        let ever = (9_000, 9_000);
        folder.pair_of("live", &["new.example"], &rcgen::PKCS_ED25519, ever);
        let (sender, requests) = bounded(1);
        sender.send(()).unwrap();
        assert!(survive(|| watch.turn(&requests)));
        assert_eq!(served(&watch), "new.example");
        drop(sender);
        assert!(!survive(|| watch.turn(&requests)), "an end is an end");
    }
}
