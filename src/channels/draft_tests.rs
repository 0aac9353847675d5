use super::*;

fn rules(min: usize, max: usize, prefer: Prefer) -> Chunking {
    Chunking { min, max, prefer, length: str::len }
}

/// Every block of a text that comes in steps of a few bytes.
fn blocks(rules: Chunking, text: &str) -> Vec<String> {
    let mut chunker = Chunker::new(rules);
    let mut out = Vec::new();
    let mut end = 0;
    while end < text.len() {
        end = text.ceil_char_boundary((end + 7).min(text.len()));
        while let Some(block) = chunker.next(&text[..end], false) {
            assert!(block.text.len() <= rules.max, "{block:?}");
            out.push(block.text);
        }
    }
    while let Some(block) = chunker.next(text, true) {
        out.push(block.text);
    }
    out
}

#[test]
fn a_block_ends_with_a_paragraph_and_not_too_soon() {
    let text = "One.\n\nTwo is a little longer.\n\nThree.";
    let got = blocks(rules(10, 100, Prefer::Paragraph), text);
    assert_eq!(got, ["One.\n\nTwo is a little longer.", "Three."]);
    let got = blocks(rules(1, 100, Prefer::Paragraph), text);
    assert_eq!(got, ["One.", "Two is a little longer.", "Three."]);
}

#[test]
fn what_is_not_preferred_counts_only_when_there_is_no_room() {
    let text = "aaaa bbbb.\ncccc dddd. eeee ffff";
    assert_eq!(blocks(rules(1, 100, Prefer::Paragraph), text), [text]);
    let lines = blocks(rules(1, 100, Prefer::Newline), text);
    assert_eq!(lines, ["aaaa bbbb.", "cccc dddd. eeee ffff"]);
    let sentences = blocks(rules(1, 100, Prefer::Sentence), text);
    assert_eq!(sentences, ["aaaa bbbb.", "cccc dddd.", "eeee ffff"]);
    // Forced: a line, then a sentence, then a word, then anything.
    assert_eq!(
        blocks(rules(1, 16, Prefer::Paragraph), text),
        ["aaaa bbbb.", "cccc dddd.", "eeee ffff"]
    );
    assert_eq!(
        blocks(rules(1, 16, Prefer::Paragraph), "aaaa bbbb cccc dddd eeee"),
        ["aaaa bbbb cccc", "dddd eeee"]
    );
    let long = "x".repeat(40);
    assert_eq!(
        blocks(rules(1, 16, Prefer::Paragraph), &long),
        ["x".repeat(16), "x".repeat(16), "x".repeat(8)]
    );
}

#[test]
fn code_is_not_cut_and_when_it_must_be_it_is_closed_and_opened_again() {
    let text = "Before.\n\n```rust\nlet a = 1;\n\nlet b = 2;\n```\n\nAfter.";
    let got = blocks(rules(1, 100, Prefer::Paragraph), text);
    assert_eq!(got, ["Before.", "```rust\nlet a = 1;\n\nlet b = 2;\n```", "After."]);
    let code = format!("```rust\n{}```\nend", "let a = 1;\n".repeat(9));
    let got = blocks(rules(1, 60, Prefer::Paragraph), &code);
    assert!(got.len() > 2, "{got:?}");
    let all: String = got.join("\n");
    assert_eq!(all.matches("let a = 1;").count(), 9);
    for block in &got {
        assert!(within(None, block, block.len()).is_none(), "closed: {block:?}");
        assert!(block.starts_with("```rust\n") || block == "end", "{block:?}");
    }
}

#[test]
fn characters_stay_whole() {
    let family = "👨‍👩‍👧‍👦";
    let text = family.repeat(4);
    let got = blocks(rules(1, 60, Prefer::Paragraph), &text);
    assert_eq!(got, [family.repeat(2), family.repeat(2)]);
}

#[test]
fn the_rest_is_known_by_a_number_of_bytes() {
    let text = format!("```rust\n{}```\nend", "let a = 1;\n".repeat(9));
    let mut chunker = Chunker::new(rules(1, 60, Prefer::Paragraph));
    let block = chunker.next(&text, false).expect("a block");
    let left = rest(&text, block.upto);
    assert_eq!(left, chunker.rest(&text));
    assert!(left.starts_with("```rust\nlet a"), "{left:?}");
    assert_eq!(rest(&text, 0), text);
    assert_eq!(rest(&text, text.len()), "");
    assert_eq!(rest(&text, text.len() + 9), text, "a number of another text");
}

fn block(text: &str, upto: usize) -> Block {
    Block { text: text.to_owned(), upto }
}

#[test]
fn small_blocks_wait_for_each_other() {
    let mut held = Coalescer::new((10, 20, 1000), "\n\n", str::len);
    let at = |ms: u64| Time(0).after_ms(ms);
    assert!(held.push(at(0), block("12345", 5)).is_empty());
    assert_eq!((held.due(), held.take(at(9_000))), (None, None), "too small to go by itself");
    assert!(held.push(at(500), block("67890", 12)).is_empty());
    assert_eq!(held.due(), Some(at(1_500)));
    assert_eq!(held.take(at(1_499)), None);
    assert_eq!(held.take(at(1_500)), Some(block("12345\n\n67890", 12)));
    // What would be too much goes before what comes.
    assert!(held.push(at(2_000), block("1234567890", 22)).is_empty());
    assert_eq!(held.push(at(2_001), block("abcdefghij", 34)), [block("1234567890", 22)]);
    assert_eq!(held.push(at(2_002), block(&"x".repeat(20), 60)).len(), 2);
    assert_eq!(held.flush(), None);
}

#[test]
fn a_preview_is_edited_now_and_then() {
    let at = |ms: u64| Time(0).after_ms(ms);
    let mut pace = Pace::new(1000, 10, 1500);
    assert_eq!(pace.due(), None);
    pace.want(at(0), "Hi");
    assert_eq!((pace.due(), pace.take(at(1_499))), (Some(at(1_500)), None), "short: it waits");
    pace.want(at(200), "Hi, how are you?");
    assert_eq!(pace.take(at(200)), Some("Hi, how are you?"));
    pace.want(at(300), "Hi, how are you?");
    assert_eq!(pace.due(), None, "nothing new");
    pace.want(at(400), "Hi, how are you? I");
    assert_eq!(pace.due(), Some(at(1_200)));
    pace.want(at(900), "Hi, how are you? I am");
    assert_eq!(pace.take(at(1_200)), Some("Hi, how are you? I am"), "the last one counts");
    pace.failed(at(6_000), "Hi, how are you?");
    assert_eq!((pace.due(), pace.shown()), (Some(at(6_000)), "Hi, how are you?"));
    pace.fresh();
    assert_eq!(pace.due(), None);
}

#[test]
fn the_fuzzed_rules_hold_for_a_few_texts() {
    for text in ["", "```", "a\n\nb", "```a\nb\n```\nc ``` d\n~~~\ne", "x y. z! \n\n\n q"] {
        for head in [[0u8, 20, 1, 0], [30, 200, 3, 1], [255, 0, 9, 2]] {
            let mut data = head.to_vec();
            data.extend(text.repeat(30).bytes());
            fuzz(&data);
        }
    }
}

#[test]
fn lines_that_open_and_close_code_stay_alone() {
    let join = |one: &str, other: &str| {
        let mut coalescer = Coalescer::new((1, 200, 1_000), " ", str::len);
        for (upto, text) in [(1, one), (2, other)] {
            let block = Block { text: text.to_owned(), upto };
            assert!(coalescer.push(Time(0), block).is_empty());
        }
        coalescer.flush().expect("both").text
    };
    assert_eq!(join("One.", "Two."), "One. Two.");
    assert_eq!(join("One:", "```rs\nx\n```"), "One:\n```rs\nx\n```");
    assert_eq!(join("```rs\nx\n```", "Then."), "```rs\nx\n```\nThen.");
}

#[test]
fn a_line_that_only_ends_like_the_one_that_opened_code_stays() {
    let text = "````\ncode that is long enough to be cut somewhere\nmore of it\n`````` ````";
    let got = blocks(rules(1, 40, Prefer::Paragraph), text).concat();
    assert!(got.contains("`````` ````"), "{got:?}");
}
