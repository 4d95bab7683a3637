//! `doorline completions` and `doorline man`: what a shell and `man` know of the commands, made from
//! the same description that `--help` is made from.

use std::io::{self, Write};
use std::process::ExitCode;

use clap::CommandFactory;
use clap_complete::Shell;

#[derive(clap::Args)]
pub struct CompletionArguments {
    shell: Shell,
}

/// To standard output.
pub fn completions(arguments: &CompletionArguments) -> anyhow::Result<ExitCode> {
    let mut text = Vec::new();
    clap_complete::generate(arguments.shell, &mut super::Arguments::command(), "doorline", &mut text);
    print(&text)
}

/// All commands as one page, in roff, to standard output.
pub fn man() -> anyhow::Result<ExitCode> {
    let mut out = Vec::new();
    let mut command = super::Arguments::command();
    command.build();
    clap_mangen::Man::new(command.clone()).render(&mut out)?;
    for sub in command.get_subcommands().filter(|sub| sub.get_name() != "help") {
        let page = clap_mangen::Man::new(sub.clone());
        page.render_synopsis_section(&mut out)?;
        page.render_description_section(&mut out)?;
        page.render_options_section(&mut out)?;
        page.render_subcommands_section(&mut out)?;
    }
    print(&out)
}

/// To a reader who may have seen enough, as `head` does.
fn print(text: &[u8]) -> anyhow::Result<ExitCode> {
    match io::stdout().lock().write_all(text) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(ExitCode::SUCCESS),
    }
}
