//! Figures of the shop's open carts, across connections.

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll},
};

use futures::{Stream, StreamExt as _, stream::BoxStream};
use tonic::{Status, Streaming};

use crate::{
    Client, Error,
    reconnect::{Reconnecting, interval, is_transient},
    v1::{CartFigures, WatchCartFiguresRequest, WatchCartFiguresResponse},
};

/// Figures of the shop's open carts: at once, and whenever they change. It reconnects and ends as
/// [`Watch`](crate::Watch) does. A new connection begins with the figures as they are then.
pub struct Figures(BoxStream<'static, Result<CartFigures, Error>>);

impl Figures {
    pub(crate) fn new(client: Client, request: WatchCartFiguresRequest) -> Self {
        let shortest = request.min_interval.map_or(0, |interval| interval.seconds);
        let longest = interval(request.heartbeat_interval).max(shortest);
        let follower = Follower {
            connection: Reconnecting::new(&client.watching, longest),
            client,
            request,
            stream: None,
        };
        let figures = futures::stream::unfold(Some(follower), |follower| async move {
            let mut follower = follower?;
            match follower.next().await {
                Ok(figures) => Some((Ok(figures), Some(follower))),
                Err(error) => Some((Err(error), None)),
            }
        });
        Self(figures.boxed())
    }
}

impl Stream for Figures {
    type Item = Result<CartFigures, Error>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_next_unpin(context)
    }
}

impl fmt::Debug for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Figures").finish_non_exhaustive()
    }
}

struct Follower {
    client: Client,
    request: WatchCartFiguresRequest,
    stream: Option<Streaming<WatchCartFiguresResponse>>,
    connection: Reconnecting,
}

impl Follower {
    async fn next(&mut self) -> Result<CartFigures, Error> {
        loop {
            let status = match tokio::time::timeout(self.connection.silence, self.message()).await {
                Ok(Ok(message)) => {
                    self.connection.received();
                    match message.figures {
                        Some(figures) => return Ok(figures),
                        // It only announces the end of the stream.
                        None => continue,
                    }
                }
                Ok(Err(status)) => status,
                Err(_) => Status::unavailable("the server sent nothing for too long"),
            };
            self.stream = None;
            let error = Error::from(status);
            if !is_transient(&error) {
                return Err(error);
            }
            self.connection.lost(&error).await;
        }
    }

    async fn message(&mut self) -> Result<WatchCartFiguresResponse, Status> {
        let stream = match &mut self.stream {
            Some(stream) => stream,
            none => {
                let mut carts = self.client.carts();
                let answer = carts.watch_cart_figures(self.request.clone()).await?;
                none.insert(answer.into_inner())
            }
        };
        let message = stream.message().await?;
        message.ok_or_else(|| Status::unavailable("the stream ended without an error"))
    }
}
