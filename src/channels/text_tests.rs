use super::*;
use crate::driver::Entropy;
use crate::sim::rng::Rng;

#[test]
fn a_tall_piece_is_cut_by_lines_and_code_stays_closed() {
    let kind = crate::channels::find("discord").expect("discord");
    let text = (1..=40).map(|n| format!("line {n}")).collect::<Vec<_>>().join("\n");
    let all = not_tall(kind, for_channel(kind, &text, None, false), 17);
    assert!(all.len() >= 3 && all.iter().all(|(it, _)| it.lines().count() <= 17), "{all:?}");
    let joined: Vec<&str> = all.iter().map(|(it, _)| it.as_str()).collect();
    assert_eq!(joined.join("\n"), text);
    let code = format!("```rust\n{text}\n```");
    for (piece, _) in not_tall(kind, for_channel(kind, &code, None, false), 17) {
        assert!(piece.starts_with("```rust\n") && piece.ends_with("\n```"), "{piece}");
        assert!(piece.lines().count() <= 18, "{piece}");
    }
    assert_eq!(not_tall(kind, vec![("a".into(), "a".into())], 1).len(), 1);
}

const SAMPLE: &str = "# Title\nSome **bold _and_ italic** text, `a<b`, ~~no~~ snake_case_name.\n\
     ```rust\nlet a = \"<x>\";\n```\n> quoted *text*\n> more\n\
     [site](https://example.org/a_b_c?x=1&y=2) \\*plain\\* 2 * 3 * 4";

#[test]
fn markdown_for_each_service() {
    assert_eq!(
        html(SAMPLE),
        "<b>Title</b>\nSome <b>bold <i>and</i> italic</b> text, <code>a&lt;b</code>, <s>no</s> \
         snake_case_name.\n<pre><code class=\"language-rust\">let a = \"&lt;x&gt;\";</code></pre>\n\
         <blockquote>quoted <i>text</i>\nmore</blockquote>\n\
         <a href=\"https://example.org/a_b_c?x=1&amp;y=2\">site</a> *plain* 2 * 3 * 4"
    );
    assert_eq!(
        mrkdwn(SAMPLE),
        "*Title*\nSome *bold _and_ italic* text, `a&lt;b`, ~no~ snake_case_name.\n\
         ```\nlet a = \"&lt;x&gt;\";\n```\n> quoted _text_\n> more\n\
         <https://example.org/a_b_c?x=1&y=2|site> *plain* 2 * 3 * 4"
    );
    assert_eq!(
        plain(SAMPLE),
        "Title\nSome bold and italic text, a<b, no snake_case_name.\nlet a = \"<x>\";\n\
         > quoted text\n> more\nsite (https://example.org/a_b_c?x=1&y=2) *plain* 2 * 3 * 4"
    );
    assert_eq!(discord("hi @everyone **x**"), "hi @\u{200b}everyone **x**");
}

#[test]
fn nothing_a_model_writes_becomes_a_tag_or_a_script() {
    assert_eq!(html("<script>&"), "&lt;script&gt;&amp;");
    assert_eq!(html("[x](javascript:alert(1))"), "x (javascript:alert(1))");
    assert_eq!(html("[x](https://a/\"onclick=1)"), "<a href=\"https://a/&quot;onclick=1\">x</a>");
    assert_eq!(html("**open"), "**open");
    assert_eq!(html("see https://a.b/c_d_e now"), "see https://a.b/c_d_e now");
}

#[test]
fn pieces_end_where_paragraphs_lines_and_words_end() {
    let chars = |text: &str| text.chars().count();
    assert_eq!(pieces("aaa bbb ccc", 7, chars), ["aaa bbb", "ccc"]);
    assert_eq!(pieces("one\n\ntwo three\nfour", 12, chars), ["one", "two three", "four"]);
    assert_eq!(pieces("abcdefgh", 3, chars), ["abc", "def", "gh"]);
    assert_eq!(pieces("\n\n", 3, chars), [""; 0]);
    for piece in pieces(&"word ".repeat(200), 50, chars) {
        assert!(piece.chars().count() <= 50 && piece.ends_with("word"), "{piece:?}");
    }
}

#[test]
fn code_is_closed_and_opened_again() {
    let chars = |text: &str| text.chars().count();
    let text = format!("before\n```py\n{}\n```\nafter", "x = 1\n".repeat(20).trim_end());
    let cut = pieces(&text, 60, chars);
    assert!(cut.len() > 2);
    let mut code = 0;
    for piece in &cut {
        assert!(piece.chars().count() <= 60, "{piece:?}");
        assert_eq!(piece.matches("```").count() % 2, 0, "{piece:?}");
        code += piece.matches("x = 1").count();
    }
    assert_eq!(code, 20, "no line is lost");
    assert!(cut[1].starts_with("```py\n"), "{cut:?}");
}

#[test]
fn what_looks_like_one_character_is_never_cut() {
    let family = "👨‍👩‍👧‍👦";
    let flag = "🇩🇪";
    let text = format!("{}{}", family.repeat(5), flag.repeat(5));
    for limit in [11, 12, 13, 25] {
        for piece in pieces(&text, limit, utf16) {
            let left = piece.replace(family, "").replace(flag, "");
            assert_eq!(left, "", "{limit}: {piece:?}");
        }
    }
    assert_eq!(pieces("e\u{301}e\u{301}", 2, |text| text.chars().count()), ["e\u{301}"; 2]);
}

#[test]
fn what_grows_in_rendering_still_fits() {
    let kind = Kind { text_limit: 100, render: html, ..crate::channels::rig::KIND };
    let pieces = for_channel(&kind, &"<<<<>>>> ".repeat(50), None, false);
    assert!(pieces.iter().all(|(rendered, _)| rendered.chars().count() <= 100));
    let newline = for_channel(&kind, "a\n\nb\nc\n\n```\nx\n\ny\n```", None, true);
    let plain: Vec<&str> = newline.iter().map(|(_, plain)| plain.as_str()).collect();
    assert_eq!(plain, ["a", "b\nc", "```\nx\n\ny\n```"]);
}

#[test]
fn any_bytes_are_taken() {
    for seed in 0..200u8 {
        let bytes: Vec<u8> = (0..200u16)
            .map(|n| {
                b"*_`~[]()<>\\# \nab\xe2\x80\x8d"[usize::from(n * u16::from(seed) / 7 + n) % 19]
            })
            .collect();
        fuzz(&bytes);
    }
}

/// What is likely to stand where a cut hurts, more often than in bytes of chance.
fn scribble(rng: &mut Rng) -> Vec<u8> {
    const TOKENS: &[&str] = &[
        "```",
        "~~~",
        "````",
        "`",
        "``",
        "~",
        "\n",
        "\n",
        "\n\n",
        " ",
        " ",
        "  ",
        "a",
        "word ",
        "End. ",
        "？",
        "。",
        "js",
        "\n```rust\n",
        "\n```\n",
        "\n~~~\n",
        "é",
        "👨‍👩‍👧",
        "> ",
        "- ",
        "\t\t\t\t\t\t\t\t\t\t\t\t",
        "          ",
        "````````````````````",
        "a longer row of words that has to be cut somewhere, ",
    ];
    let mut out = vec![0; 4];
    rng.fill(&mut out);
    let plain = rng.percent(50);
    for _ in 0..rng.size(1, 80) {
        match plain && rng.percent(70) {
            true => out.extend_from_slice("words ".repeat(rng.size(1, 4)).as_bytes()),
            false => out.extend_from_slice(rng.pick(TOKENS).as_bytes()),
        }
    }
    out
}

#[test]
fn wherever_a_text_is_cut_nothing_is_lost_and_code_stays_code() {
    for seed in (0..3_000).chain([57_929, 100_940, 101_188]) {
        let bytes = scribble(&mut Rng::new(seed));
        let held = std::panic::catch_unwind(|| {
            fuzz(&bytes);
            super::super::draft::fuzz(&bytes);
        });
        assert!(held.is_ok(), "seed {seed}: {:?}", String::from_utf8_lossy(&bytes));
    }
}
