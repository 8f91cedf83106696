//! Tokens to a tree: Go's `text/template/parse` without `define`, `block` and `template`, with its error texts.

use std::fmt::Write;

use super::lex::{Kind, Token, lex};
use super::{Error, funcs};

/// A piece of a template.
#[derive(Debug, Clone)]
pub(super) enum Node {
    Text(String),
    Action(Pipe),
    If(Branch),
    With(Branch),
    Range(Branch),
    Break,
    Continue,
}

/// What `if`, `with` and `range` have in common.
#[derive(Debug, Clone)]
pub(super) struct Branch {
    pub pipe: Pipe,
    pub then: Vec<Node>,
    pub otherwise: Vec<Node>,
}

/// `$x := a | b | c`
#[derive(Debug, Clone)]
pub(super) struct Pipe {
    pub at: usize,
    pub variables: Vec<String>,
    /// `=` instead of `:=`.
    pub assign: bool,
    pub commands: Vec<Command>,
}

/// An operand with arguments.
#[derive(Debug, Clone)]
pub(super) struct Command {
    pub words: Vec<Operand>,
}

/// One word of a command.
#[derive(Debug, Clone)]
pub(super) struct Operand {
    pub at: usize,
    pub kind: OperandKind,
}

#[derive(Debug, Clone)]
pub(super) enum OperandKind {
    Dot,
    Nil,
    Bool(bool),
    Int(i128),
    Float(f64),
    String(String),
    /// `.A.B`
    Field(Vec<String>),
    /// `$x.A.B`
    Variable(String, Vec<String>),
    /// `(pipeline).A.B`
    Chain(Box<Pipe>, Vec<String>),
    Function(String),
}

/// Parses a whole template.
pub(super) fn parse(name: &str, source: &str) -> Result<Vec<Node>, Error> {
    let mut parser =
        Parser { name, source, tokens: lex(source), next: 0, variables: vec!["$".to_owned()], loops: 0 };
    let (nodes, end) = parser.list(None)?;
    debug_assert!(matches!(end, Ended::Source));
    Ok(nodes)
}

struct Parser<'a> {
    name: &'a str,
    source: &'a str,
    tokens: Vec<Token>,
    next: usize,
    variables: Vec<String>,
    loops: usize,
}

enum Ended {
    Source,
    End,
    Else,
}

impl Parser<'_> {
    fn peek(&self) -> &Token {
        // The last token is End or Error and is never passed.
        &self.tokens[self.next.min(self.tokens.len() - 1)]
    }

    fn take(&mut self) -> Token {
        let token = self.peek().clone();
        self.next += 1;
        token
    }

    fn skip_space(&mut self) {
        while self.peek().kind == Kind::Space {
            self.next += 1;
        }
    }

    fn peek_word(&mut self) -> Token {
        self.skip_space();
        self.peek().clone()
    }

    fn error<T>(&self, at: usize, message: impl AsRef<str>) -> Result<T, Error> {
        let line = 1 + self.source[..at.min(self.source.len())].matches('\n').count();
        Err(Error(format!("template: {}:{line}: {}", self.name, message.as_ref())))
    }

    fn unexpected<T>(&self, token: &Token, context: &str) -> Result<T, Error> {
        match token.kind {
            Kind::Error => self.error(token.at, &token.text),
            Kind::End => self.error(token.at, "unexpected EOF"),
            // Go names keywords bare and cuts other words at ten characters.
            Kind::Identifier if is_keyword(&token.text) => {
                self.error(token.at, format!("unexpected <{}> in {context}", token.text))
            }
            _ if token.text.chars().count() > 10 => {
                let cut: String = token.text.chars().take(10).collect();
                self.error(token.at, format!("unexpected {}... in {context}", quote(&cut)))
            }
            _ => self.error(token.at, format!("unexpected {} in {context}", quote(&token.text))),
        }
    }

    /// Nodes up to the end of `inside` (`if`, `range`, `with`), or of the source.
    fn list(&mut self, inside: Option<&str>) -> Result<(Vec<Node>, Ended), Error> {
        let mut nodes = Vec::new();
        loop {
            let token = self.take();
            match token.kind {
                Kind::Text => nodes.push(Node::Text(token.text)),
                Kind::Open => {
                    let word = self.peek_word();
                    let keyword = match word.kind {
                        Kind::Identifier => word.text.as_str(),
                        _ => "",
                    };
                    match keyword {
                        "end" | "else" => {
                            self.next += 1;
                            if inside.is_none() {
                                return self.error(word.at, format!("unexpected {{{{{keyword}}}}}"));
                            }
                            if keyword == "else" {
                                return Ok((nodes, Ended::Else));
                            }
                            self.close("end")?;
                            return Ok((nodes, Ended::End));
                        }
                        "if" | "with" | "range" => {
                            self.next += 1;
                            nodes.push(self.control(keyword)?);
                        }
                        "break" | "continue" => {
                            self.next += 1;
                            if self.loops == 0 {
                                return self
                                    .error(word.at, format!("{{{{{keyword}}}}} outside {{{{range}}}}"));
                            }
                            self.close(keyword)?;
                            nodes.push(if keyword == "break" { Node::Break } else { Node::Continue });
                        }
                        "define" | "block" | "template" => {
                            return self.error(word.at, format!("{{{{{keyword}}}}} is not supported"));
                        }
                        _ => {
                            let pipe = self.pipeline("command", Kind::Close)?;
                            nodes.push(Node::Action(pipe));
                        }
                    }
                }
                Kind::End if inside.is_none() => return Ok((nodes, Ended::Source)),
                _ => return self.unexpected(&token, "input"),
            }
        }
    }

    fn close(&mut self, context: &str) -> Result<(), Error> {
        self.skip_space();
        let token = self.take();
        if token.kind == Kind::Close { Ok(()) } else { self.unexpected(&token, context) }
    }

    fn control(&mut self, keyword: &str) -> Result<Node, Error> {
        let scope = self.variables.len();
        let pipe = self.pipeline(keyword, Kind::Close)?;
        if keyword == "range" {
            self.loops += 1;
        }
        let (then, mut ended) = self.list(Some(keyword))?;
        if keyword == "range" {
            self.loops -= 1;
        }
        let mut otherwise = Vec::new();
        if matches!(ended, Ended::Else) {
            let word = self.peek_word();
            let chained = word.kind == Kind::Identifier
                && (word.text == "if" && keyword == "if" || word.text == "with" && keyword == "with");
            if chained {
                self.next += 1;
                otherwise.push(self.control(keyword)?);
                ended = Ended::End;
            } else {
                self.close("else")?;
                let (nodes, end) = self.list(Some(keyword))?;
                otherwise = nodes;
                ended = end;
            }
        }
        if matches!(ended, Ended::Else) {
            return self.error(self.peek().at, "expected end; found {{else}}");
        }
        self.variables.truncate(scope);
        let branch = Branch { pipe, then, otherwise };
        Ok(match keyword {
            "if" => Node::If(branch),
            "with" => Node::With(branch),
            _ => Node::Range(branch),
        })
    }

    /// A pipeline up to and including `end` (`}}` or `)`).
    fn pipeline(&mut self, context: &str, end: Kind) -> Result<Pipe, Error> {
        let at = self.peek_word().at;
        let mut pipe = Pipe { at, variables: Vec::new(), assign: false, commands: Vec::new() };
        self.declarations(context, &mut pipe)?;
        loop {
            let token = self.peek_word();
            if token.kind == end {
                self.next += 1;
                break;
            }
            match token.kind {
                Kind::Identifier
                | Kind::Dot
                | Kind::Field
                | Kind::Variable
                | Kind::Number
                | Kind::String
                | Kind::Char
                | Kind::LeftParen => {
                    let command = self.command()?;
                    pipe.commands.push(command);
                }
                _ => {
                    self.next += 1;
                    return self.unexpected(&token, context);
                }
            }
        }
        if pipe.commands.is_empty() {
            return self.error(at, format!("missing value for {context}"));
        }
        for command in &pipe.commands[1..] {
            let first = &command.words[0];
            let constant = matches!(
                first.kind,
                OperandKind::Bool(_)
                    | OperandKind::Dot
                    | OperandKind::Nil
                    | OperandKind::Int(_)
                    | OperandKind::Float(_)
                    | OperandKind::String(_)
            );
            if constant {
                let stage =
                    1 + pipe.commands.iter().position(|c| std::ptr::eq(c, command)).unwrap_or_default();
                return self.error(first.at, format!("non executable command in pipeline stage {stage}"));
            }
        }
        self.variables.extend(pipe.variables.iter().filter(|_| !pipe.assign).cloned());
        Ok(pipe)
    }

    /// `$x :=`, `$x =`, and `$i, $x :=` in a range.
    fn declarations(&mut self, context: &str, pipe: &mut Pipe) -> Result<(), Error> {
        let start = self.next;
        let mut names = Vec::new();
        loop {
            let token = self.peek_word();
            if token.kind != Kind::Variable {
                break;
            }
            self.next += 1;
            names.push(token.text.clone());
            let sign = self.peek_word();
            match sign.kind {
                Kind::Declare | Kind::Assign => {
                    self.next += 1;
                    pipe.assign = sign.kind == Kind::Assign;
                    if pipe.assign {
                        for name in &names {
                            self.known_variable(name, token.at)?;
                        }
                    }
                    pipe.variables = names;
                    return Ok(());
                }
                Kind::Comma if context == "range" && names.len() < 2 => self.next += 1,
                Kind::Comma if context != "range" || names.len() >= 2 => {
                    let what = if context == "range" { "too many declarations in range" } else { "" };
                    return match what {
                        "" => self.unexpected(&sign, context),
                        what => self.error(sign.at, what),
                    };
                }
                _ => break,
            }
        }
        self.next = start;
        Ok(())
    }

    fn known_variable(&self, name: &str, at: usize) -> Result<(), Error> {
        if self.variables.iter().any(|known| known == name) {
            return Ok(());
        }
        self.error(at, format!("undefined variable {}", quote(name)))
    }

    /// Words separated by blanks, up to `|`, `)` or `}}`.
    fn command(&mut self) -> Result<Command, Error> {
        let mut words = Vec::new();
        loop {
            let token = self.peek_word();
            if let Some(operand) = self.operand(&token)? {
                words.push(operand);
            }
            let token = self.peek().clone();
            match token.kind {
                Kind::Space => continue,
                Kind::Close | Kind::RightParen => break,
                Kind::Pipe => {
                    self.next += 1;
                    let after = self.peek_word();
                    if matches!(after.kind, Kind::Close | Kind::RightParen | Kind::Pipe) {
                        return self.error(after.at, "missing value for command");
                    }
                    break;
                }
                _ => {
                    self.next += 1;
                    return self.unexpected(&token, "operand");
                }
            }
        }
        if words.is_empty() {
            return self.error(self.peek().at, "empty command");
        }
        Ok(Command { words })
    }

    /// A term with the fields chained to it.
    fn operand(&mut self, token: &Token) -> Result<Option<Operand>, Error> {
        let Some(mut operand) = self.term(token)? else { return Ok(None) };
        let mut fields = Vec::new();
        while self.peek().kind == Kind::Field {
            let field = self.take();
            // Go tells the place of the second field, however many there are.
            operand.at = if fields.is_empty() { field.at } else { operand.at };
            fields.push(field.text[1..].to_owned());
        }
        if fields.is_empty() {
            return Ok(Some(operand));
        }
        match &mut operand.kind {
            OperandKind::Field(names) | OperandKind::Variable(_, names) | OperandKind::Chain(_, names) => {
                names.extend(fields);
            }
            OperandKind::Dot => operand.kind = OperandKind::Field(fields),
            OperandKind::Function(_) => {
                let pipe = Pipe {
                    at: operand.at,
                    variables: Vec::new(),
                    assign: false,
                    commands: vec![Command { words: vec![operand.clone()] }],
                };
                operand.kind = OperandKind::Chain(Box::new(pipe), fields);
            }
            _ => {
                let text = operand.to_string();
                return self.error(operand.at, format!("unexpected . after term {}", quote(&text)));
            }
        }
        Ok(Some(operand))
    }

    fn term(&mut self, token: &Token) -> Result<Option<Operand>, Error> {
        let kind = match token.kind {
            Kind::Dot => OperandKind::Dot,
            Kind::Field => OperandKind::Field(vec![token.text[1..].to_owned()]),
            Kind::Variable => {
                self.known_variable(&token.text, token.at)?;
                OperandKind::Variable(token.text.clone(), Vec::new())
            }
            Kind::Identifier => match token.text.as_str() {
                "true" => OperandKind::Bool(true),
                "false" => OperandKind::Bool(false),
                "nil" => OperandKind::Nil,
                word if is_keyword(word) => return Ok(None),
                word if funcs::exists(word) => OperandKind::Function(word.to_owned()),
                word => return self.error(token.at, format!("function {} not defined", quote(word))),
            },
            Kind::Number => match number(&token.text) {
                Some(kind) => kind,
                None => return self.error(token.at, format!("bad number syntax: {}", quote(&token.text))),
            },
            Kind::String => match unquote(&token.text) {
                Some(text) => OperandKind::String(text),
                None => return self.error(token.at, "invalid syntax"),
            },
            Kind::Char => match unquote(&token.text).and_then(|text| {
                let mut chars = text.chars();
                Some((chars.next()?, chars.next())).filter(|(_, more)| more.is_none())
            }) {
                Some((c, _)) => OperandKind::Int(c as i128),
                None => return self.error(token.at, format!("malformed character constant: {}", token.text)),
            },
            Kind::LeftParen => {
                self.next += 1;
                let pipe = self.pipeline("parenthesized pipeline", Kind::RightParen)?;
                return Ok(Some(Operand {
                    at: token.at,
                    kind: OperandKind::Chain(Box::new(pipe), Vec::new()),
                }));
            }
            _ => return Ok(None),
        };
        self.next += 1;
        Ok(Some(Operand { at: token.at, kind }))
    }
}

fn is_keyword(word: &str) -> bool {
    matches!(
        word,
        "if" | "else" | "end" | "range" | "with" | "break" | "continue" | "define" | "block" | "template"
    )
}

fn number(text: &str) -> Option<OperandKind> {
    let plain = text.replace('_', "");
    let (negative, digits) = match plain.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, plain.strip_prefix('+').unwrap_or(&plain)),
    };
    let lower = digits.to_ascii_lowercase();
    let parsed = match lower.get(..2) {
        Some("0x") => i128::from_str_radix(&lower[2..], 16).ok(),
        Some("0o") => i128::from_str_radix(&lower[2..], 8).ok(),
        Some("0b") => i128::from_str_radix(&lower[2..], 2).ok(),
        _ if lower.len() > 1 && lower.starts_with('0') && lower.bytes().all(|b| b.is_ascii_digit()) => {
            i128::from_str_radix(&lower[1..], 8).ok()
        }
        _ if lower.bytes().all(|b| b.is_ascii_digit()) => lower.parse().ok(),
        _ => None,
    };
    if let Some(value) = parsed {
        return Some(OperandKind::Int(if negative { -value } else { value }));
    }
    let float = lower.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'e' | b'+' | b'-'));
    let value: f64 = digits.parse().ok().filter(|_| float)?;
    Some(OperandKind::Float(if negative { -value } else { value }))
}

/// Go's `strconv.Quote`.
pub fn quote(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            '\u{7}' => out.push_str("\\a"),
            '\u{8}' => out.push_str("\\b"),
            '\u{b}' => out.push_str("\\v"),
            '\u{c}' => out.push_str("\\f"),
            c if (c as u32) < 0x20 || c as u32 == 0x7f => {
                let _ = write!(out, "\\x{:02x}", c as u32);
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// The value of a Go string or character literal.
fn unquote(text: &str) -> Option<String> {
    let inner = text.get(1..text.len().checked_sub(1)?)?;
    if text.starts_with('`') {
        return Some(inner.replace('\r', ""));
    }
    let mut out: Vec<u8> = Vec::new();
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            out.extend(c.encode_utf8(&mut [0; 4]).bytes());
            continue;
        }
        let escape = chars.next()?;
        let mut digits = |first: Option<char>, length: usize, radix: u32| {
            let text: String = first.into_iter().chain(chars.by_ref().take(length)).collect();
            u32::from_str_radix(&text, radix).ok()
        };
        match escape {
            'n' => out.push(b'\n'),
            't' => out.push(b'\t'),
            'r' => out.push(b'\r'),
            'a' => out.push(7),
            'b' => out.push(8),
            'f' => out.push(12),
            'v' => out.push(11),
            '\\' | '"' | '\'' => out.push(escape as u8),
            'x' => out.push(u8::try_from(digits(None, 2, 16)?).ok()?),
            '0'..='7' => out.push(u8::try_from(digits(Some(escape), 2, 8)?).ok()?),
            'u' => out.extend(char::from_u32(digits(None, 4, 16)?)?.encode_utf8(&mut [0; 4]).bytes()),
            'U' => out.extend(char::from_u32(digits(None, 8, 16)?)?.encode_utf8(&mut [0; 4]).bytes()),
            _ => return None,
        }
    }
    Some(String::from_utf8_lossy(&out).into_owned())
}

/// As error messages show an operand.
impl std::fmt::Display for Operand {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let chain = |f: &mut std::fmt::Formatter<'_>, fields: &[String]| {
            fields.iter().try_for_each(|field| write!(f, ".{field}"))
        };
        match &self.kind {
            OperandKind::Dot => f.write_str("."),
            OperandKind::Nil => f.write_str("nil"),
            OperandKind::Bool(value) => write!(f, "{value}"),
            OperandKind::Int(value) => write!(f, "{value}"),
            OperandKind::Float(value) => write!(f, "{value}"),
            OperandKind::String(text) => f.write_str(&quote(text)),
            OperandKind::Field(fields) => chain(f, fields),
            OperandKind::Variable(name, fields) => {
                f.write_str(name)?;
                chain(f, fields)
            }
            OperandKind::Chain(pipe, fields) => {
                write!(f, "({pipe})")?;
                chain(f, fields)
            }
            OperandKind::Function(name) => f.write_str(name),
        }
    }
}

impl std::fmt::Display for Command {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (index, word) in self.words.iter().enumerate() {
            let blank = if index > 0 { " " } else { "" };
            write!(f, "{blank}{word}")?;
        }
        Ok(())
    }
}

impl std::fmt::Display for Pipe {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if !self.variables.is_empty() {
            write!(f, "{} {} ", self.variables.join(", "), if self.assign { "=" } else { ":=" })?;
        }
        for (index, command) in self.commands.iter().enumerate() {
            let bar = if index > 0 { " | " } else { "" };
            write!(f, "{bar}{command}")?;
        }
        Ok(())
    }
}
