//! `clientela demo`: fills a shop through the public API and simulates shoppers.
//!
//! Every change carries a request id and is repeated with it until it is answered. So a server that is killed
//! and restarted in between applies each change once.

mod call;
mod catalogue;
mod people;
mod progress;
mod setup;
mod shopper;

use std::{sync::Arc, time::Duration};

use clap::Args;
use tokio::{sync::Semaphore, task::JoinSet, time::MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use super::{
    connection::{Connection, Need},
    failure::Failure,
};
use call::Caller;
use progress::Progress;
use shopper::Shopper;

/// How long the last changes may take to be answered after the end, for example while the server is away.
const GRACE: Duration = Duration::from_secs(10);

/// Fills the shop with customers and groups, and simulates shoppers who fill, change, order and leave carts
#[derive(Debug, Args)]
pub struct Demo {
    /// The number of shoppers at a time
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    shoppers: u32,

    /// The number of changes per second, of all shoppers together
    #[arg(long, default_value_t = 10.0, value_parser = rate)]
    rate: f64,

    /// The duration in seconds; 0 runs until Ctrl-C
    #[arg(long, default_value_t = 60)]
    seconds: u64,

    #[command(flatten, next_help_heading = "Connection")]
    connection: Connection,
}

fn rate(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(rate) if (0.01..=100_000.0).contains(&rate) => Ok(rate),
        _ => Err("a number from 0.01 to 100000".to_owned()),
    }
}

impl Demo {
    pub async fn run(self) -> Result<(), Failure> {
        let client = self.connection.open_as_shopper(Need::Admin).await?;
        let progress = Arc::new(Progress::new());
        let caller = Caller::new(client, Arc::clone(&progress));
        setup::groups(&caller).await?;
        let customers = setup::customers(&caller, self.shoppers).await?;

        progress.start();
        let stop = CancellationToken::new();
        let permits = Arc::new(Semaphore::new(0));
        let mut shoppers = JoinSet::new();
        for customer in customers {
            let shopper = Shopper::new(caller.clone(), customer);
            let (permits, stop) = (Arc::clone(&permits), stop.clone());
            shoppers.spawn(shopper.shop(permits, stop));
        }
        let drawing = tokio::spawn(Arc::clone(&progress).draw(stop.clone()));
        tokio::select! {
            () = hand_out(&permits, self.rate, self.shoppers) => {}
            () = until(self.seconds) => {}
            _ = tokio::signal::ctrl_c() => {}
        }
        stop.cancel();
        let finished = async {
            while let Some(result) = shoppers.join_next().await {
                if let Ok(Err(failure)) = result {
                    return Err(failure);
                }
            }
            Ok(())
        };
        let outcome = tokio::time::timeout(GRACE, finished).await;
        // The task only draws, so its result does not matter.
        let _ = drawing.await;
        progress.summary()?;
        match outcome {
            Ok(outcome) => outcome,
            Err(_) => Err(Failure::new("the last changes were not answered in time")),
        }
    }
}

/// Hands out permits at the rate. Permits that no shopper could use, for example while the server is away,
/// are not made up for.
async fn hand_out(permits: &Semaphore, rate: f64, shoppers: u32) {
    let mut ticks = tokio::time::interval(Duration::from_secs_f64(1.0 / rate));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let waiting_max = usize::try_from(shoppers).unwrap_or(usize::MAX);
    loop {
        ticks.tick().await;
        if permits.available_permits() < waiting_max {
            permits.add_permits(1);
        }
    }
}

async fn until(seconds: u64) {
    match seconds {
        0 => std::future::pending().await,
        seconds => tokio::time::sleep(Duration::from_secs(seconds)).await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_a_number_above_zero() {
        assert_eq!(rate("2.5"), Ok(2.5));
        for wrong in ["0", "-1", "NaN", "inf", "many"] {
            assert!(rate(wrong).is_err(), "{wrong}");
        }
    }
}
