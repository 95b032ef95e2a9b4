//! Checkpoints are written soon after a change, to the file and the system log, and never over a chain
//! that was altered (I20).

use std::{path::Path, sync::Arc, time::Duration};

use tokio::{
    io::AsyncReadExt as _,
    net::{TcpListener, UdpSocket, UnixDatagram},
};
use tollgate_store::{Anchors, CheckpointKey, Seal};
use tollgate_workers::{Running, SealOptions, SyslogAddress};

use crate::world::{World, until};

fn key() -> Arc<CheckpointKey> {
    Arc::new(CheckpointKey::from_pkcs8(&CheckpointKey::generate().unwrap()).unwrap())
}

fn seals(file: &Path) -> Vec<Seal> {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    text.lines().map(|line| Seal::parse(line).unwrap()).collect()
}

async fn start(world: &mut World, options: &SealOptions) -> Running {
    let mut process = world.boot();
    process.parts.as_mut().unwrap().seal = Some(options.clone());
    process.start().await
}

#[tokio::test]
async fn a_change_is_sealed_within_a_minute_and_at_the_end() {
    let mut world = World::new().await;
    let file = world.folder.path().join("checkpoints.jsonl");
    let options = SealOptions::new(key(), file.clone(), None);
    let running = start(&mut world, &options).await;
    until("what was there is sealed", || async { seals(&file).len() == 1 }).await;
    let head = world.store.audit_head().await.unwrap();
    assert_eq!((seals(&file)[0].checkpoint.seq, seals(&file)[0].checkpoint.hash), (head.seq, head.hash));
    until("it is told", || async { running.progress().sealed_seq() == head.seq }).await;
    world.create_key(1).await;
    world.clock.advance(Duration::from_secs(61));
    until("a minute later the change is sealed", || async { seals(&file).len() == 2 }).await;
    world.create_key(2).await;
    running.stop().await.unwrap();
    assert_eq!(seals(&file).len(), 3, "an orderly end leaves nothing unsealed");
    let running = start(&mut world, &options).await;
    running.stop().await.unwrap();
    assert_eq!(seals(&file).len(), 3, "nothing changed since");
    let text = std::fs::read(&file).unwrap();
    let anchors = Anchors::read(&mut &text[..], &[options.key.public()]).unwrap();
    assert!(world.store.audit_verify_against(&anchors).await.unwrap().is_ok());
    assert_eq!(world.store.checkpoints().await.unwrap(), vec![seals(&file)[2]]);
}

#[tokio::test]
async fn many_changes_are_sealed_at_once() {
    let mut world = World::new().await;
    let file = world.folder.path().join("checkpoints.jsonl");
    let options = SealOptions { changes: 3, ..SealOptions::new(key(), file.clone(), None) };
    let running = start(&mut world, &options).await;
    until("what was there is sealed", || async { seals(&file).len() == 1 }).await;
    for seed in 0..3 {
        world.create_key(seed).await;
    }
    until("the clock stands still, three changes are enough", || async { seals(&file).len() == 2 }).await;
    running.stop().await.unwrap();
}

#[tokio::test]
async fn an_altered_audit_is_never_sealed() {
    let mut world = World::new().await;
    let file = world.folder.path().join("checkpoints.jsonl");
    let options = SealOptions::new(key(), file.clone(), None);
    let running = start(&mut world, &options).await;
    until("what was there is sealed", || async { seals(&file).len() == 1 }).await;
    world.create_key(1).await;
    let mut stranger = world.stranger().await;
    stranger.run("UPDATE changes SET actor = 'usr_x' WHERE seq = (SELECT MAX(seq) FROM changes)").await;
    world.clock.advance(Duration::from_secs(61));
    until("it is noticed", || async { running.progress().is_audit_broken() }).await;
    running.stop().await.unwrap();
    assert_eq!(seals(&file).len(), 1);
    // The end is cut off: the chain is whole, and shorter than the checkpoint says.
    stranger.run("DELETE FROM changes WHERE seq = (SELECT MAX(seq) FROM changes)").await;
    stranger.run("DELETE FROM changes WHERE seq = (SELECT MAX(seq) FROM changes)").await;
    stranger
        .run("UPDATE feed_head SET seq = (SELECT MAX(seq) FROM changes), hash = (SELECT hash FROM changes ORDER BY seq DESC LIMIT 1)")
        .await;
    assert!(world.store.audit_verify().await.unwrap().is_ok(), "the chain alone does not show it");
    let running = start(&mut world, &options).await;
    until("it is noticed", || async { running.progress().is_audit_broken() }).await;
    running.stop().await.unwrap();
    assert_eq!(seals(&file).len(), 1);
    std::fs::rename(&file, world.folder.path().join("old.jsonl")).unwrap();
    let running = start(&mut world, &options).await;
    until("whoever knows why has moved the file away", || async { seals(&file).len() == 1 }).await;
    assert!(running.progress().are_checkpoints_missing(), "it may as well have been somebody else");
    running.stop().await.unwrap();
    let running = start(&mut world, &options).await;
    let progress = running.progress();
    running.stop().await.unwrap();
    assert!(!progress.are_checkpoints_missing());
}

#[tokio::test]
async fn a_line_that_a_power_cut_tore_is_cut_off() {
    let mut world = World::new().await;
    let file = world.folder.path().join("checkpoints.jsonl");
    let options = SealOptions::new(key(), file.clone(), None);
    start(&mut world, &options).await.stop().await.unwrap();
    let whole = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, format!("{whole}{}", whole.get(..40).unwrap())).unwrap();
    world.create_key(1).await;
    start(&mut world, &options).await.stop().await.unwrap();
    assert_eq!(seals(&file).len(), 2);
    assert!(std::fs::read_to_string(&file).unwrap().starts_with(&whole));
}

#[tokio::test]
async fn the_system_log_gets_each_checkpoint() {
    let mut world = World::new().await;
    let udp = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let path = world.folder.path().join("log.sock");
    let unix = UnixDatagram::bind(&path).unwrap();
    let mut buffer = vec![0u8; 4096];
    let addresses = [
        format!("udp://{}", udp.local_addr().unwrap()),
        format!("tcp://{}", tcp.local_addr().unwrap()),
        format!("unix://{}", path.display()),
    ];
    for (index, address) in addresses.into_iter().enumerate() {
        let address: SyslogAddress = address.parse().unwrap();
        let file = world.folder.path().join(format!("checkpoints-{index}.jsonl"));
        let running = start(&mut world, &SealOptions::new(key(), file.clone(), Some(address))).await;
        let message = match index {
            0 => {
                let length = udp.recv(&mut buffer).await.unwrap();
                String::from_utf8(buffer[..length].to_vec()).unwrap()
            }
            1 => {
                let mut text = String::new();
                tcp.accept().await.unwrap().0.read_to_string(&mut text).await.unwrap();
                let (length, message) = text.split_once(' ').unwrap();
                assert_eq!(length.parse::<usize>().unwrap(), message.len(), "RFC 6587");
                message.to_owned()
            }
            _ => {
                let length = unix.recv(&mut buffer).await.unwrap();
                String::from_utf8(buffer[..length].to_vec()).unwrap()
            }
        };
        running.stop().await.unwrap();
        assert!(message.starts_with("<109>1 2026-01-01T00:00:00.000000Z - tollgate "), "{message}");
        let (_, line) = message.split_once(" audit-checkpoint - ").unwrap();
        assert_eq!(Seal::parse(line).unwrap(), seals(&file)[0]);
    }
}
