//! After a 101: bytes to and fro between client and upstream.

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::pin;
use std::task::Poll;

use futures_util::future::{Either, select};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::http::answer::{Finish, FinishInfo};
use crate::http::lane::LaneState;
use crate::http::ticks::Deadline;
use crate::http::upstream::Tunnel;

use super::ahead::Ahead;

/// Bytes moved at once in one direction; one buffer per direction while a tunnel is open.
const PIECE_BYTES: usize = 16 * 1024;

/// A tunnel that starts once the head of the 101 is out. Dropping it before counts as aborted.
#[derive(Debug)]
pub(super) struct TunnelJob {
    tunnel: Tunnel,
    finish: Option<Finish>,
}

impl TunnelJob {
    pub(super) fn new(tunnel: Tunnel, finish: Option<Finish>) -> Self {
        Self { tunnel, finish }
    }

    /// Moves bytes until the upstream ends, either side fails, or both are silent for too long. The
    /// client's side is closed after the finish hook has run.
    pub(super) async fn run(self, client: Ahead, lane: &LaneState) {
        let Self { tunnel, finish } = self;
        let moved = Moved::new(lane);
        let (stream, ahead, _opened) = tunnel.into_parts();
        let (mut client_read, mut client_write) = tokio::io::split(client);
        let (mut upstream_read, mut upstream_write) = tokio::io::split(stream);
        // Only the upstream's own end is a clean end.
        let clean = {
            let up = pin!(async {
                let copied = moved.copy(&mut client_read, &mut upstream_write, &moved.bytes_in).await;
                if copied.is_ok() {
                    // The client has said everything; the upstream may still answer.
                    let _ = upstream_write.shutdown().await;
                    std::future::pending::<()>().await;
                }
            });
            let down = pin!(async {
                client_write.write_all(&ahead).await?;
                client_write.flush().await?;
                moved.bytes_out.set(ahead.len() as u64);
                moved.copy(&mut upstream_read, &mut client_write, &moved.bytes_out).await
            });
            matches!(moved.until_idle(select(up, down)).await, Some(Either::Right((Ok(()), _))))
        };
        let info =
            FinishInfo { bytes_in: moved.bytes_in.get(), bytes_out: moved.bytes_out.get(), aborted: !clean };
        let accounted = finish.is_none_or(|finish| finish.run(info).is_ok());
        if accounted && clean {
            let _ = moved.until_idle(pin!(client_write.shutdown())).await;
        }
    }
}

struct Moved<'a> {
    bytes_in: Cell<u64>,
    bytes_out: Cell<u64>,
    idle: Deadline,
    lane: &'a LaneState,
}

impl<'a> Moved<'a> {
    fn new(lane: &'a LaneState) -> Self {
        let idle = Deadline::new(&lane.ticks);
        Self { bytes_in: Cell::new(0), bytes_out: Cell::new(0), idle, lane }
    }

    async fn copy(
        &self,
        from: &mut (impl AsyncRead + Unpin),
        to: &mut (impl AsyncWrite + Unpin),
        count: &Cell<u64>,
    ) -> io::Result<()> {
        let mut piece = vec![0; PIECE_BYTES];
        loop {
            let len = from.read(&mut piece).await?;
            if len == 0 {
                return Ok(());
            }
            self.idle.arm(self.lane.bounds.tunnel_idle);
            to.write_all(piece.get(..len).unwrap_or_default()).await?;
            to.flush().await?;
            count.set(count.get() + len as u64);
            self.idle.arm(self.lane.bounds.tunnel_idle);
        }
    }

    /// `None` when nothing moved for the idle time, or the lane ends.
    async fn until_idle<F: Future + Unpin>(&self, mut work: F) -> Option<F::Output> {
        self.idle.arm(self.lane.bounds.tunnel_idle);
        poll_fn(|cx| match std::pin::Pin::new(&mut work).poll(cx) {
            Poll::Ready(output) => Poll::Ready(Some(output)),
            Poll::Pending if self.idle.poll_due(cx) || self.lane.is_draining() => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        })
        .await
    }
}
