//! API keys: which are live, what they may do, and for which shop.
//!
//! A key is read by the digest of its secret when it is used first, so that new keys work at once on every
//! replica, and is held in memory from then on. What a replica holds it looks after once in an interval: it
//! asks which keys were revoked lately, and reads a part of its own again. What a key costs does not depend
//! on how many there are. A key that is revoked or expires has its token cancelled, which ends its open
//! streams. The secret itself is nowhere kept.

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

/// What every key begins with, so that scanners know a leaked one.
const PREFIX: &str = "clt_";
/// Characters of a key after its prefix.
const SECRET_CHARS: usize = 43;

type Digest = [u8; 32];

/// How many digests of no key are remembered, and ids of keys that were revoked here.
const UNKNOWN_KEYS_MAX: usize = 4_096;
/// How long one look at the keys may take.
const READ_TIME_MAX: Duration = Duration::from_secs(2);
/// Keys that are asked for by one statement.
const KEYS_AT_ONCE: usize = 500;
/// For how long a revocation is told: longer than a write takes from its time to its commit, and than the
/// clocks of replicas that serve may differ.
const REVOKED_LATELY: Duration = Duration::from_secs(5 * 60);
/// A key that is revoked just after a look is gone after the next.
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
    /// When the revocations were read last, in microseconds since 1970.
    looked: AtomicI64,
    /// Digests that no live key had when it was asked for. Nobody knows a secret before its key is stored,
    /// so that these need not be asked for again.
    unknown: Cache<Digest, ()>,
    /// Keys that were revoked here: what was read of them before does not bring them back.
    revoked_here: Cache<Arc<str>, ()>,
    /// Digests that calls wait for; whoever asks next asks for all of them.
    wanted: StdMutex<Vec<Digest>>,
    /// Held by the one who asks the database for a call, so that however many calls ask, one connection is
    /// left for the poll.
    asking: Mutex<OnlyShop>,
}

/// The keys that were used here, and the shops.
#[derive(Default)]
struct Known {
    keys: HashMap<Digest, Arc<Key>>,
    /// Those that end by themselves, the next one first.
    ends: BTreeSet<(i64, Digest)>,
    shops: HashSet<Arc<str>>,
}

/// The only shop of the database, as of the last query; none if there are several.
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
    /// The keys of a store that nobody looks after: for a process that serves nobody.
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

    /// Looks after the keys in each `interval` as long as someone holds them and `stop` is not cancelled.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn start(store: Store, interval: Duration, stop: CancellationToken) -> Result<Self> {
        let keys = Self::of(&store);
        keys.0.end_revoked().await?;
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

    /// A key was revoked here: it ends at once, as do its streams.
    pub fn revoked(&self, id: &str) {
        self.0.revoked_here.insert(Arc::from(id), ());
        let mut known = self.0.write();
        let found = known.keys.iter().find(|(_, key)| *key.id == *id);
        if let Some(digest) = found.map(|(digest, _)| *digest) {
            known.end(&digest);
        }
    }

    /// The shop of this id, as it is shared by all calls.
    ///
    /// # Errors
    /// When the shop is not known and the database cannot be asked.
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

    /// The shop, if there is just one at this moment. The database is asked: a second shop that was made
    /// a moment ago, at whichever replica, must not get its calls into the first. Calls that come while it is
    /// asked share the next question.
    ///
    /// # Errors
    /// When the shops cannot be read.
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

    /// The shop of this id, which there is, as it is shared by all calls.
    fn shop(&self, id: &str) -> Arc<str> {
        let known = self.with_known(|known| known.shops.get(id).cloned());
        known.unwrap_or_else(|| self.write().shop(id))
    }

    fn write(&self) -> RwLockWriteGuard<'_, Known> {
        self.known.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks the database for a key that is not known, together with those that other calls wait for.
    async fn ask_for(&self, digest: Digest) -> Result<()> {
        self.wanted().push(digest);
        let _asking = self.asking.lock().await;
        // Another may have asked for this one too.
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
        // A key that has expired by a wrong clock is asked for again.
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

    /// Reads some keys, of which those that are not live are not known afterwards. Returns the digests that
    /// have a row of a key that was not revoked.
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
                    // The others are not to suffer from it.
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

    /// Ends the keys that were revoked lately, wherever that was, and those whose time has come.
    async fn end_revoked(&self) -> Result<()> {
        let now = self.store.clock().now();
        self.write().end_expired(now);
        // After an outage the look goes back to before it.
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

    /// One look after the keys. `turn` holds those that have not had theirs.
    async fn look_after(&self, turn: &mut Vec<Digest>) -> Result<()> {
        self.end_revoked().await?;
        // A row that was changed or taken away by hand is noticed too, if not as soon among many.
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
    /// Holds a live key. Of an unchanged key the same is held as before, so that its end reaches every call. The
    /// clients of a changed key still have the same unreceived answers and calls under way.
    fn put(&mut self, digest: Digest, mut key: Key) {
        if let Some(old) = self.keys.get(&digest) {
            if key.is_as(old) {
                return;
            }
            // However the key was changed, its clients still have to receive this, and these calls go on.
            key.unsent_bytes = Arc::clone(&old.unsent_bytes);
            key.turns = Arc::clone(&old.turns);
        }
        self.end(&digest);
        if let Some(expire_time) = key.expire_time {
            self.ends.insert((expire_time, digest));
        }
        self.keys.insert(digest, Arc::new(key));
    }

    /// A key has ended, or was never there.
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

    /// The shop of this id, which there is.
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
        // The time of a look is bounded, so that one that hangs does not keep the keys as they were.
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
