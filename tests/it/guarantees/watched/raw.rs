//! Streams as bytes, of which no more come than a client makes room for.

use std::net::SocketAddr;

use bytes::Bytes;
use h2::RecvStream;
use h2::client::SendRequest;
use tokio::net::TcpStream;

/// A connection on which each stream takes so many bytes unread.
#[derive(Clone)]
pub struct Raw {
    address: SocketAddr,
    client: SendRequest<Bytes>,
}

impl Raw {
    /// Connects. The connection lives on in a task of its own.
    pub async fn connect(address: SocketAddr, window: u32) -> Self {
        let socket = TcpStream::connect(address).await.expect("a connection");
        let mut client = h2::client::Builder::new();
        let handshake = client
            .initial_window_size(window)
            .handshake::<_, Bytes>(socket);
        let (client, connection) = handshake.await.expect("HTTP/2");
        tokio::spawn(connection);
        Self { address, client }
    }

    /// Calls a method, as `clientela.v1.CartService/WatchCarts`; gives the body of the answer.
    pub async fn call(&self, key: &str, method: &str, request: &impl prost::Message) -> RecvStream {
        let head = http::Request::post(format!("http://{}/{method}", self.address))
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .header("authorization", format!("Bearer {key}"))
            .body(())
            .expect("a request");
        let mut client = self.client.clone().ready().await.expect("it is open");
        let (answer, mut body) = client.send_request(head, false).expect("it is open");
        let message = request.encode_to_vec();
        let length = u32::try_from(message.len()).expect("it is short");
        let framed = [&[0], &length.to_be_bytes()[..], &message].concat();
        body.send_data(framed.into(), true).expect("it is open");
        let answer = answer.await.expect("an answer");
        assert_eq!(answer.status(), 200);
        assert!(
            !answer.headers().contains_key("grpc-status"),
            "{method}: {:?}",
            answer.headers()
        );
        answer.into_body()
    }
}
