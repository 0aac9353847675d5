//! The environment of a command: some variables of the gateway's own, what the call adds, and
//! nothing that changes which program runs or what code it loads.

use crate::limits;
use serde_json::Value;
use std::collections::BTreeMap;

/// What a command inherits. Keys, tokens and all else of the gateway stay with it.
const INHERITED: [&str; 17] = [
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "SHELL",
    "LANG",
    "LANGUAGE",
    "TZ",
    "TMPDIR",
    "XDG_RUNTIME_DIR",
    "XDG_CONFIG_HOME",
    "XDG_CACHE_HOME",
    "XDG_DATA_HOME",
    "XDG_STATE_HOME",
    "DBUS_SESSION_BUS_ADDRESS",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
];
/// Where programs are when the gateway itself was not told.
const PATH: &str = "/usr/local/bin:/usr/bin:/bin";
/// Names that choose programs or code, beside those that begin with [`LOADERS`].
const REFUSED: [&str; 33] = [
    "PATH",
    "ENV",
    "BASH_ENV",
    "BASHOPTS",
    "SHELLOPTS",
    "SHELL",
    "IFS",
    "PS4",
    "PROMPT_COMMAND",
    "ZDOTDIR",
    "NODE_OPTIONS",
    "NODE_PATH",
    "PYTHONPATH",
    "PYTHONHOME",
    "PYTHONSTARTUP",
    "PYTHONBREAKPOINT",
    "PERL5LIB",
    "PERL5OPT",
    "PERL5DB",
    "RUBYLIB",
    "RUBYOPT",
    "JAVA_TOOL_OPTIONS",
    "_JAVA_OPTIONS",
    "JDK_JAVA_OPTIONS",
    "CLASSPATH",
    "LUA_INIT",
    "PHPRC",
    "PHP_INI_SCAN_DIR",
    "GCONV_PATH",
    "MANPAGER",
    "EDITOR",
    "VISUAL",
    "BROWSER",
];
/// Beginnings of names that are refused as well.
const LOADERS: [&str; 8] =
    ["LD_", "DYLD_", "BASH_FUNC_", "GIT_", "OPENCLAW_", "SSH_", "GLIBC_", "MALLOC_"];

/// The `env` argument of a call, checked.
///
/// # Errors
/// A sentence that names the variable.
pub fn overrides(env: Option<&Value>) -> Result<BTreeMap<String, String>, String> {
    let fields = match env {
        None | Some(Value::Null) => return Ok(BTreeMap::new()),
        Some(Value::Object(fields)) => fields,
        Some(_) => return Err("argument \"env\" must be an object of strings".to_owned()),
    };
    let mut checked = BTreeMap::new();
    let mut bytes = 0;
    for (name, value) in fields {
        let shown = crate::wire::text::escape_log(name, 64);
        let value = match value {
            Value::String(text) => text.clone(),
            Value::Number(_) | Value::Bool(_) => value.to_string(),
            _ => return Err(format!("env.{shown} must be a string")),
        };
        let letters = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let first = name.chars().next().is_some_and(|c| !c.is_ascii_digit());
        if !first || !name.chars().all(letters) || value.contains('\0') {
            return Err(format!("env.{shown} is no variable that a command can have"));
        }
        let upper = name.to_ascii_uppercase();
        // Paging is switched off by an empty pager; `cat` means the same.
        if matches!(upper.as_str(), "PAGER" | "GIT_PAGER") {
            if !matches!(value.as_str(), "" | "cat") {
                return Err(format!("env.{shown} may only be empty or cat"));
            }
            checked.insert(upper, String::new());
            continue;
        }
        if REFUSED.contains(&upper.as_str()) || LOADERS.iter().any(|it| upper.starts_with(it)) {
            return Err(format!(
                "env.{shown} is refused: it chooses which program or code runs; write what you \
                 need into the command itself"
            ));
        }
        bytes += name.len() + value.len();
        checked.insert(name.clone(), value);
    }
    if checked.len() > limits::EXEC_ENV || bytes > limits::EXEC_ENV_BYTES {
        return Err("argument \"env\" is too large".to_owned());
    }
    Ok(checked)
}

/// The whole environment of a command: inherited, `prepend` in front of `PATH`, overrides on top.
pub fn whole(
    ours: &BTreeMap<String, String>,
    prepend: &[String],
    overrides: &BTreeMap<String, String>,
) -> BTreeMap<String, String> {
    let inherits = |name: &str| INHERITED.contains(&name) || name.starts_with("LC_");
    let mut env: BTreeMap<String, String> = ours
        .iter()
        .filter(|(name, value)| inherits(name) && !value.contains('\0'))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    let path = env.get("PATH").filter(|path| !path.is_empty()).map_or(PATH, String::as_str);
    let dirs: Vec<&str> = prepend.iter().map(String::as_str).chain([path]).collect();
    let path = dirs.join(":");
    env.insert("PATH".to_owned(), path);
    env.insert("TERM".to_owned(), "dumb".to_owned());
    env.insert("OPENCLAW_SHELL".to_owned(), "exec".to_owned());
    env.extend(overrides.clone());
    env
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_chooses_programs_or_code_is_refused() {
        for name in [
            "PATH",
            "path",
            "LD_PRELOAD",
            "LD_X",
            "DYLD_INSERT_LIBRARIES",
            "BASH_ENV",
            "ENV",
            "NODE_OPTIONS",
            "GIT_SSH_COMMAND",
            "OPENCLAW_GATEWAY_TOKEN",
            "A-B",
            "1A",
            "",
            "A=B",
            "BASH_FUNC_ls%%",
        ] {
            let error = overrides(Some(&json!({name: "x"}))).expect_err(name);
            assert!(error.contains("env."), "{error}");
        }
        assert!(overrides(Some(&json!({"A": "x\u{0}"}))).is_err());
        assert!(overrides(Some(&json!({"A": {}}))).is_err());
        assert!(overrides(Some(&json!([]))).is_err());
        assert!(overrides(Some(&json!({"PAGER": "less"}))).is_err());
        let many: serde_json::Map<String, Value> =
            (0..=limits::EXEC_ENV).map(|n| (format!("A{n}"), json!("x"))).collect();
        assert!(overrides(Some(&Value::Object(many))).is_err());
        let fine = overrides(Some(&json!({"A": "x", "PAGER": "cat", "GIT_PAGER": ""})));
        let fine = fine.expect("fine");
        assert_eq!(fine.get("PAGER").map(String::as_str), Some(""));
        assert_eq!(fine.get("A").map(String::as_str), Some("x"));
    }

    #[test]
    fn nothing_secret_is_inherited() {
        let pairs = [
            ("PATH", "/bin"),
            ("HOME", "/h"),
            ("LC_ALL", "C"),
            ("OPENAI_API_KEY", "secret"),
            ("OPENCLAW_GATEWAY_TOKEN", "secret"),
            ("LD_PRELOAD", "x"),
        ];
        let ours = pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        let added = BTreeMap::from([("A".to_owned(), "1".to_owned())]);
        let env = whole(&ours, &["/own".to_owned()], &added);
        let names: Vec<&str> = env.keys().map(String::as_str).collect();
        assert_eq!(names, ["A", "HOME", "LC_ALL", "OPENCLAW_SHELL", "PATH", "TERM"]);
        assert_eq!(env.get("PATH").map(String::as_str), Some("/own:/bin"));
        let bare = whole(&BTreeMap::new(), &[], &BTreeMap::new());
        assert_eq!(bare.get("PATH").map(String::as_str), Some(PATH));
    }
}
