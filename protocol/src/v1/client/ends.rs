//! What a client does when its socket has closed (section 11 of `docs/PROTOCOL.md`).
//!
//! Owns: the table from close codes to what comes next.
//! Must not know: how long to wait.
//! Invariant: every code has an answer, also those that nobody has thought of yet.

use crate::close::CloseCode;

/// What comes next.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Next {
    /// Another socket, after a random moment of up to a second, then backing off.
    Resume,
    /// The same, but not within the next second.
    ResumeLater,
    /// Nothing: the session is at its end.
    Stop,
}

/// What comes after a close with this code; None: the connection broke.
#[must_use]
pub const fn after(code: Option<CloseCode>) -> Next {
    let Some(code) = code else {
        return Next::Resume;
    };
    match code {
        CloseCode::OVERLOADED => Next::ResumeLater,
        CloseCode::SLOW_CONSUMER | CloseCode::IDLE => Next::Resume,
        CloseCode::NORMAL
        | CloseCode::PROTOCOL_ERROR
        | CloseCode::INVALID_PAYLOAD
        | CloseCode::POLICY
        | CloseCode::TOO_BIG => Next::Stop,
        CloseCode(0..3000) => Next::Resume,
        CloseCode(3000..) => Next::Stop,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The table of `docs/PROTOCOL.md`, row by row.
    #[test]
    fn every_code_has_the_answer_of_the_document() {
        let document = include_str!("../../../../docs/PROTOCOL.md");
        let (_, table) = document
            .split_once("| code | means |")
            .expect("a table of codes");
        let rows = table
            .lines()
            .skip(2)
            .take_while(|line| line.starts_with('|'));
        let mut checked = 0;
        for row in rows {
            let cells: Vec<&str> = row.split('|').map(str::trim).collect();
            let next = match cells[4] {
                "stop" => Next::Stop,
                "resume" => Next::Resume,
                "resume, waiting at least 1 s" => Next::ResumeLater,
                // The row of all others.
                _ => continue,
            };
            for code in cells[1].split(", ") {
                let code = CloseCode(code.parse().expect("a code"));
                assert_eq!(after(Some(code)), next, "{code}");
                checked += 1;
            }
        }
        assert!(checked >= 20, "{checked}");
        assert_eq!(after(None), Next::Resume);
        for (code, next) in [
            (1003, Next::Resume),
            (2999, Next::Resume),
            (3000, Next::Stop),
            (4999, Next::Stop),
        ] {
            assert_eq!(after(Some(CloseCode(code))), next, "{code}");
        }
    }
}
