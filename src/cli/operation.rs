//! `clientela operation`: work that continues after a call was answered.

use clap::{Args, Subcommand};
use tonic::Status;

use crate::proto::pb::{self, operation::State};

use super::{
    backoff::Backoff,
    connection::{Client, Connection, Need},
    failure::{Failure, transport_fault},
    output::{self, Align, Fields, Table},
    pages::{self, Page, PageArgs},
};

/// Lists, shows, follows and cancels background work
#[derive(Debug, Args)]
pub struct Operation {
    #[command(subcommand)]
    command: Command,

    #[command(flatten, next_help_heading = "Connection")]
    connection: Connection,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Lists operations, newest first
    List {
        /// Only operations that match, for example `state = RUNNING`; the fields are name, kind, state,
        /// subject and create_time
        #[arg(long, default_value = "", hide_default_value = true)]
        filter: String,
        #[command(flatten)]
        page: PageArgs,
    },
    /// Shows one operation
    Show {
        /// `operations/{id}` or the id
        operation: String,
        /// Prints the message of the contract
        #[arg(long)]
        json: bool,
    },
    /// Prints each step of an operation until it has ended; exit code 1 if it failed or was cancelled
    Watch {
        /// `operations/{id}` or the id
        operation: String,
        /// Prints messages of the contract, one per line
        #[arg(long)]
        json: bool,
    },
    /// Waits until an operation has ended; exit code 1 if it failed or was cancelled
    Wait {
        /// `operations/{id}` or the id
        operation: String,
    },
    /// Cancels an operation at its next step; finished steps stay
    Cancel {
        /// `operations/{id}` or the id
        operation: String,
    },
}

impl Operation {
    pub async fn run(self) -> Result<(), Failure> {
        let client = self.connection.open(Need::Admin).await?;
        match self.command {
            Command::List { filter, page } => list(&client, filter, page).await,
            Command::Show { operation, json } => show(&client, &operation, json).await,
            Command::Watch { operation, json } => {
                let print = |operation: &pb::Operation| match json {
                    true => output::print(&output::json(operation)?),
                    false => output::print(&line(operation)),
                };
                follow(&client, &operation, print).await
            }
            Command::Wait { operation } => wait(&client, &operation).await,
            Command::Cancel { operation } => cancel(&client, &operation).await,
        }
    }
}

/// Waits until an operation has ended.
///
/// # Errors
/// If the operation failed or was cancelled.
pub async fn wait(client: &Client, given: &str) -> Result<(), Failure> {
    follow(client, given, |_| Ok(())).await
}

async fn list(client: &Client, filter: String, page: PageArgs) -> Result<(), Failure> {
    let mut service = client.operations();
    let (operations, more) = pages::walk(page.limit, async |page_size, page_token| {
        let request = pb::ListOperationsRequest {
            page_size,
            page_token,
            filter: filter.clone(),
        };
        let answer = service.list_operations(request).await?.into_inner();
        Ok(Page {
            items: answer.operations,
            next: answer.next_page_token,
        })
    })
    .await?;
    if page.json {
        return pages::print_json(&operations);
    }
    let mut table = Table::new(&[
        ("id", Align::Left),
        ("kind", Align::Left),
        ("state", Align::Left),
        ("about", Align::Left),
        ("done", Align::Right),
        ("skipped", Align::Right),
        ("created", Align::Left),
        ("ended", Align::Left),
    ]);
    for operation in &operations {
        table.row(vec![
            output::id(&operation.name).to_owned(),
            kind(operation),
            state(operation),
            output::cut(&operation.subject, 40),
            operation.progress.to_string(),
            operation.skipped.to_string(),
            output::time(operation.create_time.as_ref()),
            output::time(operation.end_time.as_ref()),
        ]);
    }
    pages::print_table(&table, more)
}

async fn show(client: &Client, given: &str, json: bool) -> Result<(), Failure> {
    let request = pb::GetOperationRequest {
        name: output::full_name("operations", given),
    };
    let operation = client.operations().get_operation(request).await?;
    print(&operation.into_inner(), json)
}

async fn cancel(client: &Client, given: &str) -> Result<(), Failure> {
    let request = pb::CancelOperationRequest {
        name: output::full_name("operations", given),
        request_id: uuid::Uuid::new_v4().to_string(),
    };
    let operation = client.operations().cancel_operation(request).await?;
    print(&operation.into_inner(), false)
}

fn print(operation: &pb::Operation, json: bool) -> Result<(), Failure> {
    if json {
        return output::print(&output::json(operation)?);
    }
    let mut fields = Fields::default();
    let skipped = match operation.skipped {
        0 => String::new(),
        skipped => skipped.to_string(),
    };
    fields
        .add("name", operation.name.as_str())
        .add("kind", kind(operation))
        .add("state", state(operation))
        .add("about", operation.subject.as_str())
        .add("done", operation.progress.to_string())
        .add("skipped", skipped)
        .add("attempts", operation.attempts.to_string())
        .add("error", operation.error.as_str())
        .add("caused by", operation.actor.as_str())
        .add("created", output::time(operation.create_time.as_ref()))
        .add(
            "last progress",
            output::time(operation.update_time.as_ref()),
        )
        .add("ended", output::time(operation.end_time.as_ref()));
    output::print(&fields.text())
}

/// Follows an operation to its end, also while the server is temporarily unavailable.
async fn follow(
    client: &Client,
    given: &str,
    mut step: impl FnMut(&pb::Operation) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let name = output::full_name("operations", given);
    let mut backoff = Backoff::new();
    let mut last = None;
    loop {
        let ended = read(client, &name, &mut last, &mut step).await?;
        match ended {
            Ok(()) => break,
            // Waiting makes sense only for an operation that was already seen.
            Err(status) if last.is_some() && is_passing(&status) => {}
            Err(status) => return Err(status.into()),
        }
        tokio::time::sleep(backoff.wait()).await;
    }
    let operation = last.unwrap_or_default();
    match operation.state() {
        State::Done => Ok(()),
        _ => Err(Failure::new(format!(
            "{name} ended as {}{}",
            state(&operation),
            match operation.error.as_str() {
                "" => String::new(),
                error => format!(": {}", output::plain(error)),
            }
        ))),
    }
}

/// Reads a stream to its end. A message that equals the last step is no step.
async fn read(
    client: &Client,
    name: &str,
    last: &mut Option<pb::Operation>,
    step: &mut impl FnMut(&pb::Operation) -> Result<(), Failure>,
) -> Result<Result<(), Status>, Failure> {
    let request = pb::WatchOperationRequest {
        name: name.to_owned(),
    };
    let mut stream = match client.operations().watch_operation(request).await {
        Ok(stream) => stream.into_inner(),
        Err(status) => return Ok(Err(status)),
    };
    loop {
        match stream.message().await {
            Ok(Some(operation)) if last.as_ref() == Some(&operation) => {}
            Ok(Some(operation)) => {
                step(&operation)?;
                *last = Some(operation);
            }
            Ok(None) => return Ok(Ok(())),
            Err(status) => return Ok(Err(status)),
        }
    }
}

fn is_passing(status: &Status) -> bool {
    status.code() == tonic::Code::Unavailable || transport_fault(status).is_some()
}

fn line(operation: &pb::Operation) -> String {
    let mut text = format!(
        "{}  {:<9}  {} done",
        operation
            .update_time
            .as_ref()
            .map(output::time_of_day)
            .unwrap_or_default(),
        state(operation),
        operation.progress
    );
    if operation.skipped != 0 {
        text.push_str(&format!(", {} skipped", operation.skipped));
    }
    if !operation.error.is_empty() {
        text.push_str(&format!(": {}", output::plain(&operation.error)));
    }
    text.push('\n');
    text
}

fn kind(operation: &pb::Operation) -> String {
    output::word(operation.kind().as_str_name(), "KIND_")
}

fn state(operation: &pb::Operation) -> String {
    output::word(operation.state().as_str_name(), "STATE_")
}
