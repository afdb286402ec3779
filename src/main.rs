//! The `soarhost` binary. It only calls the command line.

fn main() -> std::process::ExitCode {
    soarhost::front::cli::main()
}
