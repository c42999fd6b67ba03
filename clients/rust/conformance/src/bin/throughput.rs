//! Watches the server clients/go/conformance/flood, and prints the number, the rate and the delay of the
//! changes. Ends after the given number of changes, or when none has come for a while.

use std::time::{Duration, Instant, UNIX_EPOCH};

use clientela_client::{Client, Event, v1::WatchCartsRequest};
use futures::StreamExt as _;

const PATIENCE: Duration = Duration::from_secs(10);

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let wanted: usize = match std::env::args().nth(1) {
        Some(wanted) => wanted.parse()?,
        None => 100_000,
    };
    let address = std::env::var("CLIENTELA_SERVER").unwrap_or("127.0.0.1:23456".to_owned());
    let client = Client::builder()
        .address(&address)
        .key("clt_none")
        .connect()?;
    let mut watch = client.watch_carts(WatchCartsRequest::default());
    let mut from = Instant::now();
    let mut to = from;
    let mut late = Vec::with_capacity(wanted);
    while late.len() < wanted {
        let Ok(event) = tokio::time::timeout(PATIENCE, watch.next()).await else {
            break;
        };
        match event.ok_or("the watch ended")?? {
            Event::Reset(_) => {}
            Event::Ready { .. } => from = Instant::now(),
            Event::Changed(change) => {
                let due = change.commit_time.unwrap_or_default();
                let due = Duration::new(due.seconds.unsigned_abs(), due.nanos.unsigned_abs());
                late.push(UNIX_EPOCH.elapsed()?.saturating_sub(due).as_secs_f64() * 1e3);
                to = Instant::now();
            }
        }
    }
    let taken = late.len();
    let last = *late
        .last()
        .ok_or_else(|| format!("nothing came from {address}"))?;
    let took = (to - from).as_secs_f64();
    late.sort_by(f64::total_cmp);
    println!(
        "{taken} of {wanted} changes in {took:.1} s: {:.0}/s; late: half {:.1} ms, \
         99 of 100 {:.1} ms, the last {last:.1} ms",
        taken as f64 / took,
        late[taken / 2],
        late[taken * 99 / 100],
    );
    Ok(())
}
