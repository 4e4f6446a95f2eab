//! What is served where.
//!
//! Invariant: a request that panics is answered with 500, and nothing else notices.

use std::sync::Arc;

use axum::extract::{DefaultBodyLimit, Extension, Request, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Router, middleware};

use super::process::Process;
use super::rights::{By, Right, Rights};
use super::{api, commands, metrics};
use crate::limits::COMMAND_BYTES_MAX;

/// <https://prometheus.io/docs/specs/om/open_metrics_spec/>, section "Text format".
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Everything that is served. Doors add by which kind of them a request came.
pub(super) fn router(process: Arc<Process>, rights: Arc<Rights>) -> Router {
    let may = |right| from_fn_with_state((right, Arc::clone(&rights)), may);
    let scraped = Router::new()
        .route("/metrics", get(scrape))
        .with_state(Arc::clone(&process))
        .route_layer(may(Right::Scrape));
    let asked = api::router(Arc::clone(&process)).merge(commands::router(Arc::clone(&process)));
    let asked = asked.route_layer(may(Right::Command));
    alone(scraped.merge(asked), process).layer(DefaultBodyLimit::max(COMMAND_BYTES_MAX))
}

/// Each request in a task of its own.
fn alone(router: Router, process: Arc<Process>) -> Router {
    router.layer(from_fn(move |request: Request, next: Next| {
        let process = Arc::clone(&process);
        async move {
            let response = match tokio::spawn(next.run(request)).await {
                Ok(response) => response,
                Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
            };
            process.health.answered(response.status());
            response
        }
    }))
}

async fn may(
    State((right, rights)): State<(Right, Arc<Rights>)>,
    Extension(by): Extension<By>,
    request: Request,
    next: middleware::Next,
) -> Response {
    match rights.judge(right, by, request.headers()) {
        Ok(()) => next.run(request).await,
        Err(refusal) => refusal.into_response(),
    }
}

async fn scrape(State(process): State<Arc<Process>>) -> Response {
    match metrics::text(process) {
        Ok(text) => ([(CONTENT_TYPE, OPEN_METRICS)], text).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use hyper_util::service::TowerToHyperService;
    use tokio::runtime::Builder;

    use super::*;

    #[test]
    fn a_request_that_panics_is_answered_and_the_next_one_too() {
        async fn planted() -> &'static str {
            panic!("planted")
        }
        let router = Router::new()
            .route("/panics", get(planted))
            .route("/works", get(|| async { "yes" }));
        let process = Arc::new(Process::unserved(1));
        let service = TowerToHyperService::new(alone(router, Arc::clone(&process)));
        let ask = |path: &str| {
            let request = Request::builder().uri(path).body(Body::empty()).unwrap();
            hyper::service::Service::call(&service, request)
        };
        let runtime = Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            assert_eq!(
                ask("/panics").await.unwrap().status(),
                StatusCode::INTERNAL_SERVER_ERROR
            );
            assert_eq!(ask("/works").await.unwrap().status(), StatusCode::OK);
        });
        let counted = [("answered", 1), ("refused", 0), ("failed", 1)];
        assert_eq!(process.health.requests(), counted);
    }
}
