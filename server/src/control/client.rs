//! The other side of the admin API: one request and its answer.

use std::io;
use std::time::Duration;

use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use axum::http::{HeaderValue, Method, Request};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::runtime::Builder;
use tokio::time::timeout;

use super::door::Place;
use super::rights::Token;
use crate::limits::{ANSWER_BYTES_MAX, CONTROL_EXCHANGE_MS};

/// What came back.
#[derive(Debug)]
pub struct Reply {
    /// The status of HTTP.
    pub status: u16,
    /// Its body.
    pub text: String,
}

/// Asks for a path, or sends this along.
///
/// # Errors
///
/// When nobody answers there, in time, or what answers does not speak HTTP.
pub fn exchange(
    place: &Place,
    token: Option<&Token>,
    path: &str,
    sent: Option<&Value>,
) -> io::Result<Reply> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let request = request(token, path, sent).map_err(io::Error::other)?;
    let exchange = async {
        match place {
            Place::Tcp(address) => converse(TcpStream::connect(address).await?, request).await,
            Place::Unix(path) => converse(UnixStream::connect(path).await?, request).await,
        }
    };
    let most = Duration::from_millis(CONTROL_EXCHANGE_MS);
    runtime.block_on(async { timeout(most, exchange).await? })
}

fn request(
    token: Option<&Token>,
    path: &str,
    sent: Option<&Value>,
) -> Result<Request<Full<Bytes>>, axum::http::Error> {
    let method = sent.map_or(Method::GET, |_| Method::POST);
    let body = sent.map(Value::to_string).unwrap_or_default();
    let mut request = Request::builder()
        .method(method)
        .uri(path)
        .header(HOST, "localhost")
        .header(CONTENT_TYPE, "application/json")
        .body(Full::new(Bytes::from(body)))?;
    if let Some(token) = token {
        let mut value = HeaderValue::from_bytes(&token.field())?;
        value.set_sensitive(true);
        request.headers_mut().insert(AUTHORIZATION, value);
    }
    Ok(request)
}

async fn converse<S>(stream: S, request: Request<Full<Bytes>>) -> io::Result<Reply>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let io = TokioIo::new(stream);
    let (mut sender, connection) = http1::handshake(io).await.map_err(io::Error::other)?;
    // Its end is that of the answer, which says more.
    drop(tokio::spawn(connection));
    let response = sender.send_request(request);
    let response = response.await.map_err(io::Error::other)?;
    let status = response.status().as_u16();
    let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX);
    let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
    let text = String::from_utf8_lossy(&body).into_owned();
    Ok(Reply { status, text })
}
