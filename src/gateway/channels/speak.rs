//! Lines of channels in the log: `channels/<id>`, the account in front unless it is the default.

/// Says something of an account. Targets are constants, so that the log can filter by them.
pub(super) fn say(level: log::Level, channel: &str, account: &str, line: &str) {
    let whose = match account {
        crate::channels::account::DEFAULT => String::new(),
        account => format!("[{account}] "),
    };
    match channel {
        "telegram" => log::log!(target: "channels/telegram", level, "{whose}{line}"),
        "discord" => log::log!(target: "channels/discord", level, "{whose}{line}"),
        "slack" => log::log!(target: "channels/slack", level, "{whose}{line}"),
        "irc" => log::log!(target: "channels/irc", level, "{whose}{line}"),
        _ => log::log!(target: "channels", level, "{channel}: {whose}{line}"),
    }
}
