//! A relay under attack, and a pair of players, one over TLS and one not, who must not notice.

use std::collections::BTreeMap;
use std::sync::Arc;

use rustix::process::Signal;
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, SupportedProtocolVersion};

use super::exchange;
use super::session::Session;
use crate::relay::{Relay, ends};
use crate::stream::trusting;
use crate::wire::Wire;

pub(super) const VERSIONS: [&[&SupportedProtocolVersion]; 2] = [&[&TLS13], &[&TLS12]];

/// The room of the witnesses.
pub(super) const ROOM: &str = "/rooms/calm";

pub(super) struct Scene {
    pub(super) relay: Relay,
    pub(super) secure: Wire,
    pub(super) plain: Wire,
    said: u32,
}

impl Scene {
    pub(super) fn begin(flags: &[&str]) -> Self {
        let relay = Relay::start_secure(&[flags, &["--drain", "0"]].concat());
        let secure = Wire::join_tls(relay.secure_addr(), &relay.client(), ROOM);
        let plain = Wire::join(relay.addr(), ROOM);
        Self {
            relay,
            secure,
            plain,
            said: 0,
        }
    }

    /// A client of these versions of TLS.
    pub(super) fn client(
        &self,
        versions: &[&'static SupportedProtocolVersion],
    ) -> Arc<ClientConfig> {
        trusting(&self.relay.ca(), versions)
    }

    /// Somebody who is connected and has sent nothing yet.
    pub(super) fn stranger(&self, versions: &[&'static SupportedProtocolVersion]) -> Session {
        Session::connect(self.relay.secure_addr(), &self.client(versions))
    }

    /// Somebody in the witnesses' room.
    pub(super) fn seated(&self, versions: &[&'static SupportedProtocolVersion]) -> Session {
        Session::join(self.relay.secure_addr(), &self.client(versions), ROOM)
    }

    /// The witnesses get what they send each other, and nothing else.
    pub(super) fn calm(&mut self) {
        self.said += 1;
        exchange(&mut self.secure, &mut self.plain, &self.said.to_be_bytes());
    }

    /// The relay has ended everyone but the witnesses for these reasons, and these last, each as it should.
    pub(super) fn end(self, expected: &[(&str, u64)]) {
        let strangers = expected.iter().map(|(_, count)| count).sum::<u64>();
        let mut expected = ends(expected);
        expected.insert("drain".to_owned(), 2);
        assert_eq!(self.farewell(strangers), expected);
    }

    /// The relay has ended so many strangers; now it ends. Why whom.
    pub(super) fn farewell(mut self, strangers: u64) -> BTreeMap<String, u64> {
        self.calm();
        let Self {
            mut relay,
            secure,
            plain,
            ..
        } = self;
        relay.ended(strangers as usize);
        relay.signal(Signal::TERM);
        for mut witness in [secure, plain] {
            assert_eq!(witness.read_to_close(), Some(1012));
        }
        relay.farewell()
    }
}
