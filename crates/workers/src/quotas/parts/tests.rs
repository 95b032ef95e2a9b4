//! What becomes of parts between the database and the cells.

use std::sync::Mutex;

use tollgate_core::counters::RuleId;
use tollgate_store::OpenOptions;

use super::*;

const HOUR: Window = Window { start_us: 1_000_000, end_us: 3_601_000_000 };
const NODE: Lessee = Lessee { node: 1, boot: 10 };
/// The keeper's moment; requests that wait for it came before.
const NOW: Now = Now { wall_us: 2_000_000, mono_ns: 60_000_000_000 };

/// Cells that hold what they are given.
#[derive(Default)]
struct Held(Mutex<BTreeMap<QuotaKey, (u64, QuotaGranted)>>);

impl Held {
    fn granted(&self, key: QuotaKey) -> QuotaGranted {
        self.0.lock().unwrap()[&key].1
    }
}

impl QuotaCells for Held {
    fn grant(&self, key: QuotaKey, _window: Window, granted: QuotaGranted) -> bool {
        let mut cells = self.0.lock().unwrap();
        let cell = cells.entry(key).or_insert((0, granted));
        *cell = (cell.0 + granted.given, granted);
        true
    }

    fn take_back(&self, key: QuotaKey, _window: Window) -> u64 {
        self.0.lock().unwrap().get_mut(&key).map_or(0, |cell| std::mem::take(&mut cell.0))
    }

    fn free(&self, key: QuotaKey, _window: Window) -> u64 {
        self.0.lock().unwrap().get(&key).map_or(0, |cell| cell.0)
    }
}

async fn parts() -> (Parts, Arc<Held>, Arc<Store>, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}/tollgate.db", folder.path().display());
    let store = Arc::new(Store::open(&url, OpenOptions::default()).await.unwrap());
    let held = Arc::new(Held::default());
    let cells: Arc<dyn QuotaCells> = held.clone();
    (Parts::new(Arc::clone(&store), cells, NODE), held, store, folder)
}

fn want(rule: u64, wish: u64) -> QuotaWant {
    QuotaWant { rule: RuleId(rule), subject: 1, window: HOUR, amount: 1_000, wish }
}

async fn get(parts: &mut Parts, wants: &[QuotaWant]) {
    let wants = wants.iter().map(|want| (want.key(), *want)).collect();
    assert!(parts.get_all(wants, NOW).await.is_empty());
}

#[tokio::test]
async fn a_request_that_came_before_the_grant_may_ask_again_when_others_took_it() {
    let (mut parts, held, _store, _folder) = parts().await;
    let key = want(7, 0).key();
    get(&mut parts, &[want(7, 10)]).await;
    assert_eq!(held.granted(key).ask_from_ns, 0, "there is more");
    // It was not known what became of the last word: nothing says that asking is in vain.
    parts.known.get_mut(&key).unwrap().is_unsure = true;
    parts.find_out(&[key]).await.unwrap();
    assert_eq!(held.granted(key).ask_from_ns, 0);
    get(&mut parts, &[want(7, 1_000)]).await;
    assert!(held.granted(key).ask_from_ns > NOW.mono_ns, "less was left than is needed");
}

#[tokio::test]
async fn one_part_that_is_gone_keeps_no_other_from_going_back() {
    let (mut parts, held, store, _folder) = parts().await;
    let wants: Vec<QuotaWant> = (1..=9).map(|rule| want(rule, 40)).collect();
    get(&mut parts, &wants).await;
    let keys: Vec<QuotaKey> = wants.iter().map(QuotaWant::key).collect();
    // What is set aside for this node of one of them goes away behind its back.
    let lost = store.quota_grants(1, &keys[3..4]).await.unwrap();
    assert!(store.give_quotas_back(1, &lost).await.unwrap());
    parts.give_back(&keys).await.unwrap();
    let left = store.quota_grants(1, &keys).await.unwrap();
    assert!(left.iter().all(|(_, granted)| *granted == 0), "{left:?}");
    assert!(keys.iter().all(|key| held.free(*key, HOUR) == 0));
    assert!(parts.known.values().all(|known| !known.is_unsure));
}

#[tokio::test]
async fn periods_end_one_round_at_a_time() {
    let (mut parts, _held, store, _folder) = parts().await;
    let wants: Vec<QuotaWant> = (1..=300).map(|rule| want(rule, 1)).collect();
    for round in wants.chunks(QUOTAS_ROUND_MAX) {
        store.lease_quotas(NODE, round).await.unwrap();
    }
    let later = Now { wall_us: HOUR.end_us + OVER_US + 1, ..NOW };
    parts.look(later).await.unwrap();
    let mut rounds = 0;
    while parts.is_ending() {
        parts.end_some().await.unwrap();
        rounds += 1;
    }
    assert_eq!(rounds, 3, "two with something, one that finds nothing more");
    assert_eq!(store.end_quota_periods(1, later.wall_us).await.unwrap(), 0);
}
