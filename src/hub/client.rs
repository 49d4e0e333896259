//! Requests to the hub: who is told the token, which redirects are followed, how long an answer may take.
//!
//! What comes is limited here in time, in [`Client::text`] in length; a file's own length is `transfer.rs`'s business.
//!
//! The idea to know: ureq would follow redirects itself, but tells the token to every port of the hub's host. So each
//! step is a request of its own, which has the token if and only if it goes to the hub's own scheme, host and port.

use std::fmt;
use std::io::{self, ErrorKind, Read};
use std::time::{Duration, Instant};

use ureq::http::header::{AUTHORIZATION, HeaderValue, LOCATION, RANGE};
use ureq::http::{Response, Uri};
use ureq::{Agent, Body};

use super::redirect::{Origin, follow};
use super::settings::Settings;
use super::trouble::Trouble;
use crate::ui::bytes;

const CONNECT: Duration = Duration::from_secs(20);
const MOST_REDIRECTS: usize = 10;
/// What the hub says of a repository of 100,000 files, of which it advises against more, is some 30 MB.
const LONGEST_TEXT: u64 = 64 << 20;
/// What must come of an answer in as long as the hub has patience with it: what comes by drops is as good as lost.
const LEAST: u64 = 1 << 10;

/// Speaks to the hub.
pub(super) struct Client<'a> {
    pub(super) settings: &'a Settings,
    agent: Agent,
    hub: Origin,
    token: Option<HeaderValue>,
}

/// Why a request has no answer.
#[derive(Debug)]
pub(super) enum Failure {
    /// An answer that is none of success.
    Status(u16),
    /// A redirect that is not followed, met at an origin, with the reason.
    Redirect(String, &'static str),
    /// A text without end.
    TooLong,
    /// Neither an answer nor the rest of one comes from an origin.
    Broken(String, Box<ureq::Error>),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(status) => write!(f, "status {status}"),
            Self::Redirect(from, reason) => write!(f, "{from} leads elsewhere, and {reason}"),
            Self::TooLong => write!(f, "an answer of more than {}", bytes(LONGEST_TEXT)),
            Self::Broken(_, error) => error.fmt(f),
        }
    }
}

impl<'a> Client<'a> {
    pub(super) fn new(settings: &'a Settings) -> Result<Self, Trouble> {
        let endpoint: Result<Uri, _> = settings.endpoint.parse();
        let hub = endpoint.map_err(|_| "it is no address").and_then(|uri| Origin::of(&uri));
        let hub = hub.map_err(|reason| Trouble::endpoint(&settings.endpoint, reason))?;
        let header = |token: &str| {
            let mut header = HeaderValue::from_str(&format!("Bearer {token}")).map_err(|_| Trouble::token())?;
            header.set_sensitive(true);
            Ok(header)
        };
        let token = settings.token.as_ref().map(|token| header(&token.0)).transpose()?;
        let config = Agent::config_builder()
            .user_agent(concat!("r1flow/", env!("CARGO_PKG_VERSION")))
            // What is compressed on the way has another length.
            .accept_encoding("identity")
            .max_redirects(0)
            .timeout_connect(Some(CONNECT))
            .timeout_recv_response(Some(settings.patience))
            .timeout_per_read(Some(settings.patience));
        Ok(Self { settings, agent: config.build().into(), hub, token })
    }

    /// Returns the text at `url`.
    pub(super) fn text(&self, url: &str) -> Result<String, Failure> {
        let mut body = self.get(url, 0)?.into_body().into_reader().take(LONGEST_TEXT + 1);
        let mut pace = self.pace();
        let (mut text, mut buffer) = (Vec::new(), vec![0; 1 << 16]);
        let broken = |error: io::Error| Failure::Broken(self.hub.to_string(), Box::new(ureq::Error::Io(error)));
        loop {
            match pace.read(&mut body, &mut buffer).map_err(broken)? {
                0 => break,
                count => text.extend_from_slice(&buffer[..count]),
            }
        }
        if text.len() as u64 > LONGEST_TEXT {
            return Err(Failure::TooLong);
        }
        String::from_utf8(text).map_err(|error| broken(io::Error::new(ErrorKind::InvalidData, error.utf8_error())))
    }

    /// Returns the answer to a request for what is at `url`, from byte `from` on.
    pub(super) fn get(&self, url: &str, from: u64) -> Result<Response<Body>, Failure> {
        let refuse = |at: &dyn fmt::Display, reason| Failure::Redirect(at.to_string(), reason);
        let mut uri: Uri = url.parse().map_err(|_| refuse(&self.hub, "it is no address"))?;
        for _ in 0..=MOST_REDIRECTS {
            let origin = Origin::of(&uri).map_err(|reason| refuse(&self.hub, reason))?;
            let answer = self.ask(&uri, &origin, from)?;
            if !matches!(answer.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
                return if answer.status().is_success() {
                    Ok(answer)
                } else {
                    Err(Failure::Status(answer.status().as_u16()))
                };
            }
            let location = answer.headers().get(LOCATION).and_then(|location| location.to_str().ok());
            let location = location.ok_or_else(|| refuse(&origin, "it does not say where"))?;
            uri = follow(&uri, location).map_err(|reason| refuse(&origin, reason))?;
        }
        Err(refuse(&self.hub, "that leads on and on"))
    }

    fn ask(&self, uri: &Uri, origin: &Origin, from: u64) -> Result<Response<Body>, Failure> {
        let mut request = self.agent.get(uri.clone());
        if let Some(token) = self.token.as_ref().filter(|_| *origin == self.hub) {
            request = request.header(AUTHORIZATION, token.clone());
        }
        if from > 0 {
            request = request.header(RANGE, format!("bytes={from}-"));
        }
        request.call().map_err(|error| match error {
            ureq::Error::StatusCode(status) => Failure::Status(status),
            error => Failure::Broken(origin.to_string(), Box::new(error)),
        })
    }

    pub(super) fn pace(&self) -> Pace {
        Pace { patience: self.settings.patience, waited: Duration::ZERO, came: 0 }
    }
}

/// How fast an answer comes; that of several answers, where one is broken off and another goes on with it.
pub(super) struct Pace {
    patience: Duration,
    /// For as many bytes as have come since more than a drop did. Time that was spent elsewhere, or asleep, is not in
    /// it.
    waited: Duration,
    came: u64,
}

impl Pace {
    /// Reads as `body` does; fails when too little comes.
    pub(super) fn read(&mut self, body: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
        let start = Instant::now();
        let count = body.read(buffer)?;
        self.note(start.elapsed(), count as u64)?;
        Ok(count)
    }

    /// Returns whether too little has come, so that asking once more is no use.
    pub(super) fn is_over(&self) -> bool {
        self.waited > self.patience
    }

    fn note(&mut self, waited: Duration, came: u64) -> io::Result<()> {
        // ureq ends a read that takes longer: the rest is a machine that slept.
        self.waited += waited.min(self.patience);
        self.came += came;
        if self.came >= LEAST {
            (self.waited, self.came) = (Duration::ZERO, 0);
        }
        if !self.is_over() {
            return Ok(());
        }
        let reason = format!("{} came in {} s", bytes(self.came), self.waited.as_secs());
        Err(io::Error::new(ErrorKind::TimedOut, reason))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_by_drops_is_given_up() {
        let pace = || Pace { patience: Duration::from_mins(1), waited: Duration::ZERO, came: 0 };
        let second = Duration::from_secs(1);
        let mut drops = pace();
        assert!((0..60).all(|_| drops.note(second, 1).is_ok()));
        assert_eq!(drops.note(second, 1).unwrap_err().to_string(), "61 B came in 61 s");
        let mut slow = pace();
        assert!((0..10_000).all(|_| slow.note(second, 20).is_ok()));
        // An hour of sleep is no hour of waiting.
        assert!(pace().note(Duration::from_hours(1), 1).is_ok());
    }
}
