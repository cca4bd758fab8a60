//! The `fluoroscope` command; everything it does is in the library.

fn main() -> std::process::ExitCode {
    fluoroscope::cli::run(std::env::args_os())
}
