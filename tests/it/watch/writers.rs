//! Writers for the tests of the feed. They write at random and concurrently, in transactions of uneven
//! length.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use clientela::proto::pb::{
    AddItemRequest, CartEdit, CartTarget, DeleteCartRequest, EditCartRequest, OrderCartRequest,
    cart_edit::Edit::Add, cart_service_client::CartServiceClient,
};
use clientela::store::DatabaseUrl;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _};
use tonic::{Code, Status};

use super::{item, visitor};
use crate::harness::{Shop, Transport};

/// The time in ms that a transaction continues after its row in the log has its number: 0 to 8. So the order
/// of the numbers differs from that of the commits.
const UNEVEN: &str = "PERFORM pg_sleep((NEW.seq * 7 % 9) / 1000.0);";

/// Writers that add, edit, order and delete at random. Each ends after a number of writes, or when it is
/// stopped.
pub struct Writers {
    stop: Arc<AtomicBool>,
    done: Arc<AtomicUsize>,
    tasks: Vec<tokio::task::JoinHandle<()>>,
}

impl Writers {
    /// Starts `count` writers on `carts` carts that write until they are stopped.
    pub async fn start(shop: &Shop, count: usize, carts: usize) -> Self {
        Self::limited(shop, count, carts, usize::MAX).await
    }

    /// Like [`start`](Self::start), but each stops after `writes` writes.
    pub async fn limited(shop: &Shop, count: usize, carts: usize, writes: usize) -> Self {
        in_each_transaction(shop, UNEVEN).await;
        let stop = Arc::new(AtomicBool::new(false));
        let done_by_all = Arc::new(AtomicUsize::new(0));
        let tasks = (0..count)
            .map(|writer| {
                let (stop, mut client) = (Arc::clone(&stop), shop.carts());
                let done_by_all = Arc::clone(&done_by_all);
                tokio::spawn(async move {
                    let mut done = 0;
                    while done < writes && !stop.load(Ordering::Relaxed) {
                        let cart = visitor(&format!("{}", rand::random_range(0..carts)));
                        let label = format!("{writer} {done}");
                        // Some writes are refused because the cart has ended, which is expected.
                        if write(&mut client, cart, &label).await {
                            done += 1;
                            done_by_all.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                })
            })
            .collect();
        Self {
            stop,
            done: done_by_all,
            tasks,
        }
    }

    /// Returns how many writes were done so far.
    pub fn done(&self) -> usize {
        self.done.load(Ordering::Relaxed)
    }

    /// Stops the writers, waits for them, and returns how many writes were done.
    pub async fn finish(self) -> usize {
        self.stop.store(true, Ordering::Relaxed);
        self.ended().await
    }

    /// Waits until all have ended and returns how many writes were done.
    pub async fn ended(self) -> usize {
        for task in self.tasks {
            task.await.expect("a writer does not panic");
        }
        self.done.load(Ordering::Relaxed)
    }
}

/// Does one write at random and returns whether it was done.
async fn write(client: &mut CartServiceClient<Transport>, cart: CartTarget, label: &str) -> bool {
    let target = Some(cart.clone());
    match rand::random_range(0..20) {
        0 => {
            let request = OrderCartRequest {
                target,
                order_reference: format!("order {label}"),
                ..Default::default()
            };
            client.order_cart(request).await.is_ok()
        }
        1 => {
            let request = DeleteCartRequest {
                target,
                ..Default::default()
            };
            client.delete_cart(request).await.is_ok()
        }
        2 | 3 => {
            let edit = |number| CartEdit {
                edit: Some(Add(item(&format!("p{number}"), 1))),
            };
            let request = EditCartRequest {
                target,
                edits: (0..rand::random_range(1..30)).map(edit).collect(),
                ..Default::default()
            };
            is_done(client.edit_cart(request).await.map(drop))
        }
        _ => {
            let request = AddItemRequest {
                target: Some(cart),
                item: Some(item(&format!("p{}", rand::random_range(0..7)), 1)),
                ..Default::default()
            };
            is_done(client.add_item(request).await.map(drop))
        }
    }
}

/// Returns whether a write was done. On a busy machine some get no turn in time, or conflict at their cart
/// each time.
fn is_done(written: Result<(), Status>) -> bool {
    const TRY_AGAIN: [Code; 3] = [Code::Unavailable, Code::DeadlineExceeded, Code::Aborted];
    match written {
        Ok(()) => true,
        Err(status) if TRY_AGAIN.contains(&status.code()) => false,
        Err(status) => panic!("a write: {status:?}"),
    }
}

/// Returns a connection to the shop's database if that is PostgreSQL.
pub async fn connection(shop: &Shop) -> Option<PgConnection> {
    let DatabaseUrl::Postgres(options) = shop.database() else {
        return None;
    };
    let options: PgConnectOptions = options.disable_statement_logging();
    Some(
        PgConnection::connect_with(&options)
            .await
            .expect("a connection"),
    )
}

/// Hides later writes from all readers of the log until the result is dropped: on PostgreSQL by an open
/// transaction. On SQLite this is impossible.
pub async fn hold_the_log(shop: &Shop) -> Option<PgConnection> {
    let mut connection = connection(shop).await?;
    let begin = sqlx::raw_sql("BEGIN; SELECT pg_current_xact_id()");
    begin.execute(&mut connection).await.expect("a transaction");
    Some(connection)
}

/// On PostgreSQL, runs this statement in every transaction after its row in the log has its number and before
/// it commits. SQLite has one writer, so there is no such moment.
pub async fn in_each_transaction(shop: &Shop, what: &str) {
    let Some(mut connection) = connection(shop).await else {
        return;
    };
    let sql = format!(
        "CREATE OR REPLACE FUNCTION before_the_commit() RETURNS trigger LANGUAGE plpgsql
             AS $$ BEGIN {what} RETURN NULL; END $$;
         CREATE OR REPLACE TRIGGER before_the_commit AFTER INSERT ON change_log
             FOR EACH ROW EXECUTE FUNCTION before_the_commit()"
    );
    let made = sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut connection);
    made.await.expect("the trigger is made");
    connection.close().await.expect("the connection is closed");
}
