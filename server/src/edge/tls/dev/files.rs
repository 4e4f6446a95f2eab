//! Files that nobody finds half written and only their owner reads.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::iter;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rcgen::KeyPair;

use super::Unmade;
use crate::edge::tls::pair::Files;

/// The key first: a certificate whose key is not there yet would be taken for a pair.
pub(super) fn write_pair(files: &Files, certificate: &str, key: &KeyPair) -> Result<(), Unmade> {
    replace(&files.key, key.serialize_pem().as_bytes())?;
    replace(&files.cert, certificate.as_bytes())
}

/// Puts a file in place as a whole.
fn replace(path: &Path, bytes: &[u8]) -> Result<(), Unmade> {
    let suffix: String = iter::repeat_with(fastrand::alphanumeric).take(12).collect();
    let temporary = path.with_extension(suffix);
    let written = private_file(&temporary, OpenOptions::new().create_new(true))
        .and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()))
        .and_then(|()| fs::rename(&temporary, path));
    written.map_err(|source| {
        // It may never have come to be.
        let _ = fs::remove_file(&temporary);
        Unmade::Write {
            path: path.to_owned(),
            source,
        }
    })
}

/// A file that only its owner may read and write.
pub(super) fn private_file(path: &Path, options: &mut OpenOptions) -> io::Result<File> {
    options.write(true).mode(0o600).open(path)
}
