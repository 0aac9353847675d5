use serde_json::json;

use super::*;

fn path(text: &str) -> Vec<Step> {
    text.split('/')
        .filter(|part| !part.is_empty())
        .map(|part| part.parse().map_or_else(|_| Step::Key(part.to_owned()), Step::Index))
        .collect()
}

#[test]
fn good_documents() {
    for (text, want) in [
        ("null", json!(null)),
        (" true ", json!(true)),
        ("\u{FEFF}{}", json!({})),
        ("[]", json!([])),
        ("[1,]", json!([1])),
        ("{a:1,}", json!({"a": 1})),
        ("{'a':\"b\", \"c\":'d'}", json!({"a": "b", "c": "d"})),
        ("{$_x1: 1, \u{fc}ber: 2, \\u0061b: 3}", json!({"$_x1": 1, "\u{fc}ber": 2, "ab": 3})),
        ("{null: 1, true: 2}", json!({"null": 1, "true": 2})),
        ("// c\n{/* d */a/**/:/***/1 // e\n,// f\n}// g", json!({"a": 1})),
        ("\u{A0}\u{2003}[\u{2028}1\u{2029}]\u{B}\u{C}\r", json!([1])),
        (
            "[0, -0, +7, -7, 1e3, 12.0, 0xFF, -0x10, 0Xa]",
            json!([0, 0, 7, -7, 1000, 12, 255, -16, 10]),
        ),
        ("[.5, 5., -.5, 1.5e-3, 5.e1]", json!([0.5, 5, -0.5, 0.0015, 50])),
        ("[18446744073709551615, -9223372036854775807]", json!([u64::MAX, -i64::MAX])),
        ("1e300", json!(1e300)),
        ("'a\\\nb\\\r\nc\\\u{2028}d'", json!("abcd")),
        ("'\u{2028}\u{2029}\t'", json!("\u{2028}\u{2029}\t")),
        (
            r#""\b\f\n\r\t\v\0\x41\u00e4\ud83d\ude00\'\"\/\q""#,
            json!("\u{8}\u{c}\n\r\t\u{b}\0A\u{e4}\u{1F600}'\"/q"),
        ),
        ("'it\"s'", json!("it\"s")),
    ] {
        let got = parse(text).map(|document| document.root.to_value());
        assert_eq!(got, Ok(want), "{text:?}");
        fuzz(text.as_bytes());
    }
}

#[test]
fn bad_documents_name_the_place() {
    for (text, line, column, part) in [
        ("", 1, 1, "the file is empty"),
        (" // only\n", 2, 1, "the file is empty"),
        ("{", 1, 2, "inside the `{` of line 1: `}` is missing"),
        ("{\n a: [\n  1,\n", 4, 1, "inside the `[` of line 2: `]` is missing"),
        ("{a", 1, 3, "expected `:` after the key, found the end of the file"),
        ("{a:", 1, 4, "inside the `{`"),
        ("{a: 1 b: 2}", 1, 7, "expected `,` or `}`, found `b`"),
        ("[1}", 1, 3, "expected `,` or `]`, found `}`"),
        ("{a: 1]", 1, 6, "expected `,` or `}`, found `]`"),
        ("[,]", 1, 2, "expected a value, found `,`"),
        ("[1,,2]", 1, 4, "expected a value, found `,`"),
        ("{,}", 1, 2, "expected a key or `}`, found `,`"),
        ("{1: 2}", 1, 2, "expected a key"),
        ("{a-b: 1}", 1, 3, "quote a key that has a `-`"),
        ("{a: 1, 'a': 2}", 1, 8, "the key `a` stands twice"),
        ("{a: 1} x", 1, 8, "`x` after the end"),
        ("1 2", 1, 3, "`2` after the end"),
        ("{a: NaN}", 1, 5, "NaN and Infinity"),
        ("-Infinity", 1, 1, "NaN and Infinity"),
        ("+NaN", 1, 1, "NaN and Infinity"),
        ("1e999", 1, 1, "too large"),
        ("{a: hunter2}", 1, 5, "put text in quotes"),
        ("12monkeys", 1, 1, "put text in quotes"),
        ("0x", 1, 1, "needs digits"),
        ("0x10000000000000000", 1, 1, "above 2^64"),
        ("-0x8000000000000001", 1, 1, "below -2^63"),
        ("01", 1, 1, "begin with 0"),
        ("+", 1, 1, "expected digits"),
        (".", 1, 1, "expected digits"),
        ("1e", 1, 1, "exponent"),
        ("--1", 1, 1, "expected digits"),
        ("'ab", 1, 1, "never ends"),
        ("'a\nb'", 1, 1, "no closing ' on its line"),
        ("'\\x4'", 1, 2, "two hexadecimal"),
        ("'\\u12'", 1, 2, "four hexadecimal"),
        ("'\\ud800'", 1, 2, "half of a surrogate"),
        ("'\\ud800\\u0041'", 1, 2, "half of a surrogate"),
        ("'\\1'", 1, 2, "octal"),
        ("'\\01'", 1, 2, "octal"),
        ("{\\x41: 1}", 1, 2, "only `\\u`"),
        ("{\\u0020: 1}", 1, 2, "may not stand"),
        ("/* open", 1, 1, "`*/` is missing"),
        ("\u{FEFF}#", 1, 1, "expected a value, found `#`"),
        ("[\r1,\r\n\u{fc} ;", 3, 1, "put text in quotes"),
        ("{a: 1,\n  b: \u{1}}", 2, 6, "found `\\u{1}`"),
    ] {
        let error = parse(text).expect_err(text);
        assert!(error.message.contains(part), "{text:?}: {error}");
        assert_eq!((error.line, error.column), (line, column), "{text:?}: {error}");
        assert!(!error.message.contains("hunter") && !error.message.contains("monkeys"));
        fuzz(text.as_bytes());
    }
}

#[test]
fn depth_is_bounded_and_costs_no_stack() {
    for (open, close) in [("[", "]"), ("{a:", "}")] {
        let nested = |depth: usize| format!("{}1{}", open.repeat(depth), close.repeat(depth));
        assert!(parse(&nested(64)).is_ok());
        let error = parse(&nested(65)).expect_err("too deep");
        assert_eq!(error.message, "nested deeper than 64 levels");
        assert_eq!(error.offset, 64 * open.len());
    }
    assert!(parse(&"[".repeat(1 << 20)).is_err());
    assert!(parse(&"{a:[".repeat(1 << 18)).is_err());
    // An edit cannot get past the limit either.
    let full = format!("{}{}", "[".repeat(64), "]".repeat(64));
    assert!(set(&full, &vec![Step::Index(0); 64], "1").is_ok());
    assert!(set(&full, &vec![Step::Index(0); 64], "[]").is_err());
}

#[test]
fn every_node_knows_its_place() {
    let text = "\u{FEFF}{ // \u{e4}\n  gateway: { 'port': 18789 },\n\tlist: [1, \"zwei\"],\n}";
    let document = parse(text).unwrap();
    let port = document.at(&path("gateway/port")).unwrap();
    assert_eq!(&text[port.span.start..port.span.end], "18789");
    assert_eq!(document.position(port.span.start), (2, 22));
    let second = document.at(&path("list/1")).unwrap();
    assert_eq!(document.position(second.span.start), (3, 12));
    assert_eq!(document.position(3), (1, 1));
    assert_eq!(document.position(usize::MAX), (4, 2));
    assert!(document.at(&path("gateway/0")).is_none());
    assert!(document.at(&path("list/2")).is_none());
    let Kind::Object(members) = &document.root.kind else { panic!() };
    let key = members[0].key_span;
    assert_eq!(&text[key.start..key.end], "gateway");
}

const FILE: &str = "// my gateway
{
  gateway: {
    port: 18789, // the usual
    /* who */ auth: { mode: 'token' }, // all
    // the end
  },
  list: [1, 2, 3],
  empty: {},
  none: [ ],
}
";

#[test]
fn edits_keep_everything_else() {
    for (at, new, from, to) in [
        ("gateway/port", "19001", "18789", "19001"),
        ("gateway/port", " 19001 // new", "18789", "19001"),
        ("gateway/bind", "\"lan\"", "// all\n", "// all\n    bind: \"lan\",\n"),
        ("gateway/auth/token", "'t'", "'token' }", "'token', token: 't' }"),
        ("gateway/a-b/c", "1", "// all\n", "// all\n    \"a-b\": { c: 1 },\n"),
        ("list/1", "[]", "1, 2", "1, []"),
        ("list/3", "4", "3]", "3, 4]"),
        ("empty/x", "1", "{},", "{ x: 1 },"),
        ("none/0", "1", "[ ]", "[1 ]"),
        ("none/0/x", "1", "[ ]", "[{ x: 1 } ]"),
        ("new", "{\n  \"a\": 1\n}", "none: [ ],\n", "none: [ ],\n  new: {\n    \"a\": 1\n  },\n"),
        ("list", "{}", "[1, 2, 3]", "{}"),
    ] {
        let want = FILE.replacen(from, to, 1);
        assert_ne!(want, FILE);
        assert_eq!(set(FILE, &path(at), new).as_deref(), Ok(want.as_str()), "{at}");
    }
    for (at, from, to) in [
        ("gateway/port", "    port: 18789, // the usual\n", "    // the usual\n"),
        ("gateway/auth", "/* who */ auth: { mode: 'token' }, // all", "/* who */ // all"),
        ("gateway/auth/mode", "{ mode: 'token' }", "{ }"),
        ("list/0", "[1, 2, 3]", "[2, 3]"),
        ("list/1", "[1, 2, 3]", "[1, 3]"),
        ("list/2", "[1, 2, 3]", "[1, 2]"),
        ("list", "  list: [1, 2, 3],\n", ""),
        ("none", "  none: [ ],\n", ""),
    ] {
        let want = FILE.replacen(from, to, 1);
        assert_ne!(want, FILE);
        assert_eq!(remove(FILE, &path(at)).as_deref(), Ok(want.as_str()), "{at}");
    }
}

#[test]
fn strict_json_stays_strict_json() {
    let text = "{\r\n  \"a\": 1,\r\n  \"b\": [\r\n    1\r\n  ]\r\n}\r\n";
    let wider = set(text, &path("c/d"), "true").unwrap();
    assert_eq!(wider, text.replace("  ]\r\n", "  ],\r\n  \"c\": { \"d\": true }\r\n"));
    let longer = set(&wider, &path("b/1"), "2").unwrap();
    assert!(longer.contains("    1,\r\n    2\r\n  ]"), "{longer}");
    for at in ["c", "b/1"] {
        let less = remove(&longer, &path(at)).unwrap();
        assert!(serde_json::from_str::<serde_json::Value>(&less).is_ok(), "{less}");
    }
    assert_eq!(remove(&wider, &path("c")).unwrap(), text);
    assert_eq!(set("{}", &path("a"), "1").unwrap(), "{\n  \"a\": 1\n}");
    assert_eq!(set("{ // why\n}", &path("a"), "1").unwrap(), "{ // why\n  \"a\": 1\n}");
    assert_eq!(set("{a: 1 // why\n}", &path("b"), "2").unwrap(), "{a: 1, // why\nb: 2\n}");
    assert_eq!(set("{a: 1 /* why */}", &path("b"), "2").unwrap(), "{a: 1, /* why */ b: 2}");
    assert_eq!(set("1 // one", &[], "{}").unwrap(), "{} // one");
}

#[test]
fn impossible_edits_say_why() {
    for (at, part) in [
        ("list/7", "has 3 elements"),
        ("gateway/port/x", "`gateway.port.x`: what stands here has no such part"),
        ("list/x", "`list.x`"),
        ("new/1", "begins at index 0"),
    ] {
        let error = set(FILE, &path(at), "1").expect_err(at);
        assert!(error.message.contains(part), "{at}: {error}");
    }
    for at in ["", "nowhere", "list/3", "gateway/0", "a/b/c"] {
        assert!(remove(FILE, &path(at)).is_err(), "{at}");
    }
    assert!(set(FILE, &path("a"), "{").expect_err("bad").message.contains("new value"));
    assert!(set("{", &path("a"), "1").is_err() && remove("{", &path("a")).is_err());
}

/// Every prefix, and every byte replaced by one that means something.
#[test]
fn damaged_documents_never_panic() {
    fuzz(FILE.as_bytes());
    for cut in 0..FILE.len() {
        fuzz(&FILE.as_bytes()[..cut]);
        for byte in b"{}[],:'\"/*\\\n 0\xff" {
            let mut data = FILE.as_bytes().to_vec();
            data[cut] = *byte;
            fuzz(&data);
        }
    }
}

/// Random documents of the pieces that matter, from a fixed seed.
#[test]
fn random_documents_keep_their_meaning() {
    const PIECES: [&str; 22] = [
        "{", "}", "[", "]", ",", ":", "a", "b:", "'c'", "1", "-.5e1", "null", "\n", "\r\n", " ",
        "//x\n", "/*y*/", "\"q\":", "{a:1}", "[1,2]", "\\u0061", "\u{2028}",
    ];
    let mut seed = 7u64;
    let mut good = 0;
    for _ in 0..60_000 {
        let mut text = String::from("{");
        for _ in 0..(seed % 9) {
            seed = seed
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            text.push_str(PIECES[(seed >> 33) as usize % PIECES.len()]);
        }
        text.push('}');
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        seed ^= seed >> 29;
        good += usize::from(parse(&text).is_ok());
        fuzz(text.as_bytes());
    }
    assert!(good > 200, "{good}");
}
