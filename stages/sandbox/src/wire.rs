//! Messages between the caller, the helper and the guards: a header as JSON with its length, then raw bytes.
//!
//! The caller has one socket to the helper. For each program it makes a pair of sockets and sends one end to the
//! helper, which passes it on to a new guard. So a run has a connection of its own, and its end is the end of the run.

use std::io::{self, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags,
    recvmsg, sendmsg,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::attacks::Targets;
use crate::program::{End, Limits, Policy};

/// The longest header.
const MAX_HEADER: u32 = 16 << 20;

/// The first message to the helper.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Hello {
    pub(crate) policy: Policy,
}

/// The helper's answer: what it uses, or why it cannot work.
pub(crate) type Ready = Result<crate::Layers, String>;

/// What the caller asks of a guard.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Ask {
    /// Run a program. The bytes of the files follow, then the input.
    Program { arguments: Vec<String>, files: Vec<FileHead>, input: u64, limits: Limits },
    /// Try one attack of the table in place of a program.
    Attack { name: String, targets: Targets, limits: Limits },
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct FileHead {
    pub(crate) name: String,
    pub(crate) size: u64,
    pub(crate) executable: bool,
}

/// A guard's answer, or why it could not do its work. The bytes of output and errors follow.
pub(crate) type Answer = Result<OutcomeHead, String>;

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct OutcomeHead {
    pub(crate) end: End,
    pub(crate) output: u64,
    pub(crate) errors: u64,
    pub(crate) cpu: Duration,
    pub(crate) wall: Duration,
    pub(crate) memory: u64,
}

/// Writes a header and the bytes after it.
pub(crate) fn send<T: Serialize>(to: &mut impl Write, header: &T, bytes: &[&[u8]]) -> io::Result<()> {
    let header = serde_json::to_vec(header)?;
    let length = u32::try_from(header.len()).ok().filter(|length| *length <= MAX_HEADER);
    let length = length.ok_or_else(|| io::Error::other("a message's header is too long"))?;
    let mut whole = Vec::with_capacity(4 + header.len() + bytes.iter().map(|part| part.len()).sum::<usize>());
    whole.extend_from_slice(&length.to_be_bytes());
    whole.extend_from_slice(&header);
    for part in bytes {
        whole.extend_from_slice(part);
    }
    to.write_all(&whole)
}

/// Reads a header.
pub(crate) fn receive<T: DeserializeOwned>(from: &mut impl Read) -> io::Result<T> {
    let mut length = [0; 4];
    from.read_exact(&mut length)?;
    let length = u32::from_be_bytes(length);
    if length > MAX_HEADER {
        return Err(io::Error::other("a message's header is too long"));
    }
    Ok(serde_json::from_slice(&receive_bytes(from, u64::from(length))?)?)
}

/// Reads bytes that a header has announced.
pub(crate) fn receive_bytes(from: &mut impl Read, size: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    from.take(size).read_to_end(&mut bytes)?;
    if bytes.len() as u64 == size { Ok(bytes) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
}

/// What a connection is for: the byte that goes with its descriptor.
pub(crate) const RUN: u8 = b'+';
/// A process outside the jail that attacks are aimed at, until the connection ends.
pub(crate) const VICTIM: u8 = b'v';

/// Sends a descriptor through a socket.
pub(crate) fn send_descriptor(through: impl AsFd, descriptor: impl AsFd, what_for: u8) -> io::Result<()> {
    let descriptors = [descriptor.as_fd()];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    if !ancillary.push(SendAncillaryMessage::ScmRights(&descriptors)) {
        return Err(io::Error::other("a descriptor does not fit in its message"));
    }
    sendmsg(through, &[io::IoSlice::new(&[what_for])], &mut ancillary, SendFlags::NOSIGNAL)?;
    Ok(())
}

/// Receives a descriptor and what it is for; none when the other end is closed.
pub(crate) fn receive_descriptor(through: impl AsFd) -> io::Result<Option<(OwnedFd, u8)>> {
    let mut byte = [0];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let mut parts = [io::IoSliceMut::new(&mut byte)];
    let received = recvmsg(through, &mut parts, &mut ancillary, RecvFlags::CMSG_CLOEXEC)?;
    if received.bytes == 0 {
        return Ok(None);
    }
    let descriptor = ancillary.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut descriptors) => descriptors.next(),
        _ => None,
    });
    descriptor
        .map(|descriptor| Some((descriptor, byte[0])))
        .ok_or_else(|| io::Error::other("a message without a descriptor"))
}
