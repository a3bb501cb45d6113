//! The whole way, with a power cut or a kill at every single call, and at every call of the recovery.

use std::error::Error;

use super::*;

/// What the device was told before the power failed.
#[derive(Default)]
struct Told {
    created: bool,
    acknowledged: u64,
    receipted: bool,
}

/// The whole way of one recording.
fn whole_way(files: &Arc<dyn Files>, manifest: &Manifest, told: &mut Told) -> Result<(), Box<dyn Error>> {
    let (incoming, _) = Incoming::open(Arc::clone(files), Arc::new(SystemClock))?;
    incoming.create(identity(UPLOAD))?;
    told.created = true;
    let sent = transfer(&incoming);
    told.acknowledged = incoming.find(DEVICE, UPLOAD).map_or(0, |upload| upload.offset);
    sent?;
    place(&**files, manifest.clone())?;
    told.receipted = true;
    incoming.finish(UPLOAD)?;
    Ok(())
}

/// Runs `test` for each way of renaming and each call of the whole way, at which `fault` strikes; with the disk as it is
/// left, what the device was told, and words that say where.
fn at_every_call(test: impl Fn(&SimulatedDisk, &Told, &Manifest, &str)) {
    let key = key();
    let manifest = manifest(UPLOAD, &key);
    for mode in MODES {
        let calls = {
            let disk = SimulatedDisk::renaming(mode);
            let files: Arc<dyn Files> = Arc::new(disk.clone());
            whole_way(&files, &manifest, &mut Told::default()).unwrap();
            disk.calls()
        };
        assert!(calls > 20, "{calls}");
        for call in 0..=calls {
            let disk = SimulatedDisk::renaming(mode);
            disk.fail(call, Fault::PowerCut);
            let files: Arc<dyn Files> = Arc::new(disk.clone());
            let mut told = Told::default();
            let _cut_short = whole_way(&files, &manifest, &mut told);
            test(&disk, &told, &manifest, &format!("{mode:?}, cut at call {call}"));
        }
    }
}

#[test]
fn whenever_the_power_fails_nothing_acknowledged_is_lost_and_the_next_start_completes_it() {
    at_every_call(|disk, told, manifest, context| {
        for seed in 0..16 {
            recover(&disk.after_power_cut(seed), told, manifest, &format!("{context}, seed {seed}"));
        }
    });
}

#[test]
fn whenever_the_process_is_killed_the_next_start_completes_it() {
    at_every_call(|disk, told, manifest, context| recover(&disk.after_kill(), told, manifest, context));
}

/// Starts on `disk`, is stopped once more at each call of the recovery, by a kill or a power cut, and at last finishes.
fn recover(disk: &SimulatedDisk, told: &Told, manifest: &Manifest, context: &str) {
    let whole = {
        let disk = disk.after_kill();
        start(&(Arc::new(disk.clone()) as Arc<dyn Files>)).unwrap_or_else(|error| panic!("{context}: {error}"));
        look(&disk, told, manifest, context);
        disk.calls()
    };
    for again in 0..whole {
        let disk = disk.after_kill();
        disk.fail(again, Fault::PowerCut);
        let _cut_short = start(&(Arc::new(disk.clone()) as Arc<dyn Files>));
        for found in [disk.after_kill(), disk.after_power_cut(again as u64)] {
            let context = format!("{context}, again at call {again}");
            start(&(Arc::new(found.clone()) as Arc<dyn Files>)).unwrap_or_else(|error| panic!("{context}: {error}"));
            look(&found, told, manifest, &context);
        }
    }
}

/// What must be so once a start has completed what was interrupted; also when the power fails right then.
fn look(disk: &SimulatedDisk, told: &Told, manifest: &Manifest, context: &str) {
    let Told { created, acknowledged, receipted } = *told;
    for disk in [disk.clone(), disk.after_power_cut(disk.calls() as u64)] {
        let files: Arc<dyn Files> = Arc::new(disk.clone());
        start(&files).unwrap_or_else(|error| panic!("{context}: {error}"));
        let (incoming, _) = open(&files);
        let unfinished = incoming.find(DEVICE, UPLOAD);
        let named: Vec<String> = disk.paths().into_iter().filter(|path| !path.starts_with(".incoming/")).collect();
        let stored = !named.is_empty();
        if receipted {
            assert!(stored, "{context}: a receipted recording has no file");
        }
        if let Some(upload) = &unfinished {
            assert!(!stored, "{context}: a stored recording is still on its way");
            assert!(upload.offset >= acknowledged, "{context}: {} < {acknowledged}", upload.offset);
            let data = read(&*files, &format!(".incoming/{UPLOAD}/data"));
            assert!(data.starts_with(&content()[..usize::try_from(upload.offset).unwrap()]), "{context}");
        } else {
            assert!(stored || !created, "{context}: {acknowledged} acknowledged bytes are gone");
        }
        if stored {
            assert_eq!(named, [PATH.to_owned(), format!("{PATH}.json")], "{context}");
            assert_eq!(read(&*files, PATH), content(), "{context}: wrong bytes under a final name");
            let beside = Manifest::parse(&read(&*files, &format!("{PATH}.json"))).unwrap();
            assert_eq!(beside.receipt, manifest.receipt, "{context}");
        }
    }
}
