//! A hub that lies: in its redirects, in the lengths of its answers, and in their contents.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::time::Duration;

use serde_json::json;

use super::fake_hub::{FakeHub, Lie};
use super::fetching::{Fetching, ROWS, SECRET, WORKFLOW};
use super::support::Output;

const ONLY_ROWS: &str = "[inputs]\nrows = { samples = \"hf:org/rows\" }\n";
const LISTING: &str = "/api/datasets/org/rows/revision/main";

/// Answers requests whose path begins with `path`.
#[expect(clippy::unnecessary_wraps, reason = "the hub has one or none")]
fn lie(path: &'static str, write: impl Fn(&mut &TcpStream) -> std::io::Result<()> + Send + 'static) -> Option<Lie> {
    Some(Box::new(move |request, stream| {
        let is_meant = request.path.starts_with(path);
        if is_meant {
            write(stream)?;
        }
        Ok(is_meant)
    }))
}

fn redirect(path: &'static str, to: &str) -> Option<Lie> {
    let answer =
        format!("HTTP/1.1 307 Temporary Redirect\r\nLocation: {to}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    lie(path, move |stream| stream.write_all(answer.as_bytes()))
}

fn listing(siblings: &serde_json::Value) -> Option<Lie> {
    let body = json!({ "sha": "1".repeat(40), "siblings": siblings }).to_string();
    lie("/api/", move |stream| {
        write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len())
    })
}

/// Fetches with a token and with all logs.
fn fetch(it: &Fetching) -> Output {
    it.finish(command(it))
}

fn command(it: &Fetching) -> Command {
    let mut command = it.command(&["fetch", "toy.toml", "-vv"]);
    command.env("HF_TOKEN", SECRET).env("R1FLOW_LOG", "trace");
    command
}

#[track_caller]
fn refused(output: &Output, reason: &str) {
    assert_eq!(output.code, Some(2), "{output}");
    assert!(output.stderr.contains(reason), "no `{reason}` in {output}");
    assert!(!output.to_string().contains(SECRET), "{output}");
}

#[test]
fn another_port_of_the_hub_s_host_is_not_told_the_token() {
    let it = Fetching::new(WORKFLOW);
    let other = Fetching::new("").hub;
    it.hub.state().token = Some(SECRET.to_owned());
    it.hub.state().redirect = Some(other.endpoint());
    assert_eq!(fetch(&it).code, Some(0));
    let told = |hub: &FakeHub| -> Vec<_> {
        hub.state().requests.iter().map(|request| request.token.as_deref() == Some(SECRET)).collect()
    };
    // Two listings and three files, because two of the four files are equal. The hub gets all five requests, and the
    // other host those for files.
    assert_eq!((told(&it.hub), told(&other)), (vec![true; 5], vec![false; 3]));
    // Nor is the token sent if the listing is elsewhere.
    let it = Fetching::new(ONLY_ROWS);
    it.hub.state().lie = redirect("/api/", &format!("{}{LISTING}", other.endpoint()));
    other.state().requests.clear();
    assert_eq!(fetch(&it).code, Some(0));
    assert_eq!((told(&it.hub), told(&other)), (vec![true; 2], vec![false; 1]));
}

#[test]
fn a_redirect_within_the_hub_is_followed_with_the_token() {
    let it = Fetching::new(ONLY_ROWS);
    it.hub.commit("datasets/org/moved", &[("samples.jsonl", ROWS)]);
    it.hub.state().token = Some(SECRET.to_owned());
    for to in ["/api/datasets/org/moved/revision/main", "../../moved/./revision/main?blobs=true"] {
        it.hub.state().lie = redirect(LISTING, to);
        assert_eq!(fetch(&it).code, Some(0), "{to}");
        let requests = std::mem::take(&mut it.hub.state().requests);
        assert!(requests.iter().all(|request| request.token.as_deref() == Some(SECRET)), "{requests:?}");
        assert!(requests[1].path.starts_with("/api/datasets/org/moved/revision/main"), "{requests:?}");
    }
}

#[test]
fn a_kept_connection_that_the_hub_closes_is_opened_again() {
    let it = Fetching::new(ONLY_ROWS);
    it.hub.commit("datasets/org/moved", &[("samples.jsonl", ROWS)]);
    it.hub.state().lie = lie(LISTING, |stream| {
        let to = "/api/datasets/org/moved/revision/main";
        write!(stream, "HTTP/1.1 307 Temporary Redirect\r\nLocation: {to}\r\nContent-Length: 0\r\n\r\n")?;
        // The client takes the connection for its next request, and gets no answer.
        stream.set_read_timeout(Some(Duration::from_secs(20)))?;
        assert_ne!(stream.read(&mut [0; 1 << 12])?, 0);
        Ok(())
    });
    assert_eq!(fetch(&it).code, Some(0));
    assert!(it.hub.asked()[1].starts_with("/api/datasets/org/moved/"));
}

#[test]
fn redirects_that_lead_nowhere_are_refused() {
    let it = Fetching::new(ONLY_ROWS);
    let cases = [
        (LISTING, "that leads on and on"),
        ("http://me:pass@127.0.0.1/x", "it has a name or a password in it"),
        ("ftp://127.0.0.1/x", "it is neither https nor http"),
        ("http://127.0.0.1:99999/x", "its port is not valid"),
        ("http://[/x", "it is no address"),
    ];
    for (to, reason) in cases {
        it.hub.state().lie = redirect(LISTING, to);
        it.hub.asked();
        refused(&fetch(&it), reason);
        assert!(it.hub.asked().len() <= 11, "{to}");
    }
    let nowhere = b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    it.hub.state().lie = lie(LISTING, |stream| stream.write_all(nowhere));
    refused(&fetch(&it), "it does not say where");
}

#[test]
fn an_endpoint_with_a_password_is_refused_and_not_repeated() {
    let it = Fetching::new(ONLY_ROWS);
    for endpoint in [it.hub.endpoint().replace("http://", "http://me:hf_pass@"), "nowhere".to_owned()] {
        for arguments in [&["fetch", "toy.toml", "-vv"][..], &["doctor"]] {
            let mut command = it.command(arguments);
            command.env("HF_ENDPOINT", &endpoint).env("R1FLOW_LOG", "trace");
            let output = it.finish(command);
            assert!(!output.to_string().contains("hf_pass"), "{output}");
            if arguments[0] == "fetch" {
                refused(&output, "HF_ENDPOINT is `");
            }
        }
    }
    assert_eq!(it.hub.asked(), [""; 0]);
}

#[test]
fn an_answer_without_end_is_broken_off() {
    let it = Fetching::new(ONLY_ROWS);
    let endless = |stream: &mut &TcpStream| {
        let chunk = [&b"10000\r\n"[..], &vec![b' '; 1 << 16], b"\r\n"].concat();
        stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")?;
        loop {
            stream.write_all(&chunk)?;
        }
    };
    it.hub.state().lie = lie("/api/", endless);
    refused(&fetch(&it), "an answer of more than 64.0 MiB");
    it.hub.state().lie = lie("/datasets/", endless);
    refused(&fetch(&it), "`samples.jsonl` does not end after 8 B, as the hub said");
    // A header with too great a length is enough.
    let long = |stream: &mut &TcpStream| stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n");
    it.hub.state().lie = lie("/datasets/", long);
    refused(&fetch(&it), "`samples.jsonl` does not end after 8 B");
    it.hub.state().lie = None;
    assert_eq!(fetch(&it).code, Some(0));
}

#[test]
fn a_length_that_lies_is_found_out() {
    let it = Fetching::new(ONLY_ROWS);
    let short = |stream: &mut &TcpStream| stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\none\ntwo\n");
    it.hub.state().lie = lie("/datasets/", short);
    // Three bytes arrive; the request for the rest gets the first three again.
    refused(&fetch(&it), "`samples.jsonl` ends after 3 B of 8 B");
    // The request was for byte 3 and those after it.
    let other = |stream: &mut &TcpStream| {
        stream
            .write_all(b"HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 0-4/8\r\nContent-Length: 5\r\n\r\none\nt")
    };
    it.hub.state().lie = lie("/datasets/", other);
    refused(&fetch(&it), "another part of `samples.jsonl` comes than was asked for");
    let behind =
        |stream: &mut &TcpStream| stream.write_all(b"HTTP/1.1 416 Range Not Satisfiable\r\nContent-Length: 0\r\n\r\n");
    it.hub.state().lie = lie("/datasets/", behind);
    refused(&fetch(&it), "`samples.jsonl` ends after 3 B of 8 B");
    it.hub.state().lie = None;
    it.hub.state().requests.clear();
    assert_eq!(fetch(&it).code, Some(0));
    assert_eq!(it.hub.state().requests[1].range.as_deref(), Some("bytes=3-"), "what was right is kept");
}

#[test]
fn what_comes_by_drops_is_given_up() {
    let it = Fetching::new(ONLY_ROWS);
    let rows = ROWS.repeat(2000);
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", rows.len());
    let drip = move |stream: &mut &TcpStream| {
        stream.write_all(head.as_bytes())?;
        // A reader sends nothing: this is a wait that ends early if the reader hangs up.
        stream.set_read_timeout(Some(Duration::from_millis(300)))?;
        while !matches!(stream.read(&mut [0]), Ok(0)) {
            stream.write_all(b" ")?;
        }
        Ok(())
    };
    it.hub.state().lie = lie("/api/", move |stream| {
        stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")?;
        stream.set_read_timeout(Some(Duration::from_millis(300)))?;
        while !matches!(stream.read(&mut [0]), Ok(0)) {
            stream.write_all(b"1\r\n \r\n")?;
        }
        Ok(())
    });
    let fetch = || {
        let mut command = command(&it);
        command.env("HF_HUB_DOWNLOAD_TIMEOUT", "3");
        it.finish(command)
    };
    refused(&fetch(), " B came in [TIME]");
    it.hub.commit("datasets/org/rows", &[("samples.jsonl", &rows)]);
    it.hub.state().lie = lie("/datasets/", drip);
    // Each drop is progress, but too little for the download to continue.
    let output = fetch();
    refused(&output, "the connection broke while `samples.jsonl` came: ");
    refused(&output, " B came in [TIME]");
}

#[test]
fn a_listing_has_bounds() {
    let it = Fetching::new(ONLY_ROWS);
    let sibling = |name: &str, size: u64| json!({ "rfilename": name, "size": size, "blobId": "0a".repeat(20) });
    it.hub.state().lie = listing(&json!([sibling("x.jsonl", u64::MAX)]));
    refused(&fetch(&it), "more than the 1.0 TiB of the largest file that is fetched");
    // Each file may be that large, but together they exceed any disk.
    let many: Vec<_> = (0..1 << 14).map(|number| sibling(&format!("{number}.jsonl"), 1 << 40)).collect();
    it.hub.state().lie = listing(&json!(many));
    refused(&fetch(&it), "hf:org/rows@main takes 16384.0 TiB more, and `[DIR]/hf/hub` has room for ");
    assert_eq!(it.hub.asked().len(), 2, "no file was asked for");
    let many: Vec<_> = (0..1_000_000).map(|number| json!({ "rfilename": format!("{number}.jsonl") })).collect();
    it.hub.state().lie = listing(&json!(many));
    refused(&fetch(&it), "has 1000000 files that a stage would read, more than the 100000 that are fetched");
    it.hub.state().lie = listing(&json!([sibling("x.jsonl", 1), sibling("a\\..\\\u{1b}[31m.jsonl", 1)]));
    let output = fetch(&it);
    refused(&output, "no file here can have such a name");
    assert!(!output.stderr.contains("\u{1b}[31m"), "{output}");
    assert!(!it.sandbox.root().join("hf/hub").exists());
}
