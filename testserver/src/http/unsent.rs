//! Whether the kernel still has bytes to send.
//!
//! A reset drops what was written but not sent, so a fault that promises a number of bytes has to wait for them to be
//! out. The one place that tells without unsafe code is `/proc/net/tcp`; elsewhere there is no waiting, and a reset may
//! swallow bytes that a slow reader has not taken yet.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::time::{sleep, timeout};

/// A reader that takes nothing for so long has had its chance.
const PATIENCE: Duration = Duration::from_secs(5);
const INTERVAL: Duration = Duration::from_millis(1);

/// Waits until everything written from `local` to `peer` has arrived there.
pub(crate) async fn all_sent(local: SocketAddr, peer: SocketAddr) {
    let sent = async {
        while is_queued(local.port(), peer.port()) {
            sleep(INTERVAL).await;
        }
    };
    // Out of patience, the bytes are lost: that is what a reset is.
    let _ = timeout(PATIENCE, sent).await;
}

fn is_queued(local: u16, peer: u16) -> bool {
    ["/proc/net/tcp", "/proc/net/tcp6"].iter().any(|table| {
        let sockets = std::fs::read_to_string(table).unwrap_or_default();
        sockets.lines().any(|socket| queued_bytes(socket, local, peer).is_some_and(|bytes| bytes > 0))
    })
}

/// `  0: 0100007F:1F90 0100007F:C350 01 00000000:00000000 …`: addresses, state, and bytes to send.
fn queued_bytes(socket: &str, local: u16, peer: u16) -> Option<u64> {
    let mut fields = socket.split_ascii_whitespace().skip(1);
    let mut port_is = |wanted: u16| {
        let (_, port) = fields.next()?.rsplit_once(':')?;
        (u16::from_str_radix(port, 16) == Ok(wanted)).then_some(())
    };
    port_is(local)?;
    port_is(peer)?;
    let (bytes, _) = fields.nth(1)?.split_once(':')?;
    u64::from_str_radix(bytes, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::queued_bytes;

    #[test]
    fn the_queue_of_the_right_socket_is_read() {
        let socket = "   3: 0100007F:1F90 0100007F:C350 01 0000002A:00000000 00:00000000 00000000     0";
        assert_eq!(queued_bytes(socket, 8080, 50000), Some(42));
        assert_eq!(queued_bytes(socket, 8081, 50000), None);
        assert_eq!(queued_bytes("  sl  local_address rem_address", 8080, 50000), None);
    }
}
