//! A journal that is said to be lost while its node ships it after all.

use tollgate_store::Lessee;

use crate::{
    leases::{POT, assert_balanced, balance, call, draw, lease, open, ship, want},
    world::{NOW, World},
};

/// I8: whichever comes first, what was drawn is spent once; and what was charged beyond it comes back when the
/// journal is found.
pub(crate) async fn a_lost_journal_that_is_shipped_meanwhile_is_charged_once(world: World) {
    const ROUNDS: u64 = 12;
    let other = world.other().await;
    open(&world.store, POT, true, 40 * ROUNDS as i64).await;
    for round in 0..ROUNDS {
        let lessee = Lessee { node: 5, boot: 500 + round };
        assert_eq!(lease(&world.store, lessee, &want(POT, 1, 40, 40)).await.0, 40);
        let before = 25 * round as i64;
        let shipping = async {
            // Now the one is a little earlier, now the other.
            for _ in 0..round % 4 {
                tokio::task::yield_now().await;
            }
            ship(&other, lessee.boot, vec![call(0, 1, vec![draw(1, POT, 30, 25)])]).await;
        };
        let (lost, ()) = tokio::join!(world.store.charge_lost(5, NOW + 3_600_000_000), shipping);
        lost.unwrap();
        let [_, reserved, spent, overrun] = balance(&world.store, POT).await;
        assert_eq!((reserved, spent, overrun), (0, before + 40, 0), "round {round}: all of it, once");
        assert_balanced(&world.store).await;
        let next = Lessee { node: 5, boot: 900 + round };
        while world.store.end_leases(next, NOW + 7_200_000_000 + round as i64).await.unwrap().leases > 0 {}
        let [_, reserved, spent, overrun] = balance(&world.store, POT).await;
        assert_eq!((reserved, spent, overrun), (0, before + 25, 0), "round {round}: what was found");
    }
    assert_balanced(&world.store).await;
}
