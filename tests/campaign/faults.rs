//! One system call of the server fails, hangs, or is its last, at each place where an offload makes one.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitStatus;
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use longshore_protocol::ProblemType;

use super::rig::{LEFT_REPORTS, RECOVERY, Rig};
use super::strace::{Fault, Injection, Strace, may_trace};
use super::{Chance, nap, seed};

const MB: u64 = 1_000_000;
/// Fast, so that a run does not wait for the network.
const FAST: u64 = 40 * MB;
/// Slow enough for journal and index to be written to while files are under way.
const SLOW: u64 = 4 * MB;
/// One file with a commit in its middle, a small one, an empty one.
const FILES: [u64; 3] = [9 * MB, 300_000, 0];
/// How long a fault may hold the agent up before the rig looks after it: longer than a delayed call, and than the 10 s
/// that the server asks for after a failed one.
const PHASE: Duration = Duration::from_secs(25);
/// How often the server is asked whether it wants a restart; each question is a handshake on a busy machine.
const ASK: Duration = Duration::from_secs(2);
/// Cases at a time; most of their time they wait.
const AT_A_TIME: usize = 4;
const SEGMENT: &str = "journal/00000000000000000001.jsonl";
const INDEX: &str = "index/rows/db";

/// All system calls with which an offload changes or reads the storage, and how often a thread makes them at least.
const CALLS: [(&str, &[u32]); 11] = [
    ("pwrite64", &[1, 2, 3, 4, 5]),
    ("fdatasync", &[1, 2, 3, 4, 5]),
    ("fsync", &[1, 2, 3, 4, 5, 6]),
    ("openat2", &[1, 2, 3, 5, 8, 13, 17, 21, 25]),
    ("mkdirat", &[1, 2, 3]),
    ("renameat2", &[1, 2, 3]),
    ("unlinkat", &[1, 2, 3, 4, 5, 6]),
    ("ftruncate", &[1]),
    ("pread64", &[1]),
    ("getdents64", &[1, 2]),
    ("newfstatat", &[1, 2]),
];
/// The same of a start that rolls a placing forward, all in one thread; the loader's own calls are left out.
const AT_START: [(&str, RangeInclusive<u32>); 9] = [
    ("pwrite64", 1..=2),
    ("fdatasync", 1..=2),
    ("fsync", 1..=12),
    ("openat2", 1..=30),
    ("mkdirat", 1..=4),
    ("renameat2", 1..=2),
    ("unlinkat", 1..=6),
    ("getdents64", 1..=6),
    ("newfstatat", 6..=10),
];
/// Those that can meet a full disk.
const NEEDS_ROOM: [&str; 6] = ["pwrite64", "fdatasync", "fsync", "openat2", "mkdirat", "renameat2"];

#[derive(Debug, Clone, Copy)]
enum Case {
    /// While an agent offloads.
    Offload(Injection),
    /// While the server starts over a placing that was interrupted.
    Start(Injection),
}

fn all_cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for (call, positions) in CALLS {
        for when in positions.iter().copied() {
            let at = |fault| Injection { fault, call, when, only: None };
            cases.extend(kinds(call).map(at).map(Case::Offload));
        }
    }
    for (only, call, positions) in [
        (SEGMENT, "pwrite64", 1..=4),
        (SEGMENT, "fdatasync", 1..=4),
        (INDEX, "pwrite64", 1..=2),
        (INDEX, "fsync", 1..=2),
    ] {
        for when in positions {
            let at = |fault| Injection { fault, call, when, only: Some(only) };
            cases.extend(kinds(call).map(at).map(Case::Offload));
        }
    }
    for (call, positions) in AT_START {
        for when in positions {
            let at = |fault| Injection { fault, call, when, only: None };
            let kinds = kinds(call).filter(|fault| !matches!(fault, Fault::WritesNothing | Fault::Enospc));
            cases.extend(kinds.map(at).map(Case::Start));
        }
    }
    cases
}

fn kinds(call: &'static str) -> impl Iterator<Item = Fault> {
    [Fault::Kill, Fault::Eio, Fault::Enospc, Fault::WritesNothing, Fault::Delay].into_iter().filter(move |fault| {
        match fault {
            Fault::Enospc => NEEDS_ROOM.contains(&call),
            Fault::WritesNothing => call == "pwrite64",
            _ => true,
        }
    })
}

#[test]
fn whatever_system_call_fails_nothing_is_lost() {
    let seed = seed("faults");
    let (mut chance, mut cases) = (Chance(seed), all_cases());
    // A few by chance: every run of the tests looks elsewhere.
    let few = (0..6).map(|_| cases.swap_remove(usize::try_from(chance.below(cases.len() as u64)).unwrap())).collect();
    run(few, seed);
}

#[test]
#[ignore = "takes ten minutes; cargo xtask campaign faults"]
fn whichever_system_call_fails_nothing_is_lost() {
    run(all_cases(), seed("faults"));
}

/// What came out of a case.
struct Row {
    case: Case,
    hits: Vec<String>,
    outcome: Result<String, String>,
    took: Duration,
}

fn run(cases: Vec<Case>, seed: u64) {
    if !may_trace() {
        return;
    }
    let (count, began) = (cases.len(), Instant::now());
    let (cases, rows) = (Mutex::new(cases.into_iter().enumerate()), Mutex::new(BTreeMap::new()));
    thread::scope(|scope| {
        for _ in 0..AT_A_TIME {
            scope.spawn(|| {
                while let Some((number, case)) = { cases.lock().unwrap().next() } {
                    let row = one(case, seed ^ number as u64);
                    println!("{:>3} of {count}: {}", number + 1, row.line());
                    rows.lock().unwrap().insert(number, row);
                }
            });
        }
    });
    let rows: Vec<Row> = rows.into_inner().unwrap().into_values().collect();
    let failed: Vec<String> = rows.iter().filter(|row| row.outcome.is_err()).map(Row::line).collect();
    let reached = rows.iter().filter(|row| !row.hits.is_empty()).count();
    println!(
        "seed {seed}: {count} faults in {:.0} s, {reached} of them reached, {} with loss or trouble",
        began.elapsed().as_secs_f64(),
        failed.len()
    );
    assert!(failed.is_empty(), "{}", failed.join("\n"));
    // Calls are counted by thread, so not every position comes up; but if most do not, the campaign looks at nothing.
    assert!(reached * 2 >= count, "{reached} of {count} faults were reached");
}

impl Row {
    fn line(&self) -> String {
        let (group, injection) = match self.case {
            Case::Offload(injection) => ("offload", injection),
            Case::Start(injection) => ("start", injection),
        };
        let Injection { fault, call, when, only } = injection;
        let hit = if self.hits.is_empty() { "not reached".to_owned() } else { self.hits.join(", ") };
        let only = only.map(|only| format!(" on {only}")).unwrap_or_default();
        let outcome = self.outcome.as_ref().map_or_else(|wrong| format!("WRONG: {wrong}"), Clone::clone);
        format!("{group}: {fault:?} in {call} {when}{only} | {hit} | {outcome} | {:.1} s", self.took.as_secs_f64())
    }
}

fn one(case: Case, seed: u64) -> Row {
    let began = Instant::now();
    let mut hits = Vec::new();
    let outcome = catch_unwind(AssertUnwindSafe(|| match case {
        Case::Offload(injection) => while_offloading(injection, seed, &mut hits),
        Case::Start(injection) => while_starting(injection, seed, &mut hits),
    }));
    let outcome = outcome.map_err(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        text.unwrap_or_default().lines().next().unwrap_or_default().to_owned()
    });
    Row { case, hits, outcome, took: began.elapsed() }
}

fn new_rig(seed: u64, bytes_per_second: u64) -> Rig {
    let mut rig = Rig::new(seed, bytes_per_second);
    for size in FILES {
        rig.card.add(size);
    }
    rig
}

fn while_offloading(injection: Injection, seed: u64, hits: &mut Vec<String>) -> String {
    let mut rig = new_rig(seed, if injection.only == Some(INDEX) { SLOW } else { FAST });
    let mut strace = Strace::attach(&rig.world, injection);
    rig.start_agent();
    let mut story = Vec::new();
    let began = Instant::now();
    let mut ended = None;
    let mut asked = began;
    while ended.is_none() && rig.world.lives() && began.elapsed() < PHASE {
        ended = rig.agent_ended();
        rig.durable();
        if rig.long_wait().is_some() {
            break;
        }
        if asked.elapsed() > ASK {
            asked = Instant::now();
            if rig.wants_a_restart().is_some() {
                break;
            }
        }
        nap(Duration::from_millis(50));
    }
    *hits = strace.hits();
    if !rig.world.lives() {
        assert_eq!(injection.fault, Fault::Kill, "the server died of it");
        strace.end();
        rig.world.stopped();
        rig.world.start();
        story.push("the server was started again".to_owned());
    } else {
        strace.detach(&rig.world);
        story.extend(troubles(&rig));
    }
    home(rig, hits, ended, story)
}

/// If a person has to do something, it is done, and the device is docked again.
fn help(rig: &mut Rig, hits: &[String], story: &mut Vec<String>) {
    if let Some(said) = rig.wants_a_restart() {
        assert!(hits.iter().any(|hit| hit.starts_with("journal") || hit.starts_with("index")), "{hits:?}: {said}");
        rig.kill_agent();
        rig.world.kill();
        rig.world.start();
        rig.start_agent();
        story.push("the server asked for a restart and got it".to_owned());
    } else if rig.long_wait().is_some() {
        rig.kill_agent();
        rig.start_agent();
        story.push("the device was docked again".to_owned());
    } else if rig.left_reports() {
        rig.start_agent();
        story.push("the next run reported the deletions".to_owned());
    }
}

/// What the agent complained of. Whatever failed, the server says it in the words of the protocol, or is not there.
fn troubles(rig: &Rig) -> Vec<String> {
    let documented = [
        ProblemType::StorageFailed,
        ProblemType::StorageNotThere,
        ProblemType::InsufficientStorage,
        ProblemType::Unavailable,
    ];
    let documented = documented.map(ProblemType::title);
    let business = ["sent ", "deleted ", "found ", "waiting: "];
    let said = rig.agent_said();
    let complaints: Vec<&str> =
        said.lines().filter(|line| !business.iter().any(|word| line.starts_with(word))).collect();
    for complaint in &complaints {
        // An answer to HEAD has a status and no body that could say more.
        let others = ["does not answer", "The server answered 503", "The server answered 507", LEFT_REPORTS];
        let known = others.iter().chain(&documented).any(|words| complaint.contains(words));
        assert!(known, "the agent said {complaint:?}");
    }
    complaints.into_iter().take(1).map(|line| format!("the agent said {line:?}")).collect()
}

fn while_starting(injection: Injection, seed: u64, hits: &mut Vec<String>) -> String {
    let mut rig = new_rig(seed, FAST);
    // Dead between the rename of the video and that of its manifest: the start has to roll forward.
    let between = Injection { fault: Fault::Kill, call: "renameat2", when: 3, only: None };
    let mut strace = Strace::attach(&rig.world, between);
    rig.start_agent();
    crate::support::eventually("the server is dead, or everything is stored", || {
        !rig.world.lives() || rig.observer.stored_count() == FILES.len()
    });
    let mut story = Vec::new();
    if rig.world.lives() {
        strace.detach(&rig.world);
        rig.world.kill();
        story.push("no placing was interrupted".to_owned());
    } else {
        strace.end();
        rig.world.stopped();
    }
    drop(strace);
    let (mut strace, came_up) = Strace::start(&mut rig.world, injection);
    if came_up {
        strace.detach(&rig.world);
    }
    if rig.world.lives() {
        story.push("the server came up".to_owned());
    } else {
        rig.world.start();
        story.push("the server did not come up, but at the next start".to_owned());
    }
    *hits = strace.hits();
    home(rig, hits, None, story)
}

/// With the faults gone, everything completes by itself, but for what the server asks a person for.
fn home(mut rig: Rig, hits: &[String], mut ended: Option<ExitStatus>, mut story: Vec<String>) -> String {
    let (began, mut asked) = (Instant::now(), None);
    let limit = RECOVERY + Duration::from_secs(FILES.iter().sum::<u64>() / SLOW);
    loop {
        if let Some(status) = ended {
            assert!(status.success() || rig.left_reports(), "{status}; the agent said: {}", rig.agent_said());
            if status.success() {
                break;
            }
            asked = None;
        }
        if asked.is_none_or(|asked: Instant| asked.elapsed() > ASK) {
            rig.durable();
            help(&mut rig, hits, &mut story);
            asked = Some(Instant::now());
        }
        assert!(began.elapsed() < limit, "not done after {limit:?}; the agent said: {}", rig.agent_said());
        nap(Duration::from_millis(20));
        ended = rig.agent_ended();
    }
    story.push(format!("home after {:.1} s", began.elapsed().as_secs_f64()));
    troubles(&rig);
    // What could not be removed goes at the next start at the latest; and the index may have failed at the very end.
    let left = rig.world.incoming().len();
    if left > 0 || rig.wants_a_restart().is_some() {
        rig.world.kill();
        rig.world.start();
        story.push(format!("a restart at the end, with {left} left in .incoming"));
    }
    rig.all_came_home();
    story.join("; ")
}
