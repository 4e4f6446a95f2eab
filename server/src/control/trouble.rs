//! What is said where something is not answered: a status, and why, as JSON.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Serialize;

/// Why a request is not answered as it was meant.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Trouble {
    status: StatusCode,
    why: String,
}

#[derive(Serialize)]
struct Told {
    error: String,
}

impl Trouble {
    pub(super) fn new(status: StatusCode, why: impl Into<String>) -> Self {
        let why = why.into();
        Self { status, why }
    }

    pub(super) fn status(&self) -> StatusCode {
        self.status
    }
}

impl IntoResponse for Trouble {
    fn into_response(self) -> Response {
        (self.status, Json(Told { error: self.why })).into_response()
    }
}
