//! Parses the command line and environment variables, and decides which settings each help shows.
//!
//! Every subcommand accepts all operator settings, before and after its name. Its help shows the
//! settings that it uses; `soarhost help settings` shows all.

use std::ffi::{OsStr, OsString};

use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Command as Clap, CommandFactory, Parser};

use crate::front::cli::args::{Cli, Command, RunAlone, RunFlags};
use crate::front::cli::settings::{SETTINGS, variable};

/// THE TABLE of the settings that the help of each subcommand shows.
const SHOWN: &[(&str, &[&str])] = &[
    #[cfg(feature = "sim")]
    ("try", &["catalog", "now"]),
    ("poll", &["state"]),
    ("list", &["catalog"]),
    ("describe", &["catalog"]),
    ("sample", &["catalog"]),
    ("schema", &["catalog"]),
    ("validate", &["catalog"]),
    ("map", &["catalog"]),
    ("reference", &["catalog"]),
    ("completions", &["catalog"]),
    #[cfg(feature = "sim")]
    ("simulate", &["now"]),
];

/// Reads the command line, or prints help or an error and exits.
pub(super) fn read() -> Cli {
    let mut words = std::env::args_os();
    let first = words.by_ref().nth(1);
    if first.as_deref().is_some_and(|word| word != "run") {
        let (mut cli, flags): (Cli, String) = parse(command_line(), std::env::args_os());
        cli.settings.flags = Some(flags);
        return cli;
    }
    // `run` is parsed without building the other subcommands, because a platform starts the
    // process once per command.
    let words = std::iter::once("soarhost run".into()).chain(words);
    let (alone, flags): (RunAlone, String) = parse(adjusted(RunAlone::command()), words);
    let RunAlone { run, mut settings } = alone;
    settings.flags = Some(flags);
    Cli {
        command: Some(Command::Run(run)),
        settings,
        run: RunFlags::default(),
    }
}

/// The whole command line.
pub(super) fn command_line() -> Clap {
    let mut command = adjusted(Cli::command());
    for (name, shown) in SHOWN {
        command = show(command, name, |arg| shown.contains(&arg.get_id().as_str()));
    }
    show(command, "settings", |_| true)
}

/// Shows these operator settings in the help of that subcommand.
fn show(command: Clap, name: &str, shown: impl Fn(&Arg) -> bool) -> Clap {
    let settings = command.get_arguments().filter(|arg| is_setting(arg));
    let shown: Vec<Arg> = settings
        .filter(|arg| shown(arg))
        .map(|arg| arg.clone().hide(false))
        .collect();
    command.mut_subcommand(name, |sub| sub.args(shown))
}

/// The text of `soarhost settings`.
pub(super) fn settings_help() -> String {
    let mut command = command_line();
    command.build();
    let settings = command.find_subcommand_mut("settings");
    settings.map_or_else(String::new, |settings| {
        settings.render_long_help().to_string()
    })
}

/// Makes the operator settings global, hides them and the values of variables from the command's
/// help, and ignores unusable variables.
fn adjusted(command: Clap) -> Clap {
    command.mut_args(|arg| {
        let (is_setting, hidden) = (is_setting(&arg), arg.is_hide_set());
        ignore_unusable_variable(arg)
            .global(is_setting)
            .hide_env_values(true)
            .hide(is_setting || hidden)
    })
}

fn is_setting(arg: &Arg) -> bool {
    arg.get_help_heading() == Some(SETTINGS)
}

/// Parses the words. Also returns the operator settings as flags for a shell.
fn parse<T: Parser>(mut command: Clap, words: impl Iterator<Item = OsString>) -> (T, String) {
    let parsed = command.try_get_matches_from_mut(words).and_then(|matches| {
        let flags = settings_as_flags(&command, &matches);
        Ok((T::from_arg_matches(&matches)?, flags))
    });
    parsed.unwrap_or_else(|error| error.format(&mut command).exit())
}

/// The operator settings that flags or variables set, as flags for a shell, each after a space.
fn settings_as_flags(command: &Clap, matches: &ArgMatches) -> String {
    let (command, matches) = match matches.subcommand() {
        Some((name, matches)) => (command.find_subcommand(name).unwrap_or(command), matches),
        None => (command, matches),
    };
    let mut flags = String::new();
    for arg in command.get_arguments() {
        let name = arg.get_id().as_str();
        let is_ours = |name: &OsStr| name.to_string_lossy().starts_with("SOARHOST_");
        let set = match matches.value_source(name) {
            Some(ValueSource::CommandLine) => true,
            // A variable of all programs is also set where the line is repeated.
            Some(ValueSource::EnvVariable) => arg.get_env().is_some_and(is_ours),
            _ => false,
        };
        let Some(long) = arg.get_long().filter(|_| set) else {
            continue;
        };
        if !is_setting(arg) && name != "sandbox" {
            continue;
        }
        if !arg.get_action().takes_values() {
            flags.extend([" --", long]);
            continue;
        }
        for value in matches.get_raw(name).into_iter().flatten() {
            let value = quoted(&value.to_string_lossy());
            flags.extend([" --", long, " ", value.as_str()]);
        }
    }
    flags
}

/// The word as a shell reads it.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:,=@+".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', "'\\''"))
}

/// Ignores the flag's environment variable if it is empty or not one of the possible values. Unlike
/// a flag, a variable can be set for other programs, so it must not end a run.
fn ignore_unusable_variable(arg: Arg) -> Arg {
    let Some(value) = arg.get_env().and_then(variable) else {
        return arg;
    };
    let possible = arg.get_possible_values();
    let unknown = value
        .to_str()
        .is_none_or(|value| !possible.iter().any(|known| known.matches(value, true)));
    if value.is_empty() || !possible.is_empty() && unknown {
        return arg.env(None::<&'static str>);
    }
    arg
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_returned_as_flags_for_a_shell() {
        let words = ["soarhost", "--now", "2026-09-20", "run", "--sandbox"];
        let more = ["--catalog", "it's a folder", "--system-roots", "--pretty"];
        let words = words.into_iter().chain(more).map(OsString::from);
        let (_, flags): (Cli, String) = parse(command_line(), words);
        let expected = [
            " --catalog 'it'\\''s a folder'",
            " --now 2026-09-20",
            " --sandbox",
            " --system-roots",
        ];
        for flag in expected {
            assert!(flags.contains(flag), "{flags}");
        }
        assert!(!flags.contains("--pretty"), "not a setting: {flags}");
    }
}
