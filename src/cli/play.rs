//! `doorline play`: the caller's way in a terminal. No network, no sound, a store in memory.
//!
//! Type keys and press Enter to dial them; lines of a flow script work as well (`call withheld`,
//! `ada opens review`, `bob: call from +442079460002 network`). Time goes by as it does.

use std::io::{BufRead, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

use crate::bridge::rehearsal::{Stage, play};

/// The caller's way in a terminal: type keys, see prompts and decisions.
#[derive(Clone, Debug, clap::Args)]
pub struct Arguments {
    /// A script to play instead: prints what happens, in virtual time. Several stories in one
    /// file begin with "== " and a sentence each.
    script: Option<PathBuf>,
}

/// Who and what there is when nobody says otherwise. The times are of the stage's own day.
const SET_UP: [&str; 3] =
    ["host ada pin 123456789", "one-time ada review code 4711 08:00-20:00", "remembered ada +442079460009"];

const HELP: &str = "\
host ada has PIN 123456789; her One Time Meeting \"review\" is on now, code 4711
  123456789#           dial these keys
  call                 call from +442079460001, which nobody knows
  call from +442079460009 network     … from a phone that is remembered
  call withheld        … without a number
  hang up
  bob: call withheld   another caller; then bob: 4711# and so on
  ada opens ada-room   the moderator opens another meeting; also: closes, cancels
  remove bob, mute bob, store gone, store back, wait 20s
  quit";

pub fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    match &arguments.script {
        Some(path) => {
            let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
            play_script(&text, &mut std::io::stdout())?;
        }
        None => converse()?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Prints each story as it goes; an error names how many went otherwise than written.
fn play_script(text: &str, out: &mut impl Write) -> anyhow::Result<()> {
    let stories: Vec<&str> = match text.strip_prefix("== ") {
        Some(rest) => rest.split("\n== ").collect(),
        None if text.contains("\n== ") => text.split("\n== ").skip(1).collect(),
        None => vec![text],
    };
    let mut otherwise = 0;
    for story in &stories {
        let (sentence, script) = match story.split_once('\n') {
            Some((sentence, script)) if stories.len() > 1 || text.starts_with("== ") => (sentence, script),
            _ => ("", *story),
        };
        let (expected, happened) = play(script, Instant::now()).map_err(anyhow::Error::msg)?;
        writeln!(out, "== {sentence}\n{}\n", happened.join("\n"))?;
        otherwise += usize::from(expected != happened);
    }
    if otherwise > 0 {
        bail!("{otherwise} of {} stories went otherwise than written", stories.len());
    }
    Ok(())
}

fn converse() -> anyhow::Result<()> {
    let mut stage = Stage::new(Instant::now());
    for line in SET_UP {
        stage.set_up(line).map_err(anyhow::Error::msg)?;
    }
    println!("{HELP}\n");
    let lines = read_lines();
    let mut last = Instant::now();
    loop {
        let pause = stage
            .next()
            .map_or(Duration::from_secs(1), |at| at.saturating_duration_since(stage.now().instant));
        let line = lines.recv_timeout(pause.min(Duration::from_secs(1)));
        let passed = last.elapsed();
        last += passed;
        stage.advance(passed);
        match line {
            Ok(line) if matches!(line.trim(), "quit" | "exit") => return Ok(()),
            Ok(line) => {
                if let Err(error) =
                    stage.happen(&understood(line.trim())).or_else(|error| match line.trim() {
                        "" => Ok(()),
                        _ => Err(error),
                    })
                {
                    println!("  ? {error}");
                }
            }
            Err(mpsc::RecvTimeoutError::Timeout) => {}
            Err(mpsc::RecvTimeoutError::Disconnected) => return Ok(()),
        }
        for said in stage.take_said() {
            println!("  {said}");
        }
    }
}

/// Keys alone are dialled, `call` alone calls from a number that nobody knows.
fn understood(line: &str) -> String {
    let (who, what) = match line.split_once(':') {
        Some((who, what)) if !who.contains(' ') => (format!("{who}: "), what.trim()),
        _ => (String::new(), line),
    };
    let keys = !what.is_empty() && what.chars().all(|key| "0123456789*#".contains(key));
    match what {
        "call" => format!("{who}call from +442079460001 network"),
        _ if keys => format!("{who}dial {what}"),
        _ => line.to_owned(),
    }
}

/// Lines from the terminal, on a thread of their own: reading blocks.
fn read_lines() -> mpsc::Receiver<String> {
    let (send, receive) = mpsc::channel();
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            if send.send(line).is_err() {
                return;
            }
        }
    });
    receive
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_alone_are_dialled() {
        let cases = [
            ("123456789#", "dial 123456789#"),
            ("bob: 4711", "bob: dial 4711"),
            ("call", "call from +442079460001 network"),
            ("bob: call withheld", "bob: call withheld"),
            ("ada opens review", "ada opens review"),
        ];
        for (typed, understood_as) in cases {
            assert_eq!(understood(typed), understood_as);
        }
    }

    #[test]
    fn the_first_lines_that_a_newcomer_types_lead_into_the_meeting() {
        let mut stage = Stage::new(Instant::now());
        for line in SET_UP {
            stage.set_up(line).unwrap();
        }
        for line in ["call", "123456789#", "4711#", "wait 3s"] {
            stage.happen(&understood(line)).unwrap();
        }
        let said = stage.take_said();
        assert!(said.iter().any(|line| line == "join review"), "{said:#?}");
        assert!(said.iter().any(|line| line == "play Remembered"), "{said:#?}");
    }

    #[test]
    fn a_script_that_goes_otherwise_is_an_error() {
        let mut out = Vec::new();
        assert!(play_script("> call withheld\nring\nanswer\nplay Welcome EnterPin\n", &mut out).is_ok());
        assert!(play_script("> call withheld\nring\n", &mut out).is_err());
        let told = play_script("== one\n> dance\n", &mut out).unwrap_err().to_string();
        assert_eq!(told, "line \"dance\" is nothing that can happen, in line \"> dance\"");
    }
}
