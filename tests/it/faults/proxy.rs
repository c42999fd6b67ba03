//! A proxy to a server that can go silent. Its connections then stay open and pass nothing, as when a machine
//! or the network fails. It can also lead to another server.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// The proxy, removed when dropped.
pub struct Proxy {
    pub address: SocketAddr,
    silent: watch::Sender<bool>,
    target: watch::Sender<SocketAddr>,
    /// Changes when all connections must end.
    cuts: watch::Sender<u64>,
    task: tokio::task::JoinHandle<()>,
}

impl Proxy {
    /// Starts a proxy to the server at `target`.
    pub async fn to(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (silent, heard) = watch::channel(false);
        let (target, led) = watch::channel(target);
        let (cuts, cut) = watch::channel(0);
        let task = tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let (target, mut cut) = (*led.borrow(), cut.clone());
                cut.mark_unchanged();
                let connection = connect(near, target, heard.clone());
                tokio::spawn(async move {
                    tokio::select! {
                        () = connection => {}
                        _ = cut.changed() => {}
                    }
                });
            }
        });
        Self {
            address,
            silent,
            target,
            cuts,
            task,
        }
    }

    /// Leads new connections to another server. Open connections stay.
    pub fn lead_to(&self, target: SocketAddr) {
        self.target.send_replace(target);
    }

    /// Ends all connections.
    pub fn cut(&self) {
        self.cuts.send_modify(|cuts| *cuts += 1);
    }

    /// Passes nothing from now on. Connections that are open now never pass anything again.
    pub fn silence(&self) {
        self.silent.send_replace(true);
    }

    /// Lets new connections pass again. The old ones stay silent, like those to a failed machine.
    pub fn let_pass(&self) {
        self.silent.send_replace(false);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn connect(near: TcpStream, target: SocketAddr, silent: watch::Receiver<bool>) {
    if *silent.borrow() {
        // The connection is held open and never answered.
        std::future::pending::<()>().await;
    }
    let Ok(far) = TcpStream::connect(target).await else {
        return;
    };
    let (near_read, near_write) = near.into_split();
    let (far_read, far_write) = far.into_split();
    tokio::select! {
        () = pass(near_read, far_write, silent.clone()) => {}
        () = pass(far_read, near_write, silent) => {}
    }
}

async fn pass(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut silent: watch::Receiver<bool>) {
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let read = tokio::select! {
            biased;
            () = silenced(&mut silent) => std::future::pending().await,
            read = from.read(&mut buffer) => read,
        };
        let Ok(length) = read else { return };
        if length == 0 || to.write_all(&buffer[..length]).await.is_err() {
            return;
        }
    }
}

async fn silenced(silent: &mut watch::Receiver<bool>) {
    // At the end of the test the sender is gone, which ends the wait too.
    drop(silent.wait_for(|silent| *silent).await);
}
