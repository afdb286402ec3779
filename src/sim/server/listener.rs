//! The door: a listener on 127.0.0.1, TLS with an authority of its own, and a switch per
//! connection.
//!
//! The server writes header names in lower case. [`Wire`] restores the case of the one that the
//! services are known for. There is deliberately no way to bind another address. Handshakes run on the side, so that a
//! peer who says nothing keeps nobody waiting.

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

/// How much of an answer is searched for a header: more than the services send.
const LONGEST_HEAD: usize = 4096;

/// How long a peer may take for its handshake.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// A connection's bytes, whatever lies below them.
trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// Cuts one connection.
#[derive(Default)]
struct Cut {
    done: AtomicBool,
    reader: AtomicWaker,
    writer: AtomicWaker,
}

impl Cut {
    fn check(&self, waker: &AtomicWaker, cx: &Context<'_>) -> io::Result<()> {
        waker.register(cx.waker());
        if self.done.load(Ordering::Acquire) {
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        Ok(())
    }

    fn now(&self) {
        self.done.store(true, Ordering::Release);
        self.reader.wake();
        self.writer.wake();
    }
}

/// The handle of a connection that a request came on.
#[derive(Clone)]
pub(crate) struct Line(Arc<Cut>);

impl Line {
    /// Drops the connection: nothing is read from it or written to it any more.
    pub(crate) fn cut(&self) {
        self.0.now();
    }
}

impl Connected<IncomingStream<'_, Loopback>> for Line {
    fn connect_info(stream: IncomingStream<'_, Loopback>) -> Self {
        Self(Arc::clone(&stream.io().cut))
    }
}

/// All connections of a server.
#[derive(Clone, Default)]
pub(crate) struct Lines(Arc<Mutex<Vec<Weak<Cut>>>>);

impl Lines {
    fn add(&self) -> Arc<Cut> {
        let cut = Arc::new(Cut::default());
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        lines.retain(|line| line.strong_count() > 0);
        lines.push(Arc::downgrade(&cut));
        cut
    }

    /// Drops every connection.
    pub(crate) fn cut_all(&self) {
        let lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        lines
            .iter()
            .filter_map(Weak::upgrade)
            .for_each(|cut| cut.now());
    }
}

/// An accepted connection.
pub(crate) struct Wire {
    stream: Box<dyn Stream>,
    cut: Arc<Cut>,
    /// `NextPageUri`, as the world writes it.
    header: Arc<str>,
}

/// The bytes with a header's name in another case. Only the head of an answer of HTTP/1.1, which is
/// written from its first byte on, contains the name in this form.
fn recased<'a>(bytes: &'a [u8], header: &str) -> Cow<'a, [u8]> {
    if !bytes.starts_with(b"HTTP/1.") {
        return Cow::Borrowed(bytes);
    }
    let sent = format!("\r\n{}: ", header.to_ascii_lowercase());
    let head = &bytes[..bytes.len().min(LONGEST_HEAD)];
    let mut places = head.windows(sent.len());
    let Some(at) = places.position(|part| part == sent.as_bytes()) else {
        return Cow::Borrowed(bytes);
    };
    let mut bytes = bytes.to_vec();
    bytes[at + 2..at + 2 + header.len()].copy_from_slice(header.as_bytes());
    Cow::Owned(bytes)
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.cut.check(&self.cut.reader, cx)?;
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.cut.check(&self.cut.writer, cx)?;
        let bytes = recased(bytes, &self.header);
        Pin::new(&mut self.stream).poll_write(cx, &bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.cut.check(&self.cut.writer, cx)?;
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.cut.check(&self.cut.writer, cx)?;
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// The listener.
pub(crate) struct Loopback {
    address: SocketAddr,
    ready: mpsc::Receiver<(Wire, SocketAddr)>,
    acceptor: JoinHandle<()>,
}

impl Loopback {
    /// Listens on a port of 127.0.0.1; 0 takes a free one. `header` is `NextPageUri` as it is to be
    /// written.
    pub(crate) async fn bind(
        port: u16,
        tls: Option<TlsAcceptor>,
        lines: Lines,
        header: &str,
    ) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
        let address = listener.local_addr()?;
        let (sender, ready) = mpsc::channel(16);
        let opener = Opener {
            tls,
            lines,
            header: header.into(),
            sender,
        };
        let acceptor = tokio::spawn(accept_all(listener, opener));
        Ok(Self {
            address,
            ready,
            acceptor,
        })
    }

    /// Where it listens.
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
    type Io = Wire;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Wire, SocketAddr) {
        match self.ready.recv().await {
            Some(opened) => opened,
            // The acceptor has ended, so nobody will come any more.
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.address)
    }
}

/// Makes connections ready for the server.
#[derive(Clone)]
struct Opener {
    tls: Option<TlsAcceptor>,
    lines: Lines,
    header: Arc<str>,
    sender: mpsc::Sender<(Wire, SocketAddr)>,
}

impl Opener {
    async fn open(self, stream: TcpStream, peer: SocketAddr) {
        let stream: Option<Box<dyn Stream>> = match &self.tls {
            None => Some(Box::new(stream)),
            Some(tls) => match tokio::time::timeout(HANDSHAKE, tls.accept(stream)).await {
                Ok(Ok(stream)) => Some(Box::new(stream)),
                _ => None,
            },
        };
        if let Some(stream) = stream {
            let wire = Wire {
                stream,
                cut: self.lines.add(),
                header: self.header,
            };
            // It fails only when the server is gone.
            let _ = self.sender.send((wire, peer)).await;
        }
    }
}

async fn accept_all(listener: TcpListener, opener: Opener) {
    let mut handshakes = JoinSet::new();
    loop {
        while handshakes.try_join_next().is_some() {}
        let Ok((stream, peer)) = listener.accept().await else {
            // Out of file handles, most likely: give others time to close theirs.
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        // Without it small answers wait for the peer's delayed acknowledgement.
        let _ = stream.set_nodelay(true);
        handshakes.spawn(opener.clone().open(stream, peer));
    }
}
