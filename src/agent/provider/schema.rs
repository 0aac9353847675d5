//! Tools on their way to a provider: OpenAI's declaration taken apart, and schemas without what
//! an endpoint refuses.

use serde_json::Value;

/// A declared function: `{type: "function", function: {name, description?, parameters?}}`.
pub(super) struct Function<'a> {
    pub(super) name: &'a str,
    pub(super) description: Option<&'a str>,
    pub(super) parameters: Option<&'a Value>,
    pub(super) strict: Option<bool>,
}

/// The function that a tool declares; `None` for what is no function.
pub(super) fn function(tool: &Value) -> Option<Function<'_>> {
    let function = tool.get("function")?;
    Some(Function {
        name: function.get("name")?.as_str()?,
        description: function.get("description").and_then(Value::as_str),
        parameters: function.get("parameters").filter(|schema| schema.is_object()),
        strict: function.get("strict").and_then(Value::as_bool),
    })
}

/// What a caller's `tool_choice` means.
pub(super) enum Choice<'a> {
    Auto,
    None,
    /// Some tool.
    Any,
    /// This tool.
    Named(&'a str),
}

/// From OpenAI's words; what is not understood is the default.
pub(super) fn choice(choice: Option<&Value>) -> Choice<'_> {
    match choice {
        Some(Value::String(word)) if word == "none" => Choice::None,
        Some(Value::String(word)) if word == "required" => Choice::Any,
        Some(Value::Object(named)) => {
            let inner = named.get("function").and_then(|inner| inner.get("name"));
            match inner.or(named.get("name")).and_then(Value::as_str) {
                Some(name) => Choice::Named(name),
                None => Choice::Auto,
            }
        }
        _ => Choice::Auto,
    }
}

/// A tool whose schema lacks these keywords, at any depth; `None` when there is nothing to take
/// out. Names of properties are not keywords.
pub(super) fn cleaned(tool: &Value, keywords: &[String]) -> Option<Value> {
    if keywords.is_empty() {
        return None;
    }
    let mut tool = tool.clone();
    if let Some(parameters) = tool.pointer_mut("/function/parameters") {
        clean(parameters, keywords, 0);
    }
    Some(tool)
}

fn clean(schema: &mut Value, keywords: &[String], depth: usize) {
    /// Deeper than any schema; what lies below goes as it is.
    const DEPTH: usize = 64;
    if depth > DEPTH {
        return;
    }
    match schema {
        Value::Object(members) => {
            members.retain(|name, _| !keywords.contains(name));
            for (name, inner) in members {
                match inner {
                    Value::Object(named)
                        if matches!(
                            name.as_str(),
                            "properties" | "patternProperties" | "$defs" | "definitions"
                        ) =>
                    {
                        named.values_mut().for_each(|inner| clean(inner, keywords, depth + 1));
                    }
                    Value::Object(_) | Value::Array(_)
                        if !matches!(name.as_str(), "enum" | "const" | "default" | "examples") =>
                    {
                        clean(inner, keywords, depth + 1);
                    }
                    _ => {}
                }
            }
        }
        Value::Array(items) => {
            items.iter_mut().for_each(|inner| clean(inner, keywords, depth + 1));
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn refused_keywords_go_but_properties_of_that_name_stay() {
        let tool = json!({"type": "function", "function": {"name": "f", "parameters": {
            "type": "object", "pattern": "x",
            "properties": {"pattern": {"type": "string", "pattern": "^a", "enum": ["pattern"]},
                "list": {"items": {"anyOf": [{"pattern": "b", "type": "string"}]}}}}}});
        let want = json!({"type": "function", "function": {"name": "f", "parameters": {
            "type": "object",
            "properties": {"pattern": {"type": "string", "enum": ["pattern"]},
                "list": {"items": {"anyOf": [{"type": "string"}]}}}}}});
        assert_eq!(cleaned(&tool, &["pattern".to_owned()]), Some(want));
        assert_eq!(cleaned(&tool, &[]), None);
    }
}
