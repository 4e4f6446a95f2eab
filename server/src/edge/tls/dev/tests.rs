//! What the authority makes, keeps and refuses.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::thread;

use rustls::version::TLS13;

use rustls::crypto::aws_lc_rs::Ticketer;

use super::super::fixture::{Ends, Folder, NOW, client};
use super::super::{Certificates, Table, server_config};
use super::*;

const BOTH: Made = Made {
    authority: true,
    leaf: true,
};
const LEAF: Made = Made {
    authority: false,
    leaf: true,
};
const NOTHING: Made = Made {
    authority: false,
    leaf: false,
};

fn machine(host: &str) -> Machine {
    Machine {
        host: host.to_owned(),
        user: "ada".to_owned(),
    }
}

fn stage() -> (Folder, Authority, Machine) {
    let folder = Folder::new();
    let authority = Authority::in_folder(folder.path("share/roomcast"));
    (folder, authority, machine("Engine"))
}

#[test]
fn it_is_made_once_and_only_its_owner_can_read_it() {
    let (_folder, authority, machine) = stage();
    assert_eq!(authority.ensure(&machine, NOW).unwrap(), BOTH);
    let before = [authority.files().read(), authority.leaf().read()];
    assert_eq!(authority.ensure(&machine, NOW).unwrap(), NOTHING);
    let after = [authority.files().read(), authority.leaf().read()];
    assert_eq!(format!("{before:?}"), format!("{after:?}"));

    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&authority.folder), 0o700);
    let mut names = Vec::new();
    for entry in fs::read_dir(&authority.folder).unwrap() {
        let entry = entry.unwrap();
        assert_eq!(mode(&entry.path()), 0o600, "{entry:?}");
        names.push(entry.file_name().into_string().unwrap());
    }
    names.sort();
    let all = [
        "dev-ca.key",
        "dev-ca.pem",
        "dev-cert.key",
        "dev-cert.pem",
        "dev.lock",
    ];
    assert_eq!(names, all, "and nothing temporary is left");
}

#[test]
fn a_client_that_trusts_the_authority_accepts_every_name_of_the_machine() {
    let (_folder, authority, machine) = stage();
    authority.ensure(&machine, NOW).unwrap();
    let ca = Pair::load(&authority.files(), NOW).unwrap();
    let leaf = Pair::load(&authority.leaf(), NOW).unwrap();
    let certificates = Arc::new(Certificates::new(Table::new(vec![leaf])));
    let server = server_config(certificates, Ticketer::new().unwrap(), false).unwrap();
    let client = client(&ca.certified.cert, &[&TLS13], &["http/1.1"]);
    for name in ["localhost", "127.0.0.1", "::1", "engine", "engine.local"] {
        let ends = Ends::connect(&server, &client, name);
        assert!(ends.is_ok(), "{name}: {:?}", ends.err());
    }
    assert!(Ends::connect(&server, &client, "example.com").is_err());
}

/// Who steals its key can pose as this machine, and as nobody else.
#[test]
fn what_the_authority_signs_for_others_is_not_accepted() {
    let (_folder, authority, machine) = stage();
    authority.ensure(&machine, NOW).unwrap();
    let files = authority.files();
    let ca = Pair::load(&files, NOW).unwrap();
    let client = client(&ca.certified.cert, &[&TLS13], &["http/1.1"]);
    let stolen = KeyPair::from_pem(&fs::read_to_string(&files.key).unwrap()).unwrap();
    let stolen = Issuer::from_ca_cert_der(&ca.certified.cert[0], stolen).unwrap();
    for (name, accepted) in [
        ("localhost", true),
        ("game.localhost", true),
        ("tablet.local", true),
        ("engine", true),
        ("game.engine", true),
        ("127.9.9.9", true),
        ("bank.example", false),
        ("notlocalhost", false),
        ("localhost.example", false),
        ("192.0.2.7", false),
        ("::2", false),
    ] {
        let mut params = valid(NOW - DAY, NOW + DAY).unwrap();
        let own = CertificateParams::new([name.to_owned()]).unwrap();
        params.subject_alt_names = own.subject_alt_names;
        let key = key().unwrap();
        let leaf = params.signed_by(&key, &stolen).unwrap();
        write_pair(&authority.leaf(), &leaf.pem(), &key).unwrap();
        let leaf = Pair::load(&authority.leaf(), NOW).unwrap();
        let certificates = Arc::new(Certificates::new(Table::new(vec![leaf])));
        let server = server_config(certificates, Ticketer::new().unwrap(), false).unwrap();
        let ends = Ends::connect(&server, &client, name);
        assert_eq!(ends.is_ok(), accepted, "{name}: {:?}", ends.err());
    }
}

#[test]
fn an_authority_of_before_is_kept_and_told_of() {
    let (_folder, authority, machine) = stage();
    authority.ensure(&machine, NOW).unwrap();
    let mut params = valid(NOW - DAY, NOW + AUTHORITY_VALID).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    let key = key().unwrap();
    let any = params.self_signed(&key).unwrap();
    write_pair(&authority.files(), &any.pem(), &key).unwrap();
    assert_eq!(authority.ensure(&machine, NOW).unwrap(), LEAF);
    assert_eq!(authority.ensure(&machine, NOW).unwrap(), NOTHING);
    let doubt = authority.doubt(&machine).unwrap();
    assert!(doubt.contains("any site"), "{doubt}");
}

#[test]
fn the_authority_says_whose_it_is_and_signs_for_ten_years() {
    let (_folder, authority, machine) = stage();
    authority.ensure(&machine, NOW).unwrap();
    let ca = Pair::load(&authority.files(), NOW).unwrap();
    let (_, parsed) = x509_parser::parse_x509_certificate(&ca.certified.cert[0]).unwrap();
    let name = "CN=roomcast development CA (ada@Engine)";
    assert_eq!(parsed.subject().to_string(), name);
    assert!(parsed.is_ca());
    assert_eq!(ca.leaf.not_after, NOW + 3650 * DAY);
    let leaf = Pair::load(&authority.leaf(), NOW).unwrap();
    let (_, parsed) = x509_parser::parse_x509_certificate(&leaf.certified.cert[0]).unwrap();
    assert!(!parsed.is_ca());
    let validity = parsed.validity();
    let valid = validity.not_after.timestamp() - validity.not_before.timestamp();
    assert_eq!(valid, 397 * DAY);
    assert!(
        validity.not_before.timestamp() < NOW,
        "for clocks that are behind"
    );
}

#[test]
fn the_leaf_is_renewed_in_time_and_when_the_machine_changes_its_name() {
    let (_folder, authority, machine) = stage();
    authority.ensure(&machine, NOW).unwrap();
    let end = Pair::load(&authority.leaf(), NOW).unwrap().leaf.not_after;
    let last_good = end - 30 * DAY;
    assert_eq!(authority.ensure(&machine, last_good).unwrap(), NOTHING);
    assert_eq!(authority.ensure(&machine, last_good + 1).unwrap(), LEAF);
    let renamed = self::machine("difference.example");
    assert_eq!(authority.ensure(&renamed, last_good).unwrap(), LEAF);
    let leaf = Pair::load(&authority.leaf(), last_good).unwrap();
    // The authority was not made for the other name.
    assert_eq!(leaf.leaf.names, ["difference.local", "localhost"]);
    assert_eq!(authority.ensure(&renamed, last_good).unwrap(), NOTHING);
    assert_eq!(authority.doubt(&machine), None);
    let doubt = authority.doubt(&renamed).unwrap();
    assert!(
        doubt.contains("vouch for difference.example; to begin anew"),
        "{doubt}"
    );
}

#[test]
fn near_its_own_end_the_authority_signs_no_further_and_then_is_replaced() {
    let (_folder, authority, machine) = stage();
    authority.ensure(&machine, NOW).unwrap();
    let end = NOW + 3650 * DAY;
    assert_eq!(authority.ensure(&machine, end - 90 * DAY).unwrap(), LEAF);
    let leaf = Pair::load(&authority.leaf(), end - 90 * DAY).unwrap();
    assert_eq!(leaf.leaf.not_after, end);
    assert_eq!(authority.ensure(&machine, end + 1).unwrap(), BOTH);
    assert_eq!(authority.ensure(&machine, end + 1).unwrap(), NOTHING);
}

#[test]
fn what_is_broken_is_made_anew_except_an_authority_that_browsers_may_trust() {
    let (_folder, authority, machine) = stage();
    let (ca, leaf) = (authority.files(), authority.leaf());
    authority.ensure(&machine, NOW).unwrap();
    for path in [&leaf.cert, &leaf.key] {
        fs::write(path, "half a fi").unwrap();
        assert_eq!(authority.ensure(&machine, NOW).unwrap(), LEAF);
        fs::remove_file(path).unwrap();
        assert_eq!(authority.ensure(&machine, NOW).unwrap(), LEAF);
    }

    // Who keeps the key elsewhere can serve as long as there is nothing to sign.
    let key = fs::read(&ca.key).unwrap();
    fs::remove_file(&ca.key).unwrap();
    assert_eq!(authority.ensure(&machine, NOW).unwrap(), NOTHING);
    let renamed = self::machine("other");
    let refused = authority.ensure(&renamed, NOW).unwrap_err().to_string();
    assert!(refused.contains("dev-ca.key"), "{refused}");
    assert!(refused.contains("to begin anew"), "{refused}");
    assert_eq!(refused.lines().count(), 1, "{refused}");
    fs::write(&ca.key, key).unwrap();
    assert_eq!(authority.ensure(&renamed, NOW).unwrap(), LEAF);

    // A key whose certificate was never written: the process ended in between.
    fs::remove_file(&ca.cert).unwrap();
    assert_eq!(authority.ensure(&renamed, NOW).unwrap(), BOTH);
    assert_eq!(authority.ensure(&renamed, NOW).unwrap(), NOTHING);
}

#[test]
fn a_leaf_of_another_authority_is_not_served() {
    let (folder, authority, machine) = stage();
    authority.ensure(&machine, NOW).unwrap();
    let other = Authority::in_folder(folder.path("other"));
    other.ensure(&machine, NOW).unwrap();
    fs::copy(other.leaf().cert, authority.leaf().cert).unwrap();
    fs::copy(other.leaf().key, authority.leaf().key).unwrap();
    assert_eq!(authority.ensure(&machine, NOW).unwrap(), LEAF);
}

#[test]
fn several_processes_may_begin_at_once() {
    let (_folder, authority, machine) = stage();
    let made: Vec<Made> = thread::scope(|scope| {
        let ensure = || authority.ensure(&machine, NOW).unwrap();
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(ensure)).collect();
        threads.into_iter().map(|one| one.join().unwrap()).collect()
    });
    assert_eq!(
        made.iter().filter(|made| **made == BOTH).count(),
        1,
        "{made:?}"
    );
    assert_eq!(made.iter().filter(|made| **made == NOTHING).count(), 7);
}

#[test]
fn names_that_no_certificate_can_have_are_left_out() {
    for (host, names) in [
        ("Engine", &["engine", "engine.local", "localhost"][..]),
        ("engine.local", &["engine.local", "localhost"]),
        ("my_host", &["localhost"]),
        ("", &["localhost"]),
        ("brå", &["localhost"]),
        ("a..b", &["a.local", "localhost"]),
        ("localhost", &["localhost", "localhost.local"]),
        (&"x".repeat(64), &["localhost"]),
    ] {
        let found = machine(host).names();
        assert_eq!(found.iter().collect::<Vec<_>>(), names, "{host}");
    }
}

#[test]
fn a_long_host_name_is_cut_where_certificates_require_it() {
    let (_folder, authority, _) = stage();
    let machine = machine(&format!("{}.example", "é".repeat(60)));
    authority.ensure(&machine, NOW).unwrap();
    let ca = Pair::load(&authority.files(), NOW).unwrap();
    let (_, parsed) = x509_parser::parse_x509_certificate(&ca.certified.cert[0]).unwrap();
    let name = parsed.subject().iter_common_name().next().unwrap();
    assert_eq!(name.as_str().unwrap().chars().count(), 64);
}

#[test]
fn a_folder_that_cannot_be_made_is_named() {
    let (folder, _, machine) = stage();
    let file = folder.write("file", "");
    let refused = Authority::in_folder(file.join("roomcast")).ensure(&machine, NOW);
    let line = refused.unwrap_err().to_string();
    assert!(line.contains(&file.display().to_string()), "{line}");
    assert!(line.contains("ROOMCAST_DATA_DIR"), "{line}");
}
