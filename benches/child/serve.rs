//! The serving process of a figure.

use std::io::{BufRead as _, Write as _};
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context as _;
use clientela::app::{Options, Program};
use clientela::config::LogFormat;
use clientela::store::{DatabaseUrl, Hints, NatsUrls, Store};
use prost::Message as _;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;
use tonic::transport::server::{Server, TcpIncoming};

use super::{Hinting, Product, Serving, Statements};
use crate::yardstick::{Broadcast, Echo, StatementLoop};

/// A server in this process.
struct Running {
    address: SocketAddr,
    store: Option<Store>,
    stop: CancellationToken,
    task: JoinHandle<anyhow::Result<()>>,
}

/// Serves what standard input names, until that closes.
pub fn serve() -> anyhow::Result<()> {
    let mut lines = std::io::stdin().lock().lines();
    let first = lines.next().context("nothing to serve")??;
    let serving: Serving = serde_json::from_str(&first)?;
    let runtime = tokio::runtime::Runtime::new()?;
    let mut output = std::io::stdout();
    let running = match runtime.block_on(start(serving)) {
        Ok(running) => running,
        Err(error) => {
            writeln!(output, "{error:#}")?;
            return Err(error);
        }
    };
    writeln!(output, "{}", running.address)?;
    for line in lines {
        match (line?.as_str(), &running.store) {
            ("statements", Some(store)) => writeln!(output, "{}", store.written_statements())?,
            ("stop", _) => break,
            (other, _) => anyhow::bail!("{other:?} is no order"),
        }
    }
    running.stop.cancel();
    runtime.block_on(running.task)?
}

async fn start(serving: Serving) -> anyhow::Result<Running> {
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let address = match &serving {
        Serving::Product(product) => product.address.unwrap_or(any),
        _ => any,
    };
    let listener = TcpListener::bind(address).await?;
    match serving {
        Serving::Product(product) => clientela(listener, product).await,
        Serving::Echo { customer } => {
            let customer = clientela::proto::pb::Customer::decode(&*customer)?;
            bare(listener, Routes::new(Echo::new(customer)))
        }
        Serving::Broadcast { cart, change } => {
            let broadcast = Broadcast::new(&cart, &change)?;
            bare(listener, Routes::new(broadcast))
        }
        Serving::Statements(Statements {
            database_url,
            customer,
            cart,
        }) => {
            let (customers, carts) = StatementLoop::start(&database_url, &customer, &cart).await?;
            bare(listener, Routes::new(customers).add_service(carts))
        }
    }
}

async fn clientela(listener: TcpListener, product: Product) -> anyhow::Result<Running> {
    clientela::telemetry::start(LogFormat::Human, "info")?;
    let database = match &product.database_url {
        Some(url) => DatabaseUrl::postgres(url)?,
        None => DatabaseUrl::embedded(&product.data_dir),
    };
    let mut options = Options::new(database, product.data_dir);
    let delay = Duration::from_millis(product.flush_delay_millis);
    options.store.commit_delay = (!delay.is_zero()).then_some(delay);
    options.store.hints = match &product.hints {
        Hinting::Off => Hints::Off,
        Hinting::Notify => Hints::Notify,
        Hinting::Nats(url) => Hints::Nats(NatsUrls::read(&[url])?),
    };
    let program = Program::start(options).await?;
    let store = program.store().clone();
    let (address, stop) = (listener.local_addr()?, CancellationToken::new());
    let task = tokio::spawn(program.serve(listener, stop.clone()));
    Ok(Running {
        address,
        store: Some(store),
        stop,
        task,
    })
}

fn bare(listener: TcpListener, routes: Routes) -> anyhow::Result<Running> {
    let (address, stop) = (listener.local_addr()?, CancellationToken::new());
    let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
    let stopped = stop.clone().cancelled_owned();
    let task = tokio::spawn(async move {
        let server = Server::builder().add_routes(routes);
        Ok(server
            .serve_with_incoming_shutdown(incoming, stopped)
            .await?)
    });
    Ok(Running {
        address,
        store: None,
        stop,
        task,
    })
}
