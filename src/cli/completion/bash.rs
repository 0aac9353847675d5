//! The script for bash 4 and later.

use std::fmt::Write as _;

use super::tree::{Node, Offer};

const HEAD: &str = "\
# Completion of openclaw for bash, made by: openclaw completion --shell bash
_openclaw() {
    local cur=${COMP_WORDS[COMP_CWORD]} at= pending= ended= lead= word i
    local next= flags= takes= file= values=
    _openclaw_at ''
    for ((i = 1; i < COMP_CWORD; i++)); do
        word=${COMP_WORDS[i]}
        if [[ $pending ]]; then
            [[ $word == '=' ]] || pending=
            continue
        fi
        case $word in
            --) ended=1 ;;
            -*) [[ ! $ended && \" $takes \" == *\" $word \"* ]] && pending=$word ;;
            *)
                if [[ \" $next \" == *\" $word \"* ]]; then
                    at=${at:+$at }$word
                    _openclaw_at \"$at\"
                fi
                ;;
        esac
    done
    if [[ ! $pending && ! $ended && $cur == --*=* ]]; then
        pending=${cur%%=*} lead=${cur%%=*}= cur=${cur#*=}
    fi
    [[ $cur == '=' ]] && cur=
    cur=${cur#[\\\"\\']}
    cur=${cur//\\\\/}
    COMPREPLY=()
    if [[ $pending ]]; then
        [[ $ended ]] && return
        _openclaw_values \"$at\" \"$pending\"
        if [[ $file ]]; then
            compopt -o filenames 2>/dev/null
            mapfile -t COMPREPLY < <(compgen -f -- \"$cur\")
        else
            mapfile -t COMPREPLY < <(compgen -P \"$lead\" -W \"$values\" -- \"$cur\")
        fi
        return
    fi
    if [[ $cur == -* ]]; then
        [[ $ended ]] || mapfile -t COMPREPLY < <(compgen -W \"$flags\" -- \"$cur\")
        return
    fi
    mapfile -t COMPREPLY < <(compgen -W \"$next\" -- \"$cur\")
    if [[ $file ]]; then
        compopt -o filenames 2>/dev/null
        mapfile -t COMPREPLY < <(compgen -f -- \"$cur\")
    elif [[ ! $cur && ! $next && ! $ended ]]; then
        mapfile -t COMPREPLY < <(compgen -W \"$flags\")
    fi
}
";

/// The whole script.
pub fn script(nodes: &[Node]) -> String {
    let mut out = HEAD.to_owned();
    out.push_str("_openclaw_at() {\n    case $1 in\n");
    for node in nodes {
        let words = |all: Vec<&str>| all.join(" ");
        let next = words(node.next.iter().map(|(word, _)| *word).collect());
        let flags = words(node.flags.iter().map(|(flag, _)| flag.as_str()).collect());
        let takes = words(node.takes.iter().map(|(flag, _)| flag.as_str()).collect());
        let file = if node.path_operand { "1" } else { "" };
        let _ = write!(
            out,
            "        '{}')\n            next='{next}'\n            flags='{flags}'\n            \
             takes='{takes}' file={file} ;;\n",
            node.path
        );
    }
    out.push_str("    esac\n}\n");
    values(&mut out, nodes);
    out.push_str("complete -F _openclaw openclaw\n");
    out
}

/// `_openclaw_values <place> <flag>`: what a value may be. Also good zsh.
pub fn values(out: &mut String, nodes: &[Node]) {
    out.push_str("_openclaw_values() {\n    file= values=\n    case \"$1 $2\" in\n");
    for node in nodes {
        for (flag, offer) in &node.takes {
            let known = match offer {
                Offer::Any => continue,
                Offer::Path => "file=1".to_owned(),
                Offer::Words(words) => format!("values='{}'", words.join(" ")),
            };
            let _ = writeln!(out, "        '{} {flag}') {known} ;;", node.path);
        }
    }
    out.push_str("    esac\n}\n");
}
