//! Section `tools.media.audio`, and what of `tools.media.models` hears: who writes down what is
//! said in voice notes (the reference's `docs/nodes/audio.md`).

use super::secret::Secret;
use super::snapshot::{Key, Proxy};
use serde_json::Value;

/// How a service is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// OpenAI's: a form to `audio/transcriptions`.
    OpenAi,
    /// Deepgram's: the bytes themselves to `listen`.
    Deepgram,
    /// ElevenLabs': a form to `v1/speech-to-text`.
    ElevenLabs,
    /// xAI's: a form to `stt`.
    Xai,
    /// OpenRouter's: JSON to `audio/transcriptions`.
    OpenRouter,
    /// Google's: JSON to a model that hears.
    Google,
}

/// A service that everybody knows.
#[derive(Debug)]
pub struct Service {
    /// Its id in `models.providers`.
    pub id: &'static str,
    /// How it is asked.
    pub form: Form,
    /// Where it is.
    pub base_url: &'static str,
    /// Its model when none is named; xAI has only one.
    pub model: &'static str,
    /// An entry without `capabilities` is one for audio.
    pub implied: bool,
}

const fn service(
    id: &'static str,
    form: Form,
    base_url: &'static str,
    model: &'static str,
) -> Service {
    Service { id, form, base_url, model, implied: true }
}

/// Those that are found by their keys, first choice first.
pub static SERVICES: &[Service] = &[
    service("groq", Form::OpenAi, "https://api.groq.com/openai/v1", "whisper-large-v3-turbo"),
    Service {
        implied: false,
        ..service("openai", Form::OpenAi, "https://api.openai.com/v1", "gpt-4o-transcribe")
    },
    service("xai", Form::Xai, "https://api.x.ai/v1", ""),
    service("deepgram", Form::Deepgram, "https://api.deepgram.com/v1", "nova-3"),
    service(
        "openrouter",
        Form::OpenRouter,
        "https://openrouter.ai/api/v1",
        "openai/whisper-large-v3-turbo",
    ),
    service(
        "google",
        Form::Google,
        "https://generativelanguage.googleapis.com/v1beta",
        "gemini-3-flash-preview",
    ),
    service(
        "senseaudio",
        Form::OpenAi,
        "https://api.senseaudio.cn/v1",
        "senseaudio-asr-pro-1.5-260319",
    ),
    service("elevenlabs", Form::ElevenLabs, "https://api.elevenlabs.io", "scribe_v2"),
    service("mistral", Form::OpenAi, "https://api.mistral.ai/v1", "voxtral-mini-latest"),
];

/// A model that hears, with all that a request to it needs.
#[derive(Debug, Clone)]
pub struct Listener {
    /// Its provider.
    pub provider: String,
    /// How it is asked.
    pub form: Form,
    /// Empty for the service's only one.
    pub model: String,
    /// Without a slash at the end.
    pub base_url: String,
    /// In the order in which they are tried.
    pub keys: Vec<Key>,
    /// Extra request headers; values may be credentials.
    pub headers: Vec<(String, Secret)>,
    /// On the way to it.
    pub proxy: Option<Proxy>,
    /// `language`.
    pub language: Option<String>,
    /// `prompt`.
    pub prompt: Option<String>,
    /// `maxBytes` of a file.
    pub max_bytes: u64,
    /// `maxChars` of a transcript.
    pub max_chars: usize,
    /// `timeoutSeconds`, in milliseconds.
    pub timeout_ms: u64,
    /// `providerOptions.<provider>`: further parameters of the request; Deepgram has them.
    pub options: Vec<(String, String)>,
    /// Why it cannot be asked.
    pub broken: Option<String>,
}

impl Listener {
    /// `openai/gpt-4o-transcribe`, for people.
    pub fn name(&self) -> String {
        match self.model.as_str() {
            "" => self.provider.clone(),
            model => format!("{}/{model}", self.provider),
        }
    }
}

/// Which files of a message are heard: `attachments`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selection {
    /// So many of them: 1 unless `mode` is `all`.
    pub most: usize,
    /// `prefer: "last"`.
    pub last: bool,
}

impl Default for Selection {
    fn default() -> Self {
        Self { most: 1, last: false }
    }
}

/// Section `tools.media.audio`.
#[derive(Debug, Clone, Default)]
pub struct Audio {
    /// `enabled: false`.
    pub off: bool,
    /// Those of `tools.media.models`, in the order in which they are tried.
    pub listeners: Vec<Listener>,
    /// Those that were found by their keys; one of them is asked when none is configured.
    pub found: Vec<Listener>,
    /// `scope`: where anything is heard at all.
    pub scope: Value,
    /// `attachments`.
    pub selection: Selection,
    /// `echoFormat`, when the transcript is shown in the conversation.
    pub echo: Option<String>,
    /// `tools.media.concurrency`.
    pub at_once: usize,
}

impl Audio {
    /// Who is asked, one after the other. `active` is the provider of the agent's model. What is
    /// configured goes on to the next when one fails; of those that were found only one is asked,
    /// so that a recording does not travel from service to service.
    pub fn listeners(&self, active: &str) -> &[Listener] {
        if self.off {
            return &[];
        }
        if !self.listeners.is_empty() {
            return &self.listeners;
        }
        let own = self.found.iter().position(|it| it.provider == active).unwrap_or(0);
        self.found.get(own..own.saturating_add(1)).unwrap_or_default()
    }
}
