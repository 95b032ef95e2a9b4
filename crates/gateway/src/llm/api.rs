//! Which API of which provider a call speaks, by its path.

use tollgate_core::money::price::Provider;

/// An API whose calls can be metered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Api {
    /// OpenAI's chat completions.
    OpenAiChat,
    /// OpenAI's responses.
    OpenAiResponses,
    /// OpenAI's embeddings.
    OpenAiEmbeddings,
    /// Anthropic's messages.
    AnthropicMessages,
    /// Gemini's `generateContent` and `streamGenerateContent`.
    GeminiGenerate,
}

impl Api {
    /// Whose it is.
    #[must_use]
    pub const fn provider(self) -> Provider {
        match self {
            Self::OpenAiChat | Self::OpenAiResponses | Self::OpenAiEmbeddings => Provider::OpenAi,
            Self::AnthropicMessages => Provider::Anthropic,
            Self::GeminiGenerate => Provider::Gemini,
        }
    }
}

/// How an answer's body is put together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Framing {
    /// One JSON document, or an array of them (Gemini's stream without `alt=sse`).
    Json,
    /// `text/event-stream`.
    EventStream,
}

/// What a path of Gemini's API names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GeminiTarget<'p> {
    /// The model.
    pub model: &'p str,
    /// Whether the answer is streamed.
    pub stream: bool,
}

/// The API that a normalised path of a provider belongs to; `None` for what cannot be metered.
#[must_use]
pub fn api_of(provider: Provider, path: &str) -> Option<Api> {
    match provider {
        Provider::OpenAi if path.ends_with("/chat/completions") => Some(Api::OpenAiChat),
        Provider::OpenAi if path.ends_with("/responses") => Some(Api::OpenAiResponses),
        Provider::OpenAi if path.ends_with("/embeddings") => Some(Api::OpenAiEmbeddings),
        Provider::Anthropic if path.ends_with("/messages") => Some(Api::AnthropicMessages),
        Provider::Gemini => gemini_target(path).map(|_| Api::GeminiGenerate),
        _ => None,
    }
}

/// Reads `/v1beta/models/{model}:generateContent` and `:streamGenerateContent`.
#[must_use]
pub fn gemini_target(path: &str) -> Option<GeminiTarget<'_>> {
    let (before, call) = path.rsplit_once('/')?;
    let (model, method) = call.rsplit_once(':')?;
    let stream = match method {
        "generateContent" => false,
        "streamGenerateContent" => true,
        _ => return None,
    };
    let is_model = before.ends_with("/models") && !model.is_empty();
    is_model.then_some(GeminiTarget { model, stream })
}
