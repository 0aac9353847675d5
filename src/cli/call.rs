//! `openclaw gateway call <method>`: one method, its payload as JSON.

use serde_json::Value;

use super::client::{self, CLI, Session, Target};
use super::table::Args;
use super::{Failed, out};

/// Runs the command.
///
/// # Errors
/// Bad `--params`, or whatever the gateway says.
pub fn run(args: &Args) -> Result<u8, Failed> {
    let method = args.operands.first().map(String::as_str).unwrap_or_default();
    let params = params(args.value("params"))?;
    let target = Target::find(args)?;
    let scopes = client::scopes_for(method, params.as_ref().unwrap_or(&Value::Null));
    let asked = Session::open(&target, CLI, &scopes, client::timeout(args)).and_then(|mut it| {
        let payload = if args.has("expect-final") {
            it.request_final(method, params)
        } else {
            it.request(method, params)
        };
        it.close();
        payload
    });
    match asked {
        Ok(payload) => {
            out::json(&payload);
            Ok(0)
        }
        Err(trouble) => target.fail(args, &trouble),
    }
}

/// `--params`: an object; absent stays absent, as the reference's client sends it.
fn params(text: Option<&str>) -> Result<Option<Value>, Failed> {
    let Some(text) = text else { return Ok(None) };
    let example = "openclaw gateway call logs.tail --params '{\"limit\":20}'";
    match serde_json::from_str(text) {
        Ok(value @ Value::Object(_)) => Ok(Some(value)),
        Ok(_) => Err(Failed::new("--params must be a JSON object", example)),
        Err(error) => Err(Failed::new(format!("--params is not JSON: {error}"), example)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn params_are_an_object_or_absent() {
        assert_eq!(params(None), Ok(None));
        assert_eq!(params(Some("{\"a\":1}")).unwrap().unwrap()["a"], 1);
        for bad in ["", "[]", "1", "{a:1}"] {
            let failed = params(Some(bad)).unwrap_err();
            assert!(failed.what.starts_with("--params"), "{failed}");
            assert!(failed.next.contains("openclaw gateway call"), "{failed}");
        }
    }
}
