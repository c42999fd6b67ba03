//! Origins as browsers send them.

use http::Uri;
use url::{Origin, ParseError, Url};

/// The reason why a text is not an origin.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{text:?} is no origin: {why}; an origin looks like https://shop.example or http://localhost:8080"
)]
pub struct NoOrigin {
    text: String,
    why: String,
}

/// Checks that `text` is an origin exactly as a browser writes it. The slightest difference never matches.
///
/// # Errors
/// If it is not. The text names the fault, and how browsers write the origin if they have a spelling for it.
pub fn origin(text: &str) -> Result<String, NoOrigin> {
    let why = match spelling(text) {
        Ok(right) if right == text => return Ok(right),
        Ok(right) => format!("browsers send {right}"),
        Err(why) => why,
    };
    Err(NoOrigin {
        text: text.to_owned(),
        why,
    })
}

/// The origin of the address `text` as a browser writes it, or why browsers send none.
fn spelling(text: &str) -> Result<String, String> {
    if text.contains('*') {
        return Err("each origin must be named, without wildcards".into());
    }
    if text == "null" {
        return Err("pages without an origin cannot be let in".into());
    }
    let url = Url::parse(text).map_err(|error| match error {
        ParseError::RelativeUrlWithoutBase => "it has no scheme".into(),
        error => error.to_string(),
    })?;
    let spelling = match url.origin() {
        origin @ Origin::Tuple(..) => origin.ascii_serialization(),
        Origin::Opaque(_) => of_an_app(&url)?,
    };
    match spelling.parse::<Uri>() {
        Ok(_) => Ok(spelling),
        Err(_) => Err("its host cannot be read".into()),
    }
}

/// The origin of a page in an app or in a browser extension. These have schemes of their own. Browsers send
/// the scheme and the host, although the standard has no origin for them.
fn of_an_app(url: &Url) -> Result<String, String> {
    if url.scheme() == "file" {
        return Err("pages without an origin cannot be let in".into());
    }
    let host = url.host_str().filter(|host| !host.is_empty());
    let host = host.ok_or("it has no host")?.to_ascii_lowercase();
    let port = url.port().map(|port| format!(":{port}"));
    Ok(format!(
        "{}://{host}{}",
        url.scheme(),
        port.unwrap_or_default()
    ))
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
            "http://10.0.0.1:8080",
            "https://xn--mller-kva.example",
            "https://my_shop.example",
            "capacitor://localhost",
            "chrome-extension://abcdefghijklmnop",
        ] {
            assert_eq!(origin(text).as_deref(), Ok(text));
        }
    }

    #[test]
    fn an_origin_that_never_matches_is_refused() {
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
            "shop.example:8080",
            "https://xn--zz",
            "https://1.2.3.256",
            "https://[::1",
            "https://a{b}.example",
            "file://shop.example",
            "file:///shop.html",
            "data:text/plain,shop.example",
            "capacitor://",
            "capacitor://*",
            "capacitor://{b}",
        ] {
            assert!(origin(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_refusal_names_what_browsers_send() {
        for (text, sent) in [
            ("https://01.2.3.4", "https://1.2.3.4"),
            ("https://1.2.3", "https://1.2.0.3"),
            ("https://0x7f.1", "https://127.0.0.1"),
            ("http://[0:0:0:0:0:0:0:1]:3000", "http://[::1]:3000"),
            (
                "https://m\u{fc}ller.example",
                "https://xn--mller-kva.example",
            ),
            ("https://sh%6fp.example", "https://shop.example"),
            ("https://Shop.example", "https://shop.example"),
            ("HTTPS://shop.example", "https://shop.example"),
            (" https://shop.example", "https://shop.example"),
            ("https:shop.example", "https://shop.example"),
            ("https://shop.example/monitor?x#y", "https://shop.example"),
            ("https://anna@shop.example", "https://shop.example"),
            ("https://shop.example:443", "https://shop.example"),
            ("http://shop.example:080", "http://shop.example"),
            ("http://shop.example:08080", "http://shop.example:8080"),
            ("capacitor://Localhost/page", "capacitor://localhost"),
            ("capacitor://localhost:080", "capacitor://localhost:80"),
        ] {
            let refusal = origin(text).unwrap_err();
            assert_eq!(refusal.why, format!("browsers send {sent}"), "{text}");
            assert_eq!(origin(sent).as_deref(), Ok(sent));
        }
    }
}
