//! Page sizes and page tokens.
//!
//! A token is a position in an order. It is sealed and bound to the request that it continues: it cannot be
//! read, forged, or used for another request or store. It gives no access by itself.

use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::{Digest as _, Sha256};

use super::{Sealer, StoreMeta};

/// The page size of a request that names none.
pub const DEFAULT_PAGE_SIZE: i32 = 50;
/// The largest page. A larger request gets this size.
pub const MAX_PAGE_SIZE: i32 = 1000;

const REQUEST: usize = 16;
const PURPOSE: &str = "page token";
/// No position is longer. Longer tokens are not even decoded.
const MAX_TOKEN: usize = 4096;

/// The number of rows of a page; None for a negative size, which is refused.
#[must_use]
pub fn page_size(asked: i32) -> Option<usize> {
    let size = match asked {
        ..0 => return None,
        0 => DEFAULT_PAGE_SIZE,
        asked => asked.min(MAX_PAGE_SIZE),
    };
    usize::try_from(size).ok()
}

/// The digest that binds a page token: the call and each field that decides the content of its pages.
#[derive(Clone, Debug)]
pub struct RequestDigest(Sha256);

impl RequestDigest {
    /// Begins with the name of the call and the shop that it is for.
    #[must_use]
    pub fn new(call: &'static str, shop: &str) -> Self {
        Self(Sha256::new()).field("call", call).field("shop", shop)
    }

    /// Adds a field. The order of the fields matters. The page size is left out.
    #[must_use]
    pub fn field(mut self, name: &'static str, value: impl AsRef<[u8]>) -> Self {
        for part in [name.as_bytes(), value.as_ref()] {
            self.0.update((part.len() as u64).to_be_bytes());
            self.0.update(part);
        }
        self
    }

    fn finish(&self) -> [u8; REQUEST] {
        let full: [u8; 32] = self.0.clone().finalize().into();
        let mut short = [0; REQUEST];
        short.copy_from_slice(&full[..REQUEST]);
        short
    }
}

/// The token is not one of this store and request. The caller is not told which of the two it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the page token does not belong to this request")]
pub struct BadPageToken;

/// Makes and reads page tokens.
#[derive(Debug)]
pub struct PageToken;

impl PageToken {
    /// Makes a token for the rows after `position`, the sort key and id of the last row.
    #[must_use]
    pub fn seal(meta: &StoreMeta, request: &RequestDigest, position: &impl Serialize) -> String {
        let position = serde_json::to_vec(position).expect("a position is plain values");
        sealer(meta).seal(&request.finish(), &position)
    }

    /// Reads the position in a token; None if the token is empty, which asks for the first page.
    ///
    /// # Errors
    /// If the token was altered, or made for another request.
    pub fn open<P: DeserializeOwned>(
        meta: &StoreMeta,
        request: &RequestDigest,
        token: &str,
    ) -> Result<Option<P>, BadPageToken> {
        if token.is_empty() {
            return Ok(None);
        }
        if token.len() > MAX_TOKEN {
            return Err(BadPageToken);
        }
        let position = sealer(meta).open(&request.finish(), token);
        serde_json::from_slice(&position.ok_or(BadPageToken)?)
            .map(Some)
            .map_err(|_| BadPageToken)
    }
}

fn sealer(meta: &StoreMeta) -> Sealer {
    Sealer::new(&meta.key(PURPOSE))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request() -> RequestDigest {
        RequestDigest::new("ListCarts", "default").field("filter", "total > 3")
    }

    #[test]
    fn a_token_leads_back_to_its_position() {
        let meta = StoreMeta::for_tests();
        let token = PageToken::seal(&meta, &request(), &("Ada", 7_i64));

        let position = PageToken::open::<(String, i64)>(&meta, &request(), &token);

        assert_eq!(position, Ok(Some(("Ada".to_owned(), 7))));
        assert_eq!(
            PageToken::open::<(String, i64)>(&meta, &request(), ""),
            Ok(None)
        );
    }

    #[test]
    fn a_token_of_another_request_or_store_is_refused() {
        let meta = StoreMeta::for_tests();
        let token = PageToken::seal(&meta, &request(), &7_i64);
        let others = [
            RequestDigest::new("ListCarts", "default").field("filter", "total > 4"),
            RequestDigest::new("ListCarts", "other").field("filter", "total > 3"),
            RequestDigest::new("ListCustomers", "default").field("filter", "total > 3"),
        ];

        for other in others {
            assert_eq!(
                PageToken::open::<i64>(&meta, &other, &token),
                Err(BadPageToken)
            );
        }
        let store = StoreMeta::for_tests();
        assert_eq!(
            PageToken::open::<i64>(&store, &request(), &token),
            Err(BadPageToken)
        );
    }

    #[test]
    fn an_altered_token_is_refused() {
        let meta = StoreMeta::for_tests();
        let token = PageToken::seal(&meta, &request(), &7_i64);

        for place in 0..token.len() {
            let mut altered = token.clone().into_bytes();
            altered[place] = if altered[place] == b'A' { b'B' } else { b'A' };
            let altered = String::from_utf8(altered).unwrap();
            assert_eq!(
                PageToken::open::<i64>(&meta, &request(), &altered),
                Err(BadPageToken)
            );
        }
        for nonsense in ["?", "AAAA", &"A".repeat(5000)] {
            assert_eq!(
                PageToken::open::<i64>(&meta, &request(), nonsense),
                Err(BadPageToken)
            );
        }
    }

    #[test]
    fn sizes_of_pages_have_a_default_and_an_end() {
        assert_eq!(page_size(0), Some(50));
        assert_eq!(page_size(1), Some(1));
        assert_eq!(page_size(5000), Some(1000));
        assert_eq!(page_size(-1), None);
    }
}
