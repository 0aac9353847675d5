//! Pages, good and broken.

use super::*;

fn markdown(html: &str) -> String {
    let base = Url::parse("https://e.org/dir/page").ok();
    fuzz(html.as_bytes());
    read(html, Style::Markdown, base.as_ref()).text
}

#[test]
fn a_page_becomes_markdown() {
    let html = "<!doctype html><html><head><title>A &amp; B\n</title><style>p{}</style>\
        <script>if (a</b) '<p>no</p>'</script></head><body><nav><a href=/x>Home</a></nav>\
        <h1>Big\n news</h1><p>One <a href='../y?a=1&amp;b=2'>two  three</a>, &#8220;x&#x201d;\
        </p><!-- <p>hidden</p> --><ul><li>a<li>b<ol><li>c</li><li>d</li></ol></ul>\
        <pre>x = 1\n  y &lt; 2\n</pre><p>Use <code>ls -l</code> now<br>and then</p>\
        <table><tr><th>k</th><th>v</th></tr><tr><td>1</td><td>2</td></tr></table><hr>\
        <form>no</form><footer>no</footer></body></html>";
    let want = "# Big news\n\nOne [two three](https://e.org/y?a=1&b=2), \u{201c}x\u{201d}\n\n\
        - a\n- b\n  1. c\n  2. d\n\n```\nx = 1\n  y < 2\n\n```\n\nUse `ls -l` now\nand then\n\n\
        k | v\n1 | 2\n\n---";
    assert_eq!(markdown(html), want);
    let page = read(html, Style::Text, None);
    assert_eq!(page.title.as_deref(), Some("A & B"));
    assert!(page.text.starts_with("Big news\n\nOne two three, "), "{}", page.text);
}

#[test]
fn marked_content_is_preferred_when_there_is_some() {
    let long = "word ".repeat(60);
    let html = format!("<div>menu</div><main><p>{long}</p></main><div>end</div>");
    assert_eq!(markdown(&html), long.trim());
    assert_eq!(markdown("<div>menu</div><main></main>"), "menu");
}

#[test]
fn broken_pages_give_some_text() {
    for (html, want) in [
        ("a < b <c", "a < b"),
        ("<nav>never closed <p>text", "never closed\n\ntext"),
        ("<a href=javascript:alert(1)>x</a> <a href='#y'>z</a>", "x z"),
        ("&unknown; &amp &#0; &#xd800;", "&unknown; &amp &#0; &#xd800;"),
        ("<p title=\"a>b\">t</p>", "t"),
        ("<p title=\"a>b", "b"),
        ("</a></ul></pre></main>x", "x"),
        ("<script>a", "a"),
        ("", ""),
    ] {
        assert_eq!(markdown(html), want, "{html}");
    }
    // Many openings without an end cost no more than one look.
    let started = "<nav><svg><form><title>".repeat(20_000);
    assert_eq!(markdown(&started), "");
    let _ = markdown(&"<ul><li>".repeat(5_000));
    let _ = markdown(&"<".repeat(50_000));
    let _ = markdown(&"<a href='".repeat(5_000));
}
