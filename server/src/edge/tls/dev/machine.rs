//! This machine's names, as certificates know them.

use std::collections::BTreeSet;
use std::env;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// For whom certificates are made.
#[derive(Debug, Clone)]
pub struct Machine {
    /// The host name, as the operating system has it.
    pub host: String,
    /// The login name.
    pub user: String,
}

impl Machine {
    /// The one this runs on.
    pub fn this() -> Self {
        let user = ["USER", "LOGNAME"]
            .iter()
            .find_map(|name| env::var(name).ok());
        Self {
            host: gethostname::gethostname().to_string_lossy().into_owned(),
            user: user.unwrap_or_else(|| "unknown user".to_owned()),
        }
    }

    /// Names a leaf must have.
    pub(super) fn names(&self) -> BTreeSet<String> {
        let host = self.host.to_ascii_lowercase();
        let label = host.split('.').next().unwrap_or_default();
        let names = [
            "localhost".to_owned(),
            host.clone(),
            format!("{label}.local"),
        ];
        let is_name = |name: &str| {
            name.len() <= 253
                && name.split('.').all(|label| {
                    (1..=63).contains(&label.len())
                        && label
                            .bytes()
                            .all(|b| b.is_ascii_alphanumeric() || b == b'-')
                })
        };
        names.into_iter().filter(|name| is_name(name)).collect()
    }

    /// Addresses a leaf must have.
    pub(super) fn addresses() -> BTreeSet<IpAddr> {
        [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()].into()
    }
}
