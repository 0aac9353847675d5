//! The script for fish: one function finds the place once and prints what may follow.

use std::fmt::Write as _;

use super::tree::{Node, Offer};

const HEAD: &str = "\
# Completion of openclaw for fish, made by: openclaw completion --shell fish
function __openclaw_offers
    set -l at ''
    set -l pending ''
    set -l ended ''
    for word in (commandline -opc)[2..-1]
        if test -n \"$pending\"
            set pending ''
            continue
        end
        switch $word
            case '--'
                set ended 1
            case '-*'
                if test -z \"$ended\"; and contains -- $word (__openclaw_takes \"$at\")
                    set pending $word
                end
            case '*'
                set -l deeper (string trim -- \"$at $word\")
                if __openclaw_is \"$deeper\"
                    set at $deeper
                end
        end
    end
    set -l cur (commandline -ct)
    if test -z \"$pending\"; and string match -q -- '--*=*' $cur
        set -l flag (string split -m 1 = -- $cur)[1]
        for value in (__openclaw_values \"$at $flag\")
            echo \"$flag=$value\"
        end
        return
    end
    if test -n \"$pending\"
        __openclaw_values \"$at $pending\"
        return
    end
    __openclaw_words \"$at\"
    if test -z \"$ended\"; and string match -q -- '-*' $cur
        __openclaw_flags \"$at\"
    end
end
";

/// The whole script.
pub fn script(nodes: &[Node]) -> String {
    let mut out = HEAD.to_owned();
    table(&mut out, "words", nodes, |node| {
        node.next.iter().map(|(word, about)| format!("{word}\t{about}")).collect()
    });
    table(&mut out, "flags", nodes, |node| {
        node.flags.iter().map(|(flag, about)| format!("{flag}\t{about}")).collect()
    });
    table(&mut out, "takes", nodes, |node| {
        node.takes.iter().map(|(flag, _)| flag.clone()).collect()
    });
    out.push_str("function __openclaw_is\n    contains -- $argv[1]");
    for node in nodes.iter().filter(|node| !node.path.is_empty()) {
        let _ = write!(out, " {}", quoted(&node.path));
    }
    out.push_str("\nend\nfunction __openclaw_values\n    switch $argv[1]\n");
    for node in nodes {
        for (flag, offer) in &node.takes {
            let known = match offer {
                Offer::Any => continue,
                Offer::Path => "__fish_complete_path (commandline -ct)".to_owned(),
                Offer::Words(words) => format!("printf '%s\\n' {}", words.join(" ")),
            };
            let at = format!("{} {flag}", node.path);
            let _ = writeln!(out, "        case {}\n            {known}", quoted(&at));
        }
    }
    out.push_str("    end\nend\ncomplete -c openclaw -e\n");
    out.push_str("complete -c openclaw -f -a '(__openclaw_offers)'\n");
    for node in nodes.iter().filter(|node| node.path_operand) {
        let seen = format!("__fish_seen_subcommand_from {}", node.path);
        let _ = writeln!(out, "complete -c openclaw -F -n {}", quoted(&seen));
    }
    out
}

/// `__openclaw_<name> <place>` prints the lines of that place.
fn table(out: &mut String, name: &str, nodes: &[Node], lines: impl Fn(&Node) -> Vec<String>) {
    let _ = writeln!(out, "function __openclaw_{name}\n    switch $argv[1]");
    for node in nodes {
        let lines: Vec<String> = lines(node).iter().map(|line| quoted(line)).collect();
        if !lines.is_empty() {
            let _ = writeln!(out, "        case {}", quoted(&node.path));
            let _ = writeln!(out, "            printf '%s\\n' {}", lines.join(" "));
        }
    }
    out.push_str("    end\nend\n");
}

/// Between single quotes, in which fish knows `\'` and `\\`.
pub fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\\', r"\\").replace('\'', r"\'"))
}
