//! The command line: the server, and the commands that call it.
//!
//! Commands only use the public API, as any other client would, but for `doctor`, which asks the
//! database itself. Tables are for people; `--json` is
//! for programs and prints the messages of the contract.

mod admin;
mod backoff;
mod cart;
mod connection;
mod customer;
mod demo;
mod doctor;
mod failure;
mod group;
mod health;
mod key;
mod output;
mod pages;
mod serve;
mod shop;
mod watch;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use failure::Failure;

/// The codes that the program ends with, for `--help`.
const EXIT_CODES: &str = "Exit codes:
  0  done
  1  the server refused, or the command could not do its work
  2  the command line is wrong
  3  the server cannot be reached";

/// Keeps a shop's customers, groups and live carts, and serves them over gRPC.
#[derive(Debug, Parser)]
#[command(name = "clientela", version, after_help = EXIT_CODES)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Serve(serve::Serve),
    Demo(demo::Demo),
    Watch(watch::Watch),
    Health(health::Health),
    Doctor(doctor::Doctor),
    Customer(customer::Customer),
    Group(group::Group),
    Cart(cart::Cart),
    Key(key::Key),
    Shop(shop::Shop),
}

/// Reads the command line and does what it says.
pub fn run() -> ExitCode {
    let cli = Cli::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => return end(Err(error.into())),
    };
    let result = runtime.block_on(dispatch(cli.command));
    // A command that ends does not wait for what it left behind, such as a read of the terminal.
    runtime.shutdown_background();
    end(result)
}

async fn dispatch(command: Command) -> Result<(), Failure> {
    match command {
        Command::Serve(command) => command.run().await,
        Command::Demo(command) => command.run().await,
        Command::Watch(command) => command.run().await,
        Command::Health(command) => command.run().await,
        Command::Doctor(command) => command.run().await,
        Command::Customer(command) => command.run().await,
        Command::Group(command) => command.run().await,
        Command::Cart(command) => command.run().await,
        Command::Key(command) => command.run().await,
        Command::Shop(command) => command.run().await,
    }
}

fn end(result: Result<(), Failure>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            if !failure.is_quiet() {
                eprintln!("clientela: {failure}");
            }
            failure.exit_code()
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
