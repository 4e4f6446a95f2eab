//! Whether what an operator set can be had together.
//!
//! Owns: which limits contradict each other. Must not know: where they were set.

use crate::limits::Limits;

/// Whether limits agree with each other and let somebody play.
///
/// # Errors
///
/// One line that names the flags and says what to do.
pub(super) fn agreeing(limits: &Limits) -> Result<(), String> {
    let at_least_1ms = [
        ("--handshake-timeout", limits.handshake_ms),
        ("--idle-timeout", limits.idle_ms),
        ("--ping-interval", limits.ping_ms),
        ("--close-timeout", limits.close_ms),
        ("--congested-timeout", limits.congested_ms_max),
    ];
    if let Some((flag, _)) = at_least_1ms.iter().find(|(_, millis)| *millis == 0) {
        return Err(format!(
            "{flag} 0 would end every connection at once: give a time like 10s"
        ));
    }
    let at_least_1 = [
        ("--max-message", limits.max_message),
        ("--max-connections", limits.max_connections),
        ("--max-room-members", limits.max_room_members),
        ("--tls-handshakes", limits.tls_handshakes),
        ("--max-rooms", limits.max_rooms),
    ];
    if let Some((flag, _)) = at_least_1.iter().find(|(_, number)| *number == 0) {
        return Err(format!("{flag} 0 would let nobody play: give at least 1"));
    }
    if limits.ping_ms >= limits.idle_ms {
        return Err(format!(
            "--ping-interval ({} ms) must be shorter than --idle-timeout ({} ms), else silent players are never asked",
            limits.ping_ms, limits.idle_ms
        ));
    }
    if limits.flush_interval_ms > 1_000 {
        return Err(
            "--flush-interval above 1s is no game any more: give a few milliseconds, or 0".into(),
        );
    }
    if limits.outbox_bytes_max < limits.max_message {
        return Err(format!(
            "--outbox-max ({} bytes) must hold at least one message of --max-message ({} bytes)",
            limits.outbox_bytes_max, limits.max_message
        ));
    }
    Ok(())
}
