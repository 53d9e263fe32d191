//! Waiting on a socket so that another thread can end the wait.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};

/// Wakes whoever waits on a connection, from any thread. A stop is for good and reaches every connection that shares
/// the waker; a plain wake reaches one of them.
#[derive(Debug)]
pub struct Waker {
    ours: UnixStream,
    theirs: UnixStream,
    stopped: AtomicBool,
}

impl Waker {
    /// A waker that nobody has used yet.
    ///
    /// # Errors
    /// The process is out of file descriptors.
    pub fn new() -> io::Result<Waker> {
        let (ours, theirs) = UnixStream::pair()?;
        ours.set_nonblocking(true)?;
        theirs.set_nonblocking(true)?;
        Ok(Waker { ours, theirs, stopped: AtomicBool::new(false) })
    }

    /// Ends every wait now and later.
    pub fn stop(&self) {
        self.stopped.store(true, Ordering::SeqCst);
        self.wake();
    }

    /// Something was left for the waiting side to take. A full pipe is a wake-up not yet seen: nothing is lost.
    pub fn wake(&self) {
        let _full_or_gone = (&self.theirs).write(&[1]);
    }

    /// Whether [`Waker::stop`] was called.
    pub fn stopped(&self) -> bool {
        self.stopped.load(Ordering::SeqCst)
    }

    /// Takes the wake-ups seen. That of a stop is put back: every later wait, and another thread's, must see it too.
    fn drain(&self) {
        let mut bytes = [0; 64];
        while matches!((&self.ours).read(&mut bytes), Ok(count) if count == bytes.len()) {}
        if self.stopped() {
            self.wake();
        }
    }
}

/// What a wait ended with; all false: the time is over (or a signal came).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ready {
    /// The socket can be read, or has failed.
    pub readable: bool,
    /// The socket can be written, or has failed.
    pub writable: bool,
    /// The waker was used.
    pub woken: bool,
}

/// Waits for the socket, the waker or `timeout_ns`, whichever is first.
///
/// # Errors
/// The kernel's refusal to poll.
pub fn wait(tcp: &TcpStream, waker: &Waker, write: bool, timeout_ns: i64) -> io::Result<Ready> {
    let interest = if write { PollFlags::IN | PollFlags::OUT } else { PollFlags::IN };
    let mut fds = [PollFd::new(tcp, interest), PollFd::new(&waker.ours, PollFlags::IN)];
    poll_for(&mut fds, timeout_ns)?;
    let (socket, woken) = (fds[0].revents(), !fds[1].revents().is_empty());
    if woken {
        waker.drain();
    }
    let failed = socket.intersects(PollFlags::ERR | PollFlags::HUP | PollFlags::NVAL);
    Ok(Ready {
        readable: failed || socket.contains(PollFlags::IN),
        writable: failed || socket.contains(PollFlags::OUT),
        woken,
    })
}

/// Waits until one of the sockets can be written or has failed, the waker is used or `timeout_ns` is over; which of them.
///
/// # Errors
/// The kernel's refusal to poll.
pub(crate) fn wait_writable(tcps: &[&TcpStream], waker: &Waker, timeout_ns: i64) -> io::Result<Vec<bool>> {
    let mut fds: Vec<PollFd<'_>> = tcps.iter().map(|tcp| PollFd::new(*tcp, PollFlags::OUT)).collect();
    fds.push(PollFd::new(&waker.ours, PollFlags::IN));
    poll_for(&mut fds, timeout_ns)?;
    let ready: Vec<bool> = fds.iter().map(|fd| !fd.revents().is_empty()).collect();
    if ready[tcps.len()] {
        waker.drain();
    }
    Ok(ready[..tcps.len()].to_vec())
}

fn poll_for(fds: &mut [PollFd<'_>], timeout_ns: i64) -> io::Result<()> {
    let timeout_ns = timeout_ns.max(0);
    let timeout = Timespec { tv_sec: timeout_ns / 1_000_000_000, tv_nsec: timeout_ns % 1_000_000_000 };
    match poll(fds, Some(&timeout)) {
        Ok(_) | Err(Errno::INTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
