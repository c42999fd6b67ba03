//! Password digests: Argon2id, made and checked by a few threads of the lowest priority.
//!
//! A digest costs tens of milliseconds of a core, so it never runs on the threads that serve calls, and its
//! queue is bounded. Shops and keys take turns, so that a key that tries many passwords does not keep others
//! from signing customers in. A check without a stored digest costs the same as one with. Invariant: no
//! password outlives its job in memory, and none is ever part of an error.

mod queue;

use std::{sync::Arc, thread};

use argon2::{
    Algorithm, Argon2, Params, Version,
    password_hash::{
        PasswordHasher as _, PasswordVerifier as _,
        phc::{Output, ParamsString, PasswordHash, Salt},
    },
};
use tokio::sync::oneshot;
use unicode_normalization::UnicodeNormalization as _;
use zeroize::{Zeroize as _, Zeroizing};

use crate::{
    error::{Error, Result},
    limits,
    proto::pb::ErrorReason,
};
pub use queue::Owner;
use queue::{Bounds, Queue, Work};

/// The parameters of new digests: 19 MiB, two passes, one lane.
const MEMORY_KIB: u32 = 19_456;
const PASSES: u32 = 2;
const LANES: u32 = 1;
const SALT_BYTES: usize = 16;
const OUTPUT_BYTES: usize = 32;

/// The nice value of the lowest priority.
#[cfg(target_os = "linux")]
const LOWEST_PRIORITY: i32 = 19;

/// A password as somebody typed it; wiped when dropped.
pub type Password = Zeroizing<String>;

/// The result of a check.
#[derive(Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The password is wrong, or there is none.
    Wrong,
    /// The password is right. The digest replaces the stored one if that was made with older parameters.
    Right(Option<String>),
}

/// The threads that make and check digests. Cheap to clone; all clones share them.
#[derive(Clone, Debug)]
pub struct Passwords {
    threads: Arc<Threads>,
    /// The digest that is checked if none is stored.
    dummy: Arc<str>,
}

/// Ends the threads when dropped.
struct Threads(Arc<Queue<Job>>);

impl std::fmt::Debug for Threads {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Threads").finish_non_exhaustive()
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        self.0.close();
    }
}

enum Job {
    Hash(Password, oneshot::Sender<Result<String>>),
    Verify(Password, String, oneshot::Sender<Result<Verdict>>),
}

impl Work for Job {
    fn is_wanted(&self) -> bool {
        match self {
            Self::Hash(_, answer) => !answer.is_closed(),
            Self::Verify(_, _, answer) => !answer.is_closed(),
        }
    }

    fn refuse(self) {
        let text = "too many passwords wait to be hashed";
        let error = Error::exhausted(ErrorReason::Overloaded, text);
        // A caller that has left needs no answer.
        let _ = match self {
            Self::Hash(_, answer) => answer.send(Err(error)).is_ok(),
            Self::Verify(_, _, answer) => answer.send(Err(error)).is_ok(),
        };
    }
}

impl Passwords {
    /// Starts one thread per core. They end when the last clone is dropped.
    ///
    /// # Errors
    /// If the system cannot start a thread.
    pub fn start() -> std::io::Result<Self> {
        let passwords = Self::waiting();
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            let queue = Arc::clone(&passwords.threads.0);
            thread::Builder::new()
                .name("passwords".to_owned())
                .spawn(move || work(&queue))?;
        }
        Ok(passwords)
    }

    /// A queue without threads.
    fn waiting() -> Self {
        let bounds = Bounds {
            total: limits::HASH_QUEUE_MAX,
            per_key: limits::HASH_QUEUE_PER_KEY_MAX,
        };
        Self {
            threads: Arc::new(Threads(Arc::new(Queue::new(bounds)))),
            dummy: dummy().into(),
        }
    }

    /// Makes the digest of a new password, as a PHC string.
    ///
    /// # Errors
    /// OVERLOADED if too many of the owner's passwords wait.
    pub async fn hash(&self, owner: &Owner, password: Password) -> Result<String> {
        let (answer, answered) = oneshot::channel();
        self.threads.0.push(owner, Job::Hash(password, answer));
        answered.await.map_err(Error::internal)?
    }

    /// Checks a password against a stored digest. Without one the check takes as long, and the result is
    /// always [`Verdict::Wrong`].
    ///
    /// # Errors
    /// OVERLOADED if too many of the owner's passwords wait. Internal if the stored digest cannot be read.
    pub async fn verify(
        &self,
        owner: &Owner,
        password: Password,
        stored: Option<String>,
    ) -> Result<Verdict> {
        let (answer, answered) = oneshot::channel();
        let known = stored.is_some();
        let stored = stored.unwrap_or_else(|| self.dummy.to_string());
        self.threads
            .0
            .push(owner, Job::Verify(password, stored, answer));
        let verdict = answered.await.map_err(Error::internal)??;
        Ok(if known { verdict } else { Verdict::Wrong })
    }
}

fn work(queue: &Queue<Job>) {
    lower_priority();
    while let Some(job) = queue.pop() {
        // A caller that has left needs no digest.
        if !job.is_wanted() {
            continue;
        }
        match job {
            Job::Hash(password, answer) => {
                let _ = answer.send(digest(&password));
            }
            Job::Verify(password, stored, answer) => {
                let _ = answer.send(check(&password, &stored));
            }
        }
    }
}

/// Only Linux has priorities of threads. Elsewhere the bound on their number must suffice.
fn lower_priority() {
    #[cfg(target_os = "linux")]
    if let Err(error) =
        rustix::process::setpriority_process(Some(rustix::thread::gettid()), LOWEST_PRIORITY)
    {
        tracing::warn!(%error, "passwords are hashed at normal priority");
    }
}

fn params() -> Params {
    Params::new(MEMORY_KIB, PASSES, LANES, Some(OUTPUT_BYTES)).expect("the parameters are in range")
}

fn argon2() -> Argon2<'static> {
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params())
}

/// The bytes that are hashed: texts that look the same have the same bytes.
fn normal(password: &str) -> Zeroizing<Vec<u8>> {
    // UTF-8 has at most four bytes a character, so the buffer never moves and leaves no copy.
    let mut bytes = Zeroizing::new(Vec::with_capacity(password.len() * 4));
    let mut buffer = [0; 4];
    for letter in password.nfc() {
        bytes.extend_from_slice(letter.encode_utf8(&mut buffer).as_bytes());
    }
    buffer.zeroize();
    bytes
}

fn digest(password: &str) -> Result<String> {
    let salt: [u8; SALT_BYTES] = rand::random();
    let hash: PasswordHash = argon2()
        .hash_password_with_salt(&normal(password), &salt)
        .map_err(|error| Error::internal(format!("a password was not hashed: {error}")))?;
    Ok(hash.to_string())
}

fn check(password: &str, stored: &str) -> Result<Verdict> {
    let unreadable = |error: &dyn std::fmt::Display| {
        Error::internal(format!("a stored password digest cannot be read: {error}"))
    };
    let hash = PasswordHash::new(stored).map_err(|error| unreadable(&error))?;
    match argon2().verify_password(&normal(password), &hash) {
        Ok(()) if is_current(&hash) => Ok(Verdict::Right(None)),
        Ok(()) => Ok(Verdict::Right(Some(digest(password)?))),
        Err(argon2::password_hash::Error::PasswordInvalid) => Ok(Verdict::Wrong),
        Err(error) => Err(unreadable(&error)),
    }
}

fn is_current(hash: &PasswordHash) -> bool {
    hash.algorithm == Algorithm::Argon2id.ident()
        && hash.version == Some(Version::V0x13.into())
        && hash.params.get_decimal("m") == Some(MEMORY_KIB)
        && hash.params.get_decimal("t") == Some(PASSES)
        && hash.params.get_decimal("p") == Some(LANES)
        && hash.hash.as_ref().map(Output::len) == Some(OUTPUT_BYTES)
}

/// A digest with the current parameters that no password has.
fn dummy() -> String {
    let salt: [u8; SALT_BYTES] = rand::random();
    let output: [u8; OUTPUT_BYTES] = rand::random();
    PasswordHash {
        algorithm: Algorithm::Argon2id.ident(),
        version: Some(Version::V0x13.into()),
        params: ParamsString::try_from(&params()).expect("three numbers fit"),
        salt: Some(Salt::new(&salt).expect("16 bytes are a salt")),
        hash: Some(Output::new(&output).expect("32 bytes are an output")),
    }
    .to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn password(text: &str) -> Password {
        Zeroizing::new(text.to_owned())
    }

    fn owner() -> Owner {
        Owner {
            shop: "default".into(),
            key: "a".into(),
        }
    }

    #[tokio::test]
    async fn a_password_is_right_for_its_own_digest_only() {
        let passwords = Passwords::start().unwrap();

        let stored = passwords
            .hash(&owner(), password("correct horse"))
            .await
            .unwrap();

        assert!(
            stored.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"),
            "{stored}"
        );
        let owner = owner();
        let verify = |typed, stored| passwords.verify(&owner, password(typed), stored);
        let right = verify("correct horse", Some(stored.clone())).await.unwrap();
        assert_eq!(right, Verdict::Right(None));
        assert_eq!(
            verify("correct horsf", Some(stored)).await.unwrap(),
            Verdict::Wrong
        );
        assert_eq!(verify("correct horse", None).await.unwrap(), Verdict::Wrong);
    }

    #[test]
    fn the_spelling_of_an_accent_does_not_matter() {
        let stored = digest("caf\u{e9} cr\u{e8}me").unwrap();

        let verdict = check("cafe\u{301} cre\u{300}me", &stored).unwrap();

        assert_eq!(verdict, Verdict::Right(None));
    }

    #[test]
    fn a_digest_of_other_parameters_is_replaced_after_a_success() {
        let weak = Params::new(8, 1, 1, Some(OUTPUT_BYTES)).unwrap();
        let stored = Argon2::new(Algorithm::Argon2id, Version::V0x13, weak)
            .hash_password_with_salt(b"correct horse", &[7; SALT_BYTES])
            .unwrap()
            .to_string();

        let Verdict::Right(Some(renewed)) = check("correct horse", &stored).unwrap() else {
            panic!("the digest was not renewed");
        };

        assert_eq!(
            check("correct horse", &renewed).unwrap(),
            Verdict::Right(None)
        );
        assert_eq!(check("wrong", &stored).unwrap(), Verdict::Wrong);
    }

    #[test]
    fn the_dummy_costs_as_much_as_a_stored_digest() {
        let dummy = PasswordHash::new(&dummy()).unwrap();

        assert!(is_current(&dummy));
    }

    #[tokio::test]
    async fn a_password_that_finds_the_queue_full_is_refused() {
        let passwords = Passwords::waiting();
        let owner = owner();
        let hash = || passwords.hash(&owner, password("correct horse"));
        let mut waiting: Vec<_> = (0..limits::HASH_QUEUE_PER_KEY_MAX)
            .map(|_| Box::pin(hash()))
            .collect();
        for hash in &mut waiting {
            assert!(futures::poll!(hash).is_pending());
        }

        let refused = hash().await.unwrap_err();

        assert_eq!(refused.reason(), ErrorReason::Overloaded);
        assert!(refused.is_retryable());
    }
}
