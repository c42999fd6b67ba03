//! AddItem by many callers on few carts.

use std::sync::Arc;

use crate::bench::{Bench, Spent};
use crate::load::closed_loop;
use crate::shop::{self, LINES, Shop};
use crate::table::{Row, Target};

const IN_FLIGHT: usize = 64;
const CARTS: usize = 10_000;
/// The exponent of Zipf's law.
const EXPONENT: f64 = 1.5;

/// How calls are distributed over the carts.
#[derive(Clone)]
enum Choice {
    /// Every cart is equally frequent.
    Uniform,
    /// By Zipf's law: the cumulative shares of the carts.
    Zipf(Arc<[f64]>),
}

impl Choice {
    fn zipf(carts: usize) -> Self {
        let mut sum = 0.0;
        #[expect(clippy::cast_precision_loss, reason = "far fewer than 2^52")]
        let weights = (1..=carts).map(|rank| (rank as f64).powf(-EXPONENT));
        let mut shares: Vec<f64> = weights
            .map(|weight| {
                sum += weight;
                sum
            })
            .collect();
        for share in &mut shares {
            *share /= sum;
        }
        Self::Zipf(shares.into())
    }

    /// Returns the cart of a call.
    fn cart(&self, caller: usize, made: usize, carts: usize) -> usize {
        let drawn = draw(caller, made);
        match self {
            Self::Uniform => usize::try_from(drawn % carts as u64).unwrap_or_default(),
            Self::Zipf(shares) => {
                #[expect(clippy::cast_precision_loss, reason = "53 bits are left")]
                let share = (drawn >> 11) as f64 / (1_u64 << 53) as f64;
                let place = shares.partition_point(|each| *each < share);
                place.min(carts - 1)
            }
        }
    }
}

/// Returns a pseudo-random number that is the same in each run (splitmix64).
fn draw(caller: usize, made: usize) -> u64 {
    let seed = ((caller as u64) << 40) ^ made as u64;
    let mut bits = seed.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

pub async fn on_sqlite(bench: &Bench) -> Vec<Row> {
    let shop = Shop::start(shop::embedded(bench)).await;
    let carts = shop.carts(CARTS, LINES).await;
    let mut rows = Vec::new();
    for (count, choice, how) in [
        (1, Choice::Uniform, ""),
        (10, Choice::Uniform, ", uniform"),
        (10, Choice::zipf(10), ", Zipf 1.5"),
        (CARTS, Choice::Uniform, ", uniform"),
        (CARTS, Choice::zipf(CARTS), ", Zipf 1.5"),
    ] {
        let (clients, carts) = (shop.clients.clone(), Arc::clone(&carts));
        let call = move |caller: usize, made: usize| {
            let (clients, carts) = (clients.clone(), Arc::clone(&carts));
            let place = choice.cart(caller, made, count);
            async move {
                clients.add_item(caller, &carts[place], made % LINES).await;
            }
        };
        let spent = Spent::default();
        let load = closed_loop(IN_FLIGHT, bench.seconds, call);
        let measured = spent.measure(&shop.child, load).await;
        let (mean, deviation) = measured.times.mean_and_deviation();
        let figure = format!("AddItem, SQLite, 64 in flight over {count} carts{how}");
        let millis = |micros: f64| micros / 1e3;
        let note = format!(
            "{} s; a call takes {:.2} ms in the mean, deviation {:.2}, p50 {:.2}, p99 {:.2}",
            bench.seconds,
            millis(mean),
            millis(deviation),
            millis(measured.times.quantile(0.5)),
            millis(measured.times.quantile(0.99)),
        );
        let rate = vec![measured.per_second];
        rows.push(Row::new(&figure, "calls/s", rate, Target::None).note(note));
        rows.push(spent.row(&figure));
        eprint!(".");
    }
    eprintln!();
    rows
}
