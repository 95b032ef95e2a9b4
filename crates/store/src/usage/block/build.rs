//! Packing decisions into a block.

use std::hash::{Hash, Hasher};

use tollgate_journal::Entry;

use super::{
    RECORDS_MAX, SECTIONS, TEXT_BYTES_MAX, VERSION, bytes, code_bit,
    dictionary::{Texts, Values, write_numbers},
    filter::{self, Kind, mark},
    open::Unpacked,
};

/// A block that is ready for the database.
#[derive(Clone, Debug)]
pub(in crate::usage) struct Packed {
    /// The journal position of its first decision.
    pub(in crate::usage) starts: u64,
    /// The position behind its last one.
    pub(in crate::usage) ends: u64,
    pub(in crate::usage) number_min: u64,
    pub(in crate::usage) number_max: u64,
    pub(in crate::usage) from_us: i64,
    pub(in crate::usage) to_us: i64,
    pub(in crate::usage) records: u32,
    pub(in crate::usage) codes: i64,
    pub(in crate::usage) holds: Vec<u8>,
    pub(in crate::usage) packed: Vec<u8>,
}

impl Packed {
    /// What it takes in memory, about.
    pub(in crate::usage) fn size_bytes(&self) -> usize {
        self.holds.len() + self.packed.len()
    }
}

/// Who asked, as a block tells apart.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Who {
    key: u64,
    consumer: u64,
    project: u64,
    tenant: u64,
    policy: u64,
    generation: u16,
}

impl Hash for Who {
    /// The key decides nearly always; the rest is compared.
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.key ^ u64::from(self.generation).rotate_left(48));
    }
}

/// What came out, as a block tells apart.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct What {
    service: u64,
    units: u32,
    checks_passed: u32,
    checks_configured: u32,
    status: u16,
    flags: u16,
    code: u8,
    method: u8,
}

/// A block under way. Used again for the next one, so that its room is only made once.
#[derive(Default)]
pub(in crate::usage) struct Builder {
    starts: u64,
    ends: u64,
    numbers: (u64, u64),
    times: (i64, i64),
    codes: i64,
    last_time: i64,
    last_number: i64,
    time_steps: Vec<u8>,
    number_steps: Vec<u8>,
    whos: Values<Who>,
    whats: Values<What>,
    who: Vec<u16>,
    what: Vec<u16>,
    sizes: Vec<u8>,
    addresses: Texts,
    agents: Texts,
    paths: Texts,
    details: Texts,
    address: Vec<u16>,
    agent: Vec<u16>,
    path: Vec<u16>,
    detail: Vec<u16>,
    tables: Tables,
}

impl Builder {
    pub(in crate::usage) fn is_empty(&self) -> bool {
        self.who.is_empty()
    }

    /// Whether it should be finished before more is added.
    pub(in crate::usage) fn is_full(&self) -> bool {
        let texts = self.paths.total_bytes() + self.details.total_bytes() + self.agents.total_bytes();
        self.who.len() >= RECORDS_MAX || texts >= TEXT_BYTES_MAX
    }

    /// Adds a decision. To be asked whether it [is full](Self::is_full) before.
    pub(in crate::usage) fn add(&mut self, position: u64, decision: &Unpacked<'_>) {
        let (entry, number) = (&decision.entry, decision.number);
        if self.is_empty() {
            (self.starts, self.numbers, self.times) =
                (position, (number, number), (entry.at_us, entry.at_us));
        }
        self.ends = position + 1;
        self.numbers = (self.numbers.0.min(number), self.numbers.1.max(number));
        self.times = (self.times.0.min(entry.at_us), self.times.1.max(entry.at_us));
        self.codes |= code_bit(entry.code);
        bytes::put_step(&mut self.time_steps, self.last_time, entry.at_us);
        bytes::put_step(&mut self.number_steps, self.last_number, number as i64);
        (self.last_time, self.last_number) = (entry.at_us, number as i64);
        self.who.push(self.whos.number(Who::of(entry)));
        self.what.push(self.whats.number(What::of(entry)));
        let sizes = [entry.latency_us.into(), entry.upstream_us.into(), entry.bytes_in, entry.bytes_out];
        for size in sizes {
            bytes::put(&mut self.sizes, size);
        }
        self.address.push(self.addresses.number(short_address(&entry.address)));
        self.agent.push(self.agents.number(decision.user_agent));
        self.path.push(self.paths.number(decision.path));
        self.detail.push(self.details.number(decision.detail));
    }

    /// Gives the block, and is empty again; `None` when nothing was added.
    pub(in crate::usage) fn finish(&mut self) -> Option<Packed> {
        if self.is_empty() {
            return None;
        }
        self.tables.clear();
        self.tables.fill(self.whos.values(), self.whats.values());
        let packed = Packed {
            starts: self.starts,
            ends: self.ends,
            number_min: self.numbers.0,
            number_max: self.numbers.1,
            from_us: self.times.0,
            to_us: self.times.1,
            records: self.who.len() as u32,
            codes: self.codes,
            holds: filter::build(&self.tables.marks),
            packed: self.write(),
        };
        self.clear();
        Some(packed)
    }

    fn write(&self) -> Vec<u8> {
        let tables = &self.tables;
        let texts = [&self.addresses, &self.agents, &self.paths, &self.details];
        let text_bytes: usize = texts.iter().map(|texts| texts.total_bytes() + texts.len() * 2).sum();
        let rows = self.time_steps.len() + self.number_steps.len() + self.sizes.len() + self.who.len() * 12;
        let dictionaries = tables.whos.len() + tables.whats.len() + tables.ids.values().len() * 8;
        let mut out = Vec::with_capacity(SECTIONS * 4 + 5 + text_bytes + rows + dictionaries);
        out.push(VERSION);
        out.extend((self.who.len() as u32).to_le_bytes());
        section(&mut out, |out| out.extend_from_slice(&self.time_steps));
        section(&mut out, |out| out.extend_from_slice(&self.number_steps));
        section(&mut out, |out| out.extend(tables.ids.values().iter().flat_map(|id| id.to_le_bytes())));
        section(&mut out, |out| out.extend_from_slice(&tables.whos));
        section(&mut out, |out| out.extend_from_slice(&tables.whats));
        section(&mut out, |out| write_numbers(out, &self.who, self.whos.values().len()));
        section(&mut out, |out| write_numbers(out, &self.what, self.whats.values().len()));
        section(&mut out, |out| out.extend_from_slice(&self.sizes));
        for (texts, numbers) in texts.into_iter().zip([&self.address, &self.agent, &self.path, &self.detail])
        {
            section(&mut out, |out| texts.write(out));
            section(&mut out, |out| write_numbers(out, numbers, texts.len()));
        }
        out
    }

    fn clear(&mut self) {
        (self.codes, self.last_time, self.last_number) = (0, 0, 0);
        for bytes in [&mut self.time_steps, &mut self.number_steps, &mut self.sizes] {
            bytes.clear();
        }
        let columns = [
            &mut self.who,
            &mut self.what,
            &mut self.address,
            &mut self.agent,
            &mut self.path,
            &mut self.detail,
        ];
        columns.into_iter().for_each(Vec::clear);
        self.whos.clear();
        self.whats.clear();
        for texts in [&mut self.addresses, &mut self.agents, &mut self.paths, &mut self.details] {
            texts.clear();
        }
    }
}

/// The dictionaries of who and what, written out, with the ids they name.
#[derive(Default)]
struct Tables {
    ids: Values<u64>,
    /// As what each of the ids is in the filter already: a bit for each [`Kind`].
    kinds: Vec<u8>,
    /// What the filter shall hold.
    marks: Vec<u64>,
    whos: Vec<u8>,
    whats: Vec<u8>,
}

impl Tables {
    fn clear(&mut self) {
        self.ids.clear();
        self.marks.clear();
        [&mut self.kinds, &mut self.whos, &mut self.whats].into_iter().for_each(Vec::clear);
    }

    fn fill(&mut self, whos: &[Who], whats: &[What]) {
        let scope = |who: &Who| (who.project, who.tenant, who.policy, who.generation);
        let mut before = None;
        for who in whos {
            self.marks.push(mark(Kind::Key, who.key));
            self.whos.extend(who.key.to_le_bytes());
            let consumer = self.place(who.consumer, Some(Kind::Consumer));
            bytes::put(&mut self.whos, consumer);
            let is_other = before.replace(scope(who)) != Some(scope(who));
            self.whos.push(u8::from(is_other));
            if is_other {
                let kinds = [Some(Kind::Project), Some(Kind::Tenant), None];
                for (id, kind) in [who.project, who.tenant, who.policy].into_iter().zip(kinds) {
                    let place = self.place(id, kind);
                    bytes::put(&mut self.whos, place);
                }
                bytes::put(&mut self.whos, who.generation.into());
            }
        }
        for what in whats {
            self.whats.extend([what.code, what.method]);
            let service = self.place(what.service, Some(Kind::Service));
            bytes::put(&mut self.whats, service);
            let numbers = [
                what.status.into(),
                what.flags.into(),
                what.units,
                what.checks_passed,
                what.checks_configured,
            ];
            for number in numbers {
                bytes::put(&mut self.whats, number.into());
            }
        }
    }

    /// The place of an id in ids; marked for the filter when it is the first of its kind.
    #[inline]
    fn place(&mut self, id: u64, kind: Option<Kind>) -> u64 {
        let place = self.ids.number(id);
        if usize::from(place) >= self.kinds.len() {
            self.kinds.push(0);
        }
        if let Some(kind) = kind
            && let Some(kinds) = self.kinds.get_mut(usize::from(place))
            && *kinds & (1 << kind as u8) == 0
        {
            *kinds |= 1 << kind as u8;
            self.marks.push(mark(kind, id));
        }
        place.into()
    }
}

impl Who {
    #[inline]
    fn of(entry: &Entry) -> Self {
        Self {
            key: entry.key,
            consumer: entry.consumer,
            project: entry.project,
            tenant: entry.tenant,
            policy: entry.policy,
            generation: entry.generation,
        }
    }
}

impl What {
    #[inline]
    fn of(entry: &Entry) -> Self {
        Self {
            service: entry.service,
            units: entry.units,
            checks_passed: entry.checks_passed,
            checks_configured: entry.checks_configured,
            status: entry.status,
            flags: entry.flags.0,
            code: entry.code,
            method: entry.method,
        }
    }
}

/// The bytes of an address that tell: four of an IPv4 address mapped into IPv6 (RFC 4291 §2.5.5.2).
#[inline]
fn short_address(address: &[u8; 16]) -> &[u8] {
    match address {
        [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF, v4 @ ..] => v4,
        v6 => v6,
    }
}

/// Writes a section behind its length.
fn section(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    let at = out.len();
    out.extend([0; 4]);
    write(out);
    let length = (out.len() - at - 4) as u32;
    if let Some(place) = out.get_mut(at..at + 4) {
        place.copy_from_slice(&length.to_le_bytes());
    }
}
