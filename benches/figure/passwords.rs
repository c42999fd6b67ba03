//! Many sign-ins beside other calls.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use clientela::proto::pb;
use tokio::task::JoinSet;

use crate::bench::{Bench, alternate};
use crate::load::closed_loop;
use crate::shop::{self, Clients, Shop};
use crate::table::{Row, Target};

const SECONDS: f64 = 2.0;
/// More than there are cores, so that each core always has a password to hash.
const SIGN_INS: usize = 8;

async fn p99_micros(clients: &Clients, names: &Arc<[String]>) -> f64 {
    let (clients, names) = (clients.clone(), Arc::clone(names));
    let call = move |caller: usize, made: usize| {
        let (clients, names) = (clients.clone(), Arc::clone(&names));
        async move {
            clients
                .get_customer(caller, &names[made % names.len()])
                .await;
        }
    };
    closed_loop(1, SECONDS, call).await.times.quantile(0.99)
}

pub async fn storm(bench: &Bench) -> Vec<Row> {
    let shop = Shop::start(shop::embedded(bench)).await;
    let names = shop.customers(100).await;
    let hashed = Arc::new(AtomicU64::new(0));
    let mut rates = Vec::new();
    let rounds = alternate(
        async || {
            let stop = Arc::new(AtomicBool::new(false));
            let mut sign_ins = JoinSet::new();
            for caller in 0..SIGN_INS {
                let mut client = shop.clients.customers(caller);
                let (stop, hashed) = (Arc::clone(&stop), Arc::clone(&hashed));
                sign_ins.spawn(async move {
                    while !stop.load(Ordering::Relaxed) {
                        let request = pb::VerifyPasswordRequest {
                            email: "nobody@example.test".to_owned(),
                            password: "correct horse".to_owned(),
                        };
                        let answer = client.verify_password(request).await;
                        let refused = answer.expect_err("the password is wrong");
                        assert_eq!(refused.code(), tonic::Code::Unauthenticated, "{refused:?}");
                        hashed.fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
            let before = hashed.load(Ordering::Relaxed);
            let delay = p99_micros(&shop.clients, &names).await;
            #[expect(clippy::cast_precision_loss, reason = "a few hundred")]
            rates.push((hashed.load(Ordering::Relaxed) - before) as f64 / SECONDS);
            stop.store(true, Ordering::Relaxed);
            sign_ins.join_all().await;
            delay
        },
        async || p99_micros(&shop.clients, &names).await,
    )
    .await;
    let ratios = rounds.ratios();
    let rate = crate::table::median(&rates);
    let row = Row::new(
        "GetCustomer while passwords are hashed on all cores, p99",
        "µs",
        rounds.product,
        Target::RatioAtMost(3.0),
    )
    .beside("without sign-ins", rounds.yardstick, ratios)
    .note(format!(
        "one GetCustomer at a time, {SIGN_INS} sign-ins in flight, {rate:.0} of them answered a \
         second"
    ));
    vec![row]
}
