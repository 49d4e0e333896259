//! Attacks on the network: what listens on this machine, and what leaves it.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr as LocalAddr, UnixDatagram, UnixStream};
use std::time::Duration;

use super::calls::{call, gain, with};
use super::{Attack, Judged::Said, Targets};

#[rustfmt::skip]
pub(super) const TABLE: &[Attack] = &[
    Attack { name: "tcp", tries: "connect to a TCP port of the machine", carry_out: tcp, judged: Said },
    Attack { name: "tcp-ipv6", tries: "open an IPv6 socket", carry_out: tcp_ipv6, judged: Said },
    Attack { name: "tcp-listen", tries: "listen on a TCP port", carry_out: listen, judged: Said },
    Attack { name: "udp", tries: "send to a UDP port of the machine", carry_out: udp, judged: Said },
    Attack { name: "raw-socket", tries: "make packets by hand", carry_out: raw, judged: Said },
    Attack { name: "packet-socket", tries: "listen to all packets", carry_out: packet, judged: Said },
    Attack { name: "netlink", tries: "ask the kernel for network devices", carry_out: netlink, judged: Said },
    Attack { name: "vsock", tries: "reach the host of this virtual machine", carry_out: vsock, judged: Said },
    Attack { name: "crypto-socket", tries: "use the kernel's cryptography", carry_out: crypto, judged: Said },
    Attack { name: "abstract-socket", tries: "connect to an abstract socket", carry_out: abstract_socket, judged: Said },
    Attack { name: "path-socket", tries: "connect to a socket in a folder", carry_out: path_socket, judged: Said },
    Attack { name: "datagram-socket", tries: "send to a socket in a folder", carry_out: datagram, judged: Said },
    Attack { name: "datagram-pair", tries: "send from a pair of sockets to another", carry_out: pair, judged: Said },
];

fn tcp(targets: &Targets) -> io::Result<String> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, targets.tcp));
    TcpStream::connect_timeout(&address, Duration::from_secs(1)).map(|_| "connected".to_owned())
}

fn tcp_ipv6(_: &Targets) -> io::Result<String> {
    TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).map(|_| "listens".to_owned())
}

fn listen(_: &Targets) -> io::Result<String> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map(|_| "listens".to_owned())
}

fn udp(targets: &Targets) -> io::Result<String> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    socket.send_to(b"?", (Ipv4Addr::LOCALHOST, targets.udp)).map(|_| "sent".to_owned())
}

fn socket(family: i32, kind: i32, protocol: i32) -> io::Result<String> {
    gain("a socket", libc::SYS_socket, [i64::from(family), i64::from(kind), i64::from(protocol)])
}

fn raw(_: &Targets) -> io::Result<String> {
    socket(libc::AF_INET, libc::SOCK_RAW, libc::IPPROTO_ICMP)
}

fn packet(_: &Targets) -> io::Result<String> {
    socket(libc::AF_PACKET, libc::SOCK_RAW, 0)
}

fn netlink(_: &Targets) -> io::Result<String> {
    socket(libc::AF_NETLINK, libc::SOCK_RAW, libc::NETLINK_ROUTE)
}

fn vsock(_: &Targets) -> io::Result<String> {
    socket(libc::AF_VSOCK, libc::SOCK_STREAM, 0)
}

fn crypto(_: &Targets) -> io::Result<String> {
    socket(libc::AF_ALG, libc::SOCK_SEQPACKET, 0)
}

fn abstract_socket(targets: &Targets) -> io::Result<String> {
    let address = LocalAddr::from_abstract_name(&targets.abstract_socket)?;
    UnixStream::connect_addr(&address).map(|_| "connected".to_owned())
}

fn path_socket(targets: &Targets) -> io::Result<String> {
    UnixStream::connect(targets.folder.join("stream")).map(|_| "connected".to_owned())
}

fn datagram(targets: &Targets) -> io::Result<String> {
    let socket = UnixDatagram::unbound()?;
    socket.send_to(b"?", targets.folder.join("datagram")).map(|_| "sent".to_owned())
}

/// Sends to an address from a socket that `socketpair` made, so that `socket` and `connect` are not needed.
fn pair(targets: &Targets) -> io::Result<String> {
    let mut ends = [0_i32; 2];
    let family = i64::from(libc::AF_UNIX);
    call(
        libc::SYS_socketpair,
        with([family, i64::from(libc::SOCK_DGRAM), 0, super::calls::pointer(ends.as_mut_ptr())]),
    )?;
    // SAFETY: the kernel has just made it.
    let socket = unsafe { <UnixDatagram as std::os::fd::FromRawFd>::from_raw_fd(ends[0]) };
    socket.send_to(b"?", targets.folder.join("datagram")).map(|_| "sent".to_owned())
}
