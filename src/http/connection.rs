//! What is known of a connection before any request: the client's key and address; and the bounds on both.

use std::any::Any;
use std::cell::OnceCell;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use actix_tls::accept::rustls_0_23::TlsStream;
use actix_web::dev::Extensions;
use actix_web::rt::net::{TcpStream, UnixStream};
use longshore_model::{DeviceId, Sha256};
use longshore_protocol::limits;

use super::lobby::{Ends, Lobby};
use super::requests::Requests;
use crate::tls::ClientKey;

/// Addresses whose strangers are counted at once; beyond, the oldest counts are forgotten, so that memory stays flat.
const MAX_ADDRESSES: usize = 10_000;
const MINUTE: Duration = Duration::from_secs(60);

/// A connection on the port.
pub(crate) struct Connection {
    /// The key that the client proved to hold, if it showed a certificate.
    pub(crate) key: Option<ClientKey>,
    pub(crate) address: Option<IpAddr>,
    /// By which the lobby knows it.
    pub(crate) ends: Option<Ends>,
    pub(crate) requests: Option<Requests>,
    _place: Option<Place>,
    /// Connections with the same key, this one included, when it began.
    pub(crate) of_this_key: usize,
    /// The same for a device in whose name a token is shown, from the first on: a token is in no handshake.
    by_token: OnceCell<(Place, usize)>,
    /// The same for the account of the first API token that is shown.
    by_account: OnceCell<(Place, usize)>,
}

impl Connection {
    /// Counts this connection for the device whose token it shows, and says how many there were with it when it was.
    pub(crate) fn enter_for(&self, device: DeviceId, connections: &Connections) -> usize {
        self.by_token.get_or_init(|| connections.enter(Sha256::of(device.as_bytes()))).1
    }

    /// The same for an account.
    pub(crate) fn enter_as(&self, account: &str, connections: &Connections) -> usize {
        // The beginning tells it from a device's id.
        self.by_account.get_or_init(|| connections.enter(Sha256::of(format!("account {account}").as_bytes()))).1
    }
}

/// A connection on the local socket.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LocalPeer {
    /// User that opened it.
    pub(crate) uid: Option<u32>,
}

/// Counts connections by key, and those with tokens by device or account.
#[derive(Clone, Default)]
pub(crate) struct Connections(Arc<Mutex<HashMap<Sha256, usize>>>);

/// Gives the place back when the connection ends.
struct Place {
    key: Sha256,
    connections: Connections,
}

impl Connections {
    fn enter(&self, key: Sha256) -> (Place, usize) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(key).or_insert(0);
        *count += 1;
        (Place { key, connections: self.clone() }, *count)
    }

    /// Notes what the handshake told; called once a connection.
    pub(crate) fn note(&self, lobby: &Lobby, stream: &dyn Any, extensions: &mut Extensions) {
        let Some(stream) = stream.downcast_ref::<TlsStream<TcpStream>>() else { return };
        let (tcp, tls) = stream.get_ref();
        let key = ClientKey::of(tls.peer_certificates());
        let place = key.as_ref().map(|key| self.enter(key.sha256));
        let of_this_key = place.as_ref().map_or(0, |(_, count)| *count);
        let ends = tcp.peer_addr().and_then(|peer| Ok((peer, tcp.local_addr()?))).ok();
        let address = ends.map(|(peer, _)| peer.ip());
        let requests = ends.and_then(|ends| lobby.requests(ends));
        let place = place.map(|(place, _)| place);
        let (by_token, by_account) = (OnceCell::new(), OnceCell::new());
        extensions.insert(Connection {
            key,
            address,
            ends,
            requests,
            _place: place,
            of_this_key,
            by_token,
            by_account,
        });
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = self.connections.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&self.key) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.key);
            }
        }
    }
}

/// Notes who opened the local socket.
pub(crate) fn note_local(stream: &dyn Any, extensions: &mut Extensions) {
    if let Some(stream) = stream.downcast_ref::<UnixStream>() {
        extensions.insert(LocalPeer { uid: stream.peer_cred().ok().map(|peer| peer.uid()) });
    }
}

/// Counts requests of clients that are nobody's device, by address and minute.
#[derive(Default)]
pub(crate) struct Strangers(Mutex<HashMap<IpAddr, (Instant, u32)>>);

impl Strangers {
    /// Counts one more request; `Err` is the time until the next is welcome.
    pub(crate) fn admit(&self, address: IpAddr, now: Instant) -> Result<(), Duration> {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if counts.len() >= MAX_ADDRESSES {
            counts.retain(|_, (since, _)| now.duration_since(*since) < MINUTE);
        }
        if counts.len() >= MAX_ADDRESSES {
            counts.clear();
        }
        let (since, count) = counts.entry(network_of(address)).or_insert((now, 0));
        if now.duration_since(*since) >= MINUTE {
            (*since, *count) = (now, 0);
        }
        *count += 1;
        if *count > limits::UNAUTHENTICATED_PER_MINUTE {
            return Err(MINUTE.saturating_sub(now.duration_since(*since)));
        }
        Ok(())
    }
}

/// The network of an address, for people.
pub(crate) fn name_of_network(address: IpAddr) -> String {
    match network_of(address) {
        IpAddr::V4(v4) => v4.to_string(),
        IpAddr::V6(v6) => format!("{v6}/64"),
    }
}

/// An IPv6 client has a whole /64 to choose addresses from.
pub(crate) fn network_of(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(v6) => v6.to_ipv4_mapped().map_or_else(
            || {
                let [a, b, c, d, ..] = v6.segments();
                IpAddr::from([a, b, c, d, 0, 0, 0, 0])
            },
            IpAddr::V4,
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strangers_are_counted_by_address_and_minute() {
        let strangers = Strangers::default();
        let start = Instant::now();
        let (one, other) = ([192, 0, 2, 1].into(), [192, 0, 2, 2].into());
        for _ in 0..limits::UNAUTHENTICATED_PER_MINUTE {
            assert_eq!(strangers.admit(one, start), Ok(()));
        }
        assert_eq!(strangers.admit(one, start + Duration::from_secs(20)), Err(Duration::from_secs(40)));
        assert_eq!(strangers.admit(other, start), Ok(()));
        assert_eq!(strangers.admit(one, start + MINUTE), Ok(()));
    }

    #[test]
    fn a_flood_of_addresses_does_not_grow_the_table() {
        let strangers = Strangers::default();
        let start = Instant::now();
        for n in 0..u32::try_from(MAX_ADDRESSES).unwrap() * 3 {
            let _counted = strangers.admit(IpAddr::from(n.to_be_bytes()), start);
        }
        assert!(strangers.0.lock().unwrap().len() <= MAX_ADDRESSES);
    }

    #[test]
    fn connections_are_counted_by_key_until_they_end() {
        let connections = Connections::default();
        let key = Sha256::of(b"key");
        let (first, one) = connections.enter(key);
        let (_second, two) = connections.enter(key);
        assert_eq!((one, two), (1, 2));
        drop(first);
        assert_eq!(connections.enter(key).1, 2);
    }
}
