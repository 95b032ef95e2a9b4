//! What is before a checkpoint is proven (I20, T13): every byte of an exported audit, every row that is
//! gone, new or moved, a chain that was cut or computed anew. What is after the last checkpoint is the
//! window in which a cut does not show.

use std::io::Cursor;

use tollgate_store::{Anchors, Checkpoint, CheckpointKey, Seal, Verified, verify_export};

use crate::world::{NOW, World, new_key};

fn key() -> CheckpointKey {
    CheckpointKey::from_pkcs8(&CheckpointKey::generate().unwrap()).unwrap()
}

async fn seal(world: &World, key: &CheckpointKey) -> Seal {
    let head = world.store.audit_head().await.unwrap();
    key.sign(Checkpoint { installation: head.installation, seq: head.seq, hash: head.hash, at_us: NOW })
}

async fn exported(world: &World) -> String {
    let mut text = format!("{}\n", world.store.audit_export_head().await.unwrap());
    let mut last = 0;
    loop {
        let lines = world.store.audit_export(last).await.unwrap();
        let Some((seq, _)) = lines.last() else { return text };
        last = *seq;
        text.extend(lines.iter().map(|(_, line)| format!("{line}\n")));
    }
}

fn anchors(file: &str, key: &CheckpointKey) -> Result<Anchors, String> {
    Anchors::read(&mut Cursor::new(file), &[key.public()])
}

/// Whether an export is found to be as it was.
fn holds(export: &[u8], anchors: &Anchors) -> Option<Verified> {
    verify_export(&mut Cursor::new(export), anchors).ok()?.ok()
}

pub(crate) async fn every_byte_of_an_export_counts(world: World) {
    let world = world.furnished().await;
    let key = key();
    let first = seal(&world, &key).await;
    world.create(new_key(), 1).await;
    let last = seal(&world, &key).await;
    let anchors = anchors(&format!("{}\n{}\n", first.line(), last.line()), &key).unwrap();
    let export = exported(&world).await;
    let verified = holds(export.as_bytes(), &anchors).unwrap();
    assert_eq!((verified.rows, verified.head), (last.checkpoint.seq, last.checkpoint.seq));
    assert_eq!(verified.hash, world.store.audit_verify().await.unwrap().unwrap().hash);

    let (mut flips, mut unseen) = (0, Vec::new());
    for place in 0..export.len() {
        for mask in [0x01, 0x20, 0x80] {
            let mut altered = export.clone().into_bytes();
            altered[place] ^= mask;
            flips += 1;
            if holds(&altered, &anchors).is_some() {
                unseen.push((place, mask));
            }
        }
        let mut altered = export.clone().into_bytes();
        altered.remove(place);
        assert!(holds(&altered, &anchors).is_none(), "byte {place} taken out");
        let mut altered = export.clone().into_bytes();
        altered.insert(place, b' ');
        assert!(holds(&altered, &anchors).is_none(), "a space put in at {place}");
    }
    assert!(flips > 3_000 && unseen.is_empty(), "{flips} flips, not found: {unseen:?}");
}

pub(crate) async fn lines_that_are_gone_new_or_moved_are_found(world: World) {
    let world = world.furnished().await;
    let key = key();
    world.create(new_key(), 1).await;
    let sealed = seal(&world, &key).await;
    let anchors = anchors(&format!("{}\n", sealed.line()), &key).unwrap();
    world.create(new_key(), 2).await;
    let export = exported(&world).await;
    let lines: Vec<&str> = export.lines().collect();
    let found = |lines: &[&str]| {
        let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
        holds(text.as_bytes(), &anchors).is_none()
    };
    assert!(!found(&lines));
    for one in 0..lines.len() {
        let mut gone = lines.clone();
        gone.remove(one);
        // The last change came after the checkpoint: that it is cut off cannot show yet.
        assert_eq!(found(&gone), one + 1 < lines.len(), "line {one} gone");
        for other in 0..lines.len() {
            let mut moved = lines.clone();
            moved.swap(one, other);
            assert_eq!(found(&moved), one != other, "lines {one} and {other} swapped");
            let mut twice = lines.clone();
            twice.insert(other, lines[one]);
            assert!(found(&twice), "line {one} again before {other}");
        }
        // The header is line 0, change n is line n.
        let reaches = one as u64 > sealed.checkpoint.seq;
        assert_eq!(found(&lines[..one]), !reaches, "cut before line {one}");
    }
}

pub(crate) async fn every_byte_of_a_checkpoint_counts(world: World) {
    let world = world.furnished().await;
    let (own, other) = (key(), key());
    let mut file = format!("{}\n", seal(&world, &own).await.line());
    world.create(new_key(), 1).await;
    file.push_str(&format!("{}\n", seal(&world, &own).await.line()));
    assert_eq!(anchors(&file, &own).unwrap().len(), 2);
    assert!(anchors(&file, &other).is_err_and(|problem| problem.contains("line 1")), "another key");
    for place in 0..file.len() {
        for mask in [0x01, 0x20, 0x80] {
            let mut altered = file.clone().into_bytes();
            altered[place] ^= mask;
            let read = Anchors::read(&mut Cursor::new(altered), &[own.public()]);
            assert!(read.is_err(), "byte {place} by {mask:#x}");
        }
    }
    let lines: Vec<&str> = file.lines().collect();
    assert!(anchors(&format!("{}\n{}\n", lines[1], lines[0]), &own).is_err(), "turned around");
    assert!(anchors(&format!("{}\n{}\n", lines[0], lines[0]), &own).is_err(), "twice");
    assert!(anchors(file.trim_end(), &own).is_err(), "cut off");
    let (mut long, line) = (String::new(), "x".repeat(10_000));
    long.push_str(&line);
    assert!(anchors(&long, &own).is_err(), "and nothing is read without a bound");
}

pub(crate) async fn a_chain_that_was_cut_or_computed_anew_is_found(world: World) {
    let world = world.furnished().await;
    let key = key();
    let before = world.store.audit_head().await.unwrap();
    world.create(new_key(), 1).await;
    let sealed = seal(&world, &key).await;
    let anchors = anchors(&format!("{}\n", sealed.line()), &key).unwrap();
    let at = Some((sealed.checkpoint.seq, sealed.checkpoint.hash));
    assert!(world.store.audit_verify_against(&anchors).await.unwrap().is_ok());
    assert!(world.store.audit_follow(at).await.unwrap().is_ok());

    let hash: String = before.hash.iter().map(|byte| format!("{byte:02x}")).collect();
    let literal = match world.store.engine() {
        tollgate_store::Engine::Sqlite => format!("X'{hash}'"),
        tollgate_store::Engine::Postgres => format!("'\\x{hash}'::bytea"),
    };
    world.raw(&format!("DELETE FROM changes WHERE seq > {}", before.seq)).await;
    world.raw(&format!("UPDATE feed_head SET seq = {}, hash = {literal}", before.seq)).await;
    assert!(world.store.audit_verify().await.unwrap().is_ok(), "the chain alone does not show it");
    let broken = world.store.audit_verify_against(&anchors).await.unwrap().unwrap_err();
    assert_eq!(broken.seq, before.seq + 1);
    assert!(world.store.audit_follow(at).await.unwrap().is_err());

    // Another history of the same length, with hashes that fit.
    world.create(new_key(), 2).await;
    assert_eq!(world.store.audit_head().await.unwrap().seq, sealed.checkpoint.seq);
    assert!(world.store.audit_verify().await.unwrap().is_ok());
    let broken = world.store.audit_verify_against(&anchors).await.unwrap().unwrap_err();
    assert_eq!(broken.seq, sealed.checkpoint.seq);
    assert!(world.store.audit_follow(at).await.unwrap().is_err());
    let export = exported(&world).await;
    assert!(holds(export.as_bytes(), &Anchors::default()).is_some(), "nor does it show in an export alone");
    assert!(holds(export.as_bytes(), &anchors).is_none());
    world.create(new_key(), 3).await;
    assert!(world.store.audit_verify_against(&anchors).await.unwrap().is_err(), "however it goes on");
    assert!(world.store.audit_follow(at).await.unwrap().is_err());
}

pub(crate) async fn the_last_checkpoint_of_each_key_is_noted(world: World) {
    let world = world.furnished().await;
    let (one, other) = (key(), key());
    let first = seal(&world, &one).await;
    for seal in [first, seal(&world, &other).await] {
        world.store.note_checkpoint(&seal).await.unwrap();
    }
    world.create(new_key(), 1).await;
    let newer = seal(&world, &one).await;
    world.store.note_checkpoint(&newer).await.unwrap();
    let noted = world.store.checkpoints().await.unwrap();
    assert_eq!(noted.len(), 2);
    assert!(noted.contains(&newer) && !noted.contains(&first));
    assert!(noted.iter().all(Seal::is_signed));
}
