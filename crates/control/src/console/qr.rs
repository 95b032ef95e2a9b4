//! Texts as QR codes (ISO/IEC 18004), drawn as one path in the page itself: no picture is fetched and no
//! style is needed, so the policy for content has no exception for them.

use std::fmt::Write as _;

use askama::filters::Safe;
use qrcodegen::{QrCode, QrCodeEcc};

use super::{
    pieces::{Html, escaped},
    trouble::Trouble,
};
use crate::problem::Refused;

/// The light margin, modules (§9.1).
const MARGIN: i32 = 4;

/// A text as a picture that is called this.
pub(crate) fn picture(text: &str, name: &str) -> Result<Html, Trouble> {
    let code = QrCode::encode_text(text, QrCodeEcc::Medium)
        .map_err(|_| Refused::Unavailable("the text is too long for a QR code".to_owned()))?;
    let size = code.size();
    let mut path = String::new();
    for y in 0..size {
        for x in (0..size).filter(|x| code.get_module(*x, y)) {
            // Writing to a string cannot fail.
            let _written = write!(path, "M{},{}h1v1h-1z", x + MARGIN, y + MARGIN);
        }
    }
    let (side, name) = (size + 2 * MARGIN, escaped(name));
    Ok(Safe(format!(
        "<svg class=\"qr\" viewBox=\"0 0 {side} {side}\" role=\"img\" aria-label=\"{name}\" \
         shape-rendering=\"crispEdges\"><rect class=\"light\" width=\"{side}\" height=\"{side}\"/>\
         <path class=\"dark\" d=\"{path}\"/></svg>"
    )))
}

#[cfg(test)]
mod tests {
    use super::picture;

    #[test]
    fn a_text_is_drawn_without_style_or_picture() {
        let Ok(drawn) = picture("otpauth://totp/Tollgate:a%40b?secret=ABC&issuer=Tollgate", "<secret>")
        else {
            panic!("it is not drawn")
        };
        assert!(drawn.0.starts_with("<svg class=\"qr\" viewBox=\"0 0 "), "{}", drawn.0);
        assert!(drawn.0.contains("aria-label=\"&#60;secret&#62;\""), "{}", drawn.0);
        assert!(!drawn.0.contains("style=") && !drawn.0.contains("data:"));
        // The three corners that readers look for, 7 modules wide, behind the margin.
        for corner in ["M4,4h1", "M10,4h1", "M4,10h1"] {
            assert!(drawn.0.contains(corner), "{corner}");
        }
        assert!(!drawn.0.contains("M5,5h1"), "a corner is a frame");
        assert!(picture(&"x".repeat(4000), "long").is_err());
    }
}
