//! Runs a parsed template over a value.

use super::funcs::{self, Failure};
use super::parse::{Branch, Command, Node, Operand, OperandKind, Pipe, quote};
use super::value::{Nil, Struct, Value};
use super::{Error, Template};

/// How a list of nodes ended.
enum Flow {
    Done,
    Break,
    Continue,
}

struct Run<'a> {
    template: &'a Template,
    header: bool,
    out: String,
    variables: Vec<(String, Value)>,
}

/// The text of `template` for `data`. In a header docker's text functions do nothing.
pub(super) fn run(template: &Template, data: &Value, header: bool) -> Result<String, Error> {
    let variables = vec![("$".to_owned(), data.clone())];
    let mut run = Run { template, header, out: String::new(), variables };
    run.nodes(&template.nodes, data)?;
    Ok(run.out)
}

impl Run<'_> {
    fn error<T>(
        &self,
        at: usize,
        context: &dyn std::fmt::Display,
        message: impl AsRef<str>,
    ) -> Result<T, Error> {
        let before = &self.template.source[..at.min(self.template.source.len())];
        let line = 1 + before.matches('\n').count();
        let column = before.len() - before.rfind('\n').map_or(0, |at| at + 1);
        let name = &self.template.name;
        Err(Error(format!(
            "template: {name}:{line}:{column}: executing {} at <{context}>: {}",
            quote(name),
            message.as_ref()
        )))
    }

    fn nodes(&mut self, nodes: &[Node], dot: &Value) -> Result<Flow, Error> {
        for node in nodes {
            match node {
                Node::Text(text) => self.out.push_str(text),
                Node::Action(pipe) => {
                    let value = self.pipe(pipe, dot)?;
                    if pipe.variables.is_empty() {
                        self.out.push_str(&value.to_string());
                    }
                }
                Node::If(branch) => match self.choice(branch, dot, false)? {
                    Flow::Done => (),
                    flow => return Ok(flow),
                },
                Node::With(branch) => match self.choice(branch, dot, true)? {
                    Flow::Done => (),
                    flow => return Ok(flow),
                },
                Node::Range(branch) => self.range(branch, dot)?,
                Node::Break => return Ok(Flow::Break),
                Node::Continue => return Ok(Flow::Continue),
            }
        }
        Ok(Flow::Done)
    }

    fn choice(&mut self, branch: &Branch, dot: &Value, with: bool) -> Result<Flow, Error> {
        let scope = self.variables.len();
        let value = self.pipe(&branch.pipe, dot)?;
        let flow = match value.truth() {
            true => self.nodes(&branch.then, if with { &value } else { dot }),
            false => self.nodes(&branch.otherwise, dot),
        };
        self.variables.truncate(scope);
        flow
    }

    fn range(&mut self, branch: &Branch, dot: &Value) -> Result<(), Error> {
        let scope = self.variables.len();
        // The variables are set per element, not to the whole.
        let pipe = Pipe { variables: Vec::new(), ..branch.pipe.clone() };
        let value = self.pipe(&pipe, dot)?;
        let pairs: Vec<(Value, Value)> = match &value {
            Value::List(items) => items
                .iter()
                .enumerate()
                .map(|(index, item)| (Value::Int(index as i128), item.clone()))
                .collect(),
            Value::Map(map) => {
                map.entries.iter().map(|(key, value)| (Value::string(key), value.clone())).collect()
            }
            Value::Struct(object) if object.type_name.is_empty() => {
                object.fields.iter().map(|(key, value)| (Value::string(key), value.clone())).collect()
            }
            // Go ranges over integers since 1.22; nobody formats a million lines.
            Value::Int(count) => {
                (0..(*count).clamp(0, 1 << 20)).map(|n| (Value::Int(n), Value::Int(n))).collect()
            }
            Value::Nil(_) | Value::Missing => Vec::new(),
            other => {
                let message = format!("range can't iterate over {other}");
                return self.error(branch.pipe.at, &branch.pipe, message);
            }
        };
        if pairs.is_empty() {
            self.nodes(&branch.otherwise, dot)?;
        }
        for (key, item) in pairs {
            match branch.pipe.variables.as_slice() {
                [] => (),
                [one] => self.bind(one, item.clone(), branch.pipe.assign),
                [first, second, ..] => {
                    self.bind(first, key, branch.pipe.assign);
                    self.bind(second, item.clone(), branch.pipe.assign);
                }
            }
            let flow = self.nodes(&branch.then, &item)?;
            self.variables.truncate(scope);
            if let Flow::Break = flow {
                break;
            }
        }
        Ok(())
    }

    fn bind(&mut self, name: &str, value: Value, assign: bool) {
        if assign && let Some((_, slot)) = self.variables.iter_mut().rev().find(|(known, _)| known == name) {
            *slot = value;
            return;
        }
        self.variables.push((name.to_owned(), value));
    }

    fn pipe(&mut self, pipe: &Pipe, dot: &Value) -> Result<Value, Error> {
        let mut value: Option<Value> = None;
        for command in &pipe.commands {
            value = Some(self.command(command, dot, value)?);
        }
        let value = value.unwrap_or(Value::Missing);
        for name in &pipe.variables {
            self.bind(name, value.clone(), pipe.assign);
        }
        Ok(value)
    }

    fn command(&mut self, command: &Command, dot: &Value, last: Option<Value>) -> Result<Value, Error> {
        let first = &command.words[0];
        if let OperandKind::Function(name) = &first.kind {
            return self.function(command, name, dot, last);
        }
        let mut args = Vec::new();
        if command.words.len() > 1 || last.is_some() {
            for word in &command.words[1..] {
                args.push(self.operand(word, dot, &[])?);
            }
            args.extend(last);
            let callable = matches!(
                first.kind,
                OperandKind::Field(_) | OperandKind::Variable(..) | OperandKind::Chain(..)
            );
            if !callable {
                return self.error(first.at, first, format!("can't give argument to non-function {first}"));
            }
        }
        self.operand(first, dot, &args)
    }

    fn function(
        &mut self,
        command: &Command,
        name: &str,
        dot: &Value,
        last: Option<Value>,
    ) -> Result<Value, Error> {
        let at = command.words[0].at;
        if name == "and" || name == "or" {
            let mut value = None;
            for word in &command.words[1..] {
                let next = self.operand(word, dot, &[])?;
                let stop = next.truth() == (name == "or");
                value = Some(next);
                if stop {
                    return Ok(value.unwrap_or(Value::Missing));
                }
            }
            return match last.or(value) {
                Some(value) => Ok(value),
                None => {
                    self.error(at, command, format!("wrong number of args for {name}: want at least 1 got 0"))
                }
            };
        }
        let mut args = Vec::new();
        for word in &command.words[1..] {
            args.push(self.operand(word, dot, &[])?);
        }
        args.extend(last);
        match funcs::call(name, &args, self.header) {
            Ok(value) => Ok(value),
            Err(Failure::Plain(message)) => self.error(at, &command.words[0], message),
            Err(Failure::Calling(message)) => {
                self.error(at, command, format!("error calling {name}: {message}"))
            }
        }
    }

    /// The value of one word; `args` go to the last field if that is a method.
    fn operand(&mut self, operand: &Operand, dot: &Value, args: &[Value]) -> Result<Value, Error> {
        match &operand.kind {
            OperandKind::Dot => Ok(dot.clone()),
            OperandKind::Nil => self.error(operand.at, operand, "nil is not a command"),
            OperandKind::Bool(value) => Ok(Value::Bool(*value)),
            OperandKind::Int(value) => Ok(Value::Int(*value)),
            OperandKind::Float(value) => Ok(Value::Float(*value)),
            OperandKind::String(text) => Ok(Value::string(text)),
            OperandKind::Field(fields) => self.fields(operand, dot.clone(), fields, args),
            OperandKind::Variable(name, fields) => {
                let value = self.variables.iter().rev().find(|(known, _)| known == name);
                let value = value.map_or(Value::Missing, |(_, value)| value.clone());
                self.fields(operand, value, fields, args)
            }
            OperandKind::Chain(pipe, fields) => {
                let value = self.pipe(pipe, dot)?;
                self.fields(operand, value, fields, args)
            }
            OperandKind::Function(name) => match funcs::call(name, &[], self.header) {
                Ok(value) => Ok(value),
                Err(Failure::Plain(message) | Failure::Calling(message)) => {
                    self.error(operand.at, operand, message)
                }
            },
        }
    }

    fn fields(
        &self,
        operand: &Operand,
        mut value: Value,
        fields: &[String],
        args: &[Value],
    ) -> Result<Value, Error> {
        for (index, name) in fields.iter().enumerate() {
            let args = if index + 1 == fields.len() { args } else { &[] };
            value = self.field(
                operand,
                &value,
                name,
                args,
                index.checked_sub(1).map(|before| fields[before].as_str()),
            )?;
        }
        if fields.is_empty() && !args.is_empty() {
            return self.error(operand.at, operand, format!("can't give argument to non-function {operand}"));
        }
        Ok(value)
    }

    fn field(
        &self,
        operand: &Operand,
        value: &Value,
        name: &str,
        args: &[Value],
        before: Option<&str>,
    ) -> Result<Value, Error> {
        let found = match value {
            Value::Struct(object) => match (name, &object.label) {
                ("Label", Some(labels)) => {
                    return match args {
                        [Value::String(key)] => Ok(labels.get(key)),
                        [_] => self.error(operand.at, operand, "wrong type for value; expected string"),
                        _ => self.error(
                            operand.at,
                            operand,
                            format!("wrong number of args for Label: want 1 got {}", args.len()),
                        ),
                    };
                }
                _ => match object.field(name) {
                    Some(value) => value,
                    None => return self.error(operand.at, operand, missing_field(object, name)),
                },
            },
            Value::Map(map) => map.entries.get(name).cloned().unwrap_or(Value::Missing),
            Value::Missing => Value::Missing,
            Value::Nil(Nil::Map) => Value::Missing,
            // Docker tries again with untyped JSON, where the pointer is a key that is not there.
            Value::Nil(_) => match before {
                Some(before) => {
                    return self.error(
                        operand.at,
                        operand,
                        format!("map has no entry for key {}", quote(before)),
                    );
                }
                None => {
                    return self.error(
                        operand.at,
                        operand,
                        format!("nil data; no entry for key {}", quote(name)),
                    );
                }
            },
            other => {
                let message = format!("can't evaluate field {name} in type {}", other.type_name());
                return self.error(operand.at, operand, message);
            }
        };
        if !args.is_empty() {
            return self.error(
                operand.at,
                operand,
                format!("{name} has arguments but cannot be invoked as function"),
            );
        }
        Ok(found)
    }
}

fn missing_field(object: &Struct, name: &str) -> String {
    match object.type_name {
        "" => format!("map has no entry for key {}", quote(name)),
        type_name => format!("can't evaluate field {name} in type {type_name}"),
    }
}
