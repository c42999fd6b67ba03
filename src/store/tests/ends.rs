//! Tests of statements that a write adds before its commit.

use super::*;

const COUNT: &str = "UPDATE sequences SET next = next + 1 WHERE shop_id = 's' AND name = 'ends'";
const FAIL: &str = "INSERT INTO sequences (shop_id, name, next) VALUES ('s', 'ends', NULL)";

impl Fixture {
    /// Sets a counter, adds a statement before the commit twice, and then may refuse.
    async fn write_leaving(&self, statement: &'static str, refuses: bool) -> Result<()> {
        let write = self.store.write(Locks::none(), move |tx| {
            async move {
                set_counter(tx, "written", 1).await?;
                tx.before_commit(statement);
                tx.before_commit(statement);
                if refuses { Err(refusal()) } else { Ok(()) }
            }
            .boxed()
        });
        write.await
    }
}

#[tokio::test]
async fn a_statement_left_for_the_end_runs_once_and_only_with_the_writes_that_left_it() {
    for fixture in stores().await {
        fixture.increment("ends").await.unwrap();

        fixture.write_leaving(COUNT, false).await.unwrap();
        assert_eq!(fixture.counter("ends").await, Some(2));

        let refused = fixture.write_leaving(COUNT, true).await;
        assert_eq!(code(&refused), Some(Code::FailedPrecondition));
        fixture.increment("other").await.unwrap();
        assert_eq!(fixture.counter("ends").await, Some(2));
    }
}

#[tokio::test]
async fn a_write_whose_end_fails_leaves_nothing() {
    for fixture in stores().await {
        let failed = fixture.write_leaving(FAIL, false).await;

        assert_eq!(code(&failed), Some(Code::Internal));
        assert_eq!(fixture.counter("written").await, None);
        assert_eq!(fixture.increment("other").await.unwrap(), 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writes_of_one_transaction_share_what_they_leave_for_its_end() {
    let fixture = sqlite().await;
    fixture.increment("ends").await.unwrap();
    let before = fixture.store.written_statements();

    let all = join_all((0..100).map(|_| fixture.write_leaving(COUNT, false))).await;

    assert!(all.iter().all(Result::is_ok));
    let ends = fixture.counter("ends").await.unwrap() - 1;
    let statements = fixture.store.written_statements() - before;
    assert_eq!(statements, 100 + u64::try_from(ends).unwrap());
    assert!(ends < 100, "{ends} transactions");
}
