//! Whether a disk that refused once can be trusted with something new.

use std::io;

use super::{BLOCK, Blocks, Files, remove_if_there};

/// What is written; not zeros, which a hole in a file would also be.
const BYTE: u8 = 0xA7;

/// Writes a block into a new file at `path`, makes it durable, and reads it back from the medium. The file is removed.
///
/// # Errors
/// The disk's; [`io::ErrorKind::InvalidData`] if it gives back something else.
pub fn prove(files: &dyn Files, path: &str) -> io::Result<()> {
    remove_if_there(files, path)?;
    let proven = write_and_read(files, path);
    // Also of a disk that failed: the next one to try it may be long in coming.
    let removed = remove_if_there(files, path);
    proven.and(removed)
}

fn write_and_read(files: &dyn Files, path: &str) -> io::Result<()> {
    drop(files.create(path)?);
    let file = files.open_direct(path)?;
    let mut block = Blocks::new(BLOCK);
    block.fill(BYTE);
    file.write_at(&block, 0)?;
    file.sync()?;
    files.sync_folder(super::parent(path))?;
    block.fill(0);
    let read = file.read_at(&mut block, 0)?;
    if read == BLOCK && block.iter().all(|byte| *byte == BYTE) {
        Ok(())
    } else {
        Err(io::Error::new(io::ErrorKind::InvalidData, "the storage gives back other bytes than were written"))
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Fault, SimulatedDisk};
    use super::*;

    #[test]
    fn a_disk_is_proved_by_every_call_that_a_recording_needs_and_nothing_is_left() {
        let disk = SimulatedDisk::new();
        prove(&disk, "proof").unwrap();
        let calls = disk.calls();
        assert!(disk.paths().is_empty());
        for call in 0..calls {
            let disk = SimulatedDisk::new();
            disk.fail(call, Fault::Error(io::ErrorKind::Other));
            assert!(prove(&disk, "proof").is_err(), "call {call}");
            // The last call of all is the removal.
            assert_eq!(disk.paths().is_empty(), call + 1 < calls, "call {call}");
            prove(&disk, "proof").unwrap();
            assert!(disk.paths().is_empty());
        }
    }
}
