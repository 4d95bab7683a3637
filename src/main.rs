//! The `doorline` binary: arguments in, exit code out.

use std::process::ExitCode;

fn main() -> ExitCode {
    doorline::cli::main()
}
