//! What a body holds that a provider turns into more tokens than it has bytes: images, files, things
//! that it only refers to, tools of the provider itself. Everything is looked at, at any depth, and
//! what looks like one of them counts as one: the bound may be too high and must not be too low.
//! So does a tool that nobody here knows: providers invent new ones all the time.

use std::fmt;

use serde::de::{DeserializeSeed, MapAccess, SeqAccess, Visitor};

use super::BodyError;
use crate::llm::api::Api;

/// What was found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Survey {
    pub(super) images: u32,
    /// Files, films, earlier answers, stored prompts: only the model's own bound holds.
    pub(super) refers_outside: bool,
    /// Tools of the provider, or predicted output: no bound holds.
    pub(super) is_unbounded: bool,
    /// Models beside the one that is asked for: fallbacks, advisers, painters.
    pub(super) names_other_models: bool,
}

/// Goes through a body. Nesting is bounded by the JSON parser (128).
pub(super) fn survey(api: Api, body: &[u8]) -> Result<Survey, BodyError> {
    let mut survey = Survey::default();
    let mut reader = serde_json::Deserializer::from_slice(body);
    let walk = Walk { survey: &mut survey, key: Key::Other, api, depth: 0 };
    walk.deserialize(&mut reader).map_err(|_| BodyError::NotJson)?;
    Ok(survey)
}

/// What a value stands under.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Key {
    Other,
    /// `type`: its text says what the object is.
    Type,
    /// The media type of inline data.
    Mime,
    /// An id or address, when it is a text.
    Reference,
    /// The same, and when it is an object.
    ReferenceOrObject,
    /// A tool of the provider and the like, when it is an object, or a list of them.
    Tool,
    /// The tools: a list, or the only one of them.
    Tools,
    /// `type` of a tool.
    ToolType,
    /// Another model, or a list of them.
    OtherModel,
}

/// The meaning of a key. Keys of the schemas that describe functions have objects as their values, or
/// the names of JSON's types. `in_tool`: it is a member of one of the `tools`.
fn key_of(api: Api, key: &str, depth: u32, in_tool: bool) -> Key {
    match (api, key) {
        (Api::GeminiGenerate, "functionDeclarations" | "function_declarations") if in_tool => Key::Other,
        (Api::GeminiGenerate, _) if in_tool => Key::Tool,
        (_, "type") if in_tool => Key::ToolType,
        (_, "type") => Key::Type,
        (_, "tools") if depth == 1 => Key::Tools,
        (Api::GeminiGenerate, "mimeType" | "mime_type") => Key::Mime,
        (Api::GeminiGenerate, "fileUri" | "file_uri" | "cachedContent" | "cached_content") => Key::Reference,
        // Of a tool; and what vendors call fallbacks.
        (_, "model") if in_tool || depth == TOOL_DEPTH => Key::OtherModel,
        (_, "models" | "fallbacks" | "fallback_model" | "fallback_models") if depth == 1 => Key::OtherModel,
        (_, "file_id" | "file_data" | "file_url") => Key::Reference,
        (Api::OpenAiResponses, "previous_response_id" | "conversation" | "prompt") if depth == 1 => {
            Key::ReferenceOrObject
        }
        (Api::OpenAiChat, "web_search_options" | "prediction") if depth == 1 => Key::Tool,
        (Api::AnthropicMessages, "mcp_servers") if depth == 1 => Key::Tool,
        _ => Key::Other,
    }
}

/// Tools whose work the client does, and which cost nothing but their tokens.
fn is_harmless(api: Api, tool: &str) -> bool {
    // Anthropic's have their day behind their name.
    const ANTHROPICS: [&str; 4] = ["bash_2", "text_editor_2", "computer_2", "memory_2"];
    match api {
        Api::OpenAiChat | Api::OpenAiResponses | Api::OpenAiEmbeddings => {
            matches!(tool, "function" | "custom" | "local_shell" | "apply_patch")
        }
        Api::AnthropicMessages => tool == "custom" || ANTHROPICS.iter().any(|own| tool.starts_with(own)),
        Api::GeminiGenerate => false,
    }
}

/// The members of one tool: in the body, in the list `tools`, in one of it.
const TOOL_DEPTH: u32 = 3;

struct Walk<'s> {
    survey: &'s mut Survey,
    key: Key,
    api: Api,
    depth: u32,
}

impl Walk<'_> {
    fn text(self, text: &str) {
        match self.key {
            Key::Type => self.kind(text),
            Key::Mime if text.starts_with("image/") => self.image(),
            // Sound has fewer tokens than bytes; films and documents may have more.
            Key::Mime if text.starts_with("audio/") || text.starts_with("text/") => {}
            Key::Mime | Key::Reference | Key::ReferenceOrObject => self.survey.refers_outside = true,
            Key::OtherModel => self.other_model(),
            Key::ToolType => self.survey.is_unbounded |= !is_harmless(self.api, text),
            Key::Other | Key::Tool | Key::Tools => {}
        }
    }

    fn other_model(self) {
        (self.survey.names_other_models, self.survey.is_unbounded) = (true, true);
    }

    fn image(self) {
        self.survey.images = self.survey.images.saturating_add(1);
    }

    /// Tools may hide elsewhere too: in what was found by searching for tools, in edits of the context.
    fn kind(self, kind: &str) {
        const TOOLS: [&str; 9] = [
            "web_search",
            "file_search",
            "code_interpreter",
            "image_generation",
            "mcp",
            "computer_use",
            "computer",
            "shell",
            "tool_search",
        ];
        // Anthropic's have their day behind their name.
        const DATED_TOOLS: [&str; 7] = [
            "web_search_2",
            "web_fetch_2",
            "code_execution_2",
            "tool_search_tool_",
            "mcp_toolset",
            "advisor_2",
            "compact_2",
        ];
        match kind {
            "image_url" | "input_image" | "image" => self.image(),
            "file" | "input_file" | "document" | "container_upload" | "video_url" | "input_video"
            | "item_reference" => self.survey.refers_outside = true,
            kind => {
                // By itself, as a preview, or with its day.
                let is_own = |tool: &&str| {
                    let rest = kind.strip_prefix(*tool);
                    rest.is_some_and(|rest| {
                        rest.is_empty() || rest.starts_with("_preview") || rest.starts_with("_2")
                    })
                };
                let is_tool =
                    TOOLS.iter().any(is_own) || DATED_TOOLS.iter().any(|tool| kind.starts_with(tool));
                self.survey.is_unbounded |= is_tool;
            }
        }
    }
}

impl<'b> DeserializeSeed<'b> for Walk<'_> {
    type Value = ();

    fn deserialize<D: serde::Deserializer<'b>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'b> Visitor<'b> for Walk<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_str<E>(self, text: &str) -> Result<(), E> {
        self.text(text);
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_map<A: MapAccess<'b>>(self, mut map: A) -> Result<(), A::Error> {
        match self.key {
            Key::ReferenceOrObject => self.survey.refers_outside = true,
            Key::Tool => self.survey.is_unbounded = true,
            Key::OtherModel => {
                (self.survey.names_other_models, self.survey.is_unbounded) = (true, true);
            }
            Key::Other | Key::Type | Key::Mime | Key::Reference | Key::Tools | Key::ToolType => {}
        }
        let (api, depth, in_tool) = (self.api, self.depth.saturating_add(1), self.key == Key::Tools);
        while let Some(key) = map.next_key_seed(KeySeed { api, depth, in_tool })? {
            map.next_value_seed(Walk { survey: &mut *self.survey, key, api, depth })?;
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'b>>(self, mut list: A) -> Result<(), A::Error> {
        let (api, depth, key) = (self.api, self.depth.saturating_add(1), self.key);
        while list.next_element_seed(Walk { survey: &mut *self.survey, key, api, depth })?.is_some() {}
        Ok(())
    }
}

struct KeySeed {
    api: Api,
    depth: u32,
    in_tool: bool,
}

impl<'b> DeserializeSeed<'b> for KeySeed {
    type Value = Key;

    fn deserialize<D: serde::Deserializer<'b>>(self, deserializer: D) -> Result<Key, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for KeySeed {
    type Value = Key;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E>(self, key: &str) -> Result<Key, E> {
        Ok(key_of(self.api, key, self.depth, self.in_tool))
    }
}
