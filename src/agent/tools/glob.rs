//! File name patterns: `*`, `**`, `?`, `[a-z]`, `{a,b}`, over the linear engine of `regex`.
//!
//! A pattern with a slash is compared with the whole path below the directory searched, one
//! without with the last name in it. `*` and `?` stay within a name, `**` does not.

use super::regex::{Regex, escape};

/// A compiled pattern.
#[derive(Debug, Clone)]
pub struct Glob {
    how: How,
    whole: bool,
}

/// Most patterns are one of the first two, which cost nothing.
#[derive(Debug, Clone)]
enum How {
    Name(String),
    Suffix(String),
    Regex(Regex),
}

impl Glob {
    /// Compiles a pattern.
    ///
    /// # Errors
    /// A sentence for whoever wrote it.
    pub fn new(pattern: &str) -> Result<Self, String> {
        let pattern = pattern.strip_prefix("./").unwrap_or(pattern);
        let whole = pattern.contains('/');
        let pattern = pattern.strip_prefix('/').unwrap_or(pattern);
        if pattern.is_empty() {
            return Err("the pattern is empty".to_owned());
        }
        let special = |text: &str| text.contains(['*', '?', '[', '{', '\\']);
        let how = match pattern.strip_prefix('*') {
            _ if !special(pattern) => How::Name(pattern.to_owned()),
            Some(rest) if !whole && !special(rest) => How::Suffix(rest.to_owned()),
            _ => {
                let regex = format!("^(?:{})$", regex(pattern));
                let compiled = Regex::new(&regex, false)
                    .map_err(|error| format!("the pattern \"{pattern}\": {error}"))?;
                How::Regex(compiled)
            }
        };
        Ok(Self { how, whole })
    }

    /// Whether a path below the directory searched, with `/` between its names, fits.
    pub fn fits(&self, path: &str) -> bool {
        let name = if self.whole { path } else { path.rsplit('/').next().unwrap_or(path) };
        match &self.how {
            How::Name(want) => name == want,
            How::Suffix(end) => name.ends_with(end.as_str()),
            // `$` also stands before a line break, which a name may have.
            How::Regex(regex) => !name.contains('\n') && regex.is_match(name),
        }
    }
}

/// As a regular expression; what is not closed stands for itself.
fn regex(pattern: &str) -> String {
    let mut out = String::new();
    let mut rest = pattern;
    let mut braces = 0usize;
    while let Some(c) = rest.chars().next() {
        let after = rest.get(c.len_utf8()..).unwrap_or_default();
        rest = after;
        match c {
            '*' if after.starts_with("*/") => {
                rest = after.get(2..).unwrap_or_default();
                out.push_str("(?:.*/)?");
            }
            '*' if after.starts_with('*') => {
                rest = after.trim_start_matches('*');
                out.push_str(".*");
            }
            '*' => out.push_str("[^/]*"),
            '?' => out.push_str("[^/]"),
            '[' => match class(after) {
                Some((class, behind)) => {
                    out.push_str(&class);
                    rest = behind;
                }
                None => out.push_str("\\["),
            },
            '{' if after.contains('}') => {
                braces += 1;
                out.push_str("(?:");
            }
            '}' if braces > 0 => {
                braces -= 1;
                out.push(')');
            }
            ',' if braces > 0 => out.push('|'),
            '\\' => match after.chars().next() {
                Some(next) => {
                    rest = after.get(next.len_utf8()..).unwrap_or_default();
                    out.push_str(&escape(next.encode_utf8(&mut [0; 4])));
                }
                None => out.push_str("\\\\"),
            },
            c => out.push_str(&escape(c.encode_utf8(&mut [0; 4]))),
        }
    }
    out.push_str(&")".repeat(braces));
    out
}

/// `a-z]rest` as a class of a regular expression, and the rest.
fn class(text: &str) -> Option<(String, &str)> {
    let (negated, inner) = match text.strip_prefix(['!', '^']) {
        Some(inner) => (true, inner),
        None => (false, text),
    };
    // A bracket right at the start is a member.
    let skip = usize::from(inner.starts_with(']'));
    let end = inner.get(skip..)?.find(']')? + skip;
    let (members, rest) = (inner.get(..end)?, inner.get(end + 1..)?);
    if members.is_empty() || members.contains('/') {
        return None;
    }
    let mut out = String::from(if negated { "[^/" } else { "[" });
    for c in members.chars() {
        if matches!(c, '[' | ']' | '\\' | '^') {
            out.push('\\');
        }
        out.push(c);
    }
    out.push(']');
    Some((out, rest))
}

/// Any bytes: a pattern up to the first line break, then a path.
pub fn fuzz(data: &[u8]) {
    let text = String::from_utf8_lossy(data.get(..2048).unwrap_or(data)).into_owned();
    let (pattern, path) = text.split_once('\n').unwrap_or((&text, ""));
    if let Ok(glob) = Glob::new(pattern) {
        let path = path.get(..path.floor_char_boundary(256)).unwrap_or_default();
        let fits = glob.fits(path);
        assert_eq!(fits, glob.fits(path));
    }
    if let Ok(any) = Glob::new("**/*") {
        let name = path.replace(['\n', '/'], "");
        assert!(any.fits(&name), "{name:?}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fits() {
        let table = [
            ("*.rs", "src/a/main.rs", true),
            ("*.rs", "src/main.rs.bak", false),
            ("main.rs", "src/main.rs", true),
            ("src/*.rs", "src/main.rs", true),
            ("src/*.rs", "src/a/main.rs", false),
            ("src/**/*.rs", "src/main.rs", true),
            ("src/**/*.rs", "src/a/b/main.rs", true),
            ("**/test/**", "a/test/b/c", true),
            ("/a/*", "a/b", true),
            ("./a/*", "a/b", true),
            ("?.txt", "a.txt", true),
            ("?.txt", "ab.txt", false),
            ("*.{ts,tsx}", "x.tsx", true),
            ("*.{ts,tsx}", "x.js", false),
            ("[a-c]*", "beta", true),
            ("[!a-c]*", "beta", false),
            ("[", "[", true),
            ("a{b", "a{b", true),
            ("a.b", "axb", false),
            ("*(1)*", "copy (1).txt", true),
            (r"\*", "*", true),
            (r"\*", "x", false),
            ("**", "a/b", true),
        ];
        for (pattern, path, want) in table {
            assert_eq!(Glob::new(pattern).expect(pattern).fits(path), want, "{pattern} {path}");
        }
        assert!(Glob::new("").is_err() && Glob::new(&"{a,".repeat(200)).is_ok());
        assert!(Glob::new(&format!("{}{}", "{".repeat(200), "}".repeat(200))).is_err());
    }
}
