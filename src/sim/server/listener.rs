//! Accepts connections on 127.0.0.1, with optional TLS. A request handler can drop its connection.
//!
//! TLS handshakes run concurrently, so a silent peer does not block others.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use crate::sim::server::{Server, handle};

/// The maximum time of a handshake.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// Serves all connections until it is dropped, which drops them too.
pub(crate) async fn serve(listener: TcpListener, tls: Option<TlsAcceptor>, server: Arc<Server>) {
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let Ok((stream, _)) = listener.accept().await else {
            // Probably out of file handles: wait until others are closed.
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        // Without this option, small responses wait for the delayed acknowledgement of the peer.
        let _ = stream.set_nodelay(true);
        connections.spawn(open(stream, tls.clone(), Arc::clone(&server)));
    }
}

async fn open(stream: TcpStream, tls: Option<TlsAcceptor>, server: Arc<Server>) {
    let Some(tls) = tls else {
        return connection(stream, server).await;
    };
    if let Ok(Ok(stream)) = tokio::time::timeout(HANDSHAKE_TIMEOUT, tls.accept(stream)).await {
        connection(stream, server).await;
    }
}

async fn connection<S>(stream: S, server: Arc<Server>)
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let dropped = Arc::new(Notify::new());
    let router = Router::new().fallback(handle);
    let service = TowerToHyperService::new(router.with_state((server, Arc::clone(&dropped))));
    let builder = Builder::new(TokioExecutor::new());
    tokio::select! {
        // A connection that the peer ends early is no error of the simulator.
        _ = builder.serve_connection(TokioIo::new(stream), service) => {}
        () = dropped.notified() => {}
    }
}
