//! Asking reactors.
//!
//! Must not know: what is asked for whom. Invariant: nobody waits for a reactor longer than [`ASK_TIMEOUT_MS`]; who stops
//! waiting is noticed by the reactor before it works for the answer.

use std::time::Duration;

use axum::http::StatusCode;
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::health::Unanswered;
use super::process::Process;
use super::trouble::Trouble;
use crate::limits::ASK_TIMEOUT_MS;
use crate::reactor::{Address, Ask, Asker, Unasked};
use crate::shard::{Answer, Question};

impl From<Unanswered> for Trouble {
    fn from(unanswered: Unanswered) -> Self {
        let (status, reactor, what) = match unanswered {
            Unanswered::Full(reactor) => (
                StatusCode::SERVICE_UNAVAILABLE,
                reactor,
                "is asked too much",
            ),
            Unanswered::Gone(reactor) => (StatusCode::SERVICE_UNAVAILABLE, reactor, "has ended"),
            Unanswered::Late(reactor) => (
                StatusCode::GATEWAY_TIMEOUT,
                reactor,
                "did not answer in time",
            ),
        };
        Self::new(status, format!("reactor {reactor} {what}"))
    }
}

struct Waiting(oneshot::Sender<Answer>);

impl Asker for Waiting {
    fn is_gone(&self) -> bool {
        self.0.is_closed()
    }

    fn hear(self: Box<Self>, answer: Answer) {
        // Who has gone meanwhile wants none.
        let _ = self.0.send(answer);
    }
}

impl Process {
    /// Asks the reactor of that number and waits for its answer.
    pub(super) async fn ask(
        &self,
        reactor: usize,
        question: Question,
    ) -> Result<Answer, Unanswered> {
        let answer = ask(&self.addresses, reactor, question).await;
        answer.inspect_err(|why| self.health.unanswered(*why))
    }
}

async fn ask(
    addresses: &[Address],
    reactor: usize,
    question: Question,
) -> Result<Answer, Unanswered> {
    let address = addresses.get(reactor).ok_or(Unanswered::Gone(reactor))?;
    let (tell, told) = oneshot::channel();
    let asker = Box::new(Waiting(tell));
    address
        .ask(Ask { question, asker })
        .map_err(|unasked| match unasked {
            Unasked::Full => Unanswered::Full(reactor),
            Unasked::Gone => Unanswered::Gone(reactor),
        })?;
    match timeout(Duration::from_millis(ASK_TIMEOUT_MS), told).await {
        Ok(Ok(answer)) => Ok(answer),
        // It has dropped the question, as it does when it ends.
        Ok(Err(_)) => Err(Unanswered::Gone(reactor)),
        Err(_) => Err(Unanswered::Late(reactor)),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::thread;

    use tokio::runtime::Builder;

    use super::*;
    use crate::limits::{ASKS, Limits};
    use crate::reactor::Reactor;
    use crate::shard::Common;

    /// A reactor that does not run yet.
    fn reactor() -> (Reactor, Arc<Common>, [Address; 1]) {
        let common = Arc::new(Common::new(Limits::default(), 1));
        let reactor = Reactor::new(Arc::clone(&common), 0, Vec::new(), Vec::new()).unwrap();
        let addresses = [reactor.address()];
        (reactor, common, addresses)
    }

    #[test]
    fn who_does_not_answer_is_named_and_the_dropped_questions_cost_nothing() {
        let (reactor, common, addresses) = reactor();
        let runtime = Builder::new_current_thread().enable_time().build().unwrap();
        let asked = runtime.block_on(async {
            let rooms = || ask(&addresses, 0, Question::Rooms(0));
            assert_eq!(rooms().await, Err(Unanswered::Late(0)));
            // Polled once, so that each is in the lane; dropped, so nobody waits.
            for _ in 1..ASKS {
                assert!(timeout(Duration::ZERO, rooms()).await.is_err());
            }
            assert_eq!(rooms().await, Err(Unanswered::Full(0)));
            assert_eq!(
                ask(&addresses, 1, Question::Rooms(0)).await,
                Err(Unanswered::Gone(1))
            );
            let peers = addresses.to_vec();
            let running = thread::spawn(move || reactor.run(peers));
            // Until all that nobody waits for has been passed over, there may be no room.
            let answer = loop {
                match rooms().await {
                    Err(Unanswered::Full(0)) => tokio::task::yield_now().await,
                    other => break other,
                }
            };
            common.order_drain(0);
            addresses[0].wake();
            (answer, running)
        });
        let (answer, running) = asked;
        assert!(matches!(answer, Ok(Answer::Rooms(page)) if page.rows.is_empty()));
        running.join().unwrap().unwrap();
        let late = runtime.block_on(ask(&addresses, 0, Question::Rooms(0)));
        assert_eq!(late, Err(Unanswered::Gone(0)));
    }
}
