//! `clientela limits`: lists every limit of the server and of the fields of requests.

use clap::Args;

use crate::limits;

use super::{failure::Failure, output};

/// Lists the limits of the server and of the fields of requests
#[derive(Debug, Args)]
pub struct Limits {
    /// Only lines with this text, for example `cart` or `Customer.`
    #[arg(default_value = "", hide_default_value = true)]
    text: String,
}

impl Limits {
    pub fn run(&self) -> Result<(), Failure> {
        let wanted = self.text.to_lowercase();
        // Headings stay, to show which table a line is in.
        let is_shown =
            |line: &&str| !line.starts_with("  ") || line.to_lowercase().contains(&wanted);
        let all = limits::text();
        let shown: Vec<&str> = all.lines().filter(is_shown).collect();
        output::print(&format!("{}\n", shown.join("\n")))
    }
}
