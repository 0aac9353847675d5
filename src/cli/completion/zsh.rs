//! The script for zsh.

use std::fmt::Write as _;

use super::bash;
use super::tree::Node;

const HEAD: &str = "\
#compdef openclaw
# Completion of openclaw for zsh, made by: openclaw completion --shell zsh
_openclaw() {
    local at= pending= ended= word next= takes= file= values= i
    local -a offers flags
    _openclaw_at ''
    for ((i = 2; i < CURRENT; i++)); do
        word=${words[i]}
        if [[ -n $pending ]]; then
            pending=
            continue
        fi
        case $word in
            --) ended=1 ;;
            -*) [[ -z $ended && \" $takes \" == *\" $word \"* ]] && pending=$word ;;
            *)
                if [[ \" $next \" == *\" $word \"* ]]; then
                    at=\"${at:+$at }$word\"
                    _openclaw_at \"$at\"
                fi
                ;;
        esac
    done
    if [[ -z $pending && -z $ended && $PREFIX == --*=* ]]; then
        pending=${PREFIX%%=*}
        compset -P '*='
    fi
    if [[ -n $pending ]]; then
        _openclaw_values \"$at\" \"$pending\"
        if [[ -n $file ]]; then
            _files
        elif [[ -n $values ]]; then
            compadd -- ${=values}
        fi
        return
    fi
    if [[ $PREFIX == -* ]]; then
        [[ -z $ended ]] && _describe -o 'option' flags
        return
    fi
    (( $#offers )) && _describe 'command' offers
    [[ -n $file ]] && _files
    (( $#offers )) || [[ -n $file || -n $ended ]] || _describe -o 'option' flags
}
";

/// The whole script.
pub fn script(nodes: &[Node]) -> String {
    let mut out = HEAD.to_owned();
    out.push_str("_openclaw_at() {\n    case $1 in\n");
    for node in nodes {
        let next: Vec<&str> = node.next.iter().map(|(word, _)| *word).collect();
        let takes: Vec<&str> = node.takes.iter().map(|(flag, _)| flag.as_str()).collect();
        let file = if node.path_operand { "1" } else { "" };
        let _ = write!(
            out,
            "        '{}')\n            next='{}' takes='{}' file={file}\n",
            node.path,
            next.join(" "),
            takes.join(" ")
        );
        let told = |(word, about): (&str, &str)| quoted(&format!("{word}:{about}"));
        let offers: Vec<String> = node.next.iter().map(|one| told(*one)).collect();
        let flags: Vec<String> =
            node.flags.iter().map(|(flag, about)| told((flag, about))).collect();
        let _ = writeln!(out, "            offers=({})", offers.join(" "));
        let _ = writeln!(out, "            flags=({}) ;;", flags.join(" "));
    }
    out.push_str("    esac\n}\n");
    bash::values(&mut out, nodes);
    out.push_str(
        "if [[ $funcstack[1] == _openclaw ]]; then\n    _openclaw \"$@\"\nelse\n    \
         (( $+functions[compdef] )) || { autoload -Uz compinit && compinit }\n    \
         compdef _openclaw openclaw\nfi\n",
    );
    out
}

/// Between single quotes, as every shell of this family reads them.
pub fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}
