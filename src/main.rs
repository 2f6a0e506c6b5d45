//! The `antecede` program: see [`antecede::cli`].

use std::process::ExitCode;

fn main() -> ExitCode {
    antecede::cli::run()
}
