//! The `soarhost` binary: it calls the command line and does nothing else.

fn main() -> std::process::ExitCode {
    soarhost::front::cli::main()
}
