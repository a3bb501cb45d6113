mod content;
mod names;
mod renamed;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::rename::rename_new;
use super::{BLOCK, Entry, File, Files, RenameMode, Space, Standing};
use content::{Coin, Content};
use names::{Names, Operation};
use renamed::Renamed;

/// What goes wrong, counted over all calls that change the disk, from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// This call fails with this error, half of a write being done; later calls work.
    Error(io::ErrorKind),
    /// The power fails before this call: it and all later ones do nothing.
    PowerCut,
}

/// A disk in memory that forgets at a power cut what was not synced: bytes by block, names by operation, each by the
/// toss of a seeded coin. A rename is one operation, or in the other [`RenameMode`]s as many calls as a real disk needs;
/// operations keep their order. After a sync that failed, later ones do not make good for it.
#[derive(Clone, Default)]
pub struct SimulatedDisk(Arc<Mutex<State>>);

#[derive(Clone, Default)]
struct State {
    /// Contents, by inode; inode numbers are never reused.
    contents: Vec<Content>,
    /// Names as the running system sees them.
    names: Names,
    /// Names that survive any power cut.
    durable_names: Names,
    /// What leads from `durable_names` to `names`, in order; `true` once its folder was synced.
    pending: Vec<(Operation, bool)>,
    calls: usize,
    faults: BTreeMap<usize, Fault>,
    dark: bool,
    renames: RenameMode,
}

impl State {
    /// Counts a call that changes the disk, and fails it if a fault is due. `Ok(Some(error))`: do half of it.
    fn call(&mut self) -> io::Result<Option<io::Error>> {
        let number = self.calls;
        self.calls += 1;
        if self.faults.get(&number) == Some(&Fault::PowerCut) {
            self.dark = true;
        }
        self.powered()?;
        match self.faults.get(&number) {
            Some(Fault::Error(kind)) => Ok(Some((*kind).into())),
            _ => Ok(None),
        }
    }

    fn powered(&self) -> io::Result<()> {
        if self.dark { Err(io::Error::other("the simulated disk has no power")) } else { Ok(()) }
    }

    fn change_names(&mut self, operation: Operation) -> io::Result<()> {
        if let Some(error) = self.call()? {
            return Err(error);
        }
        self.names.apply(&operation)?;
        self.pending.push((operation, false));
        Ok(())
    }

    fn node(&self, path: &str) -> io::Result<usize> {
        self.names.0.get(path).copied().flatten().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn new_node(&mut self, path: &str) -> io::Result<usize> {
        let node = self.contents.len();
        self.change_names(Operation::Create { path: path.to_owned(), node: Some(node) })?;
        self.contents.push(Content::default());
        Ok(node)
    }

    fn rename(&mut self, from: &str, to: &str, over: bool) -> io::Result<()> {
        let node = self.node(from)?;
        self.change_names(Operation::Rename { from: from.to_owned(), to: to.to_owned(), node, over })
    }

    fn sync_folder(&mut self, path: &str) -> io::Result<()> {
        if let Some(error) = self.call()? {
            return Err(error);
        }
        for (operation, mut synced) in std::mem::take(&mut self.pending) {
            synced |= operation.touches(path);
            // What was synced inside a folder counts from when the folder's own name is durable.
            if !synced || self.durable_names.apply(&operation).is_err() {
                self.pending.push((operation, synced));
            }
        }
        Ok(())
    }
}

impl SimulatedDisk {
    /// An empty disk without faults.
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty disk on which files get new names in this way.
    pub fn renaming(mode: RenameMode) -> Self {
        let disk = Self::default();
        disk.state().renames = mode;
        disk
    }

    /// Lets the call with this number go wrong.
    pub fn fail(&self, call: usize, fault: Fault) {
        self.state().faults.insert(call, fault);
    }

    /// How many calls have changed the disk, or tried to.
    pub fn calls(&self) -> usize {
        self.state().calls
    }

    /// The disk as it is found after a power cut: what was synced, and of the rest what the coin leaves.
    pub fn after_power_cut(&self, seed: u64) -> Self {
        let state = self.state();
        let mut coin = Coin(seed);
        let mut names = state.durable_names.clone();
        for (operation, synced) in &state.pending {
            if *synced || coin.toss() {
                // One that builds on a lost one is lost with it.
                let _lost = names.apply(operation);
            }
        }
        let contents = state.contents.iter().map(|content| content.after_power_cut(&mut coin)).collect();
        let (renames, durable_names) = (state.renames, names.clone());
        Self(Arc::new(Mutex::new(State { contents, durable_names, names, renames, ..State::default() })))
    }

    /// The disk as the next process finds it after this one was killed: all that was done, durable or not.
    pub fn after_kill(&self) -> Self {
        let state = self.state().clone();
        Self(Arc::new(Mutex::new(State { calls: 0, faults: BTreeMap::new(), dark: false, ..state })))
    }

    /// All paths of files, for assertions.
    pub fn paths(&self) -> BTreeSet<String> {
        self.state().names.0.iter().filter(|(_, node)| node.is_some()).map(|(path, _)| path.clone()).collect()
    }

    fn open_file(&self, path: &str, direct: bool) -> io::Result<OpenFile> {
        let state = self.state();
        state.powered()?;
        match state.names.0.get(path) {
            Some(Some(node)) => Ok(OpenFile { disk: self.clone(), node: *node, direct }),
            Some(None) => Err(io::ErrorKind::IsADirectory.into()),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct OpenFile {
    disk: SimulatedDisk,
    node: usize,
    direct: bool,
}

impl OpenFile {
    /// Refuses what a disk would refuse past the page cache.
    fn aligned(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let is_aligned = bytes.as_ptr().align_offset(BLOCK) == 0
            && bytes.len().is_multiple_of(BLOCK)
            && offset.is_multiple_of(BLOCK as u64);
        if is_aligned || !self.direct { Ok(()) } else { Err(io::ErrorKind::InvalidInput.into()) }
    }
}

impl Files for SimulatedDisk {
    fn create(&self, path: &str) -> io::Result<Arc<dyn File>> {
        let node = self.state().new_node(path)?;
        Ok(Arc::new(OpenFile { disk: self.clone(), node, direct: false }))
    }

    fn open(&self, path: &str) -> io::Result<Arc<dyn File>> {
        Ok(Arc::new(self.open_file(path, false)?))
    }

    fn open_direct(&self, path: &str) -> io::Result<Arc<dyn File>> {
        Ok(Arc::new(self.open_file(path, true)?))
    }

    fn create_folder(&self, path: &str) -> io::Result<()> {
        self.state().change_names(Operation::Create { path: path.to_owned(), node: None })
    }

    fn list(&self, path: &str) -> io::Result<Vec<Entry>> {
        let state = self.state();
        state.powered()?;
        if !state.names.is_folder(path) {
            return Err(io::ErrorKind::NotFound.into());
        }
        Ok(state
            .names
            .children(path)
            .map(|(name, node)| Entry { name: name.to_owned(), folder: node.is_none() })
            .collect())
    }

    fn exists(&self, path: &str) -> io::Result<bool> {
        let state = self.state();
        state.powered()?;
        Ok(path.is_empty() || state.names.0.contains_key(path))
    }

    fn rename_new(&self, from: &str, to: &str) -> io::Result<()> {
        let mut state = self.state();
        rename_new(state.renames, &mut Renamed { state: &mut state, from, to })
    }

    fn rename_over(&self, from: &str, to: &str) -> io::Result<()> {
        self.state().rename(from, to, true)
    }

    fn remove(&self, path: &str) -> io::Result<()> {
        let mut state = self.state();
        if state.names.is_folder(path) {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        state.change_names(Operation::Remove { path: path.to_owned() })
    }

    fn remove_folder(&self, path: &str) -> io::Result<()> {
        self.state().change_names(Operation::Remove { path: path.to_owned() })
    }

    fn sync_folder(&self, path: &str) -> io::Result<()> {
        self.state().sync_folder(path)
    }

    fn space(&self) -> io::Result<Space> {
        self.state().powered()?;
        // More than any test writes.
        Ok(Space { total: 1 << 40, free: 1 << 40 })
    }

    fn standing(&self) -> Standing {
        Standing::Ready
    }

    fn pin(&self) -> Arc<dyn Files> {
        Arc::new(self.clone())
    }
}

impl File for OpenFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.aligned(buffer, offset)?;
        let state = self.disk.state();
        state.powered()?;
        let live = &state.contents[self.node].live;
        let start = usize::try_from(offset).unwrap_or(usize::MAX).min(live.len());
        let read = buffer.len().min(live.len() - start);
        buffer[..read].copy_from_slice(&live[start..start + read]);
        Ok(read)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.aligned(bytes, offset)?;
        let mut state = self.disk.state();
        let error = state.call()?;
        let start = usize::try_from(offset).map_err(|_| io::ErrorKind::FileTooLarge)?;
        let done = if error.is_some() { &bytes[..bytes.len() / 2] } else { bytes };
        state.contents[self.node].write(done, start);
        error.map_or(Ok(()), Err)
    }

    fn sync(&self) -> io::Result<()> {
        let mut state = self.disk.state();
        let error = state.call()?;
        let content = &mut state.contents[self.node];
        if let Some(error) = error {
            content.fail_sync();
            return Err(error);
        }
        content.sync();
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut state = self.disk.state();
        if let Some(error) = state.call()? {
            return Err(error);
        }
        let len = usize::try_from(len).map_err(|_| io::ErrorKind::FileTooLarge)?;
        state.contents[self.node].live.resize(len, 0);
        Ok(())
    }

    fn size(&self) -> io::Result<u64> {
        let state = self.disk.state();
        state.powered()?;
        Ok(state.contents[self.node].live.len() as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::replace;

    #[test]
    fn what_was_synced_survives_every_power_cut_and_the_rest_only_some() {
        let mut survived = BTreeSet::new();
        for seed in 0..64 {
            let disk = SimulatedDisk::new();
            replace(&disk, "kept", b"kept").unwrap();
            disk.create("maybe").unwrap().write_at(b"maybe", 0).unwrap();
            let found = disk.after_power_cut(seed);
            assert!(found.exists("kept").unwrap());
            let mut bytes = [0; 4];
            assert_eq!(found.open("kept").unwrap().read_at(&mut bytes, 0).unwrap(), 4);
            assert_eq!(&bytes, b"kept");
            survived.insert(found.exists("maybe").unwrap());
        }
        assert_eq!(survived.len(), 2, "an unsynced name is sometimes there and sometimes not");
    }

    #[test]
    fn after_the_power_cut_nothing_more_happens() {
        let disk = SimulatedDisk::new();
        disk.fail(1, Fault::PowerCut);
        let file = disk.create("a").unwrap();
        assert!(file.write_at(b"x", 0).is_err());
        assert!(file.sync().is_err());
        assert!(disk.exists("a").is_err());
    }

    #[test]
    fn a_write_that_fails_is_half_done() {
        let disk = SimulatedDisk::new();
        disk.fail(1, Fault::Error(io::ErrorKind::StorageFull));
        let file = disk.create("a").unwrap();
        assert_eq!(file.write_at(b"1234", 0).unwrap_err().kind(), io::ErrorKind::StorageFull);
        assert_eq!(file.size().unwrap(), 2);
        file.write_at(b"1234", 0).unwrap();
    }
}
