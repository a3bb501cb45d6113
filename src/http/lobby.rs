//! Connections of clients that have not been recognised: from the first packet, before TLS, until a request shows an
//! enrolled key. They cost a client nothing, so they are few; when there are too many, the one that came first is shown
//! out, so that whoever comes to say something still gets in while others only hold on.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use longshore_protocol::limits;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::connection::network_of;
use super::requests::Requests;

/// Of all addresses together. A city's devices that dock within one minute are recognised within milliseconds each.
pub(crate) const VISITORS: usize = 1024;

/// Names a connection while it is open: the client's end and ours.
pub(crate) type Ends = (SocketAddr, SocketAddr);

/// Everyone who waits to be recognised.
#[derive(Clone, Default)]
pub(crate) struct Lobby(Arc<Mutex<Visitors>>);

#[derive(Default)]
struct Visitors {
    next: u64,
    /// By number, and so in the order in which they came.
    all: BTreeMap<u64, Visitor>,
    /// Also who was recognised, as long as the connection lasts.
    by_ends: HashMap<Ends, (u64, Requests)>,
    by_network: HashMap<IpAddr, BTreeSet<u64>>,
}

struct Visitor {
    ends: Ends,
    show_out: oneshot::Sender<()>,
}

/// A visitor's own; dropped, when the connection ends.
pub(crate) struct Visit {
    number: u64,
    ends: Ends,
    lobby: Lobby,
    /// Of this connection.
    pub(crate) requests: Requests,
    shown_out: oneshot::Receiver<()>,
}

impl Lobby {
    /// Somebody came.
    pub(crate) fn enter(&self, ends: Ends) -> Visit {
        let (show_out, shown_out) = oneshot::channel();
        let requests = Requests::new(Instant::now());
        let number = self.with(|visitors| {
            let number = visitors.enter(Visitor { ends, show_out });
            visitors.by_ends.insert(ends, (number, requests.clone()));
            number
        });
        Visit { number, ends, lobby: self.clone(), requests, shown_out }
    }

    /// A request showed who is there: the connection counts no more, and nobody ends it.
    pub(crate) fn recognised(&self, ends: Ends) {
        self.with(|visitors| {
            if let Some(number) = visitors.by_ends.get(&ends).map(|(number, _)| *number) {
                visitors.remove(number);
            }
        });
    }

    /// The requests of a connection.
    pub(crate) fn requests(&self, ends: Ends) -> Option<Requests> {
        self.with(|visitors| visitors.by_ends.get(&ends).map(|(_, requests)| requests.clone()))
    }

    fn with<T>(&self, change: impl FnOnce(&mut Visitors) -> T) -> T {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Visitors {
    fn enter(&mut self, visitor: Visitor) -> u64 {
        let network = network_of(visitor.ends.0.ip());
        let neighbours = self.by_network.get(&network);
        let crowd = neighbours.filter(|neighbours| neighbours.len() >= limits::UNAUTHENTICATED_CONNECTIONS);
        let first_of_all = (self.all.len() >= VISITORS).then(|| self.all.keys().next()).flatten();
        let leaving = crowd.and_then(BTreeSet::first).or(first_of_all).copied();
        if let Some(visitor) = leaving.and_then(|number| self.remove(number)) {
            let _already_gone = visitor.show_out.send(());
        }
        self.next += 1;
        self.by_network.entry(network).or_default().insert(self.next);
        self.all.insert(self.next, visitor);
        self.next
    }

    fn remove(&mut self, number: u64) -> Option<Visitor> {
        let visitor = self.all.remove(&number)?;
        let network = network_of(visitor.ends.0.ip());
        if let Some(neighbours) = self.by_network.get_mut(&network) {
            neighbours.remove(&number);
            if neighbours.is_empty() {
                self.by_network.remove(&network);
            }
        }
        Some(visitor)
    }
}

impl Visit {
    /// Resolves when the visitor has to go; never for one who was recognised.
    pub(crate) async fn shown_out(&mut self) {
        if (&mut self.shown_out).await.is_err() {
            std::future::pending().await
        }
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        self.lobby.with(|visitors| {
            visitors.remove(self.number);
            // A client may have come again from the same port before this one was cleared away.
            if visitors.by_ends.get(&self.ends).is_some_and(|(number, _)| *number == self.number) {
                visitors.by_ends.remove(&self.ends);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ends(address: [u8; 4], port: u16) -> Ends {
        ((address, port).into(), ([192, 0, 2, 1], 5004).into())
    }

    fn is_out(visit: &mut Visit) -> bool {
        visit.shown_out.try_recv().is_ok()
    }

    #[test]
    fn of_a_crowd_from_one_address_the_first_has_to_go() {
        let lobby = Lobby::default();
        let mut other = lobby.enter(ends([192, 0, 2, 9], 1));
        let limit = u16::try_from(limits::UNAUTHENTICATED_CONNECTIONS).unwrap();
        let mut crowd: Vec<_> = (0..limit).map(|port| lobby.enter(ends([192, 0, 2, 2], port))).collect();
        assert!(!crowd.iter_mut().any(is_out));
        crowd.push(lobby.enter(ends([192, 0, 2, 2], limit)));
        assert_eq!(crowd.iter_mut().map(is_out).collect::<Vec<_>>()[..2], [true, false]);
        assert!(!is_out(&mut other));
    }

    #[test]
    fn of_a_crowd_from_everywhere_the_first_has_to_go() {
        let lobby = Lobby::default();
        let address = |n: usize| [192, 0, u8::try_from(n / 256).unwrap(), u8::try_from(n % 256).unwrap()];
        let mut crowd: Vec<_> = (0..=VISITORS).map(|n| lobby.enter(ends(address(n), 1))).collect();
        assert_eq!(crowd.iter_mut().map(is_out).collect::<Vec<_>>()[..2], [true, false]);
    }

    #[test]
    fn who_was_recognised_stays_and_who_left_counts_no_more() {
        let lobby = Lobby::default();
        let limit = u16::try_from(limits::UNAUTHENTICATED_CONNECTIONS).unwrap();
        let mut crowd: Vec<_> = (0..limit).map(|port| lobby.enter(ends([192, 0, 2, 2], port))).collect();
        lobby.recognised(ends([192, 0, 2, 2], 0));
        crowd.pop();
        crowd.extend((limit..limit + 2).map(|port| lobby.enter(ends([192, 0, 2, 2], port))));
        assert!(!crowd.iter_mut().any(is_out));
        drop(crowd);
        lobby.with(|visitors| {
            assert!(visitors.all.is_empty() && visitors.by_ends.is_empty() && visitors.by_network.is_empty());
        });
    }
}
