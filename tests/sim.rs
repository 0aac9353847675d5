//! Worlds by seed: the gateway over a simulated network, clock and disk.

use openclaw_gateway::gateway::Faults;
use openclaw_gateway::sim::chats::Which;
use openclaw_gateway::sim::{Invariant, Report, Scenario, run};

/// `SIM_SEED=n` runs one seed, `SIM_SEEDS=n` that many.
fn seeds(usual: u64) -> std::ops::Range<u64> {
    let number = |name| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    match (number("SIM_SEED"), number("SIM_SEEDS")) {
        (Some(seed), _) => seed..seed + 1,
        (None, many) => 0..many.unwrap_or(usual),
    }
}

fn every_seed(usual: u64, scenario: Scenario) {
    for seed in seeds(usual) {
        lived(seed, scenario);
    }
}

fn lived(seed: u64, scenario: Scenario) -> Report {
    run(seed, scenario, Faults::default()).unwrap_or_else(|failure| panic!("{failure}"))
}

#[test]
fn a_bit_of_everything() {
    every_seed(256, Scenario::Mixed);
}

#[test]
fn every_byte_alone() {
    every_seed(24, Scenario::Bytewise);
}

/// One conversation, each of its connections cut at each offset in turn: upgrade, connect and
/// requests on one, the provider's answer on another.
#[test]
fn cut_at_every_byte() {
    for at in 1..1400 {
        lived(0, Scenario::SplitAt(at));
    }
}

#[test]
fn connections_that_break() {
    every_seed(128, Scenario::Resets);
}

#[test]
fn peers_that_do_not_read() {
    every_seed(128, Scenario::SlowReaders);
}

#[test]
fn providers_that_stall_break_and_refuse() {
    every_seed(128, Scenario::Stalls);
}

#[test]
fn a_disk_that_is_full() {
    every_seed(128, Scenario::DiskFull);
}

#[test]
fn agents_that_beat() {
    every_seed(32, Scenario::Beats);
}

#[test]
fn chats_by_telegram() {
    every_seed(256, Scenario::Chats(Which::Telegram));
}

#[test]
fn chats_by_telegrams_webhook() {
    every_seed(256, Scenario::Chats(Which::TelegramHook));
}

#[test]
fn chats_by_discord() {
    every_seed(256, Scenario::Chats(Which::Discord));
}

#[test]
fn chats_by_slack() {
    every_seed(256, Scenario::Chats(Which::Slack));
}

#[test]
fn chats_by_slacks_requests() {
    every_seed(256, Scenario::Chats(Which::SlackHttp));
}

#[test]
fn chats_by_irc() {
    every_seed(128, Scenario::Chats(Which::Irc));
}

#[test]
fn chats_written_by_telegram() {
    every_seed(128, Scenario::Written(Which::Telegram));
}

#[test]
fn chats_written_by_discord() {
    every_seed(128, Scenario::Written(Which::Discord));
}

#[test]
fn chats_written_by_slack() {
    every_seed(128, Scenario::Written(Which::Slack));
}

/// As below, for what only a world of chats can notice.
#[test]
#[expect(clippy::print_stdout, reason = "which seed caught what is worth knowing")]
fn planted_faults_of_chats_are_caught() {
    let none = Faults::default();
    let table: [(&str, Faults, Which, &[Invariant]); 6] = [
        (
            "a request is acknowledged unread",
            Faults { acknowledge_hooks_unread: true, ..none },
            Which::TelegramHook,
            &[Invariant::Durable],
        ),
        (
            "a challenge and its events are acknowledged unread",
            Faults { acknowledge_hooks_unread: true, ..none },
            Which::SlackHttp,
            &[Invariant::Durable, Invariant::KeepsRules],
        ),
        (
            "a receipt is forgotten",
            Faults { forget_receipts: true, ..none },
            Which::TelegramHook,
            &[Invariant::OneEnd, Invariant::Live],
        ),
        (
            "a button spins on",
            Faults { leave_buttons_spinning: true, ..none },
            Which::Telegram,
            &[Invariant::KeepsRules],
        ),
        (
            "an interaction is not deferred",
            Faults { leave_buttons_spinning: true, ..none },
            Which::Discord,
            &[Invariant::KeepsRules],
        ),
        (
            "a journal is not synced",
            Faults { skip_channel_sync: true, ..none },
            Which::Telegram,
            &[Invariant::OneEnd, Invariant::Durable],
        ),
    ];
    for (name, faults, which, fitting) in table {
        let scenario = Scenario::Chats(which);
        let caught = (0..256).find_map(|seed| Some((seed, run(seed, scenario, faults).err()?)));
        let Some((seed, failure)) = caught else { panic!("{name}: unnoticed in 256 seeds") };
        println!("{name}: seed {seed} of {scenario:?}, {:?}", failure.invariant);
        assert!(fitting.contains(&failure.invariant), "{name}: {failure}");
        lived(seed, scenario);
    }
}

/// A look that was told to wait forgot that it looked: the answer came twice.
#[test]
fn chats_that_found_something() {
    if std::env::var_os("SIM_SEED").is_none() {
        lived(553, Scenario::Chats(Which::Slack));
        lived(261, Scenario::Chats(Which::Discord));
    }
}

/// How many turns a conversation takes that nothing interrupts.
fn turns(seed: u64, scenario: fn(u64) -> Scenario) -> u64 {
    lived(seed, scenario(u64::MAX)).turns
}

/// Interrupts a conversation fixed by its seed: at every turn of the first, at some turns of
/// many.
fn at_each_turn(scenario: fn(u64) -> Scenario) {
    for seed in seeds(64) {
        let length = turns(seed, scenario);
        let step = if seed < 1 { 1 } else { 1 + length / 3 };
        for turn in (1 + seed % step..=length).step_by(step as usize) {
            lived(seed, scenario(turn));
        }
    }
}

#[test]
fn sigterm_at_any_turn() {
    at_each_turn(Scenario::TermAt);
}

#[test]
fn kill_9_at_any_turn() {
    at_each_turn(Scenario::CrashAt);
}

#[test]
fn a_power_cut_at_any_turn() {
    at_each_turn(Scenario::PowerCutAt);
}

#[test]
fn a_seed_is_a_world() {
    for seed in seeds(8) {
        for scenario in [Scenario::Mixed, Scenario::Stalls, Scenario::CrashAt(150)] {
            assert_eq!(lived(seed, scenario), lived(seed, scenario), "seed {seed}");
        }
    }
    let other = lived(1, Scenario::Mixed);
    assert_ne!(lived(0, Scenario::Mixed).trace, other.trace);
}

/// Each planted fault is noticed within 256 seeds, by a fitting invariant, and the seed that
/// notices it is at peace without the fault.
#[test]
#[expect(clippy::print_stdout, reason = "which seed caught what is worth knowing")]
fn planted_faults_are_caught() {
    let none = Faults::default();
    let table: [(&str, Faults, Scenario, &[Invariant]); 7] = [
        (
            "acknowledge before append",
            Faults { acknowledge_before_append: true, ..none },
            Scenario::Mixed,
            &[Invariant::Durable],
        ),
        (
            "skip a generation check",
            Faults { skip_generation_check: true, ..none },
            Scenario::Mixed,
            &[Invariant::WellServed, Invariant::Live, Invariant::OwnReplies],
        ),
        (
            "a second terminal event",
            Faults { second_terminal_event: true, ..none },
            Scenario::Mixed,
            &[Invariant::OneEnd],
        ),
        (
            "a lost wake-up",
            Faults { lost_wake_up: true, ..none },
            Scenario::Stalls,
            &[Invariant::Live],
        ),
        (
            "a buffer past its limit",
            Faults { buffer_past_its_limit: true, ..none },
            Scenario::SlowReaders,
            &[Invariant::Bounded],
        ),
        (
            "a reply to the wrong connection",
            Faults { reply_to_the_wrong_connection: true, ..none },
            Scenario::Mixed,
            &[Invariant::OwnReplies],
        ),
        (
            "a tool carried out twice",
            Faults { run_tool_twice: true, ..none },
            Scenario::Mixed,
            &[Invariant::ToolsOnce],
        ),
    ];
    for (name, faults, scenario, fitting) in table {
        let caught = (0..256).find_map(|seed| Some((seed, run(seed, scenario, faults).err()?)));
        let Some((seed, failure)) = caught else { panic!("{name}: unnoticed in 256 seeds") };
        println!("{name}: seed {seed} of {scenario:?}, {:?}", failure.invariant);
        assert!(fitting.contains(&failure.invariant), "{name}: {failure}");
        lived(seed, scenario);
    }
}
