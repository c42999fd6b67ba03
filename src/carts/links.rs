//! Recovery links: tokens that lead back to a cart, once and for a limited time.
//!
//! A token holds the cart, the expiry and a nonce. It is signed for its shop with a key that has no other
//! purpose. Nothing of it is stored before it is redeemed. Then its nonce is kept until no replica could
//! accept the token any more.

mod sql;

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
use tonic::Code;

pub use sql::{is_used, redeem};

use crate::error::{Error, Result};
use crate::ids;
use crate::jobs::Aged;
use crate::proto::pb::ErrorReason;
use crate::store::{StoreMeta, keyed_digest};

const FORMAT: u8 = 1;
const NONCE_BYTES: usize = 16;
const MAC_BYTES: usize = 16;
/// The bytes before the cart's id: the format, the expiry and the nonce.
const HEAD_BYTES: usize = 1 + 8 + NONCE_BYTES;

/// How long a redeemed token is remembered after its expiry, because the clocks of replicas differ.
const SLACK: Duration = Duration::from_secs(60 * 60);

/// Signs and reads the links of one store.
#[derive(Clone)]
pub struct Links([u8; 32]);

/// The content of a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// The id of the cart.
    pub cart: String,
    /// When it expires, in microseconds.
    pub expire_time: i64,
    /// Distinguishes it from other links to the cart.
    nonce: [u8; NONCE_BYTES],
}

impl Link {
    /// Creates a new link to a cart.
    pub fn new(cart: String, expire_time: i64) -> Self {
        Self {
            cart,
            expire_time,
            nonce: ids::random_bytes(),
        }
    }

    /// The nonce in its stored form.
    fn nonce(&self) -> String {
        BASE64.encode(self.nonce)
    }
}

impl Links {
    /// The links of a store.
    pub fn new(meta: &StoreMeta) -> Self {
        Self(meta.key("recovery link"))
    }

    /// The token of a link.
    pub fn seal(&self, shop: &str, link: &Link) -> String {
        let mut bytes = Vec::with_capacity(HEAD_BYTES + link.cart.len() + MAC_BYTES);
        bytes.push(FORMAT);
        bytes.extend(link.expire_time.to_be_bytes());
        bytes.extend(link.nonce);
        bytes.extend(link.cart.as_bytes());
        let mac = self.mac(shop, &bytes);
        bytes.extend(mac);
        BASE64.encode(bytes)
    }

    /// Reads a token.
    ///
    /// # Errors
    /// RECOVERY_LINK_INVALID, whatever is wrong with it.
    pub fn open(&self, shop: &str, token: &str) -> Result<Link> {
        self.read(shop, token).ok_or_else(|| {
            Error::new(
                Code::InvalidArgument,
                ErrorReason::RecoveryLinkInvalid,
                "the recovery token is not valid in this shop",
            )
        })
    }

    fn read(&self, shop: &str, token: &str) -> Option<Link> {
        let bytes = BASE64.decode(token).ok()?;
        let content = bytes.len().checked_sub(MAC_BYTES)?;
        let (content, mac) = bytes.split_at(content);
        let good = subtle::ConstantTimeEq::ct_eq(&self.mac(shop, content)[..], mac);
        if !bool::from(good) || content.first() != Some(&FORMAT) {
            return None;
        }
        let (head, cart) = content.split_at_checked(HEAD_BYTES)?;
        let (expire_time, nonce) = head[1..].split_first_chunk()?;
        Some(Link {
            cart: String::from_utf8(cart.to_vec()).ok()?,
            expire_time: i64::from_be_bytes(*expire_time),
            nonce: nonce.try_into().ok()?,
        })
    }

    fn mac(&self, shop: &str, content: &[u8]) -> [u8; MAC_BYTES] {
        let length = (shop.len() as u64).to_be_bytes();
        let full = keyed_digest(&self.0, &[&length[..], shop.as_bytes(), content].concat());
        let mut short = [0; MAC_BYTES];
        short.copy_from_slice(&full[..MAC_BYTES]);
        short
    }
}

/// The refusal of a link that was redeemed before.
pub fn used() -> Error {
    Error::new(
        Code::FailedPrecondition,
        ErrorReason::RecoveryLinkUsed,
        "the recovery link was used before; create another",
    )
}

/// The refusal of a link that has expired.
pub fn expired() -> Error {
    Error::new(
        Code::FailedPrecondition,
        ErrorReason::RecoveryLinkExpired,
        "the recovery link has expired; create another",
    )
}

/// Redeemed links that have expired.
pub const USED_LINKS: Aged = Aged {
    table: "used_links",
    key: "shop_id, nonce",
    time: "expire_time",
    condition: "",
    age: SLACK,
    slack: SLACK,
};

#[cfg(test)]
mod tests {
    use super::*;

    const SHOP: &str = "default";

    fn link() -> Link {
        Link::new("cart-1".to_owned(), 1_800_000_000_000_000)
    }

    #[test]
    fn a_link_is_read_as_it_was_made_and_fits_into_an_address() {
        let (links, link) = (Links([7; 32]), link());

        let token = links.seal(SHOP, &link);

        assert_eq!(links.open(SHOP, &token).unwrap(), link);
        let safe = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        assert!(token.chars().all(safe), "{token}");
        let longest = Link::new("x".repeat(63), i64::MAX);
        assert!(links.seal(SHOP, &longest).len() <= 512);
        assert_ne!(links.seal(SHOP, &Link::new("x".to_owned(), 1)), token);
    }

    #[test]
    fn a_token_that_is_altered_cut_or_of_another_shop_or_store_is_refused() {
        let links = Links([7; 32]);
        let token = links.seal(SHOP, &link());
        let refused = |links: &Links, shop: &str, token: &str| {
            let error = links.open(shop, token).unwrap_err();
            assert_eq!(error.reason(), ErrorReason::RecoveryLinkInvalid, "{token}");
            assert_eq!(error.metadata("cart"), None);
        };

        for at in 0..token.len() {
            let other = if &token[at..=at] == "A" { "B" } else { "A" };
            let altered = format!("{}{other}{}", &token[..at], &token[at + 1..]);
            refused(&links, SHOP, &altered);
            refused(&links, SHOP, &token[..at]);
        }
        refused(&links, SHOP, &format!("{token}A"));
        refused(&links, SHOP, &format!("{token}="));
        refused(&links, SHOP, "no link");
        refused(&links, "other", &token);
        refused(&links, "defaul", &token);
        refused(&Links([8; 32]), SHOP, &token);
    }

    #[test]
    fn a_link_of_a_later_format_is_not_taken_for_one_of_this() {
        let links = Links([7; 32]);
        let mut bytes = BASE64.decode(links.seal(SHOP, &link())).unwrap();
        bytes.truncate(bytes.len() - MAC_BYTES);
        bytes[0] = FORMAT + 1;
        let mac = links.mac(SHOP, &bytes);
        bytes.extend(mac);

        assert!(links.open(SHOP, &BASE64.encode(bytes)).is_err());
    }
}
