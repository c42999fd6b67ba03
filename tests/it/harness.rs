//! What the tests stand on: servers, databases and the helpers that state only what matters.

pub mod postgres;
pub mod store;

use std::time::Duration;

/// Waits until a condition holds, and fails with what was waited for when it does not come.
pub async fn until<C, F>(what: &str, condition: C)
where
    C: Fn() -> F,
    F: Future<Output = bool>,
{
    let waited = async {
        while !condition().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let came = tokio::time::timeout(Duration::from_secs(30), waited).await;
    assert!(came.is_ok(), "it did not come about that {what}");
}
