use longshore_model::DeviceId;

use super::*;
use crate::files::SimulatedDisk;

fn fact(n: u8) -> Fact {
    Fact::DeviceActivated { device: DeviceId::from_bytes([n; 16]) }
}

fn at() -> DateTime<Utc> {
    "2026-11-21T14:03:22Z".parse().unwrap()
}

fn read(disk: &SimulatedDisk) -> Result<(Vec<Fact>, Journal, Option<Torn>), JournalError> {
    let mut facts = Vec::new();
    let (journal, torn) = Journal::open(Arc::new(disk.clone()), None, |entry, _| {
        assert_eq!(entry.seq, facts.len() as u64 + 1);
        facts.push(entry.fact);
        Ok(())
    })?;
    Ok((facts, journal, torn))
}

fn segment(disk: &SimulatedDisk) -> Arc<dyn File> {
    disk.open("journal/00000000000000000001.jsonl").unwrap()
}

#[test]
fn what_was_appended_is_read_again_and_goes_on() {
    let disk = SimulatedDisk::new();
    let (_, mut journal, _) = read(&disk).unwrap();
    journal.append(at(), vec![fact(1), fact(2)]).unwrap();
    let (facts, mut journal, torn) = read(&disk).unwrap();
    assert_eq!((facts, torn), (vec![fact(1), fact(2)], None));
    journal.append(at(), vec![fact(3)]).unwrap();
    assert_eq!(read(&disk).unwrap().0, [fact(1), fact(2), fact(3)]);
}

#[test]
fn after_a_power_cut_every_acknowledged_fact_is_there_and_the_journal_goes_on() {
    for call in 0..12 {
        for seed in 0..40 {
            let disk = SimulatedDisk::new();
            disk.fail(call, files::Fault::PowerCut);
            let mut acknowledged = Vec::new();
            if let Ok((_, mut journal, _)) = read(&disk) {
                for batch in [vec![fact(1)], vec![fact(2), fact(3), fact(4)], vec![fact(5)]] {
                    if journal.append(at(), batch.clone()).is_err() {
                        break;
                    }
                    acknowledged.extend(batch);
                }
            }
            let found = disk.after_power_cut(seed);
            let (facts, mut journal, _) = read(&found).unwrap();
            assert!(facts.starts_with(&acknowledged), "call {call} seed {seed}: {facts:?}");
            journal.append(at(), vec![fact(9)]).unwrap();
            assert_eq!(read(&found).unwrap().0.last(), Some(&fact(9)));
        }
    }
}

#[test]
fn what_a_start_has_read_survives_the_next_power_cut_though_it_was_never_synced() {
    for seed in 0..40 {
        let disk = SimulatedDisk::new();
        let (_, mut journal, _) = read(&disk).unwrap();
        journal.append(at(), vec![fact(1)]).unwrap();
        // The sync of the second batch fails; the server is restarted and reads it from the page cache.
        disk.fail(disk.calls() + 1, files::Fault::Error(io::ErrorKind::Other));
        assert!(journal.append(at(), vec![fact(2), fact(3)]).is_err());
        let (facts, ..) = read(&disk).unwrap();
        assert_eq!(facts, [fact(1), fact(2), fact(3)]);
        assert_eq!(read(&disk.after_power_cut(seed)).unwrap().0, facts, "seed {seed}");
    }
}

#[test]
fn a_full_disk_refuses_facts_and_the_journal_goes_on_when_there_is_room() {
    for call in [0, 1] {
        let disk = SimulatedDisk::new();
        let (_, mut journal, _) = read(&disk).unwrap();
        // The first append makes the segment, then writes; the second only writes.
        disk.fail(disk.calls() + call, files::Fault::Error(io::ErrorKind::StorageFull));
        assert!(matches!(journal.append(at(), vec![fact(1)]), Err(JournalError::NotWritten(_))));
        journal.append(at(), vec![fact(2)]).unwrap();
        disk.fail(disk.calls(), files::Fault::Error(io::ErrorKind::StorageFull));
        assert!(matches!(journal.append(at(), vec![fact(3)]), Err(JournalError::NotWritten(_))));
        journal.append(at(), vec![fact(4)]).unwrap();
        let (facts, _, torn) = read(&disk).unwrap();
        assert_eq!((facts, torn), (vec![fact(2), fact(4)], None));
    }
}

#[test]
fn a_torn_last_batch_is_put_aside() {
    let disk = SimulatedDisk::new();
    let (_, mut journal, _) = read(&disk).unwrap();
    journal.append(at(), vec![fact(1)]).unwrap();
    let whole = segment(&disk).size().unwrap();
    journal.append(at(), vec![fact(2), fact(3)]).unwrap();
    // The first line of the batch is lost, the second is whole: blocks reach a disk in any order.
    segment(&disk).write_at(&[0; 10], whole).unwrap();
    let (facts, _, torn) = read(&disk).unwrap();
    assert_eq!(facts, [fact(1)]);
    assert!(disk.exists(&torn.unwrap().aside).unwrap());
}

#[test]
fn an_altered_line_before_the_last_batch_stops_the_start() {
    let disk = SimulatedDisk::new();
    let (_, mut journal, _) = read(&disk).unwrap();
    journal.append(at(), vec![fact(1)]).unwrap();
    journal.append(at(), vec![fact(2)]).unwrap();
    journal.append(at(), vec![fact(3)]).unwrap();
    segment(&disk).write_at(b"9", 8).unwrap();
    let Err(JournalError::Damaged { line, .. }) = read(&disk) else { panic!("read a damaged journal") };
    assert_eq!(line, 1);
}

/// What follows `mark`.
fn read_on(disk: &SimulatedDisk, mark: &Mark) -> Result<(Vec<Fact>, Journal, Option<Torn>), JournalError> {
    let mut facts = Vec::new();
    let (journal, torn) = Journal::open(Arc::new(disk.clone()), Some(mark), |entry, _| {
        facts.push(entry.fact);
        Ok(())
    })?;
    Ok((facts, journal, torn))
}

#[test]
fn reading_goes_on_from_any_place_and_so_does_the_journal() {
    let disk = SimulatedDisk::new();
    let (_, mut journal, _) = read(&disk).unwrap();
    let mut written = Vec::new();
    for batch in [vec![fact(1)], vec![fact(2), fact(3), fact(4)], vec![fact(5), fact(6)]] {
        journal.append(at(), batch.clone()).unwrap();
        written.extend(batch);
    }
    let mut marks = Vec::new();
    Journal::open(Arc::new(disk.clone()), None, |_, mark| {
        marks.push(mark);
        Ok(())
    })
    .unwrap();
    assert_eq!(journal.mark().as_ref(), marks.last());
    for (done, mark) in (1..).zip(&marks) {
        let (facts, journal, torn) = read_on(&disk, mark).unwrap();
        assert_eq!((facts.as_slice(), torn), (&written[done..], None));
        assert_eq!(journal.mark().as_ref(), marks.last());
        assert!(matches!(
            read_on(&disk, &Mark { hash: "0".repeat(64), ..mark.clone() }),
            Err(JournalError::NoSuchPlace)
        ));
        assert!(matches!(read_on(&disk, &Mark { segment: 7, ..mark.clone() }), Err(JournalError::NoSuchPlace)));
        assert!(matches!(
            read_on(&disk, &Mark { batch_at: mark.batch_at + 1, ..mark.clone() }),
            Err(JournalError::NoSuchPlace)
        ));
        assert!(matches!(read_on(&disk, &Mark { seq: mark.seq + 1, ..mark.clone() }), Err(JournalError::NoSuchPlace)));
    }
    let (_, mut journal, _) = read_on(&disk, &marks[2]).unwrap();
    journal.append(at(), vec![fact(7)]).unwrap();
    written.push(fact(7));
    assert_eq!(read(&disk).unwrap().0, written);
}

#[test]
fn a_torn_end_behind_the_place_is_put_aside_and_one_before_it_makes_the_place_unknown() {
    let disk = SimulatedDisk::new();
    let (_, mut journal, _) = read(&disk).unwrap();
    journal.append(at(), vec![fact(1)]).unwrap();
    let mark = journal.mark().unwrap();
    let whole = segment(&disk).size().unwrap();
    journal.append(at(), vec![fact(2), fact(3)]).unwrap();
    let later = journal.mark().unwrap();
    segment(&disk).write_at(&[0; 10], whole).unwrap();
    assert!(matches!(read_on(&disk, &later), Err(JournalError::NoSuchPlace)));
    let (facts, mut journal, torn) = read_on(&disk, &mark).unwrap();
    assert_eq!(facts, []);
    assert!(disk.exists(&torn.unwrap().aside).unwrap());
    journal.append(at(), vec![fact(4)]).unwrap();
    assert_eq!(read(&disk).unwrap().0, [fact(1), fact(4)]);
}

#[test]
fn an_altered_line_behind_the_place_stops_the_start_and_one_before_it_is_found_by_reading_all() {
    let disk = SimulatedDisk::new();
    let (_, mut journal, _) = read(&disk).unwrap();
    let mut marks = Vec::new();
    let mut ends = Vec::new();
    for n in 1..=4 {
        journal.append(at(), vec![fact(n)]).unwrap();
        marks.push(journal.mark().unwrap());
        ends.push(segment(&disk).size().unwrap());
    }
    segment(&disk).write_at(b"9", ends[1] + 8).unwrap();
    let Err(JournalError::Damaged { line, .. }) = read_on(&disk, &marks[1]) else { panic!("read a damaged journal") };
    assert_eq!(line, 3);
    assert_eq!(read_on(&disk, &marks[3]).unwrap().0, []);
    let look = |replay: &mut Vec<u64>| {
        reading::read(&disk, |entry, _| {
            replay.push(entry.seq);
            Ok(())
        })
    };
    let mut seen = Vec::new();
    assert!(matches!(look(&mut seen), Err(JournalError::Damaged { line: 3, .. })));
    assert_eq!(seen, [1, 2]);
}

#[test]
fn looking_changes_nothing_and_passes_over_what_is_being_written() {
    let disk = SimulatedDisk::new();
    let (_, mut journal, _) = read(&disk).unwrap();
    journal.append(at(), vec![fact(1)]).unwrap();
    let end = segment(&disk).size().unwrap();
    segment(&disk).write_at(b"{\"seq\":2,\"ba", end).unwrap();
    let count = |disk: &SimulatedDisk| {
        let mut facts = 0;
        reading::read(disk, |_, _| {
            facts += 1;
            Ok(())
        })
        .unwrap();
        facts
    };
    assert_eq!(count(&disk), 1);
    assert_eq!(segment(&disk).size().unwrap(), end + 12);
    assert_eq!(count(&SimulatedDisk::new()), 0);
}
