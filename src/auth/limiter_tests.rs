use super::*;

fn key(ip: &str) -> Key {
    Key::of(ip.parse().unwrap())
}

fn numbered(n: u32) -> Key {
    Key::V4(Ipv4Addr::from(0x0a00_0000 + n))
}

const NOW: Time = Time(1_000_000_000);

fn default() -> RateLimit {
    RateLimit::default()
}

#[test]
fn spellings_of_one_address_are_one_key() {
    for (left, right) in [
        ("1.2.3.4", "::ffff:1.2.3.4"),
        ("1.2.3.4", "::ffff:102:304"),
        ("1.2.3.4", "64:ff9b::1.2.3.4"),
        ("2001:db8:1:2::1", "2001:0db8:0001:0002:ffff:ffff:ffff:ffff"),
        ("127.0.0.1", "::1"),
        ("127.0.0.1", "127.9.9.9"),
        ("127.0.0.1", "::ffff:127.0.0.1"),
    ] {
        assert_eq!(key(left), key(right), "{left} {right}");
    }
    for (left, right) in [
        ("1.2.3.4", "1.2.3.5"),
        ("2001:db8:1:2::1", "2001:db8:1:3::1"),
        ("::1", "::2"),
        ("127.0.0.1", "128.0.0.1"),
    ] {
        assert_ne!(key(left), key(right), "{left} {right}");
    }
}

#[test]
fn ten_wrong_ones_lock_for_five_minutes_and_the_right_one_clears() {
    let (mut limiter, limit, me) = (Limiter::default(), default(), key("192.0.2.1"));
    for n in 1..10 {
        assert!(!limiter.failed(me, Shown::Secret, &limit, NOW), "{n}");
        assert_eq!(limiter.check(me, Shown::Secret, &limit, NOW), Ok(()));
    }
    limiter.passed(me, Shown::Secret);
    assert!(limiter.is_empty());
    for n in 1..=10 {
        assert_eq!(limiter.failed(me, Shown::Secret, &limit, NOW), n == 10);
    }
    assert_eq!(limiter.check(me, Shown::Secret, &limit, NOW), Err(300_000));
    assert_eq!(limiter.check(key("192.0.2.2"), Shown::Secret, &limit, NOW), Ok(()));
    let late = NOW.after_ms(299_999);
    assert_eq!(limiter.check(me, Shown::Device, &limit, late), Err(1), "one budget over all");
    assert_eq!(limiter.check(me, Shown::Hook, &limit, late), Err(1), "hooks too");
    assert_eq!(limiter.check(me, Shown::Secret, &limit, late.after_ms(1)), Ok(()));
    assert!(!limiter.failed(me, Shown::Secret, &limit, late.after_ms(1)), "counted anew");
}

#[test]
fn a_window_that_is_over_counts_anew() {
    let (mut limiter, limit, me) = (Limiter::default(), default(), key("192.0.2.1"));
    for _ in 0..9 {
        limiter.failed(me, Shown::Secret, &limit, NOW);
    }
    let later = NOW.after_ms(60_000);
    assert!(!limiter.failed(me, Shown::Secret, &limit, later));
    assert_eq!(limiter.check(me, Shown::Secret, &limit, later), Ok(()));
}

#[test]
fn kinds_share_the_budget_and_clear_only_their_own() {
    let (mut limiter, limit, me) = (Limiter::default(), default(), key("192.0.2.1"));
    for _ in 0..9 {
        limiter.failed(me, Shown::Secret, &limit, NOW);
    }
    limiter.passed(me, Shown::Device);
    assert!(limiter.failed(me, Shown::Setup, &limit, NOW), "the tenth of all kinds");
    assert!(limiter.check(me, Shown::Device, &limit, NOW).is_err());
}

#[test]
fn wrong_hook_tokens_close_hooks_only() {
    let (mut limiter, limit, me) = (Limiter::default(), default(), Key::Loopback);
    for n in 1..=limits::HOOK_FAILURES {
        assert_eq!(limiter.check(me, Shown::Hook, &limit, NOW), Ok(()));
        assert_eq!(limiter.failed(me, Shown::Hook, &limit, NOW), n == limits::HOOK_FAILURES);
    }
    assert_eq!(limiter.check(me, Shown::Hook, &limit, NOW), Err(limits::HOOK_FAILURES_MS));
    assert_eq!(limiter.check(me, Shown::Secret, &limit, NOW), Ok(()));
}

#[test]
fn a_lowered_bound_counts_what_was_and_a_lock_stays() {
    let (mut limiter, limit, me) = (Limiter::default(), default(), key("192.0.2.1"));
    for _ in 0..5 {
        limiter.failed(me, Shown::Secret, &limit, NOW);
    }
    let strict = RateLimit { max_attempts: 3, lockout_ms: 1_000, ..default() };
    assert_eq!(limiter.check(me, Shown::Secret, &strict, NOW), Err(1_000));
    assert_eq!(limiter.check(me, Shown::Secret, &limit, NOW), Err(1_000), "earned is earned");
    assert_eq!(limiter.check(me, Shown::Secret, &limit, NOW.after_ms(1_000)), Ok(()));
}

#[test]
fn a_botnet_does_not_flush_the_table_and_guesses_slowly() {
    let (mut limiter, limit, me) = (Limiter::default(), default(), key("192.0.2.1"));
    for _ in 0..10 {
        limiter.failed(me, Shown::Secret, &limit, NOW);
    }
    let keys = u32::try_from(limits::LIMITER_KEYS).unwrap();
    let mut let_through = 0;
    for n in 0..2 * keys {
        if limiter.check(numbered(n), Shown::Secret, &limit, NOW).is_ok() {
            let_through += 1;
            limiter.failed(numbered(n), Shown::Secret, &limit, NOW);
        }
        assert!(limiter.len() <= limits::LIMITER_KEYS);
    }
    assert_eq!(let_through, keys - 1 + limits::LIMITER_CROWD);
    assert!(limiter.check(me, Shown::Secret, &limit, NOW).is_err(), "still locked");
    // One of the crowd a second from here on, and who has a place is not touched by it.
    let stranger = numbered(3 * keys);
    let wait = limiter.check(stranger, Shown::Secret, &limit, NOW).unwrap_err();
    assert_eq!(wait, limits::LIMITER_CROWD_MS);
    let later = NOW.after_ms(wait);
    assert_eq!(limiter.check(stranger, Shown::Secret, &limit, later), Ok(()));
    limiter.failed(stranger, Shown::Secret, &limit, later);
    assert!(limiter.check(stranger, Shown::Secret, &limit, later).is_err());
    assert_eq!(limiter.check(numbered(5), Shown::Secret, &limit, NOW), Ok(()));
    // When windows are over there is room again.
    let over = NOW.after_ms(limit.window_ms);
    assert!(!limiter.failed(stranger, Shown::Secret, &limit, over));
    assert!(limiter.len() <= 2, "{}", limiter.len());
}

#[test]
fn pages_of_this_machine_do_not_lock_each_other_out() {
    let source = |ip: &str, origin: Option<&str>| Source {
        ip: ip.parse().unwrap(),
        local: true,
        proxied: false,
        browser: origin.is_some(),
        origin: origin.map(str::to_owned),
        scopes_header: None,
        vouched: None,
    };
    let of = |ip, origin| Key::of_source(&source(ip, origin));
    let one = of("127.0.0.1", Some("http://localhost:3000"));
    assert_eq!(one, of("::1", Some("HTTP://LOCALHOST:3000")));
    assert_ne!(one, of("127.0.0.1", Some("http://localhost:3001")));
    assert_ne!(one, Key::Loopback);
    assert_eq!(of("10.0.0.1", Some("http://a")), of("10.0.0.1", Some("http://b")));
    assert_eq!(of("127.0.0.1", None), Key::Loopback);
}
