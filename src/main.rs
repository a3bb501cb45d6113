//! `longshore`: the command line. What each command does is in `cli`.

use std::process::ExitCode;

fn main() -> ExitCode {
    longshore::cli::run()
}
