//! `clientela completions`: lets a shell complete commands and options.

use clap::Args;
use clap_complete::Shell;

use super::{command, failure::Failure, output};

/// Prints a script with which a shell completes commands and options
///
/// bash: put `source <(clientela completions bash)` into ~/.bashrc. zsh: write the script to a file
/// `_clientela` in a folder of $fpath. fish: write it to ~/.config/fish/completions/clientela.fish.
#[derive(Debug, Args)]
pub struct Completions {
    /// The shell
    shell: Shell,
}

impl Completions {
    pub fn run(&self) -> Result<(), Failure> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut command(), "clientela", &mut script);
        output::print(&String::from_utf8_lossy(&script))
    }
}
