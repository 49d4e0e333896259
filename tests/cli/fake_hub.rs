//! A hub on the loopback interface, with repositories in memory and ways to misbehave.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard};

use serde_json::{Value, json};
use sha1::Sha1;
use sha2::{Digest, Sha256};

/// A server that lives as long as the test.
pub(crate) struct FakeHub {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
}

/// Writes the whole answer to some requests; returns false for any other request.
pub(crate) type Lie = Box<dyn Fn(&Request, &mut &TcpStream) -> std::io::Result<bool> + Send>;

/// What the hub has, and how it behaves.
#[derive(Default)]
pub(crate) struct State {
    /// By `models/org/name` or `datasets/org/name`.
    repos: BTreeMap<String, Repo>,
    /// Requests without this token are refused.
    pub(crate) token: Option<String>,
    /// Bytes after which each answer breaks off.
    pub(crate) cut: Option<usize>,
    /// Leaves out the length of answers.
    pub(crate) hides_length: bool,
    /// Sends wrong bytes for this file, in the right number.
    pub(crate) spoils: Option<&'static str>,
    /// Answers with the whole file, whatever part is requested.
    pub(crate) ignores_range: bool,
    /// Redirects requests for files to this address, which has another host name.
    pub(crate) redirect: Option<String>,
    /// Answers in place of the hub if it returns true.
    pub(crate) lie: Option<Lie>,
    /// Every request: its path, range and token.
    pub(crate) requests: Vec<Request>,
    is_over: bool,
}

#[derive(Default)]
struct Repo {
    branches: BTreeMap<String, String>,
    commits: BTreeMap<String, BTreeMap<String, String>>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Request {
    pub(crate) path: String,
    pub(crate) host: String,
    pub(crate) range: Option<String>,
    pub(crate) token: Option<String>,
}

impl FakeHub {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let hub = Self { address: listener.local_addr().unwrap(), state: Arc::default() };
        let state = Arc::clone(&hub.state);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if state.lock().unwrap().is_over {
                    break;
                }
                // A reader that hangs up is no failure of the hub.
                let _ = serve(&stream.unwrap(), &state);
            }
        });
        hub
    }

    pub(crate) fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// Adds a commit to `main` of a repository, and returns its name.
    pub(crate) fn commit(&self, repo: &str, files: &[(&str, &str)]) -> String {
        let mut state = self.state();
        let repo = state.repos.entry(repo.to_owned()).or_default();
        let commit = (repo.commits.len() + 1).to_string().repeat(40);
        let files = files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned()));
        repo.commits.insert(commit.clone(), files.collect());
        repo.branches.insert("main".to_owned(), commit.clone());
        commit
    }

    /// Returns the paths that have been requested since the last call.
    pub(crate) fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.state().requests).into_iter().map(|request| request.path).collect()
    }
}

impl Drop for FakeHub {
    fn drop(&mut self) {
        self.state().is_over = true;
        // Wakes the server, which may be gone after a panic.
        let _ = TcpStream::connect(self.address);
    }
}

/// Returns git's hash of a file's bytes.
fn hash(text: &str) -> String {
    format!("{:x}", Sha1::digest(format!("blob {}\0{text}", text.len())))
}

fn serve(mut stream: &TcpStream, state: &Mutex<State>) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream).lines();
    let first = lines.next().unwrap_or_else(|| Ok(String::new()))?;
    let mut request = Request { path: first.split(' ').nth(1).unwrap_or("/").to_owned(), ..Request::default() };
    for line in lines {
        let line = line?;
        let Some((name, value)) = line.split_once(": ") else { break };
        match name.to_lowercase().as_str() {
            "host" => value.clone_into(&mut request.host),
            "range" => request.range = Some(value.to_owned()),
            "authorization" => request.token = value.strip_prefix("Bearer ").map(str::to_owned),
            _ => {}
        }
    }
    let mut state = state.lock().unwrap();
    state.requests.push(request.clone());
    if let Some(lie) = &state.lie
        && lie(&request, &mut stream)?
    {
        return Ok(());
    }
    let (head, body) = answer(&state, &request);
    let length = body.len();
    let sent = &body.as_bytes()[..state.cut.unwrap_or(length).min(length)];
    let length = if state.hides_length { String::new() } else { format!("Content-Length: {length}\r\n") };
    write!(stream, "HTTP/1.1 {head}\r\n{length}Connection: close\r\n\r\n")?;
    stream.write_all(sent)
}

/// Returns the head of an answer, without its length, and the body.
fn answer(state: &State, request: &Request) -> (String, String) {
    let is_elsewhere = state.redirect.as_ref().is_some_and(|elsewhere| elsewhere.ends_with(&request.host));
    if state.token.is_some() && state.token != request.token && !is_elsewhere {
        return ("401 Unauthorized".to_owned(), r#"{"error":"Access is restricted"}"#.to_owned());
    }
    let path = request.path.split('?').next().unwrap_or_default();
    let found = match path.strip_prefix("/api/") {
        Some(about) => listing(state, about).map(|listing| ("200 OK".to_owned(), listing.to_string())),
        None => file(state, request, path, is_elsewhere),
    };
    found.unwrap_or_else(|| ("404 Not Found".to_owned(), r#"{"error":"not found"}"#.to_owned()))
}

fn listing(state: &State, about: &str) -> Option<Value> {
    let (name, revision) = about.split_once("/revision/")?;
    let (commit, files) = find(state, name, &revision.replace("%2F", "/"))?;
    let siblings = files.iter().map(|(path, text)| {
        let mut sibling = json!({ "rfilename": path, "size": text.len(), "blobId": hash(text) });
        if path.ends_with(".safetensors") {
            sibling["lfs"] = json!({ "sha256": format!("{:x}", Sha256::digest(text)), "size": text.len() });
        }
        sibling
    });
    Some(json!({ "sha": commit, "siblings": siblings.collect::<Vec<_>>() }))
}

fn file(state: &State, request: &Request, path: &str, is_elsewhere: bool) -> Option<(String, String)> {
    let (name, rest) = path.strip_prefix('/')?.split_once("/resolve/")?;
    let (revision, file) = rest.split_once('/')?;
    let name = if name.starts_with("datasets/") { name.to_owned() } else { format!("models/{name}") };
    let (commit, files) = find(state, &name, revision)?;
    let text = files.get(file)?;
    let text = &if state.spoils == Some(file) { text.chars().rev().collect() } else { text.clone() };
    let about = format!("ETag: \"{}\"\r\nX-Repo-Commit: {commit}", hash(text));
    if let (Some(elsewhere), false) = (&state.redirect, is_elsewhere) {
        return Some((format!("302 Found\r\nLocation: {elsewhere}{path}\r\n{about}"), String::new()));
    }
    let from = request.range.as_ref().and_then(|range| range.strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok());
    Some(match from.filter(|_| !state.ignores_range) {
        Some(from) => {
            let (last, size) = (text.len() - 1, text.len());
            let head = format!("206 Partial Content\r\nContent-Range: bytes {from}-{last}/{size}\r\n{about}");
            (head, text[from..].to_owned())
        }
        None => (format!("200 OK\r\n{about}"), text.clone()),
    })
}

fn find<'a>(state: &'a State, name: &str, revision: &str) -> Option<(String, &'a BTreeMap<String, String>)> {
    let repo = state.repos.get(name)?;
    let commit = repo.branches.get(revision).map_or(revision, String::as_str);
    Some((commit.to_owned(), repo.commits.get(commit)?))
}
