//! Cuts a template into text and the tokens inside `{{ }}`, as Go's `text/template/parse` does, trim markers included.

/// A token and the byte where it starts.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Token {
    pub kind: Kind,
    pub text: String,
    pub at: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Open,
    Close,
    Space,
    /// `.`
    Dot,
    /// `.Name`
    Field,
    /// `$` or `$name`
    Variable,
    Identifier,
    Number,
    /// `"…"` or a raw string, quotes included.
    String,
    /// `'c'`
    Char,
    Pipe,
    Declare,
    Assign,
    Comma,
    LeftParen,
    RightParen,
    End,
    /// The text is the message.
    Error,
}

const SPACES: &[char] = &[' ', '\t', '\r', '\n'];

/// All tokens; the last one is `End` or `Error`.
pub(super) fn lex(source: &str) -> Vec<Token> {
    let mut lexer = Lexer { source, at: 0, tokens: Vec::new() };
    lexer.text();
    lexer.tokens
}

struct Lexer<'a> {
    source: &'a str,
    at: usize,
    tokens: Vec<Token>,
}

impl Lexer<'_> {
    fn rest(&self) -> &str {
        &self.source[self.at..]
    }

    fn push(&mut self, kind: Kind, start: usize) {
        let text = self.source[start..self.at].to_owned();
        self.tokens.push(Token { kind, text, at: start });
    }

    fn error(&mut self, message: impl Into<String>) {
        self.tokens.push(Token { kind: Kind::Error, text: message.into(), at: self.at });
    }

    /// Text and actions in turn until the end or an error.
    fn text(&mut self) {
        loop {
            let start = self.at;
            let Some(open) = self.rest().find("{{") else {
                self.at = self.source.len();
                if self.at > start {
                    self.push(Kind::Text, start);
                }
                return self.push(Kind::End, self.at);
            };
            let open = start + open;
            let after = &self.source[open + 2..];
            let trims = after.starts_with('-') && after[1..].starts_with(SPACES);
            let text = &self.source[start..open];
            let text = if trims { text.trim_end_matches(SPACES) } else { text };
            if !text.is_empty() {
                self.tokens.push(Token { kind: Kind::Text, text: text.to_owned(), at: start });
            }
            let inside = open + 2 + if trims { 2 } else { 0 };
            if self.source[inside..].starts_with("/*") {
                let Some(end) = self.source[inside..].find("*/") else {
                    return self.error("unclosed comment");
                };
                self.at = inside + end + 2;
                match self.close() {
                    Some(trim) => self.skip_after(trim),
                    None => return self.error("comment ends before closing delimiter"),
                }
                continue;
            }
            self.tokens.push(Token { kind: Kind::Open, text: "{{".to_owned(), at: open });
            self.at = inside;
            if !self.action() {
                return;
            }
        }
    }

    /// At `}}` or ` -}}`: the number of bytes and whether what follows is trimmed; moves behind it.
    fn close(&mut self) -> Option<bool> {
        if self.rest().starts_with("}}") {
            self.at += 2;
            return Some(false);
        }
        let rest = self.rest();
        if rest.starts_with(SPACES) && rest[1..].starts_with("-}}") {
            self.at += 4;
            return Some(true);
        }
        None
    }

    fn skip_after(&mut self, trim: bool) {
        if trim {
            self.at = self.source.len() - self.rest().trim_start_matches(SPACES).len();
        }
    }

    /// The tokens of one action; false after an error.
    fn action(&mut self) -> bool {
        let mut depth = 0_usize;
        loop {
            let start = self.at;
            if let Some(trim) = self.close() {
                if depth > 0 {
                    self.at = start;
                    self.error("unclosed left paren");
                    return false;
                }
                self.push(Kind::Close, start);
                self.skip_after(trim);
                return true;
            }
            let Some(c) = self.rest().chars().next() else {
                self.error("unclosed action");
                return false;
            };
            match c {
                ' ' | '\t' | '\r' | '\n' => {
                    // A blank before `-}}` belongs to the delimiter.
                    while self.rest().starts_with(SPACES) && !self.rest()[1..].starts_with("-}}") {
                        self.at += 1;
                    }
                    if self.at > start {
                        self.push(Kind::Space, start);
                    }
                }
                '=' => self.simple(Kind::Assign, 1),
                ':' if self.rest().starts_with(":=") => self.simple(Kind::Declare, 2),
                ':' => {
                    self.error("expected :=");
                    return false;
                }
                '|' => self.simple(Kind::Pipe, 1),
                ',' => self.simple(Kind::Comma, 1),
                '(' => {
                    depth += 1;
                    self.simple(Kind::LeftParen, 1);
                }
                ')' => {
                    if depth == 0 {
                        self.error("unexpected right paren");
                        return false;
                    }
                    depth -= 1;
                    self.simple(Kind::RightParen, 1);
                }
                '"' | '\'' if !self.quoted(c) => return false,
                '"' | '\'' => (),
                '`' => match self.rest()[1..].find('`') {
                    Some(end) => self.simple(Kind::String, end + 2),
                    None => {
                        self.error("unterminated raw quoted string");
                        return false;
                    }
                },
                '$' => {
                    self.at += 1;
                    self.word();
                    self.push(Kind::Variable, start);
                }
                '.' if !self.rest()[1..].starts_with(|c: char| c.is_ascii_digit()) => {
                    self.at += 1;
                    let named = self.word();
                    self.push(if named { Kind::Field } else { Kind::Dot }, start);
                }
                c if c.is_ascii_digit() || c == '.' || c == '+' || c == '-' => {
                    self.at += 1;
                    let number = |c: char| c.is_alphanumeric() || c == '.' || c == '_';
                    while let Some(next) = self.rest().chars().next() {
                        let signed = matches!(next, '+' | '-')
                            && self.source[start..self.at].ends_with(['e', 'E', 'p', 'P']);
                        if !number(next) && !signed {
                            break;
                        }
                        self.at += next.len_utf8();
                    }
                    self.push(Kind::Number, start);
                }
                c if c.is_alphanumeric() || c == '_' => {
                    self.word();
                    self.push(Kind::Identifier, start);
                }
                c => {
                    self.error(format!("unrecognized character in action: U+{:04X} {c:?}", c as u32));
                    return false;
                }
            }
        }
    }

    fn simple(&mut self, kind: Kind, length: usize) {
        let start = self.at;
        self.at += length;
        self.push(kind, start);
    }

    /// Moves over letters, digits and `_`; whether there were any.
    fn word(&mut self) -> bool {
        let rest = self.rest();
        let length = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
        self.at += length;
        length > 0
    }

    fn quoted(&mut self, quote: char) -> bool {
        let start = self.at;
        let mut escaped = false;
        for (index, c) in self.source[start + 1..].char_indices() {
            match c {
                '\n' => break,
                _ if escaped => escaped = false,
                '\\' => escaped = true,
                c if c == quote => {
                    self.at = start + 1 + index + 1;
                    self.push(if quote == '"' { Kind::String } else { Kind::Char }, start);
                    return true;
                }
                _ => (),
            }
        }
        let what =
            if quote == '"' { "unterminated quoted string" } else { "unterminated character constant" };
        self.error(what);
        false
    }
}
