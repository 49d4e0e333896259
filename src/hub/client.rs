//! Requests to the hub: where the token is sent, which redirects are followed, how long an answer may take.
//!
//! All answers are limited in time here, and in length by [`Client::text`]; `transfer.rs` limits the length of files.
//!
//! The idea to know: ureq could follow redirects itself, but sends the token to every port of the hub's host. So each
//! redirect is a request of its own, which has the token if and only if it goes to the hub's own scheme, host and port.

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
/// In bytes: the hub's listing of 100,000 files, the most that it recommends, is about 30 MB.
const LONGEST_TEXT: u64 = 64 << 20;
/// The bytes that must arrive within the hub's timeout; a slower answer is given up.
const LEAST: u64 = 1 << 10;

/// A client of the hub.
pub(super) struct Client<'a> {
    pub(super) settings: &'a Settings,
    agent: Agent,
    hub: Origin,
    token: Option<HeaderValue>,
}

/// Why a request failed.
#[derive(Debug)]
pub(super) enum Failure {
    /// An HTTP status other than success.
    Status(u16),
    /// A redirect that is not followed: the origin that sent it, and the reason.
    Redirect(String, &'static str),
    /// A text longer than the limit.
    TooLong,
    /// The connection to an origin failed, before or during its answer.
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
            // With compression, the body would have another length.
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

    /// Returns the answer to a request for `url`, from byte `from` on. Follows redirects.
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
        let call = || {
            let mut request = self.agent.get(uri.clone());
            if let Some(token) = self.token.as_ref().filter(|_| *origin == self.hub) {
                request = request.header(AUTHORIZATION, token.clone());
            }
            if from > 0 {
                request = request.header(RANGE, format!("bytes={from}-"));
            }
            request.call()
        };
        let answer = match call() {
            // A server may close a kept connection while the next request is on its way (RFC 9112, 9.3.1).
            Err(ureq::Error::Io(error)) if is_closed(error.kind()) => call(),
            answer => answer,
        };
        answer.map_err(|error| match error {
            ureq::Error::StatusCode(status) => Failure::Status(status),
            error => Failure::Broken(origin.to_string(), Box::new(error)),
        })
    }

    pub(super) fn pace(&self) -> Pace {
        Pace { patience: self.settings.patience, waited: Duration::ZERO, came: 0 }
    }
}

fn is_closed(error: ErrorKind) -> bool {
    matches!(error, ErrorKind::ConnectionReset | ErrorKind::BrokenPipe | ErrorKind::UnexpectedEof)
}

/// How fast an answer arrives, across several requests if one breaks off and the next resumes it.
pub(super) struct Pace {
    patience: Duration,
    /// Time spent reading since `LEAST` bytes were last complete. Time between reads or with the machine asleep is not
    /// counted.
    waited: Duration,
    came: u64,
}

impl Pace {
    /// Reads from `body`; fails if too few bytes arrive in time.
    pub(super) fn read(&mut self, body: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
        let start = Instant::now();
        let count = body.read(buffer)?;
        self.note(start.elapsed(), count as u64)?;
        Ok(count)
    }

    /// Returns whether too few bytes arrived in time, so that another request is no use.
    pub(super) fn is_over(&self) -> bool {
        self.waited > self.patience
    }

    fn note(&mut self, waited: Duration, came: u64) -> io::Result<()> {
        // ureq ends a longer read, so a longer time means that the machine was asleep.
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
        // An hour of sleep is not counted as an hour of waiting.
        assert!(pace().note(Duration::from_hours(1), 1).is_ok());
    }
}
