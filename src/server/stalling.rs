//! A socket that fails when its peer accepts none of the bytes that wait to be sent.
//!
//! HTTP/2 also detects such a peer by its pings. HTTP/1.1 has none.
//!
//! A socket whose peer was given up is closed with a reset. After an orderly close the system would keep the
//! unsent bytes for minutes, up to some MiB per connection.

use std::{
    future::Future as _,
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::Sleep,
};

use crate::connection::GivenUp;

/// A socket whose writes fail when none has made progress for too long.
pub struct Stalling {
    inner: TcpStream,
    limit: Duration,
    given_up: GivenUp,
    /// Runs while a write waits.
    waiting: Option<Pin<Box<Sleep>>>,
}

impl Stalling {
    /// Wraps the socket `inner`, whose writes may wait for `limit`. At its end it is reset if a write still
    /// waits, or if its peer was `given_up`.
    pub fn new(inner: TcpStream, limit: Duration, given_up: GivenUp) -> Self {
        Self {
            inner,
            limit,
            given_up,
            waiting: None,
        }
    }

    /// Returns the result of a write, or a timeout if writes have waited for too long.
    fn checked<T>(
        &mut self,
        written: Poll<io::Result<T>>,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.waiting = None;
            return written;
        }
        let limit = self.limit;
        let waiting = self
            .waiting
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(limit)));
        match waiting.as_mut().poll(context) {
            Poll::Ready(()) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl Drop for Stalling {
    fn drop(&mut self) {
        if (self.waiting.is_some() || self.given_up.is_set())
            && let Err(error) = self.inner.set_zero_linger()
        {
            tracing::debug!(%error, "a connection was not reset");
        }
    }
}

impl AsyncRead for Stalling {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(context, buffer)
    }
}

impl AsyncWrite for Stalling {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.inner).poll_write(context, bytes);
        self.checked(written, context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.inner).poll_write_vectored(context, slices);
        self.checked(written, context)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;

    /// A socket whose writes may wait for `limit`, and its peer.
    async fn pair(limit: Duration) -> (Stalling, GivenUp, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let peer = TcpStream::connect(listener.local_addr().unwrap()).await;
        let (ours, _) = listener.accept().await.unwrap();
        let given_up = GivenUp::default();
        let socket = Stalling::new(ours, limit, given_up.clone());
        (socket, given_up, peer.unwrap())
    }

    /// Reads to the end, orderly or not.
    async fn end(mut peer: TcpStream) -> io::Result<usize> {
        peer.read_to_end(&mut Vec::new()).await
    }

    #[tokio::test]
    async fn a_write_that_nobody_takes_fails_and_its_socket_is_reset() {
        let (mut socket, _, peer) = pair(Duration::from_millis(1)).await;

        let failed = loop {
            if let Err(error) = socket.write_all(&[0; 65_536]).await {
                break error;
            }
        };
        drop(socket);

        assert_eq!(failed.kind(), io::ErrorKind::TimedOut);
        let end = end(peer).await.unwrap_err();
        assert_eq!(end.kind(), io::ErrorKind::ConnectionReset);
    }

    #[tokio::test]
    async fn a_socket_whose_peer_is_given_up_is_reset() {
        let (mut socket, given_up, peer) = pair(Duration::from_secs(60)).await;
        socket.write_all(b"unread").await.unwrap();

        given_up.set();
        drop(socket);

        let end = end(peer).await.unwrap_err();
        assert_eq!(end.kind(), io::ErrorKind::ConnectionReset);
    }

    #[tokio::test]
    async fn a_socket_on_which_nothing_waits_ends_in_order() {
        let (mut socket, _, peer) = pair(Duration::from_secs(60)).await;
        socket.write_all(b"all").await.unwrap();

        drop(socket);

        assert_eq!(end(peer).await.unwrap(), 3);
    }
}
