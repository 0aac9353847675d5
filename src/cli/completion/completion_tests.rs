use super::*;

#[test]
fn every_visible_flag_and_word_is_in_every_script() {
    use super::super::table::commands;
    for shell in Shell::ALL {
        let script = shell.script();
        for command in commands() {
            for word in command.path {
                assert!(script.contains(word), "{word} in {}", shell.name());
            }
            for flag in command.flags.iter().filter(|flag| !flag.about.is_empty()) {
                let flag = format!("--{}", flag.long);
                assert!(script.contains(&flag), "{flag} in {}", shell.name());
            }
        }
    }
}

#[test]
fn help_texts_cannot_break_out_of_their_quotes() {
    assert_eq!(zsh::quoted("a'b"), r"'a'\''b'");
    assert_eq!(fish::quoted(r"a'\b"), r"'a\'\\b'");
    // Words stand between single quotes as they are in bash's tables.
    for node in tree::nodes() {
        let words = node.next.iter().map(|(word, _)| (*word).to_owned());
        for word in words.chain(node.flags.iter().map(|(flag, _)| flag.clone())) {
            let plain = |c: char| c.is_ascii_alphanumeric() || c == '-';
            assert!(word.chars().all(plain), "{word}");
        }
    }
}
