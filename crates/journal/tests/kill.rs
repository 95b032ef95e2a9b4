//! T4, I12: what was acknowledged is there after SIGKILL at any moment, exactly once.
//!
//! The child is this test binary again, told by an argument to run the ignored test below; it
//! reads its orders from the standard input and acknowledges on the standard output.

use std::{
    collections::HashMap,
    io::{BufRead, BufReader, Read, Write},
    path::Path,
    process::{Child, Command, Stdio},
    sync::mpsc,
    time::Duration,
};

use tollgate_journal::Mark;

use crate::support::{SMALL, append, check, open, open_with, read_all, reserve};

const LANES: u16 = 2;

/// Starts an ignored test of this binary as a child that is told `orders`.
pub(crate) fn spawn_child(test: &str, orders: &str) -> Child {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args([test, "--exact", "--ignored", "--nocapture"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(orders.as_bytes()).unwrap();
    child
}

/// The orders of a child; nothing when the ignored test was started by hand.
pub(crate) fn orders() -> Option<(String, u64)> {
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text).unwrap();
    let (dir, number) = text.trim_end().rsplit_once(' ')?;
    Some((dir.to_owned(), number.parse().unwrap()))
}

#[test]
#[ignore = "the child of the kill test; does nothing by itself"]
fn child_appends_until_it_is_killed() {
    let Some((dir, boot)) = orders() else { return };
    let journal = open(Path::new(&dir), boot);
    std::thread::scope(|scope| {
        for lane in 0..LANES {
            let writer = journal.writer(lane).unwrap();
            scope.spawn(move || {
                let mut tickets = Vec::new();
                let mut random = boot ^ u64::from(lane);
                loop {
                    while tickets.len() < 8 {
                        tickets.push(reserve(&writer));
                    }
                    random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                    let ticket = tickets.swap_remove((random >> 33) as usize % 8);
                    let number = ticket.decision().number;
                    append(&writer, ticket, number);
                    // One write, so that lines of the lanes do not mix.
                    let line = format!("ack {lane} {number}\n");
                    std::io::stdout().lock().write_all(line.as_bytes()).unwrap();
                }
            });
        }
    });
}

/// Runs a child for a random time and returns what it acknowledged before it was killed.
fn killed_child(dir: &Path, boot: u64) -> Vec<(u16, u64)> {
    let mut child =
        spawn_child("kill::child_appends_until_it_is_killed", &format!("{} {boot}\n", dir.display()));
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let (began, begins) = mpsc::sync_channel(1);
    let reading = std::thread::spawn(move || {
        let mut acknowledged = Vec::new();
        let mut line = String::new();
        while output.read_line(&mut line).unwrap() > 0 {
            // The kill may cut the last line off; then it says nothing.
            if let Some(words) = line.strip_suffix('\n').and_then(|line| line.strip_prefix("ack ")) {
                let (lane, number) = words.split_once(' ').unwrap();
                acknowledged.push((lane.parse().unwrap(), number.parse().unwrap()));
                let _sent = began.try_send(());
            }
            line.clear();
        }
        acknowledged
    });
    begins.recv_timeout(Duration::from_secs(20)).unwrap();
    // Not waiting for a state: the moment of the kill is meant to be random.
    let moment = boot.wrapping_mul(0x9E37_79B9_7F4A_7C15) % 60_000;
    std::thread::sleep(Duration::from_micros(moment));
    child.kill().unwrap();
    child.wait().unwrap();
    reading.join().unwrap()
}

#[test]
fn what_was_acknowledged_survives_kill_9_exactly_once() {
    let dir = tempfile::tempdir().unwrap();
    let mut total = 0;
    let mut torn = 0;
    for boot in 1..=40u64 {
        let acknowledged = killed_child(dir.path(), boot);
        let (journal, recovery) = open_with(dir.path(), 1_000 + boot, SMALL).unwrap();
        let (records, lost) = read_all(dir.path(), &[]);
        assert_eq!(lost, 0, "boot {boot}");
        assert_eq!(recovery.lost_records, 0, "boot {boot}");
        assert_eq!(recovery.records, records.len() as u64, "boot {boot}");
        let mut found: HashMap<(u16, u64), u64> = HashMap::new();
        for (mark, record) in &records {
            assert_eq!(mark.boot, boot, "earlier boots were released");
            check(record);
            *found.entry((mark.lane, record.decision)).or_default() += 1;
        }
        for key in &acknowledged {
            assert_eq!(found.get(key), Some(&1), "boot {boot}, lane and decision {key:?}");
        }
        assert!(found.values().all(|count| *count == 1));
        let unacknowledged = records.len() - acknowledged.len().min(records.len());
        assert!(unacknowledged <= usize::from(LANES), "boot {boot}: {unacknowledged} in flight");
        total += acknowledged.len();
        torn += recovery.torn_records;
        // Ship everything, so that the next boot is alone in the folder.
        let ends = (0..LANES).map(|lane| Mark { boot, lane, position: u64::MAX });
        journal.release(&ends.collect::<Vec<_>>()).unwrap();
    }
    println!("killed 40 times: {total} acknowledged, 0 lost, 0 twice, {torn} torn and never acknowledged");
}
