//! What can be said of a shell command without running it: its simple commands, or that it is
//! more than that.
//!
//! Only words, quotes and the operators `|`, `&&`, `||`, `;` and the line end are understood.
//! Whatever else a shell would act on (redirections, substitutions, variables, groups, jobs,
//! assignments, keywords) makes a command that cannot be judged, and then no allowlist matches.

/// A simple command: its words, the first one the program.
pub type Words = Vec<String>;

/// Words that make the shell do something else than run a program of that name.
const DISPATCH: [&str; 38] = [
    "if", "then", "else", "elif", "fi", "for", "while", "until", "do", "done", "case", "esac",
    "in", "select", "function", "time", "coproc", "!", "{", "}", "[[", "]]", "eval", "exec",
    "source", ".", "command", "builtin", "alias", "unalias", "trap", "set", "export", "declare",
    "typeset", "local", "readonly", "enable",
];

/// The simple commands of a text; `None` when it cannot be judged.
pub fn simple_commands(text: &str) -> Option<Vec<Words>> {
    let mut commands = Vec::new();
    let mut words: Words = Vec::new();
    let mut word: Option<String> = None;
    let mut chars = text.trim().chars().peekable();
    let mut owed = false;
    while let Some(c) = chars.next() {
        match c {
            ' ' | '\t' => words.extend(word.take()),
            '\n' | ';' | '|' | '&' => {
                words.extend(word.take());
                let doubled = chars.next_if_eq(&c).is_some();
                // `&` is a job, `;;` belongs to case, `|&` redirects.
                let known = match (c, doubled) {
                    ('\n', _) | (';', false) | ('&', true) => true,
                    ('|', _) => chars.peek() != Some(&'&'),
                    _ => false,
                };
                let empty = words.is_empty();
                if !known || empty && c != '\n' {
                    return None;
                }
                if !empty {
                    commands.push(std::mem::take(&mut words));
                }
                owed = c == '|' || c == '&';
            }
            '\'' => {
                let word = word.get_or_insert_default();
                loop {
                    match chars.next()? {
                        '\'' => break,
                        c => word.push(c),
                    }
                }
            }
            '"' => quoted(&mut chars, word.get_or_insert_default())?,
            '\\' => {
                let next = chars.next()?;
                if next != '\n' {
                    word.get_or_insert_default().push(next);
                }
            }
            '$' | '`' | '<' | '>' | '(' | ')' | '{' | '}' | '*' | '?' | '[' | ']' | '!' | '\r' => {
                return None;
            }
            '#' | '~' if word.is_none() => return None,
            c if c.is_control() => return None,
            c => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    match (words.is_empty(), owed) {
        (true, true) => return None,
        (true, false) => {}
        (false, _) => commands.push(words),
    }
    let fine = |words: &Words| {
        words.first().is_some_and(|program| {
            !program.is_empty() && !program.contains('=') && !DISPATCH.contains(&program.as_str())
        })
    };
    (!commands.is_empty() && commands.iter().all(fine)).then_some(commands)
}

/// The inside of double quotes, where a shell still substitutes.
fn quoted(chars: &mut std::iter::Peekable<std::str::Chars<'_>>, word: &mut String) -> Option<()> {
    loop {
        match chars.next()? {
            '"' => return Some(()),
            '$' | '`' => return None,
            '\\' => match chars.next()? {
                c @ ('"' | '\\' | '$' | '`') => word.push(c),
                '\n' => {}
                c => {
                    word.push('\\');
                    word.push(c);
                }
            },
            c => word.push(c),
        }
    }
}

/// Whether a path matches a pattern: `*` and `?` stay within a segment, `**` goes across.
pub fn glob(pattern: &str, path: &str) -> bool {
    /// More work than any path needs; a pattern made to explode does not match.
    const STEPS: usize = 100_000;
    let (pattern, path) = (pattern.as_bytes(), path.as_bytes());
    let mut steps = 0;
    let mut stack = vec![(0usize, 0usize)];
    while let Some((mut p, mut s)) = stack.pop() {
        loop {
            steps += 1;
            if steps > STEPS {
                return false;
            }
            match (pattern.get(p), path.get(s)) {
                (None, None) => return true,
                (Some(b'*'), here) => {
                    let across = pattern.get(p + 1) == Some(&b'*');
                    let after = if across { p + 2 } else { p + 1 };
                    if here.is_some_and(|byte| across || *byte != b'/') {
                        stack.push((p, s + 1));
                    }
                    // `**/` also stands for nothing at all, between two segments.
                    let between = s.checked_sub(1).is_none_or(|at| path.get(at) == Some(&b'/'));
                    if across && between && pattern.get(after) == Some(&b'/') {
                        stack.push((after + 1, s));
                    }
                    p = after;
                }
                (Some(b'?'), Some(byte)) if *byte != b'/' => {
                    p += 1;
                    s += 1;
                }
                (Some(want), Some(byte)) if want == byte => {
                    p += 1;
                    s += 1;
                }
                _ => break,
            }
        }
    }
    false
}

/// Any text: no panic, and what is judged has a program in every part.
pub fn fuzz(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    if let Some(commands) = simple_commands(&text) {
        assert!(commands.iter().all(|words| words.first().is_some_and(|it| !it.is_empty())));
    }
    let (pattern, path) = text.split_at(text.floor_char_boundary(text.len() / 2));
    glob(pattern, path);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_commands_are_understood() {
        for (text, want) in [
            ("ls -la", vec![vec!["ls", "-la"]]),
            (" a 'b c' \"d e\" f\\ g ", vec![vec!["a", "b c", "d e", "f g"]]),
            (
                "a | b && c || d; e\nf",
                vec![vec!["a"], vec!["b"], vec!["c"], vec!["d"], vec!["e"], vec!["f"]],
            ),
            ("a;", vec![vec!["a"]]),
            ("a ''", vec![vec!["a", ""]]),
            ("echo '$(x)' \"\\$y\"", vec![vec!["echo", "$(x)", "$y"]]),
            ("a#b c~d", vec![vec!["a#b", "c~d"]]),
        ] {
            assert_eq!(simple_commands(text).expect(text), want, "{text}");
            fuzz(text.as_bytes());
        }
    }

    #[test]
    fn what_a_shell_would_act_on_is_not_judged() {
        for text in [
            "",
            ";",
            "| a",
            "a |",
            "a &&",
            "a & b",
            "a &",
            "a > f",
            "a < f",
            "a 2>&1",
            "$(a)",
            "a `b`",
            "a \"$(b)\"",
            "a \"`b`\"",
            "a $HOME",
            "A=b c",
            "(a)",
            "{ a; }",
            "a *",
            "a ?",
            "if a; then b; fi",
            "eval a",
            "exec a",
            ". f",
            "source f",
            "command a",
            "a # c",
            "~/a",
            "a ~",
            "a 'b",
            "a \"b",
            "a \\",
            "a;;b",
            "a |& b",
            "! a",
            "a\rb",
            "a\u{0}b",
            "'' a",
            "a; eval b",
            "for x in a; do b; done",
            "a [x]",
            "'ev'al a",
        ] {
            assert_eq!(simple_commands(text), None, "{text:?}");
            fuzz(text.as_bytes());
        }
    }

    #[test]
    fn globs() {
        for (pattern, path, want) in [
            ("/usr/bin/rg", "/usr/bin/rg", true),
            ("/usr/bin/*", "/usr/bin/rg", true),
            ("/usr/*", "/usr/bin/rg", false),
            ("/usr/**", "/usr/bin/rg", true),
            ("/h/**/bin/rg", "/h/bin/rg", true),
            ("/h/**/bin/rg", "/h/a/b/bin/rg", true),
            ("/h/**/bin/rg", "/h/abin/rg", false),
            ("/usr/bin/r?", "/usr/bin/rg", true),
            ("/usr/bin?rg", "/usr/bin/rg", false),
            ("/usr/bin/rg", "/usr/bin/rga", false),
            ("**", "/any/thing", true),
            ("", "", true),
            ("", "/", false),
        ] {
            assert_eq!(glob(pattern, path), want, "{pattern} {path}");
        }
        assert!(!glob(&"*a".repeat(60), &"a/".repeat(400)));
    }
}
