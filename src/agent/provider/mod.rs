//! Providers: one file a dialect. A dialect writes the request and reads the stream's events;
//! HTTP, SSE, retries and time are its callers' business.
//!
//! ```text
//! Ask --[Dialect::body]--> request bytes          (endpoint: address, keys, headers)
//! event data --[Reader::event]--> Delta*          (one Reader an answer)
//! body in one piece --[Reader::whole]--> Delta*
//! ```

pub mod anthropic_messages;
pub mod endpoint;
pub mod errors;
pub mod google_generative_ai;
mod json;
pub mod keyring;
pub mod openai_completions;
pub mod openai_responses;
mod schema;
pub mod spec;

pub use endpoint::{Endpoint, way};
pub use errors::{Class, StreamError, Whole};
pub use spec::Spec;

use super::turn::Thought;
use super::{Ask, StopReason, Usage};
use crate::config::Api;
use json::Json;

/// What a stream says, one piece at a time.
#[derive(Debug, Clone, PartialEq)]
pub enum Delta {
    /// More of the answer.
    Text(String),
    /// More of the model's thinking, for whoever watches.
    Reasoning(String),
    /// A piece of thinking is complete, and is to go back to its model with the next turn; its
    /// maker's name is left to whoever keeps it.
    Thought(Thought),
    /// More of a tool call: `index` tells parallel calls apart.
    ToolCall {
        /// Which of the parallel calls.
        index: u64,
        /// With its first piece.
        id: Option<String>,
        /// With its first piece.
        name: Option<String>,
        /// More of the JSON text.
        arguments: String,
    },
    /// Token counts; may come before or after the end.
    Usage(Usage),
    /// The provider's id of the answer.
    ResponseId(String),
    /// Why the model stopped.
    Finish(StopReason),
}

/// What one event of a stream amounted to.
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    /// Go on.
    More,
    /// The provider says that the stream is complete.
    End,
}

/// How a provider is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// [`openai_completions`].
    OpenAiCompletions,
    /// [`openai_responses`].
    OpenAiResponses,
    /// [`openai_responses`] at Azure: another header for the key.
    AzureOpenAiResponses,
    /// [`anthropic_messages`].
    AnthropicMessages,
    /// [`google_generative_ai`].
    GoogleGenerativeAi,
}

impl Dialect {
    /// Every dialect.
    pub const ALL: [Self; 5] = [
        Self::OpenAiCompletions,
        Self::OpenAiResponses,
        Self::AzureOpenAiResponses,
        Self::AnthropicMessages,
        Self::GoogleGenerativeAi,
    ];

    /// The dialect of an `api` in the configuration; `None` for one that is not spoken.
    pub fn of(api: &Api) -> Option<Self> {
        Self::ALL.into_iter().find(|dialect| dialect.as_str() == api.as_str())
    }

    /// The word in the configuration.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::OpenAiCompletions => "openai-completions",
            Self::OpenAiResponses => "openai-responses",
            Self::AzureOpenAiResponses => "azure-openai-responses",
            Self::AnthropicMessages => "anthropic-messages",
            Self::GoogleGenerativeAi => "google-generative-ai",
        }
    }

    /// Appends the request body to `out`.
    pub fn body(self, out: &mut Vec<u8>, spec: &Spec, ask: &Ask) {
        Json::object_at(out, |w| match self {
            Self::OpenAiCompletions => openai_completions::body(w, spec, ask),
            Self::OpenAiResponses | Self::AzureOpenAiResponses => {
                openai_responses::body(w, spec, ask);
            }
            Self::AnthropicMessages => anthropic_messages::body(w, spec, ask),
            Self::GoogleGenerativeAi => google_generative_ai::body(w, spec, ask),
        });
    }

    /// A reader for one answer.
    pub fn reader(self) -> Reader {
        match self {
            Self::OpenAiCompletions => Reader::OpenAiCompletions,
            Self::OpenAiResponses | Self::AzureOpenAiResponses => {
                Reader::OpenAiResponses(openai_responses::Reader::default())
            }
            Self::AnthropicMessages => {
                Reader::AnthropicMessages(anthropic_messages::Reader::default())
            }
            Self::GoogleGenerativeAi => {
                Reader::GoogleGenerativeAi(google_generative_ai::Reader::default())
            }
        }
    }
}

/// The reading side of one answer. What it keeps is of the size of the open block.
#[derive(Debug)]
pub enum Reader {
    /// Needs no memory.
    OpenAiCompletions,
    /// Which calls there are.
    OpenAiResponses(openai_responses::Reader),
    /// The open content block and the counts.
    AnthropicMessages(anthropic_messages::Reader),
    /// How many calls there are.
    GoogleGenerativeAi(google_generative_ai::Reader),
}

impl Reader {
    /// Reads the data of one event.
    ///
    /// # Errors
    /// The provider's own report, or that the data is no event of the dialect.
    pub fn event(&mut self, data: &str, tell: &mut dyn FnMut(Delta)) -> Result<Step, StreamError> {
        match self {
            Self::OpenAiCompletions => openai_completions::event(data, tell),
            Self::OpenAiResponses(reader) => reader.event(data, tell),
            Self::AnthropicMessages(reader) => reader.event(data, tell),
            Self::GoogleGenerativeAi(reader) => reader.event(data, tell),
        }
    }

    /// Reads an answer in one piece: some providers do not stream although they are asked to,
    /// and some report an error under a good status.
    pub fn whole(&mut self, body: &[u8], tell: &mut dyn FnMut(Delta)) -> Whole {
        match self {
            Self::OpenAiCompletions => openai_completions::whole(body, tell),
            Self::OpenAiResponses(reader) => reader.whole(body, tell),
            Self::AnthropicMessages(reader) => reader.whole(body, tell),
            Self::GoogleGenerativeAi(reader) => reader.whole(body, tell),
        }
    }
}

/// Arbitrary bytes as the data of events, one a line, and as an answer in one piece, in every
/// dialect.
pub fn fuzz(data: &[u8]) {
    for dialect in Dialect::ALL {
        let mut reader = dialect.reader();
        for line in String::from_utf8_lossy(data).lines() {
            if reader.event(line, &mut |_| {}).is_err() {
                break;
            }
        }
        let (mut told, mut finished) = (0, 0);
        let read = dialect.reader().whole(data, &mut |delta| {
            told += 1;
            finished += usize::from(matches!(delta, Delta::Finish(_)));
        });
        match read {
            Whole::Answer => assert!(finished > 0, "an answer tells its end"),
            Whole::Neither => assert_eq!(told, 0, "only an answer tells"),
            Whole::Error(_) => {}
        }
    }
}
