//! A listener on 127.0.0.1 with optional TLS, whose connections can be dropped at any time.
//!
//! The HTTP server writes header names in lower case; [`Connection`] restores the case of
//! `NextPageUri`. TLS handshakes run concurrently, so a silent peer does not block others.

use std::borrow::Cow;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use futures_util::task::AtomicWaker;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::TlsAcceptor;

/// The number of bytes in which the header is searched; response heads are shorter.
const MAX_HEAD: usize = 4096;

/// The maximum time of a handshake.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// A TCP or TLS stream.
trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// Drops one connection when it is sent.
#[derive(Default)]
struct DropSignal {
    done: AtomicBool,
    reader: AtomicWaker,
    writer: AtomicWaker,
}

impl DropSignal {
    fn check(&self, waker: &AtomicWaker, cx: &Context<'_>) -> io::Result<()> {
        waker.register(cx.waker());
        if self.done.load(Ordering::Acquire) {
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        Ok(())
    }

    fn send(&self) {
        self.done.store(true, Ordering::Release);
        self.reader.wake();
        self.writer.wake();
    }
}

/// The handle with which a request handler can drop its connection.
#[derive(Clone)]
pub(crate) struct ConnectionHandle(Arc<DropSignal>);

impl ConnectionHandle {
    /// Drops the connection; it is neither read nor written any more.
    pub(crate) fn drop_connection(&self) {
        self.0.send();
    }
}

impl Connected<IncomingStream<'_, Loopback>> for ConnectionHandle {
    fn connect_info(stream: IncomingStream<'_, Loopback>) -> Self {
        Self(Arc::clone(&stream.io().drop_signal))
    }
}

/// All open connections of a server.
#[derive(Clone, Default)]
pub(crate) struct Connections(Arc<Mutex<Vec<Weak<DropSignal>>>>);

impl Connections {
    fn add(&self) -> Arc<DropSignal> {
        let drop_signal = Arc::new(DropSignal::default());
        let mut connections = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        connections.retain(|connection| connection.strong_count() > 0);
        connections.push(Arc::downgrade(&drop_signal));
        drop_signal
    }

    /// Drops all connections.
    pub(crate) fn drop_all(&self) {
        let connections = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        connections
            .iter()
            .filter_map(Weak::upgrade)
            .for_each(|drop_signal| drop_signal.send());
    }
}

/// An accepted connection.
pub(crate) struct Connection {
    stream: Box<dyn Stream>,
    drop_signal: Arc<DropSignal>,
    /// `NextPageUri` in the case that the world sets.
    header: Arc<str>,
}

/// The bytes with the name of a header in another case. In HTTP/1.1, a response head is written
/// from its first byte on, so the name is in the first bytes.
fn recased<'a>(bytes: &'a [u8], header: &str) -> Cow<'a, [u8]> {
    if !bytes.starts_with(b"HTTP/1.") {
        return Cow::Borrowed(bytes);
    }
    let sent = format!("\r\n{}: ", header.to_ascii_lowercase());
    let head = &bytes[..bytes.len().min(MAX_HEAD)];
    let mut places = head.windows(sent.len());
    let Some(at) = places.position(|part| part == sent.as_bytes()) else {
        return Cow::Borrowed(bytes);
    };
    let mut bytes = bytes.to_vec();
    bytes[at + 2..at + 2 + header.len()].copy_from_slice(header.as_bytes());
    Cow::Owned(bytes)
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.drop_signal.check(&self.drop_signal.reader, cx)?;
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.drop_signal.check(&self.drop_signal.writer, cx)?;
        let bytes = recased(bytes, &self.header);
        Pin::new(&mut self.stream).poll_write(cx, &bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.drop_signal.check(&self.drop_signal.writer, cx)?;
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.drop_signal.check(&self.drop_signal.writer, cx)?;
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// The listener.
pub(crate) struct Loopback {
    address: SocketAddr,
    ready: mpsc::Receiver<(Connection, SocketAddr)>,
    acceptor: JoinHandle<()>,
}

impl Loopback {
    /// Listens on a port of 127.0.0.1; 0 chooses a free one. `header` is `NextPageUri` in the case
    /// that is sent.
    pub(crate) async fn bind(
        port: u16,
        tls: Option<TlsAcceptor>,
        connections: Connections,
        header: &str,
    ) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
        let address = listener.local_addr()?;
        let (sender, ready) = mpsc::channel(16);
        let acceptor = Acceptor {
            tls,
            connections,
            header: header.into(),
            sender,
        };
        let acceptor = tokio::spawn(accept_all(listener, acceptor));
        Ok(Self {
            address,
            ready,
            acceptor,
        })
    }

    /// The address on which it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Loopback {
    fn drop(&mut self) {
        self.acceptor.abort();
    }
}

impl Listener for Loopback {
    type Io = Connection;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Connection, SocketAddr) {
        match self.ready.recv().await {
            Some(opened) => opened,
            // The acceptor has ended: there are no more connections.
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.address)
    }
}

/// Completes the handshakes of new connections.
#[derive(Clone)]
struct Acceptor {
    tls: Option<TlsAcceptor>,
    connections: Connections,
    header: Arc<str>,
    sender: mpsc::Sender<(Connection, SocketAddr)>,
}

impl Acceptor {
    async fn open(self, stream: TcpStream, peer: SocketAddr) {
        let stream: Option<Box<dyn Stream>> = match &self.tls {
            None => Some(Box::new(stream)),
            Some(tls) => match tokio::time::timeout(HANDSHAKE_TIMEOUT, tls.accept(stream)).await {
                Ok(Ok(stream)) => Some(Box::new(stream)),
                _ => None,
            },
        };
        if let Some(stream) = stream {
            let connection = Connection {
                stream,
                drop_signal: self.connections.add(),
                header: self.header,
            };
            // Sending fails only if the server has stopped.
            let _ = self.sender.send((connection, peer)).await;
        }
    }
}

async fn accept_all(listener: TcpListener, acceptor: Acceptor) {
    let mut handshakes = JoinSet::new();
    loop {
        while handshakes.try_join_next().is_some() {}
        let Ok((stream, peer)) = listener.accept().await else {
            // Probably out of file handles: wait until others are closed.
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        // Without this option, small responses wait for the delayed acknowledgement of the peer.
        let _ = stream.set_nodelay(true);
        handshakes.spawn(acceptor.clone().open(stream, peer));
    }
}
