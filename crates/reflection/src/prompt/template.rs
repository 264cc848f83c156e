//! Text with places for values.

use serde_json::{Value, json};
use tamis_artifact::hash_bytes;
use tamis_dataset::Message;

use super::{Kind, Variable};
use crate::ReflectionError;
use crate::reply::END;

/// Shortest fence.
const FENCE_LENGTH: usize = 5;
const ROLES: [&str; 2] = ["system", "user"];

/// A prompt that was checked.
#[derive(Clone, Debug)]
pub(super) struct Template {
    name: String,
    version: u32,
    blake3: String,
    /// At most one of the system, then one of the user.
    messages: Vec<(&'static str, Vec<Part>)>,
}

#[derive(Clone, Debug)]
enum Part {
    Text(String),
    Value(Variable),
    /// There only if the value is not blank.
    If(Variable, Vec<Part>),
}

impl Template {
    pub(super) fn parse(file: &str, text: &str, kind: &Kind) -> Result<Self, ReflectionError> {
        let refuse = |line: usize, reason: String| ReflectionError::Prompt {
            file: file.to_owned(),
            line,
            reason,
        };
        let text = text.replace("\r\n", "\n");
        let mut lines = (1..).zip(text.lines());
        let front = lines.next().and_then(|(_, line)| {
            let (name, version) = line.split_once(' ')?;
            Some((name.to_owned(), version.trim().parse::<u32>().ok()?))
        });
        let Some((name, version)) = front else {
            let reason = "expected a name without spaces and a version, such as `judge 2`";
            return Err(refuse(1, reason.to_owned()));
        };
        let mut reader = Reader { kind, used: Vec::new(), messages: Vec::new(), block: None };
        for (number, line) in lines {
            reader.line(number, line).map_err(|reason| refuse(number, reason))?;
        }
        let last = text.lines().count();
        if let Some(block) = &reader.block {
            let reason = format!("`{{{{#{}}}}}` is never closed", block.name);
            return Err(refuse(block.line, reason));
        }
        if reader.messages.last().is_none_or(|(role, _)| *role != "user") {
            return Err(refuse(last, "expected a part `--- user`".to_owned()));
        }
        for (name, variable) in kind.variables {
            if *variable != Variable::Fence && !reader.used.contains(variable) {
                return Err(refuse(last, format!("`{{{{{name}}}}}` is missing")));
            }
        }
        for marker in kind.markers.iter().map(|marker| marker.text()).chain([END]) {
            if !kind.markers.is_empty() && !text.contains(marker) {
                let reason = format!("`{marker}` is missing: the reply is read by it");
                return Err(refuse(last, reason));
            }
        }
        let blake3 = hash_bytes(text.as_bytes());
        Ok(Self { name, version, blake3, messages: reader.messages })
    }

    pub(super) fn identity(&self) -> Value {
        json!({ "name": self.name, "version": self.version, "blake3": self.blake3 })
    }

    pub(super) fn render<'v>(&self, value: impl Fn(Variable) -> &'v str) -> Vec<Message> {
        let fence = fence(&value);
        let value = |variable| if variable == Variable::Fence { &fence } else { value(variable) };
        let of_one = |(role, parts): &(&str, Vec<Part>)| {
            let mut text = String::new();
            fill(parts, &value, &mut text);
            // What ends the last line of the file is no part of the message.
            Message::new(*role, text.strip_suffix('\n').unwrap_or(&text))
        };
        self.messages.iter().map(of_one).collect()
    }
}

fn fill<'v>(parts: &[Part], value: &impl Fn(Variable) -> &'v str, text: &mut String) {
    for part in parts {
        match part {
            Part::Text(part) => text.push_str(part),
            Part::Value(variable) => text.push_str(value(*variable)),
            Part::If(variable, parts) if !value(*variable).trim().is_empty() => {
                fill(parts, value, text);
            }
            Part::If(..) => {}
        }
    }
}

/// A row of `=` that none of the values holds.
fn fence<'v>(value: &impl Fn(Variable) -> &'v str) -> String {
    use Variable::{Answer, First, Input, Instruction, Second};
    let longest = |text: &str| text.split(|c| c != '=').map(str::len).max().unwrap_or(0);
    let longest = [Instruction, Input, Answer, First, Second].map(|v| longest(value(v)));
    let longest = longest.into_iter().max().unwrap_or(0);
    "=".repeat(FENCE_LENGTH.max(longest + 1))
}

/// What was read so far.
struct Reader<'k> {
    kind: &'k Kind,
    used: Vec<Variable>,
    messages: Vec<(&'static str, Vec<Part>)>,
    block: Option<Block>,
}

/// Lines that depend on a value.
struct Block {
    variable: Variable,
    name: String,
    line: usize,
    parts: Vec<Part>,
}

impl Reader<'_> {
    fn line(&mut self, number: usize, line: &str) -> Result<(), String> {
        let bare = line.trim();
        if let Some(role) = bare.strip_prefix("--- ") {
            return self.message(role.trim());
        }
        if self.messages.is_empty() {
            let blank = bare.is_empty();
            return if blank { Ok(()) } else { Err(expected_part(bare)) };
        }
        if let Some(name) = bare.strip_prefix("{{#").and_then(|rest| rest.strip_suffix("}}")) {
            if let Some(open) = &self.block {
                return Err(format!("`{{{{#{}}}}}` is still open: no block in a block", open.name));
            }
            let (variable, name) = (self.variable(name)?, name.to_owned());
            self.block = Some(Block { variable, name, line: number, parts: Vec::new() });
            return Ok(());
        }
        if let Some(name) = bare.strip_prefix("{{/").and_then(|rest| rest.strip_suffix("}}")) {
            return match self.block.take() {
                Some(block) if block.name == name => {
                    self.push(Part::If(block.variable, block.parts));
                    Ok(())
                }
                _ => Err(format!("`{bare}` closes nothing that is open")),
            };
        }
        let mut rest = line;
        while let Some((before, after)) = rest.split_once("{{") {
            let Some((name, after)) = after.split_once("}}") else {
                return Err("`{{` is never closed; a variable ends in `}}` on its line".to_owned());
            };
            if name.starts_with(['#', '/']) {
                return Err(format!("`{{{{{name}}}}}` must stand alone on its line"));
            }
            let variable = self.variable(name)?;
            self.used.push(variable);
            self.push(Part::Text(before.to_owned()));
            self.push(Part::Value(variable));
            rest = after;
        }
        self.push(Part::Text(format!("{rest}\n")));
        Ok(())
    }

    fn message(&mut self, role: &str) -> Result<(), String> {
        if let Some(open) = &self.block {
            return Err(format!("`{{{{#{}}}}}` is still open", open.name));
        }
        let Some(role) = ROLES.into_iter().find(|known| *known == role) else {
            return Err(expected_part(role));
        };
        match (role, self.messages.last()) {
            (_, None) | ("user", Some(("system", _))) => self.messages.push((role, Vec::new())),
            _ => {
                return Err(format!(
                    "a second part or a wrong place for `--- {role}`: there is one of the system at most, then one of the user"
                ));
            }
        }
        Ok(())
    }

    fn variable(&self, name: &str) -> Result<Variable, String> {
        let known = self.kind.variables;
        known.iter().find(|(known, _)| *known == name).map(|&(_, variable)| variable).ok_or_else(
            || {
                let known: Vec<&str> = known.iter().map(|(known, _)| *known).collect();
                format!("`{name}` is no variable, expected one of {}", known.join(", "))
            },
        )
    }

    fn push(&mut self, part: Part) {
        match (&mut self.block, self.messages.last_mut()) {
            (Some(block), _) => block.parts.push(part),
            (None, Some((_, parts))) => parts.push(part),
            (None, None) => {}
        }
    }
}

fn expected_part(found: &str) -> String {
    format!("found `{found}`, expected `--- system` or `--- user`")
}
