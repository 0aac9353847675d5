//! (replaced by the config branch)
use serde_json::Value;
pub fn value(v: &Value) -> Value {
    let _ = v;
    Value::Null
}
pub fn raw(_: &str) -> String {
    String::new()
}
