//! Commands as the menu of a service shows them: name and meaning.
//!
//! The table of commands is the gateway's, which this room may not use; a test there holds the
//! two together.

/// Every command, in the order of the gateway's table.
pub const COMMANDS: &[(&str, &str)] = &[
    ("help", "Show what can be typed here."),
    ("commands", "List every command."),
    ("status", "Show session, model and usage."),
    ("whoami", "Show who you are to this gateway."),
    ("context", "Show what fills the context."),
    ("usage", "Show tokens and cost, or set the footer of answers."),
    ("stop", "Stop the run of this session."),
    ("new", "Start anew; a model or a message may follow."),
    ("reset", "Empty this session; a message may follow."),
    ("name", "Name this session."),
    ("compact", "Replace what was said earlier by its summary."),
    ("model", "Show or choose the model of this session."),
    ("models", "List the models."),
    ("think", "Set how much the model thinks."),
    ("verbose", "Tell more of what a run does."),
    ("reasoning", "Show the model's reasoning."),
    ("queue", "Say what a message does while a run is under way."),
];
