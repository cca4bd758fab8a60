//! The command line: what was typed becomes validated settings, which the commands carry out.

mod args;
mod bench;
mod compare;
mod console;
mod demo;
mod devices;
mod engine;
mod explain;
mod failure;
mod inputs;
mod inspect;
mod interrupt;
mod listing;
mod loader;
mod names;
mod options;
mod outputs;
mod priority;
mod progress;
mod shell;
mod table;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::Parser;
use clap::error::ErrorKind;

use args::{Cli, Command, TalkArgs};
use console::Console;
use failure::{DONE, Failure, USAGE};

use crate::caught::hush;

/// Runs the command that `args` (the program's name first) ask for, and says how it went. Call it before any thread is started.
pub fn run(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    hush_mesa();
    hush();
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(error) => return ExitCode::from(usage(&error)),
    };
    let console = Console::new(match &cli.command {
        Command::Explain(args) => Some(args.talk),
        Command::Inspect(args) => Some(TalkArgs { quiet: false, verbose: args.verbose }),
        _ => None,
    });
    ExitCode::from(dispatch(cli.command, console))
}

/// Without a desktop, Mesa complains that it cannot ask one which Vulkan device to put first: it need not.
fn hush_mesa() {
    if cfg!(target_os = "linux") && std::env::var_os("XDG_RUNTIME_DIR").is_none() {
        // SAFETY: no other thread runs yet that could read the environment.
        unsafe { std::env::set_var("NODEVICE_SELECT", "1") };
    }
}

fn dispatch(command: Command, mut console: Console) -> u8 {
    let done = match command {
        Command::Explain(args) => explain::run(*args, &mut console),
        Command::Inspect(args) => inspect::run(args, &console),
        Command::Devices(args) => devices::run(&args, &console),
        Command::Compare(args) => compare::run(&args, &console),
        Command::Bench(args) => bench::run(&args, &mut console),
        Command::Demo(args) => demo::run(&args, &mut console),
        Command::Completions(args) => shell::completions(&args),
        Command::Man(args) => shell::man(&args),
    };
    console.finish();
    match done {
        Ok(code) => code,
        Err(failure) => {
            console.failure(&failure);
            failure.code
        }
    }
}

/// Help and version go out as they are; a mistake becomes one line and a hint.
fn usage(error: &clap::Error) -> u8 {
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            _ = error.print();
            return DONE;
        }
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            _ = error.print();
            return USAGE;
        }
        _ => {}
    }
    let text = error.render().to_string();
    let said: Vec<&str> = text.lines().take_while(|line| !line.trim().is_empty()).map(str::trim).collect();
    let message = said.join(" ");
    let tip = text.lines().find_map(|line| line.trim().strip_prefix("tip: "));
    let usage = text.lines().find_map(|line| line.strip_prefix("Usage: "));
    let hint = tip.map_or_else(|| usage.map(|usage| format!("usage: {usage}")), |tip| Some(tip.to_owned()));
    let message = message.strip_prefix("error: ").unwrap_or(&message).to_owned();
    Console::new(None).failure(&Failure { code: USAGE, message, hint });
    USAGE
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_arguments_are_consistent() {
        super::args::Cli::command().debug_assert();
    }
}
