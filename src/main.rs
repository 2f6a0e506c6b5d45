//! The `antecede` program: see [`antecede::cli`].

use std::process::ExitCode;

use mimalloc::MiMalloc;

/// A third of what it costs to take an alert in was getting and giving back small pieces of memory.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    antecede::cli::run()
}
