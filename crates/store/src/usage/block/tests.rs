//! What is packed comes out again; what is no block gives nothing.

use proptest::{collection::vec, prelude::*};
use tollgate_journal::{Entry, Flags};

use super::{Block, Builder, Kind, RECORDS_MAX, Unpacked, Wanted, mark, may_hold};

#[derive(Clone, Debug)]
struct Decision {
    number: u64,
    entry: Entry,
    texts: [String; 3],
}

impl Decision {
    fn lent(&self) -> Unpacked<'_> {
        let [path, detail, user_agent] = &self.texts;
        Unpacked {
            number: self.number,
            entry: self.entry,
            path: path.as_bytes(),
            detail: detail.as_bytes(),
            user_agent: user_agent.as_bytes(),
        }
    }
}

fn decisions() -> impl Strategy<Value = Decision> {
    // Few ids, so that some come again; sizes and times of every kind.
    let ids = prop::array::uniform6(prop_oneof![0..4u64, any::<u64>()]);
    let sizes = (any::<[u32; 5]>(), any::<[u16; 3]>(), any::<[u8; 2]>(), any::<i64>(), any::<[u64; 3]>());
    let address = prop_oneof![
        any::<[u8; 16]>(),
        any::<[u8; 4]>().prop_map(|v4| std::net::Ipv4Addr::from(v4).to_ipv6_mapped().octets()),
    ];
    let texts = prop::array::uniform3("[a-cé]{0,3}|.{0,40}");
    (ids, sizes, address, texts).prop_map(|(ids, (words, halves, bytes, at_us, longs), address, texts)| {
        let entry = Entry {
            at_us,
            key: ids[0],
            consumer: ids[1],
            project: ids[2],
            tenant: ids[3],
            service: ids[4],
            policy: ids[5],
            bytes_in: longs[0],
            bytes_out: longs[1],
            address,
            latency_us: words[0],
            upstream_us: words[1],
            units: words[2],
            checks_passed: words[3],
            checks_configured: words[4],
            status: halves[0],
            generation: halves[1],
            flags: Flags(halves[2]),
            code: bytes[0],
            method: bytes[1],
        };
        Decision { number: longs[2], entry, texts }
    })
}

fn pack(builder: &mut Builder, decisions: &[Decision]) -> super::Packed {
    for (position, decision) in (70..).zip(decisions) {
        assert!(!builder.is_full());
        builder.add(position, &decision.lent());
    }
    builder.finish().unwrap()
}

proptest! {
    #[test]
    fn every_decision_comes_out_as_it_went_in(decisions in vec(decisions(), 1..300), before in vec(decisions(), 0..9)) {
        let mut builder = Builder::default();
        // A builder that was used before forgets what it had.
        if !before.is_empty() {
            pack(&mut builder, &before);
        }
        let packed = pack(&mut builder, &decisions);
        prop_assert_eq!((packed.starts, packed.ends), (70, 70 + decisions.len() as u64));
        prop_assert_eq!(packed.records as usize, decisions.len());
        prop_assert_eq!(packed.from_us, decisions.iter().map(|one| one.entry.at_us).min().unwrap());
        prop_assert_eq!(packed.to_us, decisions.iter().map(|one| one.entry.at_us).max().unwrap());
        let block = Block::open(&packed.packed).unwrap();
        let found = block.find(&Wanted::default()).unwrap();
        let mut rows = decisions.iter();
        block.unpack(&found, |found, unpacked| {
            let decision = rows.next().unwrap();
            assert_eq!((unpacked.number, found.number), (decision.number, decision.number));
            assert_eq!(unpacked.entry, decision.entry);
            let texts = [unpacked.path, unpacked.detail, unpacked.user_agent];
            assert_eq!(texts, decision.texts.each_ref().map(String::as_bytes));
        }).unwrap();
        prop_assert!(rows.next().is_none());
        for decision in &decisions {
            let Entry { key, consumer, project, tenant, service, .. } = decision.entry;
            let marks = [(Kind::Key, key), (Kind::Consumer, consumer), (Kind::Project, project),
                (Kind::Tenant, tenant), (Kind::Service, service)];
            for (kind, id) in marks {
                prop_assert!(may_hold(&packed.holds, mark(kind, id)));
            }
        }
    }

    #[test]
    fn exactly_what_is_wanted_is_found(decisions in vec(decisions(), 1..200), ids: [Option<bool>; 4], code: bool, times: bool) {
        let packed = pack(&mut Builder::default(), &decisions);
        let of = decisions.get(decisions.len() / 2).unwrap().entry;
        let id = |index: usize, id: u64| ids.get(index).copied().flatten().map(|there| if there { id } else { id ^ 1 });
        let wanted = Wanted {
            key: id(0, of.key),
            consumer: id(1, of.consumer),
            tenant: id(2, of.tenant),
            service: id(3, of.service),
            code: code.then_some(of.code),
            from_us: times.then_some(of.at_us),
            to_us: times.then_some(of.at_us.saturating_add(i64::MAX / 2)),
        };
        let fits = |entry: &Entry| {
            wanted.key.is_none_or(|key| key == entry.key)
                && wanted.consumer.is_none_or(|id| id == entry.consumer)
                && wanted.tenant.is_none_or(|id| id == entry.tenant)
                && wanted.service.is_none_or(|id| id == entry.service)
                && wanted.code.is_none_or(|code| code == entry.code)
                && wanted.from_us.is_none_or(|from| entry.at_us >= from)
                && wanted.to_us.is_none_or(|to| entry.at_us < to)
        };
        let expected: Vec<usize> =
            decisions.iter().enumerate().filter(|(_, one)| fits(&one.entry)).map(|(row, _)| row).collect();
        let found = Block::open(&packed.packed).unwrap().find(&wanted).unwrap();
        prop_assert_eq!(found.iter().map(|found| found.row).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn damage_never_panics(decisions in vec(decisions(), 1..40), at: prop::sample::Index, bit in 0..8u32, cut: bool) {
        let mut bytes = pack(&mut Builder::default(), &decisions).packed;
        let at = at.index(bytes.len());
        if cut { bytes.truncate(at); } else { bytes[at] ^= 1 << bit; }
        if let Some(block) = Block::open(&bytes) && let Some(found) = block.find(&Wanted::default()) {
            let _damaged = block.unpack(&found, |_, _| {});
        }
    }
}

#[test]
fn a_block_is_full_by_records_or_by_texts() {
    let decision = |path: String| Decision {
        number: 1,
        entry: Entry { key: 5, ..Entry::default() },
        texts: [path, String::new(), String::new()],
    };
    let mut builder = Builder::default();
    for row in 0..RECORDS_MAX {
        assert!(!builder.is_full());
        builder.add(row as u64, &decision("/same".into()).lent());
    }
    assert!(builder.is_full());
    let packed = builder.finish().unwrap();
    assert!(packed.packed.len() < RECORDS_MAX * 8, "{} bytes", packed.packed.len());
    assert!(builder.finish().is_none());
    let mut rows = 0;
    while !builder.is_full() {
        builder.add(rows, &decision(format!("/{rows}/{}", "x".repeat(500))).lent());
        rows += 1;
    }
    assert!((300..450).contains(&rows), "{rows}");
    assert_eq!(
        Block::open(&builder.finish().unwrap().packed).unwrap().find(&Wanted::default()).unwrap().len(),
        rows as usize
    );
}
