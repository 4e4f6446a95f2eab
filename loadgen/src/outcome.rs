//! What came out of a run: plain data, as measured.
//!
//! Owns the shape of a result. Must not know how it is measured, printed or judged by checks;
//! only whether the run itself can be trusted is said here ([`Outcome::validity`]).
//! Invariant: for the healthy, `delivered + superseded + lost == expected`, and every histogram holds all of
//! its values (those outside its range are counted in [`Outcome::overflow`], never clamped).

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

use hdrhistogram::Histogram;
use roomcast_protocol::close::CloseCode;

use crate::scenario::Scenario;

/// The smallest value that matters to a report, in nanoseconds (1 us); smaller ones are kept too.
pub const LOWEST_NS: u64 = 1_000;
/// The largest value a histogram holds, in nanoseconds (60 s).
pub const HIGHEST_NS: u64 = 60_000_000_000;
/// Significant decimal digits of every histogram.
pub const DIGITS: u8 = 3;

/// A histogram as all in an [`Outcome`] are: nanoseconds up to [`HIGHEST_NS`] (recorded from 1 ns
/// on, so that three digits also hold at 1 us), [`DIGITS`] digits, not resizing.
pub fn empty_histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, HIGHEST_NS, DIGITS).expect("constant bounds are valid")
}

/// Everything that was measured. All histograms are in nanoseconds.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// What was run.
    pub scenario: Scenario,
    /// The address the target resolved to.
    pub address: SocketAddr,
    /// When the run began (wall clock).
    pub started_at: SystemTime,
    /// When the measured time began (wall clock): time zero of the time line.
    pub measured_at: SystemTime,
    /// How long each stage took.
    pub stages: Stages,
    /// When the run was stopped before its time, if it was; what was measured until then is
    /// complete in itself.
    pub interrupted: Option<Stopped>,

    /// `connect` called to TCP established, one value per connection of the ramp.
    pub connect: Histogram<u64>,
    /// TCP established to TLS handshake complete, full or resumed, one value per connection that
    /// got so far, of clients that came back too. Empty unless the target is `wss`.
    pub tls: Histogram<u64>,
    /// Upgrade request written to 101 read, one value per connection of the ramp.
    pub join: Histogram<u64>,
    /// `connect` called to 101 read, for the rejoins of churning clients.
    pub rejoin: Histogram<u64>,
    /// `connect` called to RESUMED read, for players whose connection was lost.
    pub resume: Histogram<u64>,
    /// How old the newest value of each sender is at each receiver, both healthy, from when it was to be set; looked at in
    /// moments that are evenly spread over the measured time.
    pub state_age: Histogram<u64>,
    /// The end of a host's connection to the end of what its successor is told: that it is the host, snapshot and tail.
    pub host_change: Histogram<u64>,
    /// Intended send time to read by the receiver; healthy sender, healthy receiver. The latency.
    pub latency: Histogram<u64>,
    /// The same deliveries from the time the message was really written: what a closed schedule
    /// would have reported.
    pub latency_uncorrected: Histogram<u64>,
    /// Deliveries from or to a misbehaving client, from the intended send time; and those that were due before both
    /// players had come back from a lost connection.
    pub latency_misbehaving: Histogram<u64>,
    /// Intended send time to the time the generator tried to write it: the generator's own lag.
    pub send_lag: Histogram<u64>,
    /// How long a socket the kernel had reported as readable waited until it was read: the
    /// generator's own lag on the receiving side, one value per read.
    pub receive_wait: Histogram<u64>,
    /// The measured time in intervals, then those of the drain in which something arrived.
    pub timeline: Vec<Interval>,

    /// Measured messages from healthy senders to healthy receivers. Exact.
    pub healthy: Counts,
    /// Messages from or to misbehaving clients, of the warm-up too (`lost` means gaps that were seen while
    /// the receiver was a member; what nobody can know is not counted).
    pub misbehaving: Counts,
    /// The warm-up's messages between healthy clients: not measured, but not to be lost either.
    pub warmup: Counts,
    /// How connections fared.
    pub connections: Connections,
    /// How the server ended connections of healthy clients.
    pub endings: Endings,
    /// Bytes read in the measured time, with all framing.
    pub bytes_in: u64,
    /// Bytes written in the measured time, with all framing.
    pub bytes_out: u64,
    /// Values above [`HIGHEST_NS`], over all histograms.
    pub overflow: u64,

    /// What the server used, if its process is known and on this machine.
    pub server: Option<ServerUsage>,
    /// What the generator used.
    pub generator: GeneratorUsage,
    /// Why the run must not be trusted; empty: valid.
    pub validity: Vec<InvalidReason>,
}

impl Outcome {
    /// Whether the run can be trusted.
    pub fn is_valid(&self) -> bool {
        self.validity.is_empty()
    }

    /// Healthy deliveries per second of the measured time; those of the drain do not count.
    pub fn delivery_rate(&self) -> f64 {
        let time = self.stages.measured;
        if time.is_zero() {
            0.0
        } else {
            self.healthy.delivered_in_time as f64 / time.as_secs_f64()
        }
    }

    /// Lost of expected, 0 to 1; healthy only.
    pub fn loss_ratio(&self) -> f64 {
        if self.healthy.expected == 0 {
            0.0
        } else {
            self.healthy.lost as f64 / self.healthy.expected as f64
        }
    }
}

/// When a run was stopped before its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stopped {
    /// While clients connected.
    Ramp,
    /// In the silence before the traffic.
    Settle,
    /// In the warm-up or the measured time.
    Traffic,
    /// While stragglers were waited for: what is lost may only be late.
    Drain,
}

/// How long each stage took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stages {
    /// First `connect` to last join.
    pub ramp: Duration,
    /// Silence before the traffic.
    pub settle: Duration,
    /// Traffic that was not measured.
    pub warmup: Duration,
    /// The measured time.
    pub measured: Duration,
    /// Waiting for stragglers.
    pub drain: Duration,
    /// Closing every connection.
    pub close: Duration,
}

/// Messages and deliveries. A message belongs to a stage by its *intended* send time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Messages whose intended send time passed.
    pub offered: u64,
    /// Messages wholly written to a socket, in time or late.
    pub sent: u64,
    /// Messages wholly written before the measured time ended (what the offered rate is judged
    /// by); equal to `sent` for the warm-up.
    pub sent_in_time: u64,
    /// Messages that fell due while their socket was full: the server did not read.
    pub blocked: u64,
    /// Offered messages that were never sent because their sender was not connected: the server
    /// had ended its connection, or it had never joined.
    pub unconnected: u64,
    /// Deliveries that had to happen: sent messages times receivers, but for what a receiver missed who was told so.
    pub expected: u64,
    /// Deliveries that happened, each counted once.
    pub delivered: u64,
    /// Deliveries that happened before the measured time ended (what a rate may be computed
    /// from, because a backlog that is delivered afterwards was not delivered at that rate).
    pub delivered_in_time: u64,
    /// Deliveries that did not happen: `expected - delivered - superseded`, summed over every (receiver,
    /// sender) pair. One that arrived only corrupted is lost too.
    pub lost: u64,
    /// Values that a newer one took the place of before they were sent to a receiver, as the relay says, as far as some are
    /// missing; always 0 in raw mode.
    pub superseded: u64,
    /// Deliveries that had happened before.
    pub duplicates: u64,
    /// Deliveries that came after a later message of the same sender.
    pub reordered: u64,
    /// Messages whose checksum or shape was wrong. Charged to the receiver's kind, whatever the
    /// stage.
    pub corrupted: u64,
    /// Messages of another room or another run. Charged like `corrupted`.
    pub leaked: u64,
    /// A sender's own messages that came back to it. Charged like `corrupted`.
    pub own_echoed: u64,
}

impl Counts {
    /// Deliveries that have not happened, and that nothing else took the place of.
    pub fn missing(&self) -> u64 {
        self.expected
            .saturating_sub(self.delivered)
            .saturating_sub(self.superseded)
    }

    /// Adds another part of the same run.
    pub fn add(&mut self, other: &Counts) {
        self.offered += other.offered;
        self.sent += other.sent;
        self.sent_in_time += other.sent_in_time;
        self.blocked += other.blocked;
        self.unconnected += other.unconnected;
        self.expected += other.expected;
        self.delivered += other.delivered;
        self.delivered_in_time += other.delivered_in_time;
        self.lost += other.lost;
        self.superseded += other.superseded;
        self.duplicates += other.duplicates;
        self.reordered += other.reordered;
        self.corrupted += other.corrupted;
        self.leaked += other.leaked;
        self.own_echoed += other.own_echoed;
    }
}

/// How connections fared.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Connections {
    /// Connections of the ramp that reached the 101.
    pub joined: u64,
    /// Connections of the ramp that did not, by reason ("connection refused", "HTTP status 503").
    pub failed: BTreeMap<String, u64>,
    /// Of `failed`, clients that the server turned away itself: it refused or ended the
    /// connection, or answered with anything but the 101.
    pub refused: u64,
    /// Healthy clients that lost their connection before the close stage.
    pub disconnected: u64,
    /// Misbehaving clients that lost their connection without leaving.
    pub disconnected_misbehaving: u64,
    /// Connections that loadgen hung up because the server broke the protocol, by the rule that it
    /// broke, misbehaving clients' included.
    pub violations: BTreeMap<String, u64>,
    /// Of `disconnected`, TLS connections that the server ended without a close_notify (RFC 8446
    /// section 6.1): what it sent last may be missing.
    pub truncated: u64,
    /// TLS handshakes that authenticated the server anew.
    pub tls_full: u64,
    /// TLS handshakes that resumed the session of an earlier connection.
    pub tls_resumed: u64,
    /// Close codes the server sent before the close stage (to anyone); 1005 for an empty close
    /// frame, 1006 for none.
    pub close_codes: BTreeMap<u16, u64>,
    /// Times a churning client left.
    pub leaves: u64,
    /// Times a churning client was back.
    pub rejoins: u64,
    /// Times a churning client could not get back in.
    pub rejoins_failed: u64,
    /// Connections of players that were cut on purpose.
    pub drops: u64,
    /// Of these, connections of hosts that ended because it was a host's turn.
    pub host_kills: u64,
    /// Times a player who had lost its connection went on where it was.
    pub resumes: u64,
    /// Times it could not get back in; it tries again.
    pub resumes_failed: u64,
    /// Times a healthy player was told that it can't go on where it was: what it missed is not lost.
    pub resets: u64,
    /// The same of misbehaving ones.
    pub resets_misbehaving: u64,
    /// Connections that were not closed in the close stage with a close frame and an end of
    /// stream in time.
    pub close_failed: u64,
}

impl Connections {
    /// Adds another part of the same run.
    pub fn add(&mut self, other: &Connections) {
        self.joined += other.joined;
        for (reason, count) in &other.failed {
            *self.failed.entry(reason.clone()).or_default() += count;
        }
        self.refused += other.refused;
        self.disconnected += other.disconnected;
        self.disconnected_misbehaving += other.disconnected_misbehaving;
        for (rule, count) in &other.violations {
            *self.violations.entry(rule.clone()).or_default() += count;
        }
        self.truncated += other.truncated;
        self.tls_full += other.tls_full;
        self.tls_resumed += other.tls_resumed;
        for (&code, count) in &other.close_codes {
            *self.close_codes.entry(code).or_default() += count;
        }
        self.leaves += other.leaves;
        self.rejoins += other.rejoins;
        self.rejoins_failed += other.rejoins_failed;
        self.drops += other.drops;
        self.host_kills += other.host_kills;
        self.resumes += other.resumes;
        self.resumes_failed += other.resumes_failed;
        self.resets += other.resets;
        self.resets_misbehaving += other.resets_misbehaving;
        self.close_failed += other.close_failed;
    }

    /// Connections of the ramp that failed, for whatever reason.
    pub fn failed_total(&self) -> u64 {
        self.failed.values().sum()
    }
}

/// How the server ended connections of healthy clients that should have lasted until the close
/// stage.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Endings {
    /// Their close codes; 1005 for an empty close frame, 1006 for none.
    pub codes: BTreeMap<u16, u64>,
    /// When the first ended, since the traffic began; zero if it was before. `None`: none ended.
    pub first: Option<Duration>,
    /// Nobody healthy was left before the traffic was over, so the run ended then.
    pub all: bool,
}

/// One interval of the time line.
#[derive(Clone, Debug)]
pub struct Interval {
    /// Since the measured time began.
    pub start: Duration,
    /// How long it really was.
    pub length: Duration,
    /// Latency of the measured healthy deliveries that *arrived* in it, in nanoseconds.
    pub latency: SparseHistogram,
    /// Measured messages of healthy senders that fell due in it.
    pub offered: u64,
    /// Measured messages of healthy senders wholly written in it.
    pub sent: u64,
    /// Measured healthy deliveries that arrived in it.
    pub delivered: u64,
    /// The longest own lag of the generator in it, sending or receiving.
    pub max_lag: Duration,
    /// CPU time of the server in it (user + system), if known.
    pub server_cpu: Option<Duration>,
}

/// A histogram that keeps only the values that occurred, so that an hour of intervals is small.
/// Buckets are those of [`empty_histogram`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SparseHistogram {
    /// (A value of the bucket in ns, how often), ascending.
    counts: Vec<(u64, u64)>,
}

impl SparseHistogram {
    /// From (value in ns, count), ascending, one per bucket.
    pub fn from_counts(counts: Vec<(u64, u64)>) -> Self {
        debug_assert!(counts.is_sorted());
        Self { counts }
    }

    /// (Value in ns, count), ascending.
    pub fn counts(&self) -> &[(u64, u64)] {
        &self.counts
    }

    /// Number of values.
    pub fn len(&self) -> u64 {
        self.counts.iter().map(|(_, n)| n).sum()
    }

    /// No value at all.
    pub fn is_empty(&self) -> bool {
        self.counts.is_empty()
    }

    /// The whole histogram again, for percentiles and for the interval log.
    pub fn to_histogram(&self) -> Histogram<u64> {
        let mut whole = empty_histogram();
        for &(value, count) in &self.counts {
            whole
                .record_n(value, count)
                .expect("values came out of a histogram of the same bounds");
        }
        whole
    }
}

/// What the server's process used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ServerUsage {
    /// Its process id.
    pub pid: u32,
    /// CPU time in user mode over the measured time.
    pub cpu_user: Duration,
    /// CPU time in the kernel over the measured time.
    pub cpu_system: Duration,
    /// Both together to the nanosecond, where the kernel tells.
    pub cpu: Option<Duration>,
    /// Deliveries (healthy and not) that were read in the measured time: the divisor.
    pub deliveries: u64,
    /// Resident memory before the first connection, in bytes.
    pub rss_before: u64,
    /// Resident memory with all connected and none sending, in bytes.
    pub rss_idle: u64,
    /// Resident memory at the end of the drain, all still connected, in bytes.
    pub rss_end: u64,
    /// The most resident memory the process ever had, in bytes.
    pub rss_peak: u64,
    /// Connections open at `rss_idle`.
    pub connections: u64,
}

impl ServerUsage {
    /// User CPU per delivery in nanoseconds.
    pub fn user_per_delivery(&self) -> Option<f64> {
        self.per_delivery(self.cpu_user)
    }

    /// Kernel CPU per delivery in nanoseconds.
    pub fn system_per_delivery(&self) -> Option<f64> {
        self.per_delivery(self.cpu_system)
    }

    /// All CPU per delivery in nanoseconds.
    pub fn cpu_per_delivery(&self) -> Option<f64> {
        self.per_delivery(self.cpu.unwrap_or(self.cpu_user + self.cpu_system))
    }

    /// Bytes of resident memory per idle connection; meaningless (and `None`) if memory shrank.
    pub fn memory_per_connection(&self) -> Option<f64> {
        let grown = self.rss_idle.checked_sub(self.rss_before)?;
        (self.connections > 0).then(|| grown as f64 / self.connections as f64)
    }

    fn per_delivery(&self, cpu: Duration) -> Option<f64> {
        (self.deliveries > 0).then(|| cpu.as_nanos() as f64 / self.deliveries as f64)
    }
}

/// What the generator itself used, over the measured time.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct GeneratorUsage {
    /// Threads that drove clients.
    pub threads: usize,
    /// Cores that are theirs: those of the machine, or half of them if the server is on it too.
    pub cores: usize,
    /// CPU time of those threads, here and below without the time they were awake only to be
    /// punctual.
    pub cpu: Duration,
    /// The busiest thread: its CPU time as a share of the measured time, 0 to 1.
    pub busiest_share: f64,
    /// The thread that had least to spare: CPU time plus time spent runnable but waiting for a
    /// core, as a share of the measured time, 0 to 1.
    pub busiest_occupied: f64,
    /// The longest own lag, sending or receiving.
    pub max_lag: Duration,
    /// The longest loop iteration that did not sleep.
    pub max_iteration: Duration,
}

/// What a generator was short of that could not keep up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShortOf {
    /// Its threads used all of their time, and there are cores for more of them.
    Threads,
    /// Its threads used all of their time, and all of the cores that are theirs.
    Cores,
    /// It had work and threads, but others had the cores.
    Time,
    /// It was late without being busy or crowded out: the machine itself stood still.
    Machine,
}

impl fmt::Display for ShortOf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Threads => "give it more --threads, or offer less",
            Self::Cores => "its threads have all the cores there are for them: offer less, or add another machine (loadgen merge)",
            Self::Time => "other programs took the machine's time while it was ready to run: stop them, or move it or the server to another machine",
            Self::Machine => "it was neither busy nor waiting for a core, so the machine itself stood still: run it again, or on another machine",
        })
    }
}

/// Why a run must not be trusted.
#[derive(Clone, Debug, PartialEq)]
pub enum InvalidReason {
    /// The server ended so many connections of healthy clients that the offered rate was missed
    /// for want of senders. Says nothing against the generator.
    ConnectionsEnded {
        /// How many.
        ended: u64,
        /// Of how many healthy clients.
        clients: u64,
        /// Close codes and when it began.
        endings: Endings,
    },
    /// So it was, and loadgen hung up because the server had broken the protocol.
    ProtocolBroken {
        /// Connections on which it was.
        broken: u64,
        /// Of how many clients.
        clients: u64,
        /// The rule that was broken most often.
        mostly: String,
    },
    /// Of the messages whose senders were connected, fewer than 99 % were written in the measured
    /// time.
    OfferedRateMissed {
        /// Messages that fell due while their sender was connected.
        offered: u64,
        /// Of these, written in time.
        sent: u64,
        /// Of these, those that found the socket full: the server did not read.
        blocked: u64,
    },
    /// The generator was the bottleneck: a thread had no time to spare and its own lag was more
    /// than a millisecond, or that lag was a large part of the p99 of latency (its p99s of sending
    /// and of receiving added up).
    GeneratorSaturated {
        /// Of the thread that had least to spare, 0 to 1.
        occupied: f64,
        /// What was short.
        short_of: ShortOf,
        /// p99 of the send lag.
        send_lag_p99: Duration,
        /// p99 of the receive wait.
        receive_wait_p99: Duration,
    },
    /// Some clients never joined.
    ConnectionsFailed {
        /// How many.
        failed: u64,
        /// Of how many.
        clients: u64,
        /// The most frequent reason.
        mostly: String,
    },
    /// No healthy delivery was measured.
    NothingMeasured,
    /// Some values were beyond the histograms.
    HistogramOverflow {
        /// How many.
        count: u64,
    },
    /// More gaps than are followed one by one: late arrivals may be counted as duplicates.
    AccountingOverflow,
}

impl fmt::Display for InvalidReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ConnectionsEnded {
                ended,
                clients,
                endings,
            } => write_endings(f, *ended, *clients, endings),
            Self::ProtocolBroken {
                broken,
                clients,
                mostly,
            } => write!(
                f,
                "the server broke the WebSocket or TLS protocol on {broken} of {clients} connections, which loadgen then ended: {mostly}"
            ),
            Self::OfferedRateMissed {
                offered,
                sent,
                blocked,
            } => {
                let missed = 100.0 * (1.0 - *sent as f64 / (*offered).max(1) as f64);
                write!(
                    f,
                    "the offered rate was missed by {missed:.1} %: {sent} of {offered} messages were written in time"
                )?;
                if *blocked > 0 {
                    write!(f, " ({blocked} found the server not reading)")?;
                }
                Ok(())
            }
            Self::GeneratorSaturated {
                occupied,
                short_of,
                send_lag_p99,
                receive_wait_p99,
            } => write!(
                f,
                "the generator was the bottleneck: a thread had {:.0} % of its time taken, send lag p99 was {:.1} ms and receive wait p99 {:.1} ms; {short_of}",
                occupied * 100.0,
                send_lag_p99.as_secs_f64() * 1e3,
                receive_wait_p99.as_secs_f64() * 1e3
            ),
            Self::ConnectionsFailed {
                failed,
                clients,
                mostly,
            } => write!(f, "{failed} of {clients} clients could not join: {mostly}"),
            Self::NothingMeasured => write!(f, "not one delivery was measured"),
            Self::HistogramOverflow { count } => {
                write!(
                    f,
                    "{count} values were above 60 s, more than a histogram holds"
                )
            }
            Self::AccountingOverflow => write!(
                f,
                "there were more gaps than can be followed: late arrivals may be counted as duplicates"
            ),
        }
    }
}

fn write_endings(
    f: &mut fmt::Formatter<'_>,
    ended: u64,
    clients: u64,
    endings: &Endings,
) -> fmt::Result {
    write!(f, "the server ended {ended} of {clients} connections")?;
    for (n, (code, times)) in endings.codes.iter().enumerate() {
        f.write_str(if n == 0 { " (" } else { ", " })?;
        write!(f, "{code}")?;
        if let Some(meaning) = meaning_of(*code) {
            write!(f, " {meaning}")?;
        }
        if endings.codes.len() > 1 {
            write!(f, " x {times}")?;
        }
    }
    if !endings.codes.is_empty() {
        f.write_str(")")?;
    }
    match endings.first {
        Some(first) if first.is_zero() => f.write_str(", the first before the traffic began"),
        Some(first) if ended == 1 => write!(f, " after {:.1} s of traffic", first.as_secs_f64()),
        Some(first) => write!(
            f,
            ", the first after {:.1} s of traffic",
            first.as_secs_f64()
        ),
        None => Ok(()),
    }
}

/// What a server that closes with this code usually means: RFC 6455 section 7.4.1, and from 4000
/// on Roomcast's own.
fn meaning_of(code: u16) -> Option<&'static str> {
    Some(match CloseCode(code) {
        CloseCode(1006) => "without a close frame",
        CloseCode::GOING_AWAY => "going away",
        CloseCode::POLICY => "against its policy",
        CloseCode::TOO_BIG => "message over its size limit",
        CloseCode::INTERNAL => "it failed",
        CloseCode::RESTART => "it restarts",
        CloseCode::OVERLOADED => "overloaded",
        CloseCode::ROOM_FULL => "room full",
        CloseCode::KICKED => "kicked",
        CloseCode::SLOW_CONSUMER => "receiver did not keep up",
        CloseCode::ROOM_CLOSED => "room closed",
        CloseCode::IDLE => "heard nothing from the client",
        _ => return None,
    })
}
