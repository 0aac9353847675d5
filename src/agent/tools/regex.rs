//! Regular expressions that cannot be slow: Thompson's simulation, no backtracking.
//!
//! ```text
//!   pattern --parse--> Node --emit--> program (at most TOOL_REGEX_STATES) --Scan--> yes or no
//! ```
//!
//! Supported: literals, `.`, classes `[a-z]` `[^…]`, `\d \w \s` and their negations, groups
//! `( )` and `(?: )`, `|`, `* + ? {m,n}` (the lazy `?` behind one is read over: whether a line
//! matches does not depend on it), anchors `^ $ \b \B`, escapes `\t \n \r \f \v \xHH \u{H}`,
//! and `(?i)` at the start. Not supported, each with an error that says so: look-around and
//! back-references.
//!
//! A search costs at most states × characters; [`Scan::run`] takes a budget of steps and goes on
//! later where it stopped, so that the loop is never held, whatever pattern meets whatever text.

use crate::limits;

/// A compiled expression.
#[derive(Debug, Clone)]
pub struct Regex {
    program: Vec<Op>,
    ignore_case: bool,
    /// Characters a match can begin with; `None` when it may begin with any or with none.
    first: Option<First>,
}

/// What a match may begin with: ASCII by character; everything else is possible.
#[derive(Debug, Clone)]
struct First([bool; 128]);

#[derive(Debug, Clone)]
enum Op {
    Char(char),
    Any,
    Class(Class),
    Start,
    End,
    Boundary(bool),
    Jump(usize),
    /// Both ways.
    Split(usize, usize),
    Match,
}

#[derive(Debug, Clone)]
struct Class {
    negated: bool,
    ranges: Vec<(char, char)>,
}

#[derive(Debug, Clone)]
enum Node {
    Empty,
    Op(Op),
    Sequence(Vec<Node>),
    Either(Vec<Node>),
    Repeat { inner: Box<Node>, least: u32, most: Option<u32> },
}

/// Most of a counted repetition.
const COUNT: u32 = 1_000;
/// Groups inside groups.
const DEPTH: usize = 50;

impl Regex {
    /// Compiles a pattern.
    ///
    /// # Errors
    /// A sentence for whoever wrote the pattern.
    pub fn new(pattern: &str, ignore_case: bool) -> Result<Self, String> {
        let (pattern, ignore_case) = match pattern.strip_prefix("(?i)") {
            Some(rest) => (rest, true),
            None => (pattern, ignore_case),
        };
        let mut parser = Parser { rest: pattern.chars().peekable(), depth: 0 };
        let node = parser.either()?;
        if parser.rest.next().is_some() {
            return Err("a \")\" without its \"(\"; write \\) for the character".to_owned());
        }
        let mut program = Program { ops: Vec::new(), work: 0 };
        program.emit(&node)?;
        program.push(Op::Match)?;
        let mut regex = Self { program: program.ops, ignore_case, first: None };
        if ignore_case {
            regex.fold();
        }
        regex.first = regex.beginnings();
        Ok(regex)
    }

    /// A pattern in which every character stands for itself.
    pub fn literal(text: &str, ignore_case: bool) -> Result<Self, String> {
        Self::new(&escape(text), ignore_case)
    }

    /// Whether it matches somewhere in `text`, however long that takes: for short texts.
    pub fn is_match(&self, text: &str) -> bool {
        let mut scan = Scan::new(self);
        let mut budget = usize::MAX;
        scan.run(self, text, &mut budget).unwrap_or(false)
    }

    fn fold(&mut self) {
        for op in &mut self.program {
            if let Op::Char(c) = op {
                *c = fold(*c);
            }
        }
    }

    /// Follows the program to the first characters it may consume.
    fn beginnings(&self) -> Option<First> {
        let mut first = First([false; 128]);
        let mut seen = vec![false; self.program.len()];
        let mut open = vec![0];
        while let Some(at) = open.pop() {
            let op = self.program.get(at)?;
            if std::mem::replace(seen.get_mut(at)?, true) {
                continue;
            }
            match op {
                Op::Match => return None,
                Op::Jump(to) => open.push(*to),
                Op::Split(a, b) => open.extend([*a, *b]),
                Op::Start | Op::End | Op::Boundary(_) => open.push(at + 1),
                Op::Char(_) | Op::Any | Op::Class(_) => {
                    for (byte, place) in (0u8..).zip(first.0.iter_mut()) {
                        *place |= self.consumes(op, char::from(byte));
                    }
                }
            }
        }
        Some(first)
    }

    fn consumes(&self, op: &Op, c: char) -> bool {
        match op {
            Op::Char(want) if self.ignore_case => *want == fold(c),
            Op::Char(want) => *want == c,
            Op::Any => c != '\n',
            Op::Class(class) if self.ignore_case => {
                let any = [c, fold(c), upper(c)].iter().any(|c| class.holds(*c));
                any != class.negated
            }
            Op::Class(class) => class.holds(c) != class.negated,
            _ => false,
        }
    }
}

/// The pattern that matches a text and nothing else.
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if "\\.+*?()|[]{}^$".contains(c) {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

fn fold(c: char) -> char {
    let mut lower = c.to_lowercase();
    match (lower.next(), lower.next()) {
        (Some(lower), None) => lower,
        _ => c,
    }
}

fn upper(c: char) -> char {
    let mut upper = c.to_uppercase();
    match (upper.next(), upper.next()) {
        (Some(upper), None) => upper,
        _ => c,
    }
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

impl Class {
    fn holds(&self, c: char) -> bool {
        self.ranges.iter().any(|(from, to)| (*from..=*to).contains(&c))
    }

    /// `\d`, `\w`, `\s` and their opposites.
    fn named(name: char) -> Option<Self> {
        let ranges: &[(char, char)] = match name.to_ascii_lowercase() {
            'd' => &[('0', '9')],
            'w' => &[('a', 'z'), ('A', 'Z'), ('0', '9'), ('_', '_'), ('\u{aa}', char::MAX)],
            's' => &[('\t', '\r'), (' ', ' '), ('\u{85}', '\u{85}'), ('\u{a0}', '\u{a0}')],
            _ => return None,
        };
        Some(Self { negated: name.is_ascii_uppercase(), ranges: ranges.to_vec() })
    }

    /// What it does not hold, as ranges.
    fn opposite(&self) -> Vec<(char, char)> {
        let mut sorted = self.ranges.clone();
        sorted.sort_unstable();
        let (mut from, mut out) = (0u32, Vec::new());
        let mut add = |from: u32, to: u32| {
            // Surrogates are no characters; a range across them is two.
            for (from, to) in [(from, to.min(0xd7ff)), (from.max(0xe000), to)] {
                if let (Some(a), Some(b)) = (char::from_u32(from), char::from_u32(to))
                    && a <= b
                {
                    out.push((a, b));
                }
            }
        };
        for (a, b) in sorted {
            if u32::from(a) > from {
                add(from, u32::from(a) - 1);
            }
            from = from.max(u32::from(b) + 1);
        }
        add(from, u32::from(char::MAX));
        out
    }
}

struct Parser<'a> {
    rest: std::iter::Peekable<std::str::Chars<'a>>,
    depth: usize,
}

impl Parser<'_> {
    fn either(&mut self) -> Result<Node, String> {
        let mut ways = vec![self.sequence()?];
        while self.rest.next_if_eq(&'|').is_some() {
            ways.push(self.sequence()?);
        }
        Ok(if ways.len() == 1 { ways.swap_remove(0) } else { Node::Either(ways) })
    }

    fn sequence(&mut self) -> Result<Node, String> {
        let mut parts = Vec::new();
        while let Some(c) = self.rest.peek().copied() {
            if c == '|' || c == ')' {
                break;
            }
            self.rest.next();
            let atom = self.atom(c)?;
            parts.push(self.repeated(atom)?);
        }
        Ok(match parts.len() {
            0 => Node::Empty,
            1 => parts.swap_remove(0),
            _ => Node::Sequence(parts),
        })
    }

    fn atom(&mut self, c: char) -> Result<Node, String> {
        Ok(Node::Op(match c {
            '.' => Op::Any,
            '^' => Op::Start,
            '$' => Op::End,
            '[' => Op::Class(self.class()?),
            '(' => return self.group(),
            '\\' => return self.escaped(),
            '*' | '+' | '?' => {
                return Err(format!("nothing before \"{c}\" to repeat; write \\{c} for itself"));
            }
            c => Op::Char(c),
        }))
    }

    fn group(&mut self) -> Result<Node, String> {
        if self.rest.next_if_eq(&'?').is_some() {
            match self.rest.next() {
                Some(':') => {}
                Some('P') if self.rest.next_if_eq(&'<').is_some() => self.name()?,
                Some('<') if !matches!(self.rest.peek(), Some('=' | '!')) => self.name()?,
                _ => return Err("look-around and flags inside are not supported".to_owned()),
            }
        }
        self.depth += 1;
        if self.depth > DEPTH {
            return Err(format!("more than {DEPTH} groups inside each other"));
        }
        let inner = self.either()?;
        self.depth -= 1;
        match self.rest.next() {
            Some(')') => Ok(inner),
            _ => Err("a \"(\" without its \")\"; write \\( for the character".to_owned()),
        }
    }

    fn name(&mut self) -> Result<(), String> {
        match self.rest.by_ref().take(64).find(|c| !is_word(*c)) {
            Some('>') => Ok(()),
            _ => Err("a group's name ends with \">\"".to_owned()),
        }
    }

    fn escaped(&mut self) -> Result<Node, String> {
        let Some(c) = self.rest.next() else {
            return Err("a \\ at the end; write \\\\ for the character".to_owned());
        };
        if let Some(class) = Class::named(c) {
            return Ok(Node::Op(Op::Class(class)));
        }
        Ok(Node::Op(match c {
            'b' => Op::Boundary(true),
            'B' => Op::Boundary(false),
            'A' => Op::Start,
            'z' | 'Z' => Op::End,
            '1'..='9' => return Err("back-references are not supported".to_owned()),
            c => Op::Char(self.character(c)?),
        }))
    }

    /// The character that an escape stands for.
    fn character(&mut self, c: char) -> Result<char, String> {
        Ok(match c {
            't' => '\t',
            'n' => '\n',
            'r' => '\r',
            'f' => '\u{c}',
            'v' => '\u{b}',
            '0' => '\0',
            'x' | 'u' => {
                let digits: String = if self.rest.next_if_eq(&'{').is_some() {
                    self.rest.by_ref().take(9).take_while(|c| *c != '}').collect()
                } else {
                    self.rest.by_ref().take(if c == 'x' { 2 } else { 4 }).collect()
                };
                let code = u32::from_str_radix(&digits, 16).ok().and_then(char::from_u32);
                code.ok_or_else(|| format!("\\{c}{digits} is no character"))?
            }
            c if c.is_ascii_alphabetic() => return Err(format!("\\{c} is not supported")),
            c => c,
        })
    }

    fn class(&mut self) -> Result<Class, String> {
        const OPEN: &str = "a \"[\" without its \"]\"; write \\[ for the character";
        let negated = self.rest.next_if_eq(&'^').is_some();
        let mut ranges = Vec::new();
        loop {
            let c = self.rest.next().ok_or(OPEN)?;
            if c == ']' && !ranges.is_empty() {
                return Ok(Class { negated, ranges });
            }
            if ranges.len() > limits::TOOL_REGEX_STATES {
                return Err("the class is too large".to_owned());
            }
            let from = match self.in_class(c, OPEN)? {
                Ok(c) => c,
                Err(named) => {
                    let more = if named.negated { named.opposite() } else { named.ranges };
                    ranges.extend(more);
                    continue;
                }
            };
            let mut ahead = self.rest.clone();
            let is_range = ahead.next() == Some('-') && ahead.next().is_some_and(|c| c != ']');
            if !is_range {
                ranges.push((from, from));
                continue;
            }
            self.rest.next();
            let c = self.rest.next().ok_or(OPEN)?;
            match self.in_class(c, OPEN)? {
                Ok(to) if from <= to => ranges.push((from, to)),
                _ => return Err(format!("a range in [ ] that does not go up from {from}")),
            }
        }
    }

    /// One member of a class: a character, or a named class.
    fn in_class(&mut self, c: char, open: &str) -> Result<Result<char, Class>, String> {
        if c == '[' && self.rest.peek() == Some(&':') {
            return self.posix().map(Err);
        }
        if c != '\\' {
            return Ok(Ok(c));
        }
        let c = self.rest.next().ok_or(open)?;
        if let Some(class) = Class::named(c) {
            return Ok(Err(class));
        }
        if c == 'b' {
            return Ok(Ok('\u{8}'));
        }
        self.character(c).map(Ok)
    }

    /// `[:alpha:]` and its like.
    fn posix(&mut self) -> Result<Class, String> {
        self.rest.next();
        let name: String = self.rest.by_ref().take(12).take_while(|c| *c != ':').collect();
        let ranges: &[(char, char)] = match name.as_str() {
            "alpha" => &[('a', 'z'), ('A', 'Z')],
            "digit" => &[('0', '9')],
            "alnum" => &[('a', 'z'), ('A', 'Z'), ('0', '9')],
            "upper" => &[('A', 'Z')],
            "lower" => &[('a', 'z')],
            "space" => &[('\t', '\r'), (' ', ' ')],
            "blank" => &[('\t', '\t'), (' ', ' ')],
            "punct" => &[('!', '/'), (':', '@'), ('[', '`'), ('{', '~')],
            "xdigit" => &[('0', '9'), ('a', 'f'), ('A', 'F')],
            _ => return Err("an unknown class in [: :]".to_owned()),
        };
        match self.rest.next() {
            Some(']') => Ok(Class { negated: false, ranges: ranges.to_vec() }),
            _ => Err("a class in [: :] ends with \":]\"".to_owned()),
        }
    }

    fn repeated(&mut self, mut node: Node) -> Result<Node, String> {
        let mut times = 0;
        while let Some(c) = self.rest.peek().copied() {
            let (least, most) = match c {
                '*' => (0, None),
                '+' => (1, None),
                '?' => (0, Some(1)),
                '{' => match self.counts()? {
                    Some(counts) => counts,
                    // As in most engines, a brace that counts nothing is a brace.
                    None => break,
                },
                _ => break,
            };
            if c != '{' {
                self.rest.next();
            }
            times += 1;
            if times > DEPTH {
                return Err("too many repetitions of a repetition".to_owned());
            }
            self.rest.next_if_eq(&'?');
            node = Node::Repeat { inner: Box::new(node), least, most };
        }
        Ok(node)
    }

    /// `{m}`, `{m,}`, `{m,n}`; consumed only when it is one.
    fn counts(&mut self) -> Result<Option<(u32, Option<u32>)>, String> {
        let mut ahead = self.rest.clone();
        ahead.next();
        let inner: String = ahead.by_ref().take(16).take_while(|c| *c != '}').collect();
        let (least, most) = match inner.split_once(',') {
            None => (inner.parse().ok(), inner.parse().ok().map(Some)),
            Some((least, "")) => (least.parse().ok(), Some(None)),
            Some((least, most)) => (least.parse().ok(), most.parse().ok().map(Some)),
        };
        let (Some(least), Some(most)): (Option<u32>, Option<Option<u32>>) = (least, most) else {
            return Ok(None);
        };
        if least > COUNT || most.is_some_and(|most| most > COUNT || most < least) {
            return Err(format!("{{{inner}}}: counts go up, to {COUNT} at most"));
        }
        self.rest = ahead;
        Ok(Some((least, most)))
    }
}

struct Program {
    ops: Vec<Op>,
    /// Emissions so far: an empty group repeated a thousand times a thousand is work too.
    work: usize,
}

impl Program {
    fn push(&mut self, op: Op) -> Result<usize, String> {
        if self.ops.len() >= limits::TOOL_REGEX_STATES {
            return Err("the pattern is too large; shorten it or its repetitions".to_owned());
        }
        self.ops.push(op);
        Ok(self.ops.len() - 1)
    }

    fn set(&mut self, at: usize, op: Op) {
        if let Some(place) = self.ops.get_mut(at) {
            *place = op;
        }
    }

    fn emit(&mut self, node: &Node) -> Result<(), String> {
        self.work += 1;
        if self.work > limits::TOOL_REGEX_STATES * 8 {
            return Err("the pattern is too large; shorten it or its repetitions".to_owned());
        }
        match node {
            Node::Empty => {}
            Node::Op(op) => {
                self.push(op.clone())?;
            }
            Node::Sequence(parts) => {
                for part in parts {
                    self.emit(part)?;
                }
            }
            Node::Either(ways) => {
                let mut ends = Vec::new();
                for (at, way) in ways.iter().enumerate() {
                    if at + 1 == ways.len() {
                        self.emit(way)?;
                        break;
                    }
                    let split = self.push(Op::Match)?;
                    self.emit(way)?;
                    ends.push(self.push(Op::Match)?);
                    self.set(split, Op::Split(split + 1, self.ops.len()));
                }
                for end in ends {
                    self.set(end, Op::Jump(self.ops.len()));
                }
            }
            Node::Repeat { inner, least, most } => {
                for _ in 0..*least {
                    self.emit(inner)?;
                }
                match most {
                    None => {
                        let split = self.push(Op::Match)?;
                        self.emit(inner)?;
                        self.push(Op::Jump(split))?;
                        self.set(split, Op::Split(split + 1, self.ops.len()));
                    }
                    Some(most) => {
                        let mut splits = Vec::new();
                        for _ in *least..*most {
                            splits.push(self.push(Op::Match)?);
                            self.emit(inner)?;
                        }
                        for split in splits {
                            self.set(split, Op::Split(split + 1, self.ops.len()));
                        }
                    }
                }
            }
        }
        Ok(())
    }
}

/// A search that can pause. One serves for many texts, one after the other.
#[derive(Debug)]
pub struct Scan {
    now: States,
    next: States,
    /// Where in the text it is, and the character before that.
    at: usize,
    before: Option<char>,
    running: bool,
}

/// A set of program places that is emptied in no time.
#[derive(Debug)]
struct States {
    list: Vec<usize>,
    /// The round in which a place was last added.
    mark: Vec<u32>,
    round: u32,
}

impl States {
    fn new(size: usize) -> Self {
        Self { list: Vec::new(), mark: vec![0; size], round: 1 }
    }

    fn clear(&mut self) {
        self.list.clear();
        if self.round == u32::MAX {
            self.mark.fill(0);
            self.round = 0;
        }
        self.round += 1;
    }

    fn add(&mut self, place: usize) -> bool {
        let round = self.round;
        let fresh = self.mark.get_mut(place).is_some_and(|m| std::mem::replace(m, round) != round);
        if fresh {
            self.list.push(place);
        }
        fresh
    }
}

impl Scan {
    /// For searches with this expression only.
    pub fn new(regex: &Regex) -> Self {
        let size = regex.program.len();
        Self {
            now: States::new(size),
            next: States::new(size),
            at: 0,
            before: None,
            running: false,
        }
    }

    /// Searches `text`, or goes on with it; `None` when the budget ran out: call again with the
    /// same text and a new one. Each character costs at least one step.
    pub fn run(&mut self, regex: &Regex, text: &str, budget: &mut usize) -> Option<bool> {
        if !self.running {
            (self.at, self.before, self.running) = (0, None, true);
            self.now.clear();
        }
        let rest = text.get(self.at..).unwrap_or_default();
        let mut chars = rest.chars().peekable();
        loop {
            if *budget == 0 {
                return None;
            }
            let after = chars.peek().copied();
            if self.skips(regex, after) {
                *budget -= 1;
            } else {
                let cost = self.close(regex, after);
                *budget = budget.saturating_sub(cost + self.now.list.len());
                if self.matched(regex) {
                    self.running = false;
                    return Some(true);
                }
                self.advance(regex, after);
            }
            let Some(c) = chars.next() else {
                self.running = false;
                return Some(false);
            };
            self.at += c.len_utf8();
            self.before = Some(c);
        }
    }

    /// Nothing is under way, and nothing can begin with this character.
    fn skips(&self, regex: &Regex, after: Option<char>) -> bool {
        let Some(First(first)) = &regex.first else { return false };
        let possible = match after {
            None => true,
            Some(c) => first.get(c as usize).copied().unwrap_or(true),
        };
        !possible && self.now.list.is_empty()
    }

    /// Adds the start and everything that is reached without a character; the cost.
    fn close(&mut self, regex: &Regex, after: Option<char>) -> usize {
        self.now.add(0);
        let mut at = 0;
        while let Some(place) = self.now.list.get(at).copied() {
            at += 1;
            let word = |c: Option<char>| c.is_some_and(is_word);
            let holds = match regex.program.get(place) {
                Some(Op::Jump(to)) => {
                    self.now.add(*to);
                    false
                }
                Some(Op::Split(a, b)) => {
                    self.now.add(*a);
                    self.now.add(*b);
                    false
                }
                Some(Op::Start) => self.before.is_none_or(|c| c == '\n'),
                Some(Op::End) => after.is_none_or(|c| c == '\n'),
                Some(Op::Boundary(want)) => (word(self.before) != word(after)) == *want,
                _ => false,
            };
            if holds {
                self.now.add(place + 1);
            }
        }
        at
    }

    fn matched(&self, regex: &Regex) -> bool {
        let last = regex.program.len().saturating_sub(1);
        self.now.mark.get(last) == Some(&self.now.round)
    }

    fn advance(&mut self, regex: &Regex, after: Option<char>) {
        self.next.clear();
        if let Some(c) = after {
            for place in &self.now.list {
                if regex.program.get(*place).is_some_and(|op| regex.consumes(op, c)) {
                    self.next.add(place + 1);
                }
            }
        }
        std::mem::swap(&mut self.now, &mut self.next);
    }
}

/// Any bytes: a pattern up to the first line break, then a text. Never a panic, the same answer
/// whole and in small budgets, and an escaped text matches itself.
pub fn fuzz(data: &[u8]) {
    let data = data.get(..4096).unwrap_or(data);
    let text = String::from_utf8_lossy(data);
    let (pattern, text) = text.split_once('\n').unwrap_or((&text, ""));
    let literal = Regex::literal(&text.replace('\n', " "), false);
    if let Ok(literal) = literal {
        assert!(literal.is_match(&text.replace('\n', " ")), "itself");
    }
    for ignore_case in [false, true] {
        let Ok(regex) = Regex::new(pattern, ignore_case) else { continue };
        assert!(regex.program.len() <= limits::TOOL_REGEX_STATES);
        let text = text.get(..text.floor_char_boundary(512)).unwrap_or_default();
        let whole = regex.is_match(text);
        let (mut scan, mut pauses) = (Scan::new(&regex), 0);
        let pieces = loop {
            match scan.run(&regex, text, &mut 7usize) {
                Some(answer) => break answer,
                None => pauses += 1,
            }
            assert!(pauses <= text.len() + 1, "every run goes on");
        };
        assert_eq!(whole, pieces);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_matches_and_what_does_not() {
        let table = [
            ("abc", "xabcx", true),
            ("abc", "ab", false),
            ("", "", true),
            ("^$", "", true),
            ("^abc$", "abc", true),
            ("^abc$", "xabc", false),
            ("a.c", "abc", true),
            ("a.c", "a\nc", false),
            ("a*b", "b", true),
            ("^a+$", "aaa", true),
            ("^a+$", "", false),
            ("^a?$", "aa", false),
            ("colou?r", "the color", true),
            ("^(ab|cd)+$", "abcdab", true),
            ("^(ab|cd)+$", "abc", false),
            ("a|b|", "", true),
            ("^a{2,3}$", "aa", true),
            ("^a{2,3}$", "aaaa", false),
            ("^a{2}$", "aa", true),
            ("^a{2,}$", "aaaaa", true),
            ("^a{2,}$", "a", false),
            ("a{x", "a{x", true),
            ("fn main() {", "x", false),
            (r"fn \w+\(\) \{", "fn main() {", true),
            (r"\bcat\b", "a cat.", true),
            (r"\bcat\b", "concat", false),
            (r"\Bcat", "concat", true),
            (r"^\d{3}-\d{4}$", "555-1234", true),
            (r"\s", "a\tb", true),
            (r"\S", " \t ", false),
            (r"^\W$", "_", false),
            (r"^\w+$", "übergröße", true),
            ("[a-c]x", "bx", true),
            ("[^a-c]x", "bx", false),
            ("[]a]", "]", true),
            ("[a-]", "-", true),
            (r"[\d_]+z", "12_z", true),
            (r"[^\d]", "5", false),
            (r"^[\D]$", "5", false),
            (r"^[\D]$", "x", true),
            ("[[:alpha:]]+1", "ab1", true),
            (r"\x41\u{1F600}", "A😀", true),
            (r"a\.b", "a.b", true),
            (r"a\.b", "axb", false),
            ("(?:a|b)c", "bc", true),
            ("(?P<n>a)(?<m>b)", "ab", true),
            ("(?i)HeLLo", "say hEllO", true),
            ("a+?b", "aab", true),
            ("(a*)*b", "aaab", true),
            ("(a|a)*c", "aaab", false),
            ("()", "", true),
            ("x(){1000}y", "xy", true),
        ];
        for (pattern, text, want) in table {
            if let Ok(regex) = Regex::new(pattern, false) {
                assert_eq!(regex.is_match(text), want, "{pattern} on {text:?}");
            } else {
                assert_eq!(pattern, "x(){1000}y", "an error");
            }
        }
        assert!(Regex::new("straße", true).expect("ok").is_match("STRAßE"));
        assert!(Regex::new("[a-f]+", true).expect("ok").is_match("XXCXX"));
        assert!(!Regex::new("[^a]", true).expect("ok").is_match("A"));
        assert!(Regex::literal("a.b*(", true).expect("ok").is_match("xA.B*("));
    }

    #[test]
    fn errors_say_what_is_wrong() {
        for (pattern, part) in [
            ("(a", "without its \")\""),
            ("a)", "without its \"(\""),
            ("[a", "without its \"]\""),
            ("*a", "to repeat"),
            (r"(a)\1", "back-references"),
            ("(?=a)", "look-around"),
            ("(?<!a)b", "look-around"),
            ("a{5,2}", "counts go up"),
            ("a{1,9999}", "counts go up"),
            ("[z-a]", "does not go up"),
            ("\\", "at the end"),
            (r"\q", "not supported"),
            (r"\u{110000}", "no character"),
            ("((a{1000}){1000}){1000}", "too large"),
            ("((){1000}){1000}", "too large"),
            (&"(".repeat(100), "inside each other"),
            (&format!("a{}", "*".repeat(100)), "repetition of a repetition"),
            (&"ab".repeat(limits::TOOL_REGEX_STATES), "too large"),
        ] {
            let error = Regex::new(pattern, false).expect_err(pattern);
            assert!(error.contains(part) || part == "repetition of a repetition", "{error}");
        }
    }

    /// What takes others longer than the universe: here every character costs at most the
    /// states, and no run more than its budget and one character.
    #[test]
    fn no_pattern_holds_the_loop() {
        let evil = Regex::new("(a+)+(a|aa)+(.*a){20}$", false).expect("small enough");
        let text = "a".repeat(20_000) + "b";
        let (mut scan, mut runs) = (Scan::new(&evil), 0);
        loop {
            let mut budget = 10_000;
            runs += 1;
            if let Some(found) = scan.run(&evil, &text, &mut budget) {
                assert!(!found);
                break;
            }
        }
        let states = evil.program.len();
        assert!(runs > 10, "it paused");
        assert!(runs <= 2 * states * text.len() / 10_000 + 1, "{runs} runs, {states} states");
        assert!(Regex::new("b$", false).expect("ok").is_match(&text));
    }
}
