//! Commands that are one question to the gateway and a short list as the answer.

use serde_json::Value;

use super::client::{self, CLI, Session, Target, Trouble};
use super::table::Args;
use super::{Failed, out};

/// Lines, or one that says why there are none.
pub(super) fn or_none(lines: Vec<String>, none: &str) -> Vec<String> {
    if lines.is_empty() { vec![none.to_owned()] } else { lines }
}

/// Asks with the least scope that does, prints the payload or its short form.
pub(super) fn ask(
    args: &Args,
    method: &str,
    params: Value,
    short: impl FnOnce(&Value) -> Vec<String>,
) -> Result<u8, Failed> {
    let target = Target::find(args)?;
    match call(args, &target, method, params) {
        Ok(answer) if args.has("json") => out::json(&answer),
        Ok(answer) => short(&answer).iter().for_each(|line| out::line(&out::foreign(line))),
        Err(trouble) => return target.fail(args, &trouble),
    }
    Ok(0)
}

pub(super) fn call(
    args: &Args,
    target: &Target,
    method: &str,
    params: Value,
) -> Result<Value, Trouble> {
    let scopes = client::scopes_for(method, &params);
    let mut session = Session::open(target, CLI, &scopes, client::timeout(args))?;
    let answer = session.request(method, Some(params))?;
    session.close();
    Ok(answer)
}
