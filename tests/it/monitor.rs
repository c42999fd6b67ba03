//! Tests the files of the web monitor as a browser gets them, with their headers, over HTTP/1.1 and HTTP/2.
//! `tests/monitor/run` tests the page itself in a browser.

use http::{Request, StatusCode, response};
use http_body_util::Full;

use crate::harness::Shop;
use crate::listener::{http, request};
use crate::on_both_engines;

const FILES: [(&str, &str, &[u8]); 3] = [
    (
        "/",
        "text/html; charset=utf-8",
        include_bytes!("../../web/dist/index.html"),
    ),
    (
        "/monitor.js",
        "text/javascript; charset=utf-8",
        include_bytes!("../../web/dist/monitor.js"),
    ),
    (
        "/monitor.css",
        "text/css; charset=utf-8",
        include_bytes!("../../web/dist/monitor.css"),
    ),
];

/// Gets a file, with one additional header.
async fn get(shop: &Shop, path: &str, header: (&str, &str)) -> (response::Parts, bytes::Bytes) {
    let request = request("GET", path).header(header.0, header.1);
    http(shop, request.body(Full::default()).unwrap()).await
}

fn text<'a>(answer: &'a response::Parts, header: &str) -> &'a str {
    answer
        .headers
        .get(header)
        .map_or("", |value| value.to_str().unwrap())
}

on_both_engines! {
    async fn the_page_and_its_files_are_served_as_they_were_built(shop: Shop) {
        for (path, content_type, content) in FILES {
            let (answer, body) = get(&shop, path, ("accept", "*/*")).await;

            assert_eq!(answer.status, StatusCode::OK, "{path}");
            assert_eq!(text(&answer, "content-type"), content_type, "{path}");
            assert_eq!(text(&answer, "content-encoding"), "", "{path}");
            assert!(body == content, "{path} is not as it was built");
        }
    }

    async fn a_client_that_accepts_compressed_files_gets_them(shop: Shop) {
        for (path, _, content) in FILES {
            let (answer, body) = get(&shop, path, ("accept-encoding", "br, gzip;q=0.8, *")).await;
            assert_eq!(text(&answer, "content-encoding"), "gzip", "{path}");
            assert_eq!(text(&answer, "vary"), "accept-encoding", "{path}");
            assert_eq!(body[..2], [0x1f, 0x8b], "{path}");
            assert!(body.len() < content.len(), "{path} is larger when it is compressed");

            let (plain, body) = get(&shop, path, ("accept-encoding", "br, gzip;q=0")).await;
            assert_eq!(text(&plain, "content-encoding"), "", "{path}");
            assert!(body == content, "{path} is not as it was built");
        }
    }

    async fn the_policy_allows_a_browser_to_load_and_call_only_this_server(shop: Shop) {
        for (path, _, _) in FILES {
            let (answer, _) = get(&shop, path, ("accept", "*/*")).await;

            let policy = text(&answer, "content-security-policy");
            let rules: Vec<&str> = policy.split(';').map(str::trim).collect();
            for rule in [
                "default-src 'none'",
                "script-src 'self'",
                "style-src 'self'",
                "connect-src 'self'",
                "img-src 'self' data:",
                "base-uri 'none'",
                "form-action 'none'",
                "frame-ancestors 'none'",
                "require-trusted-types-for 'script'",
                "trusted-types 'none'",
            ] {
                assert!(rules.contains(&rule), "{path}: {policy}");
            }
            assert_eq!(rules.len(), 10, "{path}: {policy}");
            assert_eq!(text(&answer, "x-content-type-options"), "nosniff", "{path}");
            assert_eq!(text(&answer, "referrer-policy"), "no-referrer", "{path}");
            assert_eq!(text(&answer, "x-frame-options"), "DENY", "{path}");
            assert_eq!(text(&answer, "cross-origin-opener-policy"), "same-origin", "{path}");
            assert_eq!(text(&answer, "cross-origin-resource-policy"), "same-origin", "{path}");
        }
    }

    /// The script and the style of the page are files, because the policy forbids inline ones.
    async fn the_page_has_neither_script_nor_style_in_its_text(shop: Shop) {
        let (_, page) = get(&shop, "/", ("accept", "text/html")).await;
        let page = String::from_utf8(page.to_vec()).unwrap();

        assert!(page.starts_with("<!doctype html>"), "{page}");
        assert!(page.contains(r#"src="/monitor.js""#), "{page}");
        assert!(page.contains(r#"href="/monitor.css""#), "{page}");
        for inline in ["<style", " style=", " onload=", " onclick=", "javascript:", "http://", "https://"] {
            assert!(!page.contains(inline), "{inline} in {page}");
        }
        assert_eq!(page.matches("<script").count(), 1, "{page}");
    }

    async fn an_unchanged_file_is_not_sent_again(shop: Shop) {
        for (path, _, _) in FILES {
            let (first, _) = get(&shop, path, ("accept", "*/*")).await;
            let tag = text(&first, "etag").to_owned();
            assert_eq!(text(&first, "cache-control"), "no-cache", "{path}");

            let others = format!("W/\"another\", {tag}");
            let (same, body) = get(&shop, path, ("if-none-match", &others)).await;
            assert_eq!(same.status, StatusCode::NOT_MODIFIED, "{path}");
            assert_eq!(text(&same, "etag"), tag, "{path}");
            assert!(body.is_empty(), "{path}");

            let (other, body) = get(&shop, path, ("if-none-match", "W/\"another\"")).await;
            assert_eq!(other.status, StatusCode::OK, "{path}");
            assert!(!body.is_empty(), "{path}");
        }
    }

    async fn the_page_can_be_read_and_not_written(shop: Shop) {
        let head = request("HEAD", "/").body(Full::default()).unwrap();
        let (answer, body) = http(&shop, head).await;
        assert_eq!((answer.status, body.len()), (StatusCode::OK, 0));
        assert!(answer.headers.contains_key("content-security-policy"));

        for method in ["POST", "PUT", "DELETE", "PATCH"] {
            let write = request(method, "/").body(Full::from("key=value")).unwrap();
            let (answer, _) = http(&shop, write).await;
            assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED, "{method}");
        }
    }

    /// A proxy in front of the server may use HTTP/2, for the page as for calls.
    async fn the_page_is_served_over_http_2_too(shop: Shop) {
        let stream = tokio::net::TcpStream::connect(shop.address).await.unwrap();
        let (mut client, connection) = h2::client::handshake(stream).await.unwrap();
        tokio::spawn(connection);

        for (path, content_type, content) in FILES {
            let uri = format!("http://{}{path}", shop.address);
            let get = Request::get(uri).body(()).unwrap();
            let (answer, _) = client.send_request(get, true).unwrap();
            let (answer, mut body) = answer.await.unwrap().into_parts();

            assert_eq!(answer.status, StatusCode::OK, "{path}");
            assert_eq!(text(&answer, "content-type"), content_type, "{path}");
            let mut received = Vec::new();
            while let Some(part) = body.data().await {
                let part = part.unwrap();
                body.flow_control().release_capacity(part.len()).unwrap();
                received.extend_from_slice(&part);
            }
            assert!(received == content, "{path} is not as it was built");
        }
    }
}
