//! The pure part of a transfer: which bytes may come, which are written, which are durable.

use std::collections::VecDeque;

use longshore_model::HashState;
use longshore_store::Committed;

/// Writes of one transfer that may be on their way to the disk: one being written, one being filled behind it.
pub(crate) const IN_FLIGHT: usize = 2;

/// Counts the requests that have held a transfer; only the newest may append.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Epoch(u64);

/// Why bytes are not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// A newer request holds the transfer.
    Superseded,
    /// They do not follow what was accepted before.
    WrongOffset,
    /// They reach beyond the end of the recording.
    TooLong,
    /// The recording has another length, or has more bytes already.
    OtherLength,
    /// More are on their way than the bound allows.
    TooManyInFlight,
}

/// Offsets of one transfer: `durable <= written <= accepted <= length`.
#[derive(Debug)]
pub(crate) struct Ledger {
    /// Bytes of the whole recording, once they are known.
    length: Option<u64>,
    /// Bytes that no recording has more of.
    longest: u64,
    epoch: Epoch,
    /// The request that holds the transfer counts as a whole or not at all.
    whole: bool,
    /// What that request brought is to be forgotten, as soon as nothing of it is on its way any more.
    rejected: bool,
    in_flight: VecDeque<Piece>,
    accepted: Committed,
    written: Committed,
    durable: Committed,
}

#[derive(Debug)]
struct Piece {
    after: Committed,
    done: bool,
}

impl Ledger {
    /// A transfer of `length` bytes, or of at most `longest` while that is not known, that stands at `durable`.
    pub(crate) fn new(length: Option<u64>, longest: u64, durable: Committed) -> Self {
        Self {
            length,
            longest,
            epoch: Epoch(0),
            whole: false,
            rejected: false,
            in_flight: VecDeque::new(),
            accepted: durable,
            written: durable,
            durable,
        }
    }

    /// Hands the transfer to a new request, which counts as a `whole` or piece by piece. What is still on its way must
    /// have settled, and everything must be durable.
    pub(crate) fn attach(&mut self, whole: bool) -> (Epoch, Committed) {
        debug_assert!(self.is_settled() && self.uncommitted().is_none());
        self.epoch.0 += 1;
        self.whole = whole;
        (self.epoch, self.accepted)
    }

    /// The request is over. What it brought as a whole is kept or not; what came piece by piece always is.
    pub(crate) fn detach(&mut self, keep: bool) {
        self.epoch.0 += 1;
        self.rejected = self.whole && !keep;
        self.whole = false;
        self.forget_rejected();
    }

    fn forget_rejected(&mut self) {
        if self.rejected && self.is_settled() {
            (self.accepted, self.written) = (self.durable, self.durable);
            self.rejected = false;
        }
    }

    /// Takes `len` bytes at `offset`, after which the checksum's state is `hash`.
    pub(crate) fn accept(&mut self, epoch: Epoch, offset: u64, len: u64, hash: HashState) -> Result<(), Refusal> {
        if epoch != self.epoch {
            return Err(Refusal::Superseded);
        }
        if offset != self.accepted.offset {
            return Err(Refusal::WrongOffset);
        }
        let end = offset.checked_add(len).filter(|end| *end <= self.bound()).ok_or(Refusal::TooLong)?;
        // One more than the bound: the tail of a request that ends follows its full segments without waiting.
        if self.in_flight.len() > IN_FLIGHT {
            return Err(Refusal::TooManyInFlight);
        }
        self.accepted = Committed { offset: end, hash };
        self.in_flight.push_back(Piece { after: self.accepted, done: false });
        Ok(())
    }

    /// Whether the request may say that the recording has `length` bytes. It is said once; the same again changes nothing.
    pub(crate) fn may_end_at(&self, epoch: Epoch, length: u64) -> Result<(), Refusal> {
        if epoch != self.epoch {
            return Err(Refusal::Superseded);
        }
        if length > self.longest {
            return Err(Refusal::TooLong);
        }
        match self.length {
            Some(known) if known != length => Err(Refusal::OtherLength),
            _ if length < self.accepted.offset => Err(Refusal::OtherLength),
            _ => Ok(()),
        }
    }

    /// The recording's length is durable.
    pub(crate) fn ends_at(&mut self, length: u64) {
        self.length = Some(length);
    }

    /// The write that ends at `end` is done. Writes may end in any order; `written` advances over whole prefixes only.
    pub(crate) fn wrote(&mut self, end: u64) {
        if let Some(piece) = self.in_flight.iter_mut().find(|piece| piece.after.offset == end) {
            piece.done = true;
        }
        while self.in_flight.front().is_some_and(|piece| piece.done) {
            if let Some(piece) = self.in_flight.pop_front() {
                self.written = piece.after;
            }
        }
        self.forget_rejected();
    }

    /// A commit up to `to` is durable.
    pub(crate) fn committed(&mut self, to: Committed) {
        if to.offset > self.durable.offset {
            self.durable = to;
        }
    }

    /// What a commit now would make durable, if that is anything: nothing in the middle of a request that counts as a
    /// whole.
    pub(crate) fn uncommitted(&self) -> Option<Committed> {
        (!self.whole && !self.rejected && self.written.offset > self.durable.offset).then_some(self.written)
    }

    /// Bytes that are written and not durable.
    pub(crate) fn unsynced(&self) -> u64 {
        self.written.offset - self.durable.offset
    }

    /// Nothing is on its way to the disk.
    pub(crate) fn is_settled(&self) -> bool {
        self.in_flight.is_empty()
    }

    /// Everything is durable.
    pub(crate) fn is_complete(&self) -> bool {
        self.length == Some(self.durable.offset)
    }

    /// The durable offset and the checksum's state there.
    pub(crate) fn durable(&self) -> Committed {
        self.durable
    }

    /// Bytes of the whole recording, once they are known.
    pub(crate) fn length(&self) -> Option<u64> {
        self.length
    }

    /// No byte comes after this many.
    pub(crate) fn bound(&self) -> u64 {
        self.length.unwrap_or(self.longest)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ledger(length: u64) -> Ledger {
        Ledger::new(Some(length), 1000, Committed::nothing())
    }

    #[test]
    fn a_length_that_was_not_known_is_said_once_and_ends_the_transfer() {
        let mut ledger = Ledger::new(None, 1000, Committed::nothing());
        let (old, _) = ledger.attach(false);
        let (epoch, _) = ledger.attach(false);
        assert_eq!(ledger.accept(epoch, 0, 1001, [0; 104]), Err(Refusal::TooLong));
        ledger.accept(epoch, 0, 10, [1; 104]).unwrap();
        ledger.wrote(10);
        ledger.committed(ledger.uncommitted().unwrap());
        assert!(!ledger.is_complete());
        assert_eq!(ledger.may_end_at(old, 10), Err(Refusal::Superseded));
        assert_eq!(ledger.may_end_at(epoch, 9), Err(Refusal::OtherLength));
        assert_eq!(ledger.may_end_at(epoch, 1001), Err(Refusal::TooLong));
        assert_eq!(ledger.may_end_at(epoch, 12), Ok(()));
        ledger.ends_at(12);
        assert_eq!(ledger.may_end_at(epoch, 12), Ok(()));
        assert_eq!(ledger.may_end_at(epoch, 13), Err(Refusal::OtherLength));
        assert_eq!(ledger.accept(epoch, 10, 3, [2; 104]), Err(Refusal::TooLong));
        ledger.accept(epoch, 10, 2, [2; 104]).unwrap();
        ledger.wrote(12);
        ledger.committed(ledger.uncommitted().unwrap());
        assert!(ledger.is_complete());
    }

    #[test]
    fn bytes_are_accepted_in_order_within_the_length_and_from_the_newest_request() {
        let mut ledger = ledger(10);
        let (old, _) = ledger.attach(false);
        let (new, _) = ledger.attach(false);
        assert_eq!(ledger.accept(old, 0, 4, [0; 104]), Err(Refusal::Superseded));
        assert_eq!(ledger.accept(new, 1, 4, [0; 104]), Err(Refusal::WrongOffset));
        assert_eq!(ledger.accept(new, 0, 11, [0; 104]), Err(Refusal::TooLong));
        assert_eq!(ledger.accept(new, 0, u64::MAX, [0; 104]), Err(Refusal::TooLong));
        assert_eq!(ledger.accept(new, 0, 4, [1; 104]), Ok(()));
        assert_eq!(ledger.accept(new, 0, 4, [1; 104]), Err(Refusal::WrongOffset));
    }

    #[test]
    fn writes_that_end_out_of_order_count_only_as_a_whole_prefix() {
        let mut ledger = ledger(10);
        let (epoch, _) = ledger.attach(false);
        ledger.accept(epoch, 0, 4, [1; 104]).unwrap();
        ledger.accept(epoch, 4, 4, [2; 104]).unwrap();
        ledger.wrote(8);
        assert_eq!(ledger.uncommitted(), None);
        ledger.wrote(4);
        assert_eq!(ledger.uncommitted(), Some(Committed { offset: 8, hash: [2; 104] }));
        assert!(ledger.is_settled());
    }

    #[test]
    fn more_writes_than_the_bound_are_refused() {
        let mut ledger = ledger(100);
        let (epoch, _) = ledger.attach(false);
        for n in 0..=IN_FLIGHT as u64 {
            ledger.accept(epoch, n, 1, [0; 104]).unwrap();
        }
        assert_eq!(ledger.accept(epoch, IN_FLIGHT as u64 + 1, 1, [0; 104]), Err(Refusal::TooManyInFlight));
    }

    #[test]
    fn a_request_that_counts_as_a_whole_is_committed_at_its_end_or_forgotten() {
        let mut ledger = ledger(10);
        for (keep, durable) in [(false, 0), (true, 4), (false, 4)] {
            let (epoch, at) = ledger.attach(true);
            ledger.accept(epoch, at.offset, 4, [7; 104]).unwrap();
            if keep {
                ledger.wrote(at.offset + 4);
                assert_eq!(ledger.uncommitted(), None, "not in the middle");
                ledger.detach(true);
            } else {
                // Its last write ends after it.
                ledger.detach(false);
                assert_eq!(ledger.uncommitted(), None);
                ledger.wrote(at.offset + 4);
            }
            if let Some(to) = ledger.uncommitted() {
                ledger.committed(to);
            }
            assert_eq!(ledger.durable().offset, durable);
            assert_eq!(ledger.accepted, ledger.durable());
        }
    }

    proptest! {
        /// Whatever the order of events, what is durable was written, in order, with the checksum's state of its end.
        #[test]
        fn the_durable_offset_never_runs_ahead(
            steps in prop::collection::vec((0..7_u8, 0..30_u64, 1..30_u64), 1..200),
            known in any::<bool>(),
        ) {
            let longest = 200;
            let mut ledger = Ledger::new(known.then_some(longest), longest, Committed::nothing());
            let (mut epoch, _) = ledger.attach(false);
            let mut on_the_way: Vec<u64> = Vec::new();
            let mut done = 0_u64;
            let state = |offset: u64| { let mut state = [0; 104]; state[..8].copy_from_slice(&offset.to_le_bytes()); state };
            for (step, jitter, len) in steps {
                match step {
                    0 | 1 => {
                        let offset = ledger.accepted.offset + if jitter > 25 { jitter } else { 0 };
                        if ledger.accept(epoch, offset, len, state(offset + len)).is_ok() {
                            prop_assert_eq!(offset, on_the_way.last().copied().unwrap_or(done));
                            on_the_way.push(offset + len);
                        }
                    }
                    2 if !on_the_way.is_empty() => {
                        let index = usize::try_from(jitter).unwrap() % on_the_way.len();
                        ledger.wrote(on_the_way[index]);
                        if ledger.is_settled() { done = ledger.accepted.offset; on_the_way.clear(); }
                    }
                    3 => if let Some(to) = ledger.uncommitted() { ledger.committed(to); },
                    4 => {
                        ledger.detach(jitter % 2 == 0);
                        if ledger.is_settled() { done = ledger.accepted.offset; on_the_way.clear(); }
                    }
                    5 => {
                        let (before, length) = (ledger.length(), ledger.accepted.offset + jitter);
                        if ledger.may_end_at(epoch, length).is_ok() {
                            prop_assert!(before.is_none_or(|before| before == length));
                            ledger.ends_at(length);
                        }
                    }
                    _ => if ledger.is_settled() && ledger.uncommitted().is_none() && !ledger.whole {
                        let durable = ledger.durable().offset;
                        let (next, at) = ledger.attach(jitter % 3 == 0);
                        epoch = next;
                        prop_assert_eq!(at.offset, durable);
                        done = durable;
                    },
                }
                let durable = ledger.durable();
                prop_assert!(durable.offset <= ledger.written.offset);
                prop_assert!(ledger.written.offset <= ledger.accepted.offset && ledger.accepted.offset <= ledger.bound());
                prop_assert!(ledger.bound() <= longest && (!ledger.is_complete() || ledger.length() == Some(durable.offset)));
                if durable.offset > 0 { prop_assert_eq!(durable.hash, state(durable.offset)); }
            }
        }
    }
}
