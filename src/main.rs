//! Entry point.

fn main() -> std::process::ExitCode {
    clientela::cli::run()
}
