//! The command line: one file per command, this one only tells them apart.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

pub mod admin;
pub mod check;
pub mod db;
pub mod demo;
pub mod doctor;
pub mod load;
pub mod phone;
pub mod play;
pub mod prompts;
pub mod replay;
pub mod serve;
pub mod shell;

/// The phone door to One Time Meetings.
#[derive(Parser)]
#[command(name = "doorline", version, about, max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the service until SIGTERM or Ctrl-C; either lets live calls end first.
    Serve(serve::Arguments),
    /// Read a configuration and say everything that is wrong with it.
    Check(check::Arguments),
    /// Print a configuration with every key explained.
    Config(check::ConfigArguments),
    /// Run everything on this machine's loopback, with a host and a live meeting to call.
    Demo(demo::Arguments),
    /// A test caller: dials, presses keys, speaks, listens, and prints what happened.
    Phone(phone::Arguments),
    /// Many test callers at once: how fast calls are set up, what is lost, who hears whom.
    Load(load::Arguments),
    /// Play a caller in the terminal: the call flow without a network.
    Play(play::Arguments),
    /// Play a recorded call again through the flow, and tell where it goes another way.
    Replay(replay::Arguments),
    /// What callers hear: check the language packs, render one, join a sentence.
    Prompts(prompts::Arguments),
    /// Hosts of a running service.
    Host(admin::HostArguments),
    /// Meetings of a running service.
    Meeting(admin::MeetingArguments),
    /// Remembered phone numbers of a running service.
    Verified(admin::VerifiedArguments),
    /// Live meetings of a running service, and who is in them.
    Meetings(admin::meetings::MeetingsArguments),
    /// Calls of a running service, live and past.
    Calls(admin::calls::CallsArguments),
    /// Everything that a running service keeps about a telephone number: count it, or erase it.
    Erase(admin::erase::EraseArguments),
    /// Trunks of a running service.
    Trunk(admin::trunk::TrunkArguments),
    /// Let a running service read its configuration again.
    Reload(admin::trunk::ReloadArguments),
    /// Print completions for a shell: source them, or put them where it looks.
    Completions(shell::CompletionArguments),
    /// Print the manual page: doorline man | man -l -
    Man,
    /// Look after the database: check it, back it up, move it to PostgreSQL.
    Db(db::Arguments),
    /// Look at this machine with a configuration's eyes: would the service start, and run well?
    Doctor(doctor::Arguments),
}

/// Runs the command that the arguments name. Exit codes: 0 done, 1 failed, 2 wrong arguments.
#[must_use]
pub fn main() -> ExitCode {
    let result = match Arguments::parse().command {
        Command::Serve(arguments) => serve::run(&arguments),
        Command::Check(arguments) => check::run(&arguments),
        Command::Config(arguments) => check::explain(&arguments),
        Command::Demo(arguments) => demo::run(&arguments),
        Command::Phone(arguments) => phone::run(&arguments),
        Command::Load(arguments) => load::run(&arguments),
        Command::Play(arguments) => play::run(&arguments),
        Command::Prompts(arguments) => prompts::run(&arguments),
        Command::Replay(arguments) => replay::run(&arguments, &mut std::io::stdout()),
        Command::Host(arguments) => admin::host(&arguments, &mut std::io::stdout()),
        Command::Meeting(arguments) => admin::meeting(&arguments, &mut std::io::stdout()),
        Command::Verified(arguments) => admin::verified(&arguments, &mut std::io::stdout()),
        Command::Meetings(arguments) => admin::meetings::meetings(&arguments, &mut std::io::stdout()),
        Command::Calls(arguments) => admin::calls::calls(&arguments, &mut std::io::stdout()),
        Command::Erase(arguments) => admin::erase::erase(&arguments, &mut std::io::stdout()),
        Command::Completions(arguments) => shell::completions(&arguments),
        Command::Man => shell::man(),
        Command::Trunk(arguments) => admin::trunk::trunk(&arguments, &mut std::io::stdout()),
        Command::Reload(arguments) => admin::trunk::reload(&arguments, &mut std::io::stdout()),
        Command::Db(arguments) => db::run(&arguments, &mut std::io::stdout()),
        Command::Doctor(arguments) => doctor::run(&arguments),
    };
    match result {
        Ok(code) => code,
        Err(error) => {
            eprintln!("doorline: {error:#}");
            ExitCode::FAILURE
        }
    }
}
