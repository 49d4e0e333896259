//! Where a redirect leads, and whether that is still the hub.
//!
//! The idea to know: the hub is one scheme, host and port. An address that differs in one of them is another server,
//! which gets no token: another port of the host, a subdomain, or the same host without TLS.

use std::fmt;

use ureq::http::Uri;

/// A scheme, a host and a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Origin {
    scheme: String,
    host: String,
    port: u16,
}

impl Origin {
    /// The error says in a few words why there is none. It does not repeat the address, which may contain a password.
    pub(super) fn of(uri: &Uri) -> Result<Self, &'static str> {
        let scheme = uri.scheme_str().unwrap_or_default().to_ascii_lowercase();
        let usual = match scheme.as_str() {
            "https" => 443,
            "http" => 80,
            _ => return Err("it is neither https nor http"),
        };
        let authority = uri.authority().ok_or("it names no host")?;
        if authority.as_str().contains('@') {
            return Err("it has a name or a password in it");
        }
        let host = authority.host().to_ascii_lowercase();
        if host.is_empty() {
            return Err("it names no host");
        }
        let port = match authority.as_str()[authority.host().len()..].strip_prefix(':') {
            Some("") | None => usual,
            Some(_) => authority.port_u16().ok_or("its port is not valid")?,
        };
        Ok(Self { scheme, host, port })
    }

    fn is_secret(&self) -> bool {
        self.scheme == "https"
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { scheme, host, port } = self;
        match (scheme.as_str(), port) {
            ("https", 443) | ("http", 80) => write!(f, "{scheme}://{host}"),
            _ => write!(f, "{scheme}://{host}:{port}"),
        }
    }
}

/// Resolves a `Location` header that came from `from`. The error says in a few words why it is not followed.
pub(super) fn follow(from: &Uri, location: &str) -> Result<Uri, &'static str> {
    const NONE: &str = "it is no address";
    let start = Origin::of(from)?;
    let location = location.split('#').next().unwrap_or_default();
    let here = || format!("{}://{}", start.scheme, from.authority().map_or("", |authority| authority.as_str()));
    let text = if has_scheme(location) {
        location.to_owned()
    } else if location.starts_with("//") {
        format!("{}:{location}", start.scheme)
    } else if location.starts_with('/') {
        format!("{}{}", here(), without_dots(location))
    } else if location.is_empty() || location.starts_with('?') {
        format!("{}{}{location}", here(), from.path())
    } else {
        let folder = from.path().rsplit_once('/').map_or("", |(folder, _)| folder);
        format!("{}{}", here(), without_dots(&format!("{folder}/{location}")))
    };
    let to: Uri = text.parse().map_err(|_| NONE)?;
    let end = Origin::of(&to)?;
    if start.is_secret() && !end.is_secret() {
        return Err("it leaves https for http");
    }
    Ok(to)
}

/// Returns whether an address begins with `word:`.
fn has_scheme(location: &str) -> bool {
    let scheme = location.split(['/', '?']).next().unwrap_or_default().split_once(':').map(|(scheme, _)| scheme);
    scheme.is_some_and(|scheme| {
        scheme.starts_with(|each: char| each.is_ascii_alphabetic())
            && scheme.chars().all(|each| each.is_ascii_alphanumeric() || "+-.".contains(each))
    })
}

/// Removes `.` and `..` from an absolute path (RFC 3986, section 5.2.4); a query stays unchanged.
fn without_dots(location: &str) -> String {
    let (path, query) = location.find('?').map_or((location, ""), |at| location.split_at(at));
    let mut parts = Vec::new();
    for part in path.split('/').skip(1) {
        match part {
            "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    if path.ends_with("/.") || path.ends_with("/..") {
        parts.push("");
    }
    format!("/{}{query}", parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HUB: &str = "https://hub.example/api/models/a/b?blobs=true";

    #[test]
    fn redirects_lead_where_they_say() {
        let cases = [
            ("https://cdn.example/x?Signature=1#top", "https://cdn.example/x?Signature=1"),
            ("//cdn.example:8443/x", "https://cdn.example:8443/x"),
            ("/api/models/c/d?y=/../z", "https://hub.example/api/models/c/d?y=/../z"),
            ("c", "https://hub.example/api/models/a/c"),
            ("../c/d?x", "https://hub.example/api/models/c/d?x"),
            ("../../../../../c", "https://hub.example/c"),
            ("./.", "https://hub.example/api/models/a/"),
            ("?z", "https://hub.example/api/models/a/b?z"),
            ("", "https://hub.example/api/models/a/b"),
        ];
        for (location, expected) in cases {
            assert_eq!(follow(&HUB.parse().unwrap(), location).unwrap().to_string(), expected, "{location}");
        }
    }

    #[test]
    fn redirects_that_lead_astray_are_refused() {
        let cases = [
            ("http://hub.example/x", "it leaves https for http"),
            ("https://hub.example@cdn.example/x", "it has a name or a password in it"),
            ("//me:secret@hub.example/x", "it has a name or a password in it"),
            ("file:///etc/passwd", "it is no address"),
            ("ftp://hub.example/x", "it is neither https nor http"),
            ("javascript:x", "it is neither https nor http"),
            ("https://", "it is no address"),
            ("https:///x", "it is no address"),
            ("https://hub.example:99999/x", "its port is not valid"),
            ("/a b", "it is no address"),
        ];
        for (location, expected) in cases {
            assert_eq!(follow(&HUB.parse().unwrap(), location), Err(expected), "{location}");
        }
        // A redirect from http to https is fine.
        assert!(follow(&"http://hub.example/x".parse().unwrap(), "https://hub.example/x").is_ok());
    }

    #[test]
    fn the_hub_is_one_scheme_host_and_port() {
        let hub = Origin::of(&HUB.parse().unwrap()).unwrap();
        let is_hub = |text: &str| Origin::of(&text.parse().unwrap()).unwrap() == hub;
        for text in ["https://hub.example", "https://HUB.example:443/x", "HTTPS://hub.example/y?z"] {
            assert!(is_hub(text), "{text}");
        }
        for text in [
            "http://hub.example",
            "http://hub.example:443",
            "https://hub.example:8443",
            "https://cdn.hub.example",
            "https://example",
            "https://hub.example.",
            "https://hub.example.evil.example",
        ] {
            assert!(!is_hub(text), "{text}");
        }
        assert_eq!(hub.to_string(), "https://hub.example");
        assert_eq!(Origin::of(&"http://[::1]:8080/x".parse().unwrap()).unwrap().to_string(), "http://[::1]:8080");
    }
}
