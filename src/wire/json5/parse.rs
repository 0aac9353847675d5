//! The parser: a cursor over the text and a stack of the containers that are still open.

use std::collections::BTreeSet;

use serde_json::Number;

use super::{Json5Error, Kind, Member, Node, Span, line_starts, position};
use crate::limits::JSON_DEPTH;

/// A fault before its line is known: counting lines is left to the one that is reported.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) offset: usize,
    pub(super) message: String,
}

impl Fault {
    pub(super) fn locate(self, text: &str) -> Json5Error {
        let (line, column) = position(text, &line_starts(text), self.offset);
        Json5Error { offset: self.offset, line, column, message: self.message }
    }
}

pub(super) fn fault<T>(offset: usize, message: impl Into<String>) -> Result<T, Fault> {
    Err(Fault { offset, message: message.into() })
}

/// A container whose end has not come yet.
enum Open {
    Array { start: usize, items: Vec<Node> },
    Object { start: usize, members: Vec<Member>, seen: BTreeSet<String>, key: (String, Span) },
}

impl Open {
    const fn closer(&self) -> char {
        match self {
            Self::Array { .. } => ']',
            Self::Object { .. } => '}',
        }
    }

    const fn start(&self) -> usize {
        match self {
            Self::Array { start, .. } | Self::Object { start, .. } => *start,
        }
    }

    fn push(&mut self, value: Node) {
        match self {
            Self::Array { items, .. } => items.push(value),
            Self::Object { members, key, .. } => {
                let (key, key_span) = std::mem::take(key);
                members.push(Member { key, key_span, value });
            }
        }
    }

    fn close(self, end: usize) -> Node {
        match self {
            Self::Array { start, items } => {
                Node { span: Span { start, end }, kind: Kind::Array(items) }
            }
            Self::Object { start, members, .. } => {
                Node { span: Span { start, end }, kind: Kind::Object(members) }
            }
        }
    }
}

/// A cursor over the text; `at` is always a character boundary.
pub(super) struct Parser<'a> {
    pub(super) text: &'a str,
    pub(super) at: usize,
}

impl Parser<'_> {
    fn peek(&self) -> Option<char> {
        self.text.get(self.at..).and_then(|rest| rest.chars().next())
    }

    fn bump(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.at += c.len_utf8();
        Some(c)
    }

    fn rest_starts(&self, with: &str) -> bool {
        self.text.get(self.at..).is_some_and(|rest| rest.starts_with(with))
    }

    /// What stands at the cursor, for a message.
    fn found(&self) -> String {
        self.peek().map_or_else(|| "the end of the file".to_owned(), shown)
    }

    /// Skips white space and comments.
    pub(super) fn space(&mut self) -> Result<(), Fault> {
        loop {
            if self.rest_starts("//") {
                while self.peek().is_some_and(|c| !is_newline(c)) {
                    self.bump();
                }
            } else if self.rest_starts("/*") {
                let start = self.at;
                let body = self.text.get(start + 2..).unwrap_or_default();
                match body.find("*/") {
                    Some(length) => self.at = start + 2 + length + 2,
                    None => return fault(start, "this comment never ends: `*/` is missing"),
                }
            } else if self.peek().is_some_and(is_space) {
                self.bump();
            } else {
                return Ok(());
            }
        }
    }

    pub(super) fn document(&mut self) -> Result<Node, Fault> {
        let mut open: Vec<Open> = Vec::new();
        loop {
            // A value is due here.
            self.space()?;
            let start = self.at;
            let mut done = match self.peek() {
                Some(bracket @ ('{' | '[')) => {
                    if open.len() >= JSON_DEPTH {
                        return fault(start, format!("nested deeper than {JSON_DEPTH} levels"));
                    }
                    self.bump();
                    open.push(if bracket == '[' {
                        Open::Array { start, items: Vec::new() }
                    } else {
                        let (members, seen) = (Vec::new(), BTreeSet::new());
                        Open::Object { start, members, seen, key: Default::default() }
                    });
                    None
                }
                None if !open.is_empty() => return self.unclosed(&open),
                _ => Some(self.scalar()?),
            };
            // Now whatever ends here, until the next value is due.
            loop {
                self.space()?;
                if let Some(node) = done.take() {
                    let Some(parent) = open.last_mut() else {
                        return match self.peek() {
                            None => Ok(node),
                            Some(c) => fault(
                                self.at,
                                format!("{} after the end of the document", shown(c)),
                            ),
                        };
                    };
                    parent.push(node);
                    match self.peek() {
                        Some(',') => {
                            self.bump();
                            self.space()?;
                        }
                        Some(c) if c == parent.closer() => {}
                        None => return self.unclosed(&open),
                        Some(c) => {
                            let closer = parent.closer();
                            let what = format!("expected `,` or `{closer}`, found {}", shown(c));
                            return fault(self.at, what);
                        }
                    }
                }
                if open.last().is_some_and(|parent| Some(parent.closer()) == self.peek()) {
                    self.bump();
                    done = open.pop().map(|parent| parent.close(self.at));
                    continue;
                }
                if self.peek().is_none() {
                    return self.unclosed(&open);
                }
                if let Some(Open::Object { seen, key, .. }) = open.last_mut() {
                    *key = self.key(seen)?;
                }
                break;
            }
        }
    }

    /// The text ended inside a container: the opening bracket is what the reader looks for.
    fn unclosed<T>(&self, open: &[Open]) -> Result<T, Fault> {
        let Some(inner) = open.last() else {
            return fault(self.at, "the file is empty: expected a value");
        };
        let (line, _) = position(self.text, &line_starts(self.text), inner.start());
        let bracket = if inner.closer() == ']' { '[' } else { '{' };
        fault(
            self.at,
            format!(
                "the file ends inside the `{bracket}` of line {line}: `{}` is missing",
                inner.closer()
            ),
        )
    }

    /// A key and its colon.
    fn key(&mut self, seen: &mut BTreeSet<String>) -> Result<(String, Span), Fault> {
        let start = self.at;
        let key = match self.peek() {
            Some(quote @ ('"' | '\'')) => self.string(quote)?,
            Some(c) if starts_identifier(c) || c == '\\' => self.identifier()?,
            _ => return fault(start, format!("expected a key or `}}`, found {}", self.found())),
        };
        let span = Span { start, end: self.at };
        if !seen.insert(key.clone()) {
            let name = crate::wire::text::escape_log(&key, 80);
            return fault(start, format!("the key `{name}` stands twice in one object"));
        }
        self.space()?;
        if self.peek() != Some(':') {
            let hint = if self.peek() == Some('-') { " (quote a key that has a `-`)" } else { "" };
            let what = format!("expected `:` after the key, found {}{hint}", self.found());
            return fault(self.at, what);
        }
        self.bump();
        Ok((key, span))
    }

    fn identifier(&mut self) -> Result<String, Fault> {
        let mut name = String::new();
        while let Some(c) = self.peek() {
            let at = self.at;
            let c = if c == '\\' {
                self.bump();
                if self.bump() != Some('u') {
                    return fault(at, "only `\\u` escapes may stand in an unquoted key");
                }
                self.unicode(at)?
            } else if !continues_identifier(c) {
                break;
            } else {
                self.bump();
                c
            };
            let fits = if name.is_empty() { starts_identifier(c) } else { continues_identifier(c) };
            if !fits {
                return fault(at, "this escape may not stand in an unquoted key");
            }
            name.push(c);
        }
        Ok(name)
    }

    /// Anything but a container.
    fn scalar(&mut self) -> Result<Node, Fault> {
        let start = self.at;
        let kind = match self.peek() {
            Some(quote @ ('"' | '\'')) => Kind::String(self.string(quote)?),
            Some('0'..='9' | '+' | '-' | '.') => Kind::Number(self.number()?),
            Some(c) if continues_identifier(c) => {
                let word = self.word();
                match word {
                    "null" => Kind::Null,
                    "true" => Kind::Bool(true),
                    "false" => Kind::Bool(false),
                    "NaN" | "Infinity" => return fault(start, NOT_FINITE),
                    // The word itself may be a secret that lost its quotes.
                    _ => return fault(start, "expected a value; put text in quotes"),
                }
            }
            None => return self.unclosed(&[]),
            Some(c) => return fault(start, format!("expected a value, found {}", shown(c))),
        };
        Ok(Node { span: Span { start, end: self.at }, kind })
    }

    fn word(&mut self) -> &str {
        let start = self.at;
        while self.peek().is_some_and(continues_identifier) {
            self.bump();
        }
        self.text.get(start..self.at).unwrap_or_default()
    }

    fn digits(&mut self) -> usize {
        let start = self.at;
        while self.peek().is_some_and(|c| c.is_ascii_digit()) {
            self.bump();
        }
        self.at - start
    }

    fn number(&mut self) -> Result<Number, Fault> {
        let start = self.at;
        let negative = self.peek() == Some('-');
        if matches!(self.peek(), Some('+' | '-')) {
            self.bump();
        }
        if self.rest_starts("NaN") || self.rest_starts("Infinity") {
            return fault(start, NOT_FINITE);
        }
        let number = if self.rest_starts("0x") || self.rest_starts("0X") {
            self.at += 2;
            self.hex(start, negative)?
        } else {
            self.decimal(start, negative)?
        };
        if self.peek().is_some_and(continues_identifier) {
            return fault(start, "expected a number; put text in quotes");
        }
        Ok(number)
    }

    fn hex(&mut self, start: usize, negative: bool) -> Result<Number, Fault> {
        let first = self.at;
        while self.peek().is_some_and(|c| c.is_ascii_hexdigit()) {
            self.bump();
        }
        let digits = self.text.get(first..self.at).unwrap_or_default();
        let size = match u64::from_str_radix(digits, 16) {
            Ok(size) => size,
            Err(_) if digits.is_empty() => {
                return fault(start, "a hexadecimal number needs digits after `0x`");
            }
            Err(_) => return fault(start, "this hexadecimal number is above 2^64"),
        };
        match (negative, i64::try_from(size)) {
            (false, _) => Ok(Number::from(size)),
            (true, Ok(size)) => Ok(Number::from(-size)),
            (true, Err(_)) => fault(start, "this hexadecimal number is below -2^63"),
        }
    }

    fn decimal(&mut self, start: usize, negative: bool) -> Result<Number, Fault> {
        let first = self.at;
        let whole = self.digits();
        if whole > 1 && self.text.get(first..).is_some_and(|t| t.starts_with('0')) {
            return fault(start, "a number may not begin with 0 (octal is not JSON5)");
        }
        let mut integral = true;
        let mut fraction = 0;
        if self.peek() == Some('.') {
            integral = false;
            self.bump();
            fraction = self.digits();
        }
        if whole + fraction == 0 {
            return fault(start, "expected digits after the sign or point");
        }
        if matches!(self.peek(), Some('e' | 'E')) {
            integral = false;
            self.bump();
            if matches!(self.peek(), Some('+' | '-')) {
                self.bump();
            }
            if self.digits() == 0 {
                return fault(start, "expected digits after the exponent");
            }
        }
        let digits = self.text.get(first..self.at).unwrap_or_default();
        if integral
            && !negative
            && let Ok(number) = digits.parse::<u64>()
        {
            return Ok(Number::from(number));
        }
        if integral
            && negative
            && let Ok(number) = digits.parse::<i64>()
        {
            return Ok(Number::from(-number));
        }
        // Rust reads `5.` and `.5` as JSON5 does.
        let size: f64 = digits.parse().unwrap_or(f64::NAN);
        let number = if negative { -size } else { size };
        // As in JavaScript 1e3 and 1000.0 are the integer 1000, wherever that is exact.
        const EXACT: f64 = 9_007_199_254_740_992.0;
        if number.fract() == 0.0 && number.abs() <= EXACT && number != 0.0 {
            return Ok(Number::from(number as i64));
        }
        if number == 0.0 {
            return Ok(Number::from(0));
        }
        Number::from_f64(number).map_or_else(|| fault(start, "this number is too large"), Ok)
    }

    fn string(&mut self, quote: char) -> Result<String, Fault> {
        let start = self.at;
        self.bump();
        let mut out = String::new();
        loop {
            let at = self.at;
            match self.bump() {
                None => return fault(start, format!("this string never ends: {quote} is missing")),
                Some(c) if c == quote => return Ok(out),
                Some('\n' | '\r') => {
                    return fault(start, format!("this string has no closing {quote} on its line"));
                }
                Some('\\') => {
                    if let Some(c) = self.escape(at)? {
                        out.push(c);
                    }
                }
                Some(c) => out.push(c),
            }
        }
    }

    /// What follows a backslash; `None` for a line continuation.
    fn escape(&mut self, at: usize) -> Result<Option<char>, Fault> {
        let Some(c) = self.bump() else {
            return fault(at, "the file ends after a backslash");
        };
        Ok(Some(match c {
            'b' => '\u{8}',
            'f' => '\u{C}',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'v' => '\u{B}',
            '0' if !self.peek().is_some_and(|c| c.is_ascii_digit()) => '\0',
            '0'..='9' => return fault(at, "octal escapes are not JSON5"),
            'x' => match self.hex_digits(2).and_then(char::from_u32) {
                Some(c) => c,
                None => return fault(at, "`\\x` needs two hexadecimal digits"),
            },
            'u' => self.unicode(at)?,
            '\r' => {
                if self.peek() == Some('\n') {
                    self.bump();
                }
                return Ok(None);
            }
            c if is_newline(c) => return Ok(None),
            c => c,
        }))
    }

    /// Four hexadecimal digits, and four more when they begin a surrogate pair.
    fn unicode(&mut self, at: usize) -> Result<char, Fault> {
        let Some(high) = self.hex_digits(4) else {
            return fault(at, "`\\u` needs four hexadecimal digits");
        };
        if let Some(c) = char::from_u32(high) {
            return Ok(c);
        }
        if (0xD800..0xDC00).contains(&high) && self.rest_starts("\\u") {
            self.at += 2;
            if let Some(low @ 0xDC00..=0xDFFF) = self.hex_digits(4)
                && let Some(c) = char::from_u32(0x1_0000 + (high - 0xD800) * 0x400 + low - 0xDC00)
            {
                return Ok(c);
            }
        }
        fault(at, "this escape is half of a surrogate pair")
    }

    fn hex_digits(&mut self, count: usize) -> Option<u32> {
        let mut number = 0;
        for _ in 0..count {
            number = number * 16 + self.peek()?.to_digit(16)?;
            self.bump();
        }
        Some(number)
    }
}

const NOT_FINITE: &str = "NaN and Infinity are not allowed: write a finite number";

/// A character for a message: quoted, control characters escaped.
fn shown(c: char) -> String {
    format!("`{}`", crate::wire::text::escape_log(c.encode_utf8(&mut [0; 4]), 16))
}

pub(super) const fn is_newline(c: char) -> bool {
    matches!(c, '\n' | '\r' | '\u{2028}' | '\u{2029}')
}

const fn is_space(c: char) -> bool {
    is_newline(c)
        || matches!(
            c,
            '\t' | '\u{B}' | '\u{C}' | ' ' | '\u{A0}' | '\u{FEFF}' | '\u{1680}' | '\u{2000}'
                ..='\u{200A}' | '\u{202F}' | '\u{205F}' | '\u{3000}'
        )
}

fn starts_identifier(c: char) -> bool {
    c == '$' || c == '_' || c.is_alphabetic()
}

fn continues_identifier(c: char) -> bool {
    c == '$' || c == '_' || c.is_alphanumeric() || matches!(c, '\u{200C}' | '\u{200D}')
}
