//! A disk with a volatile cache: what was written is lost at a power cut, each sector by chance, unless it was flushed.

use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use super::super::Chance;

/// What a disk writes whole or not at all, in bytes.
pub(super) const SECTOR: usize = 512;

type Sector = [u8; SECTOR];

/// The medium is a file; the cache is lost with the power.
pub(super) struct Disk {
    medium: File,
    /// Written and not flushed, by number.
    cache: BTreeMap<u64, Sector>,
}

/// What a power cut did to the sectors that were not flushed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Cut {
    pub(super) kept: u64,
    pub(super) dropped: u64,
}

impl Disk {
    pub(super) fn new(medium: &Path) -> Self {
        let medium = File::options().read(true).write(true).open(medium).unwrap();
        Self { medium, cache: BTreeMap::new() }
    }

    pub(super) fn bytes(&self) -> u64 {
        self.medium.metadata().unwrap().len()
    }

    /// `at` and the length are whole sectors.
    pub(super) fn read(&self, at: u64, buffer: &mut [u8]) {
        self.medium.read_exact_at(buffer, at).unwrap();
        let (first, sectors) = (at / SECTOR as u64, (buffer.len() / SECTOR) as u64);
        for (number, sector) in self.cache.range(first..first + sectors) {
            let start = usize::try_from(number - first).unwrap() * SECTOR;
            buffer[start..start + SECTOR].copy_from_slice(sector);
        }
    }

    /// The same.
    pub(super) fn write(&mut self, at: u64, bytes: &[u8]) {
        for (number, sector) in (at / SECTOR as u64..).zip(bytes.chunks_exact(SECTOR)) {
            self.cache.insert(number, sector.try_into().unwrap());
        }
    }

    /// Everything that was written is on the medium from now on.
    pub(super) fn flush(&mut self) {
        let kept = std::mem::take(&mut self.cache);
        self.keep(kept);
    }

    /// The power is cut. Of the sectors that were not flushed, half have reached the medium; `chance` decides which.
    pub(super) fn cut(&mut self, chance: &mut Chance) -> Cut {
        let written = std::mem::take(&mut self.cache);
        let all = written.len() as u64;
        let kept: BTreeMap<u64, Sector> = written.into_iter().filter(|_| chance.one_in(2)).collect();
        let cut = Cut { kept: kept.len() as u64, dropped: all - kept.len() as u64 };
        self.keep(kept);
        cut
    }

    fn keep(&self, sectors: BTreeMap<u64, Sector>) {
        let mut run: Vec<u8> = Vec::new();
        let mut end = 0;
        let put = |run: &mut Vec<u8>, end: u64| {
            self.medium.write_all_at(run, end * SECTOR as u64 - run.len() as u64).unwrap();
            run.clear();
        };
        for (number, sector) in sectors {
            if number != end {
                put(&mut run, end);
            }
            run.extend(sector);
            end = number + 1;
        }
        put(&mut run, end);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECTORS: u64 = 1000;

    fn disk() -> Disk {
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(SECTORS * SECTOR as u64).unwrap();
        Disk::new(file.path())
    }

    fn first_bytes(disk: &Disk) -> Vec<u8> {
        let mut all = vec![0; usize::try_from(disk.bytes()).unwrap()];
        disk.read(0, &mut all);
        all.chunks(SECTOR)
            .map(|sector| {
                assert!(sector.iter().all(|byte| *byte == sector[0]), "a sector is torn");
                sector[0]
            })
            .collect()
    }

    #[test]
    fn what_was_written_is_read_before_and_after_the_flush() {
        let mut disk = disk();
        disk.write(2 * SECTOR as u64, &[7; 3 * SECTOR]);
        disk.write(9 * SECTOR as u64, &[8; SECTOR]);
        let before = first_bytes(&disk);
        assert_eq!(before[..11], [0, 0, 7, 7, 7, 0, 0, 0, 0, 8, 0]);
        disk.flush();
        assert_eq!(first_bytes(&disk), before);
        assert_eq!(disk.cut(&mut Chance(1)), Cut::default());
        assert_eq!(first_bytes(&disk), before);
    }

    #[test]
    fn a_power_cut_takes_half_of_what_was_not_flushed_and_nothing_else() {
        let mut disk = disk();
        let half = SECTORS / 2 * SECTOR as u64;
        disk.write(0, &vec![1; usize::try_from(2 * half).unwrap()]);
        disk.flush();
        disk.write(half, &vec![2; usize::try_from(half).unwrap()]);
        let cut = disk.cut(&mut Chance(1));
        assert_eq!(cut.kept + cut.dropped, SECTORS / 2);
        assert!((200..300).contains(&cut.dropped), "{cut:?}");
        let after = first_bytes(&disk);
        let (flushed, unflushed) = after.split_at(after.len() / 2);
        assert!(flushed.iter().all(|byte| *byte == 1));
        assert_eq!(unflushed.iter().filter(|byte| **byte == 1).count() as u64, cut.dropped);
    }
}
