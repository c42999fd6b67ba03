//! Origins as browsers send them.

use http::Uri;

/// Why a text is no origin.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{text:?} is no origin: {why}; an origin looks like https://shop.example or http://localhost:8080"
)]
pub struct NoOrigin {
    text: String,
    why: &'static str,
}

/// Checks that `text` is an origin exactly as a browser writes it. What differs in the least never matches.
///
/// # Errors
/// When it is none; the text says what is wrong with it.
pub fn origin(text: &str) -> Result<String, NoOrigin> {
    match fault(text) {
        None => Ok(text.to_owned()),
        Some(why) => Err(NoOrigin {
            text: text.to_owned(),
            why,
        }),
    }
}

fn fault(text: &str) -> Option<&'static str> {
    if text.contains('*') {
        return Some("every origin is named by itself, without wildcards");
    }
    if text == "null" {
        return Some("pages without an origin cannot be let in");
    }
    if !text.is_ascii() {
        return Some("browsers send other letters than ASCII in their xn-- form");
    }
    let Some((scheme, rest)) = text.split_once("://") else {
        return Some("it has no scheme");
    };
    if scheme.is_empty() {
        return Some("it has no scheme");
    }
    if rest.contains(['/', '?', '#']) {
        return Some("it ends after the host and the port, without a slash or a path");
    }
    if rest.contains('@') {
        return Some("it names no user");
    }
    if text.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return Some("browsers send it in lower case");
    }
    let Ok(uri) = text.parse::<Uri>() else {
        return Some("its host or its port cannot be read");
    };
    // An IPv6 address has colons of its own, in brackets.
    let after_address = rest.rsplit(']').next().unwrap_or(rest);
    let port = match after_address.split_once(':').map(|(_, port)| port) {
        None => None,
        Some(text) => match text.parse::<u16>() {
            Ok(port) if port.to_string() == text => Some(port),
            _ => return Some("its host or its port cannot be read"),
        },
    };
    if uri.host().is_none_or(str::is_empty) {
        return Some("it has no host");
    }
    if matches!((scheme, port), ("http", Some(80)) | ("https", Some(443))) {
        return Some("browsers leave the usual port away");
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_taken_as_browsers_send_them() {
        for text in [
            "https://shop.example",
            "http://localhost:8080",
            "http://[::1]:3000",
            "http://127.0.0.1",
            "https://xn--mller-kva.example",
            "capacitor://localhost",
        ] {
            assert_eq!(origin(text).as_deref(), Ok(text));
        }
    }

    #[test]
    fn what_never_matches_is_refused() {
        for text in [
            "",
            "*",
            "null",
            "shop.example",
            "https://",
            "https://:443",
            "https://*.shop.example",
            "https://shop.example/",
            "https://shop.example/monitor",
            "https://shop.example?x",
            "https://Shop.example",
            "HTTPS://shop.example",
            "https://shop.example:443",
            "http://shop.example:80",
            "http://shop.example:",
            "http://shop.example:99999",
            "http://shop.example:080",
            "https://anna@shop.example",
            "https://m\u{fc}ller.example",
            "https://shop.example https://other.example",
            "://shop.example",
        ] {
            assert!(origin(text).is_err(), "{text}");
        }
    }
}
