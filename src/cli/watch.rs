//! `clientela watch`: each change as it happens, as lines or, of carts on a terminal, as a screen.
//!
//! The watch goes on by itself when the server goes away and comes back: it resumes after the last
//! message it got, and drops by version what it has shown, so that nothing is lost or shown twice.

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

/// The server sends a heartbeat at least every 15 seconds; a stream that is silent for longer than
/// this is taken for dead.
const SILENCE_MAX: Duration = Duration::from_secs(40);

/// Shows each change of carts, customers or groups, or of the figures of carts, as it happens, until it
/// is interrupted
///
/// On a terminal, carts are a table that fills it; its last line says what the keys do. Lines are printed
/// instead with --plain, --json, --every or --no-snapshot, and where the output goes elsewhere.
#[derive(Debug, Clone, Args)]
pub struct Watch {
    /// What to watch
    what: What,

    /// Only what matches, as `total >= "100.00 EUR"`. Without it the table holds carts that are open, or
    /// were a minute ago
    #[arg(long, default_value = "", hide_default_value = true)]
    filter: String,

    /// Every version of each resource; without it a fast series may be shown as its last version
    #[arg(long)]
    every: bool,

    /// Only changes from now on, without what is there already
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
            let text = "--filter, --every and --no-snapshot are not for figures";
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

    /// Whether there is a terminal to fill, and nothing was asked for that is lines.
    fn on_screen(&self) -> bool {
        let lines = self.plain || self.json || self.every || self.no_snapshot;
        let dumb = std::env::var_os("TERM").is_none_or(|term| term.is_empty() || term == "dumb");
        !lines && !dumb && io::stdout().is_terminal() && io::stdin().is_terminal()
    }
}

/// Prints what a follower tells.
async fn print<W: Watched>(client: Client, options: Watch) -> Result<(), Failure> {
    let mut lines = Lines::new(options.json);
    Follower::<W, _>::new(client, options, |news| lines.print::<W>(news))
        .follow()
        .await
}

/// The next message of a stream that is never silent for long.
async fn next<M>(stream: &mut Streaming<M>) -> Result<M, Status> {
    match tokio::time::timeout(SILENCE_MAX, stream.message()).await {
        Ok(message) => message?.ok_or_else(|| Status::unavailable("the stream ended")),
        Err(_) => Err(Status::unavailable("the server is silent")),
    }
}

/// Whether trying again cannot help.
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
