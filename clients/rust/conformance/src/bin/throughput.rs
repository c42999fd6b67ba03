//! Watches what clients/go/conformance/flood tells, and says how fast, and how late, it came.

use std::time::{Duration, Instant, UNIX_EPOCH};

use clientela_client::{Client, Event, v1::WatchCartsRequest};
use futures::StreamExt as _;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let changes: usize = match std::env::args().nth(1) {
        Some(changes) => changes.parse()?,
        None => 100_000,
    };
    let address = std::env::var("CLIENTELA_SERVER").unwrap_or("127.0.0.1:23456".to_owned());
    let client = Client::builder()
        .address(address)
        .key("clt_none")
        .connect()?;
    let mut watch = client.watch_carts(WatchCartsRequest::default());
    while !matches!(watch.next().await, Some(Ok(Event::Ready { .. }))) {}
    let from = Instant::now();
    let mut late = Vec::with_capacity(changes);
    while late.len() < changes {
        if let Event::Changed(change) = watch.next().await.ok_or("the watch ended")?? {
            let due = change.commit_time.unwrap_or_default();
            let due = Duration::new(due.seconds.unsigned_abs(), due.nanos.unsigned_abs());
            late.push(UNIX_EPOCH.elapsed()?.saturating_sub(due).as_secs_f64() * 1e3);
        }
    }
    let took = from.elapsed().as_secs_f64();
    let last = late[changes - 1];
    late.sort_by(f64::total_cmp);
    println!(
        "{changes} changes in {took:.1} s: {:.0}/s; late: half {:.1} ms, 99 of 100 {:.1} ms, \
         the last {last:.1} ms",
        changes as f64 / took,
        late[changes / 2],
        late[changes / 100 * 99],
    );
    Ok(())
}
