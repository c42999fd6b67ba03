//! The common options of list commands, and the walk from page to page.

use clap::Args;

use super::{failure::Failure, output};

/// The filter and the order of a list, and its output.
#[derive(Debug, Args)]
pub struct ListArgs {
    /// Only resources that match, for example `update_time > "2026-01-01T00:00:00Z"`
    #[arg(long, default_value = "", hide_default_value = true)]
    pub filter: String,

    /// The order, for example `update_time desc`; by default by name
    #[arg(long, default_value = "", hide_default_value = true)]
    pub order_by: String,

    #[command(flatten)]
    pub page: PageArgs,
}

/// The length of a list, and its output.
#[derive(Debug, Args)]
pub struct PageArgs {
    /// The most resources; 0 for all
    #[arg(long, default_value_t = 50)]
    pub limit: usize,

    /// Prints messages of the contract, one per line
    #[arg(long)]
    pub json: bool,
}

/// One page: its resources and the token of the next.
pub struct Page<T> {
    /// The resources.
    pub items: Vec<T>,
    /// Empty on the last page.
    pub next: String,
}

/// The largest page of the server.
const PAGE_SIZE_MAX: usize = 1_000;

/// Walks the pages until there are `limit` resources or none are left. The second value says whether there
/// are more.
pub async fn walk<T, F>(limit: usize, mut page: F) -> Result<(Vec<T>, bool), Failure>
where
    F: AsyncFnMut(i32, String) -> Result<Page<T>, Failure>,
{
    let limit = if limit == 0 { usize::MAX } else { limit };
    let mut items = Vec::new();
    let mut token = String::new();
    loop {
        let size = (limit - items.len()).min(PAGE_SIZE_MAX);
        let size = i32::try_from(size).expect("a page size is at most 1,000");
        let next = page(size, token).await?;
        items.extend(next.items);
        token = next.next;
        if token.is_empty() || items.len() >= limit {
            return Ok((items, !token.is_empty()));
        }
    }
}

/// Prints each message as a line of JSON.
pub fn print_json<M: prost::Message + prost::Name>(messages: &[M]) -> Result<(), Failure> {
    let mut text = String::new();
    for message in messages {
        text.push_str(&output::json(message)?);
    }
    output::print(&text)
}

/// Prints a table, and a note if there is more.
pub fn print_table(table: &output::Table, more: bool) -> Result<(), Failure> {
    output::print(&table.text())?;
    if more {
        eprintln!("There are more; list them with --limit 0.");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn walked(limit: usize) -> (Vec<usize>, bool) {
        walk(limit, async |size, token: String| {
            let begin: usize = token.parse().unwrap_or_default();
            let end = (begin + usize::try_from(size).unwrap().min(4)).min(10);
            let next = if end == 10 {
                String::new()
            } else {
                end.to_string()
            };
            Ok(Page {
                items: (begin..end).collect(),
                next,
            })
        })
        .await
        .unwrap()
    }

    #[tokio::test]
    async fn pages_are_walked_until_there_are_enough() {
        assert_eq!(walked(0).await, ((0..10).collect(), false));
        assert_eq!(walked(6).await, ((0..6).collect(), true));
        assert_eq!(walked(10).await, ((0..10).collect(), false));
    }
}
