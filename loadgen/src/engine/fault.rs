//! What is wrong with a TLS connection, in words for whoever runs the load.
//!
//! Owns the texts. Must not know how trust is decided.
//! Invariant: one line that says what to do, never what was done already, and no name out of a library's source.

use std::fmt;

use rustls::{AlertDescription, CertificateError, Error, InvalidMessage};

/// Why a TLS connection failed.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Fault {
    error: Error,
    /// `--ca` said whom to trust.
    given: bool,
}

impl Fault {
    /// `given`: the authorities were given with `--ca`.
    pub(crate) fn new(error: Error, given: bool) -> Self {
        Self { error, given }
    }

    /// It was over before.
    pub(crate) fn over() -> Self {
        Self::new(Error::General("the session is over".into()), false)
    }

    /// Whether the server said so, with an alert.
    pub(crate) fn is_alert(&self) -> bool {
        matches!(self.error, Error::AlertReceived(_))
    }

    fn certificate(&self, error: &CertificateError, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use CertificateError as Certificate;
        match error {
            error if is_about_the_issuer(error) && self.given => write!(
                f,
                "the server's certificate is by none of the authorities in the --ca file: put its issuer there, or itself, or for a test use --insecure"
            ),
            error if is_about_the_issuer(error) => write!(
                f,
                "the server's certificate is not trusted: trust its CA with --ca FILE, or for a test --insecure; `roomcast --dev-tls` on this machine is trusted by itself"
            ),
            Certificate::NotValidForNameContext { presented, .. } => write!(
                f,
                "the server's certificate is for another host (it is for {}): use a host of the certificate in --url, or for a test --insecure",
                names(presented)
            ),
            Certificate::NotValidForName => write!(
                f,
                "the server's certificate is for another host: use a host of the certificate in --url, or for a test --insecure"
            ),
            Certificate::ExpiredContext { time, not_after } => write!(
                f,
                "the server's certificate is out of date (it expired {} ago): renew it, check this machine's clock, or for a test --insecure",
                span(time.as_secs().saturating_sub(not_after.as_secs()))
            ),
            Certificate::NotValidYetContext { time, not_before } => write!(
                f,
                "the server's certificate is out of date (it begins in {}): renew it, check this machine's clock, or for a test --insecure",
                span(not_before.as_secs().saturating_sub(time.as_secs()))
            ),
            Certificate::Expired | Certificate::NotValidYet => write!(
                f,
                "the server's certificate is out of date: renew it, check this machine's clock, or for a test --insecure"
            ),
            Certificate::InvalidPurposeContext { .. } | Certificate::InvalidPurpose => write!(
                f,
                "the server's certificate is not for servers (extended key usage): have it issued for one, or for a test --insecure"
            ),
            Certificate::Other(error) => match error.0.downcast_ref() {
                Some(webpki::Error::NameConstraintViolation) => write!(
                    f,
                    "the server's certificate is for names that its CA may not vouch for: have it issued by another CA, or for a test --insecure"
                ),
                _ => unusable(f, "a reason that has no name"),
            },
            other => unusable(f, &words(other)),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.error {
            Error::InvalidCertificate(error) => self.certificate(error, f),
            Error::InvalidMessage(InvalidMessage::InvalidContentType) => write!(
                f,
                "the server does not speak TLS on this port: use ws:// in --url, or the port for wss"
            ),
            Error::AlertReceived(alert) => write!(
                f,
                "the server refused the TLS handshake ({}): its log says why",
                alert_name(*alert)
            ),
            Error::PeerIncompatible(what) => write!(
                f,
                "the server and loadgen have no TLS version or algorithm in common ({}): TLS 1.2 or 1.3 is needed",
                words(what)
            ),
            Error::NoApplicationProtocol => write!(
                f,
                "the server speaks another protocol inside TLS (ALPN): this port is not for WebSockets"
            ),
            Error::InvalidMessage(what) => broken(f, &words(what)),
            Error::PeerMisbehaved(what) => broken(f, &words(what)),
            Error::InappropriateMessage { .. } | Error::InappropriateHandshakeMessage { .. } => {
                broken(f, "a message out of turn")
            }
            Error::DecryptError => broken(f, "a record that can't be opened"),
            Error::PeerSentOversizedRecord => broken(f, "a record that is too large"),
            other => write!(f, "TLS failed: {other}"),
        }
    }
}

impl std::error::Error for Fault {}

fn unusable(f: &mut fmt::Formatter<'_>, why: &str) -> fmt::Result {
    write!(
        f,
        "the server's certificate cannot be used ({why}): replace it, or for a test use --insecure"
    )
}

fn broken(f: &mut fmt::Formatter<'_>, what: &str) -> fmt::Result {
    write!(f, "the server broke TLS ({what})")
}

/// Nothing is wrong with the certificate itself but who has signed it. One that may sign others, shown by a server, is
/// most often signed by itself.
pub(in crate::engine) fn is_about_the_issuer(error: &CertificateError) -> bool {
    match error {
        CertificateError::UnknownIssuer | CertificateError::BadSignature => true,
        CertificateError::Other(error) => {
            error.0.downcast_ref() == Some(&webpki::Error::CaUsedAsEndEntity)
        }
        _ => false,
    }
}

/// `DnsName("a.example")` and `IpAddress(127.0.0.1)`, which is how the library presents them, as a user writes them.
fn names(presented: &[String]) -> String {
    let plain = presented.iter().map(|name| {
        let inner = name
            .split_once('(')
            .map_or(name.as_str(), |(_, inner)| inner);
        inner.trim_matches(['(', ')', '"'])
    });
    let plain: Vec<&str> = plain.collect();
    if plain.is_empty() {
        "no host at all".to_owned()
    } else {
        plain.join(", ")
    }
}

/// A length of time, roughly.
fn span(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds} seconds"),
        120..7_200 => format!("{} minutes", seconds / 60),
        7_200..172_800 => format!("{} hours", seconds / 3_600),
        _ => format!("{} days", seconds / 86_400),
    }
}

/// The name of an alert, as RFC 8446 section 6 has it.
fn alert_name(alert: AlertDescription) -> String {
    match alert {
        AlertDescription::Unknown(number) => format!("alert {number}"),
        known => words(&known).replace(' ', "_"),
    }
}

/// `NoSignatureSchemesInCommon` as words.
fn words(variant: &dyn fmt::Debug) -> String {
    let text = format!("{variant:?}");
    let name = text
        .split(|c: char| !c.is_alphanumeric())
        .next()
        .unwrap_or_default();
    let mut words = String::new();
    for (at, c) in name.char_indices() {
        if c.is_uppercase() && at > 0 {
            words.push(' ');
        }
        words.extend(c.to_lowercase());
    }
    words
}

#[cfg(test)]
mod tests {
    use rustls::{PeerIncompatible, PeerMisbehaved};

    use super::*;

    fn said(error: Error, given: bool) -> String {
        Fault::new(error, given).to_string()
    }

    #[test]
    fn no_advice_is_given_twice() {
        for error in [
            CertificateError::UnknownIssuer,
            CertificateError::BadSignature,
        ] {
            let error = Error::InvalidCertificate(error);
            assert!(said(error.clone(), false).contains("trust its CA with --ca FILE"));
            let followed = said(error, true);
            assert!(
                !followed.contains("--ca FILE") && followed.contains("--insecure"),
                "{followed}"
            );
        }
    }

    #[test]
    fn nothing_of_the_librarys_source_is_shown() {
        let presented = ["DnsName(\"a.example\")", "IpAddress(127.0.0.1)"].map(str::to_owned);
        let other = |error| CertificateError::Other(rustls::OtherError(std::sync::Arc::new(error)));
        for (error, want) in [
            (
                CertificateError::NotValidForNameContext {
                    expected: "b.example".try_into().expect("a name"),
                    presented: presented.to_vec(),
                }
                .into(),
                "(it is for a.example, 127.0.0.1)",
            ),
            (
                CertificateError::UnhandledCriticalExtension.into(),
                "(unhandled critical extension)",
            ),
            (
                other(webpki::Error::NameConstraintViolation).into(),
                "its CA may not vouch for",
            ),
            (
                other(webpki::Error::CaUsedAsEndEntity).into(),
                "not trusted",
            ),
            (other(webpki::Error::BadDer).into(), "cannot be used"),
            (
                Error::AlertReceived(AlertDescription::HandshakeFailure),
                "(handshake_failure)",
            ),
            (
                Error::AlertReceived(AlertDescription::Unknown(7)),
                "(alert 7)",
            ),
            (
                PeerIncompatible::NoSignatureSchemesInCommon.into(),
                "(no signature schemes in common)",
            ),
            (
                PeerMisbehaved::TooManyEmptyFragments.into(),
                "(too many empty fragments)",
            ),
            (
                InvalidMessage::UnexpectedMessage("CamelCase").into(),
                "(unexpected message)",
            ),
            (Error::DecryptError, "a record that can't be opened"),
        ] {
            let line = said(error, false);
            assert!(line.contains(want), "{want}: {line}");
            // No CamelCase and no quotes.
            let odd = |word: &str| {
                let mut letters = word.chars().skip(1);
                letters.any(char::is_uppercase) && word.chars().any(char::is_lowercase)
            };
            assert!(
                !line.split(|c: char| !c.is_alphanumeric()).any(odd) && !line.contains('"'),
                "{line}"
            );
        }
    }
}
