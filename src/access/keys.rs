//! API keys: which are live, what they may do, and for which shop.
//!
//! All live keys are held in memory by the digest of the secret, read again at intervals, and once more
//! for a secret that is not known, so that new keys work at once on every replica. A key that is revoked
//! or expires has its token cancelled, which ends its open streams. The secret itself is nowhere kept.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, PoisonError, RwLock, Weak},
    time::Duration,
};

use futures::FutureExt as _;
use quick_cache::sync::Cache;
use tokio::{sync::Mutex, time::Instant};
use tokio_util::sync::CancellationToken;

use crate::{
    access::{Roles, sql},
    error::{Error, Result},
    limits::{KEY_MISS_INTERVAL, KEY_POLL_INTERVAL, REVOCATION_MAX},
    shops::{self, ApiKeyDoc},
    store::Store,
};

/// What every key begins with, so that scanners know a leaked one.
const PREFIX: &str = "clt_";
/// Characters of a key after its prefix.
const SECRET_CHARS: usize = 43;

/// How many digests of no key are remembered.
const UNKNOWN_KEYS_MAX: usize = 4_096;
/// How long one reading of the keys may take.
const READ_TIME_MAX: Duration = Duration::from_secs(2);
/// A key that is revoked just after it was read is gone after the next reading.
const _: () = assert!(
    KEY_POLL_INTERVAL.as_millis() + READ_TIME_MAX.as_millis() <= REVOCATION_MAX.as_millis()
);

/// A live key.
pub struct Key {
    /// The last part of its name.
    pub id: Arc<str>,
    /// The shop it opens; none for an operator's.
    pub shop: Option<Arc<str>>,
    /// What it may do.
    pub roles: Roles,
    /// Whether it may name the acting person.
    pub may_act: bool,
    /// When it ends by itself.
    pub expire_time: Option<i64>,
    /// Cancelled when it has ended.
    pub ended: CancellationToken,
}

impl Key {
    fn is_expired(&self, now: i64) -> bool {
        self.expire_time
            .is_some_and(|expire_time| expire_time <= now)
    }

    fn is_as(&self, other: &Self) -> bool {
        self.id == other.id
            && self.shop == other.shop
            && self.roles == other.roles
            && self.may_act == other.may_act
            && self.expire_time == other.expire_time
    }
}

/// The live keys and the shops of a store; cheap to clone.
#[derive(Clone)]
pub struct Keys(Arc<Inner>);

struct Inner {
    store: Store,
    known: RwLock<Known>,
    /// When the last reading began; held while reading.
    read_at: Mutex<Instant>,
    /// Digests that no key had when it was asked for. Nobody knows a secret before its key is stored, so
    /// that these need not be read for again.
    unknown: Cache<[u8; 32], ()>,
}

#[derive(Default)]
struct Known {
    keys: HashMap<[u8; 32], Arc<Key>>,
    shops: HashMap<Arc<str>, Arc<str>>,
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keys").finish_non_exhaustive()
    }
}

impl Keys {
    /// Reads the keys, and again after each `interval` as long as someone holds them and `stop` is not
    /// cancelled.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn start(store: Store, interval: Duration, stop: CancellationToken) -> Result<Self> {
        let keys = Self(Arc::new(Inner {
            store,
            known: RwLock::default(),
            read_at: Mutex::new(Instant::now()),
            unknown: Cache::new(UNKNOWN_KEYS_MAX),
        }));
        keys.0.read().await?;
        tokio::spawn(poll(Arc::downgrade(&keys.0), interval, stop));
        Ok(keys)
    }

    /// The live key with this secret.
    ///
    /// # Errors
    /// When the secret is not known and the keys cannot be read.
    pub async fn find(&self, secret: &str) -> Result<Option<Arc<Key>>> {
        let is_one = secret.strip_prefix(PREFIX).is_some_and(|random| {
            let in_alphabet = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
            random.len() == SECRET_CHARS && random.bytes().all(in_alphabet)
        });
        if !is_one {
            return Ok(None);
        }
        // Finding by digest takes no time that would tell of another secret.
        let digest = shops::secret_digest(secret);
        if let Some(key) = self.0.key(&digest) {
            return Ok(Some(key));
        }
        if self.0.unknown.get(&digest).is_some() {
            return Ok(None);
        }
        self.0.read_since(Instant::now()).await?;
        let key = self.0.key(&digest);
        if key.is_none() {
            self.0.unknown.insert(digest, ());
        }
        Ok(key)
    }

    /// The shop of this id, as it is shared by all calls.
    ///
    /// # Errors
    /// When the shop is not known and the shops cannot be read.
    pub async fn shop(&self, id: &str) -> Result<Option<Arc<str>>> {
        let known = || self.0.with_known(|known| known.shops.get(id).cloned());
        if let Some(shop) = known() {
            return Ok(Some(shop));
        }
        self.0.read_since(Instant::now()).await?;
        Ok(known())
    }

    /// The shop, if there is just one at this moment. The database is asked: a second shop that was made
    /// a moment ago, at whichever replica, must not get its calls into the first.
    ///
    /// # Errors
    /// When the shops cannot be read.
    pub async fn only_shop(&self) -> Result<Option<Arc<str>>> {
        let two = self.0.store.read(|conn| sql::two_shops(conn).boxed());
        match two.await?.as_slice() {
            [one] => self.shop(one).await,
            _ => Ok(None),
        }
    }
}

impl Inner {
    fn with_known<T>(&self, f: impl FnOnce(&Known) -> T) -> T {
        f(&self.known.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn key(&self, digest: &[u8; 32]) -> Option<Arc<Key>> {
        let key = self.with_known(|known| known.keys.get(digest).cloned())?;
        (!key.is_expired(self.store.clock().now())).then_some(key)
    }

    /// Makes sure that the keys were read after `moment`. However many ask, and for however many unknown
    /// secrets, the database is asked once in an interval.
    async fn read_since(&self, moment: Instant) -> Result<()> {
        let mut read_at = self.read_at.lock().await;
        if *read_at > moment {
            return Ok(());
        }
        tokio::time::sleep_until(*read_at + KEY_MISS_INTERVAL).await;
        let now = Instant::now();
        self.read().await?;
        *read_at = now;
        Ok(())
    }

    async fn read(&self) -> Result<()> {
        let (rows, shops) = self
            .store
            .read(|conn| {
                async { Ok((sql::live_keys(conn).await?, sql::shops(conn).await?)) }.boxed()
            })
            .await?;
        let now = self.store.clock().now();
        let shops: HashMap<Arc<str>, Arc<str>> = shops
            .into_iter()
            .map(|id| {
                let id: Arc<str> = id.into();
                (Arc::clone(&id), id)
            })
            .collect();
        let mut keys = HashMap::with_capacity(rows.len());
        for row in rows {
            let (digest, key) = key(row, &shops)?;
            if !key.is_expired(now) {
                keys.insert(digest, Arc::new(key));
            }
        }
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        for (digest, old) in &known.keys {
            match keys.get_mut(digest) {
                // What is held of the key stays the same, so that its end reaches all who hold it.
                Some(new) if new.is_as(old) => *new = Arc::clone(old),
                _ => old.ended.cancel(),
            }
        }
        *known = Known { keys, shops };
        Ok(())
    }
}

fn key(row: sql::KeyRow, shops: &HashMap<Arc<str>, Arc<str>>) -> Result<([u8; 32], Key)> {
    let corrupt = |error: &dyn fmt::Display| Error::corrupt("api_keys", &row.id, error);
    let digest = <[u8; 32]>::try_from(row.digest.as_slice()).map_err(|error| corrupt(&error))?;
    let doc: ApiKeyDoc = serde_json::from_str(&row.doc).map_err(|error| corrupt(&error))?;
    let shop = row.shop_id.as_deref().map(|id| match shops.get(id) {
        Some(shop) => Arc::clone(shop),
        None => Arc::from(id),
    });
    let mut roles = Roles::from_numbers(doc.roles);
    if shop.is_some() {
        // The one role that is not bound to a shop is never believed of a key that is.
        roles = roles.without(crate::proto::pb::Role::Operator);
    }
    let key = Key {
        id: row.id.into(),
        shop,
        roles,
        may_act: doc.may_act,
        expire_time: row.expire_time,
        ended: CancellationToken::new(),
    };
    Ok((digest, key))
}

async fn poll(keys: Weak<Inner>, interval: Duration, stop: CancellationToken) {
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(interval) => {}
        }
        let Some(keys) = keys.upgrade() else { return };
        // The time of a reading is bounded, so that one that hangs does not keep the keys as they were.
        let reading = tokio::time::timeout(READ_TIME_MAX, keys.read());
        match reading.await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::warn!(%error, cause = error.cause(), "the API keys could not be read")
            }
            Err(_) => tracing::warn!("the API keys could not be read in time"),
        }
    }
}
