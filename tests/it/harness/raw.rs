//! A client that sends exactly the HTTP/2 frames of a test, and reads only on request.

use std::net::SocketAddr;

use bytes::Bytes;
use h2::client::{ResponseFuture, SendRequest};
use h2::{RecvStream, SendStream};
use tokio::net::TcpStream;
use tonic::Status;

/// A connection.
#[derive(Clone)]
pub struct Raw {
    address: SocketAddr,
    client: SendRequest<Bytes>,
}

/// A call in progress: its future answer, and its request, which may continue.
pub struct Begun {
    answer: ResponseFuture,
    request: SendStream<Bytes>,
}

/// Encodes a message with its frame header.
pub fn framed(message: &impl prost::Message) -> Vec<u8> {
    let message = message.encode_to_vec();
    let length = u32::try_from(message.len()).unwrap().to_be_bytes();
    [&[0], &length[..], &message].concat()
}

impl Raw {
    /// Connects. No more than `window` bytes of each answer arrive until the test reads them.
    pub async fn connect(address: SocketAddr, window: u32) -> Self {
        let socket = TcpStream::connect(address).await.unwrap();
        let mut client = h2::client::Builder::new();
        client.initial_window_size(window);
        // An unread answer must not delay the other ones.
        client.initial_connection_window_size(1 << 30);
        let (client, connection) = client.handshake::<_, Bytes>(socket).await.unwrap();
        tokio::spawn(connection);
        Self { address, client }
    }

    /// Begins a call with these headers and this part of a request, which may continue unless it is the
    /// `end`.
    pub async fn begin(
        &self,
        method: &str,
        headers: &[(&str, &str)],
        part: impl Into<Bytes>,
        end: bool,
    ) -> Begun {
        let mut head = http::Request::post(format!("http://{}{method}", self.address))
            .header("content-type", "application/grpc")
            .header("te", "trailers");
        for (name, value) in headers {
            head = head.header(*name, *value);
        }
        let mut client = self.client.clone().ready().await.unwrap();
        let (answer, request) = client.send_request(head.body(()).unwrap(), false).unwrap();
        let mut begun = Begun { answer, request };
        begun.send(part, end);
        begun
    }

    /// Makes a call and returns its refusal, or the body of its answer.
    pub async fn call(
        &self,
        method: &str,
        headers: &[(&str, &str)],
        request: impl Into<Bytes>,
    ) -> Result<RecvStream, Status> {
        let begun = self.begin(method, headers, request, true).await;
        begun.answered().await
    }

    /// Makes a call with a key to a method such as `/clientela.v1.CartService/WatchCarts`, and returns the
    /// body of the answer.
    pub async fn open(&self, key: &str, method: &str, request: &impl prost::Message) -> RecvStream {
        let bearer = format!("Bearer {key}");
        let headers = [("authorization", bearer.as_str())];
        let opened = self.call(method, &headers, framed(request)).await;
        opened.unwrap_or_else(|status| panic!("{method}: {status:?}"))
    }
}

impl Begun {
    /// Sends more of the request. If the server has ended the call already, the answer shows it.
    pub fn send(&mut self, part: impl Into<Bytes>, end: bool) {
        let _ = self.request.send_data(part.into(), end);
    }

    /// Returns the refusal of the call, or the body of its answer.
    pub async fn answered(self) -> Result<RecvStream, Status> {
        Ok(self.answered_open().await?.0)
    }

    /// Like [`answered`](Self::answered), but also returns the request, which can continue.
    pub async fn answered_open(self) -> Result<(RecvStream, SendStream<Bytes>), Status> {
        let answered = tokio::time::timeout(super::PATIENCE, self.answer).await;
        let answer = answered.expect("an answer comes").unwrap();
        assert_eq!(answer.status(), 200);
        match Status::from_header_map(answer.headers()) {
            Some(status) => Err(status),
            None => Ok((answer.into_body(), self.request)),
        }
    }

    /// Returns the headers of the answer.
    pub async fn headers(self) -> http::HeaderMap {
        let answered = tokio::time::timeout(super::PATIENCE, self.answer).await;
        answered
            .expect("an answer comes")
            .unwrap()
            .headers()
            .clone()
    }
}

/// Reads an answer to its end and returns its content and its status.
pub async fn read(mut body: RecvStream) -> (Vec<u8>, Status) {
    let mut received = Vec::new();
    while let Some(bytes) = next(&mut body).await {
        let bytes = bytes.unwrap();
        body.flow_control().release_capacity(bytes.len()).unwrap();
        received.extend_from_slice(&bytes);
    }
    let trailers = body
        .trailers()
        .await
        .unwrap()
        .expect("an answer has trailers");
    (
        received,
        Status::from_header_map(&trailers).expect("trailers have a status"),
    )
}

async fn next(body: &mut RecvStream) -> Option<Result<Bytes, h2::Error>> {
    let next = tokio::time::timeout(super::PATIENCE, body.data()).await;
    next.expect("the answer continues")
}
