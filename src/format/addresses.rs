//! E-mail and web addresses.

use unicode_normalization::UnicodeNormalization as _;

use super::{ID_BYTES_MAX, has_invisible_character};
use crate::limits::fields::EMAIL_CHARS_MAX;

/// The longest part of an e-mail address before the `@` that mail servers accept.
const MAILBOX_BYTES_MAX: usize = 64;
/// The longest host name.
const HOST_BYTES_MAX: usize = 253;

/// The normal form in which e-mail addresses are compared and claimed: trimmed, NFC, lower case, with the
/// domain in its network form. None if the text is not an address. Invisible characters are not allowed,
/// because such an address would look like another one.
pub fn email_claim(text: &str) -> Option<String> {
    let text = text.trim();
    if text.chars().count() > EMAIL_CHARS_MAX || has_invisible_character(text) {
        return None;
    }
    let normal: String = text
        .nfc()
        .collect::<String>()
        .to_lowercase()
        .nfc()
        .collect();
    let (mailbox, domain) = normal.rsplit_once('@')?;
    if mailbox.is_empty() || mailbox.len() > MAILBOX_BYTES_MAX || !is_mailbox(mailbox) {
        return None;
    }
    let domain = idna::domain_to_ascii_strict(domain).ok()?;
    // Addresses within one machine have no dot, and no shop writes to them.
    (domain.contains('.') && is_host(&domain)).then(|| format!("{mailbox}@{domain}"))
}

/// Whether `text` has the form of an e-mail address. Spaces around it are ignored.
pub fn is_email(text: &str) -> bool {
    email_claim(text).is_some()
}

fn is_mailbox(text: &str) -> bool {
    !text.starts_with('.')
        && !text.ends_with('.')
        && !text.contains("..")
        && !text.chars().any(|c| {
            c.is_whitespace()
                || c.is_control()
                || matches!(
                    c,
                    '"' | '(' | ')' | ',' | ':' | ';' | '<' | '>' | '@' | '[' | '\\' | ']'
                )
        })
}

fn is_host(text: &str) -> bool {
    text.len() <= HOST_BYTES_MAX
        && text.split('.').all(|label| {
            !label.is_empty()
                && label.len() <= ID_BYTES_MAX
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        })
}

/// Whether `text` is an absolute http or https address without a user name.
pub fn is_url(text: &str) -> bool {
    let Some((scheme, rest)) = text.split_once("://") else {
        return false;
    };
    if !scheme.eq_ignore_ascii_case("http") && !scheme.eq_ignore_ascii_case("https") {
        return false;
    }
    if text.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return false;
    }
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (authority, None),
    };
    let port_fits = port.is_none_or(|port| {
        port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok()
    });
    port_fits && idna::domain_to_ascii_strict(host).is_ok_and(|host| is_host(&host))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_in_different_spellings_claim_the_same() {
        let claim = |text| email_claim(text).unwrap();

        assert_eq!(claim(" Ada@Example.TEST "), "ada@example.test");
        assert_eq!(claim("ada@BÜCHER.test"), "ada@xn--bcher-kva.test");
        assert_eq!(claim("e\u{301}va@example.test"), claim("ÉVA@example.test"));
        assert_eq!(
            claim("o'neil+shop@mail.example.test"),
            "o'neil+shop@mail.example.test"
        );
    }

    #[test]
    fn a_malformed_address_claims_nothing() {
        for text in [
            "ada",
            "ada@",
            "@example.test",
            "ada@localhost",
            "a b@example.test",
            "a@b@example.test",
            "ada@example..test",
            ".ada@example.test",
            "a..b@example.test",
            "ada@-example.test",
            "ada@exa_mple.test",
            "ada@example.test.",
            "<ada@example.test>",
            "a\0@example.test",
            "ada@exam ple.test",
            "a,b@example.test",
            "a\u{200b}da@example.test",
            "ada@exa\u{ad}mple.test",
            "ada\u{2028}@example.test",
        ] {
            assert_eq!(email_claim(text), None, "{text}");
        }
        let longest = format!(
            "{}@{}.test",
            "a".repeat(64),
            ["b".repeat(61).as_str(); 3].join(".")
        );
        assert_eq!(longest.len(), 255);
        assert!(!is_email(&longest));
        assert!(is_email(&longest.replacen('b', "", 1)));
        assert!(!is_email(&format!("{}@example.test", "a".repeat(65))));
    }

    #[test]
    fn web_addresses_are_absolute_and_http() {
        for text in [
            "https://example.test",
            "HTTP://example.test:8080/a?b=c#d",
            "https://bücher.test/ä",
            "http://localhost/",
            "http://127.0.0.1/x",
        ] {
            assert!(is_url(text), "{text}");
        }
        for text in [
            "example.test",
            "//example.test",
            "ftp://example.test",
            "javascript:alert(1)",
            "https://",
            "https:///path",
            "https://user@example.test",
            "https://exa mple.test",
            "https://example.test:99999",
            "https://example.test:",
            "https://example.test/\n",
        ] {
            assert!(!is_url(text), "{text}");
        }
    }
}
