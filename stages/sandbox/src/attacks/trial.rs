//! Trying every attack of the table in a jail, with live targets outside it.

use std::io;
use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{SocketAddr, UnixDatagram, UnixListener, UnixStream};
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::{Attack, Attempt, ESCAPED, HELD, Judged, Targets, Verdict, calls, table};
use crate::folder::Scratch;
use crate::jail::{Error, Jail};
use crate::program::{End, Limits, Outcome};

/// The name of the process that attacks are aimed at.
pub(crate) const VICTIM: &str = "r1flow-victim";
/// Attacks that are tried at the same time. Most of them wait.
const AT_ONCE: usize = 8;
/// Limits that attacks go beyond. They are small, so that going beyond them costs little.
const LIMITS: Limits = Limits {
    wall: Duration::from_mins(2),
    cpu: Duration::from_millis(500),
    memory: 48 << 20,
    output: 256 << 10,
    file_size: 1 << 20,
    disk: 8 << 20,
    processes: 8,
};

/// What listens outside while attacks are tried.
struct Outside {
    targets: Targets,
    folder: Scratch,
    _tcp: TcpListener,
    _udp: UdpSocket,
    _abstract: UnixListener,
    _stream: UnixListener,
    _datagram: UnixDatagram,
    _victim: UnixStream,
}

/// Tries every attack, in the order of the table. It takes a second or two.
pub fn try_all(jail: &Jail) -> Result<Vec<Attempt>, Error> {
    let outside = Outside::open(jail)?;
    let (next, tried) = (AtomicU32::new(0), Mutex::new(Vec::new()));
    let attacks: Vec<&Attack> = table().collect();
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed) as usize;
                    let Some(attack) = attacks.get(index) else { break };
                    let attempt = try_one(jail, attack, &outside.targets);
                    tried.lock().unwrap_or_else(PoisonError::into_inner).push((index, attempt));
                }
            });
        }
    });
    outside.close().map_err(Error::Lost)?;
    let mut tried = tried.into_inner().unwrap_or_else(PoisonError::into_inner);
    tried.sort_by_key(|(index, _)| *index);
    Ok(tried.into_iter().map(|(_, attempt)| attempt).collect())
}

fn try_one(jail: &Jail, attack: &Attack, targets: &Targets) -> Attempt {
    let mut targets = targets.clone();
    // Names of processes have 15 bytes.
    targets.marker = format!("r1{}", &blurred(attack.name, &targets.marker));
    if matches!(attack.judged, Judged::TimedOut) {
        targets.limits.wall = Duration::from_secs(1);
    }
    let verdict = match jail.attack(attack.name, &targets, &targets.limits) {
        Ok(outcome) => judge(attack, &targets, &outcome),
        Err(error) => Verdict::Escaped(format!("it is not known how it went: {error}")),
    };
    Attempt { name: attack.name.to_owned(), tries: attack.tries.to_owned(), verdict }
}

/// Returns a short name from two: 12 letters by FNV-1a.
fn blurred(name: &str, of: &str) -> String {
    let fold = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    let hash = name.bytes().chain(of.bytes()).fold(0xcbf2_9ce4_8422_2325, fold);
    format!("{:012x}", hash & 0xffff_ffff_ffff)
}

fn judge(attack: &Attack, targets: &Targets, outcome: &Outcome) -> Verdict {
    let said = || String::from_utf8_lossy(&outcome.output).chars().take(200).collect::<String>();
    let ended = || format!("{:?}", outcome.end);
    match (attack.judged, &outcome.end) {
        (Judged::Ended(has_held), _) if has_held(outcome) => Verdict::Held(ended()),
        (Judged::Ended(_), _) => Verdict::Escaped(format!("{}: {}", ended(), said())),
        (Judged::TimedOut, End::WallTime) => Verdict::Held(ended()),
        (Judged::LeftProcess, end) => match calls::named(&targets.marker) {
            Ok(found) if found.is_empty() => match end {
                // It says that it has left something, and nothing is there.
                End::Exited(ESCAPED) => Verdict::Held("it was killed".to_owned()),
                _ => Verdict::Held(said()),
            },
            Ok(found) => Verdict::Escaped(format!("left {found:?}")),
            Err(error) => Verdict::Escaped(format!("it is not known what it left: {error}")),
        },
        (Judged::LeftFile(folder), _) if Path::new(folder).join(&targets.marker).exists() => {
            remove(&Path::new(folder).join(&targets.marker));
            Verdict::Escaped(said())
        }
        (Judged::LeftFile(_), End::Exited(ESCAPED)) => Verdict::Held("it wrote to a folder of its own".to_owned()),
        (_, End::Exited(ESCAPED)) => Verdict::Escaped(said()),
        (_, End::Exited(HELD)) => Verdict::Held(said()),
        // Killed for it, or by its limits.
        (_, end @ (End::Signalled(_) | End::Memory | End::Disk | End::Processes | End::Output)) => {
            Verdict::Held(format!("{end:?}"))
        }
        _ => Verdict::Escaped(format!("it is not known how it went: {}: {}", ended(), said())),
    }
}

#[expect(clippy::disallowed_methods, reason = "an attack made this file, under a name that only it has")]
fn remove(path: &Path) {
    let _ = fs_err::remove_file(path);
}

impl Outside {
    fn open(jail: &Jail) -> Result<Self, Error> {
        let (victim, connection) = jail.victim()?;
        Self::listen(jail, victim, connection).map_err(Error::Lost)
    }

    fn listen(jail: &Jail, victim: i32, connection: UnixStream) -> io::Result<Self> {
        let folder = Scratch::create(jail.scratch())?;
        let path = folder.path.clone();
        let allow = |path: &Path, mode| fs_err::set_permissions(path, std::fs::Permissions::from_mode(mode));
        allow(&path, 0o777)?;
        fs_err::write(path.join("secret"), super::SECRET)?;
        allow(&path.join("secret"), 0o755)?;
        let stream = UnixListener::bind(path.join("stream"))?;
        let datagram = UnixDatagram::bind(path.join("datagram"))?;
        allow(&path.join("stream"), 0o777)?;
        allow(&path.join("datagram"), 0o777)?;
        let tcp = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let udp = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        let name = format!("r1flow-attack-{}-{victim}", std::process::id());
        let abstract_socket = UnixListener::bind_addr(&SocketAddr::from_abstract_name(&name)?)?;
        let targets = Targets {
            tcp: tcp.local_addr()?.port(),
            udp: udp.local_addr()?.port(),
            marker: name.clone(),
            abstract_socket: name,
            folder: path,
            victim,
            limits: LIMITS,
        };
        Ok(Self {
            targets,
            folder,
            _tcp: tcp,
            _udp: udp,
            _abstract: abstract_socket,
            _stream: stream,
            _datagram: datagram,
            _victim: connection,
        })
    }

    fn close(self) -> io::Result<()> {
        self.folder.remove()
    }
}
