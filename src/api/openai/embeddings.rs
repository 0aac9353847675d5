//! `POST /v1/embeddings`: what to ask the provider of `memory.search` for, and the answer.
//! Facts: FACTS.md section 8.3 and the reference's page on memory search.

use super::request::{self, Body, Result, member};
use super::{agent_of_model, invalid};
use crate::api::{Reply, error};
use crate::config::{Config, Provider, Secret};
use crate::limits;
use crate::protocol::frame::write_json;
use crate::wire::hash::base64;
use crate::wire::http::client;
use crate::wire::http::head::Headers;
use crate::wire::url::Url;
use serde_json::{Value, json};

/// A request, and where it leads.
#[derive(Debug)]
pub struct Request {
    /// `model` as the client wrote it; echoed.
    model: String,
    inputs: Vec<String>,
    /// `encoding_format: "base64"`: little-endian 32-bit floats.
    base64: bool,
    dimensions: Option<u64>,
    /// Where to ask.
    pub url: Url,
    upstream_model: String,
    headers: Vec<(String, Secret)>,
    vectors: Vec<Vec<f32>>,
    tokens: u64,
}

/// Providers that speak OpenAI's form and need no address.
const KNOWN: [(&str, &str, &str); 3] = [
    ("openai", "https://api.openai.com/v1", "OPENAI_API_KEY"),
    ("mistral", "https://api.mistral.ai/v1", "MISTRAL_API_KEY"),
    ("deepinfra", "https://api.deepinfra.com/v1/openai", "DEEPINFRA_API_KEY"),
];

/// Reads a request.
///
/// # Errors
/// The reply: 400 for what the client can change, 500 for what the operator must.
pub fn parse(body: &[u8], headers: &Headers, config: &Config) -> Result<Request> {
    let body = request::object(body)?;
    let model = request::text(&body, "model")?.unwrap_or("openclaw");
    let agent = agent_of_model(model, config)
        .ok_or_else(|| invalid(400, "Invalid `model`. Use `openclaw` or `openclaw/<agentId>`."))?;
    if !config.agents.has(&agent.to_ascii_lowercase()) {
        let shown: String = agent.chars().take(64).collect();
        return Err(invalid(400, &format!("Unknown agent '{shown}'.")));
    }
    let inputs = inputs(&body)?;
    let base64 = match request::text(&body, "encoding_format")? {
        None | Some("float") => false,
        Some("base64") => true,
        Some(_) => return Err(invalid(400, "`encoding_format` is float or base64.")),
    };
    let dimensions = match request::tokens(&body, "dimensions")? {
        Some(n) if n > limits::EMBED_DIMENSIONS => {
            let most = limits::EMBED_DIMENSIONS;
            return Err(invalid(400, &format!("`dimensions` is at most {most}.")));
        }
        asked => asked.or(config.embeddings.dimensions),
    };
    let asked = headers.get("x-openclaw-model").map(str::trim).filter(|text| !text.is_empty());
    let place = place(asked, config)?;
    Ok(Request {
        model: model.to_owned(),
        inputs,
        base64,
        dimensions,
        url: place.url,
        upstream_model: place.model,
        headers: place.headers,
        vectors: Vec::new(),
        tokens: 0,
    })
}

fn inputs(body: &Body) -> Result<Vec<String>> {
    let bad = || invalid(400, "input: Invalid input");
    let inputs = match member(body, "input") {
        None => {
            return Err(invalid(400, "`input` must be a string or an array of strings."));
        }
        Some(Value::String(text)) => vec![text.clone()],
        Some(Value::Array(items)) if items.len() > limits::EMBED_INPUTS => {
            let most = limits::EMBED_INPUTS;
            return Err(invalid(400, &format!("`input` has at most {most} strings.")));
        }
        Some(Value::Array(items)) => items
            .iter()
            .map(|item| item.as_str().map(str::to_owned).ok_or_else(bad))
            .collect::<Result<_>>()?,
        Some(_) => return Err(bad()),
    };
    if inputs.iter().all(|text| text.trim().is_empty()) {
        return Err(invalid(400, "`input` must contain at least one non-empty string."));
    }
    Ok(inputs)
}

struct Place {
    url: Url,
    model: String,
    headers: Vec<(String, Secret)>,
}

fn unconfigured(what: &str) -> Reply {
    error(500, "api_error", &format!("embeddings are not configured: {what}"))
}

/// Which provider and model, by `memory.search` and `x-openclaw-model`.
fn place(asked: Option<&str>, config: &Config) -> Result<Place> {
    let own = &config.embeddings;
    let id = match own.provider.as_deref() {
        None | Some("auto") => "openai",
        Some(id) => id,
    };
    let model = match asked {
        None => own.model.clone(),
        Some(asked) => Some(model_of(asked, id, config)?),
    };
    let listed = config.models.providers.get(id).filter(|provider| is_openai(provider));
    let known = KNOWN.iter().find(|(known, ..)| *known == id);
    let home = listed.map(|provider| provider.base_url.as_str()).or(known.map(|(_, url, _)| *url));
    let base = own.base_url.as_deref().or(home).ok_or_else(|| {
        unconfigured(&format!(
            "memory.search.provider is \"{id}\"; set memory.search.remote.baseUrl, or name a \
             provider of models.providers that speaks OpenAI's form"
        ))
    })?;
    let base = Url::parse(base).map_err(|_| unconfigured("its baseUrl is no http(s) address"))?;
    let default = (id == "openai").then(|| "text-embedding-3-small".to_owned());
    let model = model.or(default).ok_or_else(|| unconfigured("set memory.search.model"))?;
    // Credentials of a provider go to its own address only.
    let at_home = home.is_some_and(|home| {
        Url::parse(home).is_ok_and(|home| (&home.host, home.port) == (&base.host, base.port))
    });
    let variable = known.and_then(|(_, _, name)| config.env.get(name));
    let inherited = listed.and_then(|provider| Some(provider.keys.first()?.secret.clone()));
    let inherited = inherited.or(variable.map(|key| Secret::new(key.to_owned())));
    let key = own.api_key.clone().or(inherited.filter(|_| at_home));
    let mut headers: Vec<(String, Secret)> = Vec::new();
    if let Some(key) = key {
        let bearer = Secret::new(format!("Bearer {}", key.expose()));
        headers.push(("Authorization".to_owned(), bearer));
    }
    let inherited = listed.filter(|_| at_home).into_iter().flat_map(|p| p.headers.iter());
    for (name, value) in inherited.chain(&own.headers) {
        headers.retain(|(known, _)| !known.eq_ignore_ascii_case(name));
        headers.push((name.clone(), value.clone()));
    }
    let path_and_query = base.join_path("embeddings");
    Ok(Place { url: Url { path_and_query, ..base }, model, headers })
}

fn is_openai(provider: &Provider) -> bool {
    matches!(provider.api.as_str(), "openai-completions" | "openai-responses")
}

/// `provider/model` of the configured provider, or a bare model.
fn model_of(asked: &str, id: &str, config: &Config) -> Result<String> {
    let Some((provider, model)) = asked.split_once('/') else { return Ok(asked.to_owned()) };
    if provider == id && !model.is_empty() {
        return Ok(model.to_owned());
    }
    let other = config.models.providers.contains_key(provider)
        || KNOWN.iter().any(|(known, ..)| *known == provider);
    if other {
        let what = "x-openclaw-model: `/v1/embeddings` asks the provider of memory.search only";
        return Err(invalid(400, what));
    }
    Ok(asked.to_owned())
}

impl Request {
    /// The next inputs to ask for: so many that a batch keeps its bounds.
    fn batch(&self) -> &[String] {
        let rest = self.inputs.get(self.vectors.len()..).unwrap_or_default();
        let mut bytes = 0usize;
        let fits = rest.iter().take(limits::EMBED_BATCH).take_while(|text| {
            bytes = bytes.saturating_add(text.len());
            bytes <= limits::EMBED_BATCH_BYTES
        });
        let count = fits.count().max(1).min(rest.len());
        rest.get(..count).unwrap_or_default()
    }

    /// The HTTP request for the next batch.
    pub fn next_request(&self) -> Vec<u8> {
        let mut body = json!({
            "model": self.upstream_model, "input": self.batch(), "encoding_format": "float",
        });
        if let Some(dimensions) = self.dimensions {
            body["dimensions"] = json!(dimensions);
        }
        let body = body.to_string();
        let mut headers = vec![
            ("Content-Type", "application/json"),
            ("Accept", "application/json"),
            ("Accept-Encoding", "identity"),
            ("Connection", "close"),
            ("User-Agent", concat!("openclaw-gateway/", env!("CARGO_PKG_VERSION"))),
        ];
        headers.retain(|(name, _)| {
            !self.headers.iter().any(|(own, _)| own.eq_ignore_ascii_case(name))
        });
        headers.extend(self.headers.iter().map(|(name, value)| (&**name, value.expose())));
        let host = self.url.host_header();
        let mut out = Vec::with_capacity(body.len() + 1024);
        let path = &self.url.path_and_query;
        client::request(&mut out, "POST", &host, path, &headers, Some(body.as_bytes()));
        out
    }

    /// Bytes that it holds, about.
    pub fn bytes(&self) -> usize {
        let texts: usize = self.inputs.iter().map(|text| text.len() + 24).sum();
        let floats: usize = self.vectors.iter().map(|vector| vector.len() * 4 + 24).sum();
        texts + floats
    }

    /// Takes the answer to a batch; the reply when all are there, nothing when another is next.
    ///
    /// # Errors
    /// The reply when the provider refused, or answered something else.
    pub fn answered(&mut self, status: u16, body: &[u8]) -> Result<Option<Reply>> {
        let value: Value = serde_json::from_slice(body).unwrap_or(Value::Null);
        if status != 200 {
            return Err(self.refused(status, &value));
        }
        let wanted = self.batch().len();
        let odd = || error(502, "api_error", "the embeddings provider's answer is none");
        let data = value.get("data").and_then(Value::as_array).ok_or_else(odd)?;
        let mut vectors: Vec<Option<Vec<f32>>> = vec![None; wanted];
        for (place, row) in data.iter().enumerate() {
            let index = row.get("index").and_then(Value::as_u64);
            let index = index.map_or(place, |n| usize::try_from(n).unwrap_or(usize::MAX));
            let floats = row.get("embedding").and_then(Value::as_array).ok_or_else(odd)?;
            #[expect(clippy::cast_possible_truncation, reason = "embeddings are 32-bit floats")]
            let vector: Option<Vec<f32>> =
                floats.iter().map(|number| number.as_f64().map(|f| f as f32)).collect();
            *vectors.get_mut(index).ok_or_else(odd)? = Some(vector.ok_or_else(odd)?);
        }
        self.vectors.extend(vectors.into_iter().collect::<Option<Vec<_>>>().ok_or_else(odd)?);
        let floats: usize = self.vectors.iter().map(Vec::len).sum();
        if floats > limits::EMBED_FLOATS {
            let what = "the vectors are more than one answer may hold; send fewer inputs";
            return Err(invalid(400, what));
        }
        let used = value.get("usage").and_then(|usage| usage.get("prompt_tokens")?.as_u64());
        self.tokens = self.tokens.saturating_add(used.unwrap_or(0));
        Ok((self.vectors.len() == self.inputs.len()).then(|| self.reply()))
    }

    fn refused(&self, status: u16, body: &Value) -> Reply {
        let why = body.pointer("/error/message").and_then(Value::as_str).unwrap_or_default();
        let mut why: String = why.chars().take(300).collect();
        for (_, value) in &self.headers {
            // Providers quote the key that they refuse.
            let secret = value.expose().trim_start_matches("Bearer ");
            if secret.len() >= 6 {
                why = why.replace(secret, "***");
            }
        }
        let status = match status {
            400 | 429 => status,
            _ => 502,
        };
        error(status, "api_error", &format!("the embeddings provider refused: {why}"))
    }

    fn reply(&self) -> Reply {
        let mut out = Vec::with_capacity(256);
        out.extend_from_slice(br#"{"object":"list","data":["#);
        for (index, vector) in self.vectors.iter().enumerate() {
            if index > 0 {
                out.push(b',');
            }
            out.extend_from_slice(br#"{"object":"embedding","index":"#);
            write_json(&mut out, &index);
            out.extend_from_slice(br#","embedding":"#);
            if self.base64 {
                let bytes: Vec<u8> = vector.iter().flat_map(|f| f.to_le_bytes()).collect();
                write_json(&mut out, &base64(&bytes));
            } else {
                write_json(&mut out, vector);
            }
            out.push(b'}');
        }
        out.extend_from_slice(br#"],"model":"#);
        write_json(&mut out, &self.model);
        out.extend_from_slice(br#","usage":{"prompt_tokens":"#);
        write_json(&mut out, &self.tokens);
        out.extend_from_slice(br#","total_tokens":"#);
        write_json(&mut out, &self.tokens);
        out.extend_from_slice(b"}}");
        Reply::raw(200, out)
    }
}

/// Any body and any answer of a provider: a request or a reply, never a panic.
#[doc(hidden)]
pub fn fuzz(data: &[u8]) {
    let mut config = Config::defaults();
    config.embeddings.model = Some("e".to_owned());
    match parse(data, &Headers::default(), &config) {
        Ok(request) => assert!(!request.batch().is_empty()),
        Err(reply) => assert!((400..=500).contains(&reply.status)),
    }
    if let Ok(mut request) = parse(br#"{"input": ["a", "b"]}"#, &Headers::default(), &config)
        && let Ok(None) = request.answered(200, data)
    {
        unreachable!("one batch, so it is the answer or an error");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> Config {
        let mut config = Config::defaults();
        config.embeddings.provider = Some("openai-compatible".to_owned());
        config.embeddings.model = Some("e".to_owned());
        config.embeddings.base_url = Some("http://h:1/v1".to_owned());
        config
    }

    fn of(body: &Value, config: &Config) -> Result<Request> {
        parse(body.to_string().as_bytes(), &Headers::default(), config)
    }

    #[test]
    fn inputs_leave_in_batches_and_come_back_in_order() {
        let inputs: Vec<String> = (0..limits::EMBED_BATCH + 2).map(|n| n.to_string()).collect();
        let body = json!({"input": inputs, "dimensions": 2});
        let mut request = of(&body, &config()).expect("a request");
        let sent = String::from_utf8(request.next_request()).expect("text");
        assert!(sent.starts_with("POST /v1/embeddings HTTP/1.1\r\nHost: h:1\r\n"), "{sent}");
        assert!(sent.contains("\"dimensions\":2") && sent.contains("\"127\""), "{sent}");
        assert!(!sent.contains("\"128\""), "the next batch");
        let rows = |from: usize, to: usize| {
            let row = |n: usize| json!({"index": n - from, "embedding": [n, 0.5]});
            let mut rows: Vec<Value> = (from..to).map(row).collect();
            rows.reverse();
            json!({"data": rows, "usage": {"prompt_tokens": 3}}).to_string()
        };
        let first = request.answered(200, rows(0, limits::EMBED_BATCH).as_bytes());
        assert_eq!(first.expect("fine"), None);
        let last = rows(limits::EMBED_BATCH, limits::EMBED_BATCH + 2);
        let reply = request.answered(200, last.as_bytes()).expect("fine").expect("all");
        let value: Value = serde_json::from_slice(&reply.body).expect("JSON");
        assert_eq!(
            value["data"][129],
            json!({"object": "embedding", "index": 129,
            "embedding": [129.0, 0.5]})
        );
        assert_eq!(value["usage"], json!({"prompt_tokens": 6, "total_tokens": 6}));
        let long = json!({"input": ["x".repeat(limits::EMBED_BATCH_BYTES + 1), "y"]});
        assert_eq!(of(&long, &config()).expect("a request").batch().len(), 1);
    }

    #[test]
    fn what_a_provider_may_answer() {
        let table: [(u16, &str, u16); 7] = [
            (200, r#"{"data": [{"embedding": [1]}]}"#, 200),
            (200, "no JSON", 502),
            (200, r#"{"data": []}"#, 502),
            (200, r#"{"data": [{"embedding": [1]}, {"embedding": [1]}]}"#, 502),
            (200, r#"{"data": [{"embedding": ["x"]}]}"#, 502),
            (429, r#"{"error": {"message": "slow"}}"#, 429),
            (401, r#"{"error": {"message": "bad key"}}"#, 502),
        ];
        for (status, body, want) in table {
            let mut request = of(&json!({"input": "a"}), &config()).expect("a request");
            let reply = match request.answered(status, body.as_bytes()) {
                Ok(reply) => reply.expect("one batch"),
                Err(reply) => reply,
            };
            assert_eq!(reply.status, want, "{body}");
        }
        let many = format!("[{}1]", "1,".repeat(limits::EMBED_FLOATS));
        let mut request = of(&json!({"input": "a"}), &config()).expect("a request");
        let body = format!("{{\"data\": [{{\"embedding\": {many}}}]}}");
        assert_eq!(request.answered(200, body.as_bytes()).expect_err("too much").status, 400);
    }

    #[test]
    fn keys_go_to_their_own_address_only() {
        let mut config = Config::defaults();
        let provider = Provider {
            base_url: "https://api.example/v1".to_owned(),
            keys: vec![crate::config::Key {
                name: "mine".to_owned(),
                secret: Secret::new("sk-own".to_owned()),
            }],
            ..Provider::default()
        };
        config.models.providers.insert("mine".to_owned(), provider);
        config.embeddings.provider = Some("mine".to_owned());
        config.embeddings.model = Some("e".to_owned());
        let sent = |config: &Config| {
            let request = of(&json!({"input": "a"}), config).expect("a request");
            String::from_utf8(request.next_request()).expect("text")
        };
        assert!(sent(&config).contains("Authorization: Bearer sk-own"));
        config.embeddings.base_url = Some("https://elsewhere.example/v1".to_owned());
        assert!(!sent(&config).contains("sk-own"));
        config.embeddings.api_key = Some(Secret::new("sk-there".to_owned()));
        assert!(sent(&config).contains("Authorization: Bearer sk-there"));
    }
}
