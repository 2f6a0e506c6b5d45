//! The `antecede` program: see [`antecede::cli`].

use std::process::ExitCode;

use mimalloc::MiMalloc;

/// A third of what it costs to take an alert in was getting and giving back small pieces of memory. It is
/// told not to ask for huge pages (`no_thp`), of which 30 MB were never used.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    antecede::cli::run()
}
