//! The web monitor: a page that shows a shop's carts live, at `/` of the port that serves the calls.
//!
//! The page is built from `web/`, and the result is committed, so that building the program needs no Node. It
//! holds no data and no key: a user signs in with a key, and the page calls this server over gRPC-Web as any
//! other client does.
//!
//! Invariant: the page loads and calls nothing but its own files and this server. The policy sent with each
//! file enforces that in the browser.

use std::sync::LazyLock;

use axum::{
    Router,
    body::{Body, Bytes},
    extract::Request,
    http::{
        HeaderMap, HeaderName, HeaderValue, StatusCode,
        header::{self, HeaderName as Name},
    },
    response::Response,
    routing::get,
};
use sha2::{Digest as _, Sha256};

/// One file of the page.
struct File {
    path: &'static str,
    content_type: &'static str,
    plain: &'static [u8],
    gzip: &'static [u8],
}

/// A file of the page and its compressed form, as `web/` builds them.
macro_rules! file {
    ($path:literal, $name:literal, $content_type:literal) => {
        File {
            path: $path,
            content_type: $content_type,
            plain: include_bytes!(concat!("../web/dist/", $name)),
            gzip: include_bytes!(concat!("../web/dist/", $name, ".gz")),
        }
    };
}

static FILES: [File; 3] = [
    file!("/", "index.html", "text/html; charset=utf-8"),
    file!(
        "/monitor.js",
        "monitor.js",
        "text/javascript; charset=utf-8"
    ),
    file!("/monitor.css", "monitor.css", "text/css; charset=utf-8"),
];

/// The rights of the page in the browser. It may load its script and its style, call its own server, and show
/// pictures in its own text. It may do nothing else, no frame may contain it, and no text becomes script or
/// markup.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
     img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
     require-trusted-types-for 'script'; trusted-types 'none'";

/// Sent with each file.
const HEADERS: [(HeaderName, &str); 8] = [
    (header::CONTENT_SECURITY_POLICY, POLICY),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (
        Name::from_static("cross-origin-opener-policy"),
        "same-origin",
    ),
    (
        Name::from_static("cross-origin-resource-policy"),
        "same-origin",
    ),
    // A browser asks each time whether its file is still current. So the page and its script are of the same
    // release after an update.
    (header::CACHE_CONTROL, "no-cache"),
    (header::VARY, "accept-encoding"),
];

/// The files' etags. They derive from the content, so that all replicas of a release agree.
static TAGS: LazyLock<[HeaderValue; FILES.len()]> = LazyLock::new(|| {
    FILES.each_ref().map(|file| {
        let digest = Sha256::digest(file.plain);
        let digest: String = digest[..16]
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        // Weak: the plain and the compressed form have the same tag.
        HeaderValue::from_str(&format!("W/\"{digest}\"")).expect("hexadecimal is a header's text")
    })
});

/// The page at its paths. Methods other than GET and HEAD are refused.
pub fn router() -> Router {
    let mut router = Router::new();
    for (file, tag) in FILES.iter().zip(TAGS.iter()) {
        let answer = move |request: Request| async move { answer(file, tag, request.headers()) };
        router = router.route(file.path, get(answer));
    }
    router
}

fn answer(file: &'static File, tag: &HeaderValue, asked: &HeaderMap) -> Response {
    let mut response = Response::new(Body::empty());
    let headers = response.headers_mut();
    for (name, value) in HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.insert(header::ETAG, tag.clone());
    if names(asked, &header::IF_NONE_MATCH, tag.as_bytes()) {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        return response;
    }
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static(file.content_type),
    );
    let content = if names(asked, &header::ACCEPT_ENCODING, b"gzip") {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        file.gzip
    } else {
        file.plain
    };
    *response.body_mut() = Body::from(Bytes::from_static(content));
    response
}

/// Whether a header with a list names a value. The text after a semicolon is ignored, except for `q=0`, which
/// is a refusal.
fn names(headers: &HeaderMap, header: &HeaderName, value: &[u8]) -> bool {
    headers
        .get_all(header)
        .iter()
        .flat_map(|list| list.as_bytes().split(|byte| *byte == b','))
        .any(|entry| {
            let mut parts = entry.split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
            parts.next() == Some(value)
                && !parts.any(|part| matches!(part, b"q=0" | b"q=0.0" | b"q=0.00" | b"q=0.000"))
        })
}
