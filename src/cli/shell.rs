//! Completions and manual pages, from the one definition of the arguments.

use std::io::Write;

use clap::CommandFactory;
use clap_mangen::Man;

use super::args::{Cli, CompletionsArgs, ManArgs};
use super::failure::{DONE, Failure};
use super::outputs::make_folder;

/// Prints a completion script.
pub fn completions(args: &CompletionsArgs) -> Result<u8, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "fluoroscope", &mut script);
    print(&script);
    Ok(DONE)
}

/// Prints the main page, or writes a page for every command.
pub fn man(args: &ManArgs) -> Result<u8, Failure> {
    let Some(folder) = &args.output else {
        let mut page = Vec::new();
        Man::new(Cli::command()).render(&mut page).map_err(Failure::input)?;
        print(&page);
        return Ok(DONE);
    };
    make_folder(folder)?;
    clap_mangen::generate_to(Cli::command(), folder).map_err(|e| Failure::input(e).about(folder.display()))?;
    Ok(DONE)
}

/// A reader that goes away is no error.
fn print(bytes: &[u8]) {
    _ = std::io::stdout().lock().write_all(bytes);
}
