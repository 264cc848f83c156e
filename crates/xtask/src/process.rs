//! Other programs, run so that the user sees what is run.

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::thread;

use anyhow::{Context, Result, bail};

/// The command as one would type it, without the folder of the program.
pub(crate) fn shown(command: &Command) -> String {
    let program = std::path::Path::new(command.get_program());
    let name = program.file_name().unwrap_or(program.as_os_str()).to_string_lossy().into_owned();
    let mut line = name;
    for argument in command.get_args() {
        let argument = argument.to_string_lossy();
        line.push(' ');
        if argument.is_empty()
            || argument.contains(|c: char| c.is_whitespace() || "'\"$*;&|<>()".contains(c))
        {
            line.push('\'');
            line.push_str(&argument.replace('\'', r"'\''"));
            line.push('\'');
        } else {
            line.push_str(&argument);
        }
    }
    line
}

/// Prints the command, runs it and fails if it does.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    say!("$ {}", shown(command));
    let status = command.status().with_context(|| format!("cannot run `{}`", shown(command)))?;
    if !status.success() {
        bail!("`{}` failed ({status})", shown(command));
    }
    Ok(())
}

/// Runs the command quietly and returns what it printed; fails, with its messages, if it does.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let output = command.output().with_context(|| format!("cannot run `{}`", shown(command)))?;
    if !output.status.success() {
        let messages = String::from_utf8_lossy(&output.stderr);
        bail!("`{}` failed ({}): {}", shown(command), output.status, messages.trim());
    }
    String::from_utf8(output.stdout)
        .with_context(|| format!("`{}` printed something other than UTF-8", shown(command)))
}

/// What a program that ran in sight of the user wrote to its standard error, and whether it
/// succeeded.
#[derive(Debug)]
pub(crate) struct Watched {
    pub(crate) success: bool,
    pub(crate) messages: String,
}

/// Prints the command and runs it with its output in sight; keeps a copy of its standard error.
pub(crate) fn watch(command: &mut Command) -> Result<Watched> {
    say!("$ {}", shown(command));
    let line = shown(command);
    let mut child =
        command.stderr(Stdio::piped()).spawn().with_context(|| format!("cannot run `{line}`"))?;
    let stderr = child.stderr.take().with_context(|| format!("`{line}` has no standard error"))?;
    let copier = thread::spawn(move || {
        let mut messages = String::new();
        for line in BufReader::new(stderr).split(b'\n').map_while(Result::ok) {
            let line = String::from_utf8_lossy(&line);
            // Nothing can be done if our own standard error is closed.
            let _ = writeln!(std::io::stderr(), "{line}");
            messages.push_str(&line);
            messages.push('\n');
        }
        messages
    });
    let status = child.wait().with_context(|| format!("lost `{line}`"))?;
    let messages = copier.join().unwrap_or_default();
    Ok(Watched { success: status.success(), messages })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_shown_as_typed() {
        let mut command = Command::new("/usr/bin/cargo");
        command.args(["test", "-p", "a b", "it's"]);
        assert_eq!(shown(&command), r"cargo test -p 'a b' 'it'\''s'");
    }

    #[test]
    fn failure_carries_the_messages() {
        let error = output(Command::new("sh").args(["-c", "echo broken >&2; exit 3"]))
            .map_err(|e| e.to_string());
        assert!(error.is_err_and(|text| text.contains("broken") && text.contains('3')));
    }

    #[test]
    fn watching_keeps_what_was_said() -> Result<()> {
        let watched =
            watch(Command::new("sh").args(["-c", "echo one >&2; printf two >&2; exit 1"]))?;
        assert!(!watched.success);
        assert_eq!(watched.messages, "one\ntwo\n");
        Ok(())
    }
}
