//! `clientela watch`: shows changes as they happen, as lines, or as a screen for carts on a terminal.
//!
//! The watch continues when the server is temporarily unavailable: it resumes after the last message that it
//! received. It drops versions that it has shown already. So no change is lost or shown twice.

mod figures;
mod follower;
mod line;
mod lines;
mod resource;
mod screen;
mod seen;

use std::{
    io::{self, IsTerminal as _},
    time::Duration,
};

use clap::{Args, ValueEnum};
use tonic::{Code, Status, Streaming};

use super::{
    connection::{Client, Connection, Need},
    failure::Failure,
};
use follower::Follower;
use lines::Lines;
use resource::{Carts, Customers, Groups, Watched};

/// The server sends a heartbeat at least every 15 seconds. A stream that is silent for longer than this
/// counts as dead.
const SILENCE_MAX: Duration = Duration::from_secs(40);

/// Shows each change of carts, customers or groups, or of the figures of carts, as it happens, until it is
/// interrupted
///
/// On a terminal, carts are shown in a table that fills it; its last line lists the keys. Lines are printed
/// with --plain, --json, --every or --no-snapshot, and if the output is not a terminal.
#[derive(Debug, Clone, Args)]
pub struct Watch {
    /// The resources to watch
    what: What,

    /// Only resources that match, for example `total >= "100.00 EUR"`. By default the table holds carts that
    /// are open, or were a minute ago
    #[arg(long, default_value = "", hide_default_value = true)]
    filter: String,

    /// Shows every version of each resource; by default a fast series may be shown as its last version
    #[arg(long)]
    every: bool,

    /// Shows only changes from now on, without the present state
    #[arg(long)]
    no_snapshot: bool,

    /// Prints messages of the contract, one per line
    #[arg(long)]
    json: bool,

    /// Prints lines on a terminal, too
    #[arg(long)]
    plain: bool,

    #[command(flatten, next_help_heading = "Connection")]
    connection: Connection,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum What {
    Carts,
    Customers,
    Groups,
    Figures,
}

impl Watch {
    pub async fn run(self) -> Result<(), Failure> {
        let narrowed = !self.filter.is_empty() || self.every || self.no_snapshot;
        if narrowed && self.what == What::Figures {
            let text = "--filter, --every and --no-snapshot cannot be used with figures";
            return Err(Failure::usage(text));
        }
        let client = self.connection.open(Need::Admin).await?;
        let follow = async {
            match self.what {
                What::Carts if self.on_screen() => screen::show(client, self).await,
                What::Carts => print::<Carts>(client, self).await,
                What::Customers => print::<Customers>(client, self).await,
                What::Groups => print::<Groups>(client, self).await,
                What::Figures => figures::print(client, self.json).await,
            }
        };
        tokio::select! {
            result = follow => result,
            _ = tokio::signal::ctrl_c() => Ok(()),
        }
    }

    /// Whether there is a terminal to fill, and no option asks for lines.
    fn on_screen(&self) -> bool {
        let lines = self.plain || self.json || self.every || self.no_snapshot;
        let dumb = std::env::var_os("TERM").is_none_or(|term| term.is_empty() || term == "dumb");
        !lines && !dumb && io::stdout().is_terminal() && io::stdin().is_terminal()
    }
}

/// Prints the news of a follower.
async fn print<W: Watched>(client: Client, options: Watch) -> Result<(), Failure> {
    let mut lines = Lines::new(options.json);
    Follower::<W, _>::new(client, options, |news| lines.print::<W>(news))
        .follow()
        .await
}

/// The next message of a stream; an error if the stream is silent for too long.
async fn next<M>(stream: &mut Streaming<M>) -> Result<M, Status> {
    match tokio::time::timeout(SILENCE_MAX, stream.message()).await {
        Ok(message) => message?.ok_or_else(|| Status::unavailable("the stream ended")),
        Err(_) => Err(Status::unavailable("the server is silent")),
    }
}

/// Whether another attempt cannot help.
fn is_final(status: &Status) -> bool {
    matches!(
        status.code(),
        Code::Unauthenticated
            | Code::PermissionDenied
            | Code::InvalidArgument
            | Code::NotFound
            | Code::Unimplemented
    )
}
