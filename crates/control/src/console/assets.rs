//! Styles, scripts and pictures of the console, part of the binary. Their addresses carry a digest of
//! what they hold, so that browsers keep them for good and never mix versions.

use std::{fmt::Write as _, sync::LazyLock};

use axum::{
    extract::Path,
    http::{HeaderValue, header},
    response::{IntoResponse, Redirect, Response},
};
use sha2::{Digest as _, Sha256};

use super::trouble::Trouble;
use crate::problem::Refused;

/// Where they are.
pub(super) const ROUTE: &str = "/assets/{name}";
/// Bytes of the digest in an address.
const DIGEST_BYTES: usize = 6;

/// A file: the name in templates, its type, what it holds.
struct Asset {
    name: &'static str,
    kind: &'static str,
    bytes: &'static [u8],
}

macro_rules! asset {
    ($name:literal, $kind:literal, $path:literal) => {
        Asset {
            name: $name,
            kind: $kind,
            bytes: include_bytes!(concat!("../../../../console/static/", $path)),
        }
    };
}

const ASSETS: [Asset; 6] = [
    asset!("console.css", "text/css; charset=utf-8", "console.css"),
    asset!("console.js", "text/javascript; charset=utf-8", "console.js"),
    asset!("htmx.js", "text/javascript; charset=utf-8", "vendor/htmx-2.0.11.min.js"),
    asset!("uplot.js", "text/javascript; charset=utf-8", "vendor/uplot-1.6.32.iife.min.js"),
    asset!("uplot.css", "text/css; charset=utf-8", "vendor/uplot-1.6.32.min.css"),
    asset!("icon.svg", "image/svg+xml", "icon.svg"),
];

/// Name in templates, name in addresses.
static ADDRESSES: LazyLock<Vec<(&'static str, String)>> =
    LazyLock::new(|| ASSETS.iter().map(|asset| (asset.name, hashed(asset))).collect());

fn hashed(asset: &Asset) -> String {
    let mut name = String::new();
    for byte in Sha256::digest(asset.bytes).iter().take(DIGEST_BYTES) {
        // Writing to a string cannot fail.
        let _written = write!(name, "{byte:02x}");
    }
    format!("{name}-{}", asset.name)
}

/// The address of a file.
pub(super) fn address(name: &str) -> String {
    let hashed = ADDRESSES.iter().find(|(own, _)| *own == name).map_or(name, |(_, hashed)| hashed);
    format!("/assets/{hashed}")
}

/// Answers with a file.
pub(super) async fn serve(Path(name): Path<String>) -> Result<Response, Trouble> {
    let index = ADDRESSES.iter().position(|(_, hashed)| *hashed == name);
    let asset = index.and_then(|index| ASSETS.get(index)).ok_or_else(Refused::not_found)?;
    let mut response = ([(header::CONTENT_TYPE, asset.kind)], asset.bytes).into_response();
    let for_good = HeaderValue::from_static("public, max-age=31536000, immutable");
    response.headers_mut().insert(header::CACHE_CONTROL, for_good);
    Ok(response)
}

/// Leads browsers that look for an icon by themselves, beside what is no page of the console, to ours.
pub(super) async fn favicon() -> Redirect {
    Redirect::temporary(&address("icon.svg"))
}

#[cfg(test)]
mod tests {
    use super::{ADDRESSES, address};

    #[test]
    fn every_file_has_an_address_of_its_own_that_changes_with_what_it_holds() {
        let mut seen: Vec<String> = ADDRESSES.iter().map(|(name, _)| address(name)).collect();
        assert!(seen.iter().all(|own| own.starts_with("/assets/") && own.contains('-')), "{seen:?}");
        seen.dedup();
        assert_eq!(seen.len(), ADDRESSES.len());
    }
}
