//! Keys of a keyboard as Chromium wants them told.

use serde_json::{Value, json};

/// The two events of one key: down, up. A key is a character or one of `Enter`, `Tab`, `Shift+Tab`, `Escape`,
/// `Space`, `Backspace`, `ArrowDown`, `ArrowUp`.
///
/// # Panics
/// On any other name.
pub(super) fn strokes(name: &str) -> [Value; 2] {
    let (name, modifiers) = name.strip_prefix("Shift+").map_or((name, 0), |rest| (rest, 8));
    let named = |key: &str, code: u32, text: &str| stroke(key, key, (code, text, modifiers));
    match name {
        "Enter" => named("Enter", 13, "\r"),
        "Tab" => named("Tab", 9, ""),
        "Escape" => named("Escape", 27, ""),
        "Backspace" => named("Backspace", 8, ""),
        "ArrowUp" => named("ArrowUp", 38, ""),
        "ArrowDown" => named("ArrowDown", 40, ""),
        "Space" => stroke(" ", "Space", (32, " ", modifiers)),
        one if one.chars().count() == 1 => {
            // The number of a key is that of its letter or digit; those of other signs mean other keys.
            let upper = one.to_ascii_uppercase();
            let number = upper.chars().next().filter(char::is_ascii_alphanumeric).map_or(0, u32::from);
            stroke(one, &format!("Key{upper}"), (number, one, modifiers))
        }
        other => panic!("no key is called {other}"),
    }
}

fn stroke(key: &str, code: &str, (number, text, modifiers): (u32, &str, u32)) -> [Value; 2] {
    let mut down = json!({
        "type": if text.is_empty() { "rawKeyDown" } else { "keyDown" },
        "key": key, "code": code, "windowsVirtualKeyCode": number, "modifiers": modifiers,
    });
    if !text.is_empty() {
        down["text"] = json!(text);
    }
    let mut up = down.clone();
    up["type"] = json!("keyUp");
    [down, up]
}
