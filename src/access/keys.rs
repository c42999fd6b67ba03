//! The live API keys of a store: their roles and their shops.
//!
//! A key is read by the digest of its secret at its first use, so new keys work at once on every replica.
//! From then on it is cached. Once in an interval a replica checks its cached keys: it reads the recent
//! revocations, and reads a part of the cached keys again. The cost of a key does not depend on the number of
//! keys. A key that is revoked or expires has its token cancelled, which ends its open streams. The secret
//! itself is stored nowhere.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    fmt,
    sync::{
        Arc, Mutex as StdMutex, PoisonError, RwLock, RwLockWriteGuard, Weak,
        atomic::{AtomicI64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures::FutureExt as _;
use quick_cache::sync::Cache;
use tokio::{sync::Mutex, time::Instant};
use tokio_util::sync::CancellationToken;

use crate::{
    access::{
        api_keys::{ApiKeyDoc, secret},
        sql,
    },
    caller::{Roles, Turns},
    clock::micros,
    error::{Error, Result},
    limits::{KEY_POLL_INTERVAL, REVOCATION_MAX},
    store::{Purpose, Store},
};

/// The prefix of every key, by which scanners recognize a leaked one.
const PREFIX: &str = "clt_";
/// Characters of a key after its prefix.
const SECRET_CHARS: usize = 43;

type Digest = [u8; 32];

/// The most digests that are cached as unknown, and ids that are cached as revoked here.
const UNKNOWN_KEYS_MAX: usize = 4_096;
/// The time limit of one check of the keys.
const READ_TIME_MAX: Duration = Duration::from_secs(2);
/// The most keys that one statement reads.
const KEYS_AT_ONCE: usize = 500;
/// How far back each check reads revocations. It is longer than a write takes from its time to its commit,
/// and than the clocks of serving replicas may differ.
const REVOKED_LATELY: Duration = Duration::from_secs(5 * 60);
/// A key that is revoked just after a check has ended after the next one.
const _: () = assert!(
    KEY_POLL_INTERVAL.as_millis() + READ_TIME_MAX.as_millis() <= REVOCATION_MAX.as_millis()
);

/// A live key.
pub struct Key {
    /// The last segment of its name.
    pub id: Arc<str>,
    /// The shop to which it gives access; None for an operator key.
    pub shop: Option<Arc<str>>,
    /// Its roles.
    pub roles: Roles,
    /// Whether it may name the acting person.
    pub may_act: bool,
    /// When it expires, in microseconds.
    pub expire_time: Option<i64>,
    /// Cancelled when the key has ended.
    pub ended: CancellationToken,
    /// The turns of its calls.
    pub turns: Arc<Turns>,
    /// Bytes of answers that its clients have not received.
    pub unsent_bytes: Arc<AtomicUsize>,
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

/// The keys and the shops of a store; cheap to clone.
#[derive(Clone)]
pub struct Keys(Arc<Inner>);

struct Inner {
    store: Store,
    known: RwLock<Known>,
    /// When the revocations were last read, in microseconds since 1970.
    looked: AtomicI64,
    /// Digests that had no live key when they were read. Nobody knows a secret before its key is stored, so
    /// these need not be read again.
    unknown: Cache<Digest, ()>,
    /// Keys that were revoked here. Rows read before the revocation do not bring them back.
    revoked_here: Cache<Arc<str>, ()>,
    /// Digests that calls wait for. The next read includes all of them.
    wanted: StdMutex<Vec<Digest>>,
    /// Held while a call reads the database. So calls together use one connection, and one is left for the
    /// poll.
    asking: Mutex<OnlyShop>,
}

/// The keys that were used here, and the shops.
#[derive(Default)]
struct Known {
    keys: HashMap<Digest, Arc<Key>>,
    /// The keys that expire, the next one first.
    ends: BTreeSet<(i64, Digest)>,
    shops: HashSet<Arc<str>>,
}

/// The only shop of the database, as of the last query; None if there are several.
struct OnlyShop {
    asked: Instant,
    shop: Option<Arc<str>>,
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keys").finish_non_exhaustive()
    }
}

impl Keys {
    /// The keys of a store without regular checks: for a process that serves no calls.
    #[must_use]
    pub fn of(store: &Store) -> Self {
        let asking = OnlyShop {
            asked: Instant::now(),
            shop: None,
        };
        Self(Arc::new(Inner {
            store: store.reserved_for(Purpose::Keys),
            known: RwLock::default(),
            looked: AtomicI64::new(store.clock().now()),
            unknown: Cache::new(UNKNOWN_KEYS_MAX),
            revoked_here: Cache::new(UNKNOWN_KEYS_MAX),
            wanted: StdMutex::default(),
            asking: Mutex::new(asking),
        }))
    }

    /// Checks the keys once in each `interval`, until they are dropped or `stop` is cancelled.
    ///
    /// # Errors
    /// If the revocations cannot be read.
    pub async fn start(store: Store, interval: Duration, stop: CancellationToken) -> Result<Self> {
        let keys = Self::of(&store);
        keys.0.end_revoked().await?;
        tokio::spawn(poll(Arc::downgrade(&keys.0), interval, stop));
        Ok(keys)
    }

    /// Finds the live key with this secret.
    ///
    /// # Errors
    /// If the secret is not cached and the keys cannot be read.
    pub async fn find(&self, secret: &str) -> Result<Option<Arc<Key>>> {
        let is_one = secret.strip_prefix(PREFIX).is_some_and(|random| {
            let in_alphabet = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
            random.len() == SECRET_CHARS && random.bytes().all(in_alphabet)
        });
        if !is_one {
            return Ok(None);
        }
        // A search by digest takes no time that would reveal another secret.
        let digest = secret::digest(secret);
        if let Some(key) = self.0.key(&digest) {
            return Ok(Some(key));
        }
        if self.0.unknown.get(&digest).is_some() {
            return Ok(None);
        }
        self.0.ask_for(digest).await?;
        Ok(self.0.key(&digest))
    }

    /// Ends a key that was revoked here, and its streams, at once.
    pub fn revoked(&self, id: &str) {
        self.0.revoked_here.insert(Arc::from(id), ());
        let mut known = self.0.write();
        let found = known.keys.iter().find(|(_, key)| *key.id == *id);
        if let Some(digest) = found.map(|(digest, _)| *digest) {
            known.end(&digest);
        }
    }

    /// Finds the shop of this id. All calls share the returned id.
    ///
    /// # Errors
    /// If the shop is not cached and the database cannot be read.
    pub async fn shop(&self, id: &str) -> Result<Option<Arc<str>>> {
        if let Some(shop) = self.0.with_known(|known| known.shops.get(id).cloned()) {
            return Ok(Some(shop));
        }
        let _asking = self.0.asking.lock().await;
        let id = id.to_owned();
        let read = self
            .0
            .store
            .read(|conn| async move { sql::shop(conn, &id).await }.boxed());
        Ok(read.await?.map(|id| self.0.shop(&id)))
    }

    /// Returns the shop if it is the only one at this moment. The database is read, because calls must not
    /// get into the first shop after any replica has created a second one. Calls that arrive during a read
    /// share the next one.
    ///
    /// # Errors
    /// If the shops cannot be read.
    pub async fn only_shop(&self) -> Result<Option<Arc<str>>> {
        let came = Instant::now();
        let mut last = self.0.asking.lock().await;
        if last.asked <= came {
            let asked = Instant::now();
            let read = self.0.store.read(|conn| sql::two_shops(conn).boxed());
            let shop = match read.await?.as_slice() {
                [one] => Some(self.0.shop(one)),
                _ => None,
            };
            *last = OnlyShop { asked, shop };
        }
        Ok(last.shop.clone())
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

    /// The shared id of a shop that exists.
    fn shop(&self, id: &str) -> Arc<str> {
        let known = self.with_known(|known| known.shops.get(id).cloned());
        known.unwrap_or_else(|| self.write().shop(id))
    }

    fn write(&self) -> RwLockWriteGuard<'_, Known> {
        self.known.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads a key that is not cached, together with those that other calls wait for.
    async fn ask_for(&self, digest: Digest) -> Result<()> {
        self.wanted().push(digest);
        let _asking = self.asking.lock().await;
        // Another call may have read this one, too.
        if self.key(&digest).is_some() || self.unknown.get(&digest).is_some() {
            return Ok(());
        }
        let mut digests = vec![digest];
        {
            let mut wanted = self.wanted();
            let first = wanted.len().saturating_sub(KEYS_AT_ONCE);
            digests.extend(wanted.drain(first..));
        }
        digests.sort_unstable();
        digests.dedup();
        // A key that seems expired because of a wrong clock is read again next time.
        let found = self.read(&digests).await?;
        digests.retain(|digest| !found.contains(digest));
        for digest in digests {
            self.unknown.insert(digest, ());
        }
        Ok(())
    }

    fn wanted(&self) -> std::sync::MutexGuard<'_, Vec<Digest>> {
        self.wanted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads some keys: caches the live ones and drops the others. Returns the digests of all rows that
    /// were not revoked.
    async fn read(&self, digests: &[Digest]) -> Result<Vec<Digest>> {
        let asked = digests.to_vec();
        let read = self
            .store
            .read(|conn| async move { sql::live_keys(conn, &asked).await }.boxed());
        let rows = read.await?;
        let now = self.store.clock().now();
        let at_once = [Purpose::Lists, Purpose::Streams];
        let at_once = at_once.map(|purpose| self.store.connections_for(purpose));
        // Before the lock, which all calls need.
        let rows = rows
            .into_iter()
            .map(|row| key(row, |id| self.shop(id), at_once));
        let rows: Vec<_> = rows.collect();
        let mut known = self.write();
        let mut live = Vec::with_capacity(rows.len());
        let mut found = Vec::with_capacity(rows.len());
        for row in rows {
            let (digest, key) = match row {
                Ok(key) => key,
                Err(error) => {
                    // One unreadable key must not harm the others.
                    tracing::error!(%error, cause = error.cause(), "an API key cannot be read");
                    continue;
                }
            };
            found.push(digest);
            if !key.is_expired(now) && self.revoked_here.get(&key.id).is_none() {
                live.push(digest);
                known.put(digest, key);
            }
        }
        live.sort_unstable();
        for digest in digests {
            if live.binary_search(digest).is_err() {
                known.end(digest);
            }
        }
        Ok(found)
    }

    /// Ends the keys that any replica has revoked recently, and those that have expired.
    async fn end_revoked(&self) -> Result<()> {
        let now = self.store.clock().now();
        self.write().end_expired(now);
        // After an outage the check goes back to before it.
        let looked = self.looked.load(Ordering::Relaxed).min(now);
        let since = looked.saturating_sub(micros(REVOKED_LATELY));
        let revoked = self
            .store
            .read(move |conn| sql::revoked(conn, since).boxed());
        let revoked = revoked.await?;
        let mut known = self.write();
        for digest in revoked {
            if let Ok(digest) = Digest::try_from(digest.as_slice()) {
                known.end(&digest);
            }
        }
        drop(known);
        self.looked.store(now, Ordering::Relaxed);
        Ok(())
    }

    /// Checks the keys once. `turn` holds the keys that are still to be read again.
    async fn look_after(&self, turn: &mut Vec<Digest>) -> Result<()> {
        self.end_revoked().await?;
        // Also notices a row that was changed or deleted by hand, though later if there are many.
        if turn.is_empty() {
            *turn = self.with_known(|known| known.keys.keys().copied().collect());
        }
        let digests = turn.split_off(turn.len().saturating_sub(KEYS_AT_ONCE));
        if digests.is_empty() {
            return Ok(());
        }
        self.read(&digests).await?;
        Ok(())
    }
}

impl Known {
    /// Caches a live key. An unchanged key is kept as the same object, so that its end reaches every call.
    /// The clients of a changed key keep their unreceived answers and their calls in progress.
    fn put(&mut self, digest: Digest, mut key: Key) {
        if let Some(old) = self.keys.get(&digest) {
            if key.is_as(old) {
                return;
            }
            // However the key was changed, its clients still have to receive this, and these calls continue.
            key.unsent_bytes = Arc::clone(&old.unsent_bytes);
            key.turns = Arc::clone(&old.turns);
        }
        self.end(&digest);
        if let Some(expire_time) = key.expire_time {
            self.ends.insert((expire_time, digest));
        }
        self.keys.insert(digest, Arc::new(key));
    }

    /// Ends a key, if it is cached.
    fn end(&mut self, digest: &Digest) {
        let Some(key) = self.keys.remove(digest) else {
            return;
        };
        if let Some(expire_time) = key.expire_time {
            self.ends.remove(&(expire_time, *digest));
        }
        key.ended.cancel();
    }

    fn end_expired(&mut self, now: i64) {
        while let Some(&(expire_time, digest)) = self.ends.first()
            && expire_time <= now
        {
            self.ends.pop_first();
            self.end(&digest);
        }
    }

    /// The shared id of a shop that exists.
    fn shop(&mut self, id: &str) -> Arc<str> {
        if let Some(shop) = self.shops.get(id) {
            return Arc::clone(shop);
        }
        let shop: Arc<str> = Arc::from(id);
        self.shops.insert(Arc::clone(&shop));
        shop
    }
}

fn key(
    row: sql::KeyRow,
    shop: impl FnOnce(&str) -> Arc<str>,
    [lists_at_once, pages_at_once]: [usize; 2],
) -> Result<(Digest, Key)> {
    let corrupt = |error: &dyn fmt::Display| Error::corrupt("api_keys", &row.id, error);
    let digest = Digest::try_from(row.digest.as_slice()).map_err(|error| corrupt(&error))?;
    let doc: ApiKeyDoc = serde_json::from_str(&row.doc).map_err(|error| corrupt(&error))?;
    let shop = row.shop_id.as_deref().map(shop);
    let mut roles = Roles::from_numbers(doc.roles);
    if shop.is_some() {
        // A key that is bound to a shop never has the one role that is not.
        roles = roles.without(crate::proto::pb::Role::Operator);
    }
    let key = Key {
        id: row.id.into(),
        shop,
        roles,
        may_act: doc.may_act,
        expire_time: row.expire_time,
        ended: CancellationToken::new(),
        turns: Arc::new(Turns::new(lists_at_once, pages_at_once)),
        unsent_bytes: Arc::default(),
    };
    Ok((digest, key))
}

async fn poll(keys: Weak<Inner>, interval: Duration, stop: CancellationToken) {
    let mut turn = Vec::new();
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(interval) => {}
        }
        let Some(keys) = keys.upgrade() else { return };
        // The time of a check is bounded, so that one that hangs does not keep old keys alive.
        let looking = tokio::time::timeout(READ_TIME_MAX, keys.look_after(&mut turn));
        match looking.await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::warn!(%error, cause = error.cause(), "the API keys could not be read")
            }
            Err(_) => tracing::warn!("the API keys could not be read in time"),
        }
    }
}
