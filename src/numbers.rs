//! Human-readable numbers of customers and carts, by shop and sequence, allocated in blocks.
//!
//! A block is taken by a write of its own, so creations never contend for the sequence's row. The rest of a
//! block is lost when the process ends. Numbers grow, have gaps, and are never allocated twice.

use std::{
    collections::HashMap,
    ops::Range,
    sync::{Arc, Mutex as SyncMutex, PoisonError},
};

use futures::FutureExt as _;
use tokio::sync::Mutex;

use crate::{
    error::Result,
    on_write,
    store::{Locks, Store, Tx},
};

/// The size of a block.
const BLOCK: i64 = 100;

/// The use of a number. Each shop has its own sequence for each use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Sequence {
    /// Numbers of customers.
    Customer,
    /// Numbers of carts.
    Cart,
}

impl Sequence {
    const fn name(self) -> &'static str {
        match self {
            Self::Customer => "customer",
            Self::Cart => "cart",
        }
    }
}

type Block = Arc<Mutex<Range<i64>>>;
type Blocks = HashMap<(Arc<str>, Sequence), Block>;

/// Allocates numbers. Cheap to clone; all clones share the same blocks.
#[derive(Clone)]
pub struct Numbers {
    store: Store,
    blocks: Arc<SyncMutex<Blocks>>,
}

impl Numbers {
    /// The numbers of the shops of this store.
    #[must_use]
    pub fn new(store: Store) -> Self {
        Self {
            store,
            blocks: Arc::default(),
        }
    }

    /// The next number of a sequence. A caller may have chosen it before.
    ///
    /// # Errors
    /// An error of the database.
    pub async fn next(&self, shop: &Arc<str>, sequence: Sequence) -> Result<String> {
        let block = {
            let mut blocks = self.blocks.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(blocks.entry((Arc::clone(shop), sequence)).or_default())
        };
        let mut block = block.lock().await;
        if block.is_empty() {
            *block = self.take(Arc::clone(shop), sequence).await?;
        }
        let number = block.start;
        block.start += 1;
        Ok(number.to_string())
    }

    async fn take(&self, shop: Arc<str>, sequence: Sequence) -> Result<Range<i64>> {
        let end: i64 = self
            .store
            .write_with(Locks::none(), shop, move |tx, shop| {
                take(tx, shop, sequence.name()).boxed()
            })
            .await?;
        Ok(end - BLOCK..end)
    }
}

/// Sequences begin at 1.
const TAKE: &str = "INSERT INTO sequences (shop_id, name, next) VALUES ($1, $2, 1 + $3)
    ON CONFLICT (shop_id, name) DO UPDATE SET next = sequences.next + $3
    RETURNING next";

async fn take(tx: &mut Tx, shop: &str, name: &str) -> Result<i64> {
    let end = on_write!(tx, |e| sqlx::query_scalar(TAKE)
        .bind(shop)
        .bind(name)
        .bind(BLOCK)
        .fetch_one(e)
        .await)?;
    Ok(end)
}
